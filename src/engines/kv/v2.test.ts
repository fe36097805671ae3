import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type JsonObject, parseJsonObject, printJson } from '../../lib/json.ts'
import { ApiError, type Reply } from '../../sdk/index.ts'
import { mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { kv } from './index.ts'

const start = Date.parse('2030-01-01T00:00:00Z')

async function mounted() {
  const clock = { now: start }
  const mount = await mountForTest(kv, memoryStorage(), { options: { version: '2' }, now: () => clock.now })
  return { mount, clock }
}

const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
const message = (wanted: RegExp) => (error: unknown) =>
  error instanceof ApiError && error.status === 400 && wanted.test(error.message)
const dataOf = (reply: Reply | undefined) => JSON.parse(printJson(reply?.data ?? null))
const keysOf = async (reply: Promise<Reply | undefined>): Promise<string[]> => dataOf(await reply).keys

test('a write makes a version, a read gives it back with what is known of it', async () => {
  const { mount, clock } = await mounted()
  const first = await mount.write('data/app/db', { data: { user: 'svc', deep: { a: [1, null] } } })
  const facts = {
    created_time: '2030-01-01T00:00:00.000Z',
    custom_metadata: null,
    deletion_time: '',
    destroyed: false,
    version: 1,
  }
  assert.deepEqual(first, { data: facts })
  clock.now += 1500
  assert.deepEqual(dataOf(await mount.read('data/app/db')), {
    data: { user: 'svc', deep: { a: [1, null] } },
    metadata: facts,
  })
  await mount.write('data/app/db', { data: { v: 2 } })
  assert.deepEqual(dataOf(await mount.read('data/app/db')).metadata, {
    ...facts,
    created_time: '2030-01-01T00:00:01.500Z',
    version: 2,
  })
  for (const version of ['1', ' 1', '01'])
    assert.equal(dataOf(await mount.read('data/app/db', { version })).metadata.version, 1)
  for (const version of ['0', '-3', '2'])
    assert.equal(dataOf(await mount.read('data/app/db', { version })).metadata.version, 2)
  assert.equal(await mount.read('data/app/db', { version: '9' }), undefined)
  assert.equal(await mount.read('data/none'), undefined)
  await assert.rejects(mount.read('data/app/db', { version: 'x' }), status(400))
})

test('data that is none is refused; empty data is data', async () => {
  const { mount } = await mounted()
  const bodies: JsonObject[] = [{}, { v: 1 }, { data: 'text' }, { data: [1] }, { data: null }, { data: 1 }]
  for (const body of bodies) await assert.rejects(mount.write('data/x', body), status(400), JSON.stringify(body))
  await assert.rejects(mount.write('data/x/', { data: {} }), status(400))
  await assert.rejects(mount.write('data/', { data: {} }), status(400))
  assert.equal(await mount.read('data/x'), undefined)
  await mount.write('data/x', { data: {} })
  assert.deepEqual(dataOf(await mount.read('data/x')).data, {})
})

test('check-and-set holds exactly, also as text, also on a deleted version', async () => {
  const { mount } = await mounted()
  const write = (cas: JsonObject[string] | undefined, path = 'data/a') =>
    mount.write(path, { data: { v: 1 }, options: cas === undefined ? {} : { cas } })
  await assert.rejects(write(1), message(/did not match/))
  await write(0)
  await assert.rejects(write(0), message(/check-and-set parameter did not match the current version/))
  await write('1')
  await write(2)
  for (const bad of [5, -1, '2', null, '']) await assert.rejects(write(bad), message(/did not match/), String(bad))
  for (const bad of ['x', 1.5, true, [3], { a: 1 }, '3.0'])
    await assert.rejects(write(bad), message(/parsing check-and-set/))
  await mount.delete('data/a')
  await assert.rejects(write(0), message(/did not match/))
  await write(3)
  await mount.write('metadata/a', { cas_required: true })
  await assert.rejects(write(undefined), message(/check-and-set parameter required for this call/))
  await write(4)
  await write(undefined, 'data/b')
  await mount.write('config', { cas_required: true })
  await assert.rejects(write(undefined, 'data/b'), message(/required/))
  await assert.rejects(mount.patch('data/b', { data: { w: 1 } }), message(/required/))
  await assert.rejects(write(undefined, 'data/c'), message(/required/))
  await write(1, 'data/b')
})

test('two writers with the same check-and-set: one of them wins', async () => {
  const { mount } = await mounted()
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, (_, v) => mount.write('data/race', { data: { v }, options: { cas: 0 } })),
  )
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
  await Promise.all(Array.from({ length: 8 }, (_, v) => mount.write('data/sum', { data: { v } })))
  assert.equal(dataOf(await mount.read('data/sum')).metadata.version, 8)
})

