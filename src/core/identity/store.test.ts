import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStorage } from '../../storage/memory.ts'
import { testTopology } from '../tokens/testing.ts'
import type { Mount } from '../topology.ts'
import { identityStore } from './store.ts'

const topology = testTopology([
  { uuid: 'm1', path: 'auth/up/' },
  { uuid: 'm2', path: 'auth/up/', namespace: 'team/' },
])
const mount = topology.mountsByUuid.get('m1') as Mount
const teamMount = topology.mountsByUuid.get('m2') as Mount

test('the first login makes an entity, the next ones find it, whatever the case of the name', async () => {
  const storage = memoryStorage()
  const identity = identityStore()
  const login = (name: string, metadata?: Record<string, string>) =>
    storage.update((tx) =>
      identity.entityForLogin(tx, topology.root, mount, { name, ...(metadata ? { metadata } : {}) }, 1000),
    )
  const first = await login('Ann')
  assert.match(first.name, /^entity_[0-9a-f]{8}$/)
  assert.match(first.id, /^[0-9a-f-]{36}$/)
  assert.equal(first.aliases[0]?.name, 'Ann')
  assert.equal((await login('ann')).id, first.id)
  assert.notEqual((await login('bob')).id, first.id)
  assert.deepEqual((await login('ann', { team: 'x' })).aliases[0]?.metadata, { team: 'x' })
  const found = await storage.view((tx) => identity.find(tx, 'root', first.id))
  assert.deepEqual(found.entity?.aliases[0]?.metadata, { team: 'x' })
  assert.ok(found.facts.every(({ version }) => version > 0))
})

test('two first logins at once make one entity', async () => {
  const storage = memoryStorage()
  const identity = identityStore()
  const login = () => storage.update((tx) => identity.entityForLogin(tx, topology.root, mount, { name: 'ann' }, 1000))
  const [a, b] = await Promise.all([login(), login()])
  assert.equal(a.id, b.id)
  assert.equal((await storage.view((tx) => identity.all(tx, 'root'))).length, 1)
})

test('namespaces do not share identities; ids in a child name it', async () => {
  const storage = memoryStorage()
  const identity = identityStore()
  const team = topology.namespaces.get('team/')
  assert.ok(team)
  const entity = await storage.update((tx) => identity.entityForLogin(tx, team, teamMount, { name: 'ann' }, 1000))
  assert.match(entity.id, /\.team01$/)
  const inRoot = await storage.view((tx) => identity.find(tx, 'root', entity.id))
  assert.deepEqual([inRoot.entity, ...inRoot.facts.map(({ version }) => version)], [undefined, 0, 0])
})

test('indexes follow names and aliases; deletion takes all of them', async () => {
  const storage = memoryStorage()
  const identity = identityStore()
  await storage.update(async (tx) => {
    const entity = await identity.entityForLogin(tx, topology.root, mount, { name: 'ann' }, 1000)
    identity.put(tx, entity, { ...entity, name: 'Ann Smith' })
    assert.equal(await identity.byName(tx, 'root', entity.name), undefined)
    const renamed = await identity.byName(tx, 'root', 'ann smith')
    assert.equal(renamed?.id, entity.id)
    assert.equal((await identity.byAliasId(tx, 'root', entity.aliases[0]?.id ?? ''))?.id, entity.id)
    assert.ok(renamed)
    identity.delete(tx, renamed)
  })
  assert.deepEqual(await storage.view((tx) => tx.scan('')), [])
})
