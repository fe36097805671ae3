// RFC 4231 test cases 1, 2 and 6.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createSecretKey } from 'node:crypto'
import { test } from 'node:test'
import { hmacSha256, sameBytes } from './hmac.ts'

test('gives the values of RFC 4231', () => {
  const cases: [Buffer, string, string][] = [
    [Buffer.alloc(20, 0x0b), 'Hi There', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
    [
      Buffer.from('Jefe'),
      'what do ya want for nothing?',
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    ],
    [
      Buffer.alloc(131, 0xaa),
      'Test Using Larger Than Block-Size Key - Hash Key First',
      '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
    ],
  ]
  for (const [key, data, mac] of cases) {
    assert.equal(hmacSha256(key, data).toString('hex'), mac)
    assert.equal(hmacSha256(createSecretKey(key), Buffer.from(data)).toString('hex'), mac)
  }
})

test('compares lengths and bytes', () => {
  assert.equal(sameBytes(Buffer.from('ab'), Buffer.from('ab')), true)
  assert.equal(sameBytes(Buffer.from('ab'), Buffer.from('ac')), false)
  assert.equal(sameBytes(Buffer.from('ab'), Buffer.from('abc')), false)
})
