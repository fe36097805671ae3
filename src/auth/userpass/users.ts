// Users of a userpass mount: records, and the operations that manage them. Passwords are hashed off the event loop, before the write.
import { Buffer } from 'node:buffer'
import { type PasswordHasher, passwordBytesMax, passwordHashProblem } from '../../crypto/password.ts'
import { invalid, list, listReply, missing, type Operation, path, stages, str } from '../../sdk/index.ts'
import { pageFields, pageOptions } from '../../sdk/page.ts'
import {
  cleanPolicies,
  emptyTokenParams,
  mergeTokenParams,
  type OlderName,
  olderTokenParamFields,
  type StoredTokenParams,
  showTokenParams,
  tokenParamFields,
  tokenParamOutput,
} from '../../sdk/token-params.ts'
import { collection } from '../../storage/collection.ts'
import { hashing } from './passwords.ts'

/** A user as it is stored: the hash of the password (Argon2id or bcrypt) and what tokens get. */
export interface UserRecord {
  readonly passwordHash: string
  readonly token: StoredTokenParams
}

/** Users by lower-case name. */
export const users = collection<UserRecord>('user/')

const nameBytesMax = 512
const namePattern = /^\w(?:[\w.-]*\w)?$/

/** Gives the name a user is stored under; throws 404 for what can be no user's name, as a path that fits no pattern would. */
export function userName(name: string): string {
  if (name.length > nameBytesMax || !namePattern.test(name)) throw missing('unsupported path')
  return name.toLowerCase()
}

const older = ['bound_cidrs', 'max_ttl', 'policies', 'ttl'] as const satisfies readonly OlderName[]
const olderFields = olderTokenParamFields(...older)
const usernameField = { username: str('Name of the user; upper and lower case are one.').required() }
const passwordFields = {
  password: str('Password of the user.').sensitive(),
  password_hash: str('Instead of the password: its bcrypt or argon2id hash.').sensitive(),
}
const user = path('users/{username}', usernameField, 'A user: password and what its tokens may do.')

interface Secret {
  readonly password?: string | undefined
  readonly password_hash?: string | undefined
}

/** Checks the password or hash of a request; throws `invalid`. With `needed` one of the two must be there. */
function checkSecret({ password, password_hash }: Secret, needed: boolean): void {
  if (password && password_hash) throw invalid('only one of password or password_hash may be provided')
  if (needed && !password && !password_hash) throw invalid('must provide either password or password_hash')
  if (password && Buffer.byteLength(password) > passwordBytesMax)
    throw invalid(`password is longer than ${passwordBytesMax} bytes`)
  const problem = password_hash ? passwordHashProblem(password_hash) : undefined
  if (problem) throw invalid(`password_hash: ${problem}`)
}

/** Gives the hash to store: the one sent, or one made of the password; undefined when neither was sent. */
async function hashOf({ password, password_hash }: Secret, hasher: PasswordHasher): Promise<string | undefined> {
  if (password) return hashing(() => hasher.hash(password))
  return password_hash || undefined
}

const listUsers = path('users', {}, 'The users of this mount.').list({
  summary: 'List the names of the users.',
  input: pageFields,
  output: { keys: list('Names of users.') },
  run: async (input, context) => listReply(await users.list(context.tx, '', pageOptions(input))),
})

const readUser = user.read({
  summary: 'Read what the tokens of a user get; never the password or its hash.',
  output: { ...tokenParamOutput, ...olderFields },
  async run({ username }, { tx }) {
    const record = await users.get(tx, userName(username))
    return record && { data: showTokenParams(record.token) }
  },
})

const deleteUser = user.delete({
  summary: 'Delete a user; its tokens live on until they expire or are to be renewed.',
  run({ username }, { tx }) {
    users.delete(tx, userName(username))
    return undefined
  },
})

const writeUser = (hasher: PasswordHasher): Operation =>
  user.write({
    summary: 'Create or change a user; what is not sent stays.',
    input: { ...passwordFields, ...tokenParamFields, ...olderFields },
    exists: ({ username }, { tx }) => users.has(tx, username.toLowerCase()),
    stages: stages({
      async prepare(input: Secret & Parameters<typeof mergeTokenParams>[1] & { username: string }, { tx }) {
        const record = await users.get(tx, userName(input.username))
        checkSecret(input, !record)
        // Checked before the slow work, and again on what is stored when it is done.
        mergeTokenParams(record?.token ?? emptyTokenParams, input, older)
        return undefined
      },
      act: (_prepared, input) => hashOf(input, hasher),
      async commit(newHash, input, { tx }) {
        const name = userName(input.username)
        const record = await users.get(tx, name)
        const passwordHash = newHash ?? record?.passwordHash
        if (passwordHash === undefined) throw invalid('must provide either password or password_hash')
        const token = mergeTokenParams(record?.token ?? emptyTokenParams, input, older)
        users.put(tx, name, { passwordHash, token })
        return undefined
      },
    }),
  })

const writePassword = (hasher: PasswordHasher): Operation =>
  path('users/{username}/password', usernameField, 'The password of a user.').write({
    summary: 'Change the password of a user.',
    input: passwordFields,
    stages: stages({
      async prepare(input: Secret & { username: string }, { tx }) {
        if (!(await users.has(tx, userName(input.username)))) throw invalid('username does not exist')
        checkSecret(input, true)
        return undefined
      },
      act: (_prepared, input) => hashOf(input, hasher),
      async commit(newHash, input, { tx }) {
        const name = userName(input.username)
        const record = await users.get(tx, name)
        if (!record || newHash === undefined) throw invalid('username does not exist')
        users.put(tx, name, { ...record, passwordHash: newHash })
        return undefined
      },
    }),
  })

const writePolicies = path('users/{username}/policies', usernameField, 'The policies of a user.').write({
  summary: 'Change the policies that tokens of a user get.',
  input: { token_policies: tokenParamFields.token_policies, policies: olderFields.policies },
  async run({ username, token_policies, policies }, { tx }) {
    const name = userName(username)
    const record = await users.get(tx, name)
    if (!record) throw invalid('username does not exist')
    const wanted = token_policies && cleanPolicies(token_policies)
    users.put(tx, name, {
      ...record,
      token: mergeTokenParams(record.token, { token_policies: wanted, policies }, ['policies']),
    })
    return undefined
  },
})

/** Operations on `users`, hashing with `hasher`. */
export const userOperations = (hasher: PasswordHasher): Operation[] => [
  listUsers,
  readUser,
  writeUser(hasher),
  deleteUser,
  writePassword(hasher),
  writePolicies,
]
