import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { generateKey } from '../crypto/aead.ts'
import {
  entriesOf,
  openPiece,
  openSums,
  pieceBytes,
  readSnapshot,
  SnapshotDamaged,
  type SnapshotHeader,
  type SnapshotPart,
  snapshotFormat,
  writeSnapshot,
} from './snapshot-file.ts'

const key = generateKey()
const header: SnapshotHeader = {
  format: snapshotFormat,
  id: 'e4f6d5a0-0000-4000-8000-000000000000',
  created: '2026-01-02T03:04:05.000Z',
  coffer_version: '0.1.0',
  cluster_id: 'cluster',
  storage_type: 'inmem',
  storage_format: 2,
  key: 'box',
  seal: {},
}

type Item = { key: string; value: Uint8Array }
async function* pagesOf(items: Item[], size = 3): AsyncGenerator<Item[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const made = async (items: Item[], with_ = header): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(writeSnapshot(with_, key, pagesOf(items))))

/** Reads and opens all of a file, as a restore does. */
async function opened(file: Uint8Array, size = 60_000): Promise<{ items: Item[]; parts: SnapshotPart[] }> {
  const parts: SnapshotPart[] = []
  const plain = async function* (): AsyncGenerator<Buffer> {
    for await (const part of readSnapshot(cut(file, size))) {
      parts.push(part)
      if (part.is === 'piece') yield openPiece(key, header.id, part)
      if (part.is === 'end') openSums(key, header.id, part)
    }
  }
  const items = await Array.fromAsync(entriesOf(plain(), 0))
  return { parts, items: items.map(({ key: name, value }) => ({ key: name, value: new Uint8Array(value) })) }
}

const many: Item[] = [
  ...Array.from({ length: 200 }, (_, i) => ({ key: `secret-path/${i}é`, value: new Uint8Array(randomBytes(20_000)) })),
  { key: 'z/large', value: new Uint8Array(randomBytes(5 * pieceBytes + 17)) },
  { key: 'z/none', value: new Uint8Array(0) },
]

describe('a snapshot file', () => {
  test('gives back what was written, however it arrives; an empty store too', async () => {
    for (const items of [[], many.slice(0, 1), many]) {
      const file = await made(items)
      for (const size of [997, 1_000_000]) {
        const { items: found, parts } = await opened(file, size)
        assert.deepEqual(found, items)
        assert.deepEqual(parts[0], { is: 'header', header })
        const end = parts.at(-1)
        assert.ok(end?.is === 'end')
        assert.equal(end.end.entries, items.length)
      }
    }
  })

  test('a value that ends with a piece needs no empty piece behind it', async () => {
    const value = new Uint8Array(2 * pieceBytes - 8 - 1)
    const { items, parts } = await opened(await made([{ key: 'k', value }]))
    assert.equal(items[0]?.value.length, value.length)
    assert.deepEqual(
      parts.flatMap((part) => (part.is === 'piece' ? [part.last] : [])),
      [false, true],
    )
  })

  test('shows no key and no value', async () => {
    const text = gunzipSync(await made(many)).toString('latin1')
    assert.ok(!text.includes('secret-path'))
    assert.ok(
      !text.includes(
        Buffer.from(many[3]?.value ?? [])
          .toString('latin1')
          .slice(0, 40),
      ),
    )
  })

  test('is noticed when a byte was changed, anywhere', async () => {
    const plain = gunzipSync(await made(many.slice(0, 60)))
    const places = [3, 130, 600, 2000, 2100, 500_000, 1_100_000]
    for (let at = plain.length - 1024 - 4000; at < plain.length - 1024; at += 101) places.push(at)
    let noticed = 0
    for (const at of places) {
      const altered = Buffer.from(plain)
      altered[at] = (altered[at] as number) ^ 1
      const outcome = await opened(gzipSync(altered, { level: 1 })).then(
        // Padding is no content, and file modes and times are not asked for.
        ({ items, parts }) => assert.deepEqual([items, parts[0]], [many.slice(0, 60), { is: 'header', header }]),
        (error: unknown) => {
          assert.ok(error instanceof SnapshotDamaged, String(error))
          noticed++
        },
      )
      assert.equal(outcome, undefined)
    }
    assert.ok(noticed > 10, `${noticed} of ${places.length}`)
  })

  test('is noticed when it was cut off, anywhere', async () => {
    const file = await made(many.slice(0, 120))
    for (let part = 1; part < 40; part++)
      await assert.rejects(opened(file.subarray(0, Math.floor((file.length * part) / 40))), SnapshotDamaged)
    await assert.rejects(opened(file.subarray(0, file.length - 1)), SnapshotDamaged)
    await assert.rejects(opened(Buffer.alloc(0)), SnapshotDamaged)
  })

  test('pieces cannot be swapped, dropped or taken from another snapshot', async () => {
    const parts = await Array.fromAsync(readSnapshot(cut(await made(many), 100_000)))
    const pieces = parts.filter((part) => part.is === 'piece')
    assert.ok(pieces.length >= 4)
    const [first, second] = pieces as [(typeof pieces)[0], (typeof pieces)[0]]
    const open = (piece: (typeof pieces)[0], id = header.id) => openPiece(key, id, piece)
    open(first)
    assert.throws(() => open({ ...first, n: 1 }), SnapshotDamaged)
    assert.throws(() => open({ ...second, n: 0 }), SnapshotDamaged)
    assert.throws(() => open({ ...first, last: true }), SnapshotDamaged)
    assert.throws(() => open({ ...(pieces.at(-1) as (typeof pieces)[0]), last: false }), SnapshotDamaged)
    assert.throws(() => open(first, 'another'), SnapshotDamaged)
    assert.throws(() => openPiece(generateKey(), header.id, first), SnapshotDamaged)
  })

  test('what is no snapshot is refused with a word: text, another archive, a later format, one that inflates', async () => {
    const refused = (file: Uint8Array, word: RegExp) =>
      assert.rejects(opened(file), (error: Error) => error instanceof SnapshotDamaged && word.test(error.message))
    await refused(Buffer.from('hello'), /no snapshot/)
    await refused(gzipSync('hello'), /cut short/)
    await refused(gzipSync(Buffer.alloc(100_000_000)), /inflates|cannot be read|cut short/)
    await refused(await made([], { ...header, format: 'coffer-snapshot/9' as never }), /format coffer-snapshot\/9/)
    await refused(await made([], { ...header, format: 'other' as never }), /no snapshot of Coffer/)
  })

  test('an error of the entries cuts the file off', async () => {
    const failing = async function* (): AsyncGenerator<Item[]> {
      yield many.slice(0, 3)
      throw new Error('the disk is gone')
    }
    await assert.rejects(Array.fromAsync(writeSnapshot(header, key, failing())), /the disk is gone/)
  })

  test('an error of the source is told as it is', async () => {
    const file = await made(many)
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield file.subarray(0, 1_000_000)
      throw new Error('the client is gone')
    }
    await assert.rejects(Array.fromAsync(readSnapshot(failing())), /the client is gone/)
  })
})
