import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStorage } from '../storage/memory.ts'
import type { Storage } from '../storage/storage.ts'
import { dueKey, dueKeys, duePrefix, putDue, readDue } from './due.ts'
import { jobLocks } from './job-lock.ts'
import { type DueHandler, type JobRunner, jobRunner } from './jobs.ts'

interface World {
  readonly storage: Storage
  readonly done: string[]
  readonly failures: Record<string, unknown>[]
  now: number
  clock: number
}

const world = (): World => ({ storage: memoryStorage(), done: [], failures: [], now: 1_700_000_000_000, clock: 0 })

function runner(w: World, handlers: Record<string, DueHandler>, lockTermMs = 60_000): JobRunner {
  return jobRunner({
    handlers: new Map(Object.entries(handlers)),
    now: () => w.now,
    clock: () => w.clock,
    log: (_level, _message, facts) => w.failures.push(facts),
    pollMs: 3600_000,
    lockTermMs,
  })
}

const add = (w: World, kind: string, ids: readonly string[], at = w.now, data?: unknown): Promise<void> =>
  w.storage.update(async (tx) => {
    for (const id of ids) putDue(tx, { kind, id, at, data })
  })
const left = (w: World): Promise<string[]> => w.storage.view((tx) => tx.scan(duePrefix))
/** Notes its work in the store, as real handlers do. */
const mark: DueHandler = async (tx, { id }) => {
  tx.put(`done/${id}`, Buffer.from(String(Number((await tx.get(`done/${id}`))?.value ?? 0) + 1)))
  return undefined
}
const marked = (w: World): Promise<string[]> => w.storage.view((tx) => tx.scan('done/'))

test('a due key is read back as it was written', async () => {
  const key = dueKey('token', 'root/a/b', 1234)
  assert.match(key, /^due\/[0-9a-f]{2}\/000000000001234\/token\/root\/a\/b$/)
  const value = Buffer.from('{"attempts":2,"data":{"x":1}}')
  assert.deepEqual(readDue({ key, value, version: 1 }), {
    kind: 'token',
    id: 'root/a/b',
    at: 1234,
    attempts: 2,
    data: { x: 1 },
  })
  assert.equal(readDue({ key: 'due/00/x', value, version: 1 }), undefined)
})

test('of a shard only what is due is read, earliest first', async () => {
  const w = world()
  await w.storage.update(async (tx) => {
    for (const at of [30, 10, 20, 99]) putDue(tx, { kind: 'k', id: 'same', at })
  })
  const shard = dueKey('k', 'same', 0).slice(4, 7)
  const keys = await w.storage.view((tx) => dueKeys(tx, shard, 30, 2))
  assert.deepEqual(keys, [dueKey('k', 'same', 10), dueKey('k', 'same', 20)])
  assert.equal((await w.storage.view((tx) => dueKeys(tx, shard, 30, 9))).length, 3)
})

test('what is due is done once and is gone, what is not stays', async () => {
  const w = world()
  const ids = Array.from({ length: 100 }, (_, i) => `id${i}`)
  await add(w, 'mark', ids)
  await add(w, 'mark', ['later'], w.now + 1)
  const jobs = runner(w, { mark })
  jobs.start(w.storage)
  assert.equal(await jobs.runDue(), 100)
  assert.deepEqual(await marked(w), ids.sort())
  assert.equal((await left(w)).length, 1)
  w.now++
  assert.equal(await jobs.runDue(), 1)
  await jobs.stop()
  assert.deepEqual(await w.storage.view((tx) => tx.scan('core/')), [], 'no lock is left')
  assert.deepEqual(w.failures, [])
})

test('nothing is written while nothing is due', async () => {
  const w = world()
  await add(w, 'mark', ['later'], w.now + 1000)
  let updates = 0
  const counted: Storage = {
    ...w.storage,
    update(fn) {
      updates++
      return w.storage.update(fn)
    },
  }
  const jobs = runner(w, { mark })
  jobs.start(counted)
  assert.equal(await jobs.runDue(), 0)
  await jobs.stop()
  assert.equal(updates, 0)
})

test('work that asks for it is called again with its data', async () => {
  const w = world()
  await add(w, 'steps', ['x'])
  const seen: unknown[] = []
  const jobs = runner(w, {
    async steps(_tx, { at, data }) {
      seen.push(data)
      const step = (data as number | undefined) ?? 0
      return step < 3 ? { at, data: step + 1 } : undefined
    },
  })
  jobs.start(w.storage)
  await jobs.runDue()
  await jobs.stop()
  assert.deepEqual(seen, [undefined, 1, 2, 3])
  assert.deepEqual(await left(w), [])
})

