// Making a range of a store hold exactly given entries, in steps of bounded size: how a migration copies and how a restore puts back.
// Taking a step again changes nothing, so whoever was interrupted goes on at the last position that was committed.
import { compareKeys } from './order.ts'
import type { Entry, Writer } from './storage.ts'

/** Keys that one step looks at besides those it writes. */
const foundMax = 2000

export interface RangeGoal {
  /** Keys after this one. */
  readonly after: string
  /** Up to and with this one; undefined: all that follow. */
  readonly upTo: string | undefined
  /** What the range is to hold, in key order. */
  readonly entries: readonly Pick<Entry, 'key' | 'value'>[]
  /** Keys that are neither written nor removed. */
  readonly kept: (key: string) => boolean
}

/** Takes one step in the transaction. Answers how far the range is as it should be, and whether that is all of it. */
export async function replaceRange(
  tx: Writer,
  { after, upTo, entries, kept }: RangeGoal,
): Promise<{ readonly at: string; readonly done: boolean }> {
  const found = await tx.scan('', { after, limit: foundMax })
  const last = found.at(-1)
  const more = found.length === foundMax && last !== undefined && (upTo === undefined || compareKeys(last, upTo) < 0)
  const end = more ? last : upTo
  const within = (key: string): boolean => end === undefined || compareKeys(key, end) <= 0
  const wanted = new Set(entries.map(({ key }) => key))
  for (const key of found) if (within(key) && !wanted.has(key) && !kept(key)) tx.delete(key)
  for (const { key, value } of entries) if (within(key) && compareKeys(key, after) > 0 && !kept(key)) tx.put(key, value)
  return { at: end ?? entries.at(-1)?.key ?? after, done: !more }
}
