// Contract of list, scan and entries: order, after, limit, own writes, and that a folded list seeks.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import { bytes, type Subject, text, write } from './contract-kit.ts'
import type { ListOptions, Reader, Writer } from './storage.ts'

/** Orders by the bytes, the way of storage.ts, with none of the code under test. */
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** What a range must give, worked out the plain way. */
function expected(kind: 'list' | 'scan', keys: Iterable<string>, prefix: string, options: ListOptions = {}): string[] {
  const names = new Set<string>()
  for (const key of keys) {
    if (!key.startsWith(prefix) || key === prefix) continue
    const rest = key.slice(prefix.length)
    names.add(kind === 'scan' || !rest.includes('/') ? rest : rest.slice(0, rest.indexOf('/') + 1))
  }
  const { after, limit } = options
  return [...names]
    .sort(byBytes)
    .filter((name) => after === undefined || byBytes(name, after) > 0)
    .slice(0, limit)
}

/** Keys that lie where mistakes are made: around `/`, non-ASCII, around the surrogates, prefixes of one another. */
const oddKeys = [
  'a', 'a!', 'a/', 'a/b', 'a/b/c', 'a//', 'a//x', 'a0', 'a.', 'ab', 'a/b0', 'a/b.', 'a/\u{e9}', 'a/\u{d7ff}x', 'a/\u{e000}', 'a/\u{ffff}',
  'a/\u{10000}', 'a/\u{10ffff}', 'a/\u{10ffff}\u{10ffff}/z', 'a/\u{1f600}/deep/er', 'a/\u{ff}', 'a/\0', 'a/\0/\0', '\u{e9}/x', '\u{d7ff}/x', '\u{d7ff}',
  '\u{e000}', '\u{ffff}/x', '\u{10000}/x', '\u{10ffff}', '\u{10ffff}/x', '0', '/', '//', '/a', 'b/c/d/e/f/g', '__proto__', '__proto__/x', ' ', '%2f',
] // biome-ignore format: a table
const oddPrefixes = [
  '',
  'a',
  'a/',
  'a/b',
  'a/b/',
  'a//',
  '/',
  '\u{d7ff}',
  '\u{10ffff}',
  'a/\u{10ffff}',
  '\u{d7ff}/',
  'none/',
  'a/\u{1f600}/',
]

/** A small generator with a seed, so that a failure can be had again. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Compares all three kinds of range with the plain way, for one prefix. */
async function compare(
  tx: Reader,
  keys: ReadonlyMap<string, string>,
  prefix: string,
  options: ListOptions,
): Promise<void> {
  const about = JSON.stringify([prefix, options])
  assert.deepEqual(await tx.list(prefix, options), expected('list', keys.keys(), prefix, options), `list ${about}`)
  const scanned = expected('scan', keys.keys(), prefix, options)
  assert.deepEqual(await tx.scan(prefix, options), scanned, `scan ${about}`)
  assert.deepEqual(
    (await tx.entries(prefix, options)).map(({ key, value }) => [key, text(value)]),
    scanned.map((name) => [prefix + name, keys.get(prefix + name)]),
    `entries ${about}`,
  )
}

