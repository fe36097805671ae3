// What the tests of the OpenID provider start from.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { memoryStorage } from '../../src/storage/memory.ts'
import { startInside } from '../inside.ts'

/** A verifier of PKCE. */
export const verifier = 'v'.repeat(50)
/** Its S256 challenge. */
export const challenge = createHash('sha256').update(verifier).digest('base64url')
/** Where codes are sent. */
export const callback = 'https://app.example.com/cb'
/** The provider that clients use. */
export const provider = 'identity/oidc/provider/p'
/** A header that says who a client is. */
export const basic = (id: string, secret: string) => ({ authorization: `Basic ${btoa(`${id}:${secret}`)}` })

/** Starts a core with somebody logged in, a confidential client and a provider, and gives short words to ask them. */
export async function world() {
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

/** Demands an error of OAuth. */
export const refused = (answer: { status: number; body: Record<string, unknown> }, error: string, status = 400) =>
  assert.deepEqual(
    [answer.status, answer.body['error'], typeof answer.body['error_description']],
    [status, error, 'string'],
  )
