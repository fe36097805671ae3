import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountPrefix } from '../../sdk/engine.ts'
import { decodeRecord } from '../../storage/collection.ts'
import { faultyStorage } from '../../storage/faulty.ts'
import { memoryStorage } from '../../storage/memory.ts'
import type { Storage } from '../../storage/storage.ts'
import type { RoleRecord } from './role-store.ts'
import type { SecretIdRecord } from './secret-store.ts'
import { mounted, type World } from './testing.ts'

/** A bit of everything that writes; each step is tried even if the one before failed. Gives what went wrong. */
async function story(w: World): Promise<unknown[]> {
  const failures: unknown[] = []
  const step = async <T>(run: () => Promise<T>): Promise<T | undefined> =>
    run().catch((error: unknown) => {
      failures.push(error)
      return undefined
    })
  const { mount } = w
  const own = (secret_id: string, more = {}) => mount.write('role/r/custom-secret-id', { secret_id, ...more })
  await step(() => mount.write('role/r', { role_id: 'one' }))
  await step(() => mount.write('role/r', { role_id: 'two' }))
  await step(() => own('a', { num_uses: 2, ttl: 600 }))
  await step(() => own('b', { ttl: 60 }))
  await step(() => own('c'))
  await step(() => w.login('two', 'a'))
  await step(() => w.login('two', 'a'))
  await step(() => mount.write('role/r/secret-id/destroy', { secret_id: 'c' }))
  w.now += 60_000
  await step(() => own('b', { ttl: 60 }))
  await step(() => own('d'))
  await step(() => mount.write('tidy/secret-id'))
  await step(() => mount.runDue())
  await step(() => mount.delete('role/r'))
  await step(() => mount.runDue())
  return failures
}

/** What belongs together is there together. */
async function checkWhole(storage: Storage, prefix: string, where: string): Promise<void> {
  const entries = await storage.view((tx) => tx.entries(prefix))
  const due = await storage.view((tx) => tx.scan('due/'))
  const below = (kind: string) =>
    entries
      .map(({ key, value }) => ({ id: key.slice(prefix.length), value }))
      .filter(({ id }) => id.startsWith(kind))
      .map(({ id, value }) => ({ id: id.slice(kind.length), value }))
  const hashes = below('role-id/').map(({ id, value }) => [decodeRecord<RoleRecord>(value), id] as const)
  const names = below('role/').map(({ id, value }) => [id, decodeRecord<string>(value)])
  assert.deepEqual(
    names,
    hashes.map(([role, hash]) => [role.name, hash]),
    where,
  )
  const expected: string[] = []
  for (const { id, value } of below('secret-id/')) {
    const [key, hash] = id.split('/')
    const record = decodeRecord<SecretIdRecord>(value)
    expected.push(`${key}/${record.accessor} ${hash}`)
    if (record.expireTime > 0) assert.ok(due.includes(`${String(record.expireTime).padStart(15, '0')}/secret-id/${id}`))
    const owned = hashes.some(([role]) => role.key === key) || due.some((one) => one.endsWith(`/role/${key}`))
    assert.ok(owned, `${where}: a secret id of no role stays for ever`)
  }
  const accessors = below('accessor/').map(({ id, value }) => `${id} ${decodeRecord<string>(value)}`)
  assert.deepEqual(accessors.sort(), expected.sort(), where)
}

test('a failure at any call leaves nothing half done, and the story can be told again', async () => {
  const counting = faultyStorage(memoryStorage())
  assert.deepEqual(await story(await mounted(counting)), [])
  const total = counting.calls()
  assert.ok(total > 50, String(total))
  for (let n = 1; n <= total; n++) {
    const real = memoryStorage()
    const faulty = faultyStorage(real)
    const w = await mounted(faulty)
    faulty.reset(n)
    await story(w)
    await checkWhole(real, mountPrefix(w.mount.mount), `failure at ${n}`)
    faulty.reset()
    await w.mount.delete('role/r')
    await w.mount.runDue()
    const left = await story(w)
    assert.deepEqual(left, [], `failure at ${n}`)
    const keys = await real.view((tx) => tx.scan(''))
    assert.equal(keys.length, 1, `failure at ${n}: ${keys.join()}`)
  }
})

test('a login whose outcome is unknown has spent its use or has not, and nothing else', async () => {
  const real = memoryStorage()
  const faulty = faultyStorage(real)
  const w = await mounted(faulty)
  await w.mount.write('role/r', { role_id: 'rid' })
  const { secret_id } = await w.make('r', { num_uses: 3 })
  faulty.reset(({ point }) => point === 'committed')
  await assert.rejects(w.login('rid', secret_id), { name: 'OutcomeUnknown' })
  faulty.reset(({ point }) => point === 'commit')
  await assert.rejects(w.login('rid', secret_id), { name: 'StorageError' })
  faulty.reset()
  assert.equal((await w.lookup('r', secret_id))?.['secret_id_num_uses'], 2)
})
