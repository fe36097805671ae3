// The order of keys: by their UTF-8 bytes, which is not the order of JavaScript strings (surrogate pairs sort
// below U+E000 there). Everything that compares or bounds keys does it here.

/** Ranks a UTF-16 unit so that comparing ranks gives code point order: surrogates (above U+FFFF) go last. */
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

/** Compares two well-formed strings by their UTF-8 bytes: negative, 0 or positive. */
export function compareKeys(a: string, b: string): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Returns the smallest string above `key`, so that "after key" can be asked as "from here on". */
export const rightAfter = (key: string): string => `${key}\0`

/** Returns the first string above everything that starts with `prefix`; undefined when there is no such bound. */
export function endOf(prefix: string): string | undefined {
  const points = [...prefix]
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    const point = last.codePointAt(0) as number
    if (point === 0x10ffff) continue
    return points.join('') + String.fromCodePoint(point === 0xd7ff ? 0xe000 : point + 1)
  }
  return undefined
}

/** `/` is U+002F: all keys of the folder `x/` lie below `x0`. */
const behindSlash = '0'

/** Returns the name LIST shows for `key` below `prefix`: itself, or its first folder with the `/`. */
export function nameBelow(prefix: string, key: string): string {
  const slash = key.indexOf('/', prefix.length)
  return key.slice(prefix.length, slash < 0 ? undefined : slash + 1)
}

/** Returns where keys start that can give a name after `after`; a folder is left behind whole. */
export function startOfNames(prefix: string, after: string | undefined): string {
  if (after === undefined) return rightAfter(prefix)
  const slash = after.indexOf('/')
  return prefix + (slash < 0 ? rightAfter(after) : after.slice(0, slash) + behindSlash)
}

/** Returns where keys start that lie below `prefix` and after `after`, which is relative to it. */
export const startOfKeys = (prefix: string, after: string | undefined): string => rightAfter(prefix + (after ?? ''))
