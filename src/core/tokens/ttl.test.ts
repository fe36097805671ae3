import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../sdk/errors.ts'
import { grantTtl } from './ttl.ts'

const limits = { defaultLeaseTtlSeconds: 3600, maxLeaseTtlSeconds: 14_400 }
const now = 1_700_000_000_500

test('without a wish the mount decides, with one the wish', () => {
  assert.deepEqual(grantTtl(limits, { now }), { ttlSeconds: 3600, warnings: [] })
  assert.equal(grantTtl(limits, { now, ttlSeconds: 60 }).ttlSeconds, 60)
  assert.equal(grantTtl(limits, { now, ttlSeconds: 60, incrementSeconds: 90 }).ttlSeconds, 90)
})

test('the limit that caps is said with both values', () => {
  const { ttlSeconds, warnings } = grantTtl(limits, { now, incrementSeconds: 28_800 })
  assert.equal(ttlSeconds, 14_400)
  assert.deepEqual(warnings, [
    'TTL of "8h0m0s" exceeded the effective max_ttl of "4h0m0s"; TTL value is capped accordingly',
  ])
})

test('the smallest of mount, role and explicit maximum holds, counted from the beginning', () => {
  const startTime = now - 600_000
  assert.equal(grantTtl(limits, { now, startTime, incrementSeconds: 9999, maxTtlSeconds: 1000 }).ttlSeconds, 400)
  assert.equal(grantTtl(limits, { now, startTime, incrementSeconds: 9999, explicitMaxTtlSeconds: 700 }).ttlSeconds, 100)
  assert.equal(grantTtl(limits, { now, startTime, incrementSeconds: 99_999 }).ttlSeconds, 13_800)
  assert.equal(grantTtl(limits, { now, maxTtlSeconds: 99_999, incrementSeconds: 99_999 }).ttlSeconds, 14_400)
})

test('a period is given whatever is asked and however old the token is, within the maximum', () => {
  const startTime = now - 100 * 86_400_000
  assert.equal(grantTtl(limits, { now, startTime, periodSeconds: 240, incrementSeconds: 5 }).ttlSeconds, 240)
  const capped = grantTtl(limits, { now, periodSeconds: 240, maxTtlSeconds: 180 })
  assert.equal(capped.ttlSeconds, 180)
  assert.deepEqual(capped.warnings, [
    'period of "4m0s" exceeded the effective max_ttl of "3m0s"; period value is capped accordingly',
  ])
  assert.equal(
    grantTtl(limits, { now, startTime: now - 50_000, periodSeconds: 240, explicitMaxTtlSeconds: 250 }).ttlSeconds,
    200,
  )
})

test('past the maximum nothing is granted', () => {
  assert.throws(
    () => grantTtl(limits, { now, startTime: now - 14_400_000 }),
    (error) => error instanceof ApiError && error.status === 400,
  )
})
