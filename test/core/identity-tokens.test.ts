// Identity tokens in a whole core: who may have one, what verifies it and how long, rotation by hand and by the clock.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { compactVerify, createLocalJWKSet, decodeJwt, decodeProtectedHeader } from 'jose'
import { memoryStorage } from '../../src/storage/memory.ts'
import { startInside } from '../inside.ts'

const hour = 3600_000

async function world() {
  let time = Date.parse('2030-01-01T00:00:00Z')
  const core = await startInside(memoryStorage(), { now: () => time, apiAddress: 'https://vault.example.com:8200' })
  const root = async (verb: 'read' | 'write' | 'delete' | 'list', path: string, body?: unknown, namespace = '') => {
    const answer = await core.call(verb, path, body, { namespace })
    assert.ok(answer.status < 300, `${verb} ${path}: ${answer.status} ${answer.raw}`)
    return answer.body
  }
  await root('write', 'sys/policies/acl/io', { policy: 'path "identity/oidc/token/*" { capabilities = ["read"] }' })
  await root('write', 'sys/auth/up', { type: 'userpass' })
  await root('write', 'auth/up/users/ann', { password: 'pw', token_policies: 'io' })
  const login = await core.call('write', 'auth/up/login/ann', { password: 'pw' }, { token: '' })
  const { client_token: token, entity_id: entity } = login.body['auth'] as { client_token: string; entity_id: string }
  const signed = async (role: string): Promise<string> => {
    const answer = await core.call('read', `identity/oidc/token/${role}`, undefined, { token })
    assert.equal(answer.status, 200, answer.raw)
    return answer.body['data'].token
  }
  const jwks = async () => (await core.call('read', 'identity/oidc/.well-known/keys', undefined, { token: '' })).body
  const active = async (jwt: string, more = {}) => root('write', 'identity/oidc/introspect', { token: jwt, ...more })
  const pass = (ms: number): void => {
    time += ms
  }
  return { core, root, token, entity, signed, jwks, active, pass }
}

test('a token says who the caller is, and the published keys verify it', async () => {
  const { core, root, entity, signed, jwks, active } = await world()
  const issuer = 'https://vault.example.com:8200/v1/identity/oidc'
  await root('write', `identity/entity/id/${entity}`, { metadata: { team: 'red' } })
  await root('write', 'identity/group', { name: 'ops', member_entity_ids: [entity] })
  for (const algorithm of ['RS256', 'ES384', 'EdDSA']) {
    await root('write', `identity/oidc/key/k-${algorithm}`, { algorithm, allowed_client_ids: '*' })
    const template = '{"team":{{identity.entity.metadata.team}},"groups":{{identity.entity.groups.names}}}'
    await root('write', `identity/oidc/role/r-${algorithm}`, { key: `k-${algorithm}`, ttl: '10m', template })
    const jwt = await signed(`r-${algorithm}`)
    const keySet = await jwks()
    assert.equal(decodeProtectedHeader(jwt).alg, algorithm)
    const { payload } = await compactVerify(jwt, createLocalJWKSet(keySet as never))
    const claims = JSON.parse(Buffer.from(payload).toString())
    const { client_id: aud } = (await root('read', `identity/oidc/role/r-${algorithm}`))['data']
    assert.deepEqual(
      { ...claims, iat: 0, exp: claims.exp - claims.iat },
      { iss: issuer, sub: entity, aud, namespace: 'root', team: 'red', groups: ['ops'], iat: 0, exp: 600 },
    )
    assert.deepEqual(await active(jwt), { active: true })
    assert.deepEqual(await active(jwt, { client_id: aud }), { active: true })
    assert.equal((await active(jwt, { client_id: 'other' }))['active'], false)
  }
  const discovery = await core.call('read', 'identity/oidc/.well-known/openid-configuration', undefined, { token: '' })
  assert.deepEqual([discovery.body['issuer'], discovery.body['jwks_uri']], [issuer, `${issuer}/.well-known/keys`])
  assert.doesNotMatch(JSON.stringify(await jwks()), /"(d|p|q|dp|dq|qi)":/)
})

test('who has no entity here, or a role that its key does not let in, gets none', async () => {
  const { core, root, token, active, signed, entity } = await world()
  await root('write', 'identity/oidc/key/k', { algorithm: 'EdDSA' })
  await root('write', 'identity/oidc/role/r', { key: 'k', client_id: 'app' })
  const ask = (more = {}) => core.call('read', 'identity/oidc/token/r', undefined, more)
  assert.equal((await ask({ token })).status, 400)
  await root('write', 'identity/oidc/key/k', { allowed_client_ids: ['app'] })
  assert.equal((await ask()).status, 400)
  assert.equal((await ask({ token: '' })).status, 403)
  const jwt = await signed('r')
  await root('write', `identity/entity/id/${entity}`, { disabled: true })
  assert.deepEqual(await active(jwt), { active: false, error: 'entity is disabled' })
  await root('delete', `identity/entity/id/${entity}`)
  assert.deepEqual(await active(jwt), { active: false, error: 'entity was not found' })
})

