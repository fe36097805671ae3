import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { bytes, text, write } from './contract-kit.ts'
import { faultyStorage } from './faulty.ts'
import { memoryStorage } from './memory.ts'
import { checkMigrated, type Migration, type MigrationProgress, migrate, takeBack } from './migrate.ts'
import { type Reader, type Storage, StorageUnusable } from './storage.ts'

const identify = async (tx: Reader): Promise<string | undefined> => {
  const entry = await tx.get('seal/slots')
  return entry && text(entry.value)
}
const optionsOf = (source: Storage, destination: Storage, more: Partial<Migration> = {}): Migration => ({
  source,
  destination,
  identify,
  start: '',
  now: 1,
  progress: () => undefined,
  ...more,
})

async function filled(count = 2500): Promise<Storage> {
  const storage = memoryStorage()
  await storage.update(async (tx) => {
    tx.put('seal/slots', bytes('one'))
    for (let i = 0; i < count; i++) tx.put(`data/${String(i).padStart(6, '0')}`, bytes(`value ${i}`))
    tx.put('large/value', new Uint8Array(randomBytes(8 * 1024 * 1024)))
  })
  return storage
}
const all = (storage: Storage) =>
  storage.view(async (tx) =>
    (await tx.entries('')).map(({ key, value }) => [key, Buffer.from(value).toString('base64')]),
  )

test('everything is copied, checked and told; then the store may be served', async () => {
  const source = await filled()
  const destination = memoryStorage()
  const told: MigrationProgress[] = []
  const { entries } = await migrate(optionsOf(source, destination, { progress: (one) => told.push(one) }))
  assert.equal(entries, 2502)
  assert.deepEqual(await all(destination), await all(source))
  await checkMigrated(destination)
  const last = (phase: MigrationProgress['phase']) => told.filter((one) => one.phase === phase).at(-1)
  assert.deepEqual(last('copying'), { phase: 'copying', done: 2502, total: 2502 })
  // Both stores are read.
  assert.deepEqual(last('checking'), { phase: 'checking', done: 5004, total: 5004 })
})

test('a failure at any call leaves a store that is not served, and the next try finishes it', async () => {
  const source = await filled(2100)
  for (let failAt = 1; ; failAt++) {
    const destination = memoryStorage()
    const faulty = faultyStorage(destination, { failAt })
    const failed = await migrate(optionsOf(source, faulty)).then(
      () => false,
      () => true,
    )
    const begun = (await destination.view((tx) => tx.scan('', { limit: 1 }))).length > 0
    if (failed && begun && JSON.stringify(await all(destination)) !== JSON.stringify(await all(source)))
      await assert.rejects(checkMigrated(destination), StorageUnusable)
    if (
      failed &&
      begun &&
      (await checkMigrated(destination).then(
        () => true,
        () => false,
      ))
    )
      continue
    if (failed) await migrate(optionsOf(source, destination))
    assert.deepEqual(await all(destination), await all(source))
    await checkMigrated(destination)
    if (!failed) return assert.ok(failAt > 8)
  }
})

test('what is there already is not overwritten; what another migration left is refused', async () => {
  const source = await filled(10)
  const used = memoryStorage()
  await write(used, { other: 'data' })
  await assert.rejects(migrate(optionsOf(source, used)), /not empty/)
  assert.deepEqual((await all(used)).length, 1)
  assert.equal(await takeBack(used), false)

  const begun = memoryStorage()
  await assert.rejects(migrate(optionsOf(source, faultyStorage(begun, { failAt: 8 }))))
  const other = await filled(10)
  await write(other, { 'seal/slots': 'two' })
  await assert.rejects(migrate(optionsOf(other, begun)), /another store/)
  await assert.rejects(migrate(optionsOf(begun, memoryStorage())), /itself the destination/)
  await assert.rejects(migrate(optionsOf(memoryStorage(), memoryStorage())), /never initialised/)
  assert.equal(await takeBack(begun), true)
  assert.deepEqual(await all(begun), [])
  await migrate(optionsOf(other, begun))
})

test('a source that moves and a destination that is altered are noticed, and mended by the next try', async () => {
  const source = await filled(1500)
  const destination = memoryStorage()
  let once = true
  const progress = ({ phase }: MigrationProgress): void => {
    if (phase !== 'copying' || !once) return
    once = false
    // A server that still writes.
    void write(source, { 'data/000001': 'changed', 'data/extra': 'new', 'data/000002': undefined })
  }
  await assert.rejects(migrate(optionsOf(source, destination, { progress })), /the source was changed/)
  await assert.rejects(checkMigrated(destination), StorageUnusable)
  await migrate(optionsOf(source, destination))
  assert.deepEqual(await all(destination), await all(source))

  const altered = memoryStorage()
  let steps = 0
  const alter = ({ phase }: MigrationProgress): void => {
    if (phase === 'copying' && ++steps === 2)
      void write(altered, { 'data/000007': 'altered', 'data/000008': undefined, foreign: 'x' })
  }
  await assert.rejects(migrate(optionsOf(source, altered, { progress: alter })), /the destination differs/)
  await migrate(optionsOf(source, altered))
  assert.deepEqual(await all(altered), await all(source))
})

test('-start copies from a key on, that key included, and leaves what lies before', async () => {
  const source = await filled(100)
  const destination = memoryStorage()
  await migrate(optionsOf(source, destination, { start: 'data/000090' }))
  const keys = (await all(destination)).map(([key]) => key)
  assert.equal(keys[0], 'data/000090')
  assert.equal(keys.length, 12)

  const begun = memoryStorage()
  await assert.rejects(migrate(optionsOf(source, faultyStorage(begun, { failAt: 10 }))))
  const before = (await all(begun)).filter(([key = '']) => key < 'data/000090')
  await migrate(optionsOf(source, begun, { start: 'data/000090' }))
  assert.deepEqual(
    (await all(begun)).filter(([key = '']) => key < 'data/000090'),
    before,
  )
})
