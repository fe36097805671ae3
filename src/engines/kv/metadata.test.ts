import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../lib/json.ts'
import { ApiError, type Reply } from '../../sdk/index.ts'
import { mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { kv } from './index.ts'

const mounted = () => mountForTest(kv, memoryStorage(), { options: { version: '2' } })
const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
const data = (reply: Reply | undefined) => reply?.data as Record<string, unknown>

test('metadata can come before any version, and shows with each', async () => {
  const mount = await mounted()
  await mount.write('metadata/a', { custom_metadata: { owner: 'team-a', n: 7, b: true }, max_versions: 5 })
  const read = data(await mount.read('metadata/a'))
  assert.deepEqual({ ...(read['custom_metadata'] as object) }, { owner: 'team-a', n: '7', b: 'true' })
  assert.equal(read['current_version'], 0)
  assert.equal(read['oldest_version'], 0)
  assert.equal(read['current_metadata_version'], 1)
  assert.deepEqual(read['versions'], {})
  assert.equal(await mount.read('data/a'), undefined)
  assert.deepEqual(data(await mount.write('data/a', { data: {} }))['custom_metadata'], read['custom_metadata'])
})

test('a write replaces the custom metadata, a patch merges it, null clears', async () => {
  const mount = await mounted()
  const custom = async () => data(await mount.read('metadata/a'))['custom_metadata']
  await mount.write('metadata/a', { custom_metadata: { owner: 'a', ticket: '1' }, max_versions: 5 })
  await mount.write('metadata/a', { custom_metadata: { owner: 'b' } })
  assert.deepEqual(await custom(), { owner: 'b' })
  assert.equal(data(await mount.read('metadata/a'))['max_versions'], 5)
  await mount.patch('metadata/a', { custom_metadata: { ticket: '2' }, max_versions: 7, cas_required: true })
  assert.deepEqual(await custom(), { owner: 'b', ticket: '2' })
  await mount.patch('metadata/a', {
    custom_metadata: { owner: null, none: null },
    max_versions: null,
    cas_required: null,
  })
  assert.deepEqual(await custom(), { ticket: '2' })
  const { max_versions, cas_required } = data(await mount.read('metadata/a'))
  assert.deepEqual([max_versions, cas_required], [0, false])
  await mount.patch('metadata/a', { custom_metadata: null })
  assert.equal(await custom(), null)
  await mount.write('metadata/a', { custom_metadata: { x: 'y' } })
  await mount.write('metadata/a', { custom_metadata: null, max_versions: null })
  assert.deepEqual(await custom(), { x: 'y' })
  await mount.write('metadata/a', { custom_metadata: {} })
  assert.equal(await custom(), null)
  await mount.write('metadata/a', { custom_metadata: JSON.parse('{"__proto__":"x","a":"y"}') })
  await mount.patch('metadata/a', { custom_metadata: JSON.parse('{"__proto__":"z"}') })
  assert.equal(JSON.stringify(await custom()), '{"__proto__":"z","a":"y"}')
  await mount.patch('metadata/a', { custom_metadata: JSON.parse('{"__proto__":null}') })
  assert.equal(JSON.stringify(await custom()), '{"a":"y"}')
  await assert.rejects(mount.patch('metadata/none', { max_versions: 1 }), status(404))
  assert.equal(await mount.patch('metadata/none', {}), undefined)
  assert.equal(await mount.write('metadata/none', {}), undefined)
  assert.equal(await mount.read('metadata/none'), undefined)
})

test('custom metadata has limits, and a refused write changes nothing', async () => {
  const mount = await mounted()
  const many = (count: number, prefix = 'k') =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, 'v']))
  await mount.write('metadata/a', { custom_metadata: many(64) })
  const bad: JsonObject[] = [
    many(65),
    { '': 'v' },
    { ['k'.repeat(129)]: 'v' },
    { ['ü'.repeat(65)]: 'v' },
    { k: '' },
    { k: 'v'.repeat(513) },
    { k: 'a\nb' },
    { 'a\u0000b': 'v' },
    { k: { x: 1 } },
    { k: ['x'] },
    { k: null },
  ]
  for (const custom_metadata of bad)
    await assert.rejects(
      mount.write('metadata/a', { custom_metadata, max_versions: 9 }),
      status(400),
      JSON.stringify(custom_metadata),
    )
  await assert.rejects(mount.patch('metadata/a', { custom_metadata: many(1, 'more') }), status(400))
  await assert.rejects(mount.write('metadata/a', { max_versions: -1 }), status(400))
  await assert.rejects(mount.write('metadata/a', { cas_required: 'x' }), status(400))
  await assert.rejects(mount.write('metadata/', { max_versions: 1 }), status(400))
  assert.equal(data(await mount.read('metadata/a'))['max_versions'], 0)
  await mount.write('metadata/a', { custom_metadata: { ['ü'.repeat(64)]: 'é ✓'.padEnd(100, 'x') } })
})

test('metadata has a check-and-set of its own', async () => {
  const mount = await mounted()
  const version = async () => data(await mount.read('metadata/a'))['current_metadata_version']
  await assert.rejects(mount.write('metadata/a', { max_versions: 1, metadata_cas: 1 }), status(400))
  await mount.write('metadata/a', { max_versions: 1, metadata_cas: 0 })
  assert.equal(await version(), 1)
  await assert.rejects(mount.write('metadata/a', { max_versions: 2, metadata_cas: 0 }), status(400))
  await mount.write('metadata/a', { metadata_cas_required: true, metadata_cas: '1' })
  await assert.rejects(mount.write('metadata/a', { max_versions: 2 }), status(400))
  await assert.rejects(mount.patch('metadata/a', { max_versions: 2 }), status(400))
  await assert.rejects(mount.patch('metadata/a', { max_versions: 2, metadata_cas: 7 }), status(400))
  await mount.patch('metadata/a', { max_versions: 2, metadata_cas: 2 })
  assert.equal(await version(), 3)
  await mount.write('data/a', { data: {} })
  assert.equal(await version(), 3)
  await mount.write('config', { metadata_cas_required: true, cas_required: true })
  await assert.rejects(mount.write('metadata/b', { max_versions: 2 }), status(400))
  await mount.write('metadata/b', {
    max_versions: 2,
    cas_required: false,
    metadata_cas_required: false,
    metadata_cas: 0,
  })
  assert.equal(mount.warnings.length, 2)
})
