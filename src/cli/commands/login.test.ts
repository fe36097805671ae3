// login and token: requests, the token file, prompts, and what must never be printed.
import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { envelope, type Recorder, refusal, runAt, startRecorder } from '../testing.ts'

let server: Recorder
let home = ''
const folder = mkdtempSync(join(tmpdir(), 'coffer-login-'))
before(async () => {
  server = await startRecorder()
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  home = mkdtempSync(join(folder, 'home-'))
})

const noToken = { COFFER_TOKEN: '' }
const self = envelope({
  id: 'hvs.mine',
  accessor: 'acc',
  policies: ['default', 'dev'],
  identity_policies: ['team'],
  meta: { u: 'ada' },
  ttl: 3600,
  renewable: true,
  orphan: false,
})
const auth = {
  client_token: 'hvs.new',
  accessor: 'acc',
  policies: ['default'],
  token_policies: ['default'],
  metadata: { username: 'ada' },
  lease_duration: 2764800,
  renewable: true,
}
const tokenFile = (): string => join(home, '.vault-token')

test('login with a token: looked up, stored 0600 and shown', async () => {
  server.answer({ 'GET auth/token/lookup-self': self })
  const { code, out } = await runAt(server.address, ['login', 'hvs.mine'], { env: noToken, home })
  assert.equal(code, 0)
  assert.match(out, /^Success! You are now authenticated\./)
  assert.match(
    out,
    /token +hvs\.mine\ntoken_accessor +acc\ntoken_duration +1h\ntoken_renewable +true\ntoken_policies +\["default" "dev"\]\nidentity_policies +\["team"\]\npolicies +\["default" "dev" "team"\]\ntoken_meta_u +ada\n$/,
  )
  assert.equal(readFileSync(tokenFile(), 'utf8'), 'hvs.mine')
  assert.equal(statSync(tokenFile()).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(home), ['.vault-token'])
  assert.equal(server.requests[0]?.headers.get('x-vault-token'), 'hvs.mine')
  await runAt(server.address, ['token', 'lookup'], { env: noToken, home })
  assert.equal(server.requests[1]?.headers.get('x-vault-token'), 'hvs.mine')
})

test('login: the token from standard input or asked for without echo', async () => {
  server.answer({ 'GET auth/token/lookup-self': self })
  assert.equal((await runAt(server.address, ['login', '-'], { env: noToken, home, stdin: ' hvs.mine\n' })).code, 0)
  const asked = await runAt(server.address, ['login', '-no-print'], { env: noToken, home, hidden: ['hvs.mine'] })
  assert.deepEqual([asked.code, asked.out, asked.prompts], [0, '', ['Token (will be hidden): ']])
  assert.deepEqual(
    server.requests.map(({ headers }) => headers.get('x-vault-token')),
    ['hvs.mine', 'hvs.mine'],
  )
  assert.equal((await runAt(server.address, ['login', '-non-interactive'], { env: noToken, home })).code, 1)
  assert.equal((await runAt(server.address, ['login', '-no-store', '-no-print', 'x'], { home })).code, 1)
})

test('login: an old token file and links are replaced, not written through', async () => {
  server.answer({ 'GET auth/token/lookup-self': self })
  const target = join(home, 'target')
  writeFileSync(target, 'untouched')
  symlinkSync(target, tokenFile())
  await runAt(server.address, ['login', 'hvs.mine'], { env: noToken, home })
  assert.equal(readFileSync(target, 'utf8'), 'untouched')
  assert.equal(readFileSync(tokenFile(), 'utf8'), 'hvs.mine')
  chmodSync(tokenFile(), 0o644)
  await runAt(server.address, ['login', 'hvs.mine'], { env: noToken, home })
  assert.equal(statSync(tokenFile()).mode & 0o777, 0o600)
  mkdirSync(join(home, 'sub'))
  await runAt(server.address, ['login', 'hvs.mine'], {
    env: { ...noToken, VAULT_TOKEN_PATH: join(home, 'sub', 't') },
    home,
  })
  assert.equal(readFileSync(join(home, 'sub', 't'), 'utf8'), 'hvs.mine')
})

test('login with userpass: path, body, stored token; no old token goes out', async () => {
  server.answer({ 'PUT auth/staff/login/ada': envelope(null, { auth }) })
  writeFileSync(tokenFile(), 'hvs.old')
  const { code, out } = await runAt(
    server.address,
    ['login', '-method=userpass', '-path=staff/', 'username=ada', 'password=-'],
    { env: noToken, home, stdin: 'pw' },
  )
  assert.equal(code, 0)
  assert.match(out, /token_meta_username +ada/)
  assert.deepEqual(server.lines(), ['PUT auth/staff/login/ada {"password":"pw"}'])
  assert.equal(server.requests[0]?.headers.get('x-vault-token'), undefined)
  assert.equal(readFileSync(tokenFile(), 'utf8'), 'hvs.new')
  const prompted = await runAt(
    server.address,
    ['login', '-method=userpass', '-path=staff', '-token-only', 'username=ada'],
    { env: noToken, home, hidden: ['pw'] },
  )
  assert.deepEqual([prompted.out, prompted.err, prompted.prompts], ['hvs.new', '', ['Password (will be hidden): ']])
  assert.equal((await runAt(server.address, ['login', '-method=userpass'], { home })).code, 1)
  const unknown = await runAt(server.address, ['login', '-method=nope'], { home })
  assert.match(unknown.err, /Known here: token, userpass/)
})

