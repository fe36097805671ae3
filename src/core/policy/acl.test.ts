// What an ACL lets through: the recorded behaviours of OpenBao, and a comparison with the documented rules applied naively.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Acl, type AclRequest, compileAcl, pageLimit, rootAcl, type TemplateIdentity } from './acl.ts'
import { defaultPolicyText } from './builtin.ts'
import { type PolicyOptions, parsePolicy } from './parse.ts'

const now = Date.UTC(2026, 0, 1)
const policy = (name: string, text: string, namespacePath = '', options: PolicyOptions = {}) => ({
  parsed: parsePolicy(text, name, options),
  name,
  namespacePath,
})
const acl = (...texts: string[]): Acl => compileAcl(texts.map((text, i) => policy(`p${i}`, text)))
const request = (capability: AclRequest['capability'], path: string, more: Partial<AclRequest> = {}): AclRequest => ({
  path,
  capability,
  sudo: false,
  parameters: undefined,
  wraps: false,
  wrapTtlSeconds: 0,
  now,
  ...more,
})
const decide = (of: Acl, capability: AclRequest['capability'], path: string, more: Partial<AclRequest> = {}) =>
  of.decide(request(capability, path, more))
const allows = (of: Acl, capability: AclRequest['capability'], path: string, more: Partial<AclRequest> = {}) =>
  decide(of, capability, path, more).allowed

test('exact paths, the trailing * and the segment +', () => {
  const of = acl(`path "kv/exact" { capabilities = ["read"] }
path "kv/a*" { capabilities = ["read"] }
path "kv/team/+/db" { capabilities = ["read","update"] }
path "kv/+/list/*" { capabilities = ["list","create"] }
path "kv/mid*dle" { capabilities = ["read"] }`)
  for (const path of ['kv/exact', 'kv/a', 'kv/ab', 'kv/a/b', 'kv/team/red/db', 'kv/team/blue/db'])
    assert.ok(allows(of, 'read', path), path)
  for (const path of ['kv/exact/more', 'kv/team/blue/db/x', 'kv/team/db', 'kv/q/list/z', 'kv/mid/dle', 'kv', 'kv/'])
    assert.ok(!allows(of, 'read', path), path)
  assert.ok(allows(of, 'update', 'kv/team/red/db'))
  assert.ok(allows(of, 'create', 'kv/q/list/z'))
  assert.ok(allows(of, 'list', 'kv/q/list/'))
  assert.ok(allows(of, 'list', 'kv/q/list'))
  assert.ok(!allows(of, 'list', 'kv/team/'))
  const capabilities = (path: string) => of.capabilities(path, now)
  assert.deepEqual(capabilities('kv/abc/def'), ['read'])
  assert.deepEqual(capabilities('kv/team/x/db'), ['read', 'update'])
  assert.deepEqual(capabilities('kv/team/x/y/db'), ['deny'])
  assert.deepEqual(capabilities('kv/mid*dle'), ['read'])
  assert.deepEqual(capabilities('kv/middle'), ['deny'])
})

test('the most specific path decides, equal paths add up, deny wins', () => {
  const a = `path "prio/*" { capabilities = ["create","read","update","delete","list"] }
path "prio/team/*" { capabilities = ["read"] }
path "prio/team/secret" { capabilities = ["deny"] }
path "prio/+/open" { capabilities = ["update"] }
path "prio/x/open" { capabilities = ["list"] }
path "prio/+/+/z*" { capabilities = ["read"] }
path "prio/k/+/z*" { capabilities = ["delete"] }`
  const b = `path "prio/team/*" { capabilities = ["list"] }
path "prio/other" { capabilities = ["deny"] }
path "prio/both" { capabilities = ["read"] }`
  const c = `path "prio/both" { capabilities = ["deny"] }
path "prio/pd*" { capabilities = ["deny"] }
path "prio/pd/ok" { capabilities = ["read"] }`
  const all = ['create', 'delete', 'list', 'read', 'update']
  const expected: Record<string, [string[], string[], string[]]> = {
    'prio/any': [all, all, all],
    'prio/team/x': [['read'], ['list', 'read'], ['list', 'read']],
    'prio/team/secret': [['deny'], ['deny'], ['deny']],
    'prio/q/open': [['update'], ['update'], ['update']],
    'prio/x/open': [['list'], ['list'], ['list']],
    'prio/other': [all, ['deny'], ['deny']],
    'prio/both': [all, ['read'], ['deny']],
    'prio/m/n/z1': [all, all, all],
    'prio/k/n/z1': [['delete'], ['delete'], ['delete']],
    'prio/pd/no': [all, all, ['deny']],
    'prio/pd/ok': [all, all, ['read']],
  }
  const acls = [acl(a), acl(a, b), acl(a, b, c)]
  for (const [path, lists] of Object.entries(expected))
    assert.deepEqual(
      acls.map((of) => of.capabilities(path, now)),
      lists,
      path,
    )
  const [one, two] = acls as [Acl, Acl]
  assert.equal(decide(one, 'read', 'prio/team/secret').reason, 'denied by rule')
  assert.equal(decide(one, 'update', 'prio/team/x').reason, 'capability missing')
  assert.ok(!allows(one, 'read', 'prio/q/open'))
  assert.ok(allows(two, 'list', 'prio/team/'))
})

