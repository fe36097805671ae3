// The OpenID provider: who may sign in where, what clients and access tokens may, what is cleared away and what the audit log says.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { memoryStorage } from '../../src/storage/memory.ts'
import { startInside } from '../inside.ts'
import { basic, callback, provider, refused, world } from './oidc-world.ts'

test('assignments by entity and by group, judged again at each step', async () => {
  const { core, root, ann, client, login, code, authorize, exchange, userinfo } = await world()
  const bob = await login('bob')
  const inner = await root('write', 'identity/group', { name: 'inner', member_entity_ids: [bob.entity] })
  const outer = await root('write', 'identity/group', { name: 'outer', member_group_ids: [inner.id] })
  await root('write', 'identity/oidc/assignment/a', { entity_ids: [ann.entity], group_ids: [outer.id] })
  const only = await client('only', { assignments: ['a'] })
  const cid = await login('cid')
  const asked = { client_id: only.id }
  assert.equal((await authorize(asked)).status, 200)
  assert.equal((await authorize(asked, bob.token)).status, 200)
  refused(await authorize(asked, cid.token), 'access_denied')
  const [mine, his] = [await code(asked), (await authorize(asked, bob.token)).body['code']]
  const { access_token: access } = (await exchange({ code: mine }, only)).body
  assert.equal((await userinfo(access)).status, 200)
  await root('write', 'identity/group/name/outer', { member_group_ids: [] })
  refused(await exchange({ code: his }, only), 'invalid_request')
  await root('write', 'identity/oidc/assignment/a', { entity_ids: [] })
  refused(await userinfo(access), 'access_denied', 403)
  await root('write', 'identity/oidc/assignment/a', { entity_ids: [ann.entity] })
  assert.equal((await userinfo(access)).status, 200)
  await root('write', `identity/entity/id/${ann.entity}`, { disabled: true })
  refused(await userinfo(access), 'access_denied', 403)
  for (const name of ['allow_all', 'a'])
    assert.equal((await core.call('delete', `identity/oidc/assignment/${name}`)).status, 400)
  assert.equal((await core.call('write', 'identity/oidc/assignment/allow_all', { entity_ids: [] })).status, 400)
})

test('clients prove who they are, by header or in the body, with one answer for all that is wrong', async () => {
  const { core, app, code, exchange } = await world()
  const wrong = [
    await exchange({ code: await code() }, { id: app.id, secret: 'wrong' }),
    await exchange({ code: await code() }, { id: app.id, secret: '' }),
    await exchange({ code: await code() }, { id: 'nosuch', secret: app.secret }),
    await exchange({ code: await code() }, { id: '__proto__', secret: '' }),
  ]
  for (const answer of wrong) refused(answer, 'invalid_client', 401)
  assert.equal(new Set(wrong.map(({ raw }) => raw)).size, 1)
  const post = (body: Record<string, unknown>) =>
    core.call(
      'write',
      `${provider}/token`,
      { grant_type: 'authorization_code', redirect_uri: callback, ...body },
      { token: '' },
    )
  refused(await post({ code: await code() }), 'invalid_request')
  refused(await post({ code: await code(), client_id: app.id }), 'invalid_client', 401)
  assert.equal((await post({ code: await code(), client_id: app.id, client_secret: app.secret })).status, 200)
  refused(await exchange({ grant_type: 'password' }), 'unsupported_grant_type')
  refused(await exchange({ grant_type: 'constructor' }), 'unsupported_grant_type')
  refused(await exchange({ grant_type: '' }), 'unsupported_grant_type')
})

