import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatMillis } from './time.ts'

test('a moment is printed as Date prints it, whatever the day before', () => {
  const edges = [
    0, 1, 999, 1000, 59_999, 60_000, 86_399_999, 86_400_000, 951_782_400_000, 1_795_600_000_123, -1,
    -62_135_596_800_000, 253_402_300_800_000,
  ]
  const some = Array.from({ length: 2000 }, (_, n) => n * 907_199_983_211 - 400_000_000_000_000)
  for (const ms of [...edges, ...some]) assert.equal(formatMillis(ms), new Date(ms).toISOString())
  assert.throws(() => formatMillis(Number.NaN), RangeError)
})
