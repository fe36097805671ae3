// The records of KV version 2: per secret one record of all its versions with the data of the current one, per older version the JSON
// text of its data as it came. A record is never changed in place.
import { Buffer } from 'node:buffer'
import { JsonText } from '../../lib/json.ts'
import { formatMillis } from '../../lib/time.ts'
import { texts } from '../../sdk/texts.ts'
import { collection, decodeRecord } from '../../storage/collection.ts'
import type { ListOptions, Reader, Writer } from '../../storage/storage.ts'

/** One version: when it was written, when it is or was deleted (0: never), whether its data is destroyed. Milliseconds. */
export type VersionRow = readonly [createdMs: number, deletionMs: number, destroyed: 0 | 1]

/** A secret. Fields that were never set are left out: this is read with every secret. */
export interface SecretRecord {
  /** Number of the newest version; 0 without any. */
  readonly current: number
  /** The oldest version kept, as clients read it: 0 until versions are dropped. */
  readonly oldest: number
  readonly createdMs: number
  readonly updatedMs: number
  /** The versions kept, oldest first; the last is the current one. */
  readonly rows: readonly VersionRow[]
  /** How often the metadata was written by itself. */
  readonly metadataVersion?: number
  readonly maxVersions?: number
  readonly casRequired?: boolean
  readonly metadataCasRequired?: boolean
  readonly deleteAfterSeconds?: number
  readonly custom?: Readonly<Record<string, string>>
  /** Data of the current version, where it lies in this record. */
  readonly text?: JsonText
}

/** Settings of a mount. `deleteAfterSeconds` -1: versions are never deleted by time, whatever the secret says. */
export interface ConfigRecord {
  readonly maxVersions: number
  readonly casRequired: boolean
  readonly metadataCasRequired: boolean
  readonly deleteAfterSeconds: number
}

/** Versions kept when neither mount nor secret says. */
const versionsDefault = 10

/** Characters of data that lie in the record of the secret. Longer data would be written again with every change of the metadata. */
const textLengthMax = 8192

// The record is JSON without line breaks; behind the first one comes the data of the current version, as it came.
const lineBreak = '\n'

/** Turns a secret into bytes. */
function encodeSecret({ text, ...record }: SecretRecord): Uint8Array {
  const head = JSON.stringify(record)
  return Buffer.from(text ? head + lineBreak + text.text : head, 'utf8')
}

/** Turns bytes back into a secret. */
export function decodeSecret(bytes: Uint8Array): SecretRecord {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const end = whole.indexOf(lineBreak)
  if (end < 0) return JSON.parse(whole) as SecretRecord
  const record = JSON.parse(whole.slice(0, end)) as SecretRecord & { text: JsonText }
  record.text = new JsonText(whole.slice(end + 1))
  return record
}

const secretsPrefix = 'meta/'

/** Secrets by path. */
export const secrets = {
  key: (path: string): string => secretsPrefix + path,
  async get(tx: Reader, path: string): Promise<SecretRecord | undefined> {
    const entry = await tx.get(secretsPrefix + path)
    return entry && decodeSecret(entry.value)
  },
  has: async (tx: Reader, path: string): Promise<boolean> => (await tx.get(secretsPrefix + path)) !== undefined,
  put: (tx: Writer, path: string, secret: SecretRecord): void => tx.put(secretsPrefix + path, encodeSecret(secret)),
  delete: (tx: Writer, path: string): void => tx.delete(secretsPrefix + path),
  list: (tx: Reader, below: string, options?: ListOptions) => tx.list(secretsPrefix + below, options),
  scan: (tx: Reader, below: string, options?: ListOptions) => tx.scan(secretsPrefix + below, options),
}

/** Data of the versions that do not lie in the record of their secret, by path and version. */
export const versionTexts = texts('version/')
/** The id of a version's data; the last segment is always the number, so no two secrets share one. */
export const versionId = (path: string, version: number): string => `${path}/${version}`

/** Reads the data of a version that is kept and not destroyed; throws when it is not there, which is a bug. */
export async function readText(tx: Reader, path: string, secret: SecretRecord, version: number): Promise<JsonText> {
  const text =
    version === secret.current && secret.text ? secret.text : await versionTexts.get(tx, versionId(path, version))
  if (!text) throw new Error('kv: a version has no data')
  return text
}

/** The storage format from which on every version of Coffer that serves the store knows data inside of records. */
export const textInsideFormat = 2

/** Data of a new version; `apart` keeps it out of the record whatever its length. */
export interface NewText {
  readonly text: JsonText
  readonly apart: boolean
}

