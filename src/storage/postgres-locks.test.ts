// The locks of commits: whoever could disturb another one meets it at a lock, and all take theirs in one order.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GroupLocks, type Locks, locksMax, locksOf } from './postgres-locks.ts'
import type { RangeRead } from './transaction.ts'

interface Touched {
  readonly reads?: readonly string[]
  readonly expects?: readonly string[]
  readonly writes?: readonly string[]
  readonly prefixes?: readonly string[]
}
const locks = ({ reads = [], expects = [], writes = [], prefixes = [] }: Touched): Locks =>
  locksOf({
    keys: new Map(reads.map((key) => [key, 1])),
    expected: new Map(expects.map((key) => [key, 0])),
    writes: new Map(writes.map((key) => [key, undefined])),
    ranges: prefixes.map((prefix): RangeRead => {
      const found = { names: [], versions: undefined }
      return { kind: 'scan', prefix, after: undefined, limit: Number.POSITIVE_INFINITY, found }
    }),
  })
const wait = (a: Locks, b: Locks): boolean =>
  [...a].some(([id, exclusive]) => b.has(id) && (exclusive || b.get(id) === true))

test('a writer waits for who read or expects the key, and for writers; readers do not wait for each other', () => {
  const writer = locks({ writes: ['ns/a/x'] })
  assert.ok(wait(writer, locks({ reads: ['ns/a/x'], writes: ['other'] })))
  assert.ok(wait(writer, locks({ expects: ['ns/a/x'], writes: ['other'] })))
  assert.ok(wait(writer, writer))
  assert.ok(!wait(locks({ reads: ['epoch'], writes: ['a/1'] }), locks({ expects: ['epoch'], writes: ['a/2'] })))
  assert.ok(!wait(locks({ writes: ['a/b/1'] }), locks({ writes: ['a/b/2'] })), 'of one folder neither')
})

test('whatever a range could find, its writer waits for the range', () => {
  const segments = ['a', 'b', 'a/', 'b/', '/', '', 'aa/', 'b', '\u{e9}/', '0']
  const pick = (n: number): string => segments[n % segments.length] as string
  let met = 0
  for (let i = 0; i < 10_000; i++) {
    const key = pick(i) + pick(Math.floor(i / 10)) + pick(Math.floor(i / 100)) + pick(Math.floor(i / 1000))
    for (let length = 0; length < key.length; length++) {
      assert.ok(wait(locks({ prefixes: [key.slice(0, length)], writes: ['z'] }), locks({ writes: [key] })), key)
      met++
    }
  }
  assert.ok(met > 10_000)
  assert.ok(
    !wait(locks({ prefixes: ['ns/a/'], writes: ['z/1'] }), locks({ writes: ['ns/b/x'] })),
    'elsewhere nobody waits',
  )
})

test('a group takes its locks in order, each as strictly as any of it needs, and not too many', () => {
  const group = new GroupLocks()
  assert.ok(group.add(locks({ reads: ['a', 'b'], writes: ['c'] })))
  assert.ok(group.add(locks({ reads: ['d'], writes: ['e'] })))
  const { ids, exclusive } = group.inOrder()
  assert.deepEqual(
    [...ids],
    [...ids].toSorted((a, b) => a - b),
  )
  assert.equal(new Set(ids).size, ids.length)
  assert.equal(exclusive.filter(Boolean).length, 2)
  const many = Array.from({ length: locksMax }, (_, i) => `k/${i}`)
  assert.ok(!group.add(locks({ writes: many.slice(0, locksMax - 5) })))
  assert.equal(group.inOrder().ids.length, ids.length)
  const whole = locks({ writes: many })
  assert.equal(whole.size, 1)
  assert.ok(wait(whole, locks({ writes: ['anything'] })), 'a very large commit has the store alone')
})