test('the verdict names the policies that grant, and the rule that decided', () => {
  const of = acl(
    'path "a/*" { capabilities = ["read"] }',
    '\npath "a/*" { capabilities = ["read", "list"] }',
    'path "a/*" { capabilities = ["update"] }',
  )
  const read = decide(of, 'read', 'a/x')
  assert.deepEqual(
    read.granting.map((one) => one.name),
    ['p0', 'p1'],
  )
  assert.equal(read.reason, 'granted')
  assert.deepEqual(
    read.rules?.map((rule) => [rule.policy, rule.line]),
    [
      ['p0', 1],
      ['p1', 2],
      ['p2', 1],
    ],
  )
  assert.deepEqual(decide(of, 'list', 'a/x').rule, { policy: 'p1', namespacePath: '', line: 2, path: 'a/*' })
  assert.deepEqual(decide(of, 'delete', 'a/x').granting, [])
  assert.equal(decide(of, 'read', 'b').reason, 'no rule')
  assert.equal(decide(of, 'read', 'a/x'), decide(of, 'read', 'a/y'), 'verdicts are made once per rule')
})

test('allowed, denied and required parameters', () => {
  const of = acl(`
path "par/allow/*" { capabilities = ["create","update"]
  allowed_parameters = { "color" = ["red","blue*"], "size" = [], "n" = [5, "*mid*", "*end"] } }
path "par/star/*" { capabilities = ["create","update"] allowed_parameters = { "env" = ["dev"], "*" = [] } }
path "par/deny/*" { capabilities = ["create","update"] denied_parameters = { "password" = [], "env" = ["prod*"] } }
path "par/denyall/*" { capabilities = ["create","update"] denied_parameters = { "*" = [] } }
path "par/req/*" { capabilities = ["create","update","read"] required_parameters = ["owner","Team"] }
path "par/both/*" { capabilities = ["create","update", "delete"]
  allowed_parameters = { "a" = [], "b" = [] } denied_parameters = { "b" = ["no"] } }
path "par/deep/*" { capabilities = ["update"] allowed_parameters = { "v" = [["a", 1], { k = true }] } }`)
  const create = (path: string, parameters: Record<string, unknown>) =>
    decide(of, 'create', `par/${path}`, { parameters }).reason
  assert.equal(create('allow/1', { color: 'red' }), 'granted')
  assert.equal(create('allow/1', { COLOR: 'red' }), 'granted')
  assert.equal(create('allow/1', {}), 'granted')
  assert.equal(create('allow/2', { color: 'green' }), 'parameter not allowed')
  assert.equal(create('allow/2', { color: 'reddish' }), 'parameter not allowed')
  assert.equal(create('allow/3', { color: 'blueish', size: '9' }), 'granted')
  assert.equal(create('allow/4', { color: 'red', other: '1' }), 'parameter not allowed')
  assert.equal(create('allow/5', { n: 5 }), 'granted')
  assert.equal(create('allow/5', { n: '5' }), 'parameter not allowed')
  assert.equal(create('allow/5', { n: 'amidst' }), 'granted')
  assert.equal(create('allow/5', { n: 'the end' }), 'granted')
  assert.equal(create('allow/5', { n: null }), 'parameter not allowed')
  assert.equal(create('allow/5', JSON.parse('{"__proto__": 1}')), 'parameter not allowed')
  assert.equal(create('star/1', { env: 'dev', x: '1' }), 'granted')
  assert.equal(create('star/2', { env: 'prod' }), 'parameter not allowed')
  assert.equal(create('deny/1', { Password: 'x' }), 'parameter denied')
  assert.equal(create('deny/2', { env: 'production' }), 'parameter denied')
  assert.equal(create('deny/3', { env: 'dev', x: '1' }), 'granted')
  assert.equal(create('denyall/1', { x: '1' }), 'parameter denied')
  assert.equal(create('denyall/1', {}), 'granted')
  assert.equal(create('req/1', { owner: 'me' }), 'required parameter missing')
  assert.equal(create('req/2', { owner: 'me', team: 'x', more: '1' }), 'granted')
  assert.equal(create('req/2', { owner: 'me', Team: 'x' }), 'granted')
  assert.equal(create('req/2', JSON.parse('{"toString": 1}')), 'required parameter missing')
  assert.equal(create('both/1', { a: '1', b: 'yes' }), 'granted')
  assert.equal(create('both/2', { b: 'no' }), 'parameter denied')
  assert.equal(create('both/3', { c: '1' }), 'parameter not allowed')
  assert.ok(allows(of, 'delete', 'par/both/4', { parameters: { c: 1 } }), 'a delete has no parameters')
  const deep = (v: unknown) => allows(of, 'update', 'par/deep/x', { parameters: { v } })
  assert.deepEqual(
    [deep(['a', 1]), deep({ k: true }), deep(['a']), deep({ k: 1 }), deep({ k: true, l: 1 })],
    [true, true, false, false, false],
  )
})

