import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from './errors.ts'
import {
  checkBoundCidrs,
  cleanPolicies,
  emptyTokenParams,
  grantedParams,
  mergeTokenParams,
  olderTokenParamFields,
  samePolicies,
  showTokenParams,
} from './token-params.ts'

test('a newer name beats its older one; an older one alone is read back', () => {
  const names = ['period', 'num_uses'] as const
  const one = mergeTokenParams(emptyTokenParams, { period: 60, num_uses: 3 }, names)
  assert.deepEqual(one.older, ['num_uses', 'period'])
  assert.equal(showTokenParams(one)['period'], 60)
  const two = mergeTokenParams(one, { token_period: 90, num_uses: 5, token_num_uses: 4 }, names)
  assert.deepEqual([two.token_period, two.token_num_uses, two.older], [90, 4, ['num_uses']])
  assert.equal('period' in showTokenParams(two), false)
  const both = mergeTokenParams(emptyTokenParams, { period: 60, token_period: 90 }, names)
  assert.deepEqual([both.token_period, both.older], [90, ['period']])
  // A method that does not take a name does not see it.
  assert.equal(mergeTokenParams(emptyTokenParams, { period: 60 }, ['ttl']).token_period, 0)
  assert.ok(olderTokenParamFields('ttl').ttl.facts.deprecated)
})

test('what is stored is never changed in place', () => {
  const stored = Object.freeze({ ...emptyTokenParams, older: Object.freeze(['ttl' as const]) })
  mergeTokenParams(stored, { token_ttl: 5, token_policies: ['a'] }, ['ttl'])
  assert.equal(stored.token_ttl, 0)
  assert.ok(!('older' in mergeTokenParams(stored, { token_ttl: 5 }, ['ttl'])))
})

test('policies are compared as sets, "default" aside', () => {
  assert.deepEqual(cleanPolicies([' B', 'a', '', 'b']), ['a', 'b'])
  assert.deepEqual(cleanPolicies(['a', 'Root']), ['root'])
  assert.ok(samePolicies([], ['default']))
  assert.ok(samePolicies(['b', 'A', 'a'], ['default', 'a', 'b']))
  assert.ok(!samePolicies(['a'], ['a', 'b']))
  assert.ok(!samePolicies(['a,b'], ['a', 'b']))
})

test('addresses bind the login and the token', () => {
  const bound = mergeTokenParams(emptyTokenParams, { token_bound_cidrs: ['10.0.0.0/8'] })
  checkBoundCidrs(bound, '10.1.1.1')
  checkBoundCidrs(emptyTokenParams, '192.0.2.1')
  assert.throws(
    () => checkBoundCidrs(bound, '192.0.2.1'),
    (error) => error instanceof ApiError && error.status === 403,
  )
  const strict = mergeTokenParams(emptyTokenParams, { token_strictly_bind_ip: true })
  assert.deepEqual(grantedParams(strict, '192.0.2.1').boundCidrs, ['192.0.2.1'])
})