/** Writes a secret whose current version is new: the data of the one before moves out of the record, the new one's in if it is short. */
export function putNewVersion(tx: Writer, path: string, secret: SecretRecord, { text, apart }: NewText): void {
  const { text: before, ...record } = secret
  const previous = secret.current - 1
  if (before && rowOf(secret, previous)) versionTexts.put(tx, versionId(path, previous), before)
  const short = !apart && text.text.length <= textLengthMax
  if (!short) versionTexts.put(tx, versionId(path, secret.current), text)
  secrets.put(tx, path, short ? { ...record, text } : record)
}

/** Removes the data of a version; gives the secret without it. */
export function withoutText(tx: Writer, path: string, secret: SecretRecord, version: number): SecretRecord {
  const { text, ...record } = secret
  if (text && version === secret.current) return record
  versionTexts.delete(tx, versionId(path, version))
  return secret
}

const configs = collection<ConfigRecord>('config/')
const configId = 'mount'
const configDefault: ConfigRecord = {
  maxVersions: 0,
  casRequired: false,
  metadataCasRequired: false,
  deleteAfterSeconds: 0,
}

/** Reads the settings of the mount. */
export const readConfigRecord = async (tx: Reader): Promise<ConfigRecord> =>
  (await configs.get(tx, configId)) ?? configDefault

/** Writes the settings of the mount. */
export const putConfigRecord = (tx: Writer, record: ConfigRecord): void => configs.put(tx, configId, record)

/** Reads the settings of the mount and a secret in one round trip. */
export async function readSecretAndConfig(
  tx: Reader,
  path: string,
): Promise<{ secret: SecretRecord | undefined; config: ConfigRecord }> {
  const [config, secret] = await tx.getMany([configs.key(configId), secrets.key(path)])
  return {
    config: config ? decodeRecord<ConfigRecord>(config.value) : configDefault,
    secret: secret && decodeSecret(secret.value),
  }
}

/** A secret before its first version. */
export const newSecret = (now: number): SecretRecord => ({
  current: 0,
  oldest: 0,
  createdMs: now,
  updatedMs: now,
  rows: [],
})

/** Number of the first version that is kept. */
export const firstKept = (secret: SecretRecord): number => secret.current - secret.rows.length + 1

/** The row of a version; undefined when it is not kept or never was. */
export const rowOf = (secret: SecretRecord, version: number): VersionRow | undefined =>
  version < 1 ? undefined : secret.rows[version - firstKept(secret)]

/** Whether the data of a version can be read now. */
export const isReadable = ([, deletionMs, destroyed]: VersionRow, now: number): boolean =>
  destroyed === 0 && (deletionMs === 0 || deletionMs > now)

/** When a version written now is to be deleted: after the shorter of the two times that are set; 0 when none is. */
export function deletionMsOf(now: number, config: ConfigRecord, secret: SecretRecord): number {
  if (config.deleteAfterSeconds < 0) return 0
  const wishes = [config.deleteAfterSeconds, secret.deleteAfterSeconds ?? 0].filter((seconds) => seconds > 0)
  return wishes.length === 0 ? 0 : now + Math.min(...wishes) * 1000
}

/** Adds a version; `dropped` are the versions that fall out of the window and whose data must go. */
export function withVersion(
  secret: SecretRecord,
  row: VersionRow,
  configMaxVersions: number,
): { secret: SecretRecord; dropped: number[] } {
  const current = secret.current + 1
  const rows = [...secret.rows, row]
  const max = Math.max(secret.maxVersions ?? 0, configMaxVersions) || versionsDefault
  const last = current - secret.oldest >= max ? current - max : -1
  const first = current - rows.length + 1
  const dropped = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
  return {
    dropped,
    secret: {
      ...secret,
      current,
      oldest: last < 0 ? secret.oldest : last + 1,
      updatedMs: row[0],
      rows: rows.slice(dropped.length),
    },
  }
}

/** Changes the rows of the versions named; numbers of versions that are not kept are passed over. */
export function withRows(
  secret: SecretRecord,
  versions: readonly number[],
  change: (row: VersionRow) => VersionRow,
): SecretRecord {
  const named = new Set(versions)
  const first = firstKept(secret)
  return { ...secret, rows: secret.rows.map((row, index) => (named.has(first + index) ? change(row) : row)) }
}

/** A moment as clients read it; "" for none. */
export const timeText = (ms: number): string => (ms === 0 ? '' : formatMillis(ms))

/** What an answer says of a version. */
export const versionFacts = (
  secret: SecretRecord,
  version: number,
  [createdMs, deletionMs, destroyed]: VersionRow,
) => ({
  created_time: timeText(createdMs),
  custom_metadata: secret.custom ?? null,
  deletion_time: timeText(deletionMs),
  destroyed: destroyed === 1,
  version,
})
