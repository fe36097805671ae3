import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeRecord } from '../../storage/collection.ts'
import { faultyStorage } from '../../storage/faulty.ts'
import { memoryStorage } from '../../storage/memory.ts'
import type { Storage } from '../../storage/storage.ts'
import { dueKey, duePrefix } from '../due.ts'
import { jobRunner } from '../jobs.ts'
import type { TokenSpec } from './create.ts'
import { dueKinds, placeId, type TokenRecord, tokenRecords } from './record.ts'
import { tokenStore } from './store.ts'
import { testTopology } from './testing.ts'
import { renewToken, spendUse } from './use.ts'

const topology = testTopology([])
const limits = { defaultLeaseTtlSeconds: 3600, maxLeaseTtlSeconds: 100_000 }
const terms = { ttlSeconds: 60, maxTtlSeconds: 0, periodSeconds: 0, explicitMaxTtlSeconds: 0 }

/** A bit of everything that writes tokens; ends with due work. */
async function story(storage: Storage): Promise<void> {
  let now = 1_700_000_000_000
  const store = tokenStore({ now: () => now })
  const spec = (extra: Partial<TokenSpec>): TokenSpec => ({
    namespace: topology.root.facts,
    now,
    policies: ['default'],
    path: 'auth/token/create',
    displayName: 'token',
    ttlSeconds: 60,
    renewable: true,
    ...extra,
  })
  const make = (extra: Partial<TokenSpec>) => storage.update((tx) => store.create(tx, spec(extra)))
  const a = await make({})
  const b = await make({ parent: a.record })
  const c = await make({ parent: b.record })
  const d = await make({ parent: a.record, numUses: 1 })
  await make({ type: 'batch', parent: a.record })
  await storage.update(async (tx) => {
    const found = await store.find(tx, d.token, topology)
    if (!found) return
    await store.endUse(tx, spendUse(tx, found).found)
  })
  await storage.update(async (tx) => {
    const found = await store.find(tx, c.token, topology)
    if (found) renewToken(tx, found.record, limits, terms, { incrementSeconds: 90, now })
  })
  await storage.update((tx) => store.revokeOrphan(tx, b.record))
  await storage.update((tx) => store.revokeTree(tx, a.record))
  await storage.update((tx) => store.startTidy(tx, 'root'))
  now += 120_000
  const failures: unknown[] = []
  const jobs = jobRunner({ handlers: store.handlers, now: () => now, log: (_l, _m, facts) => failures.push(facts) })
  jobs.start(storage)
  try {
    while ((await jobs.runDue()) > 0);
  } finally {
    await jobs.stop()
  }
  if (failures.length > 0) throw new Error('due work failed')
}

/** Everything that belongs to a token is there with it, and nothing without one. */
async function checkWhole(storage: Storage, where: string): Promise<void> {
  const keys = new Set(await storage.view((tx) => tx.scan('')))
  const records = tokenRecords('root')
  const entries = await storage.view((tx) => tx.entries(records.prefix))
  const expected = new Set<string>()
  for (const { key, value } of entries) {
    const record = decodeRecord<TokenRecord>(value)
    expected.add(key)
    expected.add(`ns/root/token/accessor/${record.accessor}`)
    // Due work that failed waits under a later time.
    const due = [...keys].find(
      (one) => one.startsWith(duePrefix) && one.endsWith(`/${dueKinds.expiry}/${placeId(record)}`),
    )
    expected.add(due ?? dueKey(dueKinds.expiry, placeId(record), record.expireTime))
    if (record.parent) expected.add(`ns/root/token/child/${record.parent.key}/${record.key}`)
  }
  for (const key of expected) assert.ok(keys.has(key), `${where}: ${key} is missing`)
  for (const key of keys) {
    if (!key.startsWith('ns/')) continue
    assert.ok(expected.has(key), `${where}: ${key} belongs to nothing`)
  }
}

test('a failure at any call leaves no half token', async () => {
  const counting = faultyStorage(memoryStorage())
  await story(counting)
  const total = counting.calls()
  assert.ok(total > 30)
  for (let n = 1; n <= total; n++) {
    const real = memoryStorage()
    const faulty = faultyStorage(real, { failAt: n })
    await story(faulty).catch(() => {})
    await checkWhole(real, `failure at ${n}`)
    await story(real)
  }
})

test('after the story nothing is left but the keys', async () => {
  const storage = memoryStorage()
  await story(storage)
  assert.deepEqual(await storage.view((tx) => tx.scan('ns/')), [])
  assert.deepEqual(await storage.view((tx) => tx.scan(duePrefix)), [])
  assert.deepEqual(await storage.view((tx) => tx.scan('core/')), ['batch-key', 'token-key'])
})