test('login: refusals, formats, -no-store, a token in the environment', async () => {
  server.answer({
    'PUT auth/userpass/login/ada': envelope(null, { auth }),
    'PUT auth/userpass/login/ben': refusal(400, 'invalid username or password'),
  })
  const ben = await runAt(server.address, ['login', '-method=userpass', 'username=ben', 'password=hunter2'], { home })
  assert.equal(ben.code, 2)
  assert.match(ben.err, /Error authenticating: [\s\S]*invalid username or password/)
  assert.ok(!ben.err.includes('hunter2'))
  const json = await runAt(
    server.address,
    ['login', '-method=userpass', '-format=json', 'username=ada', 'password=x'],
    { home },
  )
  assert.equal(JSON.parse(json.out).auth.client_token, 'hvs.new')
  assert.match(json.err, /COFFER_TOKEN is set and goes before/)
  rmSync(tokenFile())
  const kept = await runAt(
    server.address,
    ['login', '-method=userpass', '-no-store', '-field=token', 'username=ada', 'password=x'],
    { home, env: noToken },
  )
  assert.equal(kept.out, 'hvs.new')
  assert.match(kept.err, /was not stored/)
  assert.throws(() => statSync(tokenFile()))
})

test('login: a wrapped answer is unwrapped to be stored, or shown with -no-store', async () => {
  const wrapped = envelope(null, {
    wrap_info: {
      token: 'hvs.wrap',
      accessor: 'a',
      ttl: 60,
      creation_time: '2026-01-02T03:04:05Z',
      creation_path: 'auth/userpass/login/ada',
      wrapped_accessor: 'acc',
    },
  })
  server.answer({ 'PUT auth/userpass/login/ada': wrapped, 'PUT sys/wrapping/unwrap': envelope(null, { auth }) })
  const argv = ['login', '-method=userpass', '-wrap-ttl=60s', 'username=ada', 'password=x']
  assert.equal((await runAt(server.address, argv, { home, env: noToken })).code, 0)
  assert.equal(server.requests[1]?.headers.get('x-vault-token'), 'hvs.wrap')
  assert.equal(server.requests[1]?.headers.get('x-vault-wrap-ttl'), undefined)
  assert.equal(readFileSync(tokenFile(), 'utf8'), 'hvs.new')
  const only = await runAt(server.address, ['login', '-token-only', ...argv.slice(1)], { home, env: noToken })
  assert.equal(only.out, 'hvs.wrap')
})

test('login: a second factor is asked for on a terminal, explained elsewhere', async () => {
  const requirement = {
    mfa_request_id: 'req',
    mfa_constraints: { strict: { any: [{ type: 'totp', id: 'm1', uses_passcode: true, name: '' }] } },
  }
  server.answer({
    'PUT auth/userpass/login/ada': envelope(null, { auth: { client_token: '', mfa_requirement: requirement } }),
    'PUT sys/mfa/validate': envelope(null, { auth }),
  })
  const argv = ['login', '-method=userpass', 'username=ada', 'password=x']
  const asked = await runAt(server.address, argv, { home, env: noToken, tty: true, hidden: ['123456'] })
  assert.equal(asked.code, 0)
  assert.equal(server.lines()[1], 'PUT sys/mfa/validate {"mfa_request_id":"req","mfa_payload":{"m1":["123456"]}}')
  const told = await runAt(server.address, argv, { home, env: noToken })
  assert.match(told.out, /mfa_request_id +req\nmfa_constraint_strict_totp_id +m1\n/)
  assert.match(told.err, /sys\/mfa\/validate/)
})

test('token create: body, role, batch', async () => {
  server.answer({
    'POST auth/token/create': envelope(null, { auth }),
    'POST auth/token/create/ci': envelope(null, { auth }),
  })
  const plain = await runAt(server.address, ['token', 'create', '-field=token'])
  assert.equal(plain.out, 'hvs.new')
  assert.equal(
    server.lines()[0],
    'POST auth/token/create {"ttl":"0s","explicit_max_ttl":"0s","period":"0s","display_name":"","num_uses":0,"renewable":true,"type":"service","entity_alias":""}',
  )
  await runAt(server.address, [
    'token',
    'create',
    '-role=ci',
    '-type=batch',
    '-ttl=1h',
    '-policy=a',
    '-policy=b',
    '-metadata=k=v',
    '-orphan',
    '-no-default-policy',
    '-use-limit=3',
    '-id=x',
    '-display-name=d',
    '-entity-alias=e',
    '-explicit-max-ttl=2h',
    '-period=30m',
  ])
  assert.deepEqual(JSON.parse(server.requests[1]?.body ?? ''), {
    ttl: '1h0m0s',
    explicit_max_ttl: '2h0m0s',
    period: '30m0s',
    display_name: 'd',
    num_uses: 3,
    renewable: false,
    type: 'batch',
    entity_alias: 'e',
    id: 'x',
    policies: ['a', 'b'],
    meta: { k: 'v' },
    no_parent: true,
    no_default_policy: true,
  })
  assert.equal(server.requests[1]?.path, 'auth/token/create/ci')
})

