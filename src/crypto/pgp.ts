// OpenPGP (RFC 9580) as init and rekey need it: read a public key given as base64, encrypt a share or token to it.
// It never sees a private key. The library is loaded on first use: a server that never meets PGP does not pay for it.
import { Buffer } from 'node:buffer'
import type { Key } from 'openpgp'

/** A given PGP key cannot be used; `message` says why and quotes nothing of it. */
export class PgpKeyUnusable extends Error {
  override name = 'PgpKeyUnusable'
}

/** Characters a public key may have as base64: far above any real one, far below a burden. */
const keyTextMax = 64 * 1024

export interface PgpKey {
  /** Fingerprint of the primary key, lower-case hex. */
  readonly fingerprint: string
  readonly key: Key
}

const library = () => import('openpgp')

/** Reads a public key given as base64 of its binary form (`gpg --export | base64`); throws `PgpKeyUnusable`. */
export async function readPgpKey(text: string): Promise<PgpKey> {
  if (text.startsWith('keybase:'))
    throw new PgpKeyUnusable('keybase: keys are not fetched; give the public key itself, as base64')
  const trimmed = text.replace(/\s+/g, '')
  if (trimmed.length > keyTextMax) throw new PgpKeyUnusable(`a PGP key may have ${keyTextMax} characters`)
  if (trimmed === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(trimmed))
    throw new PgpKeyUnusable('error decoding given PGP key: not base64')
  const bytes = Buffer.from(trimmed, 'base64')
  const pgp = await library()
  let key: Key
  try {
    key = bytes.subarray(0, 14).toString('latin1').startsWith('-----BEGIN PGP')
      ? await pgp.readKey({ armoredKey: bytes.toString('utf8') })
      : await pgp.readKey({ binaryKey: new Uint8Array(bytes) })
  } catch {
    throw new PgpKeyUnusable('error parsing given PGP key: not an OpenPGP public key')
  }
  if (key.isPrivate()) throw new PgpKeyUnusable('error parsing given PGP key: it is a private key; give the public one')
  try {
    await key.getEncryptionKey()
  } catch {
    throw new PgpKeyUnusable('error parsing given PGP key: it has no valid key for encryption')
  }
  return { fingerprint: key.getFingerprint(), key }
}

/** Encrypts bytes to a key; the result is a binary OpenPGP message. */
export async function encryptToPgp(to: PgpKey, plaintext: Uint8Array): Promise<Buffer> {
  const pgp = await library()
  const message = await pgp.createMessage({ binary: new Uint8Array(plaintext) })
  const encrypted = await pgp.encrypt({ message, encryptionKeys: to.key, format: 'binary' })
  return Buffer.from(encrypted as Uint8Array)
}
