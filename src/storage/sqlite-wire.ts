// What goes between the main thread and the writer thread: many commits in one message of flat arrays, since a
// structured clone of many small objects costs more than the writes themselves.
import { hash } from 'node:crypto'
import type { RangeFound, RangeQuery, Transaction } from './transaction.ts'

/** A commit that waits to be sent. */
export interface Commit {
  readonly tx: Transaction
  /** None of what was read can be older than this revision. */
  readonly base: number
}

/** Commits for one group. `words` holds them one after the other, `bytes` the values in the same order. */
export interface GroupMessage {
  readonly words: readonly (string | number)[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** What became of one commit: a revision, or one of `outcomes`. */
export type Outcome = number
/** `conflict`: what was read has changed. `failed`: nothing is written. `unknown`: nobody can tell. */
export const outcomes = { conflict: 0, failed: -1, unknown: -2 } as const

/** What the writer says: that it is ready or cannot be, and what became of a group. */
export type WriterMessage =
  | { readonly is: 'ready' }
  | { readonly is: 'refused'; readonly reason: string }
  | { readonly is: 'done'; readonly results: readonly Outcome[]; readonly reason: string }

/** What the main thread says besides groups: end after what was sent before. */
export const closeMessage = 'close'

/** Data a writer thread starts with. */
export interface WriterData {
  readonly path: string
  readonly bytesMax: number | undefined
  readonly busyMs: number
  readonly shared: BigInt64Array
}

const kinds = ['list', 'scan', 'entries'] as const
const absent = -1

/** Digests what a range held; the same for the same names and versions only. */
export const digestOf = ({ names, versions }: RangeFound): string =>
  hash('sha256', JSON.stringify([names, versions ?? 0]), 'base64')

/** Packs commits into one message. */
export function packGroup(commits: readonly Commit[]): GroupMessage {
  const words: (string | number)[] = []
  let length = 0
  for (const { tx, base } of commits) {
    words.push(base, tx.keys.size + tx.expected.size, tx.ranges.length, tx.writes.size)
    for (const [key, version] of tx.keys) words.push(key, version)
    for (const [key, version] of tx.expected) words.push(key, version)
    for (const { kind, prefix, after, limit, found } of tx.ranges) {
      words.push(kinds.indexOf(kind), prefix, after ?? absent, Number.isFinite(limit) ? limit : absent, digestOf(found))
    }
    for (const [key, value] of tx.writes) {
      words.push(key, value === undefined ? absent : value.byteLength)
      length += value?.byteLength ?? 0
    }
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const { tx } of commits) {
    for (const value of tx.writes.values()) {
      if (value === undefined) continue
      bytes.set(value, at)
      at += value.byteLength
    }
  }
  return { words, bytes }
}

/** A range to read again, with the digest it must have. */
export interface RangeCheck extends RangeQuery {
  readonly digest: string
}

/** A commit as the writer unpacks it: flat pairs of key and version, and of key and value. */
export interface Unpacked {
  readonly base: number
  readonly keys: readonly string[]
  readonly versions: readonly number[]
  readonly ranges: readonly RangeCheck[]
  readonly writeKeys: readonly string[]
  readonly writeValues: readonly (Uint8Array | undefined)[]
}

/** Unpacks the commits of a message in their order. Values are windows on the message's bytes. */
export function unpackGroup({ words, bytes }: GroupMessage): Unpacked[] {
  const commits: Unpacked[] = []
  let word = 0
  let byte = 0
  const text = (): string => words[word++] as string
  const number = (): number => words[word++] as number
  while (word < words.length) {
    const base = number()
    let reads = number()
    let ranges = number()
    let writes = number()
    const commit = {
      base,
      keys: [] as string[],
      versions: [] as number[],
      ranges: [] as RangeCheck[],
      writeKeys: [] as string[],
      writeValues: [] as (Uint8Array | undefined)[],
    }
    for (; reads > 0; reads--) {
      commit.keys.push(text())
      commit.versions.push(number())
    }
    for (; ranges > 0; ranges--) {
      const kind = kinds[number()] as RangeQuery['kind']
      const prefix = text()
      const after = words[word++] as string | number
      const limit = number()
      commit.ranges.push({
        kind,
        prefix,
        after: typeof after === 'string' ? after : undefined,
        limit: limit === absent ? Number.POSITIVE_INFINITY : limit,
        digest: text(),
      })
    }
    for (; writes > 0; writes--) {
      commit.writeKeys.push(text())
      const size = number()
      commit.writeValues.push(size === absent ? undefined : bytes.subarray(byte, byte + size))
      if (size > 0) byte += size
    }
    commits.push(commit)
  }
  return commits
}
