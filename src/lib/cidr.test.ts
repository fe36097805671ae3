import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidrsWithin, inCidrs, isCidr } from './cidr.ts'

test('addresses and ranges are told from other texts', () => {
  for (const good of ['127.0.0.1', '10.0.0.0/8', '0.0.0.0/0', '::1', '2001:db8::/32', '::/0'])
    assert.ok(isCidr(good), good)
  for (const bad of [
    '',
    'localhost',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/x',
    '::/129',
    '10.0.0/8',
    '1.2.3.4/-1',
    'fe80::1%lo',
  ])
    assert.ok(!isCidr(bad), bad)
})

test('an address is found in its range and in no other', () => {
  const ranges = ['127.0.0.1', '10.0.0.0/8', '2001:db8::/32']
  for (const inside of ['127.0.0.1', '10.255.0.1', '::ffff:10.1.2.3', '2001:db8:1::7'])
    assert.ok(inCidrs(inside, ranges), inside)
  for (const outside of ['127.0.0.2', '11.0.0.1', '2001:db9::1', '::1', '', 'localhost'])
    assert.ok(!inCidrs(outside, ranges), outside)
  assert.ok(!inCidrs('10.0.0.1', []))
  assert.ok(inCidrs('203.0.113.9', ['0.0.0.0/0']))
})

test('a range lies within another when all of its addresses do', () => {
  const outer = ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']
  for (const inside of ['10.0.0.0/8', '10.2.0.0/16', '10.1.2.3', '192.0.2.7/32', '2001:db8:1::/48'])
    assert.ok(cidrsWithin([inside], outer), inside)
  for (const outside of ['10.0.0.0/7', '0.0.0.0/0', '192.0.2.0/24', '2001::/16', '::ffff:10.0.0.0/96', 'nonsense'])
    assert.ok(!cidrsWithin([outside], outer), outside)
  assert.ok(!cidrsWithin(['10.1.0.0/16', '11.0.0.1'], outer))
  assert.ok(cidrsWithin([], outer))
  assert.ok(!cidrsWithin(['10.1.2.3'], ['nonsense']))
})
