import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJsonObject, printJson } from '../../lib/json.ts'
import { ApiError, type Reply } from '../../sdk/index.ts'
import { mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { cubbyhole, cubbyholePrefix } from './index.ts'

const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
const text = (reply: Reply | undefined) => printJson(reply?.data ?? null)

test('a token keeps its secrets to itself', async () => {
  const caller = { tokenKey: 'key-a' }
  const mount = await mountForTest(cubbyhole, memoryStorage(), { caller })
  await mount.write('x', parseJsonObject('{"v":"1","n":{"m":2.0}}'))
  await mount.write('d/e', { v: '2' })
  assert.equal(text(await mount.read('x')), '{"v":"1","n":{"m":2.0}}')
  assert.equal(text(await mount.list('')), '{"keys":["d/","x"]}')
  assert.equal(text(await mount.list('d')), '{"keys":["e"]}')
  assert.equal(text(await mount.list('', { limit: '1' })), '{"keys":["d/"]}')
  assert.equal(await mount.capability('x', { v: '1' }), 'update')
  caller.tokenKey = 'key-b'
  assert.equal(await mount.read('x'), undefined)
  assert.equal(text(await mount.list('')), '{"keys":[]}')
  assert.equal(await mount.capability('x', { v: '1' }), 'create')
  caller.tokenKey = 'key-a'
  await mount.write('x', { v: '3' })
  assert.equal(text(await mount.read('x')), '{"v":"3"}')
  await mount.delete('x')
  await mount.delete('x')
  assert.equal(await mount.read('x'), undefined)
})

test('empty bodies and paths are refused, a scan does not exist', async () => {
  const mount = await mountForTest(cubbyhole, memoryStorage(), { caller: { tokenKey: 'key' } })
  await assert.rejects(mount.write('x', {}), status(400))
  await assert.rejects(mount.write('', { v: '1' }), status(400))
  await assert.rejects(mount.write('x/', { v: '1' }), status(400))
  await assert.rejects(mount.scan(''), status(405))
})

test('batch tokens have no cubbyhole', async () => {
  const caller = { tokenKey: '', tokenType: 'batch' } as const
  const mount = await mountForTest(cubbyhole, memoryStorage(), { caller })
  await assert.rejects(mount.write('x', { v: '1' }), status(400))
  await assert.rejects(mount.read('x'), status(400))
  await assert.rejects(mount.list(''), status(400))
})

test('all that a token keeps is below its prefix', async () => {
  const storage = memoryStorage()
  const mount = await mountForTest(cubbyhole, storage, { caller: { tokenKey: 'k1' } })
  await mount.write('a/b', { v: '1' })
  const keys = await storage.view((tx) => tx.scan(''))
  assert.deepEqual(keys, [`ns/root/data/${mount.mount.uuid}/${cubbyholePrefix('k1')}a/b`])
  assert.throws(() => cubbyholePrefix(''))
  assert.throws(() => cubbyholePrefix('a/b'))
})
