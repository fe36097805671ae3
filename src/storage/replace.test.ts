import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, text } from './contract-kit.ts'
import { memoryStorage } from './memory.ts'
import { replaceRange } from './replace.ts'

test('a range holds what was wanted and nothing else, in as many steps as it takes; what is kept stays', async () => {
  const storage = memoryStorage()
  await storage.update(async (tx) => {
    for (let i = 0; i < 5000; i++) tx.put(`b/${String(i).padStart(4, '0')}`, bytes('old'))
    for (const key of ['a', 'kept/x', 'z']) tx.put(key, bytes('old'))
  })
  const entries = ['b/0001', 'b/3000', 'b/9999', 'kept/x', 'kept/y'].map((key) => ({ key, value: bytes('new') }))
  const kept = (key: string): boolean => key.startsWith('kept/')
  let after = 'a'
  for (let steps = 1; ; steps++) {
    const { at, done } = await storage.update((tx) => replaceRange(tx, { after, upTo: 'y', entries, kept }))
    after = at
    if (!done) continue
    assert.equal(steps, 3)
    break
  }
  assert.equal(after, 'y')
  const found = await storage.view((tx) => tx.entries(''))
  assert.deepEqual(
    found.map(({ key, value }) => `${key} ${text(value)}`),
    ['a old', 'b/0001 new', 'b/3000 new', 'b/9999 new', 'kept/x old', 'z old'],
  )
})
