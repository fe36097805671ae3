import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { fitsAny, tidyNames, tokenPolicies } from './names.ts'
import { checkCustomId, cleanDisplayName, newAccessor, newServiceToken, readTokenText } from './text.ts'

test('service tokens and accessors have 24 characters and name their namespace', () => {
  assert.match(newServiceToken(randomBytes, 'root'), /^hvs\.[0-9A-Za-z]{24}$/)
  assert.match(newServiceToken(randomBytes, 'abc123'), /^hvs\.[0-9A-Za-z]{24}\.abc123$/)
  assert.match(newAccessor(randomBytes, 'root'), /^[0-9A-Za-z]{24}$/)
  assert.match(newAccessor(randomBytes, 'abc123'), /^[0-9A-Za-z]{24}\.abc123$/)
})

test('the text of a token tells kind and namespace', () => {
  assert.deepEqual(readTokenText('hvs.abc'), { kind: 'stored', body: 'abc', namespaceId: '' })
  assert.deepEqual(readTokenText('hvs.abc.ns1'), { kind: 'stored', body: 'abc', namespaceId: 'ns1' })
  assert.deepEqual(readTokenText('hvb.abc.ns1'), { kind: 'batch', body: 'abc', namespaceId: 'ns1' })
  assert.deepEqual(readTokenText('my-own-token'), { kind: 'stored', body: 'my-own-token', namespaceId: '' })
  assert.equal(readTokenText(''), undefined)
  assert.equal(readTokenText('x'.repeat(40_000)), undefined)
})

test('chosen ids are refused when they look like made ones or cannot stand in a header', () => {
  for (const id of ['hvs.x', 's.x', 'a.b', 'a b', 'ä', 'a\n', 'x'.repeat(600)])
    assert.throws(() => checkCustomId(id), id)
  checkCustomId('2f0a3f3e-58a4-4b5f-8f0c-0d5f7b9d3c11')
})

test('display names keep letters, digits and dashes', () => {
  assert.equal(cleanDisplayName('token-ci runner'), 'token-ci-runner')
  assert.equal(cleanDisplayName('token-a/b!'), 'token-a-b')
})

test('policy names are tidy, root stands alone, default is added when asked', () => {
  assert.deepEqual(tidyNames(['b', ' A ', 'a', '']), ['a', 'b'])
  assert.deepEqual(tokenPolicies(['b', 'a'], true), ['a', 'b', 'default'])
  assert.deepEqual(tokenPolicies(['x', 'ROOT'], true), ['root'])
  assert.deepEqual(tokenPolicies([], false), [])
})

test('patterns: a star stands for anything, also nothing', () => {
  assert.ok(fitsAny(['dev-*'], 'dev-'))
  assert.ok(fitsAny(['*-ro', 'x'], 'team-ro'))
  assert.ok(fitsAny(['a*b*c'], 'aXbYc'))
  assert.ok(!fitsAny(['a*b*c'], 'aXc'))
  assert.ok(!fitsAny(['ab*bc'], 'abc'))
  assert.ok(!fitsAny(['dev'], 'dev-1'))
})
