// Secrets are planted wherever a client can put one, into good, failing and malformed requests, and are then looked for where they
// must not be: the log of a server at its most talkative, error answers, the process list, the store with its side files, the audit log.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { rawRequest, sendRaw } from '../http/raw.ts'
import { type Answer, newFolder, type ServerProcess, startDurable } from '../process.ts'

let server: ServerProcess
let folder: string
let temporary: string
let root: string

/** Every planted secret by its text, and where it went. */
const planted = new Map<string, string>()
/** Answers with an error, and what was planted by then. */
const refusals: { readonly where: string; readonly text: string }[] = []

/** A new secret; its name says where it goes. */
const plant = (where: string): string => {
  const secret = `Zq${randomBytes(12).toString('hex')}`
  planted.set(secret, where)
  return secret
}
/** Remembers a secret that the server made. */
const keep = (where: string, secret: unknown): string => {
  assert.ok(typeof secret === 'string' && secret.length >= 16, `${where}: ${typeof secret}`)
  planted.set(secret, where)
  return secret
}

const call = async (method: string, at: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> => {
  const answer = await server.call(method, at, body, { 'x-vault-token': root, ...headers })
  if (answer.status >= 400) refusals.push({ where: `${method} ${at.slice(0, 60)}`, text: JSON.stringify(answer.body) })
  return answer
}
const good = async (...args: Parameters<typeof call>): Promise<Answer> => {
  const answer = await call(...args)
  assert.ok(answer.status < 300, `${args[0]} ${args[1]}: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer
}
const bad = async (...args: Parameters<typeof call>): Promise<Answer> => {
  const answer = await call(...args)
  assert.ok(answer.status >= 400 && answer.status < 500, `${args[0]} ${args[1]}: ${answer.status}`)
  return answer
}

/** The ways a text can stand in a file without being changed much. */
function spellings(secret: string): Buffer[] {
  const bytes = Buffer.from(secret, 'utf8')
  const base64 = (text: string) => text.replace(/=+$/, '')
  // Base64 of a text inside of another depends on where it begins; the letters at the ends depend on the neighbours.
  const shifted = [0, 1, 2].map((shift) => {
    const text = base64(Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64'))
    return text.slice(shift === 0 ? 0 : shift + 1, -2)
  })
  return [
    bytes,
    Buffer.from(secret, 'utf16le'),
    ...[bytes.toString('hex'), ...shifted].flatMap((text) => [Buffer.from(text), Buffer.from(text.toUpperCase())]),
    // A key in hex or base64 may be kept as the bytes it means.
    ...(/^[0-9a-f]{32,}$/.test(secret) ? [Buffer.from(secret, 'hex')] : []),
    ...(/^[\w+/-]{43,}=*$/.test(secret) ? [Buffer.from(secret, 'base64')] : []),
  ]
}

/** Where a planted secret is found in some bytes. */
const found = (bytes: Buffer): string[] =>
  [...planted].flatMap(([secret, where]) => (spellings(secret).some((text) => bytes.includes(text)) ? [where] : []))

const filesBelow = (at: string): string[] =>
  readdirSync(at, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))

const visiblePath = 'names-are-no-secret'

const sealKey = randomBytes(32).toString('base64')
planted.set(sealKey, 'key of the seal')

const options = () => ({
  folder,
  key: sealKey,
  extra: `audit "file" "file" {\n  options { file_path = "${folder}/audit.log" }\n}`,
  args: ['-log-level=trace'],
  env: { TMPDIR: temporary },
})

before(async () => {
  folder = newFolder()
  temporary = newFolder()
  server = await startDurable({ ...options(), initialize: false })
  root = ''
  const init = await good('PUT', 'sys/init', { recovery_shares: 3, recovery_threshold: 2 })
  root = keep('root token', init.body.root_token)
  for (const key of [...init.body.recovery_keys, ...init.body.recovery_keys_base64]) keep('recovery key', key)
  await plantSecrets()
  await plantKeys(init.body.recovery_keys)
  await plantTokens()
  await plantSecretIds()
  await plantSignIns()
  await plantNamespaces()
  await plantWrapped()
  await plantMistakes()
  await plantRawBytes()
})
after(async () => {
  await server.remove()
  rmSync(temporary, { recursive: true, force: true })
})

async function plantSecrets(): Promise<void> {
  await good('POST', 'sys/mounts/one', { type: 'kv' })
  await good('POST', 'sys/mounts/two', { type: 'kv', options: { version: '2' } })
  await good('PUT', `one/${visiblePath}`, {
    value: plant('KV v1 value'),
    deep: { in: [plant('KV v1 value in a list')] },
  })
  await good('GET', `one/${visiblePath}`)
  await good('PUT', 'two/data/x', { data: { value: plant('KV v2 value') }, options: { cas: 0 } })
  const merge = { 'content-type': 'application/merge-patch+json' }
  await good('PATCH', 'two/data/x', { data: { more: { value: plant('KV v2 patch') } } }, merge)
  await good('GET', 'two/data/x?version=1')
  await good('GET', 'two/subkeys/x')
  await bad('PUT', 'two/data/x', {
    data: { value: plant('KV v2 value of a failed check-and-set') },
    options: { cas: 9 },
  })
  await bad('PUT', 'two/data/x', { data: plant('KV v2 data of the wrong type') })
  await bad('PUT', 'two/data/x', {
    data: { value: plant('KV v2 value beside wrong options') },
    options: { cas: 'no number' },
  })
  await bad('PUT', 'two/x', { value: plant('KV v2 value at a wrong path') })
  await bad('PUT', 'none/x', { value: plant('value for a mount that is not there') })
  await good('PUT', 'cubbyhole/x', { value: plant('cubbyhole value') })
  await good('GET', 'cubbyhole/x')
  await good('POST', 'sys/tools/hash', { input: Buffer.from(plant('input of sys/tools/hash')).toString('base64') })
  await good('POST', 'sys/audit-hash/file', { input: plant('input of sys/audit-hash') })
  await good('DELETE', 'two/data/x')
}

async function plantKeys(recovery: readonly string[]): Promise<void> {
  const wrongShare = randomBytes(33).toString('hex')
  planted.set(wrongShare, 'a wrong share')
  const begun = await good('PUT', 'sys/generate-root/attempt', {}, { 'x-vault-token': '' })
  const { otp, nonce } = begun.body
  keep('one-time password', otp)
  await good('PUT', 'sys/generate-root/update', { key: wrongShare, nonce })
  await bad('PUT', 'sys/generate-root/update', { key: recovery[1], nonce })
  await bad('PUT', 'sys/generate-root/update', { key: plant('a share that is none'), nonce })
  await bad('PUT', 'sys/generate-root/update', { key: recovery[0], nonce: 'another' })
  await good('PUT', 'sys/generate-root/update', { key: recovery[0], nonce })
  const made = await good('PUT', 'sys/generate-root/update', { key: recovery[1], nonce })
  const encoded = keep('encoded root token', made.body.encoded_token)
  const decoded = await good('PUT', 'sys/decode-token', { encoded_token: encoded, otp })
  keep('generated root token', decoded.body.data.token)
  await good('GET', 'auth/token/lookup-self', undefined, { 'x-vault-token': decoded.body.data.token })
  await bad('PUT', 'sys/unseal', { key: plant('an unseal key that is none') })
  await bad('PUT', 'sys/decode-token', {
    encoded_token: plant('a token to decode'),
    otp: plant('a wrong one-time password'),
  })
  const rekey = (await good('PUT', 'sys/rotate/recovery/init', { secret_shares: 2, secret_threshold: 2 })).body.data
  await good('PUT', 'sys/rotate/recovery/update', { key: recovery[0], nonce: rekey.nonce })
  const done = (await good('PUT', 'sys/rotate/recovery/update', { key: recovery[2], nonce: rekey.nonce })).body.data
  for (const key of [...done.keys, ...done.keys_base64]) keep('new recovery key', key)
  const slot = { kind: 'shamir', name: 'paper', secret_shares: 2, secret_threshold: 2 }
  const { keys } = (await good('POST', 'sys/x/seal/slots', slot)).body.data
  for (const key of keys) keep('share of a seal slot', key)
}

async function plantTokens(): Promise<void> {
  await good('PUT', 'sys/policies/acl/all', {
    policy: 'path "*" { capabilities = ["create", "read", "update", "list"] }',
  })
  const service = keep(
    'service token',
    (await good('POST', 'auth/token/create', { policies: ['all'] })).body.auth.client_token,
  )
  const batch = (await good('POST', 'auth/token/create', { policies: ['all'], type: 'batch' })).body.auth.client_token
  keep('batch token', batch)
  const chosen = plant('chosen token')
  await good('POST', 'auth/token/create', { id: chosen, policies: ['all'] })
  for (const token of [service, batch, chosen]) {
    await good('GET', `one/${visiblePath}`, undefined, { 'x-vault-token': token })
    await good('GET', `one/${visiblePath}`, undefined, { 'x-vault-token': '', authorization: `Bearer ${token}` })
    await good('POST', 'auth/token/lookup', { token })
    await bad('POST', 'auth/token/create-orphan/x/y', { token }, { 'x-vault-token': token })
  }
  await good('POST', 'auth/token/renew', { token: service })
  await good('POST', 'auth/token/revoke', { token: service })
  await bad('GET', 'one/x', undefined, { 'x-vault-token': service })
  await bad('POST', 'auth/token/lookup', { token: service })
  await bad('POST', 'auth/token/lookup', { token: plant('token to look up that is none') })
  await bad('GET', 'one/x', undefined, { 'x-vault-token': plant('token that is none') })
  await bad('GET', 'one/x', undefined, { 'x-vault-token': `hvs.${plant('token that looks like one')}` })
  await bad('GET', 'one/x', undefined, { 'x-vault-token': `hvb.${plant('batch token that is none')}` })
  await bad('GET', 'one/x', undefined, { 'x-vault-token': '', authorization: `Bearer ${plant('bearer that is none')}` })
  await bad('GET', 'one/x', undefined, { 'x-vault-token': '', authorization: `Basic ${plant('basic credentials')}` })

  await good('POST', 'sys/auth/userpass', { type: 'userpass' })
  const password = plant('password')
  await good('POST', 'auth/userpass/users/ann', { password, policies: 'all' })
  const login = await good('POST', 'auth/userpass/login/ann', { password }, { 'x-vault-token': '' })
  keep('token of a login', login.body.auth.client_token)
  await bad('POST', 'auth/userpass/login/ann', { password: plant('wrong password') }, { 'x-vault-token': '' })
  await bad('POST', 'auth/userpass/login/none', { password: plant('password of nobody') }, { 'x-vault-token': '' })
  await bad(
    'POST',
    'auth/userpass/login/ann',
    { password: { in: plant('password of the wrong type') } },
    { 'x-vault-token': '' },
  )
  await good('POST', 'auth/userpass/users/ann/password', { password: plant('changed password') })
  await bad('POST', 'auth/userpass/users/ann', {
    password: plant('password beside a wrong field'),
    token_ttl: 'no duration',
  })
  await bad('POST', 'auth/userpass/users/bob', { password_hash: plant('password hash that is none') })
  await bad('POST', 'auth/userpass/users/bob', { password: [plant('password in a list'), { a: 1 }], token_ttl: 'x' })
}

async function plantSecretIds(): Promise<void> {
  const noToken = { 'x-vault-token': '' }
  await good('POST', 'sys/auth/approle', { type: 'approle' })
  await good('POST', 'auth/approle/role/web', { role_id: 'names-of-roles-are-no-secret', token_policies: 'all' })
  const login = (secret_id: unknown) => ({ role_id: 'names-of-roles-are-no-secret', secret_id })
  const at = 'auth/approle/role/web'
  const made = keep('secret id', (await good('POST', `${at}/secret-id`, {})).body.data.secret_id)
  const own = plant('secret id of own choice')
  await good('POST', `${at}/custom-secret-id`, { secret_id: own, ttl: '1h', num_uses: 5 })
  await bad('POST', `${at}/custom-secret-id`, { secret_id: own })
  await bad('POST', `${at}/custom-secret-id`, { secret_id: plant('secret id beside a wrong field'), ttl: 'x' })
  for (const secret_id of [made, own]) {
    keep(
      'token of a machine',
      (await good('POST', 'auth/approle/login', login(secret_id), noToken)).body.auth.client_token,
    )
    await good('POST', `${at}/secret-id/lookup`, { secret_id })
    await bad('POST', 'auth/approle/login', { role_id: plant('role id that is none'), secret_id }, noToken)
    await bad('POST', 'auth/approle/role/none/secret-id/lookup', { secret_id })
  }
  await bad('POST', 'auth/approle/login', login(plant('wrong secret id')), noToken)
  await bad('POST', 'auth/approle/login', login({ in: plant('secret id of the wrong type') }), noToken)
  await good('DELETE', `${at}/secret-id/destroy?secret_id=${own}`)
}

async function plantSignIns(): Promise<void> {
  const password = plant('password of eve')
  await good('POST', 'auth/userpass/users/eve', { password, policies: 'all' })
  const login = await good('POST', 'auth/userpass/login/eve', { password }, { 'x-vault-token': '' })
  const eve = { 'x-vault-token': keep('token of eve', login.body.auth.client_token) }
  await good('POST', 'identity/oidc/role/r', { key: 'default' })
  const jwt = keep('identity token', (await good('GET', 'identity/oidc/token/r', undefined, eve)).body.data.token)
  await good('POST', 'identity/oidc/introspect', { token: jwt })
  await good('POST', 'identity/oidc/introspect', { token: plant('identity token that is none') })
  const redirect = 'https://app.example.com/cb'
  await good('POST', 'identity/oidc/client/app', { redirect_uris: redirect, assignments: 'allow_all' })
  const { client_id: id, client_secret: secret } = (await good('GET', 'identity/oidc/client/app')).body.data
  keep('client secret', secret)
  const provider = 'identity/oidc/provider/default'
  const asked = { client_id: id, redirect_uri: redirect, response_type: 'code', scope: 'openid' }
  const newCode = async () =>
    keep('authorization code', (await good('POST', `${provider}/authorize`, asked, eve)).body.code)
  const query = new URLSearchParams({ ...asked, state: plant('state of an authorization') })
  keep('authorization code', (await good('GET', `${provider}/authorize?${query}`, undefined, eve)).body.code)
  await bad('POST', `${provider}/authorize`, { ...asked, redirect_uri: `https://x/${plant('redirect address')}` }, eve)
  const token = (body: object, header: string) =>
    server.call('POST', `${provider}/token`, body, { 'x-vault-token': '', authorization: header })
  const basic = (text: string) => `Basic ${Buffer.from(`${id}:${text}`).toString('base64')}`
  const exchange = { grant_type: 'authorization_code', redirect_uri: redirect }
  for (const [body, header] of [
    [{ code: await newCode() }, basic(plant('wrong client secret'))],
    [{ code: plant('code that is none') }, basic(secret)],
    [{ code: await newCode(), code_verifier: plant('code verifier') }, basic(secret)],
    [{ code: await newCode(), client_id: id, client_secret: plant('wrong secret in a body') }, ''],
    [{ grant_type: plant('grant type') }, basic(secret)],
  ] as const) {
    const answer = await token({ ...exchange, ...body }, header)
    assert.ok(answer.status === 400 || answer.status === 401, String(answer.status))
    refusals.push({ where: 'token endpoint', text: JSON.stringify(answer.body) })
  }
  const made = await token({ ...exchange, code: await newCode() }, basic(secret))
  const access = keep('access token', made.body.access_token)
  keep('id token', made.body.id_token)
  const bearer = (text: string) => ({ 'x-vault-token': '', authorization: `Bearer ${text}` })
  await good('GET', `${provider}/userinfo`, undefined, bearer(access))
  await bad('GET', `${provider}/userinfo`, undefined, bearer(plant('access token that is none')))
}

async function plantNamespaces(): Promise<void> {
  const made = await good('POST', 'sys/namespaces/vaulted', { seal: 'seal "shamir" { shares = 2 threshold = 2 }' })
  const shares = made.body.data.key_shares ?? made.body.data.keys ?? []
  const list: string[] = Object.values(shares).flat() as string[]
  assert.ok(list.length >= 2, JSON.stringify(Object.keys(made.body.data)))
  for (const share of list) keep('share of a namespace', share)
  const ns = { 'x-vault-namespace': 'vaulted' }
  await good('POST', 'sys/mounts/kv', { type: 'kv' }, ns)
  await good('PUT', 'kv/x', { value: plant('value in a namespace') }, ns)
  await good('POST', 'sys/namespaces/vaulted/seal')
  await bad('POST', 'sys/namespaces/vaulted/unseal', { key: plant('share of a namespace that is none') })
  for (const key of list.slice(0, 2)) await good('POST', 'sys/namespaces/vaulted/unseal', { key })
  await good('GET', 'kv/x', undefined, ns)
}

async function plantWrapped(): Promise<void> {
  const wrap = { 'x-vault-wrap-ttl': '60' }
  const wrapped = await good('POST', 'sys/wrapping/wrap', { value: plant('wrapped data') }, wrap)
  const token = keep('wrapping token', wrapped.body.wrap_info.token)
  const again = keep('rewrapped token', (await good('POST', 'sys/wrapping/rewrap', { token })).body.wrap_info.token)
  await good('POST', 'sys/wrapping/lookup', { token: again })
  await good('POST', 'sys/wrapping/unwrap', { token: again })
  await bad('POST', 'sys/wrapping/unwrap', { token: again })
  await bad('POST', 'sys/wrapping/unwrap', { token: plant('wrapping token that is none') })
  const held = await good('GET', `one/${visiblePath}`, undefined, wrap)
  keep('wrapping token that stays', held.body.wrap_info.token)
  const login = await good('POST', 'auth/token/create', { policies: ['all'] }, wrap)
  const inner = await good('POST', 'sys/wrapping/unwrap', undefined, {
    'x-vault-token': keep('wrapping token', login.body.wrap_info.token),
  })
  keep('token that was wrapped', inner.body.auth.client_token)
  await bad('POST', 'sys/wrapping/wrap', { value: plant('data to wrap without a TTL') })
}

async function plantMistakes(): Promise<void> {
  const text = (where: string) => JSON.stringify(plant(where))
  for (const body of [
    `{"data":{"value":${text('a body cut short')}`,
    `{"data":{"value":${plant('a body with a bare word')}}}`,
    `{"data":{"value":${text('a body with a comma too many')},}}`,
    `{"data":{"value":${text('two bodies')}}}{"x":${text('two bodies')}}`,
    `[${text('a body that is a list')}]`,
    text('a body that is a text'),
    `{"data":{"value":"${plant('a body with a bad escape')}\\x"}}`,
    `value=${plant('a form')}`,
    `{"data":${'['.repeat(3000)}${text('a deep body')}${']'.repeat(3000)}}`,
    `{"data":{"value":1${plant('a number that is none')}}}`,
    `{"options":{"cas":${text('a wrong option')}},"data":{}}`,
  ])
    await bad('PUT', 'two/data/mistake', body)
  await bad('PUT', 'one/x', { value: plant('body without a token') }, { 'x-vault-token': '' })
  await bad(
    'PATCH',
    'two/data/x',
    { data: { value: plant('a patch of the wrong type') } },
    { 'content-type': 'text/plain' },
  )
  for (const policy of [
    `path "a" { allowed_parameters = { "p" = ["${plant('a value in a policy')}"] } `,
    `path "a" { capabilities = ["read"] } ${plant('a word in a policy')} =`,
    `path "a" { min_wrapping_ttl = "${plant('a duration in a policy')}" }`,
  ])
    await bad('PUT', 'sys/policies/acl/mistake', { policy })
  await good('PUT', 'sys/policies/acl/fine', {
    policy: `path "a" { capabilities = ["update"] allowed_parameters = { "p" = ["${plant('a value in a good policy')}"] } }`,
  })
  for (const query of ['token', 'password', 'list', 'version', 'x', 'help'])
    await call('GET', `two/data/x?${query}=${plant(`query parameter ${query}`)}`)
  await bad('GET', `two/data/x?list=${plant('list parameter')}`)
  await call('GET', `sys/health?sealedcode=${plant('health parameter')}`)
  for (const header of [
    'x-vault-wrap-ttl',
    'x-vault-policy-override',
    'x-custom',
    'cookie',
    'x-vault-wrap-format',
    'referer',
  ])
    await call('GET', 'two/data/x', undefined, { [header]: plant(`header ${header}`) })
  await good('PUT', 'sys/config/auditing/request-headers/x-seen', { hmac: true })
  await call('GET', 'two/data/x', undefined, { 'x-seen': plant('audited header with hmac') })
  await bad('POST', 'sys/mounts/three', { type: plant('a type of engine'), config: { default_lease_ttl: 'x' } })
  await bad('POST', 'sys/audit/second', {
    type: 'file',
    options: { file_path: '/nonexistent/x', mode: plant('an audit option') },
  })
  await bad('POST', 'sys/namespaces/other', { seal: `seal "shamir" { shares = "${plant('a seal stanza')}" }` })
}

/** Bytes that never become a request: what Node itself refuses. */
async function plantRawBytes(): Promise<void> {
  const token = () => plant('token in a malformed request')
  for (const bytes of [
    `GET /v1/two/data/x HTTP/1.1\r\nX-Vault-Token: ${token()}\r\nBad Header: ${token()}\r\n\r\n`,
    `GET /v1/two/data/x HTTP/9.9\r\nX-Vault-Token: ${token()}\r\n\r\n`,
    `FROB /v1/two/data/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Vault-Token: ${token()}\r\n\r\n`,
    `${token()} /v1/two/data/x HTTP/1.1\r\nHost: a\r\n\r\n`,
    `POST /v1/two/data/x HTTP/1.1\r\nHost: a\r\nX-Vault-Token: ${root}\r\nContent-Length: 500\r\n\r\n{"data":{"a":"${plant('a truncated body')}`,
    `POST /v1/two/data/x HTTP/1.1\r\nHost: a\r\nX-Vault-Token: ${root}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n${plant('a bad chunk')}`,
    rawRequest('GET', `/v1/two/data/%zz?token=${plant('query of a bad path')}`, { token: root }),
    rawRequest('GET', '/v1/two/data/../x', { token: token() }),
    rawRequest('GET', '/ui/vault/secrets', { token: token() }),
    rawRequest('GET', '/v1/sys/health', { headers: [`X-A: ${'a'.repeat(200_000)}${token()}`] }),
    `LIST /v1/two/metadata HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Vault-Token: ${token()}\r\n\r\n`,
    randomBytes(200).toString('latin1') + token(),
  ]) {
    const answer = await sendRaw(server.url, bytes, { endAfter: true })
    if (answer.status >= 400 || answer.status === 0) refusals.push({ where: bytes.slice(0, 40), text: answer.text })
  }
}

test('the search finds what is there: names are seen, values in other spellings too', () => {
  const log = readFileSync(path.join(folder, 'audit.log'))
  assert.ok(log.includes(visiblePath), 'paths stand in the audit log')
  assert.ok(server.output().includes(visiblePath), 'the log at its lowest level tells of requests')
  const secret = [...planted.keys()].find((each) => each.startsWith('Zq')) as string
  for (const bytes of [
    Buffer.from(`x${secret}y`),
    Buffer.from(Buffer.from(`ab${secret}cd`).toString('base64')),
    Buffer.from(Buffer.from(`abc${secret}`).toString('base64url')),
    Buffer.from(Buffer.from(secret).toString('hex')),
    Buffer.from(secret, 'utf16le'),
  ])
    assert.deepEqual(found(bytes), [planted.get(secret)])
  assert.ok(planted.size > 100 && refusals.length > 50, `${planted.size} secrets, ${refusals.length} refusals`)
})

test('no error answer holds a secret', () => {
  for (const { where, text } of refusals)
    assert.deepEqual(found(Buffer.from(text)), [], `${where}: ${text.slice(0, 300)}`)
})

test('the log holds none, at its most talkative', () => {
  assert.ok(server.output().split('\n').length > 50, 'there is a log')
  assert.deepEqual(found(Buffer.from(server.output())), [])
})

test('the process list shows none', () => {
  const at = `/proc/${server.child.pid}`
  for (const name of ['cmdline', 'comm', 'stat', 'environ'])
    assert.deepEqual(found(readFileSync(`${at}/${name}`)), [], name)
  for (const thread of readdirSync(`${at}/task`))
    assert.deepEqual(found(readFileSync(`${at}/task/${thread}/comm`)), [], 'name of a thread')
})

test('the audit log holds hashes, none of the values', () => {
  const log = readFileSync(path.join(folder, 'audit.log'))
  assert.deepEqual(found(log), [])
  const lines = log.toString('utf8').trimEnd().split('\n')
  const entries = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'request' || type === 'response')
  assert.ok(entries.length > 150, String(entries.length))
  const hashes = log.toString('utf8').match(/hmac-sha256:[0-9a-f]{64}/g) ?? []
  assert.ok(hashes.length > 500, String(hashes.length))
})

test('what the audit log says of a value is what sys/audit-hash says', async () => {
  const value = plant('a value to hash')
  await good('PUT', 'one/hashed', { value })
  const { hash } = (await good('POST', 'sys/audit-hash/file', { input: value })).body
  assert.ok(readFileSync(path.join(folder, 'audit.log'), 'utf8').includes(hash))
})

test('the files hold none: store, side files, temporary files; running, killed, restarted and stopped', async () => {
  const look = (when: string) => {
    const files = [...filesBelow(folder), ...filesBelow(temporary)]
    assert.ok(files.some((file) => file.endsWith('coffer.db')))
    for (const file of files) {
      // The configuration is where the key of the seal belongs.
      if (file.endsWith('coffer.hcl')) continue
      assert.deepEqual(found(readFileSync(file)), [], `${file}, ${when}`)
      if (!file.endsWith('-shm')) assert.equal(statSync(file).mode & 0o077, 0, `${file} is open to others`)
    }
  }
  assert.ok(
    filesBelow(folder).some((file) => file.endsWith('-wal')),
    'the write-ahead log is there while it runs',
  )
  look('running')
  await server.end('SIGKILL')
  look('killed')
  const before = server.output()
  server = await startDurable({ ...options(), rootToken: root })
  assert.equal((await good('GET', `one/${visiblePath}`)).status, 200)
  look('restarted')
  await server.end('SIGTERM')
  look('stopped')
  assert.deepEqual(found(Buffer.from(before + server.output())), [])
})
