// sys/raw of a whole core: what it reads and changes, who may, what is closed, and that caches follow.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStorage } from '../../src/storage/memory.ts'
import { type Inside, startInside } from '../inside.ts'

const rawOf = async (core: Inside, key: string) => (await core.call('read', `sys/raw/${key}`)).body['data']?.value
/** A token that may do these things with these paths. */
async function tokenFor(core: Inside, policy: string): Promise<string> {
  await core.call('write', 'sys/policies/acl/p', { policy })
  return (await core.call('write', 'auth/token/create', { policies: ['p'], no_default_policy: true })).body['auth']
    .client_token as string
}

test('values are written, read, listed and deleted, as text and as bytes', async () => {
  const core = await startInside(memoryStorage())
  assert.equal((await core.call('read', 'sys/raw/x/a')).status, 404)
  const made = await core.call('write', 'sys/raw/x/a', { value: '{"a":1}' })
  assert.deepEqual([made.status, made.raw], [204, ''])
  assert.equal(await rawOf(core, 'x/a'), '{"a":1}')
  const base64 = await core.call('read', 'sys/raw/x/a', undefined, {
    query: { encoding: 'base64', compressed: 'false' },
  })
  assert.equal(base64.body['data'].value, Buffer.from('{"a":1}').toString('base64'))
  await core.call('write', 'sys/raw/x/b/c', { value: '/w==', encoding: 'base64' })
  const bytes = await core.call('read', 'sys/raw/x/b/c')
  assert.deepEqual([bytes.status, /encoding=base64/.test(bytes.raw)], [400, true])
  const read = await core.call('read', 'sys/raw/x/b/c', undefined, { query: { encoding: 'base64' } })
  assert.equal(read.body['data'].value, '/w==')
  for (const path of ['sys/raw/x', 'sys/raw/x/'])
    assert.deepEqual((await core.call('list', path)).body['data'], { keys: ['a', 'b/'] })
  const page = await core.call('list', 'sys/raw/x', undefined, { query: { after: 'a', limit: '1' } })
  assert.deepEqual(page.body['data'].keys, ['b/'])
  for (const path of ['sys/raw', 'sys/raw/']) {
    const { keys } = (await core.call('list', path)).body['data']
    assert.ok(keys.includes('core/') && keys.includes('ns/') && !keys.includes('seal/'), keys)
  }
  await core.call('write', 'sys/raw/x/a', { value: '' })
  assert.equal(await rawOf(core, 'x/a'), '')
  assert.equal((await core.call('delete', 'sys/raw/x/a')).status, 204)
  assert.equal((await core.call('delete', 'sys/raw/x/a')).status, 204)
  assert.equal((await core.call('read', 'sys/raw/x/a')).status, 404)
  assert.equal((await core.call('list', 'sys/raw/nothing')).status, 404)
  await core.assembly.close()
})

test('what is wrong is refused and writes nothing', async () => {
  const core = await startInside(memoryStorage())
  for (const [path, body] of [
    ['x/a', {}],
    ['x/a', { value: 'a', encoding: 'rot13' }],
    ['x/a', { value: 'no base64!', encoding: 'base64' }],
    ['x/a', { value: 'a', compression_type: 'gzip' }],
    ['x/a/', { value: 'a' }],
  ] as const)
    assert.equal((await core.call('write', `sys/raw/${path}`, body)).status, 400, JSON.stringify([path, body]))
  assert.equal((await core.call('read', 'sys/raw/x/a', undefined, { query: { encoding: 'x' } })).status, 400)
  assert.equal((await core.call('list', 'sys/raw/x')).status, 404)
  assert.equal((await core.call('write', 'sys/raw', { path: 'x/a', value: 'a' })).status, 405)
  assert.equal((await core.call('write', `sys/raw/${'k'.repeat(5000)}`, { value: 'a' })).status, 413)
  await core.assembly.close()
})

test('it needs sudo, in the root namespace, and create is told from update', async () => {
  const core = await startInside(memoryStorage())
  await core.call('write', 'sys/raw/x/a', { value: 'a' })
  const weak = await tokenFor(core, 'path "sys/raw*" { capabilities = ["create","read","update","delete","list"] }')
  for (const [verb, path] of [
    ['read', 'sys/raw/x/a'],
    ['write', 'sys/raw/x/a'],
    ['delete', 'sys/raw/x/a'],
    ['list', 'sys/raw/x'],
    ['list', 'sys/raw'],
    ['read', 'sys/raw/seal/keyring'],
  ] as const)
    assert.equal((await core.call(verb, path, { value: 'b' }, { token: weak })).status, 403, `${verb} ${path}`)
  assert.equal((await core.call('read', 'sys/raw/x/a', undefined, { token: '' })).status, 403)
  const updater = await tokenFor(core, 'path "sys/raw/*" { capabilities = ["update","sudo"] }')
  assert.equal((await core.call('write', 'sys/raw/x/a', { value: 'b' }, { token: updater })).status, 204)
  assert.equal((await core.call('write', 'sys/raw/x/new', { value: 'b' }, { token: updater })).status, 403)
  await core.call('write', 'sys/namespaces/team', {})
  for (const verb of ['read', 'write', 'delete', 'list'] as const) {
    const inside = await core.call(verb, 'sys/raw/x/a', { value: 'c' }, { namespace: 'team' })
    assert.equal(inside.status, 400, `${verb}: ${inside.raw}`)
  }
  assert.equal(await rawOf(core, 'x/a'), 'b')
  await core.assembly.close()
})

