// Contract of export: every entry once, in order, of one state whatever is committed meanwhile, in pages that memory can hold.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import { bytes, type Subject, text, write } from './contract-kit.ts'
import { type Entry, type ExportOptions, pageMax, type Storage, StorageClosed } from './storage.ts'

const pagesOf = (storage: Storage, options?: ExportOptions): AsyncIterable<readonly Entry[]> => {
  assert.ok(storage.export, 'the store can be exported')
  return storage.export(options)
}

const all = async (storage: Storage, options?: ExportOptions): Promise<Entry[]> =>
  (await Array.fromAsync(pagesOf(storage, options))).flat()

const numbered = (count: number, value: string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`n/${String(i).padStart(5, '0')}`, value]))

/** Registers the part of the suite. */
export function contractOfExport(subject: Subject): void {
  describe('export', () => {
    test('an empty store gives nothing', async () => {
      assert.deepEqual(await all(subject().storage), [])
    })

    test('every entry comes once, with value and version, in the order of bytes; after leaves out what lies before', async () => {
      const { storage } = subject()
      const keys = [
        'a',
        'a/',
        'a/b',
        'a0',
        'é',
        '\u{d7ff}',
        '\u{e000}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
        '\0',
        'z/\0',
      ]
      await write(storage, Object.fromEntries(keys.map((key) => [key, `value of ${key}`])))
      await write(storage, { a: 'newer', gone: 'x' })
      await write(storage, { gone: undefined })
      const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      const found = await all(storage)
      assert.deepEqual(
        found.map(({ key }) => key),
        sorted,
      )
      const read = await storage.view((tx) => tx.getMany(sorted))
      assert.deepEqual(
        found.map(({ key, value, version }) => [key, text(value), version]),
        read.map((entry) => entry && [entry.key, text(entry.value), entry.version]),
      )
      for (const after of ['a', 'a/', 'a!', '\u{ffff}', '\u{10ffff}'])
        assert.deepEqual(
          (await all(storage, { after })).map(({ key }) => key),
          sorted.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0),
        )
    })

    test('all pages are of one state, whatever is committed between them', async () => {
      const { storage } = subject()
      const count = 2 * pageMax.entries + 100
      await write(storage, numbered(count, 'before'))
      let writing: Promise<void> | undefined
      const found: Entry[] = []
      for await (const page of pagesOf(storage)) {
        found.push(...page)
        // Waited for: the commit is there before the next page is asked for, and no page waits for a commit.
        if (!writing) {
          writing = write(storage, {
            ...numbered(count, 'after'),
            'n/00000x': 'new',
            'z/last': 'new',
            'n/02000': undefined,
          })
          await writing
        }
      }
      assert.equal(found.length, count)
      assert.ok(found.every(({ value }) => text(value) === 'before'))
      const later = await all(storage)
      assert.equal(later.length, count + 1)
      assert.ok(later.every(({ value }) => text(value) !== 'before'))
    })

    test('writers go on while an export is open, and see their own writes', async () => {
      const { storage } = subject()
      await write(storage, numbered(3 * pageMax.entries, 'x'))
      let rounds = 0
      for await (const _ of pagesOf(storage)) {
        await write(storage, { counter: String(++rounds) })
        assert.equal(
          await storage.view(async (tx) => text((await tx.get('counter'))?.value ?? bytes(''))),
          String(rounds),
        )
      }
      assert.equal(rounds, 3)
    })

    test('pages are bounded by number and by bytes', async () => {
      const { storage } = subject()
      const large = new Uint8Array(pageMax.bytes / 4).fill(7)
      await storage.update(async (tx) => {
        for (let i = 0; i < 10; i++) tx.put(`large/${i}`, large)
        tx.put('large/x', new Uint8Array(3 * pageMax.bytes))
        for (let i = 0; i < pageMax.entries + 5; i++) tx.put(`small/${i}`, bytes('1'))
      })
      let entries = 0
      for await (const page of pagesOf(storage)) {
        entries += page.length
        assert.ok(page.length >= 1 && page.length <= pageMax.entries)
        const size = page.slice(0, -1).reduce((sum, { value }) => sum + value.byteLength, 0)
        assert.ok(size < pageMax.bytes, `${size} bytes before the last entry of a page`)
      }
      assert.equal(entries, 11 + pageMax.entries + 5)
    })

    test('one that is left early, or never begun, holds up nothing; several run side by side', async () => {
      const { storage } = subject()
      await write(storage, numbered(2 * pageMax.entries, 'x'))
      pagesOf(storage)
      for await (const _ of pagesOf(storage)) break
      await write(storage, { more: 'y' })
      const [one, two] = await Promise.all([all(storage), all(storage)])
      assert.equal(one.length, 2 * pageMax.entries + 1)
      assert.deepEqual(one, two)
    })

    test('closing the store ends it', async () => {
      const { storage } = subject()
      await write(storage, numbered(3 * pageMax.entries, 'x'))
      const pages = pagesOf(storage)[Symbol.asyncIterator]()
      assert.equal((await pages.next()).done, false)
      await storage.close()
      await assert.rejects(pages.next(), StorageClosed)
      await assert.rejects(all(storage), StorageClosed)
    })
  })
}
