// Logging in with name and password. An unknown user costs the same work and gets the same answer as a wrong password.
import { Buffer } from 'node:buffer'
import { type PasswordHasher, passwordBytesMax, unmatchedHash } from '../../crypto/password.ts'
import { invalid, loginStages, type Operation, path, type RenewGrant, str } from '../../sdk/index.ts'
import { checkBoundCidrs, grantedParams, samePolicies } from '../../sdk/token-params.ts'
import { hashing } from './passwords.ts'
import { userName, users } from './users.ts'

const refused = () => invalid('invalid username or password')

// Compared with for users that do not exist.
const noUsersHash = unmatchedHash()

/** The login operation, verifying with `hasher`. */
export const loginOperation = (hasher: PasswordHasher): Operation =>
  path(
    'login/{username}',
    { username: str('Name of the user; upper and lower case are one.').required() },
    'Log in with name and password.',
  ).login({
    summary: 'Log in with name and password.',
    input: { password: str('Password of the user.').sensitive() },
    stages: loginStages({
      async prepare({ username, password }: { username: string; password: string | undefined }, { tx }) {
        const name = userName(username)
        if (!password) throw invalid('missing password')
        return (await users.get(tx, name))?.passwordHash
      },
      async act(stored, { password = '' }) {
        const fits = Buffer.byteLength(password) <= passwordBytesMax
        const right = fits && (await hashing(() => hasher.verify(password, stored ?? noUsersHash)))
        if (!right || stored === undefined) throw refused()
        return stored
      },
      async commit(verified, { username }, { tx, request }) {
        const name = userName(username)
        const record = await users.get(tx, name)
        // Deleted, or given another password, while this one was looked at.
        if (record?.passwordHash !== verified) throw refused()
        checkBoundCidrs(record.token, request.remoteAddress)
        return {
          displayName: name,
          alias: { name },
          metadata: { username: name },
          params: grantedParams(record.token, request.remoteAddress),
          internal: { username: name },
        }
      },
    }),
  })

/** What a renewal gets: the user's times as they are now. Refused once the user is gone or has other policies. */
export const renewLogin: RenewGrant = async ({ internal, policies }, { tx, request }) => {
  const record = await users.get(tx, String(internal['username']))
  if (!record) throw invalid('user does not exist any more, not renewing')
  if (!samePolicies(record.token.token_policies, policies)) throw invalid('policies have changed, not renewing')
  return grantedParams(record.token, request.remoteAddress)
}
