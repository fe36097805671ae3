import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJsonObject, printJson } from '../../lib/json.ts'
import { ApiError, type Reply } from '../../sdk/index.ts'
import { mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { kv } from './index.ts'

const dataOf = (reply: Reply | undefined) => JSON.parse(printJson(reply?.data ?? null))
const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted

test('version 1 becomes 2 with all that it held, once and for all', async () => {
  const storage = memoryStorage()
  const mount = await mountForTest(kv, storage, { options: { version: '1' } })
  await mount.write('a', parseJsonObject('{"v":1.0}'))
  await mount.write('a/b', { deep: true })
  for (let n = 0; n < 2100; n++) await mount.write(`many/${n}`, { n })
  await mount.retune({ version: '2' })
  assert.equal(mount.warnings.length, 1)
  assert.ok(printJson((await mount.read('data/a'))?.data ?? null).startsWith('{"data":{"v":1.0},'))
  const { keys } = dataOf(await mount.scan('metadata/'))
  assert.equal(keys.length, 2102)
  assert.equal(dataOf(await mount.read('metadata/a/b')).oldest_version, 1)
  const left = await storage.view((tx) => tx.scan(''))
  assert.equal(left.filter((key) => key.includes('/secret/')).length, 0)
  await mount.write('data/a', { data: { v: 2 } })
  await assert.rejects(mount.retune({ version: '1' }), status(400))
  await assert.rejects(mount.retune({ version: '' }), status(400))
  await assert.rejects(mount.retune({ version: '3' }), status(400))
  await mount.retune({ other: 'x' })
  await mount.retune({ version: '2' })
  assert.equal(dataOf(await mount.read('metadata/a')).current_version, 2)
})

test('a mount of no said version can be upgraded, an empty one too', async () => {
  const mount = await mountForTest(kv, memoryStorage())
  await mount.retune({ version: '2' })
  await mount.write('data/a', { data: {} })
  assert.equal((await mount.read('data/a'))?.status, undefined)
})
