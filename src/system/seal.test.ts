// The shapes of init, unseal, rekey, rotate and generate-root, call by call, as clients and tools expect them.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createSecretKey, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import * as openpgp from 'openpgp'
import { createLifecycle } from '../barrier/lifecycle.ts'
import type { StaticKey } from '../barrier/slots.ts'
import type { JsonObject } from '../lib/json.ts'
import type { RequestFacts, WriteContext } from '../sdk/context.ts'
import { findOperation, inputSource } from '../sdk/dispatch.ts'
import { engine } from '../sdk/engine.ts'
import { ApiError } from '../sdk/errors.ts'
import type { OperationVerb } from '../sdk/operation.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Storage } from '../storage/storage.ts'
import { sealOperations } from './seal.ts'

const facts = {
  apiVersion: '1.21.5',
  cofferVersion: '0.1.0',
  clusterName: '',
  hostname: 'here',
  apiAddress: 'http://127.0.0.1:8200',
  clusterAddress: '',
}
let tokens = 0

/** A server of nothing but these operations; answers are `{ status, body }` as a client would see them. */
function server({ storage = memoryStorage() as Storage, staticKeys = [] as StaticKey[], healthy = true } = {}) {
  const createRootToken = async () => `hvs.${String(++tokens).padStart(24, 'x')}`
  const life = createLifecycle({ storage, staticKeys, ports: { createRootToken } })
  const sys = engine({
    type: 'system',
    kind: 'secret',
    summary: '',
    operations: sealOperations(life, facts, () => healthy),
  }).variant({})
  const listener = { disableUnauthedRekey: false, disableUnauthedGenerateRoot: false }
  const context = {
    now: 0,
    mount: { namespace: { id: 'root', uuid: 'root', path: '' } },
    warn: () => undefined,
  } as unknown as WriteContext

  const call = async (verb: OperationVerb, path: string, more: JsonObject = {}) => {
    const { operation, params } = findOperation(sys, verb, path)
    const input = operation.decode(params, inputSource(verb, more, more))
    const { stages } = operation
    const reply = operation.lifecycle
      ? await operation.lifecycle(input, { listener } as unknown as RequestFacts)
      : stages
        ? await stages.commit(await stages.act(await stages.prepare(input, context), input), input, context)
        : await operation.run?.(input, context)
    await reply?.finish?.()
    const body = reply?.raw ? JSON.parse(String(reply.raw.body)) : reply?.data
    return {
      status: reply?.status ?? (body ? 200 : 204),
      body,
      raw: reply?.raw !== undefined,
      flat: reply?.flat ?? false,
    }
  }
  const refused = async (status: number, text: RegExp, ...args: Parameters<typeof call>) =>
    assert.rejects(
      call(...args),
      (error) => error instanceof ApiError && error.status === status && text.test(error.message),
    )
  return { life, storage, listener, call, refused, context }
}

/** A server initialised with 3 shares of which 2 are needed, and unsealed. */
async function open() {
  const made = server()
  const init = (await made.call('write', 'init', { secret_shares: 3, secret_threshold: 2 })).body
  for (const key of init.keys.slice(0, 2)) await made.call('write', 'unseal', { key })
  return { ...made, init, keys: init.keys as string[] }
}

