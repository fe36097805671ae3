// Recovery mode inside the test's process: namespaces under keys of their own, also where records about them are broken.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeToken } from '../../src/barrier/token-attempt.ts'
import { openLog } from '../../src/log.ts'
import { recoveryServer } from '../../src/recovery.ts'
import { memoryStorage } from '../../src/storage/memory.ts'
import { callerOf, factsForTest, type Inside, startInside } from '../inside.ts'

/** Opens the store of a core in recovery mode, and gives calls with the token. */
async function recover(core: Inside, storage: ReturnType<typeof memoryStorage>): Promise<Inside['call']> {
  const { recovery, handler } = recoveryServer({
    storage,
    staticKeys: core.staticKeys,
    facts: factsForTest,
    log: openLog({ level: 'off', format: 'json' }),
  })
  const otp = 'p'.repeat(28)
  await recovery.tokens.start({ otp, pgpKey: '' })
  const { encodedToken } = await recovery.tokens.update(core.recoveryKey, (await recovery.tokens.status()).nonce)
  return callerOf(handler, decodeToken(encodedToken, otp))
}

test('what lies under keys of its own stays closed, whatever is broken above it; the rest can be mended', async () => {
  const storage = memoryStorage()
  const core = await startInside(storage)
  const seal = 'seal "shamir" { shares = 1 threshold = 1 }'
  await core.call('write', 'sys/namespaces/own', { seal })
  await core.call('write', 'sys/namespaces/below', {}, { namespace: 'own' })
  await core.call('write', 'sys/namespaces/plain', {})
  await core.call('write', 'sys/namespaces/below', {}, { namespace: 'plain' })
  const uuids = new Map<string, string>()
  for (const path of ['own/', 'own/below/', 'plain/', 'plain/below/'])
    for (const name of (await core.call('list', 'sys/raw/core/namespace')).body['data'].keys as string[]) {
      const { value } = (await core.call('read', `sys/raw/core/namespace/${name}`)).body['data']
      if (JSON.parse(value).path === path) uuids.set(path, name)
    }
  assert.equal(uuids.size, 4)
  const statuses = async (call: Inside['call']): Promise<Record<string, number>> => {
    const found: Record<string, number> = {}
    for (const [path, uuid] of uuids) {
      const key = `sys/raw/ns/${uuid}/note`
      found[path] = (await call('write', key, { value: 'x' })).status
      if (found[path] === 204) assert.equal((await call('read', key)).body['data'].value, 'x')
      else assert.deepEqual((await call('read', key)).body, { errors: ['namespace is sealed'] })
    }
    return found
  }
  const whole = await recover(core, storage)
  assert.deepEqual(await statuses(whole), { 'own/': 503, 'own/below/': 503, 'plain/': 204, 'plain/below/': 204 })
  // Records that cannot be read: of the namespace with keys of its own, and of one without.
  for (const path of ['own/', 'plain/'])
    await whole('write', `sys/raw/core/namespace/${uuids.get(path)}`, { value: '{broken' })
  const broken = await recover(core, storage)
  assert.deepEqual(await statuses(broken), { 'own/': 503, 'own/below/': 503, 'plain/': 503, 'plain/below/': 503 })
  const record = `sys/raw/core/namespace/${uuids.get('plain/')}`
  assert.equal((await broken('read', record)).body['data'].value, '{broken')
  assert.equal((await broken('delete', record)).status, 204)
  await core.assembly.close()
})

test('a change renews the epoch, also where its record is broken', async () => {
  const storage = memoryStorage()
  const core = await startInside(storage)
  const call = await recover(core, storage)
  const epochs = async (): Promise<{ mounts: number; policies: number }> =>
    JSON.parse((await call('read', 'sys/raw/core/epoch')).body['data'].value)
  const put = async (value: string) =>
    core.assembly.lifecycle.barrier.update(async (tx) => tx.put('core/epoch', Buffer.from(value)))
  for (const broken of ['{broken', 'null', '[]', '{"mounts":"x","policies":null}']) {
    await put(broken)
    assert.equal((await call('write', 'sys/raw/x', { value: 'x' })).status, 204, broken)
    const { mounts, policies } = await epochs()
    assert.ok(mounts > 1_700_000_000_000 && policies > 1_700_000_000_000, broken)
  }
  // Later ones go on from there, whatever the clock says.
  await put('{"mounts":9000000000000000,"policies":1}')
  await call('delete', 'sys/raw/x')
  const { mounts, policies } = await epochs()
  assert.ok(mounts === 9_000_000_000_000_001 && policies > 1_700_000_000_000)
  // Damaged, not only broken.
  await storage.update(async (tx) => tx.put('core/epoch', Buffer.from('nonsense')))
  assert.equal((await call('write', 'sys/raw/x', { value: 'x' })).status, 204)
  assert.ok((await epochs()).mounts > 1_700_000_000_000)
  assert.equal((await core.call('read', 'auth/token/lookup-self')).status, 200)
  await core.assembly.close()
})
