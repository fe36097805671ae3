import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identityStore } from '../core/identity/store.ts'
import { tokenStore } from '../core/tokens/store.ts'
import { testTopology } from '../core/tokens/testing.ts'
import { ApiError } from '../sdk/errors.ts'
import { mountForTest } from '../sdk/testing.ts'
import { memoryStorage } from '../storage/memory.ts'
import { identityEngine } from './identity.ts'

async function world() {
  const topology = testTopology([
    { uuid: 'm1', path: 'auth/up/' },
    { uuid: 'm2', path: 'auth/ldap/' },
    { uuid: 'm3', path: 'auth/up/', namespace: 'team/' },
  ])
  const engine = identityEngine({
    identity: identityStore(),
    tokens: tokenStore({ now: Date.now }),
    topology: async () => topology,
    apiAddress: '',
  })
  const identity = await mountForTest(engine, memoryStorage(), { now: () => 1_700_000_000_000 })
  const data = (reply: unknown): Record<string, unknown> =>
    ((reply as { data?: Record<string, unknown> } | undefined)?.data ?? {}) as Record<string, unknown>
  return { identity, data, accessor: 'auth_m1', other: 'auth_m2', foreign: 'auth_m3' }
}

const refused = (promise: Promise<unknown>, status = 400) =>
  assert.rejects(promise, (error) => error instanceof ApiError && error.status === status)

test('an entity by id and by name: made, read, changed, renamed, deleted', async () => {
  const { identity, data } = await world()
  const made = data(await identity.write('entity', { name: 'One', metadata: { team: 'red' }, policies: ['p1', 'P2'] }))
  const id = String(made['id'])
  assert.equal(made['name'], 'One')
  const read = data(await identity.read(`entity/id/${id}`))
  assert.deepEqual(JSON.parse(JSON.stringify(read)), {
    id,
    name: 'One',
    metadata: { team: 'red' },
    policies: ['p1', 'p2'],
    disabled: false,
    aliases: [],
    group_ids: [],
    direct_group_ids: [],
    inherited_group_ids: [],
    merged_entity_ids: null,
    namespace_id: 'root',
    creation_time: '2023-11-14T22:13:20.000Z',
    last_update_time: '2023-11-14T22:13:20.000Z',
  })
  assert.equal(await identity.write('entity/name/one', { metadata: { team: 'blue' } }), undefined)
  assert.deepEqual({ ...(data(await identity.read(`entity/id/${id}`))['metadata'] as object) }, { team: 'blue' })
  await identity.write(`entity/id/${id}`, { name: 'uno' })
  assert.equal(await identity.read('entity/name/One'), undefined)
  assert.equal(data(await identity.read('entity/name/UNO'))['id'], id)
  assert.deepEqual(data(await identity.list('entity/name'))['keys'], ['uno'])
  await identity.delete('entity/name/uno')
  assert.equal(await identity.read(`entity/id/${id}`), undefined)
  assert.equal(await identity.delete(`entity/id/${id}`), undefined)
})

test('names are taken once; posting a known name updates; ids must be known', async () => {
  const { identity, data } = await world()
  const a = data(await identity.write('entity', { name: 'a' }))['id'] as string
  const b = data(await identity.write('entity', { name: 'b', policies: 'x,y' }))['id'] as string
  await refused(identity.write(`entity/id/${b}`, { name: 'A' }))
  assert.equal(await identity.write('entity', { name: 'b', metadata: { k: 'v' } }), undefined)
  assert.deepEqual(data(await identity.read(`entity/id/${b}`))['policies'], ['x', 'y'])
  await refused(identity.write('entity/id/nosuch', { name: 'z' }))
  await refused(identity.write('entity', { policies: ['root'] }))
  await refused(identity.write('entity', { metadata: { '': 'x' } }))
  await refused(identity.write('entity', { metadata: { 'a b': 'x' } }))
  await refused(identity.write('entity', { name: 'x'.repeat(2000) }))
  await identity.write('entity/batch-delete', { entity_ids: [a, b] })
  assert.deepEqual(data(await identity.list('entity/id'))['keys'], [])
})

test('aliases: made for an entity or with one, moved, listed, deleted', async () => {
  const { identity, data, accessor, other, foreign } = await world()
  const e1 = data(await identity.write('entity', { name: 'e1' }))['id'] as string
  const e2 = data(await identity.write('entity', { name: 'e2' }))['id'] as string
  const made = data(await identity.write('entity-alias', { name: 'Kim', canonical_id: e1, mount_accessor: accessor }))
  const id = made['id'] as string
  assert.equal(made['canonical_id'], e1)
  const read = data(await identity.read(`entity-alias/id/${id}`))
  assert.deepEqual(
    [read['name'], read['mount_path'], read['mount_type'], read['custom_metadata'], read['local']],
    ['Kim', 'auth/up/', 'login', null, false],
  )
  await refused(identity.write('entity-alias', { name: 'pat', canonical_id: e1, mount_accessor: accessor }))
  await refused(identity.write('entity-alias', { name: 'pat', canonical_id: 'nosuch', mount_accessor: other }))
  await refused(identity.write('entity-alias', { name: 'pat', canonical_id: e1, mount_accessor: 'nosuch' }))
  await refused(identity.write('entity-alias', { name: 'pat', canonical_id: e1, mount_accessor: foreign }))
  await refused(identity.write('entity-alias', { canonical_id: e1, mount_accessor: other }))
  await identity.write(`entity-alias/id/${id}`, { canonical_id: e2 })
  assert.equal(data(await identity.write('lookup/entity', { alias_id: id }))['id'], e2)
  assert.equal(
    data(await identity.write('lookup/entity', { alias_name: 'kim', alias_mount_accessor: accessor }))['id'],
    e2,
  )
  const alone = data(
    await identity.write('entity-alias', { name: 'lee', mount_accessor: accessor, custom_metadata: { k: 'v' } }),
  )
  assert.ok(![e1, e2].includes(alone['canonical_id'] as string))
  await refused(identity.write(`entity-alias/id/${id}`, { name: 'LEE' }))
  await identity.write(`entity-alias/id/${id}`, { name: 'kimberly' })
  assert.equal(await identity.write('lookup/entity', { alias_name: 'kim', alias_mount_accessor: accessor }), undefined)
  assert.equal((data(await identity.list('entity-alias/id'))['keys'] as string[]).length, 2)
  await identity.delete(`entity-alias/id/${id}`)
  assert.equal(await identity.read(`entity-alias/id/${id}`), undefined)
  assert.deepEqual(data(await identity.read(`entity/id/${e2}`))['aliases'], [])
})

test('a lookup needs exactly one way, and finds nothing quietly', async () => {
  const { identity } = await world()
  await refused(identity.write('lookup/entity', {}))
  await refused(identity.write('lookup/entity', { id: 'x', name: 'y' }))
  await refused(identity.write('lookup/entity', { alias_name: 'x' }))
  assert.equal(await identity.write('lookup/entity', { name: 'nobody' }), undefined)
})
