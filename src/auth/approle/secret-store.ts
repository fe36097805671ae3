// Secret ids as they are stored: the record under the keyed hash of the secret id, an index by accessor, and due work at the end of its
// life. The three are written and removed together. The secret id itself is never stored.
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { type DueContext, invalid, type ReadContext } from '../../sdk/index.ts'
import { collection } from '../../storage/collection.ts'
import { secretIdHash } from './keys.ts'
import type { RoleRecord } from './role-store.ts'

/** A secret id. Times in ms since the epoch. */
export interface SecretIdRecord {
  readonly accessor: string
  /** Logins left; 0: without limit. */
  readonly numUses: number
  /** 0: without end. */
  readonly ttlSeconds: number
  readonly createdTime: number
  /** When it was made, or a use of it was counted. */
  readonly updatedTime: number
  /** 0: never. */
  readonly expireTime: number
  readonly metadata: Readonly<Record<string, string>>
  /** Addresses it may be used from; empty: any. */
  readonly cidrs: readonly string[]
  /** Addresses its tokens may be used from; empty: those of the role. */
  readonly tokenCidrs: readonly string[]
}

/** A secret id and where it lies. */
export interface SecretId {
  readonly roleKey: string
  readonly hash: string
  readonly record: SecretIdRecord
}

/** Kinds of due work: the end of a secret id (`<role key>/<hash>`), of all of a role (`<role key>`), and tidy. */
export const dueKinds = { expiry: 'secret-id', role: 'role', tidy: 'tidy' } as const

/** Secret ids of all roles, by `<role key>/<hash>`. */
export const secretIds = collection<SecretIdRecord>('secret-id/')
/** From `<role key>/<accessor>` to hashes. */
export const accessors = collection<string>('accessor/')

const idOf = (roleKey: string, hash: string): string => `${roleKey}/${hash}`

/** Whether a secret id has ended; nothing but its removal is left to do then. */
export const isExpired = ({ expireTime }: SecretIdRecord, now: number): boolean => expireTime !== 0 && expireTime <= now

async function get({ tx, now }: Pick<ReadContext, 'tx' | 'now'>, roleKey: string, hash: string) {
  const record = await secretIds.get(tx, idOf(roleKey, hash))
  return record && !isExpired(record, now) ? { roleKey, hash, record } : undefined
}

const secretIdBytesMax = 4096
const fits = (secretId: string): boolean => Buffer.byteLength(secretId) <= secretIdBytesMax

type Finding = Pick<ReadContext, 'tx' | 'now' | 'mount'>

/** Finds a secret id of a role that has not ended. */
export const findSecretId = async (
  context: Finding,
  roleKey: string,
  secretId: string,
): Promise<SecretId | undefined> =>
  fits(secretId) ? await get(context, roleKey, await secretIdHash(context, roleKey, secretId)) : undefined

/** Finds it by its accessor. */
export async function findByAccessor(
  context: Finding,
  roleKey: string,
  accessor: string,
): Promise<SecretId | undefined> {
  const hash = await accessors.get(context.tx, idOf(roleKey, accessor))
  return hash === undefined ? undefined : await get(context, roleKey, hash)
}

/** Stores a new secret id; throws `invalid` when the role has it already. */
export async function addSecretId(
  context: DueContext,
  role: RoleRecord,
  secretId: string,
  wanted: Pick<SecretIdRecord, 'numUses' | 'ttlSeconds' | 'metadata' | 'cidrs' | 'tokenCidrs'>,
): Promise<SecretIdRecord> {
  const { tx, now, due } = context
  if (!fits(secretId)) throw invalid(`secret_id is longer than ${secretIdBytesMax} bytes`)
  const hash = await secretIdHash(context, role.key, secretId)
  const id = idOf(role.key, hash)
  const there = await secretIds.get(tx, id)
  if (there && !isExpired(there, now)) throw invalid('secret_id is already registered')
  if (there) removeSecretId(context, { roleKey: role.key, hash, record: there })
  const expireTime = wanted.ttlSeconds === 0 ? 0 : now + wanted.ttlSeconds * 1000
  const record = { ...wanted, accessor: randomUUID(), createdTime: now, updatedTime: now, expireTime }
  secretIds.put(tx, id, record)
  accessors.put(tx, idOf(role.key, record.accessor), hash)
  if (expireTime !== 0) due.put(dueKinds.expiry, id, expireTime)
  return record
}

/** Takes a secret id away with all that hangs on it. */
export function removeSecretId({ tx, due }: Pick<DueContext, 'tx' | 'due'>, { roleKey, hash, record }: SecretId): void {
  const id = idOf(roleKey, hash)
  secretIds.delete(tx, id)
  accessors.delete(tx, idOf(roleKey, record.accessor))
  if (record.expireTime !== 0) due.delete(dueKinds.expiry, id, record.expireTime)
}

/** Counts a login; the last one takes the secret id away. Without a limit nothing is written. */
export function spendSecretId(context: DueContext, secretId: SecretId): void {
  const { roleKey, hash, record } = secretId
  if (record.numUses === 1) removeSecretId(context, secretId)
  else if (record.numUses > 1)
    secretIds.put(context.tx, idOf(roleKey, hash), {
      ...record,
      numUses: record.numUses - 1,
      updatedTime: context.now,
    })
}