/** Registers this part of the suite. */
export function contractOfRanges(subject: Subject): void {
  describe('ranges', () => {
    test('names come in the order of their bytes, from after on, up to the limit', async () => {
      const { storage } = subject()
      const keys = new Map(oddKeys.map((key, i) => [key, `${i}`]))
      await write(storage, Object.fromEntries(keys.entries().filter(([key]) => key !== '__proto__')))
      await storage.update(async (tx) => tx.put('__proto__', bytes(keys.get('__proto__') as string)))
      await storage.view(async (tx) => {
        for (const prefix of oddPrefixes) {
          await compare(tx, keys, prefix, {})
          for (const name of [
            ...expected('list', oddKeys, prefix),
            ...expected('scan', oddKeys, prefix),
            '',
            '~',
            'b/',
          ]) {
            await compare(tx, keys, prefix, { after: name })
            await compare(tx, keys, prefix, { after: name, limit: 2 })
          }
          for (const limit of [0, 1, 3, 1000]) await compare(tx, keys, prefix, { limit })
        }
      })
    })

    test('own writes and removals show in every range as if they were committed', async () => {
      const { storage } = subject()
      const next = random(7)
      const pick = <T>(from: readonly T[]): T => from[next(from.length)] as T
      const segments = ['a', 'b', 'a/', 'b/', 'c/', '0', '\u{e000}', '\u{1f600}/']
      const keyOf = (): string => pick(segments) + (next(2) ? pick(segments) : '') + (next(2) ? pick(segments) : 'k')
      const committed = new Map<string, string>()
      for (let round = 0; round < 40; round++) {
        const state = new Map(committed)
        const change = (tx: Writer): void => {
          const key = next(3) > 0 || state.size === 0 ? keyOf() : pick([...state.keys()])
          if (next(5) < 2) {
            tx.delete(key)
            state.delete(key)
          } else {
            tx.put(key, bytes(`${round}`))
            state.set(key, `${round}`)
          }
        }
        await storage.update(async (tx) => {
          assert.equal(tx.attempt, 0)
          for (let i = 0; i < 6; i++) change(tx)
          for (const prefix of ['', 'a/', 'b/', 'a', pick(segments)]) {
            const options: ListOptions = {
              ...(next(2) ? { limit: 1 + next(4) } : {}),
              ...(next(2) ? { after: pick(segments) } : {}),
            }
            await compare(tx, state, prefix, options)
            await compare(tx, state, prefix, {})
          }
        })
        committed.clear()
        for (const [key, value] of state) committed.set(key, value)
        await storage.view((tx) => compare(tx, committed, '', {}))
      }
    })

    test('what a range gives belongs to the caller', async () => {
      const { storage } = subject()
      await write(storage, { 'p/a': '1', 'p/b': '2' })
      const attempt = await storage.update(async (tx) => {
        for (const names of [await tx.list('p/'), await tx.scan('p/')]) names.length = 0
        for (const entry of await tx.entries('p/')) entry.value.fill(0)
        assert.deepEqual(await tx.list('p/'), ['a', 'b'])
        tx.put('x', bytes('1'))
        return tx.attempt
      })
      assert.equal(attempt, 0)
    })

    test('entries have the versions of their commits', async () => {
      const { storage } = subject()
      await write(storage, { 'p/a': '1' })
      await write(storage, { 'p/b': '2' })
      const [entries, singles] = await storage.view(async (tx) => [
        await tx.entries('p/'),
        await tx.getMany(['p/a', 'p/b']),
      ])
      assert.deepEqual(
        entries.map(({ key, version }) => [key, version]),
        singles.map((entry) => [entry?.key, entry?.version]),
      )
    })

    test('200,000 keys: a list of few folders seeks, and pages hold what they should', async (t) => {
      const { storage, visited } = subject()
      const folders = ['alpha/', 'beta/', 'gamma/']
      const total = 200_000
      const value = bytes('v')
      for (let start = 0; start < total; start += 20_000) {
        await storage.update(async (tx) => {
          for (let i = start; i < start + 20_000; i++) tx.put(`big/${folders[i % 3]}${i.toString(36)}`, value)
        })
      }
      await write(storage, { 'big/zeta': '1' })
      const before = visited?.() ?? 0
      assert.deepEqual(await storage.view((tx) => tx.list('big/')), [...folders, 'zeta'])
      assert.deepEqual(await storage.view((tx) => tx.list('big/', { after: 'alpha/', limit: 1 })), ['beta/'])
      assert.deepEqual(await storage.view((tx) => tx.list('')), ['big/'])
      if (visited) assert.ok(visited() - before < 20, `${visited() - before} rows for 6 names`)
      else t.diagnostic('the implementation does not count what it visits')

      let after = ''
      let count = 0
      let last = ''
      for (let pages = 0; pages < 6; pages++) {
        const page = await storage.view((tx) => tx.list('big/beta/', { after, limit: 500 }))
        assert.equal(page.length, 500)
        for (const name of page) assert.ok(byBytes(name, last) > 0)
        count += page.length
        after = page.at(-1) as string
        last = after
      }
      assert.equal(count, 3000)
      if (visited) assert.ok(visited() - before < 4000, 'a page reads a page')
      assert.equal((await storage.view((tx) => tx.scan('big/'))).length, total + 1)
      const attempts = await storage.update(async (tx) => {
        await tx.list('big/')
        if (tx.attempt === 0) await write(storage, { 'big/alpha/new': '1' })
        tx.put('x', value)
        return tx.attempt
      })
      assert.equal(attempts, 0, 'a change inside a folder leaves the list of folders alone')
    })
  })
}
