// A node that starts before the store is initialised opens it once another node has done so; what is sealed by hand stays sealed.
import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { factsForTest } from '../test/inside.ts'
import { assemble } from './assembly.ts'
import { openLog } from './log.ts'
import { keepUnsealing } from './self-unseal.ts'
import { memoryStorage } from './storage/memory.ts'

const untilOpen = async (sealed: () => boolean): Promise<void> => {
  for (let tries = 0; sealed(); tries++) {
    assert.ok(tries < 500, 'it stays sealed')
    await pause(10)
  }
}

test('a node that was there before the store was initialised opens it by itself', async () => {
  const storage = memoryStorage()
  const key = { id: 'test', key: createSecretKey(randomBytes(32)), current: true }
  const [first, second] = [0, 1].map(() =>
    assemble({
      storage,
      staticKeys: [key],
      log: openLog({ level: 'off', format: 'json' }),
      defaultLeaseTtlSeconds: 3600,
      maxLeaseTtlSeconds: 3600,
      declaredDevices: [],
      allowApiAudit: true,
      allowAuditPrefix: true,
      rawStorage: false,
      facts: factsForTest,
      lookForKeysMs: 10,
    }),
  )
  assert.ok(first && second)
  await second.unsealItself()
  assert.equal(second.lifecycle.sealed, true)
  const none = { shares: 0, threshold: 0, pgpKeys: [] }
  const recovery = { shares: 1, threshold: 1, pgpKeys: [] }
  await first.lifecycle.initialize({ secret: none, recovery, rootTokenPgpKey: '' })
  await untilOpen(() => second.lifecycle.sealed)
  await second.lifecycle.seal()
  await pause(100)
  assert.equal(second.lifecycle.sealed, true)
  await first.close()
  await second.close()
})

test('a store that cannot be read is told once and tried again, until the end', async () => {
  const told: string[] = []
  let tries = 0
  const end = keepUnsealing({
    autoUnseal: () => (++tries < 5 ? Promise.reject(new Error('away')) : Promise.resolve(false)),
    wasOpen: () => false,
    warn: (message) => told.push(message),
    everyMs: 2,
  })
  await untilOpen(() => tries < 8)
  end()
  const then = tries
  await pause(30)
  assert.ok(tries <= then + 1)
  assert.equal(told.length, 1)
})
