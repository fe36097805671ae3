// Contract of what a transaction takes for granted: expect, verify, and being run again when it was wrong.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bytes, type Open, read, type Subject, text, write } from './contract-kit.ts'
import { StorageError, TooMuchContention } from './storage.ts'

/** Registers this part of the suite. */
export function contractOfFacts(subject: Subject, open: Open): void {
  const versionOf = async (key: string): Promise<number> =>
    (await subject().storage.view((tx) => tx.get(key)))?.version ?? 0

  /** Counts the runs of a transaction that expects something in its first run only. */
  const runsExpecting = async (kind: 'view' | 'update' | 'write', key: string, version: number): Promise<number> => {
    let runs = 0
    const { storage } = subject()
    if (kind === 'view') {
      await storage.view(async (tx) => {
        runs++
        if (tx.attempt === 0) tx.expect(key, version)
      })
    } else {
      await storage.update(async (tx) => {
        runs++
        if (tx.attempt === 0) tx.expect(key, version)
        if (kind === 'write') tx.put('written', bytes(`${tx.attempt}`))
      })
    }
    return runs
  }

  describe('expect and verify', () => {
    for (const kind of ['view', 'update', 'write'] as const) {
      test(`${kind}: a true expectation holds, again and again`, async () => {
        await write(subject().storage, { a: '1' })
        const version = await versionOf('a')
        for (let i = 0; i < 3; i++) assert.equal(await runsExpecting(kind, 'a', version), 1)
        assert.equal(await runsExpecting(kind, 'none', 0), 1)
        await write(subject().storage, { b: '1' })
        assert.equal(await runsExpecting(kind, 'a', version), 1)
      })

      test(`${kind}: a false expectation makes the function run again`, async () => {
        const { storage } = subject()
        await write(storage, { a: '1' })
        const old = await versionOf('a')
        assert.equal(await runsExpecting(kind, 'a', old), 1)
        assert.equal(await runsExpecting(kind, 'a', 0), 2, 'it is there')
        assert.equal(await runsExpecting(kind, 'none', 7), 2, 'it is absent')
        await write(storage, { a: '2' })
        assert.equal(await runsExpecting(kind, 'a', old), 2, 'it was changed')
        const changed = await versionOf('a')
        assert.equal(await runsExpecting(kind, 'a', changed), 1)
        await write(storage, { a: undefined })
        assert.equal(await runsExpecting(kind, 'a', changed), 2, 'it was removed')
        assert.equal(await runsExpecting(kind, 'a', 0), 1)
        await write(storage, { a: '3' })
        assert.equal(await runsExpecting(kind, 'a', 0), 2, 'it came back')
        if (kind === 'write') assert.equal(await read(storage, 'written'), '1')
      })
    }

    test('what is expected and what is read must hold in one state', async () => {
      const { storage } = subject()
      await write(storage, { a: '1', b: '1' })
      const version = await versionOf('a')
      const seen = await storage.view(async (tx) => {
        if (tx.attempt === 0) {
          tx.expect('a', version)
          await write(storage, { a: '2', b: '2' })
        }
        return text((await tx.get('b'))?.value ?? new Uint8Array()) + tx.attempt
      })
      assert.equal(seen, '21')
    })

    test('expectations that contradict each other or make no sense', async () => {
      const { storage } = subject()
      let runs = 0
      await storage.view(async (tx) => {
        runs++
        if (tx.attempt > 0) return
        tx.expect('a', 0)
        tx.expect('a', 3)
      })
      assert.equal(runs, 2)
      await assert.rejects(
        storage.view(async (tx) => tx.expect('a', -1)),
        StorageError,
      )
    })

    test('verify passes while all holds, and rejects and runs again once it does not', async () => {
      const { storage } = subject()
      await write(storage, { a: '1' })
      const outcomes: string[] = []
      const attempts = await storage.view(async (tx) => {
        await tx.get('a')
        await tx.verify()
        if (tx.attempt === 0) {
          await write(storage, { a: '2' })
          await tx.verify().then(
            () => outcomes.push('held'),
            () => outcomes.push('rejected'),
          )
          try {
            await tx.get('a')
            outcomes.push('read on')
          } catch {
            outcomes.push('stopped')
          }
        }
        return tx.attempt
      })
      assert.deepEqual(outcomes, ['rejected', 'stopped'])
      assert.equal(attempts, 1, 'swallowing the rejection does not help')
    })

    for (const spoilt of ['p/b', 'gone']) {
      test(`verify sees a change of ${spoilt} in what was listed or expected`, async () => {
        const { storage } = subject()
        await write(storage, { 'p/a': '1' })
        const attempts = await storage.view(async (tx) => {
          await tx.list('p/')
          if (tx.attempt > 0) return tx.attempt
          tx.expect('gone', 0)
          await tx.verify()
          await write(storage, { [spoilt]: '1' })
          await tx.verify()
          return 'verified'
        })
        assert.equal(attempts, 1)
      })
    }

    test('what never holds is tried often, but not for ever', async () => {
      const { storage, close } = await open({ attemptsMax: 7 })
      let runs = 0
      for (const kind of ['view', 'update'] as const) {
        runs = 0
        const never = storage[kind](async (tx) => {
          assert.equal(tx.attempt, runs++)
          tx.expect('none', 5)
        })
        await assert.rejects(never, TooMuchContention)
        assert.equal(runs, 7)
      }
      await close()
    })

    test('an error thrown over a state that never was is not an answer', async () => {
      const { storage } = subject()
      await write(storage, { a: '1', b: '1' })
      const result = await storage.view(async (tx) => {
        const a = await tx.get('a')
        if (tx.attempt === 0) await write(storage, { a: '2', b: '2' })
        const b = await tx.get('b')
        if (text(a?.value ?? new Uint8Array()) !== text(b?.value ?? new Uint8Array())) throw new Error('torn')
        return tx.attempt
      })
      assert.equal(result, 1)
    })
  })
}
