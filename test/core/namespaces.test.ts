// Who administers a child namespace has all rights there, and none over the server.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryStorage } from '../../src/storage/memory.ts'
import { startInside } from '../inside.ts'

test('an administrator of a child namespace changes nothing of the server', async () => {
  const core = await startInside(memoryStorage())
  await core.call('write', 'sys/namespaces/team', {})
  const inside = { namespace: 'team' }
  await core.call(
    'write',
    'sys/policies/acl/admin',
    { policy: 'path "*" { capabilities = ["create","read","update","patch","delete","list","sudo"] }' },
    inside,
  )
  const made = await core.call('write', 'auth/token/create', { policies: ['admin'] }, inside)
  const token = made.body['auth'].client_token as string
  // It is an administrator there.
  assert.equal((await core.call('write', 'sys/mounts/kv', { type: 'kv' }, { token, ...inside })).status, 204)
  assert.equal((await core.call('write', 'kv/a', { v: '1' }, { token, ...inside })).status, 204)
  const attempts: [verb: 'read' | 'write' | 'delete' | 'list', path: string, body?: object][] = [
    ['write', 'sys/seal'],
    ['write', 'sys/step-down'],
    ['write', 'sys/rotate'],
    ['write', 'sys/rotate/keyring'],
    ['write', 'sys/rotate/root'],
    ['write', 'sys/rotate/config', { max_operations: 2_000_000 }],
    ['read', 'sys/rotate/config'],
    ['read', 'sys/key-status'],
    ['write', 'sys/rotate/root/init', { secret_shares: 1, secret_threshold: 1 }],
    ['write', 'sys/rotate/recovery/init', { secret_shares: 1, secret_threshold: 1 }],
    ['write', 'sys/generate-root-token/attempt', {}],
    ['list', 'sys/x/seal/slots'],
    ['read', 'sys/x/seal/slots'],
    ['read', 'sys/audit'],
    ['write', 'sys/audit/x', { type: 'file', options: { file_path: 'discard' } }],
    ['delete', 'sys/audit/x'],
    ['write', 'sys/audit-hash/x', { input: 'x' }],
    ['read', 'sys/x/audit/verification'],
    ['read', 'sys/config/auditing/request-headers'],
    ['write', 'sys/config/auditing/request-headers/X-A', { hmac: false }],
    ['delete', 'sys/config/auditing/request-headers/X-A'],
    ['read', 'sys/config/cors'],
    ['write', 'sys/config/cors', { allowed_origins: '*' }],
    ['delete', 'sys/config/cors'],
    ['read', 'sys/raw/core/epoch'],
    ['write', 'sys/raw/core/epoch', { value: 'x' }],
    ['delete', 'sys/raw/core/epoch'],
    ['list', 'sys/raw'],
  ]
  for (const [verb, path, body] of attempts) {
    const byHeader = await core.call(verb, path, body, { token, ...inside })
    assert.ok(
      byHeader.status >= 400 && byHeader.status < 500,
      `${verb} ${path} in the namespace: ${byHeader.status} ${byHeader.raw}`,
    )
    const outside = await core.call(verb, path, body, { token })
    assert.equal(outside.status, 403, `${verb} ${path} in the root: ${outside.status}`)
  }
  assert.equal(core.assembly.lifecycle.sealed, false)
  // Nor does it reach what lies beside it.
  await core.call('write', 'sys/namespaces/other', {})
  for (const namespace of ['', 'other'])
    for (const path of ['sys/mounts', 'sys/policies/acl/default', 'auth/token/lookup-self', 'cubbyhole/x'])
      assert.equal(
        (await core.call('read', path, undefined, { token, namespace })).status,
        403,
        `${namespace}: ${path}`,
      )
  await core.assembly.close()
})
