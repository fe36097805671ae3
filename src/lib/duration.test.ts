// Durations: what Go prints and what Vault's clients send.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, parseDurationSeconds } from './duration.ts'

test('durations are read as Go and Vault read them', () => {
  const table: [string | number, number | undefined][] = [
    ['1h30m', 5400],
    ['1.5h', 5400],
    ['500ms', 0.5],
    ['1h0m0s', 3600],
    ['768h', 2_764_800],
    ['90', 90],
    [90, 90],
    [1.5, 1.5],
    ['1d', 86_400],
    ['1d12h', 129_600],
    ['.5s', 0.5],
    ['-1h', -3600],
    ['+10s', 10],
    ['-5', -5],
    ['0', 0],
    ['', 0],
    ['100us', 0.0001],
    ['100µs', 0.0001],
    ['7ns', 7e-9],
    ['0.1s0.2s', 0.3],
    ['9223372036', 9_223_372_036],
    ['9223372037', undefined],
    ['99999999999h', undefined],
    ['1.5', undefined],
    ['h', undefined],
    ['1', 1],
    ['1 h', undefined],
    [' 1h', undefined],
    ['1h-5m', undefined],
    ['1x', undefined],
    ['0x10', undefined],
    ['1e3', undefined],
    ['never', undefined],
    ['1'.repeat(65), undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
  ]
  for (const [text, seconds] of table) assert.equal(parseDurationSeconds(text), seconds, String(text))
})

test('a long digit text is answered at once', () => {
  assert.equal(parseDurationSeconds(`${'1.1h'.repeat(100_000)}!`), undefined)
})

test('durations are printed as Go prints them', () => {
  const table: [number, string][] = [
    [0, '0s'],
    [1, '1s'],
    [59, '59s'],
    [60, '1m0s'],
    [90, '1m30s'],
    [3600, '1h0m0s'],
    [86_400, '24h0m0s'],
    [2_764_800, '768h0m0s'],
    [0.5, '500ms'],
    [1.5, '1.5s'],
    [0.0001, '100µs'],
    [0.0015, '1.5ms'],
    [7e-9, '7ns'],
    [61.25, '1m1.25s'],
    [-3600, '-1h0m0s'],
    [0.9999999999, '1s'],
    [20, '20s'],
    [100, '1m40s'],
  ]
  for (const [seconds, text] of table) assert.equal(formatDuration(seconds), text)
  assert.throws(() => formatDuration(Number.NaN), RangeError)
})

test('what is printed is read back', () => {
  for (const seconds of [1, 59.5, 3661, 86_399, 0.25, 1e6, 123_456_789]) {
    assert.equal(parseDurationSeconds(formatDuration(seconds)), seconds)
  }
})
