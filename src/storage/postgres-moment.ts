// What one run of a transaction over PostgreSQL has proved so far. Reads carry what was read and expected before as facts;
// where the last of them carried all, it was the proof, and no other is needed.
import type { Moment, Transaction } from './transaction.ts'

/** State of one run. */
export interface PostgresMoment extends Moment {
  /** A fact was found not to hold. */
  broken: boolean
  /** Numbers of keys, expectations and ranges that one reading has shown to hold together. */
  proved: Extent | undefined
}

export type PostgresTransaction = Transaction<PostgresMoment>

/** How much a transaction has read and expects; none of it ever shrinks. */
export interface Extent {
  readonly keys: number
  readonly expected: number
  readonly ranges: number
}

export const newMoment = (): PostgresMoment => ({ stamp: 0, floor: 0, broken: false, proved: undefined })

/** Facts a reading carries at most; a transaction that has read more is proved at its end. */
const carriedMax = 64

/** Calls `visit` for each fact: what was read, then what is expected besides. */
export function eachFact(tx: PostgresTransaction, visit: (key: string, version: number) => void): void {
  for (const [key, version] of tx.keys) visit(key, version)
  for (const [key, version] of tx.expected) if (!tx.keys.has(key)) visit(key, version)
}

/** Whether a reading should carry the facts of a transaction: not when a commit will check them anyway. */
export const carries = (tx: PostgresTransaction): boolean =>
  tx.writes.size === 0 && tx.keys.size + tx.expected.size <= carriedMax

/** What is proved when a reading that carried the facts has come back with `newKeys` and `newRanges` more; undefined when ranges were left out. */
export function extentAfter(
  tx: PostgresTransaction,
  newKeys: readonly string[],
  newRanges: number,
): Extent | undefined {
  if (tx.ranges.length > 0) return undefined
  let keys = tx.keys.size
  for (const key of new Set(newKeys)) if (!tx.keys.has(key)) keys++
  return { keys, expected: tx.expected.size, ranges: newRanges }
}

/** Tells whether one reading has shown all that the transaction has read and expects. */
export function isProved(tx: PostgresTransaction): boolean {
  const { proved } = tx.start
  return (
    proved !== undefined &&
    proved.keys === tx.keys.size &&
    proved.expected === tx.expected.size &&
    proved.ranges === tx.ranges.length
  )
}
