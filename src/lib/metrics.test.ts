import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bucketCount, bucketOf, Counter, middleOf, SampledTimer, Timer } from './metrics.ts'

test('buckets lie one above the other and give a value back within 7 %', () => {
  let before = -1
  for (let ms = 0; ms < 700_000; ms = Math.max(ms * 1.01, ms + 0.0001)) {
    const bucket = bucketOf(ms)
    assert.ok(bucket >= before && bucket < bucketCount, `${ms} ms is in bucket ${bucket} after ${before}`)
    before = bucket
    if (ms > 0.002 && ms < 500_000)
      assert.ok(Math.abs(middleOf(bucket) / ms - 1) < 0.07, `${ms} became ${middleOf(bucket)}`)
  }
  for (const odd of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    const bucket = bucketOf(odd)
    assert.ok(bucket >= 0 && bucket < bucketCount, `${odd} is in bucket ${bucket}`)
  }
})

test('a timer tells totals, the interval before and quantiles of the last two', () => {
  const timer = new Timer()
  assert.ok(Number.isNaN(timer.quantile(0.5)))
  for (let ms = 1; ms <= 100; ms++) timer.observe(ms)
  assert.deepEqual([timer.count, timer.sum, timer.finished.count], [100, 5050, 0])
  assert.ok(Math.abs(timer.quantile(0.5) - 50) < 4)
  assert.ok(Math.abs(timer.quantile(0.99) - 99) < 7)
  assert.equal(timer.rotate(), true)
  const { count, sum, min, max, squares } = timer.finished
  assert.deepEqual([count, sum, min, max, squares], [100, 5050, 1, 100, 338_350])
  timer.observe(1000, 900)
  assert.deepEqual([timer.count, timer.sum], [1000, 905_050])
  assert.ok(timer.quantile(0.5) > 900)
  assert.deepEqual([timer.rotate(), timer.rotate(), timer.rotate()], [true, false, false])
  assert.ok(Number.isNaN(timer.quantile(0.5)))
  assert.deepEqual([timer.count, timer.sum], [1000, 905_050])
})

test('time() notes what fails as well', async () => {
  const timer = new Timer()
  assert.equal(await timer.time(Promise.resolve(7)), 7)
  await assert.rejects(timer.time(Promise.reject(new Error('no'))), /no/)
  assert.equal(timer.count, 2)
})

test('a sampled timer stands for all calls, and its sum never falls', () => {
  const timer = new SampledTimer()
  let sum = 0
  for (let call = 1; call <= 81; call++) {
    timer.end(timer.begin())
    assert.ok(timer.sum >= sum && timer.count <= call && timer.count > call - 8)
    sum = timer.sum
  }
  assert.equal(timer.count, 81)
})

test('a counter tells its total and the interval before', () => {
  const counter = new Counter()
  counter.add()
  counter.add(2)
  assert.deepEqual([counter.rotate(), counter.total, counter.finished], [true, 3, 3])
  counter.add()
  assert.deepEqual([counter.current, counter.finished], [1, 3])
  assert.deepEqual([counter.rotate(), counter.rotate(), counter.total], [true, false, 4])
})