test('deleted, undeleted, destroyed: 404 with what is known, and only destruction is for ever', async () => {
  const { mount, clock } = await mounted()
  for (const v of [1, 2, 3]) await mount.write('data/a', { data: { v } })
  await mount.write('delete/a', { versions: [1, 2, 77] })
  // In the same millisecond already.
  const gone = await mount.read('data/a', { version: '1' })
  assert.equal(gone?.status, 404)
  assert.deepEqual(dataOf(gone), {
    data: null,
    metadata: {
      created_time: '2030-01-01T00:00:00.000Z',
      custom_metadata: null,
      deletion_time: '2030-01-01T00:00:00.000Z',
      destroyed: false,
      version: 1,
    },
  })
  clock.now += 1000
  await mount.write('delete/a', { versions: [1] })
  assert.equal(dataOf(await mount.read('data/a', { version: '1' })).metadata.deletion_time, '2030-01-01T00:00:00.000Z')
  assert.deepEqual(dataOf(await mount.read('data/a')).data, { v: 3 })
  await mount.write('undelete/a', { versions: '1' })
  assert.deepEqual(dataOf(await mount.read('data/a', { version: '1' })).data, { v: 1 })
  await mount.write('destroy/a', { versions: ['1', '2'] })
  await mount.write('undelete/a', { versions: [1, 2] })
  const destroyed = await mount.read('data/a', { version: '1' })
  assert.equal(destroyed?.status, 404)
  assert.equal(dataOf(destroyed).metadata.destroyed, true)
  assert.equal(dataOf(destroyed).metadata.deletion_time, '')
  await mount.delete('data/a')
  assert.equal((await mount.read('data/a'))?.status, 404)
  await mount.delete('data/a')
  const { versions, ...rest } = dataOf(await mount.read('metadata/a'))
  assert.deepEqual(Object.keys(versions), ['1', '2', '3'])
  assert.equal(versions[2].deletion_time, '2030-01-01T00:00:00.000Z')
  assert.deepEqual(rest, {
    cas_required: false,
    created_time: '2030-01-01T00:00:00.000Z',
    current_metadata_version: 0,
    current_version: 3,
    custom_metadata: null,
    delete_version_after: '0s',
    max_versions: 0,
    metadata_cas_required: false,
    oldest_version: 0,
    updated_time: '2030-01-01T00:00:00.000Z',
  })
  await mount.write('undelete/a', { versions: ['3'] })
  assert.deepEqual(dataOf(await mount.read('data/a')).data, { v: 3 })
  for (const verb of ['delete', 'undelete', 'destroy']) {
    await assert.rejects(mount.write(`${verb}/a`, {}), status(400))
    await assert.rejects(mount.write(`${verb}/a`, { versions: [] }), status(400))
    await assert.rejects(mount.write(`${verb}/a`, { versions: ['x'] }), status(400))
    assert.equal(await mount.write(`${verb}/none`, { versions: [1] }), undefined)
    await assert.rejects(mount.read(`${verb}/a`), status(405))
  }
})

