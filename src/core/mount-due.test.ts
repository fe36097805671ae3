import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountPrefix } from '../sdk/engine.ts'
import type { DueHandler } from '../sdk/index.ts'
import { memoryStorage } from '../storage/memory.ts'
import { duePrefix } from './due.ts'
import { jobRunner } from './jobs.ts'
import { mountDue, mountDueHandler, mountDueKind } from './mount-due.ts'
import { testTopology } from './tokens/testing.ts'
import type { Mount, Topology } from './topology.ts'

const start = 1_700_000_000_000

/** A mount whose engine has one kind of due work, and the runner that gets to it. */
function world(handler: DueHandler) {
  const base = testTopology([{ uuid: 'mount-1', path: 'auth/machines/', namespace: 'team/' }])
  const found = base.mountsByUuid.get('mount-1') as Mount
  const mount: Mount = { ...found, engine: { ...found.engine, due: { ring: handler } } }
  const w = {
    storage: memoryStorage(),
    mount,
    topology: { ...base, mountsByUuid: new Map([[mount.record.uuid, mount]]) } as Topology,
    now: start,
    sealed: false,
    failures: [] as Record<string, unknown>[],
    note: (kind: string, id: string, at: number, data?: unknown) =>
      w.storage.update(async (tx) => mountDue(tx, mount.facts).put(kind, id, at, data)),
    left: () => w.storage.view((tx) => tx.scan(duePrefix)),
    async run() {
      const jobs = jobRunner({
        handlers: new Map([
          [
            mountDueKind,
            mountDueHandler({ now: () => w.now, topology: () => w.topology, namespaceSealed: () => w.sealed }),
          ],
        ]),
        now: () => w.now,
        log: (_level, _message, facts) => w.failures.push(facts),
      })
      jobs.start(w.storage)
      await jobs.runDue()
      await jobs.stop()
    },
  }
  return w
}

test('an engine gets its work at its time, with its own keys and no others', async () => {
  const w = world(async ({ id, data }, { tx, mount, now }) => {
    assert.deepEqual([id, data, mount.uuid], ['a/b', { n: 1 }, 'mount-1'])
    tx.put('rung', Buffer.from(String(now)))
    return undefined
  })
  await w.note('ring', 'a/b', start + 5000, { n: 1 })
  await w.run()
  assert.equal((await w.left()).length, 1)
  w.now += 5000
  await w.run()
  assert.deepEqual([w.failures, await w.left()], [[], []])
  const keys = await w.storage.view((tx) => tx.scan('ns/'))
  assert.deepEqual(keys, [`${mountPrefix(w.mount.facts).slice(3)}rung`])
})

test('work is called again when it says so, and when it fails, and is gone once taken back', async () => {
  let calls = 0
  const w = world(async ({ data }, { now }) => {
    calls++
    if (data === undefined) return { at: now + 1000, data: 'second' }
    assert.equal(data, 'second')
    if (calls === 2) throw new Error('not yet')
    return undefined
  })
  await w.note('ring', 'x', start)
  await w.note('ring', 'y', start + 100)
  await w.storage.update(async (tx) => mountDue(tx, w.mount.facts).delete('ring', 'y', start + 100))
  for (let round = 0; round < 4; round++) {
    await w.run()
    w.now += 5000
  }
  assert.deepEqual([calls, w.failures.length, await w.left()], [3, 1, []])
})

test('work of a mount that is gone is dropped, unless it may only be sealed', async () => {
  const w = world(async () => assert.fail('nobody is there to call'))
  const [root] = w.topology.namespaces.values()
  assert.ok(root)
  const closed = { ...root, record: { ...root.record, ownSeal: true } }
  w.topology = { ...w.topology, mountsByUuid: new Map(), namespaces: new Map([['', closed]]) }
  await w.note('ring', 'x', start)
  w.sealed = true
  await w.run()
  assert.equal((await w.left()).length, 1)
  w.sealed = false
  w.now += 3600_000
  await w.run()
  assert.deepEqual([w.failures, await w.left()], [[], []])
})

test('a kind nobody knows is a failure, not a loss', async () => {
  const w = world(async () => undefined)
  await w.note('constructor', 'x', start)
  await w.run()
  assert.equal(w.failures.length, 1)
  assert.equal((await w.left()).length, 1)
})