test('parameters, bounds and limits of several policies on one path merge', () => {
  const of = acl(
    `path "m" { capabilities = ["update"] allowed_parameters = { "a" = ["1"], "b" = ["1"] } denied_parameters = { "x" = ["1"] }
      required_parameters = ["a"] min_wrapping_ttl = 60 max_wrapping_ttl = 600 pagination_limit = 50 }`,
    `path "m" { capabilities = ["list"] allowed_parameters = { "a" = ["2"], "b" = [], "x" = [] } denied_parameters = { "x" = ["2"] }
      required_parameters = ["b", "a"] min_wrapping_ttl = 30 max_wrapping_ttl = 300 pagination_limit = 20 }`,
    'path "m" { capabilities = ["read"] }',
  )
  const update = (parameters: Record<string, unknown>, wrapTtlSeconds = 100) =>
    decide(of, 'update', 'm', { parameters, wraps: true, wrapTtlSeconds }).reason
  assert.equal(update({ a: '1', b: 'any' }), 'granted')
  assert.equal(update({ a: '2', b: 'any' }), 'granted')
  assert.equal(update({ a: '3', b: 'any' }), 'parameter not allowed')
  assert.equal(update({ a: '1' }), 'required parameter missing')
  assert.equal(update({ a: '1', b: '', x: '2' }), 'parameter denied')
  assert.equal(update({ a: '1', b: '', x: '3' }), 'granted')
  assert.equal(update({ a: '1', b: '' }, 29), 'wrapping ttl out of bounds')
  assert.equal(update({ a: '1', b: '' }, 30), 'granted')
  assert.equal(update({ a: '1', b: '' }, 301), 'wrapping ttl out of bounds')
  const list = decide(of, 'list', 'm', { wraps: true, wrapTtlSeconds: 60, limit: 20 })
  assert.equal(list.paginationLimit, 20)
  assert.deepEqual(of.resultant(now).exact_paths?.['m'], {
    capabilities: ['list', 'read', 'update'],
    min_wrapping_ttl: 30,
    max_wrapping_ttl: 300,
    allowed_parameters: { a: ['2', '1'], b: [], x: [] },
    denied_parameters: { x: ['2', '1'] },
    required_parameters: ['a', 'b'],
  })
  const denied = acl('path "m" { capabilities = ["read"] }', 'path "m" { capabilities = ["deny"] }')
  assert.equal(decide(denied, 'read', 'm').rule?.policy, 'p1')
  const nothingLeft = acl(
    'path "m" { capabilities = ["read"] min_wrapping_ttl = 100 }',
    'path "m" { capabilities = ["read"] max_wrapping_ttl = 50 }',
  )
  for (const ttl of [50, 75, 100]) assert.ok(!allows(nothingLeft, 'read', 'm', { wraps: true, wrapTtlSeconds: ttl }))
})

