// RFC 5869 test cases 1 to 3.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { hkdfSha256 } from './kdf.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const upTo = (from: number, to: number): Buffer => Buffer.from(Array.from({ length: to - from }, (_, i) => from + i))

test('gives the values of RFC 5869', () => {
  assert.equal(
    hkdfSha256(Buffer.alloc(22, 0x0b), upTo(0xf0, 0xfa), 42, upTo(0, 13)).toString('hex'),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  )
  assert.equal(
    hkdfSha256(upTo(0, 0x50), upTo(0xb0, 0x100), 82, upTo(0x60, 0xb0)).toString('hex'),
    'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09' +
      'da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
  )
  assert.equal(
    hkdfSha256(Buffer.alloc(22, 0x0b), '', 42).toString('hex'),
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  )
  assert.deepEqual(hkdfSha256(hex('00'), 'purpose'), hkdfSha256(hex('00'), Buffer.from('purpose')))
})