test('token lookup, renew, revoke, capabilities: one request each', async () => {
  const cases: Array<[string[], string, RegExp]> = [
    [['lookup'], 'GET auth/token/lookup-self', /id +hvs\.mine/],
    [['lookup', 'hvs.x'], 'POST auth/token/lookup {"token":"hvs.x"}', /id +hvs\.mine/],
    [['lookup', '-accessor', 'acc'], 'POST auth/token/lookup-accessor {"accessor":"acc"}', /id +hvs\.mine/],
    [['renew'], 'PUT auth/token/renew-self {"increment":0}', /token +hvs\.new/],
    [
      ['renew', '-increment=30m', 'hvs.x'],
      'PUT auth/token/renew {"token":"hvs.x","increment":1800}',
      /token +hvs\.new/,
    ],
    [
      ['renew', '-accessor', 'acc'],
      'PUT auth/token/renew-accessor {"accessor":"acc","increment":0}',
      /token +hvs\.new/,
    ],
    [['revoke', 'hvs.x'], 'PUT auth/token/revoke {"token":"hvs.x"}', /^Success! Revoked token \(if it existed\)\n$/],
    [['revoke', '-self'], 'PUT auth/token/revoke-self', /^Success!/],
    [['revoke', '-accessor', 'acc'], 'PUT auth/token/revoke-accessor {"accessor":"acc"}', /^Success!/],
    [['revoke', '-mode=orphan', 'hvs.x'], 'PUT auth/token/revoke-orphan {"token":"hvs.x"}', /^Success!/],
    [['revoke', '-mode=path', 'auth/userpass'], 'PUT sys/leases/revoke-prefix/auth/userpass', /^Success!/],
    [['capabilities', 'sys/x'], 'POST sys/capabilities-self {"path":"sys/x"}', /^read, update\n$/],
    [['capabilities', 'hvs.x', 'sys/x'], 'POST sys/capabilities {"token":"hvs.x","path":"sys/x"}', /^read, update\n$/],
    [
      ['capabilities', '-accessor', 'acc', 'sys/x'],
      'POST sys/capabilities-accessor {"accessor":"acc","path":"sys/x"}',
      /^read, update\n$/,
    ],
  ]
  for (const [argv, line, printed] of cases) {
    const [method = '', path = ''] = line.split(' ')
    const verb = argv[0] ?? ''
    const answer =
      verb === 'lookup'
        ? self
        : verb === 'renew'
          ? envelope(null, { auth })
          : verb === 'revoke'
            ? {}
            : envelope({ 'sys/x': ['update', 'read'] })
    server.answer({ [`${method} ${path}`]: answer })
    const { code, out } = await runAt(server.address, ['token', ...argv])
    assert.equal(code, 0, line)
    assert.deepEqual(server.lines(), [line])
    assert.match(out, printed)
  }
  server.answer({ 'POST sys/capabilities-self': envelope({ capabilities: ['deny'] }) })
  assert.equal((await runAt(server.address, ['token', 'capabilities', '-format=json', 'x'])).out, '[\n  "deny"\n]\n')
})

test('token revoke: combinations that make no sense', async () => {
  server.answer({})
  for (const argv of [
    ['-self', 'x'],
    [],
    ['-self', '-accessor'],
    ['-accessor', '-mode=path', 'x'],
    ['-mode=other', 'x'],
    ['-self', '-mode=orphan'],
  ])
    assert.equal((await runAt(server.address, ['token', 'revoke', ...argv])).code, 1, argv.join(' '))
  assert.deepEqual(server.lines(), [])
})

test('print token: environment before file', async () => {
  writeFileSync(tokenFile(), 'hvs.file\n')
  assert.equal((await runAt(server.address, ['print', 'token'], { home, env: noToken })).out, 'hvs.file\n')
  assert.equal((await runAt(server.address, ['print', 'token'], { home })).out, 'hvs.test\n')
})

test('auth help knows the methods, by name and by mount', async () => {
  server.answer({ 'GET sys/auth': envelope({ 'staff/': { type: 'userpass' }, 'odd/': { type: 'odd' } }) })
  assert.match((await runAt(server.address, ['auth', 'help', 'token'])).out, /lookup=false/)
  assert.match((await runAt(server.address, ['auth', 'help', 'staff/'])).out, /username=NAME/)
  assert.equal((await runAt(server.address, ['auth', 'help', 'odd'])).code, 2)
  assert.equal((await runAt(server.address, ['auth', 'help', 'none'])).code, 1)
})
