// Terms, counters and other processes: what one node changes, the other follows, and the count survives both.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStorage } from '../storage/memory.ts'
import type { Writer } from '../storage/storage.ts'
import { Sealed } from './errors.ts'
import { defaultRotateConfig, maxOperationsMax, maxOperationsMin, termOf } from './keyring.ts'
import { sealRecords } from './records.ts'
import {
  failing,
  Injected,
  node,
  noShares,
  openNode,
  readText,
  spec,
  staticKey,
  unsealWith,
  wanted,
  writeText,
} from './testing.ts'

const records = sealRecords('seal/')
const termAt = async (storage: Parameters<typeof readText>[0], key: string) =>
  termOf((await storage.view((tx) => tx.get(key)))?.value ?? new Uint8Array())

test('after a rotation new values take the new term and old ones still open', async () => {
  const { life, storage, clock } = await openNode()
  await writeText(life.barrier, 'old', 'one')
  clock.now += 5000
  await life.rotate()
  await writeText(life.barrier, 'new', 'two')
  assert.equal(await termAt(storage, 'old'), 1)
  assert.equal(await termAt(storage, 'new'), 2)
  assert.equal(await readText(life.barrier, 'old'), 'one')
  const status = await life.keyStatus()
  assert.equal(status.term, 2)
  assert.equal(status.installedAt, clock.now)
  assert.equal(status.encryptions, 1)
})

test('the count is exact in one process, kept by a clean seal, and never less than true after a crash', async () => {
  const { life, storage, init } = await openNode()
  const before = (await life.keyStatus()).encryptions
  for (let i = 0; i < 10; i++) await writeText(life.barrier, `k/${i}`, 'x')
  assert.equal((await life.keyStatus()).encryptions, before + 10)
  await life.seal()
  await unsealWith(life, init.keys.slice(0, 3))
  assert.equal((await life.keyStatus()).encryptions, before + 10)
  await writeText(life.barrier, 'more', 'x')
  // A process that dies takes its reservation with it.
  const stored = await storage.view((tx) => records.counts.get(tx, '1'))
  assert.ok((stored?.reserved ?? 0) >= before + 11)
  const other = node(storage)
  await unsealWith(other.life, init.keys.slice(0, 3))
  assert.ok((await other.life.keyStatus()).encryptions >= before + 11)
})

test('a failed reservation fails the write, and nothing is written uncounted', async () => {
  const { storage, state } = failing(memoryStorage())
  const { life } = node(storage)
  const init = await life.initialize(wanted(spec(1, 1)))
  await unsealWith(life, init.keys)
  // The first call of this process's first write is the reading of the count.
  state.at = state.calls + 1
  await assert.rejects(writeText(life.barrier, 'k', 'x'), Injected)
  assert.equal(await readText(life.barrier, 'k'), undefined)
  await writeText(life.barrier, 'k', 'x')
  assert.equal(await readText(life.barrier, 'k'), 'x')
})

test('a term rotates by itself over the number of encryptions, and by age', async () => {
  const { life, clock, storage } = await openNode()
  // The API refuses so small a limit; the keyring itself does not care.
  await life.setRotateConfig({ maxOperations: maxOperationsMin })
  await storage.update(async (tx) => records.counts.put(tx, '1', { reserved: maxOperationsMin - 10 }))
  await writeText(life.barrier, 'k', 'x')
  for (let i = 0; i < 50 && (await life.keyStatus()).term === 1; i++) await new Promise((done) => setImmediate(done))
  assert.equal((await life.keyStatus()).term, 2)
  await life.setRotateConfig({ intervalSeconds: 86_400 })
  clock.now += 86_400_000
  await life.tick()
  assert.equal((await life.keyStatus()).term, 2)
  clock.now += 1
  await life.tick()
  assert.equal((await life.keyStatus()).term, 3)
  await life.setRotateConfig({ enabled: false })
  clock.now += 10 * 86_400_000
  await life.tick()
  assert.equal((await life.keyStatus()).term, 3)
})

