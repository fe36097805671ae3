import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nodesPrefix } from '../barrier/records.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Storage } from '../storage/storage.ts'
import { type Nodes, nodeRegister } from './nodes.ts'

interface World {
  readonly storage: Storage
  readonly warnings: string[]
  now: number
  clock: number
}

const world = (): World => ({ storage: memoryStorage(), warnings: [], now: 1_700_000_000_000, clock: 0 })
const facts = { hostname: 'host', apiAddress: '', clusterAddress: '', version: '1.21.5', cofferVersion: '0.1.0' }
const day = 24 * 60 * 60_000

/** A node that beats only when it is told something; `wrongMs` is how wrong its clock is. */
function node(w: World, name: string, { storage = w.storage, wrongMs = 0, beatMs = 3600_000 } = {}): Nodes {
  return nodeRegister({
    storage,
    facts: { ...facts, name, apiAddress: `http://${name}` },
    now: () => w.now + wrongMs,
    clock: () => w.clock,
    warn: (message) => w.warnings.push(message),
    beatMs,
  })
}

const states = async (nodes: Nodes): Promise<Record<string, string>> =>
  Object.fromEntries((await nodes.list()).map(({ name, state }) => [name, state]))
const records = (w: World): Promise<string[]> => w.storage.view((tx) => tx.scan(nodesPrefix))
/** Lets what a node was told reach the store. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))

test('nodes see each other with state and facts, and are gone when they end', async () => {
  const w = world()
  const [a, b] = [node(w, 'a'), node(w, 'b')]
  await a.start()
  await b.start()
  assert.deepEqual(await states(a), { a: 'sealed', b: 'sealed' })
  b.setActive(w.now)
  await settled()
  assert.deepEqual(await states(a), { a: 'sealed', b: 'active' })
  const [, seen] = await a.list()
  assert.deepEqual(
    [seen?.apiAddress, seen?.hostname, seen?.version, seen?.cofferVersion, seen?.pid, seen?.beatAt, seen?.activeSince],
    ['http://b', 'host', '1.21.5', '0.1.0', process.pid, w.now, w.now],
  )
  b.setActive(undefined)
  await settled()
  assert.deepEqual(await states(a), { a: 'sealed', b: 'sealed' })
  await b.stop()
  assert.deepEqual(await states(a), { a: 'sealed' })
  await a.stop()
  assert.deepEqual(await records(w), [])
  b.setActive(w.now)
  await settled()
  assert.deepEqual(await records(w), [], 'an ended node does not come back')
})

test('silence is told by versions and the own clock, whatever the clocks of others say', async () => {
  const w = world()
  const a = node(w, 'a')
  const [early, late] = [node(w, 'early', { wrongMs: -10 * day }), node(w, 'late', { wrongMs: 10 * day })]
  for (const one of [a, early, late]) {
    await one.start()
    one.setActive(w.now)
  }
  await settled()
  const all = { a: 'active', early: 'active', late: 'active' }
  assert.deepEqual(await states(a), all)
  w.clock += 14_999
  assert.deepEqual(await states(a), all)
  early.setActive(w.now)
  await settled()
  w.clock += 1
  assert.deepEqual(await states(a), { ...all, late: 'silent' })
  w.clock += 15_000
  assert.deepEqual(await states(a), { ...all, early: 'silent', late: 'silent' })
  assert.equal((await a.list()).find(({ name }) => name === 'late')?.beatAt, w.now + 10 * day)
  early.setActive(w.now)
  await settled()
  assert.deepEqual(await states(a), { ...all, late: 'silent' }, 'and it is back with its next sign of life')
})

test('a dead node is forgotten after a day, by its successor as soon as it is silent', async () => {
  const w = world()
  for (const name of ['a', 'b']) await node(w, name).start()
  const a = node(w, 'a')
  await a.start()
  assert.equal((await records(w)).length, 3)
  const step = async (ms: number): Promise<string[]> => {
    w.clock += ms
    w.now += ms
    a.setActive(w.now)
    await settled()
    return (await a.list()).map(({ name }) => name)
  }
  assert.deepEqual(await step(14_999), ['a', 'a', 'b'])
  assert.deepEqual(await step(1), ['a', 'b'])
  assert.deepEqual(await step(day - 15_001), ['a', 'b'])
  assert.deepEqual(await step(1), ['a'])
  assert.equal((await records(w)).length, 1)
})

test('a node beats by itself; a store that fails is told of once and does not end it', async () => {
  const w = world()
  let failing = true
  const flaky: Storage = {
    ...w.storage,
    update: (fn) => (failing ? Promise.reject(new Error('away')) : w.storage.update(fn)),
  }
  const a = node(w, 'a', { storage: flaky, beatMs: 2 })
  await a.start()
  await settled()
  assert.deepEqual([w.warnings.length, await records(w)], [1, []])
  failing = false
  const versions = new Set<number | undefined>()
  for (let i = 0; i < 500 && versions.size < 4; i++) {
    versions.add((await w.storage.view((tx) => tx.entries(nodesPrefix)))[0]?.version)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  assert.ok(versions.size >= 4)
  await a.stop()
  assert.deepEqual(await records(w), [])
})

test('records that others left there do no harm', async () => {
  const w = world()
  await w.storage.update(async (tx) => {
    tx.put(`${nodesPrefix}1`, Buffer.from('not json'))
    tx.put(`${nodesPrefix}2`, Buffer.from('null'))
    tx.put(
      `${nodesPrefix}3`,
      Buffer.from(JSON.stringify({ name: `\u001b[2J${'x'.repeat(999)}`, pid: 'evil', activeSince: {} })),
    )
  })
  const a = node(w, 'a')
  await a.start()
  const [odd] = (await a.list()).filter(({ id }) => id === '3')
  assert.deepEqual([odd?.name, odd?.pid, odd?.activeSince], [`[2J${'x'.repeat(253)}`, 0, 0])
  assert.equal((await a.list()).length, 2)
  await a.stop()
})
