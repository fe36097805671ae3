// read, write, patch, list, scan, delete, unwrap, status, path-help, plugin list, leases: requests and the three formats.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { envelope, type Recorder, refusal, runAt, startRecorder } from '../testing.ts'

let server: Recorder
const folder = mkdtempSync(join(tmpdir(), 'coffer-generic-'))
before(async () => {
  server = await startRecorder()
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

test('read: a lease, a wrapped answer, warnings and a query', async () => {
  server.answer({
    'GET database/creds/ro?ttl=1h&tag=a&tag=b': envelope(
      { username: 'u', ttl: 3600, max_ttl: 5400 },
      { lease_id: 'database/creds/ro/1', lease_duration: 3600, renewable: true, warnings: ['mind the gap'] },
    ),
  })
  const { out, err, code } = await runAt(server.address, ['read', 'database/creds/ro', 'ttl=1h', 'tag=a', 'tag=b'])
  assert.equal(code, 0)
  assert.equal(
    out,
    `Key                Value
---                -----
lease_id           database/creds/ro/1
lease_duration     1h
lease_renewable    true
max_ttl            1h30m
ttl                1h
username           u
`,
  )
  assert.match(err, /WARNING!.*\n\n {2}\* mind the gap\n/)
  const yaml = await runAt(server.address, ['read', '-format=yaml', 'database/creds/ro', 'ttl=1h', 'tag=a', 'tag=b'])
  assert.deepEqual(parse(yaml.out), {
    data: { max_ttl: 5400, ttl: 3600, username: 'u' },
    lease_duration: 3600,
    lease_id: 'database/creds/ro/1',
    renewable: true,
    request_id: 'r1',
    warnings: ['mind the gap'],
  })
})

test('read: an answer without an envelope, raw bodies, nothing there', async () => {
  server.answer({
    'GET sys/health': { body: { sealed: false, version: '1' } },
    'GET pki/ca/pem': { body: '-----BEGIN\n' },
  })
  assert.equal(
    (await runAt(server.address, ['read', 'sys/health'])).out,
    'Key        Value\n---        -----\nsealed     false\nversion    1\n',
  )
  assert.equal((await runAt(server.address, ['read', '-format=raw', 'pki/ca/pem'])).out, '-----BEGIN\n')
  for (const format of ['table', 'json', 'raw']) {
    const none = await runAt(server.address, ['read', `-format=${format}`, 'none'])
    assert.deepEqual([none.code, none.out, none.err], [2, '', 'No value found at none\n'])
  }
})

test('write: success line only in tables; answers are shown; data from files', async () => {
  const file = join(folder, 'data.json')
  writeFileSync(file, '{"n":1.50,"list":["a"]}')
  server.answer({ 'PUT a': {}, 'PUT sign': envelope({ serial: '01:02' }) })
  assert.equal((await runAt(server.address, ['write', '/a/', `@${file}`, 'x=y'])).out, 'Success! Data written to: a\n')
  assert.equal(server.lines()[0], 'PUT a {"n":1.50,"list":["a"],"x":"y"}')
  assert.equal((await runAt(server.address, ['write', '-format=json', 'a', 'k=v'])).out, '')
  assert.equal((await runAt(server.address, ['write', '-f', '-field=serial', 'sign'])).out, '01:02')
  assert.equal(server.lines().at(-1), 'PUT sign {}')
  const empty = await runAt(server.address, ['write', 'a'])
  assert.equal(empty.code, 1)
  assert.match(empty.err, /Must supply data or use -force/)
  const text = await runAt(server.address, ['write', 'a', `doc=@${file}`])
  assert.equal(text.code, 0)
  assert.equal(server.lines().at(-1), 'PUT a {"doc":"{\\"n\\":1.50,\\"list\\":[\\"a\\"]}"}')
})

test('write: -non-interactive reads no standard input', async () => {
  server.answer({ 'PUT a': {} })
  await runAt(server.address, ['write', '-non-interactive', 'a', 'k=-'], { stdin: 'secret' })
  assert.deepEqual(server.lines(), ['PUT a {"k":""}'])
})

test('write: a 404 with warnings shows them and fails', async () => {
  server.answer({ 'PUT a': { status: 404, body: { warnings: ['wrong path'], data: null } } })
  const { code, err } = await runAt(server.address, ['write', 'a', 'k=v'])
  assert.equal(code, 2)
  assert.match(err, /wrong path/)
})

test('patch and delete', async () => {
  server.answer({
    'PATCH a': envelope({ k: 'v' }),
    'DELETE a': {},
    'DELETE a?force=true': {},
    'DELETE b': refusal(400, 'in use'),
  })
  assert.match((await runAt(server.address, ['patch', 'a', 'k=v'])).out, /^Key +Value\n--- +-----\nk +v\n$/)
  assert.equal((await runAt(server.address, ['delete', 'a'])).out, 'Success! Data deleted (if it existed) at: a\n')
  await runAt(server.address, ['delete', 'a', 'force=true'])
  assert.deepEqual(server.lines(), ['PATCH a {"k":"v"}', 'DELETE a', 'DELETE a?force=true'])
  assert.equal((await runAt(server.address, ['delete', 'b'])).code, 2)
})

test('list: pages, details, nothing', async () => {
  const info = { keys: ['b', 'a'], key_info: { a: { ttl: 60, name: 'x' }, b: { name: 'y' } } }
  server.answer({
    'LIST a': envelope(info),
    'LIST a?after=k&limit=5': envelope({ keys: ['l'] }),
    'LIST empty': envelope({}),
  })
  assert.equal((await runAt(server.address, ['list', 'a'])).out, 'Keys\n----\na\nb\n')
  assert.equal(
    (await runAt(server.address, ['list', '-detailed', 'a'])).out,
    'Keys    name    ttl\n----    ----    ---\na       x       1m\nb       y       n/a\n',
  )
  assert.deepEqual(JSON.parse((await runAt(server.address, ['list', '-detailed', '-format=json', 'a'])).out).data, info)
  assert.equal((await runAt(server.address, ['list', '-after=k', '-limit=5', 'a'])).code, 0)
  const none = await runAt(server.address, ['list', '-format=json', 'nope'])
  assert.deepEqual([none.code, none.out], [2, '{}\n'])
  assert.match((await runAt(server.address, ['list', 'nope'])).err, /No value found at nope/)
  assert.match((await runAt(server.address, ['list', 'empty'])).err, /No entries found at empty/)
})

test("unwrap: in the body with a token of one's own, as caller without", async () => {
  server.answer({ 'PUT sys/wrapping/unwrap': envelope({ k: 'v' }) })
  assert.equal((await runAt(server.address, ['unwrap', '-field=k', 'hvs.wrap'])).out, 'v')
  await runAt(server.address, ['unwrap', 'hvs.wrap'], { env: { COFFER_TOKEN: '' } })
  await runAt(server.address, ['unwrap', '-'], { stdin: 'hvs.wrap\n' })
  await runAt(server.address, ['unwrap'])
  assert.deepEqual(
    server.requests.map(({ body, headers }) => [headers.get('x-vault-token'), body]),
    [
      ['hvs.test', '{"token":"hvs.wrap"}'],
      ['hvs.wrap', '{}'],
      ['hvs.test', '{"token":"hvs.wrap"}'],
      ['hvs.test', '{}'],
    ],
  )
  server.answer({ 'PUT sys/wrapping/unwrap': envelope({ keys: ['a'] }) })
  assert.equal((await runAt(server.address, ['unwrap', '-format=json', 'x'])).out, '[\n  "a"\n]\n')
  server.answer({ 'PUT sys/wrapping/unwrap': {} })
  assert.match((await runAt(server.address, ['unwrap', 'x'])).out, /no data in the wrapped secret/)
  assert.equal((await runAt(server.address, ['unwrap'], { env: { COFFER_TOKEN: '' } })).code, 1)
})

const seal = {
  type: 'shamir',
  initialized: true,
  sealed: false,
  t: 3,
  n: 5,
  progress: 0,
  nonce: '',
  version: '1.21.5',
  migration: false,
  recovery_seal: false,
  storage_type: 'sqlite',
  coffer_version: '0.1.0',
  cluster_name: 'c',
  cluster_id: 'i',
  build_date: '',
}

test('status: 0 unsealed, 2 sealed, 1 error; the namespace is left out', async () => {
  server.answer({
    'GET sys/seal-status': { body: seal },
    'GET sys/leader': { body: { ha_enabled: false, is_self: false } },
  })
  const open = await runAt(server.address, ['status', '-ns=team'])
  assert.equal(open.code, 0)
  assert.equal(
    open.out,
    `Key               Value
---               -----
Seal Type         shamir
Initialized       true
Sealed            false
Total Shares      5
Threshold         3
Version           1.21.5
Coffer Version    0.1.0
Storage Type      sqlite
Cluster Name      c
Cluster ID        i
HA Enabled        false
`,
  )
  assert.equal(server.requests[0]?.headers.get('x-vault-namespace'), undefined)
  const json = JSON.parse((await runAt(server.address, ['status', '-format=json'])).out)
  assert.deepEqual([json.sealed, json.ha_enabled, json.t], [false, false, 3])
  server.answer({
    'GET sys/seal-status': { body: { ...seal, sealed: true, progress: 1, nonce: 'no' } },
    'GET sys/leader': refusal(503, 'Vault is sealed'),
  })
  const sealed = await runAt(server.address, ['status'])
  assert.equal(sealed.code, 2)
  assert.match(sealed.out, /Unseal Progress +1\/3\nUnseal Nonce +no\n/)
  assert.equal((await runAt(server.address, ['status', '-format=yaml'])).code, 2)
  server.answer({ 'GET sys/seal-status': refusal(400, 'no') })
  assert.equal((await runAt(server.address, ['status'])).code, 1)
})

test('path-help: text, or OpenAPI as json', async () => {
  server.answer({
    'GET sys/mounts?help=1': {
      body: { help: 'About mounts.', see_also: null, openapi: { openapi: '3.0.2', paths: {} } },
    },
  })
  assert.equal((await runAt(server.address, ['path-help', 'sys/mounts'])).out, 'About mounts.\n')
  assert.equal(
    (await runAt(server.address, ['path-help', '-format=json', 'sys/mounts'])).out,
    '{"openapi":"3.0.2","paths":{}}\n',
  )
})

test('plugin list', async () => {
  const kv = { name: 'kv', type: 'secret', version: 'v1', builtin: true, deprecation_status: 'supported' }
  const userpass = { name: 'userpass', type: 'auth', version: 'v1', builtin: true, deprecation_status: 'supported' }
  server.answer({
    'GET sys/plugins/catalog': envelope({ auth: ['userpass'], secret: ['kv'], database: [], detailed: [kv, userpass] }),
  })
  assert.equal(
    (await runAt(server.address, ['plugin', 'list', 'secret'])).out,
    'Name    Version\n----    -------\nkv      v1\n',
  )
  assert.match(
    (await runAt(server.address, ['plugin', 'list', '-detailed'])).out,
    /^Name +Type +Version +Deprecation Status\n/,
  )
  assert.deepEqual(JSON.parse((await runAt(server.address, ['plugin', 'list', '-format=json'])).out), {
    auth: ['userpass'],
    database: [],
    secret: ['kv'],
    details: [kv, userpass],
  })
  assert.equal((await runAt(server.address, ['plugin', 'list', 'other'])).code, 1)
})

test('lease lookup, renew and revoke', async () => {
  server.answer({
    'PUT sys/leases/lookup': envelope({ id: 'a/b' }),
    'PUT sys/leases/renew': envelope(null, { lease_id: 'a/b', lease_duration: 60, renewable: true }),
    'PUT sys/leases/revoke/a/b': {},
    'PUT sys/leases/revoke-prefix/a': {},
    'PUT sys/leases/revoke-force/a': {},
  })
  assert.match((await runAt(server.address, ['lease', 'lookup', 'a/b'])).out, /id +a\/b\n/)
  assert.match((await runAt(server.address, ['lease', 'renew', '-increment=90s', 'a/b'])).out, /lease_duration +1m\n/)
  assert.equal(
    (await runAt(server.address, ['lease', 'revoke', 'a/b'])).out,
    'All revocation operations queued successfully!\n',
  )
  assert.equal(
    (await runAt(server.address, ['lease', 'revoke', '-prefix', '-sync', 'a'])).out,
    'Success! Revoked any leases with prefix: a\n',
  )
  assert.equal(
    (await runAt(server.address, ['lease', 'revoke', '-prefix', '-force', 'a'])).out,
    'Success! Force revoked any leases with prefix: a\n',
  )
  assert.deepEqual(server.lines(), [
    'PUT sys/leases/lookup {"lease_id":"a/b"}',
    'PUT sys/leases/renew {"lease_id":"a/b","increment":90}',
    'PUT sys/leases/revoke/a/b {"sync":false}',
    'PUT sys/leases/revoke-prefix/a {"sync":true}',
    'PUT sys/leases/revoke-force/a',
  ])
  assert.equal((await runAt(server.address, ['lease', 'revoke', '-force', 'a'])).code, 1)
})
