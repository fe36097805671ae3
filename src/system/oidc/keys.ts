// Operations on named keys. Pairs are made outside of transactions: an RSA key takes its time.
import type { ReadContext, WriteContext } from '../../sdk/index.ts'
import {
  conflict,
  duration,
  int,
  invalid,
  list,
  listReply,
  missing,
  type Operation,
  path,
  stages,
  str,
} from '../../sdk/index.ts'
import type { Reader } from '../../storage/storage.ts'
import { here } from '../identity-show.ts'
import {
  checkList,
  checkOidcName,
  clients,
  defaultName,
  keyStore,
  type NamedKey,
  oidcRoles,
  referenced,
  type SigningKey,
} from './records.ts'
import { deleteKey, generatePair, putKey, rotated, withPair } from './rotation.ts'
import { algorithmNames, checkAlgorithm, generateSigningKey } from './signing.ts'

/** Roles or clients that the refusal to delete a key names. */
const shownMax = 20

const keyFields = {
  rotation_period: duration('How long a pair signs before the next one takes over; 24h at first, a minute at least.'),
  verification_ttl: duration('How long a pair that signs no more is kept for verification; 24h at first.'),
  algorithm: str(`Signing algorithm: ${algorithmNames.join(', ')}. RS256 at first.`),
  allowed_client_ids: list('Client ids of roles and clients that may sign with the key; "*": all.'),
}

interface KeyInput {
  readonly name: string
  readonly rotation_period?: number | undefined
  readonly verification_ttl?: number | undefined
  readonly algorithm?: string | undefined
  readonly allowed_client_ids?: string[] | undefined
}

/** Roles and clients that sign with a key. */
async function usersOf(tx: Reader, namespaceUuid: string, name: string) {
  const roles = (await oidcRoles(namespaceUuid).all(tx)).filter(({ value }) => value.key === name)
  const apps = (await clients(namespaceUuid).all(tx)).filter(({ value }) => value.key === name)
  return { roles, apps }
}

/** The key as it is to be, its pair apart. Throws 400. */
async function wanted(input: KeyInput, before: NamedKey | undefined, context: ReadContext): Promise<NamedKey> {
  const key: NamedKey = {
    ...(before ?? { name: input.name, retired: [], rotationTime: 0 }),
    algorithm: input.algorithm ?? before?.algorithm ?? 'RS256',
    rotationPeriodSeconds: input.rotation_period ?? before?.rotationPeriodSeconds ?? 86_400,
    verificationTtlSeconds: input.verification_ttl ?? before?.verificationTtlSeconds ?? 86_400,
    allowedClientIds: input.allowed_client_ids ?? before?.allowedClientIds ?? [],
  }
  checkAlgorithm(key.algorithm)
  checkList('allowed_client_ids', key.allowedClientIds)
  if (key.rotationPeriodSeconds < 60) throw invalid('rotation_period must be at least one minute')
  if (key.verificationTtlSeconds > 10 * key.rotationPeriodSeconds)
    throw invalid('verification_ttl cannot be longer than 10x rotation_period')
  if (!before) return key
  const { roles, apps } = await usersOf(context.tx, here(context), key.name)
  const ttl = key.verificationTtlSeconds
  if (roles.some(({ value }) => value.ttlSeconds > ttl))
    throw invalid(`verification_ttl is shorter than the ttl of a role that signs with the key (${ttl} s)`)
  if (apps.some(({ value }) => value.idTokenTtlSeconds > ttl))
    throw invalid(`verification_ttl is shorter than the id_token_ttl of a client that signs with the key (${ttl} s)`)
  return key
}

/** Stores a key. `pair` was made for it if it needed one when it was looked at. */
async function saveKey(pair: NamedKey['pair'], input: KeyInput, context: WriteContext): Promise<undefined> {
  const { tx, now } = context
  const before = await keyStore.get(tx, here(context), input.name)
  const key = await wanted(input, before, context)
  if (key.pair?.current.algorithm === key.algorithm) {
    // A shorter period brings the next rotation nearer.
    const soonest = Math.min(key.rotationTime, now + key.rotationPeriodSeconds * 1000)
    putKey(tx, here(context), before, { ...key, rotationTime: soonest })
    return undefined
  }
  if (pair?.current.algorithm !== key.algorithm) throw conflict('the key was changed by somebody else meanwhile')
  putKey(tx, here(context), before, withPair(key, pair, now))
  return undefined
}

