import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Facts, sharedSlots, sharedWith } from './sqlite-facts.ts'

/** A file with a counter and a revision, moved by own commits or by those of others. */
function file() {
  const shared = sharedWith()
  const state = { counter: 1, revision: 0 }
  const facts = new Facts({ counter: () => state.counter, revision: () => state.revision }, shared)
  facts.sync()
  const commit = (): void => {
    state.counter++
    state.revision++
  }
  return {
    facts,
    own: () => {
      commit()
      Atomics.store(shared, sharedSlots.ownRevision, BigInt(state.revision))
    },
    unpublished: commit,
    foreign: commit,
    noticed: () => Atomics.add(shared, sharedSlots.foreign, 1n),
    revision: () => state.revision,
  }
}

test('own commits keep facts, except of the keys they touch', () => {
  const { facts, own, revision } = file()
  facts.learn('a', 1)
  facts.learn('b', 2)
  const before = facts.moment
  facts.touch(['b'])
  own()
  facts.sync()
  facts.learn('b', 9)
  assert.equal(facts.version('b'), undefined, 'its commit is under way')
  facts.settle(revision())
  facts.sync()
  assert.equal(facts.version('a'), 1)
  facts.learn('b', 3)
  assert.equal(facts.version('b'), 3)
  assert.equal(facts.unchangedSince(before, 'a'), true)
  assert.equal(facts.unchangedSince(before, 'b'), false)
  assert.equal(facts.unchangedSince(facts.moment, 'b'), true)
  assert.ok(facts.moment.stamp > before.stamp)
})

test('a transaction that begins while a key has a commit under way does not take it for unchanged', () => {
  const { facts, own, revision } = file()
  facts.touch(['a'])
  const during = facts.moment
  own()
  facts.settle(revision())
  facts.sync()
  assert.equal(facts.unchangedSince(during, 'a'), false)
  assert.equal(facts.unchangedSince(facts.moment, 'a'), true)
})

for (const how of ['alone', 'before an own one', 'unpublished'] as const) {
  test(`a commit of another process ends all facts: ${how}`, () => {
    const { facts, foreign, noticed, own } = file()
    facts.learn('a', 1)
    const before = facts.moment
    foreign()
    if (how === 'before an own one') {
      noticed()
      own()
    }
    facts.sync()
    assert.equal(facts.version('a'), undefined)
    assert.equal(facts.unchangedSince(before, 'a'), false)
  })
}

test('what was forgotten for want of room is not taken for unchanged', () => {
  const { facts, own, revision } = file()
  const start = facts.moment
  facts.touch(['first'])
  own()
  facts.settle(revision())
  for (let group = 0; group < 40; group++) {
    facts.touch(Array.from({ length: 1000 }, (_, i) => `${group}/${i}`))
    own()
    facts.settle(revision())
  }
  facts.sync()
  assert.equal(facts.unchangedSince(start, 'first'), false)
  assert.equal(facts.unchangedSince(start, 'never touched'), false)
  assert.equal(facts.unchangedSince(facts.moment, 'never touched'), true)
  const late = facts.moment
  facts.touch(['39/5'])
  own()
  facts.settle(revision())
  facts.sync()
  assert.equal(facts.unchangedSince(late, '39/5'), false)
  assert.equal(facts.unchangedSince(late, '39/6'), true)
})
