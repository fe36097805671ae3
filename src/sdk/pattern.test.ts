import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePatterns, placeholdersOf } from './pattern.ts'

const names = (patterns: string[]) => compilePatterns(patterns.map((p) => [p, p] as const))

test('a literal beats a name, which beats the rest, whatever the order of registration', () => {
  const all = ['{path*}', 'roles/{name}', 'roles/{name}/id', 'roles', 'roles/fixed', 'data/{path*}']
  for (const order of [all, [...all].reverse()]) {
    const m = names(order)
    assert.equal(m.match('roles')?.value, 'roles')
    assert.equal(m.match('roles/')?.value, 'roles')
    assert.deepEqual({ ...m.match('roles/x')?.params }, { name: 'x' })
    assert.equal(m.match('roles/fixed')?.value, 'roles/fixed')
    assert.equal(m.match('roles/x/id')?.value, 'roles/{name}/id')
    assert.deepEqual({ ...m.match('roles/x/other')?.params }, { path: 'roles/x/other' })
    assert.deepEqual({ ...m.match('data/a/b/')?.params }, { path: 'a/b/' })
    assert.deepEqual({ ...m.match('data/')?.params }, { path: '' })
  }
})

test('words may follow the rest', () => {
  const m = names(['mounts/{path*}', 'mounts/{path*}/tune', 'mounts'])
  assert.deepEqual({ ...m.match('mounts/a/b/tune')?.params }, { path: 'a/b' })
  assert.equal(m.match('mounts/a/b/tune')?.value, 'mounts/{path*}/tune')
  assert.equal(m.match('mounts/tune')?.value, 'mounts/{path*}')
  assert.equal(m.match('mounts')?.value, 'mounts')
})

test('what is not there is not found', () => {
  const m = names(['a/{x}/c'])
  for (const path of ['', 'a', 'a/b', 'a/b/d', 'a//c', 'b/x/c']) assert.equal(m.match(path), undefined, path)
})

test('ties and bad patterns are refused at start', () => {
  assert.throws(() => names(['a/{x}', 'a/{x}']), /declared twice/)
  assert.throws(() => names(['a/{x}', 'a/{y}/b']), /stands where/)
  assert.throws(() => names(['{x*}', '{y*}']), /declared twice/)
  assert.throws(() => names(['{x*}/{y}']), /only words/)
  assert.throws(() => names(['a/b{x}']), /bad placeholder/)
  assert.deepEqual(placeholdersOf('a/{x}/{y*}'), ['x', 'y'])
})