/** The key operations. */
export const keyOperations: readonly Operation[] = (() => {
  const one = path('oidc/key/{name}', { name: str('Name of the key.').required() }, 'A named key that signs tokens.')
  const rotate = path(
    'oidc/key/{name}/rotate',
    { name: str('Name of the key.').required() },
    'Rotation of a named key.',
  )
  return [
    one.write({
      summary: 'Create or update a key.',
      input: keyFields,
      exists: async ({ name }, context) => (await keyStore.get(context.tx, here(context), name)) !== undefined,
      stages: stages({
        async prepare(input: KeyInput, context) {
          checkOidcName(input.name)
          const key = await wanted(input, await keyStore.get(context.tx, here(context), input.name), context)
          return key.pair?.current.algorithm === key.algorithm ? undefined : key.algorithm
        },
        act: async (algorithm) => (algorithm === undefined ? undefined : await generatePair(algorithm)),
        commit: saveKey,
      }),
    }),
    one.read({
      summary: 'Read a key; what signs is never shown.',
      output: {
        algorithm: str('Signing algorithm.'),
        rotation_period: int('Seconds between rotations.'),
        verification_ttl: int('Seconds that former pairs are kept.'),
        allowed_client_ids: list('Who may sign with it.'),
      },
      async run({ name }, context) {
        const key = await keyStore.get(context.tx, here(context), name)
        return (
          key && {
            data: {
              algorithm: key.algorithm,
              allowed_client_ids: key.allowedClientIds,
              rotation_period: key.rotationPeriodSeconds,
              verification_ttl: key.verificationTtlSeconds,
            },
          }
        )
      },
    }),
    one.delete({
      summary: 'Delete a key that no role and no client uses.',
      async run({ name }, context) {
        if (name === defaultName) throw invalid(`deletion of key "${defaultName}" not allowed`)
        const { roles, apps } = await usersOf(context.tx, here(context), name)
        if (roles.length > 0) throw referenced(`key "${name}"`, 'roles', roles.slice(0, shownMax))
        if (apps.length > 0) throw referenced(`key "${name}"`, 'clients', apps.slice(0, shownMax))
        const key = await keyStore.get(context.tx, here(context), name)
        if (key) deleteKey(context.tx, here(context), key)
        return undefined
      },
    }),
    rotate.write({
      summary: 'Let the next pair of a key take over now.',
      input: {
        verification_ttl: duration('How long the pair that has signed is kept; the setting of the key at first.'),
      },
      stages: stages({
        async prepare({ name }: { name: string; verification_ttl: number | undefined }, context) {
          const key = await keyStore.get(context.tx, here(context), name)
          if (!key) throw invalid(`no named key found at "${name}"`)
          return key
        },
        async act({ algorithm, pair }): Promise<{ fresh?: SigningKey; pair?: NamedKey['pair'] }> {
          return pair ? { fresh: await generateSigningKey(algorithm) } : { pair: await generatePair(algorithm) }
        },
        async commit({ fresh, pair }, { name, verification_ttl: ttl }, context) {
          const { tx, now } = context
          const key = await keyStore.get(tx, here(context), name)
          if (!key) throw missing()
          const made = fresh ?? pair?.current
          if (made?.algorithm !== key.algorithm || (key.pair === undefined) !== (fresh === undefined))
            throw conflict('the key was changed by somebody else meanwhile')
          const after = fresh
            ? rotated(key, fresh, now, ttl ?? key.verificationTtlSeconds)
            : withPair(key, pair as NonNullable<NamedKey['pair']>, now)
          putKey(tx, here(context), key, after)
          return undefined
        },
      }),
    }),
    path('oidc/key', {}, 'Named keys that sign tokens.').list({
      summary: 'List the keys.',
      output: { keys: list('Names.') },
      run: async (_input, context) => listReply(await keyStore.names(context.tx, here(context))),
    }),
  ]
})()
