// A restore at every call that may fail: whatever happens, and whoever goes on, the store is the old one or the new one.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { collection } from '../storage/collection.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { Sealed } from './errors.ts'
import { failing, type Node, node, noShares, readText, spec, staticKey, wanted, writeText } from './testing.ts'

const raw = randomBytes(32)
const key = () => staticKey('k', true, Buffer.from(raw))
const records = collection<{ n: number }>('core/')
const epoch = {
  key: records.key('epoch'),
  restart: (tx: Writer) => records.put(tx, 'epoch', { n: Date.now() }),
}
const ports = {
  epoch,
  moveEpoch: async (tx: Writer) => records.put(tx, 'epoch', { n: ((await records.get(tx, 'epoch'))?.n ?? 0) + 1 }),
}
const make = (storage: Storage): Node => node(storage, { staticKeys: [key()], ports })

const large = randomBytes(3 * 1024 * 1024).toString('base64')
const count = 30

async function fill(life: Node['life'], text: string): Promise<void> {
  await life.barrier.update(async (tx) => {
    for (let i = 0; i < count; i++) tx.put(`data/${i}`, Buffer.from(text))
    tx.put('data/large', Buffer.from(text + large))
    tx.put(`only/${text}`, Buffer.from(text))
  })
}

/** Which state the store is in; fails when it is none. */
async function stateOf(storage: Storage): Promise<string> {
  const { life } = make(storage)
  assert.equal(await life.autoUnseal(), true)
  const text = (await readText(life.barrier, 'data/0')) ?? ''
  for (let i = 0; i < count; i++) assert.equal(await readText(life.barrier, `data/${i}`), text)
  assert.equal(await readText(life.barrier, 'data/large'), text + large)
  assert.equal(await readText(life.barrier, `only/${text}`), text)
  assert.deepEqual(await life.barrier.view((tx) => tx.list('only/')), [text])
  // Once it is over nothing of it is left.
  if (text === 'new') assert.deepEqual(await storage.view((tx) => tx.scan('seal/restore/')), [])
  await life.close()
  return text
}

/** A store in the old state, and a snapshot of the new one. */
async function prepared(storage: Storage): Promise<{ file: Buffer; life: Node['life'] }> {
  const { life } = make(storage)
  await life.initialize(wanted(noShares, spec(1, 1)))
  await fill(life, 'new')
  const file = Buffer.concat(await Array.fromAsync(life.snapshots.save('0')))
  await life.barrier.update(async (tx) => tx.delete('only/new'))
  await fill(life, 'old')
  return { file, life }
}

async function* cut(file: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += 65_536) yield file.subarray(at, at + 65_536)
}

const restore = async (life: Node['life'], file: Buffer) => await (await life.snapshots.stage(cut(file), false)).apply()

for (const lost of [false, true])
  test(`a failure at any call${lost ? ', the commit made all the same' : ''}`, { timeout: 120_000 }, async () => {
    const seen = new Set<string>()
    for (let at = 1; ; at++) {
      const storage = memoryStorage()
      const { storage: faulty, state } = failing(storage, lost)
      const { file, life } = await prepared(faulty)
      state.calls = 0
      state.at = at
      await restore(life, file).catch(() => undefined)
      const reached = state.calls >= at
      state.at = Number.POSITIVE_INFINITY
      await life.close()
      const found = await stateOf(storage)
      seen.add(found)
      if (!reached) {
        assert.equal(found, 'new')
        assert.ok(at > 15, `${at} calls`)
        break
      }
    }
    assert.deepEqual([...seen], ['old', 'new'])
  })

test('other processes are barred while it goes on, and one of them finishes it when whoever began falls silent', async () => {
  const storage = memoryStorage()
  const { storage: faulty, state } = failing(storage)
  const { file, life } = await prepared(faulty)
  const other = make(storage)
  assert.equal(await other.life.autoUnseal(), true)
  assert.equal(await other.life.storageFormat(), 2)
  const staged = await life.snapshots.stage(cut(file), false)
  assert.equal(await readText(other.life.barrier, 'data/0'), 'old')
  // The declaration is committed; what follows fails, as in a process that dies.
  state.calls = 0
  state.at = 9
  await staged.apply().catch(() => undefined)
  await life.seal()
  await assert.rejects(other.life.storageFormat(), Sealed)
  await pause(10)
  assert.equal(other.life.sealed, true)
  await assert.rejects(readText(other.life.barrier, 'data/0'), Sealed)
  for (const limit = Date.now() + 30_000; other.life.sealed; await pause(50))
    assert.ok(Date.now() < limit, 'taken over')
  assert.equal(await readText(other.life.barrier, 'data/0'), 'new')
  await other.life.close()
  assert.equal(await stateOf(storage), 'new')
})

test('a second upload takes the place of one that is under way; nothing is staged while one is applied', async () => {
  const storage = memoryStorage()
  const { file, life } = await prepared(storage)
  const first = await life.snapshots.stage(cut(file), false)
  const second = await life.snapshots.stage(cut(file), false)
  await assert.rejects(first.apply(), /another restore/)
  assert.equal(life.sealed, false)
  assert.equal(await readText(life.barrier, 'data/0'), 'old')
  await second.apply()
  assert.equal(await readText(life.barrier, 'data/0'), 'new')
  await writeText(life.barrier, 'data/0', 'more')
  await life.close()
})

test('a process that slept through a restore opens the store anew, also when it was another store', async () => {
  const other = memoryStorage()
  const foreign = await prepared(other)
  const storage = memoryStorage()
  const { file, life } = await prepared(storage)
  const sleeper = make(storage)
  assert.equal(await sleeper.life.autoUnseal(), true)
  const wakes = async (): Promise<void> => {
    sleeper.events.length = 0
    await assert.rejects(sleeper.life.storageFormat(), Sealed)
    for (const limit = Date.now() + 10_000; sleeper.events.join() !== 'seal,unseal'; await pause(20))
      assert.ok(Date.now() < limit, sleeper.events.join())
    assert.equal(await readText(sleeper.life.barrier, 'data/0'), 'new')
    assert.equal(await sleeper.life.storageFormat(), 2)
  }
  await restore(life, file)
  await wakes()
  await writeText(life.barrier, 'data/0', 'more')

  await assert.rejects(restore(life, foreign.file), /snapshot-force/)
  await (await life.snapshots.stage(cut(foreign.file), true)).apply()
  assert.equal(await readText(life.barrier, 'data/0'), 'new', 'its static key opens it')
  // The keys in memory are those of another store: what they do not open makes it look again.
  assert.equal(await readText(sleeper.life.barrier, 'data/1'), 'new')
  await wakes()
  await sleeper.life.close()
  await life.close()
  await foreign.life.close()
})