test('the seal and the proofs of the audit trail are closed', async () => {
  const core = await startInside(memoryStorage())
  for (const key of ['seal/keyring', 'seal/slots', 'seal/', 'core/audit/key', 'core/audit/anchor/x/y'])
    for (const verb of ['read', 'write', 'delete', 'list'] as const) {
      const answer = await core.call(verb, `sys/raw/${key}`, { value: 'x' })
      assert.deepEqual([answer.status, /cannot access/.test(answer.raw)], [400, true], `${verb} ${key}: ${answer.raw}`)
    }
  assert.equal((await core.call('list', 'sys/raw/seal')).status, 400)
  await core.assembly.close()
})

test('what is held in memory follows a change made below it', async () => {
  const core = await startInside(memoryStorage())
  await core.call('write', 'sys/mounts/kv', { type: 'kv' })
  await core.call('write', 'kv/a', { v: '1' })
  const token = await tokenFor(core, 'path "kv/*" { capabilities = ["read"] }')
  assert.equal((await core.call('read', 'kv/a', undefined, { token })).status, 200)
  const find = async (prefix: string, text: string): Promise<string> => {
    for (const name of (await core.call('list', `sys/raw/${prefix}`)).body['data'].keys as string[]) {
      const at = `${prefix}/${name}`
      const hit = name.endsWith('/') ? await find(at.slice(0, -1), text) : (await rawOf(core, at))?.includes(text) && at
      if (hit) return hit
    }
    return ''
  }
  const policy = await find('ns/root/policy', 'kv/*')
  const before = (await rawOf(core, policy)) as string
  await core.call('write', `sys/raw/${policy}`, { value: before.replace('kv/*', 'no/*') })
  assert.equal((await core.call('read', 'kv/a', undefined, { token })).status, 403)
  await core.call('write', `sys/raw/${policy}`, { value: before })
  assert.equal((await core.call('read', 'kv/a', undefined, { token })).status, 200)
  const mount = await find('ns/root/mount', '"kv/"')
  await core.call('delete', `sys/raw/${mount}`)
  assert.equal((await core.call('read', 'kv/a')).status, 404)
  await core.assembly.close()
})

test('a damaged value says so and can be written over; data of a sealed namespace is closed', async () => {
  const storage = memoryStorage()
  const core = await startInside(storage)
  await core.call('write', 'sys/raw/x/a', { value: 'a' })
  await core.call('write', 'sys/raw/x/b', { value: 'b' })
  // A value that was moved to another key.
  await storage.update(async (tx) => tx.put('x/b', (await tx.get('x/a'))?.value as Uint8Array))
  const damaged = await core.call('read', 'sys/raw/x/b')
  assert.deepEqual([damaged.status, /cannot be decrypted/.test(damaged.raw)], [500, true])
  assert.equal((await core.call('write', 'sys/raw/x/b', { value: 'c' })).status, 204)
  assert.equal(await rawOf(core, 'x/b'), 'c')
  const { body } = await core.call('write', 'sys/namespaces/team', {
    seal: 'seal "shamir" { shares = 1 threshold = 1 }',
  })
  const { uuid } = (body['data'] ?? (await core.call('read', 'sys/namespaces/team')).body['data']) as { uuid: string }
  const mounts = `ns/${uuid}/mount`
  const [name] = (await core.call('list', `sys/raw/${mounts}`)).body['data'].keys as string[]
  assert.equal((await core.call('read', `sys/raw/${mounts}/${name}`)).status, 200)
  assert.equal((await core.call('write', 'sys/namespaces/team/seal', {})).status, 204)
  for (const verb of ['read', 'write'] as const) {
    const closed = await core.call(verb, `sys/raw/${mounts}/${name}`, { value: 'x' })
    assert.deepEqual([closed.status, closed.raw], [503, '{"errors":["namespace is sealed"]}\n'])
  }
  await core.assembly.close()
})
