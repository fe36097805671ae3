// The OpenID provider against those who would have more than is theirs: each code once, for one client, one address and one verifier.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { decodeJwt } from 'jose'
import { memoryStorage } from '../../src/storage/memory.ts'
import { startInside } from '../inside.ts'

const verifier = 'v'.repeat(50)
const challenge = createHash('sha256').update(verifier).digest('base64url')
const callback = 'https://app.example.com/cb'
const provider = 'identity/oidc/provider/p'
const basic = (id: string, secret: string) => ({ authorization: `Basic ${btoa(`${id}:${secret}`)}` })

async function world() {
  let time = Date.parse('2030-01-01T00:00:00Z')
  const core = await startInside(memoryStorage(), { now: () => time, apiAddress: 'https://vault.example.com' })
  const root = async (verb: 'read' | 'write' | 'delete' | 'list', path: string, body?: unknown) => {
    const answer = await core.call(verb, path, body)
    assert.ok(answer.status < 300, `${verb} ${path}: ${answer.status} ${answer.raw}`)
    return answer.body['data']
  }
  await root('write', 'sys/auth/up', { type: 'userpass' })
  const login = async (name: string) => {
    await root('write', `auth/up/users/${name}`, { password: 'pw' })
    const { body } = await core.call('write', `auth/up/login/${name}`, { password: 'pw' }, { token: '' })
    return { token: body['auth'].client_token as string, entity: body['auth'].entity_id as string }
  }
  const ann = await login('ann')
  await root('write', 'identity/oidc/key/k', { algorithm: 'EdDSA', allowed_client_ids: '*' })
  await root('write', 'identity/oidc/scope/profile', { template: '{"name":{{identity.entity.name}}}' })
  const client = async (name: string, more: Record<string, unknown> = {}) => {
    await root('write', `identity/oidc/client/${name}`, {
      key: 'k',
      redirect_uris: [callback],
      assignments: ['allow_all'],
      ...more,
    })
    const { client_id: id, client_secret: secret } = await root('read', `identity/oidc/client/${name}`)
    return { id, secret } as { id: string; secret: string }
  }
  const app = await client('app')
  await root('write', provider, { allowed_client_ids: '*', scopes_supported: 'profile' })
  await root('write', 'identity/oidc/provider/other', { allowed_client_ids: '*' })
  const authorize = (more: Record<string, string | undefined> = {}, token = ann.token) =>
    core.call('read', `${more['provider'] ?? provider}/authorize`, undefined, {
      token,
      query: JSON.parse(
        JSON.stringify({
          client_id: app.id,
          redirect_uri: callback,
          response_type: 'code',
          scope: 'openid profile unknown',
          state: 's1',
          nonce: 'n1',
          ...more,
          provider: undefined,
        }),
      ),
    })
  const code = async (more: Record<string, string | undefined> = {}) => {
    const answer = await authorize(more)
    assert.equal(answer.status, 200, answer.raw)
    return answer.body['code'] as string
  }
  const exchange = (body: Record<string, unknown>, who = app, at = provider) =>
    core.call(
      'write',
      `${at}/token`,
      { grant_type: 'authorization_code', redirect_uri: callback, ...body },
      { token: '', headers: basic(who.id, who.secret) },
    )
  const userinfo = (token: string, more: Record<string, unknown> = {}) =>
    core.call('read', `${provider}/userinfo`, undefined, {
      token,
      headers: { authorization: `Bearer ${token}` },
      ...more,
    })
  const pass = (ms: number): void => {
    time += ms
  }
  return { core, root, login, ann, client, app, authorize, code, exchange, userinfo, pass }
}

const refused = (answer: { status: number; body: Record<string, unknown> }, error: string, status = 400) =>
  assert.deepEqual(
    [answer.status, answer.body['error'], typeof answer.body['error_description']],
    [status, error, 'string'],
  )

test('a code gives an id token and an access token that opens userinfo', async () => {
  const { ann, app, code, exchange, userinfo, root, core } = await world()
  await root('write', `identity/entity/id/${ann.entity}`, { name: 'Ann' })
  const answer = await exchange({ code: await code() })
  assert.equal(answer.status, 200, answer.raw)
  const { access_token: access, id_token: id, ...rest } = answer.body
  assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 86_400 })
  const claims = decodeJwt(id)
  const half = (text: string) => createHash('sha512').update(text).digest().subarray(0, 32).toString('base64url')
  assert.equal(claims['at_hash'], half(access))
  assert.deepEqual(
    [claims.iss, claims.sub, claims.aud, claims['nonce'], claims['name'], Number(claims.exp) - Number(claims.iat)],
    [`https://vault.example.com/v1/${provider}`, ann.entity, app.id, 'n1', 'Ann', 86_400],
  )
  const info = await userinfo(access)
  assert.deepEqual(info.body, { sub: ann.entity, name: 'Ann' })
  assert.deepEqual(
    (
      await core.call(
        'write',
        `${provider}/userinfo`,
        {},
        { token: access, headers: { authorization: `Bearer ${access}` } },
      )
    ).body,
    info.body,
  )
})

