// The life of a named key: a pair signs, its successor is published before it takes over, and what has signed stays for verification.
import type { JWK } from 'jose'
import { deleteDue, putDue } from '../../core/due.ts'
import type { Again, DueHandler } from '../../core/jobs.ts'
import { invalid } from '../../sdk/errors.ts'
import type { Writer } from '../../storage/storage.ts'
import { keyStore, type NamedKey, namedKeys, type SigningKey } from './records.ts'
import { generateSigningKey } from './signing.ts'

const dueKind = 'oidc-key'
/** Keys kept for verification: all of them are published. */
const retiredMax = 100

type Pair = NonNullable<NamedKey['pair']>

/** Makes a pair and its successor. */
export async function generatePair(algorithm: string): Promise<Pair> {
  const [current, next] = await Promise.all([generateSigningKey(algorithm), generateSigningKey(algorithm)])
  return { current, next }
}

const retire = (key: NamedKey, now: number, ttlSeconds: number): NamedKey['retired'] => {
  const alive = key.retired.filter(({ expireTime }) => expireTime > now)
  return key.pair && ttlSeconds > 0
    ? [...alive, { publicKey: key.pair.current.publicKey, expireTime: now + ttlSeconds * 1000 }]
    : alive
}

/** Gives a key another pair: at first use, or because its algorithm changes. What it had is kept for verification. */
export const withPair = (key: NamedKey, pair: Pair, now: number): NamedKey => ({
  ...key,
  pair,
  retired: retire(key, now, key.verificationTtlSeconds),
  rotationTime: now + key.rotationPeriodSeconds * 1000,
})

/** Lets the successor take over. `ttlSeconds`: how long what has signed so far stays. Throws 400 when too much is kept already. */
export function rotated(key: NamedKey, fresh: SigningKey, now: number, ttlSeconds: number): NamedKey {
  if (!key.pair) return key
  const retired = retire(key, now, ttlSeconds)
  if (retired.length > retiredMax) throw invalid(`the key keeps ${retiredMax} former keys for verification already`)
  return {
    ...key,
    pair: { current: key.pair.next, next: fresh },
    retired,
    rotationTime: now + key.rotationPeriodSeconds * 1000,
  }
}

const dueId = (namespaceUuid: string, name: string): string => `${namespaceUuid}/${name}`

/** Stores a key and notes when it is to be rotated; `before` is what it was. */
export function putKey(tx: Writer, namespaceUuid: string, before: NamedKey | undefined, after: NamedKey): void {
  const id = dueId(namespaceUuid, after.name)
  if (before?.rotationTime) deleteDue(tx, dueKind, id, before.rotationTime)
  if (after.rotationTime) putDue(tx, { kind: dueKind, id, at: after.rotationTime })
  namedKeys(namespaceUuid).put(tx, after.name, after)
}

/** Takes a key away. */
export function deleteKey(tx: Writer, namespaceUuid: string, key: NamedKey): void {
  if (key.rotationTime) deleteDue(tx, dueKind, dueId(namespaceUuid, key.name), key.rotationTime)
  namedKeys(namespaceUuid).delete(tx, key.name)
}

/** Finds a key that is about to be used, and makes its pair if it has none yet. */
export async function keyForUse(
  tx: Writer,
  namespaceUuid: string,
  name: string,
  now: number,
): Promise<NamedKey | undefined> {
  const key = await keyStore.get(tx, namespaceUuid, name)
  if (!key || key.pair) return key
  const made = withPair(key, await generatePair(key.algorithm), now)
  putKey(tx, namespaceUuid, key, made)
  return made
}

/** Public keys of a named key: what signs, will sign, and has signed not too long ago. */
export function publicKeysOf(key: NamedKey, now: number): JWK[] {
  const alive = key.retired.filter(({ expireTime }) => expireTime > now).map(({ publicKey }) => publicKey)
  return key.pair ? [key.pair.current.publicKey, key.pair.next.publicKey, ...alive] : alive
}

/** Makes the handler that rotates keys when their time has come: for the job runner. */
export const rotationHandlers = (now: () => number): ReadonlyMap<string, DueHandler> =>
  new Map([
    [
      dueKind,
      async (tx, entry): Promise<Again | undefined> => {
        const slash = entry.id.indexOf('/')
        const namespaceUuid = entry.id.slice(0, slash)
        const key = await namedKeys(namespaceUuid).get(tx, entry.id.slice(slash + 1))
        // Rotated or changed since: it has another entry.
        if (!key || key.rotationTime !== entry.at) return undefined
        const fresh = await generateSigningKey(key.algorithm)
        // Rotation goes on whatever was rotated by hand: the oldest make room.
        const kept = { ...key, retired: key.retired.slice(1 - retiredMax) }
        const after = rotated(kept, fresh, now(), key.verificationTtlSeconds)
        namedKeys(namespaceUuid).put(tx, key.name, after)
        return { at: after.rotationTime }
      },
    ],
  ])