test('least and greatest wrapping ttl', () => {
  const of = acl(`path "w/a" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "10m" }
path "w/b" { capabilities = ["read"] max_wrapping_ttl = "10m" }`)
  const read = (path: string, ttl?: number) =>
    decide(of, 'read', path, ttl === undefined ? {} : { wraps: true, wrapTtlSeconds: ttl }).reason
  assert.equal(read('w/a'), 'wrapping ttl required')
  assert.equal(read('w/a', 30), 'wrapping ttl out of bounds')
  assert.equal(read('w/a', 660), 'wrapping ttl out of bounds')
  assert.equal(read('w/a', 300), 'granted')
  assert.equal(read('w/b'), 'wrapping ttl required')
  assert.equal(read('w/b', 660), 'wrapping ttl out of bounds')
  assert.equal(read('w/b', 600), 'granted')
})

test('page limits', () => {
  const of = acl(`path "l/" { capabilities = ["list"] pagination_limit = 10 }
path "r/" { capabilities = ["list"] pagination_limit = 10 required_parameters = ["limit"] }
path "free/" { capabilities = ["list"] }`)
  const list = (path: string, limit?: unknown) => {
    const verdict = decide(of, 'list', path, { limit })
    return verdict.allowed ? pageLimit(verdict, limit) : verdict.reason
  }
  assert.equal(list('l/'), 10)
  assert.equal(list('l/', 0), 10)
  assert.equal(list('l/', '0'), 10)
  assert.equal(list('l/', 'max'), 10)
  assert.equal(list('l/', '7'), 7)
  assert.equal(list('l/', 10), 10)
  for (const limit of [11, '11', -1, 'x', '', null, {}, 1.5]) assert.equal(list('l/', limit), 'page limit exceeded')
  assert.equal(list('r/'), 'required parameter missing')
  assert.equal(list('r/', 'max'), 10)
  assert.equal(list('free/', 'max'), 0)
  assert.equal(list('free/', 500), undefined)
})

test('capabilities: create against update, sudo, deny, root', () => {
  const of = acl(`path "c" { capabilities = ["create"] }
path "all" { capabilities = ["create","read","update","patch","delete","list","sudo"] }
path "none" { capabilities = [] }
path "d" { capabilities = ["read","deny"] }
path "sys/audit" { capabilities = ["read"] }`)
  assert.ok(allows(of, 'create', 'c'))
  assert.ok(!allows(of, 'update', 'c'))
  assert.deepEqual(of.capabilities('all', now), ['create', 'delete', 'list', 'patch', 'read', 'sudo', 'update'])
  assert.deepEqual(of.capabilities('none', now), ['deny'])
  assert.deepEqual(of.capabilities('d', now), ['deny'])
  assert.deepEqual(of.capabilities('unknown', now), ['deny'])
  assert.equal(decide(of, 'read', 'sys/audit', { sudo: true }).reason, 'sudo missing')
  assert.ok(allows(of, 'read', 'all', { sudo: true }))
  assert.deepEqual(rootAcl.capabilities('sys/seal', now), ['root'])
  assert.ok(allows(rootAcl, 'read', 'anything', { sudo: true }))
  assert.equal(rootAcl.root, true)
  assert.deepEqual(rootAcl.resultant(now), { root: true })
  assert.ok(rootAcl.mayReachMount('x/', now))
})

test('LIST and SCAN are judged with and without the trailing slash', () => {
  const of = acl(`path "e" { capabilities = ["list"] }
path "f/" { capabilities = ["scan"] }
path "g/+" { capabilities = ["list", "read"] }
path "h/x*" { capabilities = ["list"] }
path "h/x/" { capabilities = ["deny"] }`)
  for (const path of ['e', 'e/', 'g/one', 'g/one/']) assert.ok(allows(of, 'list', path), path)
  for (const path of ['f', 'f/']) assert.ok(allows(of, 'scan', path), path)
  assert.ok(!allows(of, 'list', 'h/x'), 'with the slash the path is more specific')
  assert.ok(!allows(of, 'read', 'g/one/'), 'a read is judged as it is')
  assert.deepEqual(of.capabilities('e/', now), ['list'])
})

