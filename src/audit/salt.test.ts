import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { saltHasher } from './salt.ts'

test('is HMAC-SHA-256 under the text of the salt, for any text', () => {
  for (const salt of [randomBytes(32).toString('hex'), 'ab'.repeat(8), '6a3b1b2c-0f4f-4b8e-9d3c-1f2e3d4c5b6a']) {
    const hash = saltHasher(salt)
    const texts = [
      '',
      'a',
      'é',
      '\u{1f511}',
      '\0',
      '"\\\n',
      'x'.repeat(63),
      'x'.repeat(64),
      'y'.repeat(100_000),
      '\ud800',
    ]
    for (const text of texts)
      assert.equal(hash(text), `hmac-sha256:${createHmac('sha256', salt).update(text).digest('hex')}`)
  }
})

test('refuses a salt that it cannot use as it stands', () => {
  for (const salt of ['', 'short', 'x'.repeat(65), `${'a'.repeat(20)}é`, `${'a'.repeat(20)}\n`])
    assert.throws(() => saltHasher(salt), TypeError)
})
