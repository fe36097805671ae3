// Random texts for identifiers and tokens, from the system's generator and without bias.
import type { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'

/** Gives so many random bytes. */
export type RandomBytes = (length: number) => Buffer

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** Bytes from here up would favour the first letters (248 = 4 * 62). */
const fair = 248

/** Text of `length` letters and digits; each carries 5.95 bits. */
export function randomText(length: number, random: RandomBytes = randomBytes): string {
  let text = ''
  while (text.length < length)
    for (const byte of random(length + 8)) if (byte < fair && text.length < length) text += base62[byte % 62]
  return text
}
