// The keyed hash of a device: HMAC-SHA-256 under its salt, written `hmac-sha256:<hex>` as Vault writes it. It keeps no value it hashed.
import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'

/** Hashes a text under the salt of one device; gives `hmac-sha256:` and 64 hex digits. */
export type Hasher = (text: string) => string

const blockBytes = 64
const asciiSalt = /^[\x21-\x7e]{16,64}$/

const xorText = (key: string, mask: number): string => {
  let out = ''
  for (let i = 0; i < blockBytes; i++) out += String.fromCharCode((i < key.length ? key.charCodeAt(i) : 0) ^ mask)
  return out
}

/**
 * Makes the hash function of a salt: 16 to 64 printable ASCII characters (64 hex digits as Coffer makes them), used as they
 * stand, as Vault uses the text of its salt. Throws `TypeError` for any other salt.
 *
 * HMAC is two hashes of a padded key block and what follows (RFC 2104). An ASCII key of one block gives ASCII blocks, so the inner
 * hash takes the block and the text as one string: half the time of `createHmac`, and no buffer that holds a secret.
 */
export function saltHasher(salt: string): Hasher {
  if (!asciiSalt.test(salt)) throw new TypeError('salt must be 16 to 64 printable ASCII characters')
  const inner = xorText(salt, 0x36)
  const outer = Buffer.alloc(blockBytes + 32)
  outer.write(xorText(salt, 0x5c), 0, 'latin1')
  const keyed: Hasher = (text) => {
    outer.write(hash('sha256', inner + text, 'latin1'), blockBytes, 'latin1')
    return `hmac-sha256:${hash('sha256', outer, 'hex')}`
  }
  // The empty text is in many answers (an unset `deletion_time`).
  const ofNothing = keyed('')
  return (text) => (text === '' ? ofNothing : keyed(text))
}