test('what fails writes nothing, is logged, and is tried again later and later; the rest goes on', async () => {
  const w = world()
  await add(w, 'mark', ['good'])
  await add(w, 'bad', ['evil'])
  let fails = true
  const jobs = runner(w, {
    mark,
    async bad(tx) {
      tx.put('half', Buffer.from('x'))
      if (fails) throw new Error('no luck')
      return undefined
    },
  })
  jobs.start(w.storage)
  const start = w.now
  const times: number[] = []
  for (let i = 0; i < 4; i++) {
    await jobs.runDue()
    const [, time] = (await left(w))[0]?.split('/') ?? []
    w.now = Number(time)
    times.push(w.now - start)
  }
  assert.deepEqual(times, [1000, 3000, 7000, 15_000])
  assert.deepEqual(await marked(w), ['good'])
  assert.equal(await w.storage.view((tx) => tx.get('half')), undefined)
  assert.deepEqual(
    w.failures.map(({ kind, attempts }) => [kind, attempts]),
    [1, 2, 3, 4].map((n) => ['bad', n]),
  )
  fails = false
  await jobs.runDue()
  assert.deepEqual(await left(w), [])
  await jobs.stop()
})

test('work without a handler waits and is told of', async () => {
  const w = world()
  await add(w, 'unknown', ['x'])
  const jobs = runner(w, {})
  jobs.start(w.storage)
  await jobs.runDue()
  await jobs.stop()
  assert.equal((await left(w)).length, 1)
  assert.match(String(w.failures[0]?.['error']), /no handler/)
})

test('two runners at once do everything once', async () => {
  const w = world()
  const ids = Array.from({ length: 200 }, (_, i) => `id${i}`)
  await add(w, 'mark', ids)
  const slowMark: DueHandler = async (tx, entry) => {
    await new Promise((resolve) => setImmediate(resolve))
    return await mark(tx, entry)
  }
  const both = [runner(w, { mark: slowMark }), runner(w, { mark: slowMark })]
  for (const jobs of both) jobs.start(w.storage)
  await Promise.all(both.map((jobs) => jobs.runDue()))
  for (const jobs of both) await jobs.runDue()
  for (const jobs of both) await jobs.stop()
  const entries = await w.storage.view((tx) => tx.entries('done/'))
  assert.equal(entries.length, 200)
  for (const { value } of entries) assert.equal(Buffer.from(value).toString(), '1')
})

test('a lock is stale only after it stood still for its term on the own clock, and its old holder can write nothing', async () => {
  const w = world()
  const locks = (clock: () => number) => jobLocks(w.storage, { clock, termMs: 30_000 })
  let clockB = 500_000
  const a = locks(() => 0)
  const b = locks(() => clockB)
  const first = await a.acquire('job')
  assert.ok(first)
  assert.equal(await b.acquire('job'), undefined, 'first look')
  clockB += 29_999
  assert.equal(await b.acquire('job'), undefined, 'not stale yet')
  clockB += 1
  const second = await b.acquire('job')
  assert.ok(second)
  assert.equal(await w.storage.view((tx) => first.holds(tx)), false)
  assert.equal(await w.storage.view((tx) => second.holds(tx)), true)
  await first.release()
  assert.equal(await w.storage.view((tx) => second.holds(tx)), true, 'the old holder cannot give it back')
  await second.release()
  assert.deepEqual(await w.storage.view((tx) => tx.scan('core/job/')), [])
})

test('a beating lock does not go stale', async () => {
  const w = world()
  let clockB = 0
  const a = jobLocks(w.storage, { clock: () => 0, termMs: 15 })
  const b = jobLocks(w.storage, { clock: () => clockB, termMs: 15 })
  const held = await a.acquire('job')
  assert.ok(held)
  for (let i = 0; i < 5; i++) {
    assert.equal(await b.acquire('job'), undefined)
    const [before] = await w.storage.view((tx) => tx.entries('core/job/'))
    let beats = false
    for (let wait = 0; wait < 200 && !beats; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      beats = (await w.storage.view((tx) => tx.entries('core/job/')))[0]?.version !== before?.version
    }
    assert.ok(beats)
    clockB += 1000
  }
  await held.release()
})

test('a runner that was away while another took over drops what it had done', async () => {
  const w = world()
  await add(w, 'work', ['x'])
  let release: () => void = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  let entered: () => void = () => {}
  const inside = new Promise<void>((resolve) => {
    entered = resolve
  })
  const writeAs =
    (name: string, wait: Promise<void> | undefined): DueHandler =>
    async (tx) => {
      entered()
      await wait
      tx.put(`by/${name}`, Buffer.from('x'))
      return undefined
    }
  const slow = runner(w, { work: writeAs('slow', gate) })
  slow.start(w.storage)
  const away = slow.runDue()
  await inside
  let clock = 0
  const quick = jobRunner({
    handlers: new Map([['work', writeAs('quick', undefined)]]),
    now: () => w.now,
    clock: () => clock,
    log: () => {},
    pollMs: 3600_000,
    lockTermMs: 60_000,
  })
  quick.start(w.storage)
  assert.equal(await quick.runDue(), 0, 'the lock is held')
  clock += 60_000
  assert.equal(await quick.runDue(), 1)
  release()
  await away
  assert.deepEqual(await w.storage.view((tx) => tx.scan('by/')), ['quick'])
  await Promise.all([slow.stop(), quick.stop()])
})

