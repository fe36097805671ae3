// Contract of a single transaction: all or nothing, own writes, mark and rollback, versions, injected failures.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bytes, read, type Subject, text, write } from './contract-kit.ts'
import { faultyStorage } from './faulty.ts'
import { OutcomeUnknown, type Reader, type Storage, StorageError, type Writer } from './storage.ts'

/** Registers this part of the suite. */
export function contractOfWrites(subject: Subject): void {
  describe('writes', () => {
    test('a put is read back with bytes and version; an absent key is undefined', async () => {
      const { storage } = subject()
      await write(storage, { a: '1', b: '2' })
      const [a, b, none] = await storage.view((tx) => tx.getMany(['a', 'b', 'none']))
      assert.equal(a?.key, 'a')
      assert.equal(text(a?.value ?? new Uint8Array()), '1')
      assert.equal(none, undefined)
      assert.ok(a !== undefined && b !== undefined && a.version > 0)
      assert.equal(a.version, b.version, 'keys of one commit have one version')
      await write(storage, { c: '3' })
      const c = await storage.view((tx) => tx.get('c'))
      assert.ok(c !== undefined && c.version > a.version, 'versions are store-wide')
    })

    test('update returns what the function returns', async () => {
      assert.equal(await subject().storage.update(async () => 42), 42)
      assert.equal(await subject().storage.view(async () => 'x'), 'x')
    })

    test('the revision of a commit is told, once, and none where nothing was written', async () => {
      const { storage } = subject()
      const told: number[] = []
      const note = (revision: number): void => void told.push(revision)
      await storage.update(async (tx) => tx.put('a', bytes('1')), note)
      assert.deepEqual(told, [(await storage.view((tx) => tx.get('a')))?.version])
      await storage.update(async (tx) => tx.get('a'), note)
      await assert.rejects(
        storage.update(async (tx) => {
          tx.put('a', bytes('2'))
          throw new Error('mine')
        }, note),
      )
      assert.equal(told.length, 1)
      await storage.update(async (tx) => tx.delete('a'), note)
      await write(storage, { b: '1' })
      const b = await storage.view((tx) => tx.get('b'))
      const [put = 0, removal = 0] = told
      assert.ok(put < removal && removal < (b?.version ?? 0), 'a removal is a commit')
      let runs = 0
      await storage.update(async (tx) => {
        await tx.get('b')
        if (++runs === 1) await write(storage, { b: '2' })
        tx.put('c', bytes('1'))
      }, note)
      assert.deepEqual([runs, told.length], [2, 3], 'put, removal, and the second run')
      assert.equal(told[2], (await storage.view((tx) => tx.get('c')))?.version)
    })

    test('an error in the function writes nothing and comes out as it was', async () => {
      const { storage } = subject()
      const error = new Error('mine')
      const failing = storage.update(async (tx) => {
        tx.put('a', bytes('1'))
        throw error
      })
      await assert.rejects(failing, (thrown) => thrown === error)
      assert.equal(await read(storage, 'a'), undefined)
    })

    test('empty values, and bytes that are changed after the call, stay what they were', async () => {
      const { storage } = subject()
      const value = bytes('before')
      await storage.update(async (tx) => {
        tx.put('a', value)
        tx.put('empty', new Uint8Array(0))
        value.fill(0)
      })
      const own = await storage.view((tx) => tx.get('a'))
      own?.value.fill(1)
      assert.equal(await read(storage, 'a'), 'before')
      assert.equal(await read(storage, 'empty'), '')
    })

    test('own writes and removals are seen in get and getMany', async () => {
      const { storage } = subject()
      await write(storage, { a: 'old', b: 'old' })
      await storage.update(async (tx) => {
        tx.put('a', bytes('new'))
        tx.delete('b')
        tx.put('c', bytes('new'))
        assert.equal(text((await tx.get('a'))?.value ?? new Uint8Array()), 'new')
        assert.equal(await tx.get('b'), undefined)
        const many = await tx.getMany(['c', 'b', 'a', 'd'])
        assert.deepEqual(
          many.map((entry) => entry && text(entry.value)),
          ['new', undefined, 'new', undefined],
        )
      })
    })

    test('rollback drops the writes made since the mark, and only those', async () => {
      const { storage } = subject()
      await write(storage, { kept: 'old', gone: 'old' })
      await storage.update(async (tx) => {
        tx.put('kept', bytes('core'))
        const mark = tx.mark()
        tx.put('kept', bytes('handler'))
        tx.put('other', bytes('handler'))
        tx.delete('gone')
        tx.rollback(mark)
        assert.equal(text((await tx.get('kept'))?.value ?? new Uint8Array()), 'core')
        assert.equal(await tx.get('other'), undefined)
        assert.ok(await tx.get('gone'))
        tx.put('after', bytes('rollback'))
      })
      assert.deepEqual(await Promise.all(['kept', 'other', 'gone', 'after'].map((key) => read(storage, key))), [
        'core',
        undefined,
        'old',
        'rollback',
      ])
    })

    test('a view cannot write, and a transaction that is over cannot be used', async () => {
      const { storage } = subject()
      await assert.rejects(
        storage.view(async (tx) => (tx as Writer).put('a', bytes('1'))),
        StorageError,
      )
      let kept: Reader | undefined
      await storage.update(async (tx) => {
        kept = tx
      })
      await assert.rejects(async () => kept?.get('a'), StorageError)
      assert.throws(() => (kept as Writer).put('a', bytes('1')), StorageError)
    })

    test('delete and re-create gives a new version; the old one is not expected in vain', async () => {
      const { storage } = subject()
      await write(storage, { a: 'same' })
      const first = await storage.view((tx) => tx.get('a'))
      await write(storage, { a: undefined })
      await write(storage, { a: 'same' })
      const second = await storage.view((tx) => tx.get('a'))
      assert.ok(first && second && second.version > first.version)
      let runs = 0
      await storage.view(async (tx) => {
        runs++
        if (tx.attempt === 0) tx.expect('a', first.version)
      })
      assert.equal(runs, 2)
    })

    test('removing what is absent is no error, and what is written survives reopening', async () => {
      const { storage, reopen } = subject()
      await write(storage, { none: undefined, a: '1' })
      if (!reopen) return
      const again = await reopen()
      assert.equal(await read(again, 'a'), '1')
      const before = await again.view((tx) => tx.get('a'))
      await write(again, { b: '2' })
      const after = await again.view((tx) => tx.get('b'))
      assert.ok(before && after && after.version > before.version, 'revisions go on after reopening')
    })

    test('a failure at any call leaves all or nothing, and a lost answer leaves all', async () => {
      const { storage } = subject()
      const faulty = faultyStorage(storage)
      const work = (round: number) =>
        faulty.update(async (tx) => {
          await tx.get('x')
          await tx.getMany(['x', 'y'])
          tx.put('x', bytes(`${round}`))
          await tx.list('')
          await tx.scan('')
          await tx.entries('')
          tx.put('y', bytes(`${round}`))
          await tx.verify()
          tx.put('z', bytes(`${round}`))
        })
      const state = async (): Promise<(string | undefined)[]> =>
        Promise.all(['x', 'y', 'z'].map((key) => read(storage, key)))
      await work(0)
      const calls = faulty.calls()
      assert.equal(calls, 8)
      for (let n = 1; n <= calls; n++) {
        faulty.reset(n)
        const before = await state()
        const error = await work(n).then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        assert.ok(error instanceof StorageError, `call ${n} fails`)
        const written = Array(3).fill(`${n}`)
        assert.deepEqual(await state(), error instanceof OutcomeUnknown ? written : before, `call ${n}`)
        assert.equal(error instanceof OutcomeUnknown, n === calls)
      }
      faulty.reset()
      await work(99)
      assert.deepEqual(await state(), ['99', '99', '99'])
    })

    test('updates that write nothing leave the versions alone', async () => {
      const { storage } = subject()
      await write(storage, { a: '1' })
      const version = async (of: Storage): Promise<number | undefined> => (await of.view((tx) => tx.get('a')))?.version
      const before = await version(storage)
      await storage.update((tx) => tx.get('a'))
      await write(storage, { b: '2' })
      const b = await storage.view((tx) => tx.get('b'))
      assert.equal(await version(storage), before)
      assert.equal(b?.version, (before ?? 0) + 1)
    })
  })
}
