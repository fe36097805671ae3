// Authorization codes against those who would have more than is theirs: each works once, for one client, one address and one verifier.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { decodeJwt } from 'jose'
import { callback, challenge, provider, refused, verifier, world } from './oidc-world.ts'

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