test('destroyed and dropped data leaves the store, deleting the metadata leaves nothing', async () => {
  const storage = memoryStorage()
  const mount = await mountForTest(kv, storage, { options: { version: '2' } })
  const keys = () =>
    storage.view(async (tx) => (await tx.scan('')).map((key) => key.replace(/^.*?\/data\/[^/]+\//, '')))
  await mount.write('config', { max_versions: 2 })
  // The data of the current version lies in the record of the secret.
  for (const v of [1, 2, 3]) await mount.write('data/a', { data: { v } })
  assert.deepEqual((await keys()).sort(), ['config/mount', 'meta/a', 'version/a/2'])
  await mount.write('destroy/a', { versions: [2] })
  assert.deepEqual((await keys()).sort(), ['config/mount', 'meta/a'])
  await mount.write('data/a/3', { data: { other: true } })
  await mount.delete('metadata/a')
  assert.deepEqual((await keys()).sort(), ['config/mount', 'meta/a/3'])
  assert.equal(await mount.read('data/a'), undefined)
  assert.equal(await mount.read('metadata/a'), undefined)
  assert.equal(await mount.delete('metadata/a'), undefined)
  assert.equal(dataOf(await mount.write('data/a', { data: { v: 'new' } })).version, 1)
})

test('the data of a destroyed current version is nowhere in the store; what follows it is whole', async () => {
  const storage = memoryStorage()
  const mount = await mountForTest(kv, storage, { options: { version: '2' } })
  const holds = (text: string) =>
    storage.view(async (tx) => (await tx.entries('')).some(({ value }) => Buffer.from(value).includes(text)))
  await mount.write('data/a', { data: { v: 'first-canary' } })
  await mount.write('data/a', { data: { v: 'second-canary' } })
  assert.equal(await holds('second-canary'), true)
  await mount.write('destroy/a', { versions: [2, 7, 2] })
  assert.equal(await holds('second-canary'), false)
  assert.equal(await holds('first-canary'), true)
  await mount.write('data/a', { data: { v: 'third' } })
  await mount.delete('data/a')
  await mount.write('undelete/a', { versions: [3] })
  await mount.write('metadata/a', { custom_metadata: { owner: 'ann' } })
  assert.deepEqual(dataOf(await mount.read('data/a')).data, { v: 'third' })
  assert.deepEqual(dataOf(await mount.read('data/a', { version: '1' })).data, { v: 'first-canary' })
  assert.equal(dataOf(await mount.read('data/a', { version: '2' })).data, null)
  await mount.write('destroy/a', { versions: [1, 3] })
  for (const text of ['first-canary', 'third']) assert.equal(await holds(text), false)
})

test('until the format is finalized data lies apart, as former versions read it; later writes go on from there', async () => {
  const storage = memoryStorage()
  const keys = () =>
    storage.view(async (tx) => (await tx.scan('')).map((key) => key.replace(/^.*?\/data\/[^/]+\//, '')))
  const settings = { options: { version: '2' }, uuid: 'one' }
  const before = await mountForTest(kv, storage, { ...settings, storageFormat: 1 })
  for (const v of [1, 2]) await before.write('data/a', { data: { v } })
  assert.deepEqual((await keys()).sort(), ['meta/a', 'version/a/1', 'version/a/2'])
  const mount = await mountForTest(kv, storage, settings)
  assert.deepEqual(dataOf(await mount.read('data/a')).data, { v: 2 })
  await mount.write('data/a', { data: { v: 3 } })
  assert.deepEqual((await keys()).sort(), ['meta/a', 'version/a/1', 'version/a/2'])
  for (const v of [1, 2, 3]) assert.deepEqual(dataOf(await mount.read('data/a', { version: String(v) })).data, { v })
  await mount.write('destroy/a', { versions: [2, 3] })
  assert.deepEqual((await keys()).sort(), ['meta/a', 'version/a/1'])
})

test('long data and short data follow each other in every order', async () => {
  const { mount } = await mounted()
  const long = (n: number) => ({ v: `${n}${'é\n'.repeat(20_000)}` })
  const short = (n: number) => ({ v: n })
  const written = [short(1), long(2), long(3), short(4), short(5), long(6)]
  for (const data of written) await mount.write('data/a', { data })
  for (const [index, data] of written.entries())
    assert.deepEqual(dataOf(await mount.read('data/a', { version: String(index + 1) })).data, data)
  await mount.patch('data/a', { data: { v: null, w: 7 } })
  assert.deepEqual(dataOf(await mount.read('data/a')).data, { w: 7 })
  assert.deepEqual(dataOf(await mount.read('subkeys/a')).subkeys, { w: null })
  assert.deepEqual(dataOf(await mount.read('data/a', { version: '6' })).data, long(6))
})

test('the oldest versions are dropped: ten are kept, or what mount or secret say, whichever is more', async () => {
  const { mount } = await mounted()
  const versions = async () => {
    const { versions, oldest_version } = dataOf(await mount.read('metadata/a'))
    return [Object.keys(versions).map(Number), oldest_version]
  }
  for (let v = 1; v <= 9; v++) await mount.write('data/a', { data: { v } })
  assert.deepEqual(await versions(), [[1, 2, 3, 4, 5, 6, 7, 8, 9], 0])
  for (let v = 10; v <= 12; v++) await mount.write('data/a', { data: { v } })
  assert.deepEqual(await versions(), [[3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 3])
  await mount.write('config', { max_versions: 3 })
  await mount.write('data/a', { data: { v: 13 } })
  assert.deepEqual(await versions(), [[11, 12, 13], 11])
  await mount.write('metadata/a', { max_versions: 2 })
  await mount.write('data/a', { data: { v: 14 } })
  assert.deepEqual(await versions(), [[12, 13, 14], 12])
  await mount.write('metadata/a', { max_versions: 5 })
  for (let v = 15; v <= 18; v++) await mount.write('data/a', { data: { v } })
  assert.deepEqual(await versions(), [[14, 15, 16, 17, 18], 14])
  assert.equal(await mount.read('data/a', { version: '13' }), undefined)
  assert.deepEqual(dataOf(await mount.read('data/a', { version: '14' })).data, { v: 14 })
})

test('settings of the mount are kept, shown as durations, and checked', async () => {
  const { mount } = await mounted()
  const config = async () => dataOf(await mount.read('config'))
  const none = { cas_required: false, delete_version_after: '0s', max_versions: 0, metadata_cas_required: false }
  assert.deepEqual(await config(), none)
  await mount.write('config', { max_versions: 3, delete_version_after: '1h30m' })
  assert.deepEqual(await config(), { ...none, max_versions: 3, delete_version_after: '1h30m0s' })
  await mount.write('config', {})
  assert.deepEqual(await config(), { ...none, max_versions: 3, delete_version_after: '1h30m0s' })
  for (const bad of [
    { max_versions: 'lots' },
    { max_versions: -1 },
    { max_versions: 2 ** 32 },
    { delete_version_after: 'soon' },
  ])
    await assert.rejects(mount.write('config', bad), status(400))
  await mount.write('config', { delete_version_after: '-5h', max_versions: 0 })
  assert.deepEqual(await config(), { ...none, delete_version_after: '-1s' })
  await mount.write('config', { delete_version_after: 0 })
  assert.deepEqual(await config(), none)
  await assert.rejects(mount.list('config'), status(405))
  await assert.rejects(mount.delete('config'), status(405))
})

test('versions end by time: the shorter of mount and secret, judged when read', async () => {
  const { mount, clock } = await mounted()
  await mount.write('config', { delete_version_after: '1h' })
  await mount.write('metadata/short', { delete_version_after: '10s' })
  await mount.write('metadata/long', { delete_version_after: '5h' })
  for (const name of ['short', 'long', 'plain']) await mount.write(`data/${name}`, { data: { name } })
  const end = async (name: string) => dataOf(await mount.read(`data/${name}`)).metadata.deletion_time
  assert.equal(await end('short'), '2030-01-01T00:00:10.000Z')
  assert.equal(await end('long'), '2030-01-01T01:00:00.000Z')
  assert.equal(await end('plain'), '2030-01-01T01:00:00.000Z')
  clock.now += 9999
  assert.equal((await mount.read('data/short'))?.status, undefined)
  clock.now += 1
  assert.equal((await mount.read('data/short'))?.status, 404)
  assert.equal((await mount.read('subkeys/short'))?.status, 404)
  await assert.rejects(mount.write('metadata/short', { delete_version_after: '-1s' }), status(400))
  await mount.write('undelete/short', { versions: [1] })
  assert.equal(await end('short'), '2030-01-01T00:00:20.000Z')
  await mount.write('config', { delete_version_after: '-1s' })
  await mount.write('data/short', { data: { v: 2 } })
  assert.equal(await end('short'), '')
})

test('a patch merges into a new version; null takes away', async () => {
  const { mount } = await mounted()
  await mount.write('data/a', { data: { keep: '1', change: '2', drop: '3', deep: { x: 1, y: { z: [1, 2] } } } })
  const patched = await mount.patch('data/a', {
    data: { change: 'new', drop: null, deep: { x: null, q: 5 }, more: { a: null, b: 1 } },
  })
  assert.equal(dataOf(patched).version, 2)
  assert.deepEqual(dataOf(await mount.read('data/a')).data, {
    keep: '1',
    change: 'new',
    deep: { y: { z: [1, 2] }, q: 5 },
    more: { b: 1 },
  })
  await mount.patch('data/a', { data: { keep: { now: 'an object' }, deep: 7 }, options: { cas: 2 } })
  assert.deepEqual(dataOf(await mount.read('data/a')).data, {
    keep: { now: 'an object' },
    change: 'new',
    deep: 7,
    more: { b: 1 },
  })
  await assert.rejects(mount.patch('data/a', { data: { l: [4] }, options: { cas: 2 } }), status(400))
  await assert.rejects(mount.patch('data/a', {}), status(400))
  await assert.rejects(mount.patch('data/none', { data: { x: 1 } }), status(404))
  await mount.write('metadata/bare', { max_versions: 2 })
  await assert.rejects(mount.patch('data/bare', { data: { x: 1 } }), status(404))
  await mount.delete('data/a')
  const refused = await mount.patch('data/a', { data: { x: 1 } })
  assert.equal(refused?.status, 404)
  assert.equal(dataOf(refused).version, 3)
})

test('numbers and odd keys survive write, patch and read', async () => {
  const { mount } = await mounted()
  const numbers = [
    '1.0',
    '1e400',
    '-1E-400',
    '9223372036854775808',
    '18446744073709551615',
    '0.30000000000000004',
    '-0',
  ]
  const members = numbers.map((number, index) => `"n${index}":${number}`).join(',')
  const text = `{${members},"__proto__":{"toString":1.0},"constructor":{"prototype":null},"hasOwnProperty":"x"}`
  await mount.write('data/n', { data: parseJsonObject(text) })
  const read = async () => printJson((await mount.read('data/n'))?.data ?? null)
  assert.ok((await read()).startsWith(`{"data":${text},"metadata":`))
  await mount.patch('data/n', { data: parseJsonObject('{"__proto__":{"added":2.50},"constructor":{"prototype":7.0}}') })
  assert.ok(
    (await read()).startsWith(
      `{"data":{${members},"__proto__":{"toString":1.0,"added":2.50},"constructor":{"prototype":7.0},"hasOwnProperty":"x"},`,
    ),
  )
  assert.equal(({} as Record<string, unknown>)['added'], undefined)
  const subkeys = printJson((await mount.read('subkeys/n'))?.data ?? null)
  assert.match(subkeys, /"__proto__":\{"toString":null,"added":null\}/)
})

test('random objects come back as they were, written or patched in whole', async () => {
  const { mount } = await mounted()
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed % below
  }
  const keys = ['a', '__proto__', 'ü', '', 'a"b', '\\', 'toJSON', '7', 'é'.repeat(20)]
  const value = (depth: number): string => {
    const kind = random(depth > 3 ? 5 : 7)
    if (kind === 0)
      return `${random(2) ? '-' : ''}${random(1000)}${random(2) ? `.${random(1000)}0` : ''}${random(3) ? '' : `e${random(600)}`}`
    if (kind === 1) return JSON.stringify(keys[random(keys.length)])
    if (kind === 2) return ['true', 'false', '""'][random(3)] as string
    if (kind === 3) return `${random(9) + 1}${String(random(1e9)).padStart(20, '1')}`
    if (kind === 4) return '{}'
    return kind === 5 ? object(depth + 1) : `[${value(depth + 1)},${value(depth + 1)}]`
  }
  const object = (depth: number): string => {
    const names = [...new Set(Array.from({ length: random(5) }, () => keys[random(keys.length)] as string))]
    // Keys like "7" come first, as in every object of this language.
    names.sort((a, b) => Number(b === '7') - Number(a === '7'))
    return `{${names.map((name) => `${JSON.stringify(name)}:${value(depth)}`).join(',')}}`
  }
  for (let round = 0; round < 300; round++) {
    const text = object(0)
    await mount.write('data/w', { data: parseJsonObject(text) })
    await mount.delete('metadata/p')
    await mount.write('data/p', { data: {} })
    await mount.patch('data/p', { data: parseJsonObject(text) })
    for (const name of ['w', 'p']) {
      const read = printJson((await mount.read(`data/${name}`))?.data ?? null)
      assert.ok(read.startsWith(`{"data":${text},`), `${name}: ${text} became ${read}`)
    }
  }
})

test('subkeys show names and never a value', async () => {
  const { mount } = await mounted()
  await mount.write('data/a', {
    data: { s: 'canary', deep: { q: 5, y: { z: ['canary'] }, e: {} }, l: [{ k: 'canary' }] },
  })
  const subkeys = async (query = {}) => dataOf(await mount.read('subkeys/a', query)).subkeys
  assert.deepEqual(await subkeys(), { s: null, deep: { q: null, y: { z: null }, e: null }, l: null })
  assert.deepEqual(await subkeys({ depth: '1' }), { s: null, deep: null, l: null })
  assert.deepEqual(await subkeys({ depth: '2' }), { s: null, deep: { q: null, y: null, e: null }, l: null })
  assert.deepEqual(await subkeys({ depth: '-1' }), { s: null, deep: null, l: null })
  await mount.write('data/a', { data: { only: 1 } })
  assert.deepEqual(await subkeys({ version: '2' }), { only: null })
  assert.equal(dataOf(await mount.read('subkeys/a', { version: '1' })).metadata.version, 1)
  assert.equal(await mount.read('subkeys/none'), undefined)
  await mount.delete('data/a')
  const gone = await mount.read('subkeys/a')
  assert.equal(gone?.status, 404)
  assert.equal(dataOf(gone).subkeys, null)
})

test('who speaks version 1 is told so', async () => {
  const { mount } = await mounted()
  const wrong = await mount.read('app/db')
  assert.equal(wrong?.status, 404)
  assert.match(wrong?.warnings?.[0] ?? '', /^Invalid path for a versioned K\/V secrets engine\..*'vault kv get'/)
  assert.match((await mount.write('app/db', { v: 1 }))?.warnings?.[0] ?? '', /'vault kv put'/)
  assert.match((await mount.list(''))?.warnings?.[0] ?? '', /'vault kv list'/)
  assert.match((await mount.delete('x'))?.warnings?.[0] ?? '', /'vault kv delete'/)
  assert.match((await mount.read('data'))?.warnings?.[0] ?? '', /Non-listing operations/)
  assert.match((await mount.read('metadata'))?.warnings?.[0] ?? '', /Non-listing operations/)
  await assert.rejects(mount.list('data/dir'), status(405))
})

test('writing creates or updates, by what is there', async () => {
  const { mount } = await mounted()
  assert.equal(await mount.capability('data/a', { data: {} }), 'create')
  assert.equal(await mount.capability('metadata/a', {}), 'create')
  await mount.write('metadata/a', { max_versions: 1 })
  assert.equal(await mount.capability('data/a', { data: {} }), 'update')
  assert.equal(await mount.capability('metadata/a', {}), 'update')
  assert.equal(await mount.capability('delete/none', { versions: [1] }), 'update')
})

test('lists come in pages, scans show all levels, both can carry metadata', async () => {
  const { mount } = await mounted()
  for (const path of ['a', 'b', 'c/x', 'c/y/z', 'd', '__proto__']) await mount.write(`data/${path}`, { data: { path } })
  assert.deepEqual(await keysOf(mount.list('metadata/')), ['__proto__', 'a', 'b', 'c/', 'd'])
  assert.deepEqual(await keysOf(mount.list('metadata')), ['__proto__', 'a', 'b', 'c/', 'd'])
  assert.deepEqual(await keysOf(mount.list('metadata/', { after: 'a', limit: '1' })), ['b'])
  assert.deepEqual(await keysOf(mount.list('metadata', { after: 'b', limit: '2' })), ['c/', 'd'])
  assert.deepEqual(await keysOf(mount.list('metadata/c')), ['x', 'y/'])
  assert.deepEqual(await keysOf(mount.scan('metadata/c')), ['x', 'y/z'])
  assert.deepEqual(await keysOf(mount.scan('metadata/')), ['__proto__', 'a', 'b', 'c/x', 'c/y/z', 'd'])
  await assert.rejects(mount.list('metadata/', { limit: 'x' }), status(400))
  const listed = dataOf(await mount.list('detailed-metadata/c'))
  assert.deepEqual(listed.keys, ['x', 'y/'])
  assert.deepEqual(listed.key_info['y/'], {})
  assert.equal(listed.key_info.x.current_version, 1)
  const scanned = dataOf(await mount.scan('detailed-metadata'))
  assert.deepEqual(Object.keys(scanned.key_info).sort(), [...scanned.keys].sort())
  assert.ok(Object.hasOwn(scanned.key_info, '__proto__'))
  await assert.rejects(mount.read('detailed-metadata/c/x'), status(405))
})