test('the rotation config has the limits of Vault', async () => {
  const { life } = await openNode()
  assert.deepEqual(await life.rotateConfig(), defaultRotateConfig)
  await assert.rejects(life.setRotateConfig({ intervalSeconds: 3600 }), /24h0m0s/)
  await assert.rejects(life.setRotateConfig({ maxOperations: 5 }), /range \[1000000,3865470566\]/)
  await assert.rejects(life.setRotateConfig({ maxOperations: maxOperationsMax + 1 }), /range/)
  await life.setRotateConfig({ intervalSeconds: 90_000, maxOperations: 2_000_000 })
  assert.deepEqual(await life.rotateConfig(), { enabled: true, intervalSeconds: 90_000, maxOperations: 2_000_000 })
})

test('another process reads a new term at once and writes with it after refresh', async () => {
  const a = await openNode()
  const b = node(a.storage)
  await unsealWith(b.life, a.init.keys.slice(2))
  await a.life.rotate()
  await writeText(a.life.barrier, 'k', 'term two')
  await writeText(b.life.barrier, 'stale', 'term one')
  assert.equal(await termAt(a.storage, 'stale'), 1)
  assert.equal(await readText(b.life.barrier, 'k'), 'term two')
  await b.life.refresh()
  await writeText(b.life.barrier, 'fresh', 'term two')
  assert.equal(await termAt(a.storage, 'fresh'), 2)
  assert.equal(await readText(a.life.barrier, 'stale'), 'term one')
})

test('two processes that rotate at once lose nothing', async () => {
  const a = await openNode()
  const b = node(a.storage)
  await unsealWith(b.life, a.init.keys.slice(2))
  await Promise.all([
    a.life.rotate(),
    b.life.rotate(),
    a.life.setRotateConfig({ maxOperations: 2_000_000 }),
    b.life.rotate(),
  ])
  await a.life.refresh()
  await b.life.refresh()
  assert.equal((await a.life.keyStatus()).term, 4)
  assert.equal((await b.life.keyStatus()).term, 4)
  assert.equal((await b.life.rotateConfig()).maxOperations, 2_000_000)
  await writeText(a.life.barrier, 'k', 'x')
  assert.equal(await readText(b.life.barrier, 'k'), 'x')
})

test('a new root key is handed over to running processes for a while; later they seal themselves', async () => {
  const a = await openNode()
  const b = node(a.storage, { clock: a.clock })
  const c = node(a.storage, { clock: a.clock })
  for (const { life } of [b, c]) await unsealWith(life, a.init.keys.slice(2))
  await a.life.rotateRoot()
  await a.life.rotateRoot()
  await a.life.rotate()
  await writeText(a.life.barrier, 'k', 'x')
  assert.equal(await readText(b.life.barrier, 'k'), 'x')
  await b.life.rotate()
  await a.life.refresh()
  assert.equal((await a.life.keyStatus()).term, 3)
  a.clock.now += 11 * 60_000
  await a.life.tick()
  assert.equal(await a.storage.view((tx) => records.handover(tx)), undefined)
  await assert.rejects(c.life.refresh(), Sealed)
  assert.equal(c.life.sealed, true)
  assert.equal((await c.life.status()).sealed, true)
  assert.deepEqual(c.events, ['unseal', 'seal'])
  // The shares did not change: it is unsealed as before.
  assert.equal((await unsealWith(c.life, a.init.keys.slice(0, 3))).sealed, false)
  assert.equal(await readText(c.life.barrier, 'k'), 'x')
})

test('a process with a static key follows a new root key without a handover', async () => {
  const key = staticKey('k1')
  const a = node(undefined, { staticKeys: [key] })
  await a.life.initialize(wanted(noShares, spec(1, 1)))
  const b = node(a.storage, { staticKeys: [key], clock: a.clock })
  assert.equal(await b.life.autoUnseal(), true)
  await a.life.rotateRoot()
  a.clock.now += 11 * 60_000
  await a.life.tick()
  await b.life.refresh()
  await writeText(a.life.barrier, 'k', 'x')
  assert.equal(await readText(b.life.barrier, 'k'), 'x')
})

test('changes move the epoch in their own transaction', async () => {
  let moved = 0
  const moveEpoch = (tx: Writer) => tx.put('epoch', new Uint8Array([++moved]))
  const a = node(undefined, { ports: { moveEpoch } })
  const init = await a.life.initialize(wanted(spec(1, 1)))
  await unsealWith(a.life, init.keys)
  await a.life.rotate()
  await a.life.rotateRoot()
  assert.equal(moved, 2)
  assert.deepEqual([...((await a.life.barrier.view((tx) => tx.get('epoch')))?.value ?? [])], [2])
})
