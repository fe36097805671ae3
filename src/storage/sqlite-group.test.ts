import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Facts } from './sqlite-facts.ts'
import { startWriter } from './sqlite-group.ts'
import { OutcomeUnknown, StorageClosed, StorageUnusable } from './storage.ts'
import { type Keeper, type Moment, Transaction } from './transaction.ts'

/** A writer thread's script. `starts` counts the threads started so far, in the memory they share. */
const script = (body: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort, workerData } from 'node:worker_threads'
      const starts = Number(Atomics.add(workerData.shared, 0, 1n)) + 1
      ${body}`)}`,
  )
const file = { path: 'nowhere', bytesMax: undefined, busyMs: 0 }
const moment: Moment = { stamp: 0, floor: 0 }
const keeper: Keeper = {
  begin: () => moment,
  get: () => undefined,
  getMany: () => [],
  names: () => [],
  entries: () => [],
  prove: () => true,
  commit: async () => 1,
}
const writing = (key: string): Transaction => {
  const tx = new Transaction(keeper, 0, true)
  tx.put(key, new Uint8Array(1))
  return tx
}
const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

test('a writer that dies leaves what was sent unknown, and what was not sent goes to the next one', async () => {
  const dying = script(`
    let groups = 0
    parentPort.postMessage({ is: 'ready' })
    parentPort.on('message', ({ words }) => {
      groups++
      if (words === undefined) parentPort.close()
      else if (starts === 1) setTimeout(() => process.exit(1), 20)
      else if (starts === 2 && groups === 2) setTimeout(() => { throw new Error('in another way') }, 20)
      else parentPort.postMessage({ is: 'done', results: [starts], reason: '' })
    })`)
  const writer = await startWriter({ ...file, script: dying })
  const facts = new Facts({ counter: () => 1, revision: () => 1 }, writer.shared)
  writer.attach(facts)
  for (const next of [2, 3]) {
    facts.learn('b', 3)
    const sent = writer.commit(writing('a'), 0)
    await nextTurn()
    const queued = writer.commit(writing('c'), 0)
    await assert.rejects(sent, OutcomeUnknown)
    assert.equal(facts.version('b'), undefined, 'nothing is taken for known any more')
    assert.equal(await queued, next)
    assert.equal(facts.moment.floor, next)
  }
  await writer.close()
})

test('a writer that cannot be started again closes the store', async () => {
  const once = script(`
    if (starts > 1) parentPort.postMessage({ is: 'refused', reason: 'gone' })
    else {
      parentPort.postMessage({ is: 'ready' })
      parentPort.on('message', () => setTimeout(() => process.exit(1), 20))
    }`)
  const writer = await startWriter({ ...file, script: once })
  const sent = writer.commit(writing('a'), 0)
  await nextTurn()
  const queued = writer.commit(writing('b'), 0)
  await Promise.all([assert.rejects(sent, OutcomeUnknown), assert.rejects(queued, StorageClosed)])
  await assert.rejects(writer.commit(writing('c'), 0), StorageClosed)
  await writer.close()
})

test('a writer that refuses the file, or does not start, is said to', async () => {
  await assert.rejects(
    startWriter({ ...file, script: script(`parentPort.postMessage({ is: 'refused', reason: 'why' })`) }),
    {
      name: 'StorageUnusable',
      message: 'why',
    },
  )
  await assert.rejects(startWriter({ ...file, script: script(`throw new Error('broken')`) }), StorageUnusable)
})

test('commits of one turn go as one group, and those that come meanwhile as the next', async () => {
  const counting = script(`
    let group = 0
    parentPort.postMessage({ is: 'ready' })
    parentPort.on('message', ({ words }) => {
      if (words === undefined) return parentPort.close()
      group++
      const results = words.filter((word) => word === 'a').map(() => group)
      setTimeout(() => parentPort.postMessage({ is: 'done', results, reason: '' }), 20)
    })`)
  const writer = await startWriter({ ...file, script: counting })
  const facts = new Facts({ counter: () => 1, revision: () => 1 }, writer.shared)
  writer.attach(facts)
  const first = [1, 2, 3].map(() => writer.commit(writing('a'), 0))
  await nextTurn()
  const second = [1, 2].map(() => writer.commit(writing('a'), 0))
  await nextTurn()
  second.push(writer.commit(writing('a'), 0))
  await Promise.all(first)
  assert.equal(facts.moment.floor, 1)
  await Promise.all(second)
  assert.equal(facts.moment.floor, 2)
  await writer.close()
})