test('an access token opens userinfo of its provider and nothing else', async () => {
  const { core, root, ann, code, exchange, userinfo, pass } = await world()
  await root('write', 'sys/policies/acl/all', { policy: 'path "*" { capabilities = ["read","update","sudo"] }' })
  await root('write', `identity/entity/id/${ann.entity}`, { policies: ['all'] })
  const { access_token: access } = (await exchange({ code: await code() })).body
  for (const [verb, path] of [
    ['read', 'auth/token/lookup-self'],
    ['read', 'sys/mounts'],
    ['write', 'auth/token/create'],
    ['read', `${provider}/authorize`],
    ['read', `identity/entity/id/${ann.entity}`],
    ['write', 'sys/capabilities-self'],
    ['write', 'cubbyhole/x'],
  ] as const)
    assert.equal((await core.call(verb, path, verb === 'write' ? {} : undefined, { token: access })).status, 403, path)
  const shown = await root('write', 'auth/token/lookup', { token: access })
  assert.deepEqual([shown.policies, shown.identity_policies], [[], undefined])
  const headers = { authorization: `Bearer ${access}` }
  const elsewhere = await core.call('read', 'identity/oidc/provider/other/userinfo', undefined, {
    token: access,
    headers,
  })
  refused(elsewhere, 'invalid_token', 401)
  refused(await userinfo(access, { headers: {} }), 'invalid_token', 401)
  refused(await userinfo(access, { headers: { authorization: 'Bearer other' } }), 'invalid_token', 401)
  // No other token does, not even one that says it is such a token.
  refused(await userinfo(ann.token), 'invalid_token', 401)
  refused(await userinfo(core.root), 'invalid_token', 401)
  const made = await core.call(
    'write',
    'auth/token/create',
    {
      type: 'batch',
      policies: ['all'],
      meta: { oidc_token_type: 'access token', client_id: 'app', scopes: 'profile' },
    },
    { token: ann.token },
  )
  refused(await userinfo(made.body['auth'].client_token), 'invalid_token', 401)
  refused(await userinfo(''), 'invalid_token', 401)
  pass(86_400_000)
  refused(await userinfo(access), 'invalid_token', 401)
})

test('client credentials: for confidential clients that may, without anybody in them', async () => {
  const { core, root, app, client, exchange } = await world()
  const credentials = { grant_type: 'client_credentials', scope: 'openid profile' }
  refused(await exchange(credentials), 'invalid_grant')
  const machine = await client('machine', { client_credentials: true, authorization_code: false })
  const answer = await exchange(credentials, machine)
  assert.equal(answer.status, 200, answer.raw)
  const claims = decodeJwt(answer.body['access_token'])
  assert.deepEqual([claims.sub, claims.aud, claims['name']], [machine.id, machine.id, undefined])
  assert.equal(answer.body['id_token'], undefined)
  refused(await exchange({ ...credentials, scope: 'profile' }, machine), 'invalid_request')
  refused(await exchange({ code: 'x' }, machine), 'invalid_grant')
  assert.notEqual(app.id, machine.id)
  const bad = { key: 'k', client_type: 'public', client_credentials: true }
  assert.equal((await core.call('write', 'identity/oidc/client/bad', bad)).status, 400)
  assert.deepEqual((await root('list', 'identity/oidc/client')).keys, ['app', 'machine'])
  assert.ok(!JSON.stringify(await root('list', 'identity/oidc/client')).includes(machine.secret))
})

test('namespaces have providers of their own; codes and tokens of one are nothing in another', async () => {
  const { core, app, code, exchange, userinfo } = await world()
  await core.call('write', 'sys/namespaces/team', {})
  const inTeam = { namespace: 'team', token: '' }
  const at = 'identity/oidc/provider/default'
  const discovery = await core.call('read', `${at}/.well-known/openid-configuration`, undefined, inTeam)
  assert.equal(discovery.body['issuer'], 'https://vault.example.com/v1/team/identity/oidc/provider/default')
  const tried = await core.call(
    'write',
    `${at}/token`,
    { grant_type: 'authorization_code', redirect_uri: callback, code: await code() },
    { ...inTeam, headers: basic(app.id, app.secret) },
  )
  refused(tried, 'invalid_client', 401)
  await core.call('write', provider, { allowed_client_ids: '*' }, { namespace: 'team' })
  const { access_token: access } = (await exchange({ code: await code() })).body
  assert.equal((await userinfo(access)).status, 200)
  refused(await userinfo(access, { namespace: 'team' }), 'invalid_token', 401)
})

test('max_age: a login that is too old does not count', async () => {
  const { code, authorize, exchange, pass } = await world()
  pass(100_000)
  const { id_token: id } = (await exchange({ code: await code({ max_age: '200' }) })).body
  assert.equal(Number(decodeJwt(id).iat) - Number(decodeJwt(id)['auth_time']), 100)
  refused(await authorize({ max_age: '99' }), 'max_age_violation')
})

test('two scopes with one claim are told, and not merged', async () => {
  const { root, code, exchange } = await world()
  await root('write', 'identity/oidc/scope/second', { template: '{"name":"x"}' })
  await root('write', provider, { scopes_supported: ['profile', 'second'] })
  refused(await exchange({ code: await code({ scope: 'openid profile second' }) }), 'invalid_request')
  assert.equal((await exchange({ code: await code({ scope: 'openid second' }) })).status, 200)
})

