// The barrier's promises: nothing in clear below, values bound to their keys, the clear records out of reach, sealed means no.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { memoryStorage } from '../storage/memory.ts'
import type { Reader, Soon, Writer } from '../storage/storage.ts'
import { Sealed, Undecryptable } from './errors.ts'
import { termOf } from './keyring.ts'
import { node, openNode, readText, unsealWith, writeText } from './testing.ts'

test('values are ciphertext below and come back with the version of their commit', async () => {
  const { life, storage } = await openNode()
  await writeText(life.barrier, 'data/a', 'canary-value')
  const below = await storage.view((tx) => tx.get('data/a'))
  const above = await life.barrier.view((tx) => tx.get('data/a'))
  assert.equal(Buffer.from(above?.value ?? []).toString(), 'canary-value')
  assert.equal(above?.version, below?.version)
  const all = await storage.view((tx) => tx.entries(''))
  for (const { key, value } of all) assert.ok(!Buffer.from(value).includes('canary-value'), key)
  assert.equal(termOf(below?.value ?? new Uint8Array()), 1)
})

test('a value moved to another key, bent or not in the format does not open', async () => {
  const { life, storage } = await openNode()
  await writeText(life.barrier, 'data/a', 'one')
  const { value } = (await storage.view((tx) => tx.get('data/a'))) ?? assert.fail()
  const bent = Buffer.from(value)
  bent[bent.length - 1] = (bent.at(-1) as number) ^ 1
  await storage.update(async (tx) => {
    tx.put('data/b', value)
    tx.put('data/c', bent)
    tx.put('data/d', Buffer.from('plain text that somebody put there'))
    tx.put('data/e', Buffer.concat([Buffer.from([1, 0, 0, 0, 9]), value.subarray(5)]))
  })
  for (const key of ['data/b', 'data/c', 'data/d', 'data/e'])
    await assert.rejects(readText(life.barrier, key), Undecryptable, key)
})

test('writes are seen inside their transaction, rolled back to a mark, and all or nothing', async () => {
  const { life } = await openNode()
  await life.barrier.update(async (tx) => {
    tx.put('k/1', Buffer.from('1'))
    const mark = tx.mark()
    tx.put('k/2', Buffer.from('2'))
    tx.rollback(mark)
    assert.equal(Buffer.from((await tx.get('k/1'))?.value ?? []).toString(), '1')
    assert.equal(await tx.get('k/2'), undefined)
  })
  await assert.rejects(
    life.barrier.update(async (tx) => {
      tx.put('k/3', Buffer.from('3'))
      throw new Error('no')
    }),
  )
  assert.deepEqual(await life.barrier.view((tx) => tx.scan('k/')), ['1'])
  const many = await life.barrier.view((tx) => tx.getMany(['k/2', 'k/1']))
  assert.deepEqual(
    many.map((entry) => entry && Buffer.from(entry.value).toString()),
    [undefined, '1'],
  )
  await life.barrier.update(async (tx) => tx.delete('k/1'))
  assert.equal(await readText(life.barrier, 'k/1'), undefined)
})

test('a false expectation runs the function again', async () => {
  const { life } = await openNode()
  await writeText(life.barrier, 'k', 'x')
  let runs = 0
  await life.barrier.update(async (tx) => {
    runs++
    if (tx.attempt === 0) tx.expect('k', 0)
    tx.put('other', Buffer.from('y'))
  })
  assert.equal(runs, 2)
})

test('records under seal/ are out of reach and do not show in any range', async () => {
  const { life } = await openNode()
  for (const key of ['a/1', 'sea', 'seal0', 'z/1', 'z/2']) await writeText(life.barrier, key, key)
  const { barrier } = life
  await assert.rejects(readText(barrier, 'seal/keyring'), /not reachable/)
  await assert.rejects(writeText(barrier, 'seal/slots', 'x'), /not reachable/)
  await assert.rejects(
    barrier.update(async (tx) => tx.delete('seal/slots')),
    /not reachable/,
  )
  const view = <T>(fn: (tx: Reader) => Soon<T>) => barrier.view(fn)
  assert.deepEqual(await view((tx) => tx.list('')), ['a/', 'sea', 'seal0', 'tokens/', 'z/'])
  assert.deepEqual(await view((tx) => tx.list('', { limit: 3 })), ['a/', 'sea', 'seal0'])
  assert.deepEqual(await view((tx) => tx.list('se')), ['a', 'al0'])
  assert.deepEqual(await view((tx) => tx.list('seal/')), [])
  assert.deepEqual(await view((tx) => tx.scan('seal/')), [])
  assert.deepEqual(await view((tx) => tx.entries('seal/count/')), [])
  const all = (await view((tx) => tx.scan(''))).filter((key) => !key.startsWith('tokens/'))
  assert.deepEqual(all, ['a/1', 'sea', 'seal0', 'z/1', 'z/2'])
  for (let limit = 1; limit <= 6; limit++) {
    const page = await view((tx) => tx.scan('', { limit }))
    assert.equal(page.length, limit, `limit ${limit}`)
    assert.ok(page.every((key) => !key.startsWith('seal/')))
    const entries = await view((tx) => tx.entries('', { limit }))
    assert.deepEqual(
      entries.map(({ key }) => key),
      page,
    )
    assert.ok(entries.every(({ key, value }) => key.startsWith('tokens/') || Buffer.from(value).toString() === key))
  }
})

test('sealed: every call says so, also in a transaction that began before', async () => {
  const { life } = await openNode()
  await writeText(life.barrier, 'k', 'x')
  const calls: [string, (tx: Writer) => unknown][] = [
    ['get', (tx) => tx.get('k')],
    ['getMany', (tx) => tx.getMany(['k'])],
    ['list', (tx) => tx.list('')],
    ['scan', (tx) => tx.scan('')],
    ['entries', (tx) => tx.entries('')],
    ['expect', (tx) => tx.expect('k', 1)],
    ['put', (tx) => tx.put('k', Buffer.from('y'))],
    ['delete', (tx) => tx.delete('k')],
  ]
  await life.barrier.update(async (tx) => {
    await life.seal()
    for (const [name, call] of calls) await assert.rejects(async () => call(tx), Sealed, name)
  })
  assert.equal(life.barrier.sealed, true)
  await assert.rejects(
    life.barrier.view(async () => undefined),
    Sealed,
  )
  await assert.rejects(
    life.barrier.update(async () => undefined),
    Sealed,
  )
  await assert.rejects(life.keyStatus(), Sealed)
  await assert.rejects(life.refresh(), Sealed)
  await assert.rejects(life.rotate(), Sealed)
})

test('a key that was written before a restart is read after it', async () => {
  const storage = memoryStorage()
  const first = node(storage)
  const init = await first.life.initialize({
    secret: { shares: 1, threshold: 1, pgpKeys: [] },
    recovery: { shares: 0, threshold: 0, pgpKeys: [] },
    rootTokenPgpKey: '',
  })
  await unsealWith(first.life, init.keys)
  await writeText(first.life.barrier, 'k', 'kept')
  await first.life.close()
  const second = node(storage)
  await unsealWith(second.life, init.keys)
  assert.equal(await readText(second.life.barrier, 'k'), 'kept')
})
