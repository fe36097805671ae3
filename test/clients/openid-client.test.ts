// openid-client, the certified relying party library, against a real server: sign-in with PKCE, userinfo, client credentials.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as oidc from 'openid-client'
import { type ServerProcess, startDev } from '../process.ts'

let server: ServerProcess
let user: string
let entity: string
const callback = 'http://127.0.0.1:7777/cb'
const issuer = () => new URL(`${server.url}/v1/identity/oidc/provider/e2e`)

const root = async (method: string, path: string, body?: unknown) => {
  const answer = await server.call(method, path, body)
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body
}

before(async () => {
  server = await startDev()
  await root('POST', 'sys/auth/people', { type: 'userpass' })
  await root('POST', 'auth/people/users/ann', { password: 'pw-ann-1' })
  const login = await server.call('POST', 'auth/people/login/ann', { password: 'pw-ann-1' }, { 'x-vault-token': '' })
  user = login.body.auth.client_token
  entity = login.body.auth.entity_id
  await root('POST', `identity/entity/id/${entity}`, { name: 'ann', metadata: { email: 'ann@example.com' } })
  await root('POST', 'identity/group', { name: 'ops', member_entity_ids: [entity] })
  await root('POST', 'identity/oidc/scope/profile', {
    template: '{"name":{{identity.entity.name}},"email":{{identity.entity.metadata.email}}}',
  })
  await root('POST', 'identity/oidc/scope/groups', { template: '{"groups":{{identity.entity.groups.names}}}' })
  await root('POST', 'identity/oidc/provider/e2e', {
    issuer: server.url,
    allowed_client_ids: '*',
    scopes_supported: 'profile,groups',
  })
})
after(() => server.remove())

interface Registered {
  readonly id: string
  readonly secret: string | undefined
}

async function register(name: string, more: Record<string, unknown>): Promise<Registered> {
  // Registered without a port: it is free for loopback addresses.
  const redirect = 'http://127.0.0.1/cb'
  await root('POST', `identity/oidc/client/${name}`, { redirect_uris: redirect, assignments: 'allow_all', ...more })
  const { data } = await root('GET', `identity/oidc/client/${name}`)
  return { id: data.client_id, secret: data.client_secret }
}

const discover = ({ id, secret }: Registered, how: (secret: string) => oidc.ClientAuth) =>
  oidc.discovery(issuer(), id, secret, secret ? how(secret) : oidc.None(), { execute: [oidc.allowInsecureRequests] })

/** What the page behind the authorization endpoint does with the user's token: asks for the code and sends it on. */
async function consent(url: URL, method: 'GET' | 'POST'): Promise<URL> {
  const api = `${server.url}${url.pathname.replace('/ui/vault/', '/v1/')}`
  const headers = { 'x-vault-token': user }
  const response =
    method === 'GET'
      ? await fetch(`${api}?${url.searchParams}`, { headers })
      : await fetch(api, { method, headers, body: url.searchParams })
  const answer = (await response.json()) as { code: string; state: string }
  assert.equal(response.status, 200, JSON.stringify(answer))
  const back = new URL(url.searchParams.get('redirect_uri') as string)
  back.searchParams.set('code', answer.code)
  back.searchParams.set('state', answer.state)
  return back
}

async function signIn(config: oidc.Configuration, method: 'GET' | 'POST') {
  const verifier = oidc.randomPKCECodeVerifier()
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()]
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: callback,
    scope: 'openid profile groups',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    max_age: '3600',
  })
  const back = await consent(url, method)
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 3600 }
  return { back, checks, tokens: await oidc.authorizationCodeGrant(config, back, checks) }
}

for (const [name, more, how, method] of [
  ['basic', { key: 'default' }, oidc.ClientSecretBasic, 'GET'],
  ['post', { key: 'default' }, oidc.ClientSecretPost, 'POST'],
  ['public', { client_type: 'public' }, oidc.ClientSecretPost, 'GET'],
] as const)
  test(`signs in as a ${name} client, is told the claims, and cannot use the code again`, async () => {
    const config = await discover(await register(name, more), how)
    const { back, checks, tokens } = await signIn(config, method)
    const claims = tokens.claims()
    assert.deepEqual([claims?.sub, claims?.['name'], claims?.['groups']], [entity, 'ann', ['ops']])
    const info = await oidc.fetchUserInfo(config, tokens.access_token, entity)
    assert.deepEqual({ ...info }, { sub: entity, name: 'ann', email: 'ann@example.com', groups: ['ops'] })
    await assert.rejects(
      oidc.authorizationCodeGrant(config, back, checks),
      (error) => error instanceof oidc.ResponseBodyError && error.error === 'invalid_grant',
    )
  })

test('each algorithm of a key is one the library verifies', async () => {
  for (const algorithm of ['ES256', 'ES384', 'ES512', 'EdDSA', 'RS384', 'RS512']) {
    await root('POST', `identity/oidc/key/${algorithm}`, { algorithm, allowed_client_ids: '*' })
    const client = await register(`with-${algorithm}`, { key: algorithm })
    const config = await oidc.discovery(
      issuer(),
      client.id,
      { client_secret: client.secret as string, id_token_signed_response_alg: algorithm },
      oidc.ClientSecretBasic(client.secret),
      { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks] },
    )
    assert.equal((await signIn(config, 'GET')).tokens.claims()?.sub, entity)
  }
})

test('a machine gets a token for itself', async () => {
  const client = await register('machine', { client_credentials: true })
  const config = await discover(client, oidc.ClientSecretBasic)
  const tokens = await oidc.clientCredentialsGrant(config, { scope: 'openid' })
  const [, payload = ''] = tokens.access_token.split('.')
  assert.equal(JSON.parse(Buffer.from(payload, 'base64url').toString()).sub, client.id)
  const wrong = await discover({ id: client.id, secret: 'hvo_secret_wrong' }, oidc.ClientSecretBasic)
  await assert.rejects(oidc.clientCredentialsGrant(wrong, { scope: 'openid' }))
})

test('an access token that is none is refused as RFC 6750 says', async () => {
  const response = await fetch(`${issuer()}/userinfo`, { headers: { authorization: 'Bearer hvb.none' } })
  assert.equal(response.status, 401)
  assert.match(response.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/)
})

test('documents may be kept for a while, tokens may not', async () => {
  const of = async (path: string) => (await fetch(`${issuer()}${path}`)).headers.get('cache-control')
  assert.equal(await of('/.well-known/openid-configuration'), 'max-age=3600')
  assert.match((await of('/.well-known/keys')) ?? '', /^max-age=\d+$/)
  const token = await fetch(`${issuer()}/token`, { method: 'POST', body: new URLSearchParams({ grant_type: 'x' }) })
  assert.equal(token.headers.get('cache-control'), 'no-store')
})
