// HKDF-SHA-256 (RFC 5869): one key becomes several that say nothing of each other. Not for passwords.
import { Buffer } from 'node:buffer'
import { hkdfSync, type KeyObject } from 'node:crypto'

/** Derives `length` bytes (at most 8160) for the purpose that `info` names; no salt is the empty salt. */
export const hkdfSha256 = (
  key: KeyObject | Uint8Array,
  info: string | Uint8Array,
  length = 32,
  salt: Uint8Array = new Uint8Array(0),
): Buffer => Buffer.from(hkdfSync('sha256', key, salt, typeof info === 'string' ? Buffer.from(info) : info, length))