test('a code works once, whoever tries; of two at once one wins', async () => {
  const { client, code, exchange } = await world()
  const first = await code()
  assert.equal((await exchange({ code: first })).status, 200)
  refused(await exchange({ code: first }), 'invalid_grant')
  const raced = await code()
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => exchange({ code: raced })))
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), [200, ...Array(7).fill(400)])
  // Stolen and tried by another client it is spent for both.
  const other = await client('thief')
  const stolen = await code()
  refused(await exchange({ code: stolen }, other), 'invalid_grant')
  refused(await exchange({ code: stolen }), 'invalid_grant')
})

test('a code is bound to client, provider and address, and to its five minutes', async () => {
  const { code, exchange, app, pass, root } = await world()
  refused(await exchange({ code: await code(), redirect_uri: 'https://evil.example.com/cb' }), 'invalid_grant')
  refused(await exchange({ code: await code(), redirect_uri: `${callback}/` }), 'invalid_grant')
  refused(await exchange({ code: await code(), redirect_uri: '' }), 'invalid_request')
  refused(await exchange({ code: await code() }, app, 'identity/oidc/provider/other'), 'invalid_grant')
  refused(await exchange({ code: 'x'.repeat(32) }), 'invalid_grant')
  refused(await exchange({ code: '' }), 'invalid_request')
  const late = await code()
  pass(5 * 60_000)
  refused(await exchange({ code: late }), 'invalid_grant')
  const kept = await code()
  await root('delete', 'identity/oidc/client/app')
  refused(await exchange({ code: kept }), 'invalid_client', 401)
})

test('PKCE: asked for from public clients, never given up on the way', async () => {
  const { core, client, authorize, code, exchange, app } = await world()
  const pub = await client('pub', { client_type: 'public' })
  assert.equal(pub.secret, undefined)
  const asPublic = (body: Record<string, unknown>) =>
    core.call(
      'write',
      `${provider}/token`,
      { grant_type: 'authorization_code', redirect_uri: callback, client_id: pub.id, ...body },
      { token: '' },
    )
  refused(await authorize({ client_id: pub.id }), 'invalid_request')
  const s256 = { client_id: pub.id, code_challenge: challenge, code_challenge_method: 'S256' }
  assert.equal((await asPublic({ code: await code(s256), code_verifier: verifier })).status, 200)
  refused(await asPublic({ code: await code(s256) }), 'invalid_request')
  refused(await asPublic({ code: await code(s256), code_verifier: challenge }), 'invalid_grant')
  refused(await asPublic({ code: await code(s256), code_verifier: `${verifier}v` }), 'invalid_grant')
  const plain = { client_id: pub.id, code_challenge: verifier, code_challenge_method: 'plain' }
  assert.equal((await asPublic({ code: await code(plain), code_verifier: verifier })).status, 200)
  for (const bad of [
    { code_challenge: 'short' },
    { code_challenge: '' },
    { code_challenge: `${'x'.repeat(60)}"` },
    { code_challenge: challenge, code_challenge_method: 'none' },
  ])
    refused(await authorize({ client_id: pub.id, ...bad }), 'invalid_request')
  refused(await exchange({ code: await code(), code_verifier: verifier }), 'invalid_request')
  // A confidential client that used it is held to it, secret or not.
  const own = { code_challenge: challenge, code_challenge_method: 'S256' }
  refused(await exchange({ code: await code(own) }, app), 'invalid_request')
})

test('what an authorization must have; what is wrong is told before a code is made', async () => {
  const { core, root, authorize, client, login } = await world()
  const cases: [more: Record<string, string | undefined>, error: string][] = [
    [{ client_id: undefined }, 'invalid_client_id'],
    [{ client_id: 'nosuch' }, 'invalid_client_id'],
    [{ redirect_uri: undefined }, 'invalid_request'],
    [{ redirect_uri: 'https://evil.example.com/cb' }, 'invalid_redirect_uri'],
    [{ redirect_uri: `${callback}?x` }, 'invalid_redirect_uri'],
    [{ scope: 'profile' }, 'invalid_request'],
    [{ scope: undefined }, 'invalid_request'],
    [{ response_type: undefined }, 'invalid_request'],
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ request: 'x' }, 'request_not_supported'],
    [{ request_uri: 'https://x' }, 'request_uri_not_supported'],
    [{ nonce: 'n'.repeat(3000) }, 'invalid_request'],
    [{ max_age: '0' }, 'invalid_request'],
    [{ provider: 'identity/oidc/provider/none' }, 'invalid_request'],
  ]
  for (const [more, error] of cases) {
    const answer = await authorize(more)
    refused(answer, error)
    assert.equal(answer.body['state'], 's1')
  }
  refused(await authorize({}, core.root), 'access_denied')
  assert.equal((await authorize({}, '')).status, 403)
  const closed = await client('closed', { assignments: [] })
  refused(await authorize({ client_id: closed.id }), 'access_denied')
  await root('write', provider, { allowed_client_ids: [closed.id] })
  refused(await authorize(), 'unauthorized_client')
  await client('machine', { authorization_code: false })
  const bob = await login('bob')
  await root('write', `identity/entity/id/${bob.entity}`, { disabled: true })
  assert.equal((await authorize({}, bob.token)).status, 403)
})

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
