// A failure at every single call to storage, and audit devices that take nothing: no half write, no secret answered unaudited.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { DeviceConfig } from '../../src/audit/options.ts'
import { faultyStorage } from '../../src/storage/faulty.ts'
import { memoryStorage } from '../../src/storage/memory.ts'
import { type Inside, startInside } from '../inside.ts'

const fileDevice = (file: string): DeviceConfig => ({
  path: 'file/',
  type: 'file',
  description: '',
  options: { file_path: file },
  local: false,
  accessor: 'audit_file_test',
  salt: '',
  declared: true,
})

/** Runs `request` with a failure at call 1, 2, 3 … until it goes through untouched; `check` looks at the store after each. */
async function atEveryCall(
  request: (core: Inside, n: number) => Promise<{ status: number }>,
  check: (core: Inside, n: number, status: number) => Promise<void>,
  prepare?: (core: Inside) => Promise<void>,
) {
  const storage = faultyStorage(memoryStorage())
  const core = await startInside(storage)
  await prepare?.(core)
  let struck = 0
  for (let n = 1; n < 500; n++) {
    storage.reset(n)
    const { status } = await request(core, n)
    const calls = storage.calls()
    storage.reset()
    await check(core, n, status)
    if (calls < n) {
      await core.assembly.close()
      return struck
    }
    struck++
  }
  throw new Error('the request never went through')
}

test('a KV v2 write is whole or absent', async () => {
  const struck = await atEveryCall(
    (core, n) => core.call('write', `kv/data/s${n}`, { data: { v: String(n) } }),
    async (core, n, status) => {
      const metadata = await core.call('read', `kv/metadata/s${n}`)
      const data = await core.call('read', `kv/data/s${n}`)
      assert.equal(metadata.status, data.status, `call ${n}`)
      if (status === 200) assert.equal(data.body['data'].data.v, String(n))
      else assert.equal(status, 500, `call ${n}: ${status}`)
    },
    async (core) => void (await core.call('write', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } })),
  )
  assert.ok(struck >= 3, `${struck} calls`)
})

test('a token is there with its accessor, or neither is', async () => {
  await atEveryCall(
    async (core) => {
      const made = await core.call('write', 'auth/token/create', {
        policies: ['default'],
        ttl: '1h',
        meta: { test: 'yes' },
      })
      return { status: made.status }
    },
    async (core, n) => {
      const { body, status } = await core.call('list', 'auth/token/accessors')
      assert.equal(status, 200)
      for (const accessor of body['data'].keys as string[])
        assert.equal((await core.call('write', 'auth/token/lookup-accessor', { accessor })).status, 200, `call ${n}`)
    },
  )
})

test('a mount that could not be enabled is not there, one that was is ready', async () => {
  await atEveryCall(
    (core, n) => core.call('write', `sys/mounts/m${n}`, { type: 'kv', options: { version: '2' } }),
    async (core, n, status) => {
      const there = (await core.call('read', `sys/mounts/m${n}`)).status === 200
      if (status < 300) assert.ok(there, `call ${n}`)
      const written = await core.call('write', `m${n}/data/x`, { data: { v: 1 } })
      assert.equal(written.status, there ? 200 : 404, `call ${n}`)
    },
  )
})

test('a use-limited token never gets a use back', async () => {
  const storage = faultyStorage(memoryStorage())
  const core = await startInside(storage)
  await core.call('write', 'sys/mounts/kv', { type: 'kv' })
  await core.call('write', 'kv/a', { v: '1' })
  await core.call('write', 'sys/policies/acl/p', { policy: 'path "kv/*" { capabilities = ["read"] }' })
  for (let n = 1; n < 40; n++) {
    const made = await core.call('write', 'auth/token/create', { policies: ['p'], num_uses: 2 })
    const token = made.body['auth'].client_token as string
    storage.reset(n)
    const outcomes = [await core.call('read', 'kv/a', undefined, { token })]
    const calls = storage.calls()
    storage.reset()
    for (let i = 0; i < 4; i++) outcomes.push(await core.call('read', 'kv/a', undefined, { token }))
    assert.ok(outcomes.filter(({ status }) => status === 200).length <= 2, `call ${n}`)
    assert.equal(outcomes.at(-1)?.status, 403)
    if (calls < n) break
  }
  await core.assembly.close()
})

test('what was wrapped can be had once, whatever fails', async () => {
  const storage = faultyStorage(memoryStorage())
  const core = await startInside(storage)
  for (let n = 1; n < 60; n++) {
    const { body } = await core.call('write', 'sys/wrapping/wrap', { v: 'x' }, { wrapTtlSeconds: 60 })
    const { token } = body['wrap_info'] as { token: string }
    storage.reset(n)
    const first = await core.call('write', 'sys/wrapping/unwrap', { token })
    const calls = storage.calls()
    storage.reset()
    const second = await core.call('write', 'sys/wrapping/unwrap', { token })
    assert.ok([first, second].filter(({ status }) => status === 200).length <= 1, `call ${n}`)
    if (calls < n) break
  }
  await core.assembly.close()
})