test('codes that nobody comes for are cleared away', async () => {
  const storage = memoryStorage()
  let shift = 0
  const core = await startInside(storage, { now: () => Date.now() + shift })
  const keys = async () => (await storage.view((tx) => tx.scan(''))).filter((key) => key.includes('oidc'))
  await core.call('write', 'sys/auth/up', { type: 'userpass' })
  await core.call('write', 'auth/up/users/ann', { password: 'pw' })
  const { body } = await core.call('write', 'auth/up/login/ann', { password: 'pw' }, { token: '' })
  await core.call('write', 'identity/oidc/client/app', { redirect_uris: callback, assignments: 'allow_all' })
  const { body: client } = await core.call('read', 'identity/oidc/client/app')
  const before = await keys()
  const asked = { client_id: client['data'].client_id, redirect_uri: callback, response_type: 'code', scope: 'openid' }
  const made = await core.call('write', 'identity/oidc/provider/default/authorize', asked, {
    token: body['auth'].client_token,
  })
  assert.equal(made.status, 200, made.raw)
  assert.equal((await keys()).length, before.length + 2)
  // The text of a code is nowhere in the store.
  assert.ok(!(await keys()).some((key) => key.includes(made.body['code'])))
  shift = 6 * 60_000
  for (let i = 0; i < 100 && (await keys()).length > before.length; i++) await setTimeout(50)
  assert.deepEqual(await keys(), before)
})

test('what a client, a provider or a scope cannot be', async () => {
  const { core, root } = await world()
  const bad: [path: string, body: object][] = [
    ['client/x', { key: 'none' }],
    ['client/x', { key: 'k', client_type: 'weird' }],
    ['client/x', { key: 'k', assignments: 'none' }],
    ['client/x', { key: 'k', redirect_uris: 'javascript:alert(1)' }],
    ['client/x', { key: 'k', access_token_ttl: 0 }],
    ['client/x', { key: 'k', id_token_ttl: '25h' }],
    ['client/app', { key: 'default' }],
    ['client/app', { client_type: 'public' }],
    ['provider/x', { issuer: 'https://a/b' }],
    ['provider/x', { scopes_supported: 'none' }],
    ['scope/openid', { template: '{}' }],
    ['scope/x', { template: '{"sub":"x"}' }],
    ['scope/x', { template: '{{' }],
    ['scope/a b', { template: '{}' }],
  ]
  for (const [path, body] of bad)
    assert.equal(
      (await core.call('write', `identity/oidc/${path}`, body)).status,
      400,
      `${path} ${JSON.stringify(body)}`,
    )
  assert.equal((await core.call('delete', 'identity/oidc/scope/profile')).status, 400)
  assert.equal((await core.call('delete', 'identity/oidc/provider/default')).status, 400)
  assert.equal((await core.call('delete', 'identity/oidc/key/k')).status, 400)
  const { client_id: id } = await root('read', 'identity/oidc/client/app')
  await root('write', 'identity/oidc/client/app', { redirect_uris: [] })
  assert.equal((await root('read', 'identity/oidc/client/app')).client_id, id)
  await root('write', 'identity/oidc/provider/mine', { allowed_client_ids: [id] })
  const names = async (query: Record<string, string>) =>
    (await core.call('list', 'identity/oidc/provider', undefined, { query })).body['data'].keys
  assert.deepEqual(await names({}), ['default', 'mine', 'other', 'p'])
  assert.deepEqual(await names({ allowed_client_id: 'x' }), ['default', 'other', 'p'])
})

test('the audit log says why a client was refused', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-test-'))
  const file = path.join(folder, 'audit.log')
  const core = await startInside(memoryStorage(), {
    devices: [
      {
        path: 'file/',
        type: 'file',
        description: '',
        options: { file_path: file },
        local: false,
        accessor: 'audit_file_test',
        salt: '',
        declared: true,
      },
    ],
  })
  const body = { grant_type: 'authorization_code', client_id: 'nosuch', client_secret: 'canary-secret' }
  refused(await core.call('write', 'identity/oidc/provider/default/token', body, { token: '' }), 'invalid_client', 401)
  await core.assembly.close()
  const log = readFileSync(file, 'utf8')
  rmSync(folder, { recursive: true })
  const answer = log
    .split('\n')
    .filter((line) => line.includes('default/token') && line.includes('"type":"response"'))
    .map((line) => JSON.parse(line))
  assert.deepEqual(
    answer.map(({ error }) => error),
    ['invalid_client: client failed to authenticate'],
  )
  assert.ok(!log.includes('canary-secret'))
})
