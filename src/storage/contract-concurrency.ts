// Contract of transactions beside each other: no lost update, no phantom, no write skew, a view is one state.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { bytes, meeting, read, type Subject, text, write } from './contract-kit.ts'
import type { Reader, Writer } from './storage.ts'

const number = async (tx: Reader, key: string): Promise<number> => {
  const entry = await tx.get(key)
  return entry === undefined ? 0 : Number(text(entry.value))
}
const putNumber = (tx: Writer, key: string, value: number): void => tx.put(key, bytes(`${value}`))

/** Registers this part of the suite. */
export function contractOfConcurrency(subject: Subject): void {
  describe('concurrency', () => {
    test('counters lose no update', async () => {
      const { storage } = subject()
      const clients = 24
      const rounds = 8
      let reruns = 0
      const client = async (id: number): Promise<void> => {
        for (let round = 0; round < rounds; round++) {
          await storage.update(async (tx) => {
            reruns += tx.attempt > 0 ? 1 : 0
            putNumber(tx, 'all', (await number(tx, 'all')) + 1)
            await turn()
            putNumber(tx, `some/${id % 3}`, (await number(tx, `some/${id % 3}`)) + 1)
          })
        }
      }
      await Promise.all(Array.from({ length: clients }, (_, id) => client(id)))
      assert.equal(await read(storage, 'all'), `${clients * rounds}`)
      for (const third of [0, 1, 2]) assert.equal(await read(storage, `some/${third}`), `${(clients * rounds) / 3}`)
      assert.ok(reruns > 0, 'they did meet')
    })

    test('attempt counts the runs before', async () => {
      const { storage } = subject()
      const attempts: number[] = []
      await storage.update(async (tx) => {
        attempts.push(tx.attempt)
        await tx.get('a')
        if (tx.attempt < 3) await write(storage, { a: `${tx.attempt}` })
        tx.put('b', bytes('1'))
      })
      assert.deepEqual(attempts, [0, 1, 2, 3])
    })

    // Each of these reads something, and writes only where it found it as at the start: only one of two may win.
    const skews: Record<string, (tx: Writer, own: string, other: string) => Promise<boolean>> = {
      'write skew on absent keys': async (tx, _own, other) => (await tx.get(other)) === undefined,
      'write skew on absent keys read together': async (tx, _own, other) =>
        (await tx.getMany(['none', other])).every((entry) => entry === undefined),
      'a phantom in list': async (tx) => (await tx.list('p/')).length === 0,
      'a phantom in list with a limit': async (tx) => (await tx.list('', { after: 'o', limit: 1 })).length === 0,
      'a phantom in scan': async (tx) => (await tx.scan('p/')).length === 0,
      'a phantom in scan with a limit': async (tx) => (await tx.scan('', { after: 'o', limit: 1 })).length === 0,
      'a phantom in entries': async (tx) => (await tx.entries('p/')).length === 0,
      'a phantom in entries with a limit': async (tx) => (await tx.entries('', { after: 'o', limit: 1 })).length === 0,
      'a false expectation': async (tx, _own, other) => {
        if (tx.attempt === 0) tx.expect(other, 0)
        return tx.attempt === 0 || (await tx.get(other)) === undefined
      },
      'own writes under a list': async (tx, own) => {
        tx.put(`p/${own}`, bytes('1'))
        const names = await tx.list('p/')
        tx.delete(`p/${own}`)
        return names.length === 1
      },
    }
    for (const [name, free] of Object.entries(skews)) {
      test(`${name} is excluded`, async () => {
        const { storage } = subject()
        await write(storage, { a: '1' })
        const meet = meeting(2)
        const claim = (own: string, other: string): Promise<boolean> =>
          storage.update(async (tx) => {
            const won = await free(tx, own, other)
            if (tx.attempt === 0) await meet()
            if (won) tx.put(own, bytes('mine'))
            return won
          })
        const won = await Promise.all([claim('p/one', 'p/two'), claim('p/two', 'p/one')])
        assert.deepEqual(won.toSorted(), [false, true])
        assert.equal((await storage.view((tx) => tx.scan('p/'))).length, 1)
      })
    }

    test('a change outside what was read disturbs nobody', async () => {
      const { storage } = subject()
      await write(storage, { 'p/a': '1', 'q/a': '1' })
      const attempt = await storage.update(async (tx) => {
        await tx.get('p/a')
        await tx.list('p/', { limit: 1 })
        await tx.scan('p/')
        await tx.entries('p/', { limit: 1 })
        if (tx.attempt === 0) await write(storage, { 'q/a': '2', 'q/b': '1', p: '1', p0: '1' })
        tx.put('x', bytes('1'))
        return tx.attempt
      })
      assert.equal(attempt, 0)
    })

    test('a changed value spoils entries, and spoils neither list nor scan', async () => {
      const { storage } = subject()
      await write(storage, { 'p/a': '1' })
      const attempts = (range: (tx: Reader) => Promise<unknown>): Promise<number> =>
        storage.update(async (tx) => {
          await range(tx)
          if (tx.attempt === 0) await write(storage, { 'p/a': '2' })
          tx.put('x', bytes('1'))
          return tx.attempt
        })
      assert.equal(await attempts((tx) => tx.entries('p/')), 1)
      assert.equal(await attempts((tx) => tx.list('p/')), 0)
      assert.equal(await attempts((tx) => tx.scan('p/')), 0)
    })

    test('a view is one state while writers move amounts between keys', async () => {
      const { storage } = subject()
      const keys = ['a', 'b', 'c', 'd']
      await write(storage, { a: '100', b: '100', c: '100', d: '100' })
      let over = false
      const mover = async (seed: number): Promise<void> => {
        for (let i = seed; i < seed + 40; i++) {
          const from = keys[i % 4] as string
          const to = keys[(i * 7 + 1 + seed) % 4] as string
          if (from === to) continue
          await storage.update(async (tx) => {
            putNumber(tx, from, (await number(tx, from)) - 1)
            putNumber(tx, to, (await number(tx, to)) + 1)
          })
        }
      }
      let views = 0
      const viewer = async (how: (tx: Reader) => Promise<number[]>): Promise<void> => {
        while (!over) {
          const amounts = await storage.view(how)
          assert.equal(
            amounts.reduce((sum, amount) => sum + amount, 0),
            400,
          )
          views++
          await turn()
        }
      }
      const viewers = Promise.all([
        viewer(async (tx) => {
          const amounts: number[] = []
          for (const key of keys) {
            amounts.push(await number(tx, key))
            await turn()
          }
          return amounts
        }),
        viewer(async (tx) => (await tx.entries('')).map(({ value }) => Number(text(value)))),
        viewer(async (tx) => (await tx.getMany(keys)).map((entry) => Number(text(entry?.value ?? bytes(''))))),
      ])
      await Promise.all([mover(0), mover(1), mover(2)]).finally(() => {
        over = true
      })
      await viewers
      assert.ok(views > 3)
    })

    test('what one commit writes together is seen together', async () => {
      const { storage } = subject()
      let over = false
      const writer = async (): Promise<void> => {
        for (let i = 1; i <= 60; i++) await write(storage, { one: `${i}`, two: `${i}`, [`three/${i}`]: 'x' })
        over = true
      }
      const viewer = async (): Promise<void> => {
        while (!over) {
          const seen = await storage.view(async (tx) => {
            const one = await number(tx, 'one')
            await turn()
            const three = await tx.scan('three/')
            await turn()
            return [one, await number(tx, 'two'), three.length]
          })
          assert.deepEqual(seen, Array(3).fill(seen[0]))
        }
      }
      await Promise.all([writer(), viewer(), viewer()])
    })

    test('a commit that was acknowledged is seen by everything that starts later', async () => {
      const { storage } = subject()
      await write(storage, { a: '0' })
      for (let i = 1; i <= 30; i++) {
        const before = await storage.view((tx) => tx.get('a'))
        const others = [1, 2, 3].map((n) => write(storage, { [`other/${n}`]: `${i}` }))
        await write(storage, { a: `${i}` })
        const seen = await storage.view(async (tx) => {
          if (tx.attempt === 0) tx.expect('a', before?.version ?? 0)
          return tx.attempt > 0 ? read(storage, 'a') : 'the old one was still good'
        })
        assert.equal(seen, `${i}`)
        await Promise.all(others)
      }
    })
  })
}
