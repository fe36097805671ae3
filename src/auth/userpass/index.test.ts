import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PasswordHasher } from '../../crypto/password.ts'
import { PasswordQueueFull, passwordPool } from '../../crypto/password.ts'
import type { JsonObject } from '../../lib/json.ts'
import { mountPrefix } from '../../sdk/engine.ts'
import { ApiError, type ReadContext, type Reply } from '../../sdk/index.ts'
import { mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { scopedReader } from '../../storage/scoped.ts'
import { userpassWith } from './index.ts'

const bcryptHash = '$2b$05$abcdefghijklmnopqrstuub7l00Da1kKCeoHlLg2X/GRPck/G5Kw2'

// What a password hashed here costs to verify: an unknown user must cost the same.
const ourCost = '$argon2id$v=19$m=19456,t=2,p=1$'

/** Counts the work instead of doing it. The real hashes are tested where they are made. */
function counting() {
  const work: string[] = []
  const hasher: PasswordHasher = {
    async hash(password) {
      work.push('hash')
      return `${ourCost}c2FsdHNhbHQ$${Buffer.from(password).toString('base64url').padEnd(30, 'A')}`
    },
    async verify(password, stored) {
      work.push(`verify ${stored.slice(0, ourCost.length)}`)
      return stored.endsWith(`$${Buffer.from(password).toString('base64url').padEnd(30, 'A')}`)
    },
  }
  return { work, hasher }
}

async function mounted() {
  const { work, hasher } = counting()
  const storage = memoryStorage()
  const engine = userpassWith(hasher)
  const mount = await mountForTest(engine, storage)
  return { mount, work, storage, engine }
}

const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
const data = (reply: Reply | undefined) => reply?.data as Record<string, unknown>

const noParams = {
  token_bound_cidrs: [],
  token_explicit_max_ttl: 0,
  token_max_ttl: 0,
  token_no_default_policy: false,
  token_num_uses: 0,
  token_period: 0,
  token_policies: [],
  token_strictly_bind_ip: false,
  token_ttl: 0,
  token_type: 'default',
}

test('a user is made with a password, read without it, listed, deleted', async () => {
  const { mount } = await mounted()
  assert.equal(await mount.read('users/ann'), undefined)
  await assert.rejects(mount.write('users/ann', { token_policies: ['x'] }), status(400))
  await mount.write('users/ann', { password: 'first-pass', token_policies: 'read,other' })
  await mount.write('users/BOB', { password: 'bobs-pass' })
  assert.deepEqual(data(await mount.read('users/ann')), { ...noParams, token_policies: ['read', 'other'] })
  assert.deepEqual(data(await mount.read('users/Bob')), noParams)
  assert.deepEqual(data(await mount.list('users'))['keys'], ['ann', 'bob'])
  assert.deepEqual(data(await mount.list('users', { after: 'ann', limit: '1' }))['keys'], ['bob'])
  assert.equal(await mount.capability('users/ANN'), 'update')
  assert.equal(await mount.capability('users/cid'), 'create')
  await mount.delete('users/Ann')
  await mount.delete('users/ann')
  assert.deepEqual(data(await mount.list('users'))['keys'], ['bob'])
  for (const bad of ['users/a b', 'users/.a', 'users/a-', 'users/ü', `users/${'a'.repeat(600)}`, 'login/a b'])
    await assert.rejects(mount.write(bad, { password: 'x' }), status(404), bad)
})

test('a login grants what the user is given', async () => {
  const { mount } = await mounted()
  const body = {
    password: 'pw',
    token_ttl: '10m',
    token_max_ttl: '1h',
    token_policies: ['b', 'a', 'A', 'default'],
    token_bound_cidrs: '127.0.0.1,10.0.0.0/8',
    token_explicit_max_ttl: 7200,
    token_no_default_policy: true,
    token_num_uses: 7,
    token_type: 'service',
  }
  await mount.write('users/full', body)
  const { password: _, ...shown } = body
  assert.deepEqual(data(await mount.read('users/full')), {
    ...noParams,
    ...shown,
    token_bound_cidrs: ['127.0.0.1', '10.0.0.0/8'],
    token_ttl: 600,
    token_max_ttl: 3600,
  })
  const { grant } = (await mount.write('login/FULL', { password: 'pw' })) ?? {}
  assert.deepEqual(grant, {
    displayName: 'full',
    alias: { name: 'full' },
    metadata: { username: 'full' },
    params: {
      ttlSeconds: 600,
      maxTtlSeconds: 3600,
      explicitMaxTtlSeconds: 7200,
      periodSeconds: 0,
      numUses: 7,
      boundCidrs: ['127.0.0.1', '10.0.0.0/8'],
      strictlyBindIp: false,
      noDefaultPolicy: true,
      type: 'service',
      policies: ['b', 'a', 'A', 'default'],
    },
    internal: { username: 'full' },
  })
  await mount.write('users/full', { token_ttl: '20m' })
  assert.equal(data(await mount.read('users/full'))['token_ttl'], 1200)
  assert.equal(data(await mount.read('users/full'))['token_num_uses'], 7)
})

test('a wrong password and an unknown user cost the same work and get the same answer', async () => {
  const { mount, work } = await mounted()
  await mount.write('users/ann', { password: 'right' })
  const answer = async (path: string, body: JsonObject) => {
    work.length = 0
    const error: unknown = await mount.write(path, body).catch((error: unknown) => error)
    assert.ok(error instanceof ApiError)
    return [error.status, error.message, [...work]]
  }
  const wrong = await answer('login/ann', { password: 'wrong' })
  assert.deepEqual(wrong, [400, 'invalid username or password', [`verify ${ourCost}`]])
  assert.deepEqual(await answer('login/nobody', { password: 'wrong' }), wrong)
  assert.deepEqual(await answer('login/nobody', { password: 'right' }), wrong)
  const long = { password: 'x'.repeat(1025) }
  assert.deepEqual(await answer('login/ann', long), await answer('login/nobody', long))
  assert.deepEqual(await answer('login/ann', {}), await answer('login/nobody', {}))
})

test('changing the password ends the old one; user and policies have paths of their own', async () => {
  const { mount } = await mounted()
  await mount.write('users/ann', { password: 'first', token_policies: ['p'] })
  await mount.write('users/ann/password', { password: 'second' })
  await assert.rejects(mount.write('login/ann', { password: 'first' }), status(400))
  assert.ok((await mount.write('login/ann', { password: 'second' }))?.grant)
  await mount.write('users/ann/policies', { token_policies: ' B, a ,a,' })
  assert.deepEqual(data(await mount.read('users/ann'))['token_policies'], ['a', 'b'])
  await mount.write('users/ann/policies', { policies: 'Z' })
  assert.deepEqual(data(await mount.read('users/ann'))['policies'], ['z'])
  await mount.write('users/ann', { password: 'third' })
  assert.ok((await mount.write('login/ann', { password: 'third' }))?.grant)
  for (const path of ['users/none/password', 'users/none/policies'])
    await assert.rejects(mount.write(path, { password: 'x', token_policies: 'x' }), status(400))
  await assert.rejects(mount.write('users/ann/password', {}), status(400))
  await assert.rejects(mount.write('users/ann/password', { password: 'x'.repeat(1025) }), status(400))
  await mount.delete('users/ann')
  await assert.rejects(mount.write('login/ann', { password: 'third' }), status(400))
})

test('a login is refused when the user changes while the password is looked at', async () => {
  let meanwhile: () => Promise<unknown> = async () => undefined
  const { hasher } = counting()
  const engine = userpassWith({
    ...hasher,
    async verify(password, stored) {
      await meanwhile()
      return hasher.verify(password, stored)
    },
  })
  const mount = await mountForTest(engine, memoryStorage())
  await mount.write('users/ann', { password: 'first' })
  meanwhile = () => mount.write('users/ann/password', { password: 'second' })
  await assert.rejects(mount.write('login/ann', { password: 'first' }), status(400))
  meanwhile = () => mount.delete('users/ann')
  await assert.rejects(mount.write('login/ann', { password: 'second' }), status(400))
})

test('a hash made elsewhere stands in for the password', async (t) => {
  const pool = passwordPool({ threads: 1 })
  t.after(() => pool.close())
  const storage = memoryStorage()
  const mount = await mountForTest(userpassWith(pool), storage)
  await mount.write('users/ann', { password_hash: bcryptHash, token_policies: 'p' })
  assert.ok(!JSON.stringify(await mount.read('users/ann')).includes('$2b$'))
  assert.ok((await mount.write('login/ann', { password: 'hashed-pw' }))?.grant)
  await assert.rejects(mount.write('login/ann', { password: bcryptHash }), status(400))
  await assert.rejects(mount.write('users/bob', { password: 'x', password_hash: bcryptHash }), status(400))
  await assert.rejects(mount.write('users/bob', { password_hash: 'not-a-hash' }), status(400))
  await mount.write('users/bob', { password: 'first' })
  assert.ok((await mount.write('login/bob', { password: 'first' }))?.grant)
  await mount.write('users/bob/password', { password_hash: bcryptHash })
  await assert.rejects(mount.write('login/bob', { password: 'first' }), status(400))
  assert.ok((await mount.write('login/bob', { password: 'hashed-pw' }))?.grant)
})

test('parameters that contradict each other make no user and cost no hash', async () => {
  const { mount, work } = await mounted()
  const bad: JsonObject[] = [
    { token_ttl: '2h', token_max_ttl: '1h' },
    { ttl: '2h', max_ttl: '1h' },
    { token_ttl: '-1s' },
    { token_ttl: 'soon' },
    { token_type: 'paper' },
    { token_type: 'constructor' },
    { token_bound_cidrs: 'not-a-cidr' },
    { bound_cidrs: ['10.0.0.0/99'] },
    { token_num_uses: -1 },
    { token_type: 'batch', token_num_uses: 3 },
    { token_type: 'batch', token_period: '1h' },
    { token_strictly_bind_ip: true, token_bound_cidrs: ['10.0.0.0/8'] },
  ]
  for (const body of bad)
    await assert.rejects(mount.write('users/bad', { password: 'pw', ...body }), status(400), JSON.stringify(body))
  assert.equal(await mount.read('users/bad'), undefined)
  assert.deepEqual(work, [])
})

test('older names are taken, and shown beside the newer ones while they were written last', async () => {
  const { mount } = await mounted()
  await mount.write('users/old', {
    password: 'pw',
    policies: 'B,a',
    ttl: '10m',
    max_ttl: 3600,
    bound_cidrs: '10.0.0.0/8',
  })
  const token = { token_policies: ['a', 'b'], token_ttl: 600, token_max_ttl: 3600, token_bound_cidrs: ['10.0.0.0/8'] }
  assert.deepEqual(data(await mount.read('users/old')), {
    ...noParams,
    ...token,
    policies: ['a', 'b'],
    ttl: 600,
    max_ttl: 3600,
    bound_cidrs: ['10.0.0.0/8'],
  })
  await mount.write('users/old', { token_ttl: 60, token_policies: 'x', policies: 'y' })
  const read = data(await mount.read('users/old'))
  assert.deepEqual([read['token_ttl'], 'ttl' in read, read['policies'], read['max_ttl']], [60, false, ['x'], 3600])
  await mount.write('users/old', { max_ttl: 0 })
  assert.equal('max_ttl' in data(await mount.read('users/old')), false)
})

test('a user bound to addresses cannot log in from others; strict binding takes the one of the login', async () => {
  const { mount } = await mounted()
  await mount.write('users/far', { password: 'pw', token_bound_cidrs: ['10.0.0.0/8'] })
  await assert.rejects(mount.write('login/far', { password: 'pw' }), status(403))
  await assert.rejects(mount.write('login/far', { password: 'no' }), status(400))
  await mount.write('users/near', { password: 'pw', token_strictly_bind_ip: true })
  const { grant } = (await mount.write('login/near', { password: 'pw' })) ?? {}
  assert.deepEqual(grant?.params.boundCidrs, ['127.0.0.1'])
})

test('a renewal takes the times as they are now, and ends with the user or its policies', async () => {
  const { mount, storage, engine } = await mounted()
  const renew = (policies: string[]) =>
    storage.view(async (tx) => {
      const context = {
        tx: scopedReader(tx, mountPrefix(mount.mount)),
        request: { remoteAddress: '127.0.0.1' },
      } as ReadContext
      return await engine.renew?.({ internal: { username: 'ann' }, policies }, context)
    })
  await mount.write('users/ann', { password: 'pw', token_policies: ['b', 'A'], token_ttl: 60 })
  assert.equal((await renew(['a', 'b', 'default']))?.ttlSeconds, 60)
  await mount.write('users/ann', { token_ttl: 90, token_period: 300 })
  assert.equal((await renew(['b', 'a']))?.periodSeconds, 300)
  await assert.rejects(renew(['a']), status(400))
  await mount.delete('users/ann')
  await assert.rejects(renew(['a', 'b']), status(400))
})

test('when too many passwords wait, a login is asked to come again', async () => {
  const { hasher } = counting()
  const full = { ...hasher, verify: () => Promise.reject(new PasswordQueueFull('full')) }
  const mount = await mountForTest(userpassWith(full), memoryStorage())
  await assert.rejects(mount.write('login/ann', { password: 'pw' }), status(503))
})
