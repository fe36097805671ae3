// Ranges over PostgreSQL: what to ask, what came, and the digest by which the server tells whether it is still so.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { foldNames } from './fold.ts'
import { compareKeys, endOf, startOfKeys, startOfNames } from './order.ts'
import { rangeKinds } from './postgres-sql.ts'
import { bytesArray, bytesOf, int4Array, int8Array, type Parameter, type Row, textOf } from './postgres-wire.ts'
import type { Entry } from './storage.ts'
import type { RangeQuery, RangeRead } from './transaction.ts'

/** No key of UTF-8 has such a byte: it lies behind all. */
const behindAll = Buffer.of(0xff)

/** Start, end and bytes of the prefix of a range. */
function boundsOf({ kind, prefix, after }: RangeQuery): { start: Buffer; end: Buffer; skip: number } {
  const start = kind === 'list' ? startOfNames(prefix, after) : startOfKeys(prefix, after)
  const end = endOf(prefix)
  return {
    start: Buffer.from(start),
    end: end === undefined ? behindAll : Buffer.from(end),
    skip: Buffer.byteLength(prefix),
  }
}

/** Parameters of a range: start, end, limit, bytes of the prefix. `limit` overrides that of the query. */
export function rangeParameters(query: RangeQuery, limit = query.limit): Parameter[] {
  const { start, end, skip } = boundsOf(query)
  return [start, end, Number.isSafeInteger(limit) ? String(limit) : null, String(skip)]
}

/** Keys of rows whose column `column` is a key, in order; rows without one are left out. */
export function keysOf(rows: readonly Row[], column: number): string[] {
  const keys: string[] = []
  for (const row of rows) {
    const field = row[column]
    if (field !== null && field !== undefined) keys.push(textOf(field))
  }
  return inOrder(keys, (key) => key)
}

/** Entries of rows: facts that failed, key, version, value. */
export function entriesOf(rows: readonly Row[]): Entry[] {
  const entries: Entry[] = []
  for (const [, key, version, value] of rows) {
    if (typeof key !== 'string') continue
    entries.push({ key: textOf(key), version: Number(version), value: bytesOf(value as string) })
  }
  return inOrder(entries, ({ key }) => key)
}

/** The server joins in the order of the range, but does not promise it. */
function inOrder<T>(items: T[], keyOf: (item: T) => string): T[] {
  for (let i = 1; i < items.length; i++) {
    if (compareKeys(keyOf(items[i - 1] as T), keyOf(items[i] as T)) < 0) continue
    return items.sort((a, b) => compareKeys(keyOf(a), keyOf(b)))
  }
  return items
}

/** Folds keys that begin at the start of a range into names; `all` says that there are no more keys. */
export function foldKeys(
  keys: readonly string[],
  { prefix, after, limit }: RangeQuery,
  all: boolean,
): string[] | undefined {
  const names = foldNames((start) => keysFrom(keys, start), prefix, after, limit)
  return all || names.length >= limit ? names : undefined
}

function* keysFrom(keys: readonly string[], start: string): Generator<string> {
  let low = 0
  for (let high = keys.length; low < high; ) {
    const middle = (low + high) >>> 1
    if (compareKeys(keys[middle] as string, start) < 0) low = middle + 1
    else high = middle
  }
  for (; low < keys.length; low++) yield keys[low] as string
}

/** A digest of what was read, as the server makes it. */
export function digestOf({ kind, prefix, found }: RangeRead): Buffer {
  const hash = createHash('sha256')
  const number = Buffer.alloc(8)
  for (const [i, name] of found.names.entries()) {
    const key = Buffer.from(prefix + name)
    number.writeInt32BE(key.length)
    hash.update(number.subarray(0, 4)).update(key)
    if (kind !== 'entries') continue
    number.writeBigInt64BE(BigInt(found.versions?.[i] ?? 0))
    hash.update(number)
  }
  return hash.digest()
}

/** Parameters that let the server check ranges: kinds, starts, ends, limits, bytes of the prefixes, digests. */
export function provingParameters(ranges: readonly RangeRead[]): Parameter[] {
  const bounds = ranges.map(boundsOf)
  return [
    int4Array(ranges.map(({ kind }) => rangeKinds[kind])),
    bytesArray(bounds.map(({ start }) => start)),
    bytesArray(bounds.map(({ end }) => end)),
    int8Array(ranges.map(({ limit }) => (Number.isSafeInteger(limit) ? limit : Number.MAX_SAFE_INTEGER))),
    int4Array(bounds.map(({ skip }) => skip)),
    bytesArray(ranges.map(digestOf)),
  ]
}
