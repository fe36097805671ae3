// The barrier is a Storage: it passes the suite of all storages, on top of the memory store. Left out is the part on limits, since a value
// may have as many bytes less as its box has more; that limit is shown here.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Opened } from '../storage/contract.ts'
import { contractOfConcurrency } from '../storage/contract-concurrency.ts'
import { contractOfFacts } from '../storage/contract-facts.ts'
import { contractOfRanges } from '../storage/contract-ranges.ts'
import { contractOfWrites } from '../storage/contract-writes.ts'
import { memoryStorage } from '../storage/memory.ts'
import { ValueTooLarge, valueBytesMax } from '../storage/storage.ts'
import { node, openNode, spec, unsealWith, wanted, writeText } from './testing.ts'

async function open(options: { readonly attemptsMax?: number }): Promise<Opened> {
  const storage = memoryStorage(options)
  const { life } = node(storage, { ports: { createRootToken: async () => 'none' } })
  const { keys } = await life.initialize(wanted(spec(1, 1)))
  await unsealWith(life, keys)
  // The first write of a process reserves encryptions below `seal/`, which a transaction that reads the range of all keys would notice.
  await writeText(life.barrier, 'first', 'x')
  await life.barrier.update(async (tx) => tx.delete('first'))
  return { storage: life.barrier, close: () => storage.close() }
}

describe('storage contract: barrier over memory', () => {
  let opened: Opened
  beforeEach(async () => {
    opened = await open({})
  })
  afterEach(() => opened.close())
  const subject = (): Opened => opened
  contractOfWrites(subject)
  contractOfFacts(subject, open)
  contractOfConcurrency(subject)
  contractOfRanges(subject)
})

test('the longest value leaves room for its box, and the error names the limit', async () => {
  const { life } = await openNode(1, 1)
  const most = valueBytesMax - 33
  await life.barrier.update(async (tx) => tx.put('k', new Uint8Array(most)))
  assert.equal((await life.barrier.view((tx) => tx.get('k')))?.value.length, most)
  await assert.rejects(
    life.barrier.update(async (tx) => tx.put('k', new Uint8Array(most + 1))),
    (error) => error instanceof ValueTooLarge && error.message.includes(String(most)),
  )
})
