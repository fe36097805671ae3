// HMAC-SHA-256 (RFC 2104, FIPS 198-1) and comparison in constant time. No policy: who keys what is the caller's affair.
import type { Buffer } from 'node:buffer'
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'

/** Gives the 32 bytes of HMAC-SHA-256; text is taken as UTF-8. */
export const hmacSha256 = (key: KeyObject | Uint8Array, data: string | Uint8Array): Buffer =>
  createHmac('sha256', key).update(data).digest()

/** Compares two byte strings; its time tells the lengths and nothing else. */
export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b)
