// AES-256-GCM in one box: [header] nonce(12) ciphertext tag(16). Nonces are random (NIST SP 800-38D §8.2.2), so a key
// may serve 2^32 boxes; who counts them is the caller. It never returns plaintext that did not authenticate.
import { Buffer } from 'node:buffer'
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
  randomFillSync,
} from 'node:crypto'

/** Bytes of an AES-256 key. */
export const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16
/** Bytes a box is longer than its plaintext (header not counted). */
export const boxOverhead = nonceBytes + tagBytes

// One system call gives many nonces; a nonce is no secret, so drawing ahead gives nothing away.
const noncePool = Buffer.alloc(nonceBytes * 512)
let nonceOffset = noncePool.length

function nextNonce(): Buffer {
  if (nonceOffset === noncePool.length) {
    randomFillSync(noncePool)
    nonceOffset = 0
  }
  const nonce = noncePool.subarray(nonceOffset, nonceOffset + nonceBytes)
  nonceOffset += nonceBytes
  return nonce
}

/** The box does not authenticate: wrong key, wrong additional data, or it was altered. */
export class AuthenticationFailed extends Error {
  override name = 'AuthenticationFailed'
}

/** Makes a fresh AES-256 key. */
export function generateKey(): KeyObject {
  const raw = randomBytes(keyBytes)
  const key = createSecretKey(raw)
  raw.fill(0)
  return key
}

/** Takes 32 bytes as a key and zeroes them; throws `RangeError` for another length. */
export function importKey(raw: Uint8Array): KeyObject {
  if (raw.length !== keyBytes) throw new RangeError(`an AES-256 key has ${keyBytes} bytes`)
  const key = createSecretKey(raw)
  raw.fill(0)
  return key
}

/** Encrypts into a new buffer whose first `headerBytes` bytes are left for the caller to fill (they are not authenticated). */
export function sealBox(key: KeyObject, plaintext: Uint8Array, additional: Uint8Array, headerBytes = 0): Buffer {
  const nonce = nextNonce()
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(additional)
  const box = Buffer.allocUnsafe(headerBytes + boxOverhead + plaintext.length)
  nonce.copy(box, headerBytes)
  box.set(cipher.update(plaintext), headerBytes + nonceBytes)
  cipher.final()
  box.set(cipher.getAuthTag(), box.length - tagBytes)
  return box
}

/** Decrypts what `sealBox` made; throws `AuthenticationFailed`. The plaintext is a buffer of its own. */
export function openBox(key: KeyObject, box: Uint8Array, additional: Uint8Array, headerBytes = 0): Buffer {
  const end = box.length - tagBytes
  const start = headerBytes + nonceBytes
  if (end < start) throw new AuthenticationFailed('a stored box is too short')
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(headerBytes, start))
  decipher.setAuthTag(box.subarray(end))
  decipher.setAAD(additional)
  const plaintext = decipher.update(box.subarray(start, end))
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    throw new AuthenticationFailed('a stored box does not authenticate')
  }
  return plaintext
}