test('init, seal-status, unseal, seal', async () => {
  const { call, refused } = server()
  assert.deepEqual((await call('read', 'init')).body, { initialized: false })
  assert.deepEqual((await call('read', 'seal-status')).body, {
    type: 'shamir',
    initialized: false,
    sealed: true,
    t: 0,
    n: 0,
    progress: 0,
    nonce: '',
    version: '1.21.5',
    coffer_version: '0.1.0',
    build_date: '',
    migration: false,
    recovery_seal: false,
    storage_type: 'inmem',
  })
  await refused(400, /not initialized/, 'write', 'unseal', { key: '00'.repeat(33) })
  await refused(400, /at least one/, 'write', 'init', {})
  const { body: init, raw } = await call('write', 'init', { secret_shares: 5, secret_threshold: 3, stored_shares: 0 })
  assert.equal(raw, true)
  assert.deepEqual(Object.keys(init), ['keys', 'keys_base64', 'root_token'])
  assert.equal(init.keys.length, 5)
  assert.deepEqual(
    init.keys.map((key: string) => Buffer.from(key, 'hex').toString('base64')),
    init.keys_base64,
  )
  await refused(400, /already initialized/, 'write', 'init', { secret_shares: 1, secret_threshold: 1 })
  await refused(400, /'key' must be specified/, 'write', 'unseal', {})
  await refused(400, /migration/, 'write', 'unseal', { key: init.keys[0], migrate: true })
  assert.equal((await call('write', 'unseal', { key: init.keys[0] })).body.progress, 1)
  assert.equal((await call('write', 'unseal', { reset: true })).body.progress, 0)
  for (const key of [init.keys[1], init.keys_base64[2]]) await call('write', 'unseal', { key })
  const { body: status } = await call('write', 'unseal', { key: init.keys[4] })
  assert.deepEqual([status.sealed, status.t, status.n, status.progress], [false, 3, 5, 0])
  assert.match(status.cluster_name, /^coffer-cluster-[0-9a-f]{8}$/)
  assert.match(status.cluster_id, /^[0-9a-f-]{36}$/)
  assert.equal((await call('write', 'seal')).status, 204)
  const { body: sealed } = await call('read', 'seal-status')
  assert.deepEqual([sealed.sealed, sealed.cluster_id], [true, undefined])
})

test('health tells its state by the status, and the caller may choose it', async () => {
  const { call, refused } = server()
  assert.equal((await call('read', 'health')).status, 501)
  assert.equal((await call('read', 'health', { uninitcode: '210' })).status, 210)
  const { keys } = (await call('write', 'init', { secret_shares: 1, secret_threshold: 1 })).body
  assert.equal((await call('read', 'health')).status, 503)
  assert.equal((await call('read', 'health', { sealedcode: '204' })).status, 204)
  await call('write', 'unseal', { key: keys[0] })
  const { status, body } = await call('read', 'health', { standbyok: 'true', perfstandbyok: '', standbycode: '429' })
  assert.equal(status, 200)
  assert.deepEqual([body.initialized, body.sealed, body.standby, body.version], [true, false, false, '1.21.5'])
  assert.ok(Math.abs(body.server_time_utc - Date.now() / 1000) < 5)
  assert.equal((await call('read', 'health', { activecode: '299' })).status, 299)
  for (const bad of ['abc', '99', '1000', '-1', '', '100'])
    await refused(400, /status codes/, 'read', 'health', { activecode: bad })
  await refused(400, /standbyok/, 'read', 'health', { standbyok: 'maybe' })
  const red = server({ healthy: false })
  const init = (await red.call('write', 'init', { secret_shares: 1, secret_threshold: 1 })).body
  await red.call('write', 'unseal', { key: init.keys[0] })
  assert.deepEqual(
    [(await red.call('read', 'health')).status, (await red.call('read', 'health')).body.audit],
    [500, 'failing'],
  )
})

test('key-status', async () => {
  const { call, context } = await open()
  const before = (await call('read', 'key-status')).body
  assert.equal(before.term, 1)
  assert.equal(typeof before.encryptions, 'number')
  assert.equal(new Date(before.install_time).toISOString(), before.install_time)
  assert.equal((await call('write', 'rotate')).status, 204)
  assert.equal((await call('write', 'rotate/keyring')).status, 204)
  assert.equal((await call('read', 'key-status')).body.term, 3)
  Object.assign(context.mount, { namespace: { id: 'abc123', uuid: 'x', path: 'team/' } })
  for (const path of ['key-status', 'rotate/config', 'rotate/root/init', 'generate-root-token/attempt', 'x/seal/slots'])
    await assert.rejects(call('read', path), /belongs to the root namespace/)
  await assert.rejects(call('write', 'rotate'), /belongs to the root namespace/)
})

