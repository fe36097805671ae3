// Key shares: what may be asked for, how they are made (PGP included), read from a request, and gathered. Gathered shares
// live in buffers that are zeroed when they are no longer needed.
import { Buffer } from 'node:buffer'
import { type KeyObject, randomUUID } from 'node:crypto'
import { keyBytes } from '../crypto/aead.ts'
import { sameBytes } from '../crypto/hmac.ts'
import { encryptToPgp, PgpKeyUnusable, readPgpKey } from '../crypto/pgp.ts'
import { shareOverhead, sharesMax, splitSecret } from '../crypto/shamir.ts'
import { invalid } from '../sdk/errors.ts'

/** How a key shall be cut. */
export interface SharesSpec {
  readonly shares: number
  readonly threshold: number
  readonly pgpKeys: readonly string[]
}

/** New shares: raw bytes, or PGP messages that hold the share as hex when PGP keys were given. */
export interface MadeShares {
  readonly keys: readonly Buffer[]
  /** One per share, empty without PGP. */
  readonly fingerprints: readonly string[]
}

const shareBytesMin = keyBytes / 2
const shareBytesMax = keyBytes + shareOverhead

/** Checks what was asked for in Vault's words; `prefix` goes before each. `noneAllowed`: recovery keys may be left out at init. */
export async function checkShares(spec: SharesSpec, prefix: string, noneAllowed = false): Promise<void> {
  const refuse = (why: string): never => {
    throw invalid(`${prefix}: ${why}`)
  }
  const { shares, threshold, pgpKeys } = spec
  if (shares < (noneAllowed ? 0 : 1)) refuse('shares must be at least one')
  if (threshold < (noneAllowed ? 0 : 1)) refuse('threshold must be at least one')
  if (shares > 1 && threshold < 2) refuse('threshold must be greater than one for multiple shares')
  if (shares > sharesMax) refuse('shares must be less than 256')
  if (threshold > sharesMax) refuse('threshold must be less than 256')
  if (threshold > shares) refuse('threshold cannot be larger than shares')
  if (shares === 1 && threshold < 1) refuse('threshold must be at least one')
  if (pgpKeys.length === 0) return
  if (pgpKeys.length !== shares) refuse('count mismatch between number of provided PGP keys and number of shares')
  await readPgpKeys(pgpKeys, prefix)
}

/** Reads PGP keys; a bad one is 400. */
export async function readPgpKeys(texts: readonly string[], prefix?: string) {
  try {
    return await Promise.all(texts.map(readPgpKey))
  } catch (error) {
    if (error instanceof PgpKeyUnusable) throw invalid(prefix ? `${prefix}: ${error.message}` : error.message)
    throw error
  }
}

/** Cuts a key as the (checked) spec says. */
export async function makeShares(key: KeyObject, spec: SharesSpec): Promise<MadeShares> {
  const raw = key.export()
  const parts = (await splitSecret(raw, spec.shares, spec.threshold)).map((part) => Buffer.from(part.buffer))
  raw.fill(0)
  if (spec.pgpKeys.length === 0) return { keys: parts, fingerprints: [] }
  const to = await readPgpKeys(spec.pgpKeys)
  const keys: Buffer[] = []
  for (const [index, part] of parts.entries()) {
    keys.push(await encryptToPgp(to[index] as (typeof to)[number], Buffer.from(part.toString('hex'), 'latin1')))
    part.fill(0)
  }
  return { keys, fingerprints: to.map(({ fingerprint }) => fingerprint) }
}

/** Reads a share given as hex or base64; 400 when it is neither or has a length no share has. */
export function decodeShare(text: string): Buffer {
  const trimmed = text.trim()
  if (trimmed.length > 4 * shareBytesMax) throw invalid(`key is longer than maximum ${shareBytesMax} bytes`)
  let key: Buffer | undefined
  if (/^(?:[0-9a-fA-F]{2})+$/.test(trimmed)) {
    const bytes = Buffer.from(trimmed, 'hex')
    // A base64 text may happen to be valid hex; its length tells.
    if (bytes.length >= shareBytesMin && bytes.length <= shareBytesMax) key = bytes
  }
  if (!key && trimmed.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(trimmed)) key = Buffer.from(trimmed, 'base64')
  if (!key) throw invalid("'key' must be a valid hex or base64 string")
  if (key.length < shareBytesMin) throw invalid(`key is shorter than minimum ${shareBytesMin} bytes`)
  if (key.length > shareBytesMax) throw invalid(`key is longer than maximum ${shareBytesMax} bytes`)
  return key
}

/** Whether a share is among those given already. */
export const hasShare = (parts: readonly Uint8Array[], share: Uint8Array): boolean => {
  let found = false
  for (const part of parts) found = sameBytes(part, share) || found
  return found
}

/** Shares gathered in memory toward unsealing. */
export class ShareProgress {
  #parts: Buffer[] = []
  #nonce = ''

  /** Names the attempt; empty before the first share. */
  get nonce(): string {
    return this.#nonce
  }

  get parts(): readonly Buffer[] {
    return this.#parts
  }

  /** Takes a share; false when it was given before. */
  add(share: Buffer): boolean {
    if (hasShare(this.#parts, share)) return false
    if (this.#nonce === '') this.#nonce = randomUUID()
    this.#parts.push(share)
    return true
  }

  /** Takes over what another process of the machine has gathered. */
  take(nonce: string, parts: readonly Uint8Array[]): void {
    this.reset()
    this.#nonce = nonce
    this.#parts = parts.map((part) => Buffer.from(part))
  }

  /** Zeroes and forgets what was given. */
  reset(): void {
    for (const part of this.#parts) part.fill(0)
    this.#parts = []
    this.#nonce = ''
  }
}