test('namespaces have keys and issuers of their own; a token of one is nothing in another', async () => {
  const { core, root, signed, active } = await world()
  await root('write', 'sys/namespaces/team', {})
  for (const namespace of ['', 'team']) {
    await root('write', 'identity/oidc/key/k', { algorithm: 'EdDSA', allowed_client_ids: '*' }, namespace)
    await root('write', 'identity/oidc/role/r', { key: 'k' }, namespace)
  }
  const jwt = await signed('r')
  assert.equal((await active(jwt))['active'], true)
  assert.equal((await root('write', 'identity/oidc/introspect', { token: jwt }, 'team'))['active'], false)
  const inTeam = { namespace: 'team', token: '' }
  const { body } = await core.call('read', 'identity/oidc/.well-known/openid-configuration', undefined, inTeam)
  assert.equal(body['issuer'], 'https://vault.example.com:8200/v1/team/identity/oidc')
  await root('write', 'identity/oidc/config', { issuer: 'https://id.example.com' })
  assert.equal(decodeJwt(await signed('r')).iss, 'https://id.example.com/v1/identity/oidc')
  assert.equal((await active(jwt))['active'], false)
  for (const issuer of [
    'x',
    'ftp://a',
    'https://a/b',
    'https://u@a',
    'https://a?b',
    'https://a#b',
    'https://',
    'https://a b',
  ])
    assert.equal((await core.call('write', 'identity/oidc/config', { issuer })).status, 400, issuer)
})

test('a rotated key verifies what it signed, for its time; a removed one does not', async () => {
  const { core, root, signed, jwks, active, pass } = await world()
  await root('write', 'identity/oidc/key/k', {
    algorithm: 'EdDSA',
    allowed_client_ids: '*',
    rotation_period: '24h',
    verification_ttl: '2h',
  })
  await root('write', 'identity/oidc/role/r', { key: 'k', ttl: '2h' })
  const first = await signed('r')
  const before = (await jwks())['keys']
  assert.equal(before.length, 2)
  await root('write', 'identity/oidc/key/k/rotate', {})
  const second = await signed('r')
  // What signs now was published before.
  assert.equal(decodeProtectedHeader(second).kid, before[1].kid)
  assert.deepEqual([await active(first), await active(second)], [{ active: true }, { active: true }])
  assert.equal((await jwks())['keys'].length, 3)
  pass(1.9 * hour)
  assert.deepEqual(await active(first), { active: true })
  pass(0.2 * hour)
  assert.equal((await active(first))['active'], false)
  assert.equal((await jwks())['keys'].length, 2)
  const third = await signed('r')
  await root('write', 'identity/oidc/key/k/rotate', { verification_ttl: 0 })
  assert.equal((await active(third))['active'], false)
  await root('write', 'identity/oidc/key/k', { algorithm: 'ES256' })
  assert.equal(decodeProtectedHeader(await signed('r')).alg, 'ES256')
  await root('delete', 'identity/oidc/role/r')
  assert.deepEqual((await jwks())['keys'], [])
  assert.equal((await core.call('write', 'identity/oidc/key/none/rotate', {})).status, 400)
})

test('the clock rotates a key; two rotations at once are two', async () => {
  const { root, signed, jwks, pass } = await world()
  await root('write', 'identity/oidc/key/k', {
    algorithm: 'EdDSA',
    allowed_client_ids: '*',
    rotation_period: '1h',
    verification_ttl: '2h',
  })
  await root('write', 'identity/oidc/role/r', { key: 'k', ttl: '1h' })
  const kid = async () => decodeProtectedHeader(await signed('r')).kid
  const [first, next] = [await kid(), (await jwks())['keys'][1].kid]
  pass(hour + 1000)
  for (let i = 0; i < 100 && (await kid()) === first; i++) await setTimeout(50)
  assert.equal(await kid(), next)
  // The next time is an hour from then.
  pass(0.9 * hour)
  await setTimeout(1500)
  assert.equal(await kid(), next)
  await Promise.all([root('write', 'identity/oidc/key/k/rotate', {}), root('write', 'identity/oidc/key/k/rotate', {})])
  const kids = (await jwks())['keys'].map((key: { kid: string }) => key.kid)
  assert.equal(new Set(kids).size, 5)
})

test('the built-in key is there, makes its pair at first use, and stays', async () => {
  const { core, root, signed, jwks } = await world()
  assert.deepEqual((await root('read', 'identity/oidc/key/default'))['data'].allowed_client_ids, ['*'])
  assert.deepEqual((await root('list', 'identity/oidc/key'))['data'].keys, ['default'])
  assert.deepEqual((await jwks())['keys'], [])
  await root('write', 'identity/oidc/role/r', { key: 'default' })
  assert.equal(decodeProtectedHeader(await signed('r')).alg, 'RS256')
  assert.equal((await core.call('delete', 'identity/oidc/key/default')).status, 400)
  const { body } = await core.call('read', 'identity/oidc/key/default')
  assert.doesNotMatch(JSON.stringify(body), /private|pair/i)
})

test('limits between keys and roles', async () => {
  const { core, root } = await world()
  const bad: [path: string, body: object][] = [
    ['identity/oidc/key/k', { rotation_period: '59s' }],
    ['identity/oidc/key/k', { rotation_period: '1m', verification_ttl: '11m' }],
    ['identity/oidc/key/k', { algorithm: 'none' }],
    ['identity/oidc/key/k', { algorithm: 'toString' }],
    ['identity/oidc/key/-k', {}],
    ['identity/oidc/key/a b', {}],
    ['identity/oidc/role/r', { key: 'none' }],
    ['identity/oidc/role/r', { key: 'default', ttl: '25h' }],
    ['identity/oidc/role/r', { key: 'default', template: '{"sub":"admin"}' }],
  ]
  for (const [path, body] of bad)
    assert.equal((await core.call('write', path, body)).status, 400, `${path} ${JSON.stringify(body)}`)
  await root('write', 'identity/oidc/key/k', { algorithm: 'EdDSA' })
  await root('write', 'identity/oidc/role/r', { key: 'k', ttl: '24h' })
  assert.equal((await core.call('write', 'identity/oidc/key/k', { verification_ttl: '1h' })).status, 400)
  assert.equal((await core.call('delete', 'identity/oidc/key/k')).status, 400)
  await root('delete', 'identity/oidc/role/r')
  await root('delete', 'identity/oidc/key/k')
})
