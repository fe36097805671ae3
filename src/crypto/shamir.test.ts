// The package against an independent reference: GF(2^8) by shift and reduce (0x11b), Lagrange at zero, shares as Vault
// writes them (y bytes, then the x byte).
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { combineShares, SharesUnusable, splitSecret } from './shamir.ts'

function times(a: number, b: number): number {
  let product = 0
  for (let x = a, y = b; y > 0; y >>= 1) {
    if (y & 1) product ^= x
    x = x & 0x80 ? (x << 1) ^ 0x11b : x << 1
  }
  return product
}
const inverse = (a: number): number => {
  for (let b = 1; b < 256; b++) if (times(a, b) === 1) return b
  throw new Error('zero has no inverse')
}
function referenceCombine(shares: readonly Uint8Array[]): string {
  const length = (shares[0]?.length ?? 1) - 1
  const x = shares.map((share) => share[length] as number)
  const secret = Array.from({ length }, (_, at) =>
    shares.reduce((sum, share, i) => {
      const weight = x.reduce((w, xj, j) => (i === j ? w : times(w, times(xj, inverse((x[i] as number) ^ xj)))), 1)
      return sum ^ times(share[at] as number, weight)
    }, 0),
  )
  return Buffer.from(secret).toString('hex')
}
/** Shares of a polynomial with known coefficients: share(x) = s + a x + b x². */
const referenceShare = (secret: Buffer, a: Buffer, b: Buffer, x: number): Buffer =>
  Buffer.from([...secret.map((s, i) => s ^ times(a[i] as number, x) ^ times(b[i] as number, times(x, x))), x])

test('the reference multiplies as FIPS 197 does', () => {
  assert.equal(times(0x57, 0x83), 0xc1)
  assert.equal(times(0x57, 0x13), 0xfe)
})

test('any threshold of our shares gives the secret to the reference, fewer do not', async () => {
  for (const [shares, threshold] of [
    [5, 3],
    [2, 2],
    [7, 4],
    [255, 2],
  ] as const) {
    const secret = randomBytes(32)
    const made = await splitSecret(secret, shares, threshold)
    assert.equal(made.length, shares)
    assert.ok(made.every((share) => share.length === 33))
    assert.equal(new Set(made.map((share) => share[32])).size, shares)
    assert.equal(referenceCombine(made.slice(-threshold)), secret.toString('hex'))
    if (threshold > 2) assert.notEqual(referenceCombine(made.slice(0, threshold - 1)), secret.toString('hex'))
  }
})

test('shares of the reference give us the secret', async () => {
  const [secret, a, b] = [randomBytes(32), randomBytes(32), randomBytes(32)]
  const shares = [9, 200, 255].map((x) => referenceShare(secret, a, b, x))
  assert.equal(Buffer.from(await combineShares(shares)).toString('hex'), secret.toString('hex'))
  assert.equal(Buffer.from(await combineShares([...shares].reverse())).toString('hex'), secret.toString('hex'))
})

test('one of one is the secret itself', async () => {
  const secret = randomBytes(32)
  const [share] = await splitSecret(secret, 1, 1)
  assert.deepEqual(Buffer.from(share as Uint8Array), secret)
  assert.deepEqual(Buffer.from(await combineShares([share as Uint8Array])), secret)
})

test('shares that cannot belong together are refused', async () => {
  const [a, b] = (await splitSecret(randomBytes(32), 3, 2)) as [Uint8Array, Uint8Array, Uint8Array]
  await assert.rejects(combineShares([a, a]), SharesUnusable)
  await assert.rejects(combineShares([a, b.subarray(1)]), SharesUnusable)
  await assert.rejects(combineShares([a, Buffer.alloc(33)]), SharesUnusable)
  await assert.rejects(combineShares([]), SharesUnusable)
})
