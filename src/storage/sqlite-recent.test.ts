import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Recent } from './sqlite-recent.ts'

test('knows what it changed, and what it did not since it began', () => {
  const recent = new Recent(10)
  recent.change('a', 11, 11)
  recent.change('gone', 0, 12)
  assert.equal(recent.holds('a', 11, 5), true)
  assert.equal(recent.holds('a', 4, 5), false)
  assert.equal(recent.holds('gone', 0, 12), true)
  assert.equal(recent.holds('gone', 7, 12), false)
  assert.equal(recent.holds('b', 3, 10), true)
  assert.equal(recent.holds('b', 3, 9), undefined, 'read before it began to look')
  recent.restart(20)
  assert.equal(recent.holds('a', 11, 19), undefined)
  assert.equal(recent.holds('a', 11, 20), true)
})

test('says so when it has forgotten', () => {
  const recent = new Recent(0)
  for (let revision = 1; revision <= 100_000; revision++) recent.change(`k/${revision}`, revision, revision)
  assert.equal(recent.holds('k/1', 0, 0), undefined)
  assert.equal(recent.holds('other', 0, 1000), undefined)
  assert.equal(recent.holds('k/99999', 5, 0), false)
  assert.equal(recent.holds('other', 0, 99_999), true)
})