test('stop waits for what is under way, and a later start goes on', async () => {
  const w = world()
  await add(w, 'mark', ['a', 'b'])
  const jobs = runner(w, { mark })
  jobs.start(w.storage)
  const run = jobs.runDue()
  await jobs.stop()
  await run
  assert.equal(await jobs.runDue(), 0, 'stopped')
  jobs.start(w.storage)
  await jobs.runDue()
  await jobs.stop()
  assert.deepEqual(await marked(w), ['a', 'b'])
})

test('the runner looks by itself, and goes on after the store failed', async () => {
  const w = world()
  await add(w, 'mark', ['a'])
  let failing = true
  const flaky: Storage = {
    ...w.storage,
    view: (fn) => (failing ? Promise.reject(new Error('away')) : w.storage.view(fn)),
  }
  const jobs = jobRunner({
    handlers: new Map([['mark', mark]]),
    now: () => w.now,
    log: (_l, _m, facts) => {
      w.failures.push(facts)
      failing = false
    },
    pollMs: 2,
  })
  jobs.start(flaky)
  for (let i = 0; i < 500 && (await marked(w)).length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 2))
  await jobs.stop()
  assert.deepEqual(await marked(w), ['a'])
  assert.equal(w.failures.length, 1)
})

test('three runners share the shards, and each entry is done once', async () => {
  const w = world()
  const ids = Array.from({ length: 480 }, (_, i) => `id${i}`)
  await add(w, 'mark', ids)
  const atOnce = new Map<string, number>()
  const most = new Map<string, number>()
  const markAs =
    (name: string): DueHandler =>
    async (tx, entry) => {
      const now = (atOnce.get(name) ?? 0) + 1
      atOnce.set(name, now)
      most.set(name, Math.max(most.get(name) ?? 0, now))
      await new Promise((resolve) => setTimeout(resolve, 1))
      tx.put(`by/${name}/${entry.id}`, Buffer.from('x'))
      atOnce.set(name, (atOnce.get(name) ?? 0) - 1)
      return await mark(tx, entry)
    }
  const names = ['a', 'b', 'c']
  const all = names.map((name) => runner(w, { mark: markAs(name) }))
  for (const jobs of all) jobs.start(w.storage)
  await Promise.all(all.map((jobs) => jobs.runDue()))
  for (const jobs of all) await jobs.runDue()
  await Promise.all(all.map((jobs) => jobs.stop()))
  const entries = await w.storage.view((tx) => tx.entries('done/'))
  assert.deepEqual([entries.length, new Set(entries.map(({ value }) => String(value))).size], [480, 1])
  for (const name of names) {
    const done = await w.storage.view((tx) => tx.scan(`by/${name}/`))
    assert.ok(done.length >= 480 / 16, `${name} did ${done.length}`)
    assert.ok((most.get(name) ?? 0) <= 4, `${name} was at ${most.get(name)} shards at once`)
  }
  assert.deepEqual(await w.storage.view((tx) => tx.scan('core/')), [], 'no lock is left')
})

test('a shard with much to do does not keep the others waiting', async () => {
  const w = world()
  const order: string[] = []
  const jobs = runner(w, {
    async endless(_tx, { id }) {
      order.push(id)
      w.clock += 400
      return order.length < 100 ? { at: w.now } : undefined
    },
    async mark() {
      order.push('small')
      return undefined
    },
  })
  // Five endless ones and one that is soon done, in shards of their own: more than are worked at at once.
  const ids = new Map(Array.from({ length: 200 }, (_, i) => [dueKey('endless', `id${i}`, 0).slice(4, 6), `id${i}`]))
  const [small, ...large] = [...ids.values()].slice(0, 6)
  await add(w, 'endless', large as string[])
  await add(w, 'mark', [small as string])
  jobs.start(w.storage)
  await jobs.runDue()
  await jobs.stop()
  assert.ok(order.indexOf('small') < 50, `it came after ${order.indexOf('small')} others`)
})

test('a dead holder is replaced within 15 seconds, also where the store fails now and then', async () => {
  for (const pollMs of [1_000, 3_000]) {
    const w = world()
    await add(w, 'work', ['x'])
    const never = new Promise<undefined>(() => {})
    const options = { now: () => w.now, clock: () => w.clock, log: () => {}, pollMs: 3600_000 }
    const dead = jobRunner({ ...options, handlers: new Map([['work', () => never]]) })
    dead.start(w.storage)
    void dead.runDue()
    while ((await w.storage.view((tx) => tx.scan('core/job/'))).length === 0)
      await new Promise((resolve) => setImmediate(resolve))
    const other = jobRunner({ ...options, handlers: new Map([['work', mark]]) })
    other.start(w.storage)
    let took = 0
    while ((await other.runDue()) === 0) {
      w.clock += pollMs
      took += pollMs
      assert.ok(took < 15_000, `not after ${took} ms with a look every ${pollMs} ms`)
    }
    // The first look comes up to one look after the death.
    assert.ok(took + pollMs < 15_000, `${took} ms`)
    await other.stop()
  }
})
