import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type JsonObject, JsonText, parseJsonObject, printJson } from '../../lib/json.ts'
import { ApiError } from '../../sdk/index.ts'
import { mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { kv } from './index.ts'

const mounted = () => mountForTest(kv, memoryStorage(), { options: { version: '1' }, defaultLeaseTtlSeconds: 3600 })
const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
const textOf = (reply: { data?: unknown } | undefined): string => {
  assert.ok(reply?.data instanceof JsonText)
  return reply.data.text
}

test('a secret comes back as it was written, a write replaces all of it', async () => {
  const mount = await mounted()
  await mount.write('app/db', { user: 'svc', n: 1, list: [1, 'a', null], deep: { x: true } })
  assert.equal(textOf(await mount.read('app/db')), '{"user":"svc","n":1,"list":[1,"a",null],"deep":{"x":true}}')
  await mount.write('app/db', { user: 'only' })
  assert.equal(textOf(await mount.read('app/db')), '{"user":"only"}')
  assert.equal(await mount.delete('app/db'), undefined)
  assert.equal(await mount.read('app/db'), undefined)
  assert.equal(await mount.delete('app/db'), undefined)
})

test('numbers and odd keys survive to the last digit', async () => {
  const text =
    '{"a":1.0,"b":1e400,"c":9223372036854775808,"d":-0,"e":0.1000000000000000055511151231257827,"f":1E5,' +
    '"__proto__":{"x":12345678901234567890},"constructor":null,"g":[1.50,{"h":2.0}],"\\u2028":"\\ud800"}'
  const mount = await mounted()
  await mount.write('n', parseJsonObject(text))
  assert.equal(textOf(await mount.read('n')), text.replace('\\u2028', '\u2028').replace('\\ud800', '\ufffd'))
})

test('the lease duration is what the secret says, else the default of the mount', async () => {
  const mount = await mounted()
  const cases: [JsonObject, number][] = [
    [{ v: '1' }, 3600],
    [{ ttl: '30m' }, 1800],
    [{ ttl: 90 }, 90],
    [{ ttl: '90' }, 90],
    [{ lease: '1d' }, 86400],
    [{ ttl: '1h', lease: '2h' }, 3600],
    [{ ttl: 'soon' }, 3600],
    [{ ttl: -5 }, 3600],
    [{ ttl: { a: 1 } }, 3600],
    [{ ttl: null }, 3600],
    [{ deep: { ttl: '5s' } }, 3600],
    [{ say: '"ttl":"5s"' }, 3600],
  ]
  for (const [body, seconds] of cases) {
    await mount.write('x', body)
    assert.equal((await mount.read('x'))?.leaseSeconds, seconds, JSON.stringify(body))
  }
  await mount.write('x', parseJsonObject('{"ttl":10.0}'))
  assert.equal((await mount.read('x'))?.leaseSeconds, 10)
})

test('lists fold folders and come in pages; a scan shows all levels', async () => {
  const mount = await mounted()
  for (const path of ['app', 'app/db', 'app/api/key', 'Zed', 'ttl', 'ü/é x']) await mount.write(path, { v: '1' })
  const keys = async (reply: ReturnType<typeof mount.list>) => JSON.parse(printJson((await reply)?.data ?? null)).keys
  assert.deepEqual(await keys(mount.list('')), ['Zed', 'app', 'app/', 'ttl', 'ü/'])
  assert.deepEqual(await keys(mount.list('app')), ['api/', 'db'])
  assert.deepEqual(await keys(mount.list('app/')), ['api/', 'db'])
  assert.deepEqual(await keys(mount.list('none')), [])
  assert.deepEqual(await keys(mount.list('', { after: 'app', limit: '2' })), ['app/', 'ttl'])
  assert.deepEqual(await keys(mount.list('', { limit: '-1' })), ['Zed', 'app', 'app/', 'ttl', 'ü/'])
  assert.deepEqual(await keys(mount.scan('')), ['Zed', 'app', 'app/api/key', 'app/db', 'ttl', 'ü/é x'])
  assert.deepEqual(await keys(mount.scan('app')), ['api/key', 'db'])
  await assert.rejects(mount.list('', { limit: 'x' }), status(400))
})

test('what cannot be written is refused, patch does not exist', async () => {
  const mount = await mounted()
  await assert.rejects(mount.write('empty', {}), status(400))
  await assert.rejects(mount.write('slash/', { v: '1' }), status(400))
  await assert.rejects(mount.write('', { v: '1' }), status(400))
  await assert.rejects(mount.write('x'.repeat(2049), { v: '1' }), status(400))
  await mount.write('x'.repeat(2048), { v: '1' })
  await assert.rejects(mount.patch('app', { v: '2' }), status(405))
})

test('a first write creates, the next one updates', async () => {
  const mount = await mounted()
  assert.equal(await mount.capability('a', { v: '1' }), 'create')
  await mount.write('a', { v: '1' })
  assert.equal(await mount.capability('a', { v: '1' }), 'update')
  assert.equal(await mount.capability('a/b', { v: '1' }), 'create')
})

test('only versions 1 and 2 exist; none said is 1', async () => {
  await assert.rejects(mountForTest(kv, memoryStorage(), { options: { version: '3' } }), status(400))
  const mount = await mountForTest(kv, memoryStorage())
  assert.deepEqual(mount.mount.options, {})
  await mount.write('a', { v: '1' })
  assert.equal(textOf(await mount.read('a')), '{"v":"1"}')
})
