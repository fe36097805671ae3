// Folding a sorted run of keys into the names LIST shows. It seeks past each folder; it never reads all below one.
import { startOfNames } from './order.ts'

/** Keys from `start` on (included) in byte order, none at or above the end of the prefix; may be left early. */
export type KeysFrom = (start: string) => Iterable<string>

/** Returns at most `limit` folded names below `prefix` after `after`, with one seek for each folder. */
export function foldNames(keysFrom: KeysFrom, prefix: string, after: string | undefined, limit: number): string[] {
  const names: string[] = []
  let start: string | undefined = startOfNames(prefix, after)
  while (start !== undefined && names.length < limit) {
    const here: Iterable<string> = keysFrom(start)
    start = undefined
    for (const key of here) {
      const slash = key.indexOf('/', prefix.length)
      const name = key.slice(prefix.length, slash < 0 ? undefined : slash + 1)
      names.push(name)
      if (names.length >= limit) return names
      if (slash >= 0) {
        start = startOfNames(prefix, name)
        break
      }
    }
  }
  return names
}