test('when no audit device takes the entry, nothing happens and nothing is told', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-audit-'))
  const gone = path.join(folder, 'audit')
  const core = await startInside(memoryStorage(), { devices: [fileDevice(path.join(gone, 'audit.log'))] })
  try {
    const write = await core.call('write', 'sys/policies/acl/p', { policy: 'path "a" { capabilities = ["read"] }' })
    assert.equal(write.status, 500)
    const read = await core.call('read', 'sys/policies/acl/default')
    assert.equal(read.status, 500)
    assert.ok(!read.raw.includes('capabilities'), 'a secret was answered unaudited')
    const health = await core.call('read', 'sys/health', undefined, { token: '' })
    assert.notEqual(health.status, 200, 'health must be red')
  } finally {
    await core.assembly.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('every answer has its request and its response in the log, refusals too', async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-audit-'))
  const file = path.join(folder, 'audit.log')
  const core = await startInside(memoryStorage(), { devices: [fileDevice(file)] })
  try {
    const answers = [
      await core.call('read', 'sys/mounts'),
      await core.call('read', 'nowhere/x', undefined, { token: 'hvs.unknown' }),
      await core.call('write', 'auth/token/create', { num_uses: -1 }),
      await core.call('write', 'auth/token/create', { ttl: '1h' }),
      await core.call('read', 'secret/none', undefined, { token: '' }),
    ]
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 403, 400, 200, 403],
    )
    await core.assembly.close()
    const lines = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; request?: { id: string }; error?: string })
    const requests = lines.filter(({ type }) => type === 'request').map(({ request }) => request?.id)
    const responses = lines.filter(({ type }) => type === 'response')
    assert.equal(responses.length, answers.length)
    for (const { request } of responses) assert.ok(requests.includes(request?.id))
    assert.equal(responses.filter(({ error }) => error).length, 3)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a membership stands at the group and at the member, or at neither', async () => {
  let entity = ''
  await atEveryCall(
    (core, n) => core.call('write', 'identity/group', { name: `g${n}`, policies: ['p'], member_entity_ids: [entity] }),
    async (core, n, status) => {
      const { body } = await core.call('read', `identity/group/name/g${n}`)
      const { group_ids: groups } = (await core.call('read', `identity/entity/id/${entity}`)).body['data']
      const id = body['data']?.id
      if (status < 300) assert.ok(groups.includes(id), `call ${n}`)
      assert.equal(groups.includes(id), body['data']?.member_entity_ids?.includes(entity) ?? false, `call ${n}`)
    },
    async (core) => {
      entity = (await core.call('write', 'identity/entity', { name: 'e' })).body['data'].id
    },
  )
})

test('an authorization code gives tokens once, whatever fails', async () => {
  const storage = faultyStorage(memoryStorage())
  const core = await startInside(storage)
  await core.call('write', 'sys/auth/up', { type: 'userpass' })
  await core.call('write', 'auth/up/users/ann', { password: 'pw' })
  const login = await core.call('write', 'auth/up/login/ann', { password: 'pw' }, { token: '' })
  const redirect = { redirect_uri: 'https://app.example.com/cb' }
  const client = { client_type: 'public', redirect_uris: redirect.redirect_uri, assignments: 'allow_all' }
  await core.call('write', 'identity/oidc/client/app', client)
  const { client_id } = (await core.call('read', 'identity/oidc/client/app')).body['data']
  const verifier = 'v'.repeat(43)
  const provider = 'identity/oidc/provider/default'
  let struck = 0
  for (let n = 1; n < 100; n++) {
    const asked = { ...redirect, client_id, response_type: 'code', scope: 'openid', code_challenge: verifier }
    const made = await core.call('write', `${provider}/authorize`, asked, { token: login.body['auth'].client_token })
    const { code } = made.body as { code: string }
    const body = { ...redirect, client_id, code, grant_type: 'authorization_code', code_verifier: verifier }
    const exchange = () => core.call('write', `${provider}/token`, body, { token: '' })
    storage.reset(n)
    const first = await exchange()
    const calls = storage.calls()
    storage.reset()
    const statuses = [first.status, (await exchange()).status, (await exchange()).status]
    assert.ok(statuses.filter((status) => status === 200).length <= 1, `call ${n}: ${statuses}`)
    assert.equal(statuses[2], 400, `call ${n}: ${statuses}`)
    if (calls < n) break
    struck++
  }
  assert.ok(struck >= 3, `${struck} calls`)
  await core.assembly.close()
})