test('expirations are judged per request: of a rule, of a policy, of one of several merged', () => {
  const of = compileAcl([
    policy('a', 'path "x/*" { capabilities = ["read"] }'),
    policy(
      'b',
      `path "x/*" { capabilities = ["update"] expiration = "2026-01-01T01:00:00Z" }
path "x/deep" { capabilities = ["deny"] expiration = "2026-01-01T02:00:00Z" }`,
    ),
    policy('c', 'path "x/*" { capabilities = ["delete"] }', '', { expiration: now + 5_400_000 }),
  ])
  const at = (hours: number, path = 'x/y') => of.capabilities(path, now + hours * 3_600_000)
  assert.deepEqual(at(0), ['delete', 'read', 'update'])
  assert.deepEqual(at(1), ['delete', 'read'])
  assert.deepEqual(at(2), ['read'])
  assert.deepEqual(at(0.5), ['delete', 'read', 'update'], 'a clock that went back')
  assert.deepEqual(at(1.9, 'x/deep'), ['deny'])
  assert.deepEqual(at(2, 'x/deep'), ['read'], 'an expired rule gives way to the less specific one')
  assert.deepEqual(Object.keys(of.resultant(now + 7_200_000).exact_paths ?? {}), [])
})

const identity = (more: Partial<TemplateIdentity['entity']> = {}): TemplateIdentity => ({
  entity: {
    id: 'e-1',
    name: 'ada',
    metadata: { team: 'red', empty: '', slash: 'a/b', star: 'x*', plus: '+' },
    aliases: [{ id: 'al-1', name: 'ada@x', mountAccessor: 'up_1', metadata: { k: 'v' }, customMetadata: { c: 'w' } }],
    ...more,
  },
  groups: [
    { id: 'g-1', name: 'ops', namespacePath: '', metadata: { tier: 'gold' } },
    { id: 'g-2', name: 'dev', namespacePath: 'ns1/', metadata: {} },
  ],
})

test('identity templates: who is asking decides', () => {
  const text = (selector: string) => `path "t/{{${selector}}}/*" { capabilities = ["read"] }`
  const reaches = (selector: string, value: string, who: TemplateIdentity | undefined, options: PolicyOptions = {}) =>
    allows(compileAcl([policy('t', text(selector), '', options)], who), 'read', `t/${value}/x`)
  const values: [string, string][] = [
    ['identity.entity.id', 'e-1'],
    [' identity.entity.name ', 'ada'],
    ['identity.entity.metadata.team', 'red'],
    ['identity.entity.aliases.up_1.id', 'al-1'],
    ['identity.entity.aliases.up_1.name', 'ada@x'],
    ['identity.entity.aliases.up_1.metadata.k', 'v'],
    ['identity.entity.aliases.up_1.custom_metadata.c', 'w'],
    ['identity.groups.ids.g-1.name', 'ops'],
    ['identity.groups.names.ops.id', 'g-1'],
    ['identity.groups.names.ops.metadata.tier', 'gold'],
    ['identity.groups.ids.g-2.name', 'dev'],
  ]
  for (const [selector, value] of values) {
    assert.ok(reaches(selector, value, identity()), selector)
    assert.ok(!reaches(selector, value, undefined), `${selector} without an entity`)
    assert.ok(!reaches(selector, `${value}x`, identity()), selector)
  }
  const nothing = [
    'identity.entity.metadata.none',
    'identity.entity.metadata.empty',
    'identity.entity.metadata.toString',
    'identity.entity.aliases.other.name',
    'identity.groups.names.dev.id',
    'identity.groups.ids.g-9.name',
    'identity.entity',
    'time.now',
    '',
  ]
  for (const selector of nothing) {
    const of = compileAcl([policy('t', text(selector))], identity())
    assert.deepEqual(of.resultant(now).glob_paths, {}, selector)
  }
})

