// Due work: keys in the order of their time, spread over shards, so that what is due is found by a short read of each shard's head
// and never by loading everything. Jobs work it off (`jobs.ts`); whoever makes something that ends writes its due key beside it.
import { decodeRecord, encodeRecord } from '../storage/collection.ts'
import type { Entry, Reader, Writer } from '../storage/storage.ts'

/** Work to be done at a time. `kind` names its handler and holds no `/`; `id` is the handler's own. */
export interface DueEntry {
  readonly kind: string
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly at: number
  /** How often it was tried and failed. */
  readonly attempts: number
  /** What the handler wants to know again (a cursor); JSON. */
  readonly data?: unknown
}

interface DueRecord {
  readonly attempts?: number
  readonly data?: unknown
}

export const duePrefix = 'due/'
const shards = 16
const timeDigits = 15

/** FNV-1a over the id: spreads what is made together. */
function shardOf(id: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  return ((hash >>> 0) % shards).toString(16).padStart(2, '0')
}

/** The key of due work: `due/<shard>/<time padded>/<kind>/<id>`. */
export const dueKey = (kind: string, id: string, at: number): string =>
  `${duePrefix}${shardOf(id)}/${String(Math.max(0, Math.trunc(at))).padStart(timeDigits, '0')}/${kind}/${id}`

/** Notes work in the transaction that makes it necessary. */
export function putDue(
  tx: Writer,
  entry: { kind: string; id: string; at: number; attempts?: number; data?: unknown },
): void {
  const { kind, id, at, attempts, data } = entry
  const record: DueRecord = { ...(attempts ? { attempts } : {}), ...(data === undefined ? {} : { data }) }
  tx.put(dueKey(kind, id, at), encodeRecord(record))
}

/** Takes due work away. */
export const deleteDue = (tx: Writer, kind: string, id: string, at: number): void => tx.delete(dueKey(kind, id, at))

/** Reads an entry back from its key and value; undefined for a key that is none. */
export function readDue(entry: Entry): DueEntry | undefined {
  const [, , time, kind, ...rest] = entry.key.split('/')
  if (time === undefined || kind === undefined || rest.length === 0 || !/^\d+$/.test(time)) return undefined
  const { attempts, data } = decodeRecord<DueRecord>(entry.value)
  return {
    kind,
    id: rest.join('/'),
    at: Number(time),
    attempts: attempts ?? 0,
    ...(data === undefined ? {} : { data }),
  }
}

/** Shards that hold anything at all, as `xx/`. */
export const dueShards = (tx: Reader): Promise<string[]> => tx.list(duePrefix)

/** Keys of a shard (`xx/`) that are due at `now`, earliest first, at most `limit`. */
export async function dueKeys(tx: Reader, shard: string, now: number, limit: number): Promise<string[]> {
  const head = await tx.scan(duePrefix + shard, { limit })
  return head.filter((name) => Number(name.slice(0, name.indexOf('/'))) <= now).map((name) => duePrefix + shard + name)
}
