// Several ways to the same root key, managed on a live store.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../sdk/errors.ts'
import { sealRecords } from './records.ts'
import { node, noShares, openNode, readText, spec, staticKey, unsealWith, wanted, writeText } from './testing.ts'

const refusal = (status: number, text: RegExp) => (error: unknown) =>
  error instanceof ApiError && error.status === status && text.test(error.message)

test('any slot opens; both are listed as opening', async () => {
  const { life, storage, init } = await openNode(3, 2)
  await writeText(life.barrier, 'k', 'kept')
  const { slot, made } = await life.slots.addShamir({ name: 'break glass', ...spec(5, 4) })
  assert.deepEqual([slot.opens, slot.shares, slot.threshold], [true, 5, 4])
  assert.deepEqual(
    (await life.slots.list()).map(({ name, opens }) => [name, opens]),
    [
      ['shamir', true],
      ['break glass', true],
    ],
  )
  for (const keys of [init.keys.slice(1), made.keys.slice(1)]) {
    const fresh = node(storage)
    assert.equal((await unsealWith(fresh.life, keys)).sealed, false)
    assert.equal(await readText(fresh.life.barrier, 'k'), 'kept')
  }
  // Shares of both mixed open neither.
  const fresh = node(storage)
  const mixed = [init.keys[0], made.keys[0], made.keys[1], made.keys[2]].filter((key) => key !== undefined)
  await assert.rejects(unsealWith(fresh.life, mixed), refusal(400, /invalid key/))
})

test('a static slot added to a Shamir store unseals it, and names are unique', async () => {
  const key = staticKey('k1')
  const a = node(undefined, { staticKeys: [key] })
  const plain = node(a.storage)
  const init = await plain.life.initialize(wanted(spec(3, 2)))
  assert.equal(await a.life.autoUnseal(), false)
  await unsealWith(a.life, init.keys.slice(1))
  const slot = await a.life.slots.addStatic({ name: 'static', keyId: '' })
  assert.deepEqual([slot.kind, slot.keyId, slot.opens], ['static', 'k1', true])
  await assert.rejects(a.life.slots.addStatic({ name: 'static', keyId: '' }), refusal(400, /exists already/))
  await assert.rejects(a.life.slots.addStatic({ name: 'x', keyId: 'none' }), refusal(400, /names no configured/))
  await assert.rejects(a.life.slots.addStatic({ name: '', keyId: '' }), refusal(400, /name/))
  await a.life.seal()
  assert.equal(await a.life.autoUnseal(), true)
  assert.deepEqual([(await a.life.status()).type, (await a.life.status()).t], ['shamir', 2])
  await unsealWith(plain.life, init.keys.slice(1))
  const seen = await plain.life.slots.list()
  assert.deepEqual(
    seen.map(({ opens, reason }) => [opens, reason]),
    [
      [true, ''],
      [false, 'no seal "static" is configured on this server'],
    ],
  )
  await assert.rejects(plain.life.slots.addStatic({ name: 'y', keyId: '' }), refusal(400, /no seal "static"/))
})

test('the last slot able to open cannot be removed; a removed one opens nothing any more', async () => {
  const key = staticKey('k1')
  const { life, storage } = node(undefined, { staticKeys: [key] })
  await life.initialize(wanted(noShares, spec(1, 1)))
  const [only] = await life.slots.list()
  await assert.rejects(life.slots.remove(only?.id ?? ''), refusal(400, /last one able to open/))
  await assert.rejects(life.slots.remove('nothing'), refusal(404, /no seal slot/))
  const { made } = await life.slots.addShamir({ name: 'shares', ...spec(2, 2) })
  const old = await storage.view((tx) => sealRecords('seal/').slots(tx))
  await life.slots.remove('static')
  const status = await life.status()
  assert.deepEqual([status.type, status.t, status.n, status.recoverySeal], ['shamir', 2, 2, false])
  const again = node(storage, { staticKeys: [key] })
  assert.equal(await again.life.autoUnseal(), false)
  // Neither does a copy of its record, put back.
  await storage.update(async (tx) => old && sealRecords('seal/').putSlots(tx, old))
  assert.equal(await again.life.autoUnseal().catch(() => false), false)
  const now = { format: 1, storeId: 'x', type: 'shamir', slots: (old?.slots ?? []).slice(1) } as const
  await storage.update(async (tx) => sealRecords('seal/').putSlots(tx, now))
  assert.match((await life.slots.list())[0]?.reason ?? '', /older root key/)
  await life.rotateRoot()
  assert.deepEqual(
    (await life.slots.list()).map(({ opens }) => opens),
    [true],
  )
  assert.equal((await unsealWith(again.life, made.keys)).sealed, false)
})

test('the last Shamir slot gone, the store is one that unseals itself, and recovery keys can be made', async () => {
  const key = staticKey('k1')
  const a = node(undefined, { staticKeys: [key] })
  const init = await node(a.storage).life.initialize(wanted(spec(1, 1)))
  await unsealWith(a.life, init.keys)
  await a.life.slots.addStatic({ name: 'static', keyId: 'k1' })
  await a.life.slots.remove('shamir')
  assert.deepEqual([(await a.life.status()).type, (await a.life.status()).n], ['static', 0])
  const done = await a.life.rekey.start(
    'recovery',
    { ...spec(1, 1), backup: false, requireVerification: false },
    'rotation',
  )
  assert.equal(done?.keys.length, 1)
  assert.equal((await a.life.status()).n, 1)
})

test('a new root key goes under every slot', async () => {
  const key = staticKey('k1')
  const a = node(undefined, { staticKeys: [key] })
  const init = await node(a.storage).life.initialize(wanted(spec(1, 1)))
  await unsealWith(a.life, init.keys)
  await a.life.slots.addStatic({ name: 'static', keyId: '' })
  // Rotating from a node that lacks the static key keeps its slot alive.
  const bare = node(a.storage)
  await unsealWith(bare.life, init.keys)
  await bare.life.rotateRoot()
  assert.equal(await node(a.storage, { staticKeys: [key] }).life.autoUnseal(), true)
  const fresh = node(a.storage)
  assert.equal((await unsealWith(fresh.life, init.keys)).sealed, false)
})
