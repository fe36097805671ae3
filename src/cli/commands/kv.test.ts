// kv: paths of both versions, bodies, output in three formats, and what is missing.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Answers, type Canned, envelope, type Recorder, refusal, runAt, startRecorder } from '../testing.ts'

let server: Recorder
before(async () => {
  server = await startRecorder()
})
after(() => server.close())

const mount = (path: string, version: string | null): Canned =>
  envelope({ path, type: 'kv', options: version === null ? null : { version } })
const v2: Answers = {
  'GET sys/internal/ui/mounts/secret': mount('secret/', '2'),
  'GET sys/internal/ui/mounts/secret/app': mount('secret/', '2'),
  'GET sys/internal/ui/mounts/secret/teams': mount('secret/', '2'),
}
const v1: Answers = {
  'GET sys/internal/ui/mounts/old': mount('old/', null),
  'GET sys/internal/ui/mounts/old/app': mount('old/', '1'),
}
const metadata = {
  created_time: '2026-01-02T03:04:05Z',
  custom_metadata: null,
  deletion_time: '',
  destroyed: false,
  version: 3,
}
const written = {
  created_time: '2026-01-02T03:04:05Z',
  custom_metadata: null,
  deletion_time: '',
  destroyed: false,
  version: 4,
}
const preflight = 'GET sys/internal/ui/mounts/secret/app'

test('get: version 2 as a table', async () => {
  server.answer({ ...v2, 'GET secret/data/app': envelope({ data: { user: 'ada', n: 1 }, metadata }) })
  const { code, out } = await runAt(server.address, ['kv', 'get', 'secret/app'])
  assert.equal(code, 0)
  assert.equal(
    out,
    `= Secret Path =
secret/data/app

======= Metadata =======
Key                Value
---                -----
created_time       2026-01-02T03:04:05Z
custom_metadata    <nil>
deletion_time      n/a
destroyed          false
version            3

==== Data ====
Key     Value
---     -----
n       1
user    ada
`,
  )
  assert.deepEqual(server.lines(), [preflight, 'GET secret/data/app'])
})

test('get: json and yaml are the whole answer; -field is one value; -version and -mount', async () => {
  server.answer({
    ...v2,
    'GET secret/data/app?version=2': envelope({ data: { user: 'ada', data: 'inner' }, metadata }),
  })
  const argv = ['kv', 'get', '-mount=secret', '-version=2']
  const json = await runAt(server.address, [...argv, '-format=json', 'app'])
  assert.equal(json.code, 0)
  assert.deepEqual(JSON.parse(json.out), {
    request_id: 'r1',
    lease_id: '',
    lease_duration: 0,
    renewable: false,
    data: { data: { user: 'ada', data: 'inner' }, metadata },
    warnings: null,
  })
  assert.ok(json.out.startsWith('{\n  "request_id": "r1",\n'))
  assert.match(
    (await runAt(server.address, [...argv, '-format=yaml', 'app'])).out,
    /^data:\n {2}data:\n {4}data: inner\n {4}user: ada\n/,
  )
  assert.equal((await runAt(server.address, [...argv, '-field=user', 'app'])).out, 'ada')
  assert.equal((await runAt(server.address, [...argv, '-field=data', 'app'])).out, 'inner')
  assert.equal((await runAt(server.address, [...argv, '-field=user', '-format=json', 'app'])).out, '"ada"')
  const none = await runAt(server.address, [...argv, '-field=nope', 'app'])
  assert.equal(none.code, 1)
  assert.match(none.err, /Field "nope" not present in secret/)
  assert.deepEqual(server.lines().slice(0, 2), ['GET sys/internal/ui/mounts/secret', 'GET secret/data/app?version=2'])
})

test('get: version 1, with and without -mount', async () => {
  server.answer({ ...v1, 'GET old/app': envelope({ user: 'ada' }, { lease_duration: 2764800 }) })
  const { out } = await runAt(server.address, ['kv', 'get', 'old/app'])
  assert.match(out, /^={2,} Data ={2,}\nKey +Value\n--- +-----\nuser +ada\n$/)
  assert.equal((await runAt(server.address, ['kv', 'get', '-mount=old', '-field=user', 'app'])).out, 'ada')
})

test('get: nothing there is exit code 2; a deleted version shows its metadata', async () => {
  const gone = { ...metadata, deletion_time: '2026-01-03T00:00:00Z' }
  server.answer({ ...v2 })
  const none = await runAt(server.address, ['kv', 'get', 'secret/app'])
  assert.equal(none.code, 2)
  assert.equal(none.err, 'No value found at secret/data/app\n')
  server.answer({ ...v2, 'GET secret/data/app': { status: 404, body: { data: { data: null, metadata: gone } } } })
  const deleted = await runAt(server.address, ['kv', 'get', 'secret/app'])
  assert.equal(deleted.code, 0)
  assert.match(deleted.out, /deletion_time +2026-01-03/)
  assert.equal((await runAt(server.address, ['kv', 'get', '-field=user', 'secret/app'])).code, 2)
})

