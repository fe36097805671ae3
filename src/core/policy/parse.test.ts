// Policy text: what is read, what is refused and where, and that no text breaks the parser.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatHcl } from '../../lib/hcl-format.ts'
import { defaultPolicyText, wrappingPolicyText } from './builtin.ts'
import { capabilityBits, capabilityNames } from './capabilities.ts'
import { compileKeysFilter } from './keys-filter.ts'
import { PolicyError, parsePolicy } from './parse.ts'

const parse = (text: string) => parsePolicy(text, 'p')
const only = (text: string) => {
  const { rules } = parse(text)
  assert.equal(rules.length, 1)
  return rules[0] as (typeof rules)[number]
}
const refused = (text: string, message: RegExp, place?: [number, number]) =>
  assert.throws(
    () => parse(text),
    (error: unknown) => {
      assert.ok(error instanceof PolicyError, String(error))
      assert.match(error.message, message)
      assert.match(error.message, /^line \d+, column \d+: /)
      if (place) assert.deepEqual([error.line, error.column], place, error.message)
      return true
    },
  )

test('all that a rule may say, in HCL and in JSON', () => {
  const hcl = `
# who may
name = "ignored"
path "/secret/+/x*" {
  comment = "why"
  capabilities = ["create", "read", "patch"]
  allowed_parameters = { "Color" = ["red", 5, true], "size" = [] }
  denied_parameters { "Pass" = [] }
  required_parameters = ["Owner"]
  min_wrapping_ttl = "1m"
  max_wrapping_ttl = 600
  mfa_methods = ["m"]
  pagination_limit = 50
  expiration = "2030-01-02T03:04:05.5+01:00"
}`
  const json = JSON.stringify({
    path: {
      'secret/+/x*': {
        comment: 'why',
        capabilities: ['create', 'read', 'patch'],
        allowed_parameters: { Color: ['red', 5, true], size: [] },
        denied_parameters: [{ Pass: [] }],
        required_parameters: ['Owner'],
        min_wrapping_ttl: 60,
        max_wrapping_ttl: '10m',
        mfa_methods: ['m'],
        pagination_limit: '50',
        expiration: '2030-01-02T02:04:05.5Z',
      },
    },
  })
  for (const text of [hcl, json]) {
    const { line, column, ...rule } = only(text)
    assert.deepEqual([line, column], text === hcl ? [4, 6] : [1, 10])
    assert.deepEqual(rule, {
      path: 'secret/+/x*',
      template: undefined,
      policy: 'p',
      comment: 'why',
      capabilities: capabilityBits.create | capabilityBits.read | capabilityBits.patch,
      allowedParameters: new Map<string, unknown[]>([
        ['color', ['red', 5, true]],
        ['size', []],
      ]),
      deniedParameters: new Map([['pass', []]]),
      requiredParameters: ['Owner'],
      minWrappingTtlSeconds: 60,
      maxWrappingTtlSeconds: 600,
      mfaMethods: ['m'],
      paginationLimit: 50,
      keysFilter: undefined,
      expiration: Date.UTC(2030, 0, 2, 2, 4, 5, 500),
    })
  }
})

test('capabilities: all words, deny stands alone, the words of Vault 0.x', () => {
  const words = (text: string) => capabilityNames(only(`path "x" { ${text} }`).capabilities)
  assert.deepEqual(
    words('capabilities = ["create","read","update","patch","delete","list","scan","sudo","subscribe","recover"]'),
    ['create', 'delete', 'list', 'patch', 'read', 'recover', 'scan', 'subscribe', 'sudo', 'update'],
  )
  assert.deepEqual(words('capabilities = ["read", "deny"]'), ['deny'])
  assert.equal(only('path "x" { capabilities = ["read", "deny"] }').capabilities, capabilityBits.deny)
  assert.deepEqual(words('capabilities = []'), ['deny'])
  assert.deepEqual(words('policy = "read"'), ['list', 'read'])
  assert.deepEqual(words('policy = "write"'), ['create', 'delete', 'list', 'read', 'update'])
  assert.deepEqual(words('policy = "sudo"'), ['create', 'delete', 'list', 'read', 'sudo', 'update'])
  assert.deepEqual(words('policy = "deny" capabilities = ["read"]'), ['deny'])
})

