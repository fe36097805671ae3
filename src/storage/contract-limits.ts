// Contract of sizes and of closing.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { bytes, read, type Subject, write } from './contract-kit.ts'
import { keyBytesMax, StorageClosed, StorageError, ValueTooLarge, valueBytesMax } from './storage.ts'

const digest = (value: Uint8Array | undefined): string =>
  createHash('sha256')
    .update(value ?? '')
    .digest('hex')

/** Registers this part of the suite. */
export function contractOfLimits(subject: Subject): void {
  describe('limits', () => {
    test('values of 1 MiB, many at once', async () => {
      const { storage } = subject()
      const values = Array.from({ length: 8 }, () => randomBytes(1024 * 1024))
      await Promise.all(values.map((value, i) => storage.update(async (tx) => tx.put(`big/${i}`, value))))
      const entries = await storage.view((tx) => tx.entries('big/'))
      assert.deepEqual(
        entries.map(({ value }) => digest(value)),
        values.map(digest),
      )
    })

    test('a value of 32 MiB is taken; a longer one is refused at once, with the limit in the message', async () => {
      const { storage } = subject()
      const value = randomBytes(1024)
      const largest = Buffer.alloc(valueBytesMax, value)
      await storage.update(async (tx) => tx.put('largest', largest))
      assert.equal(digest((await storage.view((tx) => tx.get('largest')))?.value), digest(largest))
      const refused = storage.update(async (tx) => {
        tx.put('a', bytes('1'))
        assert.throws(() => tx.put('larger', new Uint8Array(valueBytesMax + 1)), ValueTooLarge)
        tx.put('larger', new Uint8Array(valueBytesMax + 1))
      })
      await assert.rejects(
        refused,
        (error: unknown) => error instanceof ValueTooLarge && error.message.includes(`${valueBytesMax}`),
      )
      assert.equal(await read(storage, 'a'), undefined)
    })

    test('a key of the longest length is taken; longer and impossible ones are refused, and never found', async () => {
      const { storage } = subject()
      const longest = `${'\u{e9}'.repeat(keyBytesMax / 2 - 1)}ab`
      await write(storage, { [longest]: 'there' })
      assert.equal(await read(storage, longest), 'there')
      for (const [key, error] of [
        [`${longest}x`, ValueTooLarge],
        ['', StorageError],
        ['lone \ud800 surrogate', StorageError],
      ] as const) {
        await assert.rejects(write(storage, { [key]: 'x' }), error)
        assert.equal(await read(storage, key), undefined)
        await write(storage, { [key]: undefined })
        await storage.view(async (tx) => tx.expect(key, 0))
      }
      await write(storage, { '\ufffd': 'replacement' })
      assert.equal(await read(storage, '\ud800'), undefined)
      assert.deepEqual(await storage.view((tx) => tx.list('\ud800')), [])
    })

    test('close waits for what is under way; later calls are refused', async () => {
      const { storage, reopen } = subject()
      let closed = false
      const slow = storage.update(async (tx) => {
        await tx.get('a')
        await pause(30)
        assert.equal(closed, false)
        tx.put('a', bytes('slow'))
        return 'done'
      })
      const many = Array.from({ length: 20 }, (_, i) => write(storage, { [`many/${i}`]: '1' }))
      const closing = storage.close().then(() => {
        closed = true
      })
      await assert.rejects(
        storage.view(async () => 1),
        StorageClosed,
      )
      assert.equal(await slow, 'done')
      await Promise.all(many)
      await closing
      await assert.rejects(
        storage.view(async () => 1),
        StorageClosed,
      )
      await assert.rejects(write(storage, { a: '1' }), StorageClosed)
      await storage.close()
      if (!reopen) return
      const again = await reopen()
      assert.equal(await read(again, 'a'), 'slow')
      assert.equal((await again.view((tx) => tx.list('many/'))).length, 20)
    })
  })
}
