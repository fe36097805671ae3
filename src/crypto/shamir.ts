// Shamir's secret sharing over GF(2^8) in Vault's share format: the y bytes, then one x byte. The arithmetic is the
// audited package's; this file adds the 1-of-1 form (the share is the secret itself) and refusals with words of our own.
import { combine, split } from 'shamir-secret-sharing'

/** Shares a secret may be cut into. */
export const sharesMax = 255
/** Bytes a share is longer than the secret (none for 1 of 1). */
export const shareOverhead = 1

/** The shares cannot be of one secret: lengths differ, an x byte repeats or is zero. */
export class SharesUnusable extends Error {
  override name = 'SharesUnusable'
}

/** Cuts a secret into `shares` of which any `threshold` give it back; 1 of 1 gives a copy of the secret. */
export async function splitSecret(secret: Uint8Array, shares: number, threshold: number): Promise<Uint8Array[]> {
  if (shares === 1 && threshold === 1) return [new Uint8Array(secret)]
  // The package insists on a plain Uint8Array; this is a view, not a copy.
  return split(new Uint8Array(secret.buffer, secret.byteOffset, secret.byteLength), shares, threshold)
}

/**
 * Puts shares together; one share alone is the secret. Shares of different secrets, or too few of them, give *some* bytes:
 * the caller must prove the result. Throws `SharesUnusable` when they do not even fit together.
 */
export async function combineShares(parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const [first] = parts
  if (!first) throw new SharesUnusable('no key shares given')
  if (parts.length === 1) return new Uint8Array(first)
  const seen = new Set<number>()
  for (const part of parts) {
    if (part.length !== first.length || part.length < 2) throw new SharesUnusable('key shares have different lengths')
    const x = part[part.length - 1] as number
    if (x === 0 || seen.has(x)) throw new SharesUnusable('duplicate or malformed key share')
    seen.add(x)
  }
  return combine(parts.map((part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength)))
}