test('several rules, on one line too, and the line of each is remembered', () => {
  const { rules } = parse('path "a" { capabilities = ["read"] } path "b" {}\n\n  path "c" { policy = "deny" }')
  assert.deepEqual(
    rules.map((rule) => [rule.path, rule.line, rule.column]),
    [
      ['a', 1, 6],
      ['b', 1, 43],
      ['c', 3, 8],
    ],
  )
  assert.deepEqual(parse('').rules, [])
  assert.deepEqual(parse('{"path": {}}').rules, [])
})

test('what is refused, and where', () => {
  refused('path "x" { capabilities = ["read",\n  "fly"] }', /path "x": invalid capability "fly"/, [2, 3])
  refused('path "x" { caps = ["read"] }', /path "x": invalid key "caps"/, [1, 12])
  refused('path "x" {}\npaths "x" {}', /invalid key "paths"/, [2, 1])
  refused('path "x" { capabilities', /expected '='/, [1, 24])
  refused('path "x" { capabilities = "read" }', /capabilities must be a list/, [1, 27])
  refused('path "x" { capabilities = [1] }', /an entry of capabilities must be a text/, [1, 28])
  refused('path "x" { allowed_parameters = "x" }', /allowed_parameters must be an object of lists/, [1, 33])
  refused('path "x" { denied_parameters = { a = "x" } }', /values of "a" must be a list/, [1, 38])
  refused('path "x" { required_parameters = "a" }', /required_parameters must be a list/)
  refused('path "x" { min_wrapping_ttl = "10m" max_wrapping_ttl = "1m" }', /max_wrapping_ttl is less/, [1, 56])
  refused('path "x" { min_wrapping_ttl = "soon" }', /min_wrapping_ttl must be a duration/)
  refused('path "x" { max_wrapping_ttl = -1 }', /max_wrapping_ttl must be a duration/)
  refused('path "x" { pagination_limit = 1.5 }', /pagination_limit must be a whole number/)
  refused('path "x" { expiration = "tomorrow" }', /expiration must be a time/)
  refused('path "x" { policy = "own" }', /invalid policy "own"/)
  refused('path "x" { policy = "constructor" }', /invalid policy "constructor"/)
  refused('path "x" { capabilities = ["__proto__"] }', /invalid capability "__proto__"/)
  refused('path "x" { comment = "a"\ncomment = "b" }', /"comment" is set twice/, [2, 1])
  refused('path "a/+*" {}', /"\+\*" is no wildcard/, [1, 6])
  refused('path { capabilities = ["read"] }', /a path needs a name/)
  refused('path "x" "y" {}', /takes one name/, [1, 10])
  refused('path = "x"', /path must be a block/)
  refused('path "a/{{identity.entity.id" {}', /unbalanced/)
  refused('path "a/}}{{" {}', /unbalanced/)
  refused('{"path": {"x": {"capabilities": ["read"]}}', /expected '}'/)
  refused('path "x" { list_scan_response_keys_filter_path = "{{ .path }}{{ .key }}" }', /needs the list capability/)
  refused(
    'path "x" { capabilities = ["list"] list_scan_response_keys_filter_path = "{{ .path }}" }',
    /must use \{\{ \.key \}\}/,
  )
})

test('epoch seconds are a time as well', () => {
  assert.equal(only('path "x" { expiration = 1900000000 }').expiration, 1_900_000_000_000)
  assert.equal(only('path "x" { expiration = "1900000000" }').expiration, 1_900_000_000_000)
  assert.equal(only('path "x" { expiration = "" }').expiration, undefined)
})