test('identity templates: values with wildcards or slashes need the flag of the policy', () => {
  const read = (selector: string, path: string, options: PolicyOptions) =>
    allows(
      compileAcl(
        [policy('t', `path "t/{{identity.entity.metadata.${selector}}}" { capabilities = ["read"] }`, '', options)],
        identity(),
      ),
      'read',
      path,
    )
  assert.ok(!read('star', 't/xyz', {}))
  assert.ok(!read('star', 't/x*', {}))
  assert.ok(read('star', 't/xyz', { allowWildcardsInTemplates: true }))
  assert.ok(!read('plus', 't/any', { allowSlashesInTemplates: true }))
  assert.ok(read('plus', 't/any', { allowWildcardsInTemplates: true }))
  assert.ok(!read('slash', 't/a/b', { allowWildcardsInTemplates: true }))
  assert.ok(read('slash', 't/a/b', { allowSlashesInTemplates: true }))
})

test('namespaces: a policy acts below its namespace, a parent reaches down by path, templates know their groups', () => {
  const of = compileAcl(
    [
      policy('parent', 'path "ns1/kv/*" { capabilities = ["read"] } path "+/sys/x" { capabilities = ["update"] }'),
      policy('child', 'path "kv/*" { capabilities = ["list"] } path "+/own" { capabilities = ["read"] }', 'ns1/'),
      policy('groups', 'path "g/{{identity.groups.names.dev.id}}" { capabilities = ["read"] }', 'ns1/'),
    ],
    identity(),
  )
  assert.deepEqual(of.capabilities('ns1/kv/a', now), ['list', 'read'])
  assert.deepEqual(of.capabilities('kv/a', now), ['deny'])
  assert.deepEqual(of.capabilities('ns1/sys/x', now), ['update'])
  assert.deepEqual(of.capabilities('ns1/any/own', now), ['read'])
  assert.deepEqual(of.capabilities('any/own', now), ['deny'])
  assert.deepEqual(of.capabilities('ns1/g/g-2', now), ['read'])
  assert.deepEqual(decide(of, 'list', 'ns1/kv/a').granting, [{ name: 'child', namespacePath: 'ns1/' }])
})

test('which mounts a user interface may show', () => {
  const of = acl(`path "hid/app/*" { capabilities = ["read","list"] }
path "kv/data/only" { capabilities = ["create","update"] }
path "no/x" { capabilities = ["deny"] }
path "+/data/*" { capabilities = [] }
path "team-+/x" { capabilities = ["read"] }
path "deep/+/c/d" { capabilities = ["read"] }
path "auth/+/role*" { capabilities = ["read"] }
path "whole*" { capabilities = ["read"] }`)
  const reach = (mount: string) => of.mayReachMount(mount, now)
  for (const mount of ['hid/', 'kv/', 'deep/', 'deep/b/', 'auth/up/', 'whole/', 'wholesale/', 'team-+/'])
    assert.ok(reach(mount), mount)
  for (const mount of ['none/', 'no/', 'hi/', 'other/', 'team-a/', 'deep/b/x/']) assert.ok(!reach(mount), mount)
  assert.ok(acl('path "+/data/*" { capabilities = ["read"] }').mayReachMount('any/', now))
  assert.ok(acl('path "any/n*" { capabilities = ["read"] }').mayReachMount('any/nested/', now))
  assert.ok(!acl('path "+/n*" { capabilities = ["read"] }').mayReachMount('any/other/', now))
  assert.deepEqual(of.resultant(now).glob_paths, {
    'hid/app/': { capabilities: ['list', 'read'] },
    whole: { capabilities: ['read'] },
  })
})

test('the filter of list answers comes with the verdict', () => {
  const of = acl(
    'path "kv/*" { capabilities = ["list", "read"] list_scan_response_keys_filter_path = "{{ .path }}{{ .key }}" }',
  )
  assert.equal(decide(of, 'list', 'kv/a/').keysFilter?.('kv/a/', 'b'), 'kv/a/b')
  assert.equal(decide(of, 'read', 'kv/a').keysFilter, undefined)
})

/** Seeded pseudo-random numbers (mulberry32), so that a failure can be repeated. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

/**
 * The documented rules, naively: an exact path wins, then among all that match the one that is not lower in priority than any
 * other (openbao.org/docs/concepts/policies, "priority matching"); a LIST tries the path with, then without the slash.
 */