test('rotate/config', async () => {
  const { call, refused } = await open()
  for (const path of ['rotate/config', 'rotate/keyring/config']) {
    const { body } = await call('read', path)
    assert.deepEqual(body, { enabled: true, interval: 0, max_operations: 3_865_470_566 })
  }
  assert.equal(
    (await call('write', 'rotate/config', { interval: '48h', enabled: false, max_operations: '2000000' })).status,
    204,
  )
  assert.deepEqual((await call('read', 'rotate/config')).body, {
    enabled: false,
    interval: '48h0m0s',
    max_operations: 2_000_000,
  })
  await refused(400, /interval must be greater or equal to 24h0m0s/, 'write', 'rotate/config', { interval: 60 })
  await refused(400, /max_operations must be in the range/, 'write', 'rotate/config', { max_operations: 1 })
  assert.equal((await call('write', 'rotate/root')).status, 204)
})

test('rekey: raw shapes, with verification', async () => {
  const { call, refused, keys, listener } = await open()
  const idle = {
    nonce: '',
    started: false,
    t: 0,
    n: 0,
    progress: 0,
    required: 2,
    pgp_fingerprints: null,
    backup: false,
    verification_required: false,
  }
  assert.deepEqual((await call('read', 'rekey/init')).body, idle)
  const begun = await call('write', 'rekey/init', { secret_shares: 2, secret_threshold: 2, require_verification: true })
  const { nonce } = begun.body
  assert.deepEqual(begun.body, { ...idle, nonce, started: true, t: 2, n: 2, verification_required: true })
  await refused(400, /'key' must be specified/, 'write', 'rekey/update', { nonce })
  const first = await call('write', 'rekey/update', { key: keys[0] ?? '', nonce })
  assert.deepEqual(first.body, { ...begun.body, progress: 1 })
  const { body: done } = await call('write', 'rekey/update', { key: keys[2] ?? '', nonce })
  assert.deepEqual(Object.keys(done), [
    'nonce',
    'complete',
    'keys',
    'keys_base64',
    'pgp_fingerprints',
    'backup',
    'verification_required',
    'verification_nonce',
  ])
  assert.deepEqual((await call('read', 'rekey/verify')).body, {
    nonce: done.verification_nonce,
    started: true,
    t: 2,
    n: 2,
    progress: 0,
  })
  const again = (await call('delete', 'rekey/verify')).body
  assert.notEqual(again.nonce, done.verification_nonce)
  const half = await call('write', 'rekey/verify', { key: done.keys[0], nonce: again.nonce })
  assert.equal(half.body.progress, 1)
  const proved = await call('write', 'rekey/verify', { key: done.keys_base64[1], nonce: again.nonce })
  assert.deepEqual(proved.body, { nonce: again.nonce, complete: true })
  await refused(400, /no rekey configuration found/, 'read', 'rekey/verify')
  assert.equal((await call('delete', 'rekey/init')).status, 204)
  for (const verb of ['read', 'write', 'delete'] as const)
    await refused(400, /recovery rekeying not supported/, verb, 'rekey-recovery-key/init')
  await call('write', 'seal')
  for (const key of done.keys) await call('write', 'unseal', { key })
  assert.equal((await call('read', 'seal-status')).body.sealed, false)
  listener.disableUnauthedRekey = true
  await refused(404, /unsupported path/, 'read', 'rekey/init')
  await refused(404, /unsupported path/, 'write', 'rekey/update', { key: keys[0] ?? '', nonce })
})