test('the filter of list answers', () => {
  assert.equal(compileKeysFilter('{{ .path }}{{ .key }}')('kv/a/', 'b'), 'kv/a/b')
  assert.equal(compileKeysFilter('{{ .path }}{{ .key }}')('kv/a', 'b'), 'kv/a/b')
  assert.equal(
    compileKeysFilter('{{ .path | replace "kv/metadata/" "kv/data/" }}{{.key|lowercase}}-x')('kv/metadata/a/', 'B'),
    'kv/data/a/b-x',
  )
  assert.equal(compileKeysFilter('{{- "p/" -}}{{ .key | replace `$` "$&" | uppercase }}')('', 'a$'), 'p/A$&')
  for (const bad of [
    '{{ .key',
    '{{ .keys }}',
    '{{ .key | rm }}',
    '{{ .key | replace a b }}',
    '{{ .key .path }}',
    '{{}}',
    'x',
  ])
    assert.throws(() => compileKeysFilter(bad), SyntaxError, bad)
  assert.throws(() => compileKeysFilter(`{{ ${' '.repeat(2000)}`), SyntaxError)
  assert.throws(() => compileKeysFilter(`{{ ${'.key | '.repeat(140)}`), SyntaxError)
})

test('the policies that are there from the start', () => {
  const granted = (text: string) =>
    parse(text).rules.map((rule) => `${rule.path} ${capabilityNames(rule.capabilities).join(',')}`)
  assert.deepEqual(granted(defaultPolicyText).sort(), [
    'auth/token/lookup-self read',
    'auth/token/renew-self update',
    'auth/token/revoke-self update',
    'cubbyhole/* create,delete,list,read,update',
    'identity/entity/id/{{identity.entity.id}} read',
    'identity/entity/name/{{identity.entity.name}} read',
    'identity/oidc/provider/+/authorize read,update',
    'sys/capabilities-self update',
    'sys/internal/ui/resultant-acl read',
    'sys/leases/lookup update',
    'sys/leases/renew update',
    'sys/tools/hash update',
    'sys/tools/hash/* update',
    'sys/wrapping/lookup update',
    'sys/wrapping/unwrap update',
    'sys/wrapping/wrap update',
  ])
  assert.deepEqual(granted(wrappingPolicyText), ['cubbyhole/response create,read', 'sys/wrapping/unwrap update'])
  assert.equal(formatHcl(defaultPolicyText), defaultPolicyText)
  assert.equal(formatHcl(wrappingPolicyText), wrappingPolicyText)
})

/** Seeded pseudo-random numbers (mulberry32), so that a failure can be repeated. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

test('fuzz: a policy with anything in it is read or refused with its place', () => {
  const seeds = [
    defaultPolicyText,
    'path "a/+/b*" { capabilities = ["read"] allowed_parameters = { "a" = ["x"] } min_wrapping_ttl = "1m" }',
    '{"path": {"x": {"capabilities": ["list"], "list_scan_response_keys_filter_path": "{{ .path }}{{ .key }}"}}}',
    'path "x" { expiration = "2030-01-02T03:04:05Z" pagination_limit = 5 }',
  ]
  const bits = [
    '{',
    '}',
    '"',
    '[',
    ']',
    '=',
    '\n',
    '{{',
    '}}',
    '*',
    '+',
    '/',
    '\\',
    '#',
    '0',
    '-1',
    'null',
    'é',
    '\ud800',
    '',
  ]
  let read = 0
  for (let seed = 1; seed <= 6000; seed++) {
    const next = random(seed)
    let text = seeds[seed % seeds.length] as string
    for (let i = 0; i < 1 + next() * 3; i++) {
      const at = Math.floor(next() * text.length)
      text = text.slice(0, at) + bits[Math.floor(next() * bits.length)] + text.slice(at + Math.floor(next() * 3))
    }
    try {
      parse(text)
      read++
    } catch (error) {
      assert.ok(error instanceof PolicyError, `seed ${seed}: ${(error as Error).stack}\n${text}`)
    }
  }
  assert.ok(read > 200, `only ${read} policies could be read`)
})