test('get: the mount is asked first, and a refusal says what the policy needs', async () => {
  server.answer({ [preflight]: refusal(403, 'preflight capability check returned 403') })
  const { code, err } = await runAt(server.address, ['kv', 'get', 'secret/app'])
  assert.equal(code, 2)
  assert.match(err, /MOUNT\/data\/PATH/)
  server.answer({ 'GET old/app': envelope({ user: 'ada' }) })
  assert.equal((await runAt(server.address, ['kv', 'get', '-field=user', 'old/app'])).out, 'ada')
  assert.equal((await runAt(server.address, ['kv', 'get', '-mount=old', '-field=user', 'app'])).out, 'ada')
})

test('get: the namespace in the mount path of the answer is not doubled', async () => {
  server.answer({
    'GET sys/internal/ui/mounts/secret/app': mount('team/secret/', '2'),
    'GET secret/data/app': envelope({ data: { k: 'v' }, metadata }),
  })
  assert.equal((await runAt(server.address, ['kv', 'get', '-field=k', '-ns=team', 'secret/app'])).out, 'v')
})

test('the look-up is neither wrapped nor previewed', async () => {
  server.answer({
    ...v2,
    'GET secret/data/app': envelope(null, {
      wrap_info: { token: 'w', ttl: 60, creation_time: '2026-01-02T03:04:05Z' },
    }),
  })
  const wrapped = await runAt(server.address, ['kv', 'get', '-wrap-ttl=60s', 'secret/app'])
  assert.match(wrapped.out, /wrapping_token: +w\n/)
  assert.match(wrapped.out, /wrapping_token_ttl: +1m\n/)
  assert.deepEqual(
    server.requests.map(({ headers }) => headers.get('x-vault-wrap-ttl')),
    [undefined, '1m0s'],
  )
  server.answer(v2)
  const curl = await runAt(server.address, ['kv', 'get', '-output-curl-string', 'secret/app'])
  assert.match(curl.out, /\/v1\/secret\/data\/app'\n$/)
  assert.deepEqual(server.lines(), [preflight])
})

test('put: bodies of both versions, check-and-set, data from files and standard input', async () => {
  server.answer({ ...v2, ...v1, 'PUT secret/data/app': envelope(written), 'PUT old/app': {} })
  const { code, out } = await runAt(
    server.address,
    ['kv', 'put', '-cas=0', 'secret/app', 'k=v', 'k=w', 'at=\\@x', 'in=-'],
    { stdin: 'piped\n' },
  )
  assert.equal(code, 0)
  assert.match(out, /^= Secret Path =\nsecret\/data\/app\n\n=+ Metadata =+\nKey +Value\n--- +-----\ncreated_time/)
  assert.equal(
    server.lines()[1],
    'PUT secret/data/app {"data":{"k":["v","w"],"at":"@x","in":"piped\\n"},"options":{"cas":0}}',
  )
  const old = await runAt(server.address, ['kv', 'put', 'old/app', '-'], { stdin: '{"a":{"b":1}}' })
  assert.equal(old.out, 'Success! Data written to: old/app\n')
  assert.equal(server.lines().at(-1), 'PUT old/app {"a":{"b":1}}')
  assert.equal((await runAt(server.address, ['kv', 'put', '-field=version', 'secret/app', 'k=v'])).out, '4')
  assert.equal(
    JSON.parse((await runAt(server.address, ['kv', 'put', '-format=json', 'secret/app', 'k=v'])).out).data.version,
    4,
  )
})

test('put: what cannot be data is refused before anything is sent, without quoting it', async () => {
  server.answer(v2)
  for (const argv of [
    ['kv', 'put', 'secret/app'],
    ['kv', 'put', 'secret/app', 'hunter2'],
    ['kv', 'put', 'secret/app', 'k=@/no/such/file'],
    ['kv', 'put', 'secret/app', 'a=-', 'b=-'],
  ]) {
    const { code, err } = await runAt(server.address, argv, { stdin: 'x' })
    assert.equal(code, 1, argv.join(' '))
    assert.ok(!err.includes('hunter2'))
  }
  const json = await runAt(server.address, ['kv', 'put', 'secret/app', '-'], { stdin: '["hunter2"]' })
  assert.equal(json.code, 1)
  assert.match(json.err, /JSON must be an object/)
  assert.deepEqual(server.lines(), [])
})

test("put: a check-and-set that fails is the server's no", async () => {
  server.answer({
    ...v2,
    'PUT secret/data/app': refusal(400, 'check-and-set parameter did not match the current version'),
  })
  const { code, err } = await runAt(server.address, ['kv', 'put', '-cas=1', 'secret/app', 'k=v'])
  assert.equal(code, 2)
  assert.match(err, /\* check-and-set parameter did not match/)
})

test('patch: merge patch first, read and write when the policy lacks it', async () => {
  server.answer({ ...v2, 'PATCH secret/data/app': envelope(written) })
  await runAt(server.address, ['kv', 'patch', '-cas=3', '-remove-data=old', 'secret/app', 'k=v'])
  assert.equal(server.lines()[1], 'PATCH secret/data/app {"data":{"k":"v","old":null},"options":{"cas":3}}')
  assert.equal(server.requests[1]?.headers.get('content-type'), 'application/merge-patch+json')
  const current = envelope({ data: { keep: 1, old: 2 }, metadata })
  server.answer({
    ...v2,
    'PATCH secret/data/app': refusal(403, 'permission denied'),
    'GET secret/data/app': current,
    'PUT secret/data/app': envelope(written),
  })
  const fallback = await runAt(server.address, ['kv', 'patch', '-remove-data=old', 'secret/app', 'k=v'])
  assert.equal(fallback.code, 0)
  assert.match(fallback.err, /lacks "patch"/)
  assert.equal(server.lines().at(-1), 'PUT secret/data/app {"data":{"keep":1,"k":"v"},"options":{"cas":3}}')
  assert.equal((await runAt(server.address, ['kv', 'patch', '-method=patch', 'secret/app', 'k=v'])).code, 2)
  server.answer({ ...v2, 'GET secret/data/app': current, 'PUT secret/data/app': envelope(written) })
  await runAt(server.address, ['kv', 'patch', '-method=rw', 'secret/app', 'k=v'])
  assert.deepEqual(
    server.lines().map((line) => line.split(' ')[0]),
    ['GET', 'GET', 'PUT'],
  )
  server.answer({ ...v1 })
  assert.equal((await runAt(server.address, ['kv', 'patch', 'old/app', 'k=v'])).code, 2)
})

test('delete, undelete, destroy', async () => {
  server.answer({
    ...v2,
    ...v1,
    'DELETE secret/data/app': {},
    'PUT secret/delete/app': {},
    'PUT secret/undelete/app': {},
    'PUT secret/destroy/app': {},
    'DELETE old/app': {},
  })
  const cases: Array<[string[], string, string]> = [
    [['delete', 'secret/app'], 'DELETE secret/data/app', 'Success! Data deleted (if it existed) at: secret/data/app\n'],
    [
      ['delete', '-versions=1,2', '-versions=3', 'secret/app'],
      'PUT secret/delete/app {"versions":["1","2","3"]}',
      'Success! Data deleted (if it existed) at: secret/data/app\n',
    ],
    [['delete', 'old/app'], 'DELETE old/app', 'Success! Data deleted (if it existed) at: old/app\n'],
    [
      ['undelete', '-mount=secret', '-versions=2', 'app'],
      'PUT secret/undelete/app {"versions":["2"]}',
      'Success! Data written to: secret/undelete/app\n',
    ],
    [
      ['destroy', '-versions=2', 'secret/app'],
      'PUT secret/destroy/app {"versions":["2"]}',
      'Success! Data written to: secret/destroy/app\n',
    ],
  ]
  for (const [argv, request, printed] of cases) {
    const { code, out } = await runAt(server.address, ['kv', ...argv])
    assert.equal(code, 0)
    assert.equal(server.lines().at(-1), request)
    assert.equal(out, printed)
    assert.equal((await runAt(server.address, ['kv', ...argv, '-format=json'])).out, '')
  }
  assert.equal((await runAt(server.address, ['kv', 'undelete', 'secret/app'])).code, 1)
  assert.equal((await runAt(server.address, ['kv', 'destroy', '-versions=1', 'old/app'])).code, 1)
})

test('rollback writes the old data against the newest version, also when that is deleted', async () => {
  server.answer({
    ...v2,
    'GET secret/data/app': {
      status: 404,
      body: { data: { data: null, metadata: { ...metadata, deletion_time: '2026-01-03T00:00:00Z' } } },
    },
    'GET secret/data/app?version=1': envelope({ data: { k: 'first' }, metadata: { ...metadata, version: 1 } }),
    'GET secret/data/app?version=2': envelope({ data: null, metadata: { ...metadata, version: 2, destroyed: true } }),
    'PUT secret/data/app': envelope(written),
  })
  assert.equal((await runAt(server.address, ['kv', 'rollback', '-version=1', 'secret/app'])).code, 0)
  assert.equal(server.lines().at(-1), 'PUT secret/data/app {"data":{"k":"first"},"options":{"cas":3}}')
  const destroyed = await runAt(server.address, ['kv', 'rollback', '-version=2', 'secret/app'])
  assert.equal(destroyed.code, 2)
  assert.match(destroyed.err, /has been destroyed/)
  assert.equal((await runAt(server.address, ['kv', 'rollback', 'secret/app'])).code, 1)
})

test('list and scan: array in json, {} and 2 for nothing', async () => {
  server.answer({
    ...v2,
    'LIST secret/metadata/teams': envelope({ keys: ['web/', 'api'] }),
    'LIST secret/metadata': envelope({ keys: ['teams/'] }),
    'SCAN secret/metadata/teams': envelope({ keys: ['web/x'] }),
  })
  assert.equal((await runAt(server.address, ['kv', 'list', 'secret/teams/'])).out, 'Keys\n----\napi\nweb/\n')
  assert.equal(
    (await runAt(server.address, ['kv', 'list', '-format=json', 'secret/teams'])).out,
    '[\n  "web/",\n  "api"\n]\n',
  )
  assert.equal((await runAt(server.address, ['kv', 'list', '-format=yaml', 'secret/teams'])).out, '- web/\n- api\n')
  assert.equal((await runAt(server.address, ['kv', 'list', '-mount=secret'])).out, 'Keys\n----\nteams/\n')
  assert.match((await runAt(server.address, ['kv', 'scan', 'secret/teams'])).out, /web\/x/)
  server.answer(v2)
  const json = await runAt(server.address, ['kv', 'list', '-format=json', 'secret/teams'])
  assert.deepEqual([json.code, json.out, json.err], [2, '{}\n', ''])
  const table = await runAt(server.address, ['kv', 'list', 'secret/teams'])
  assert.deepEqual([table.code, table.out, table.err], [2, '', 'No value found at secret/metadata/teams\n'])
  assert.equal((await runAt(server.address, ['kv', 'list'])).code, 1)
})

test('metadata get, put, patch, delete', async () => {
  const info = {
    cas_required: false,
    created_time: '2026-01-02T03:04:05Z',
    current_version: 10,
    custom_metadata: { owner: 'ada' },
    delete_version_after: '0s',
    max_versions: 0,
  }
  const version = { created_time: '2026-01-02T03:04:05Z', deletion_time: '', destroyed: false }
  server.answer({
    ...v2,
    'GET secret/metadata/app': envelope({ ...info, versions: { '10': version, '9': version } }),
    'PUT secret/metadata/app': {},
    'PATCH secret/metadata/app': {},
    'DELETE secret/metadata/app': {},
  })
  const { out } = await runAt(server.address, ['kv', 'metadata', 'get', 'secret/app'])
  assert.match(out, /^=+ Metadata Path =+\nsecret\/metadata\/app\n\n=+ Metadata =+\nKey/)
  assert.match(out, /custom_metadata +map\[owner:ada\]\n/)
  assert.ok(out.indexOf('Version 9 ') < out.indexOf('Version 10 '))
  assert.equal(
    (await runAt(server.address, ['kv', 'metadata', 'get', '-field=current_version', 'secret/app'])).out,
    '10',
  )
  await runAt(server.address, [
    'kv',
    'metadata',
    'put',
    '-max-versions=5',
    '-cas-required',
    '-delete-version-after=90m',
    '-custom-metadata=a=b',
    'secret/app',
  ])
  assert.equal(
    server.lines().at(-1),
    'PUT secret/metadata/app {"max_versions":5,"cas_required":true,"delete_version_after":"1h30m0s","custom_metadata":{"a":"b"}}',
  )
  await runAt(server.address, [
    'kv',
    'metadata',
    'patch',
    '-cas-required=false',
    '-remove-custom-metadata=a',
    'secret/app',
  ])
  assert.equal(server.lines().at(-1), 'PATCH secret/metadata/app {"cas_required":false,"custom_metadata":{"a":null}}')
  await runAt(server.address, ['kv', 'metadata', 'delete', 'secret/app'])
  assert.equal(server.lines().at(-1), 'DELETE secret/metadata/app')
})

test('enable-versioning tunes the mount', async () => {
  server.answer({ 'POST sys/mounts/old/tune': {} })
  const { out } = await runAt(server.address, ['kv', 'enable-versioning', 'old'])
  assert.equal(out, 'Success! Tuned the secrets engine at: old/\n')
  assert.deepEqual(server.lines(), ['POST sys/mounts/old/tune {"options":{"version":"2"}}'])
})