test('rotate/root: enveloped shapes, PGP and backup', async () => {
  const { call, refused, keys } = await open()
  assert.deepEqual((await call('read', 'rotate/root/init')).body, { started: false, t: 0, n: 0, required: 2 })
  const pair = await openpgp.generateKey({ userIDs: [{ name: 'x' }], format: 'object' })
  const pgp_keys = [Buffer.from(pair.publicKey.write()).toString('base64')]
  const begun = await call('write', 'rotate/root/init', {
    secret_shares: 1,
    secret_threshold: 1,
    pgp_keys,
    backup: true,
  })
  assert.equal(begun.raw, false)
  const fingerprint = pair.publicKey.getFingerprint()
  const { nonce } = begun.body
  assert.deepEqual(begun.body, {
    started: true,
    t: 1,
    n: 1,
    required: 2,
    nonce,
    progress: 0,
    verification_required: false,
    verification_nonce: '',
    pgp_fingerprints: [fingerprint],
    backup: true,
  })
  await refused(400, /missing required field 'key'/, 'write', 'rotate/root/update', { nonce })
  await refused(400, /missing required field 'nonce'/, 'write', 'rotate/root/update', { key: keys[0] ?? '' })
  await call('write', 'rotate/root/update', { key: keys[0] ?? '', nonce })
  const { body: done } = await call('write', 'rotate/root/update', { key: keys[1] ?? '', nonce })
  assert.deepEqual([done.complete, done.verification_nonce], [true, ''])
  for (const path of ['rotate/root/backup', 'rekey/backup']) {
    const { body, flat } = await call('read', path)
    assert.equal(flat, true)
    assert.deepEqual(body, {
      nonce,
      keys: { [fingerprint]: done.keys },
      keys_base64: { [fingerprint]: done.keys_base64 },
    })
  }
  assert.equal((await call('delete', 'rotate/root/backup')).status, 204)
  await refused(400, /no backed-up keys found/, 'read', 'rekey/backup')
  await refused(400, /no rotation configuration found/, 'read', 'rotate/root/verify')
})

test('recovery keys of a store that unseals itself', async () => {
  const staticKeys = [{ id: 'k', current: true, key: createSecretKey(randomBytes(32)) }]
  const { call, refused } = server({ staticKeys })
  const { body: uninit } = await call('read', 'seal-status')
  assert.deepEqual([uninit.type, uninit.recovery_seal, uninit.recovery_seal_type], ['static', true, 'shamir'])
  await refused(400, /parameters secret_shares not applicable/, 'write', 'init', { secret_shares: 1 })
  const { body: init } = await call('write', 'init', { recovery_shares: 2, recovery_threshold: 2 })
  assert.deepEqual([init.keys, init.recovery_keys.length, init.recovery_keys_base64.length], [[], 2, 2])
  assert.equal((await call('read', 'seal-status')).body.sealed, false)
  const { nonce } = (await call('write', 'rekey-recovery-key/init', { secret_shares: 1, secret_threshold: 1 })).body
  await call('write', 'rekey-recovery-key/update', { key: init.recovery_keys[0], nonce })
  const { body: done } = await call('write', 'rekey-recovery-key/update', { key: init.recovery_keys[1], nonce })
  assert.equal(done.keys.length, 1)
  const { nonce: root } = (await call('write', 'rotate/root/init', {})).body
  const { body: rotated } = await call('write', 'rotate/root/update', { key: done.keys[0], nonce: root })
  assert.deepEqual([rotated.complete, rotated.keys], [true, []])
})

test('rotate/recovery/init makes the first recovery keys at once', async () => {
  const staticKeys = [{ id: 'k', current: true, key: createSecretKey(randomBytes(32)) }]
  const { call } = server({ staticKeys })
  await call('write', 'init', {})
  const { body } = await call('write', 'rotate/recovery/init', { secret_shares: 3, secret_threshold: 2 })
  assert.deepEqual([body.complete, body.keys.length, body.t, body.n], [true, 3, 2, 3])
})

