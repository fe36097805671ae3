import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytes, read } from './contract-kit.ts'
import { type FaultPoint, faultyStorage } from './faulty.ts'
import { memoryStorage } from './memory.ts'
import { OutcomeUnknown, StorageError } from './storage.ts'

test('counts calls and fails where it is told to', async () => {
  const inner = memoryStorage()
  const points: FaultPoint[] = []
  const storage = faultyStorage(inner, {
    failAt: ({ point }) => {
      points.push(point)
      return false
    },
  })
  await storage.update(async (tx) => {
    await tx.get('a')
    tx.expect('a', 0)
    tx.put('a', bytes('1'))
    await tx.scan('')
  })
  await storage.view(async (tx) => {
    await tx.getMany(['a'])
    await tx.entries('')
    await tx.list('')
    await tx.verify()
  })
  await storage.update((tx) => tx.get('a'))
  assert.deepEqual(points, ['get', 'scan', 'commit', 'committed', 'getMany', 'entries', 'list', 'verify', 'get'])
  assert.equal(storage.calls(), points.length)
  assert.equal(storage.kind, 'inmem')

  storage.reset(1)
  await assert.rejects(
    storage.view((tx) => tx.get('a')),
    (error: unknown) => error instanceof StorageError && /call 1 \(get\)/.test(error.message),
  )
  assert.equal(storage.calls(), 1)
  const put = (value: string): Promise<void> => storage.update(async (tx) => tx.put('b', bytes(value)))
  storage.reset(({ point }) => point === 'commit')
  await assert.rejects(put('before'), StorageError)
  assert.equal(await read(inner, 'b'), undefined)
  storage.reset(({ point }) => point === 'committed')
  await assert.rejects(put('after'), OutcomeUnknown)
  assert.equal(await read(inner, 'b'), 'after')
  storage.reset()
  await put('sound')
  assert.equal(await read(storage, 'b'), 'sound')
  await storage.close()
})
