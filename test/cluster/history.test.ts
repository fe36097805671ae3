// The checkers can fail: each kind of contradiction is made by hand and found, and a good history passes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkLimit, checkRegister, checkRevoke, checkSwitch, type RegisterOp } from './history.ts'

const write = (
  start: number,
  end: number,
  cas: number,
  value: string,
  outcome: 'ok' | 'no' | 'unknown' = 'ok',
): RegisterOp =>
  outcome === 'ok'
    ? { kind: 'write', start, end, cas, value, outcome, version: cas + 1 }
    : { kind: 'write', start, end, cas, value, outcome }
const read = (start: number, end: number, version: number, value = ''): RegisterOp => ({
  kind: 'read',
  start,
  end,
  version,
  value,
})

test('a register: good histories pass', () => {
  const good: RegisterOp[] = [
    read(0, 1, 0),
    write(1, 2, 0, 'a'),
    write(1, 3, 0, 'b', 'no'),
    read(2.5, 3, 1, 'a'),
    // The answer of the second write is lost; it is seen later.
    write(4, 5, 1, 'c', 'unknown'),
    read(6, 7, 1, 'a'),
    read(8, 9, 2, 'c'),
    write(10, 11, 1, 'd', 'no'),
    // Overlapping operations may stand in either order.
    write(12, 20, 2, 'e'),
    read(13, 14, 3, 'e'),
    read(15, 16, 3, 'e'),
  ]
  assert.deepEqual(checkRegister('r', good), [])
})

test('a register: contradictions are found', () => {
  const found = (ops: RegisterOp[], text: RegExp) => assert.match(checkRegister('r', ops).join('\n'), text)
  found([write(0, 1, 0, 'a'), write(0, 2, 0, 'b')], /update was lost/)
  found([write(0, 1, 0, 'a'), read(2, 3, 1, 'b')], /two values/)
  found([read(2, 3, 1, 'ghost')], /nobody wrote/)
  found([read(0, 1, 1, 'a'), write(2, 3, 0, 'a')], /before it was written/)
  found([write(0, 1, 0, 'a'), read(2, 3, 0)], /after version 1 was known/)
  found([write(0, 1, 0, 'a'), write(2, 3, 1, 'b'), read(4, 5, 2, 'b'), read(6, 7, 1, 'a')], /after version 2 was known/)
  found([write(0, 1, 0, 'a', 'no')], /refused although/)
})

test('limits, revocations and switches: contradictions are found', () => {
  const use = (start: number, end: number, outcome: 'ok' | 'no' | 'unknown') => ({ start, end, outcome })
  assert.deepEqual(checkLimit('t', 2, [use(0, 1, 'ok'), use(0, 1, 'unknown'), use(2, 3, 'no')]), [])
  assert.match(checkLimit('t', 1, [use(0, 1, 'ok'), use(0, 1, 'ok')])[0] ?? '', /used 2 times/)
  assert.match(checkLimit('t', 2, [use(0, 1, 'ok'), use(1, 2, 'no')])[0] ?? '', /2 were allowed/)
  const revoke = { start: 10, end: 20 }
  assert.deepEqual(
    checkRevoke('t', revoke, [use(0, 1, 'ok'), use(12, 13, 'no'), use(15, 30, 'ok'), use(21, 22, 'no')]),
    [],
  )
  assert.match(checkRevoke('t', revoke, [use(21, 22, 'ok')])[0] ?? '', /after its revocation/)
  assert.match(checkRevoke('t', revoke, [use(1, 2, 'no')])[0] ?? '', /before it was revoked/)
  const flips = [
    { start: 0, end: 1, on: true },
    { start: 10, end: 11, on: false },
  ]
  assert.deepEqual(
    checkSwitch('p', flips, [use(2, 3, 'ok'), use(9, 12, 'ok'), use(9, 12, 'no'), use(12, 13, 'no')]),
    [],
  )
  assert.match(checkSwitch('p', flips, [use(2, 3, 'no')])[0] ?? '', /refused/)
  assert.match(checkSwitch('p', flips, [use(12, 13, 'ok')])[0] ?? '', /passed/)
})