test('generate-root: raw shapes, decode-token, cancel', async () => {
  const { call, refused, keys, listener } = await open()
  const idle = {
    nonce: '',
    started: false,
    progress: 0,
    required: 2,
    complete: false,
    encoded_token: '',
    encoded_root_token: '',
    pgp_fingerprint: '',
    otp: '',
    otp_length: 28,
  }
  assert.deepEqual((await call('read', 'generate-root/attempt')).body, idle)
  const { body: begun, raw } = await call('write', 'generate-root/attempt', {})
  assert.equal(raw, true)
  assert.equal(begun.otp.length, 28)
  assert.equal((await call('read', 'generate-root/attempt')).body.otp, '')
  const { nonce } = begun
  await refused(400, /'key' must be specified/, 'write', 'generate-root/update', { nonce })
  assert.equal((await call('write', 'generate-root/update', { key: keys[0] ?? '', nonce })).body.progress, 1)
  const { body: done } = await call('write', 'generate-root/update', { key: keys[1] ?? '', nonce })
  assert.deepEqual([done.complete, done.progress, done.required, done.started], [true, 2, 2, true])
  assert.equal(done.encoded_token, done.encoded_root_token)
  const decoded = await call('write', 'decode-token', { encoded_token: done.encoded_token, otp: begun.otp })
  assert.deepEqual([decoded.raw, decoded.body.token.slice(0, 4)], [false, 'hvs.'])
  await refused(400, /is empty/, 'write', 'decode-token', { otp: 'x' })
  await call('write', 'generate-root/attempt', {})
  assert.equal((await call('delete', 'generate-root/attempt')).status, 204)
  assert.equal((await call('read', 'generate-root')).body.started, false)
  listener.disableUnauthedGenerateRoot = true
  await refused(404, /unsupported path/, 'write', 'generate-root/attempt', {})
})

test('generate-root-token: the newer shapes', async () => {
  const { call, refused, keys } = await open()
  assert.deepEqual((await call('read', 'generate-root-token/attempt')).body, {
    started: false,
    complete: false,
    progress: 0,
    required: 2,
    otp: '',
    otp_length: 28,
  })
  const otp = 'p'.repeat(28)
  const { body: begun } = await call('write', 'generate-root-token/attempt', { otp })
  assert.deepEqual([begun.started, begun.otp, begun.pgp_fingerprint], [true, '', ''])
  const { nonce } = begun
  await refused(400, /nonce is required/, 'write', 'generate-root-token/update', { key: keys[0] ?? '' })
  await refused(400, /key is required/, 'write', 'generate-root-token/update', { nonce })
  await call('write', 'generate-root-token/update', { key: keys[0] ?? '', nonce })
  const { body: done } = await call('write', 'generate-root-token/update', { key: keys[1] ?? '', nonce })
  assert.deepEqual(Object.keys(done).sort(), [
    'complete',
    'encoded_token',
    'nonce',
    'pgp_fingerprint',
    'progress',
    'required',
    'started',
  ])
  assert.match((await call('write', 'decode-token', { encoded_token: done.encoded_token, otp })).body.token, /^hvs\./)
  await call('write', 'generate-root-token/attempt', {})
  assert.equal((await call('delete', 'generate-root-token/attempt')).status, 204)
})

test('seal slots over the API', async () => {
  const { call, refused } = await open()
  const { body: added } = await call('write', 'x/seal/slots', {
    kind: 'shamir',
    name: 'second',
    secret_shares: 1,
    secret_threshold: 1,
  })
  assert.deepEqual([added.kind, added.n, added.t, added.opens, added.keys.length], ['shamir', 1, 1, true, 1])
  assert.deepEqual(
    (await call('read', 'x/seal/slots')).body.slots.map(({ name }: { name: string }) => name),
    ['shamir', 'second'],
  )
  assert.equal((await call('read', 'x/seal/slots/second')).body.id, added.id)
  await refused(404, /no seal slot/, 'read', 'x/seal/slots/third')
  await refused(400, /kind/, 'write', 'x/seal/slots', { kind: 'kms', name: 'x' })
  await refused(400, /no seal "static"/, 'write', 'x/seal/slots', { kind: 'static', name: 'x' })
  assert.equal((await call('delete', 'x/seal/slots/shamir')).status, 204)
  await refused(400, /last one/, 'delete', `x/seal/slots/${added.id}`)
  await call('write', 'seal')
  assert.equal((await call('write', 'unseal', { key: added.keys_base64[0] })).body.sealed, false)
})
