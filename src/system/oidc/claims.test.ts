import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../sdk/errors.ts'
import { checkedTemplate, claimsOf, type Subject, topNames } from './claims.ts'

const alias = {
  id: 'alias1',
  name: 'ann@corp',
  mountAccessor: 'acc1',
  mountUuid: 'm1',
  metadata: { role: 'dev' },
  customMetadata: { badge: '7' },
  local: false,
  createdTime: 0,
  updatedTime: 0,
  mergedFrom: [],
}
const subject: Subject = {
  entity: { id: 'e1', name: 'ann', metadata: { team: 'red' }, aliases: [alias] },
  groups: [
    { id: 'g1', name: 'ops', metadata: { floor: '3' } },
    { id: 'g2', name: 'dev', metadata: null },
  ],
}
const now = 1_700_000_000_000
const fill = (template: string, ...who: [(Subject | undefined)?]) =>
  claimsOf(template, who.length > 0 ? who[0] : subject, now)
const refused = (template: string) =>
  assert.throws(
    () => checkedTemplate(template),
    (error) => error instanceof ApiError && error.status === 400,
    template,
  )

test('each directive gives its value as JSON', () => {
  const cases: [directive: string, value: unknown][] = [
    ['identity.entity.id', 'e1'],
    [' identity.entity.name ', 'ann'],
    ['identity.entity.metadata', { team: 'red' }],
    ['identity.entity.metadata.team', 'red'],
    ['identity.entity.metadata.none', ''],
    ['identity.entity.metadata.toString', ''],
    ['identity.entity.groups.names', ['ops', 'dev']],
    ['identity.entity.groups.ids', ['g1', 'g2']],
    ['identity.entity.aliases.acc1.id', 'alias1'],
    ['identity.entity.aliases.acc1.name', 'ann@corp'],
    ['identity.entity.aliases.acc1.metadata', { role: 'dev' }],
    ['identity.entity.aliases.acc1.metadata.role', 'dev'],
    ['identity.entity.aliases.acc1.custom_metadata.badge', '7'],
    ['identity.entity.aliases.other.name', ''],
    ['identity.entity.aliases.other.metadata', {}],
    ['identity.groups.names.ops.id', 'g1'],
    ['identity.groups.ids.g1.name', 'ops'],
    ['identity.groups.names.ops.metadata.floor', '3'],
    ['identity.groups.names.none.id', ''],
    ['time.now', 1_700_000_000],
    ['time.now.plus.1h', 1_700_003_600],
    ['time.now.minus.60', 1_699_999_940],
  ]
  for (const [directive, value] of cases) {
    const template = `{"x": {{${directive}}}, "fixed": 1}`
    assert.equal(checkedTemplate(template), template)
    assert.deepEqual(JSON.parse(JSON.stringify(fill(template))), { x: value, fixed: 1 }, directive)
  }
  assert.deepEqual(fill(checkedTemplate(Buffer.from('{"a":1}').toString('base64'))), { a: 1 })
  assert.deepEqual(fill(''), {})
  assert.deepEqual(topNames('{"a": {{time.now}}, "b": 2}'), ['a', 'b'])
})

test('no value makes claims of its own', () => {
  const evil = '","admin":true,"x":"'
  const template =
    '{"name": {{identity.entity.name}}, "m": {{identity.entity.metadata}}, "g": {{identity.groups.ids.g1.name}}}'
  const claims = fill(template, {
    entity: { ...subject.entity, name: evil, metadata: { [evil]: evil, __proto__: 'x' } },
    groups: [{ id: 'g1', name: `}{{identity.entity.id}}${evil}`, metadata: null }],
  })
  assert.deepEqual(Object.keys(claims ?? {}), ['name', 'm', 'g'])
  assert.equal(claims?.['name'], evil)
  assert.equal(claims?.['g'], `}{{identity.entity.id}}${evil}`)
  // A name that stands as a claim's name cannot be one of the server's.
  const named = '{ {{identity.entity.name}}: "x", "__proto__": {"a": 1} }'
  const own = fill(named, { ...subject, entity: { ...subject.entity, name: 'sub' } })
  assert.deepEqual(Object.keys(own ?? {}), ['__proto__'])
  assert.equal(Object.getPrototypeOf(own), Object.prototype)
})

test('what is no template is refused when it is set', () => {
  for (const name of ['iss', 'sub', 'aud', 'exp', 'iat', 'nonce', 'namespace', 'auth_time', 'at_hash', 'c_hash'])
    refused(`{"${name}": "x"}`)
  refused('{not json')
  refused('[]')
  refused('"x"')
  refused('{"a": {{identity.entity.name}')
  refused('{"a": }}{{identity.entity.name}}}')
  refused('{"a": "{{identity.entity.name}}"}')
  refused('{"a": {{identity.entity.password}}}')
  refused('{"a": {{identity.entity.aliases.acc1}}}')
  refused('{"a": {{identity.entity.aliases.acc1.name.x}}}')
  refused('{"a": {{identity.entity.aliases.acc1.constructor}}}')
  refused('{"a": {{identity.groups.names.ops}}}')
  refused('{"a": {{identity.groups.other.ops.id}}}')
  refused('{"a": {{time.later}}}')
  refused('{"a": {{time.now.plus.soon}}}')
  refused('{"a": {{env.HOME}}}')
  refused(`{"a": "${'x'.repeat(20_000)}"}`)
})

test('without anybody only what asks for nobody is made', () => {
  assert.equal(fill('{"a": {{identity.entity.id}}}', undefined), undefined)
  assert.equal(fill('{"a": {{identity.groups.names.ops.id}}}', undefined), undefined)
  assert.deepEqual(fill('{"a": {{time.now}}}', undefined), { a: 1_700_000_000 })
})