function naive(rules: { path: string; word: string }[], path: string): string[] {
  const words = (text: string) => [...new Set(rules.filter((rule) => rule.path === text).map((rule) => rule.word))]
  const shown = (text: string) => {
    const list = words(text).sort()
    return list.includes('deny') ? ['deny'] : list
  }
  const plus = (text: string) => text === '+' || text.startsWith('+/') || text.includes('/+')
  const wild = (text: string) => plus(text) || text.endsWith('*')
  const bare = path.endsWith('/') ? path.slice(0, -1) : path
  for (const one of [path, bare]) if (!wild(one) && words(one).length > 0) return shown(one)
  // A wildcard in the middle is a plain character, so an exact rule may hold one.
  const matches = (rule: string, text: string) => {
    const glob = rule.endsWith('*')
    const source = (glob ? rule.slice(0, -1) : rule)
      .split('/')
      .map((segment) => (segment === '+' && plus(rule) ? '[^/]*' : segment.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
      .join('/')
    return new RegExp(`^${source}${glob ? '' : '$'}`).test(text)
  }
  const lower = (a: string, b: string) => {
    const first = (text: string) => {
      const at = plus(text) ? text.indexOf('+') : text.length - 1
      return at
    }
    if (first(a) !== first(b)) return first(a) < first(b)
    if (a.endsWith('*') !== b.endsWith('*')) return a.endsWith('*')
    const pluses = (text: string) =>
      plus(text)
        ? text
            .replace(/\*$/, '')
            .split('/')
            .filter((s) => s === '+').length
        : 0
    if (pluses(a) !== pluses(b)) return pluses(a) > pluses(b)
    if (a.length !== b.length) return a.length < b.length
    return a < b
  }
  for (const one of path === bare ? [path] : [path, bare]) {
    const found = [...new Set(rules.map((rule) => rule.path))].filter((rule) => wild(rule) && matches(rule, one))
    const best = found.reduce<string | undefined>(
      (top, rule) => (top === undefined || lower(top, rule) ? rule : top),
      undefined,
    )
    if (best !== undefined) return shown(best)
  }
  return ['deny']
}

test('differential: random policies and paths, compiled against naive', () => {
  const segments = ['a', 'b', 'ab', '', 'é', '+', 'a+b', '+x']
  let decided = 0
  for (let seed = 1; seed <= 1500; seed++) {
    const next = random(seed)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T
    const make = (of: readonly string[]) => Array.from({ length: 1 + next() * 4 }, () => pick(of)).join('/')
    const rules = Array.from({ length: 1 + next() * 14 }, () => ({
      path: make([...segments, '+', '+']) + (next() < 0.4 ? '*' : ''),
      word: pick(['create', 'read', 'update', 'delete', 'list', 'patch', 'scan', 'deny']),
    })).filter(({ path }) => !path.includes('+*') && !path.startsWith('/'))
    const texts = rules.map(({ path, word }) => `path "${path}" { capabilities = ["${word}"] }`)
    const cut = Math.floor(next() * texts.length)
    const of = acl(texts.slice(0, cut).join('\n'), texts.slice(cut).join('\n'))
    for (let i = 0; i < 12; i++) {
      const path = make(['a', 'b', 'ab', 'abc', '', 'é', 'a+b', '+x'])
      const expected = naive(rules, path)
      assert.deepEqual(of.capabilities(path, now), expected, `seed ${seed}: ${path}\n${texts.join('\n')}`)
      const verdict = decide(of, 'read', path)
      if (!path.endsWith('/')) assert.equal(verdict.allowed, expected.includes('read'), `seed ${seed}: ${path}`)
      if (expected[0] !== 'deny') decided++
    }
  }
  assert.ok(decided > 3000, `only ${decided} paths met a rule`)
})

test('many rules compile and decide without a detour', () => {
  const text = Array.from(
    { length: 20_000 },
    (_, i) => `path "${'a'.repeat(1 + (i % 300))}/${i}/+/x" {policy="read"}`,
  ).join('\n')
  const of = acl(text, 'path "a*" { capabilities = ["update"] }', defaultPolicyText)
  assert.deepEqual(of.capabilities('aaa/302/any/x', now), ['list', 'read'])
  assert.deepEqual(of.capabilities('aaa/302/any/y', now), ['update'])
})
