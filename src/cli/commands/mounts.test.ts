// secrets, auth, audit, policy and namespace: requests, tables and formats.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parse } from 'yaml'
import { type Answers, envelope, type Recorder, refusal, runAt, startRecorder } from '../testing.ts'

let server: Recorder
const folder = mkdtempSync(join(tmpdir(), 'coffer-mounts-'))
before(async () => {
  server = await startRecorder()
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** One command, the one request it makes (with its body as an object) and what it prints. */
async function expectCall(
  argv: readonly string[],
  line: string,
  body: unknown,
  printed: string | RegExp,
  answer: Answers[string] = {},
): Promise<void> {
  server.answer({ [line]: answer })
  const { code, out, err } = await runAt(server.address, argv)
  assert.equal(code, 0, `${argv.join(' ')}\n${err}`)
  assert.deepEqual(
    server.requests.map(({ method, path }) => `${method} ${path}`),
    [line],
  )
  const sent = server.requests[0]?.body ?? ''
  assert.deepEqual(sent === '' ? undefined : JSON.parse(sent), body)
  if (typeof printed === 'string') assert.equal(out, printed)
  else assert.match(out, printed)
}

const plain = { description: '', local: false, seal_wrap: false, external_entropy_access: false, options: null }
const ttls = { default_lease_ttl: '0s', max_lease_ttl: '0s', force_no_cache: false }

test('secrets and auth enable', async () => {
  await expectCall(
    ['secrets', 'enable', 'transit'],
    'POST sys/mounts/transit',
    { ...plain, type: 'transit', config: ttls },
    'Success! Enabled the transit secrets engine at: transit/\n',
  )
  await expectCall(
    [
      'secrets',
      'enable',
      '-path=/team/kv/',
      '-version=2',
      '-description=d',
      '-max-lease-ttl=1h',
      '-listing-visibility=unauth',
      '-audit-non-hmac-request-keys=a',
      '-audit-non-hmac-request-keys=b',
      '-options=x=y',
      'kv',
    ],
    'POST sys/mounts/team/kv',
    {
      ...plain,
      type: 'kv',
      description: 'd',
      config: {
        ...ttls,
        max_lease_ttl: '1h0m0s',
        listing_visibility: 'unauth',
        audit_non_hmac_request_keys: ['a', 'b'],
      },
      options: { x: 'y', version: '2' },
    },
    'Success! Enabled the kv secrets engine at: team/kv/\n',
  )
  await expectCall(
    ['auth', 'enable', '-token-type=batch', 'userpass'],
    'POST sys/auth/userpass',
    { ...plain, type: 'userpass', config: { ...ttls, token_type: 'batch' } },
    'Success! Enabled userpass auth method at: userpass/\n',
  )
  server.answer({ 'POST sys/mounts/kv': refusal(400, 'path is already in use at kv/') })
  const taken = await runAt(server.address, ['secrets', 'enable', 'kv'])
  assert.equal(taken.code, 2)
  assert.match(taken.err, /^Error enabling: [\s\S]*path is already in use at kv\//)
})

test('secrets and auth disable, tune', async () => {
  await expectCall(
    ['secrets', 'disable', 'kv/'],
    'DELETE sys/mounts/kv',
    undefined,
    'Success! Disabled the secrets engine (if it existed) at: kv/\n',
  )
  await expectCall(
    ['auth', 'disable', 'staff'],
    'DELETE sys/auth/staff',
    undefined,
    'Success! Disabled the auth method (if it existed) at: staff/\n',
  )
  await expectCall(
    ['secrets', 'tune', '-default-lease-ttl=system', '-max-lease-ttl=90m', '-description=', 'db'],
    'POST sys/mounts/db/tune',
    { default_lease_ttl: 'system', max_lease_ttl: '1h30m0s', description: '' },
    'Success! Tuned the secrets engine at: db/\n',
  )
  await expectCall(
    ['auth', 'tune', '-user-lockout-threshold=3', '-user-lockout-disable=false', '-token-type=service', 'staff'],
    'POST sys/mounts/auth/staff/tune',
    { token_type: 'service', user_lockout_config: { lockout_threshold: '3', lockout_disable: false } },
    'Success! Tuned the auth method at: staff/\n',
  )
})

const mounts = {
  'sys/': {
    type: 'system',
    accessor: 'system_1',
    description: 'system',
    config: { default_lease_ttl: 0, max_lease_ttl: 0 },
    local: false,
    options: null,
    uuid: 'u1',
  },
  'kv/': {
    type: 'kv',
    accessor: 'kv_2',
    description: '',
    config: { default_lease_ttl: 0, max_lease_ttl: 60, force_no_cache: false, token_type: 'default-service' },
    local: true,
    options: { version: '2' },
    uuid: 'u2',
  },
}

test('secrets and auth list: table, details, json, yaml', async () => {
  server.answer({ 'GET sys/mounts': envelope(mounts), 'GET sys/auth': envelope(mounts) })
  assert.equal(
    (await runAt(server.address, ['secrets', 'list'])).out,
    'Path    Type      Accessor    Description\n----    ----      --------    -----------\nkv/     kv        kv_2        n/a\nsys/    system    system_1    system\n',
  )
  assert.match(
    (await runAt(server.address, ['secrets', 'list', '-detailed'])).out,
    /\nkv\/ +kv +kv_2 +system +60 +false +local +false +false +map\[version:2\] +n\/a +u2 /,
  )
  assert.match((await runAt(server.address, ['auth', 'list', '-detailed'])).out, / default-service +local /)
  assert.deepEqual(JSON.parse((await runAt(server.address, ['secrets', 'list', '-format=json'])).out), mounts)
  assert.deepEqual(parse((await runAt(server.address, ['auth', 'list', '-format=yaml'])).out), mounts)
})

test('secrets and auth move wait for the end', async () => {
  const status = (text: string) => envelope({ migration_id: 'm', migration_info: { status: text } })
  server.answer({
    'POST sys/remount': envelope({ migration_id: 'm' }),
    'GET sys/remount/status/m': [status('in-progress'), status('success')],
  })
  const moved = await runAt(server.address, ['secrets', 'move', 'a', 'b/'])
  assert.equal(
    moved.out,
    'Started moving secrets engine a/ to b/, with migration ID m\nSuccess! Finished moving secrets engine a/ to b/, with migration ID m\n',
  )
  assert.equal(moved.sleeps.length, 1)
  assert.equal(server.lines()[0], 'POST sys/remount {"from":"a/","to":"b/"}')
  server.answer({ 'POST sys/remount': envelope({ migration_id: 'm' }), 'GET sys/remount/status/m': status('failure') })
  assert.equal((await runAt(server.address, ['auth', 'move', 'auth/a', 'auth/b'])).code, 2)
})

test('audit', async () => {
  await expectCall(
    ['audit', 'enable', '-path=main', '-description=d', 'file', 'file_path=/x', 'log_raw=true'],
    'PUT sys/audit/main',
    { type: 'file', description: 'd', options: { file_path: '/x', log_raw: 'true' }, local: false },
    'Success! Enabled the file audit device at: main/\n',
  )
  await expectCall(
    ['audit', 'disable', 'main/'],
    'DELETE sys/audit/main',
    undefined,
    'Success! Disabled audit device (if it was enabled) at: main/\n',
  )
  const device = { type: 'file', description: '', local: false, path: 'file/', options: { file_path: '/x', b: '1' } }
  server.answer({ 'GET sys/audit': envelope({ 'file/': device }) })
  assert.match(
    (await runAt(server.address, ['audit', 'list', '-detailed'])).out,
    /\nfile\/ +file +n\/a +replicated +b=1 file_path=\/x\n$/,
  )
  assert.deepEqual(JSON.parse((await runAt(server.address, ['audit', 'list', '-format=json'])).out), {
    'file/': device,
  })
  server.answer({ 'GET sys/audit': envelope({}) })
  assert.deepEqual(await runAt(server.address, ['audit', 'list']).then(({ code, out }) => [code, out]), [
    2,
    'No audit devices are enabled.\n',
  ])
  assert.equal((await runAt(server.address, ['audit', 'list', '-format=json'])).out, '{}\n')
})

test('policy', async () => {
  const file = join(folder, 'p.hcl')
  const text = 'path "a" { capabilities = ["read"] }\n'
  writeFileSync(file, text)
  await expectCall(
    ['policy', 'write', 'App', file],
    'PUT sys/policies/acl/app',
    { policy: text },
    'Success! Uploaded policy: app\n',
  )
  server.answer({ 'PUT sys/policies/acl/app': {} })
  await runAt(server.address, ['policy', 'write', 'app', '-'], { stdin: text })
  assert.equal(JSON.parse(server.requests[0]?.body ?? '').policy, text)
  assert.equal((await runAt(server.address, ['policy', 'write', 'app', '/no/file'])).code, 1)
  server.answer({
    'GET sys/policies/acl/app': envelope({ name: 'app', policy: text }),
    'LIST sys/policies/acl': envelope({ keys: ['default', 'root'] }),
  })
  assert.equal((await runAt(server.address, ['policy', 'read', 'app'])).out, text)
  assert.deepEqual(JSON.parse((await runAt(server.address, ['policy', 'read', '-format=json', 'app'])).out), {
    policy: text,
  })
  assert.equal((await runAt(server.address, ['policy', 'list'])).out, 'default\nroot\n')
  assert.deepEqual(JSON.parse((await runAt(server.address, ['policy', 'list', '-format=json'])).out), [
    'default',
    'root',
  ])
  const none = await runAt(server.address, ['policy', 'read', 'none'])
  assert.equal(none.code, 2)
  assert.match(none.err, /^No policy named: none\n/)
  await expectCall(
    ['policy', 'delete', 'App'],
    'DELETE sys/policies/acl/app',
    undefined,
    'Success! Deleted policy: app\n',
  )
})

test('policy fmt rewrites the file, and leaves a broken one alone', async () => {
  const file = join(folder, 'f.hcl')
  writeFileSync(file, 'path   "a"   {\ncapabilities=["read"]\n}\n')
  assert.equal((await runAt(undefined, ['policy', 'fmt', file])).code, 0)
  assert.equal(readFileSync(file, 'utf8'), 'path "a" {\n  capabilities = ["read"]\n}\n')
  writeFileSync(file, 'path "a" {')
  const broken = await runAt(undefined, ['policy', 'fmt', file])
  assert.equal(broken.code, 1)
  assert.equal(readFileSync(file, 'utf8'), 'path "a" {')
})

const web = { id: 'i', uuid: 'u', path: 'web/', locked: false, tainted: false, custom_metadata: { team: 'x' } }

test('namespace', async () => {
  await expectCall(
    ['namespace', 'create', '-custom-metadata=team=x', 'web/'],
    'POST sys/namespaces/web',
    { custom_metadata: { team: 'x' } },
    /^Key +Value\n--- +-----\ncustom_metadata +map\[team:x\]\nid +i\n/,
    envelope(web),
  )
  await expectCall(
    ['namespace', 'lookup', '-format=json', 'web'],
    'GET sys/namespaces/web',
    undefined,
    /"path": "web\/"/,
    envelope(web),
  )
  await expectCall(
    ['namespace', 'patch', '-custom-metadata=a=b', '-remove-custom-metadata=team', 'web'],
    'PATCH sys/namespaces/web',
    { custom_metadata: { a: 'b', team: null } },
    /path +web\/\n/,
    envelope(web),
  )
  await expectCall(
    ['namespace', 'delete', 'web'],
    'DELETE sys/namespaces/web',
    undefined,
    'Success! Namespace deletion scheduled: web/\n',
    envelope({ status: 'in-progress' }),
  )
  await expectCall(
    ['namespace', 'delete', '-ns=team', 'web'],
    'DELETE sys/namespaces/web',
    undefined,
    'Success! Namespace deletion scheduled: web/\n',
  )
  await expectCall(
    ['namespace', 'lock', 'web'],
    'PUT sys/namespaces/api-lock/lock/web',
    undefined,
    /^Unlock Key: k\n/,
    envelope({ unlock_key: 'k' }),
  )
  await expectCall(
    ['namespace', 'lock', '-field=unlock_key'],
    'PUT sys/namespaces/api-lock/lock',
    undefined,
    'k',
    envelope({ unlock_key: 'k' }),
  )
  await expectCall(
    ['namespace', 'unlock', '-unlock-key=k', 'web'],
    'PUT sys/namespaces/api-lock/unlock/web',
    { unlock_key: 'k' },
    'Namespace unlocked successfully!\n',
  )
  await expectCall(
    ['namespace', 'seal', 'web'],
    'PUT sys/namespaces/web/seal',
    undefined,
    'Success! Namespace "web" is sealed.\n',
  )
  await expectCall(
    ['namespace', 'unseal', 'web', 'share'],
    'PUT sys/namespaces/web/unseal',
    { key: 'share', reset: false },
    /Sealed +false\n/,
    envelope({ type: 'shamir', initialized: true, sealed: false, t: 1, n: 1 }),
  )
  server.answer({ 'LIST sys/namespaces': envelope({ keys: ['web/'], key_info: { 'web/': web } }) })
  assert.equal((await runAt(server.address, ['namespace', 'list'])).out, 'Keys\n----\nweb/\n')
  assert.match(
    (await runAt(server.address, ['namespace', 'list', '-detailed'])).out,
    /^Keys +custom_metadata +id +locked +path +tainted +uuid\n/,
  )
  assert.deepEqual(JSON.parse((await runAt(server.address, ['namespace', 'list', '-detailed', '-format=json'])).out), {
    'web/': web,
  })
  server.answer({})
  assert.deepEqual(
    await runAt(server.address, ['namespace', 'scan', '-format=json']).then(({ code, out }) => [code, out]),
    [2, '{}\n'],
  )
  assert.equal((await runAt(server.address, ['namespace', 'lookup', 'none'])).code, 2)
})
