// The key that signs checkpoints: Ed25519 (RFC 8032). The private half is kept behind the barrier by whoever owns this room; here it
// is only a KeyObject and never text.
import { Buffer } from 'node:buffer'
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'

/** Signs checkpoints. */
export interface AuditSigner {
  /** `sha256:` and the hex digest of the public key's SPKI DER. */
  readonly fingerprint: string
  readonly publicKey: KeyObject
  /** Signs a text (as UTF-8); gives base64 of 64 bytes. */
  sign(text: string): string
  /** Gives the private key as PKCS#8 DER, to be stored behind the barrier. */
  exportPrivate(): Buffer
  /** Gives the public key as SPKI PEM, for `coffer audit verify`. */
  publicPem(): string
}

/** Gives the fingerprint of a public key: `sha256:` and the hex digest of its SPKI DER. */
export const fingerprintOf = (publicKey: KeyObject): string =>
  `sha256:${createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')}`

/** Makes a signer with a new key, or with the one given as PKCS#8 DER. Throws `TypeError` when that is no Ed25519 key. */
export function auditSigner(pkcs8?: Uint8Array): AuditSigner {
  const privateKey =
    pkcs8 === undefined
      ? generateKeyPairSync('ed25519').privateKey
      : createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  if (privateKey.asymmetricKeyType !== 'ed25519') throw new TypeError('the audit key must be an Ed25519 key')
  const publicKey = createPublicKey(privateKey)
  return {
    fingerprint: fingerprintOf(publicKey),
    publicKey,
    sign: (text) => sign(null, Buffer.from(text), privateKey).toString('base64'),
    exportPrivate: () => privateKey.export({ type: 'pkcs8', format: 'der' }),
    publicPem: () => publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

/** Whether a base64 signature over the bytes was made by the key. */
export const signatureHolds = (publicKey: KeyObject, bytes: Uint8Array, signature: string): boolean =>
  verify(null, bytes, publicKey, Buffer.from(signature, 'base64'))

const pemBlock = /-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----/g

/** Reads public keys: PEM blocks, or one SPKI DER in base64. Throws `TypeError` when there is none or one is no Ed25519 key. */
export function readPublicKeys(text: string): KeyObject[] {
  const blocks = text.match(pemBlock)
  const keys = blocks
    ? blocks.map((block) => createPublicKey(block))
    : [createPublicKey({ key: Buffer.from(text.trim(), 'base64'), format: 'der', type: 'spki' })]
  for (const key of keys)
    if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('the public key must be an Ed25519 key')
  return keys
}
