import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountPrefix } from '../../sdk/engine.ts'
import type { ReadContext } from '../../sdk/index.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { scopedReader } from '../../storage/scoped.ts'
import type { Reader, Storage, Writer } from '../../storage/storage.ts'
import { approle } from './index.ts'
import { mounted, status } from './testing.ts'

const stranger = '400 invalid role or secret ID'

test('a login grants what role and secret id say', async () => {
  const { mount, make, login } = await mounted()
  await mount.write('role/Web', {
    role_id: 'rid',
    token_ttl: '10m',
    token_policies: ['b', 'a'],
    token_num_uses: 7,
    token_type: 'service',
  })
  const { secret_id } = await make('web', { metadata: '{"team":"blue","role_name":"forged"}' })
  assert.deepEqual(await login(' rid ', ` ${secret_id} `), {
    displayName: '',
    alias: { name: 'rid', metadata: { team: 'blue', role_name: 'web' } },
    metadata: { team: 'blue', role_name: 'web' },
    params: {
      ttlSeconds: 600,
      maxTtlSeconds: 0,
      explicitMaxTtlSeconds: 0,
      periodSeconds: 0,
      numUses: 7,
      boundCidrs: [],
      strictlyBindIp: false,
      noDefaultPolicy: false,
      type: 'service',
      policies: ['b', 'a'],
    },
    internal: { role_name: 'web' },
  })
})

test('the answer does not say which of the two ids was wrong, nor whether a role is there', async () => {
  const { mount, make, refusal } = await mounted()
  for (const name of ['a', 'b']) await mount.write(`role/${name}`, { role_id: name })
  const ofA = (await make('a')).secret_id
  for (const [roleId, secretId] of [
    ['a', 'wrong'],
    ['none', ofA],
    ['none', 'wrong'],
    ['b', ofA],
    ['a', 'x'.repeat(4097)],
    ['x'.repeat(4097), ofA],
  ] as const)
    assert.equal(await refusal(roleId, secretId), stranger)
  assert.equal(await refusal('a'), '400 missing secret_id')
  assert.equal(await refusal('none'), await refusal('a'))
  assert.equal(await refusal('', ofA), '400 missing role_id')
})

test('a role that asks for no secret id lets its addresses in', async () => {
  const { mount, login, refusal, make } = await mounted()
  await mount.write('role/near', { role_id: 'near', bind_secret_id: false, secret_id_bound_cidrs: '127.0.0.0/8' })
  await mount.write('role/far', { role_id: 'far', bind_secret_id: false, secret_id_bound_cidrs: '10.0.0.0/8' })
  assert.deepEqual((await login('near')).metadata, { role_name: 'near' })
  assert.ok(await login('near', 'ignored'))
  assert.match(await refusal('far'), /^400 source address/)
  await assert.rejects(make('near'), status(400))
})

test('addresses bind the login on role and secret id, also when the role is narrowed later', async () => {
  const { mount, make, login, refusal } = await mounted()
  await mount.write('role/r', { role_id: 'rid', secret_id_bound_cidrs: '127.0.0.0/8,10.0.0.0/8' })
  const near = await make('r', { cidr_list: '127.0.0.0/16' })
  const far = await make('r', { cidr_list: '10.1.0.0/16', num_uses: 1 })
  await assert.rejects(make('r', { cidr_list: '11.0.0.0/8' }), status(400))
  assert.ok(await login('rid', near.secret_id))
  assert.match(await refusal('rid', far.secret_id), /^400 source address .* secret ID$/)
  await mount.write('role/r', { secret_id_bound_cidrs: '127.0.0.1' })
  assert.match(await refusal('rid', near.secret_id), /^400 source address .* secret ID$/)
  await mount.write('role/r', { secret_id_bound_cidrs: '10.0.0.0/8' })
  assert.match(await refusal('rid', (await make('r')).secret_id), /^400 source address .* role$/)
})

test('tokens are bound to the addresses of the secret id, else of the role; strict binding takes the one of the login', async () => {
  const { mount, make, login } = await mounted()
  await mount.write('role/r', { role_id: 'rid', token_bound_cidrs: '10.0.0.0/8' })
  // The login itself is from elsewhere: it is the token that will be refused.
  assert.deepEqual((await login('rid', (await make('r')).secret_id)).params.boundCidrs, ['10.0.0.0/8'])
  const own = await make('r', { token_bound_cidrs: ['10.1.0.1/32'] })
  assert.deepEqual((await login('rid', own.secret_id)).params.boundCidrs, ['10.1.0.1'])
  await assert.rejects(make('r', { token_bound_cidrs: '11.0.0.0/8' }), status(400))
  await mount.write('role/s', { role_id: 'strict', token_strictly_bind_ip: true })
  assert.deepEqual((await login('strict', (await make('s')).secret_id)).params.boundCidrs, ['127.0.0.1'])
  const near = await make('s', { token_bound_cidrs: '127.0.0.0/8' })
  assert.deepEqual((await login('strict', near.secret_id)).params.boundCidrs, ['127.0.0.1'])
  const far = await make('s', { token_bound_cidrs: '10.0.0.0/8' })
  const { params } = await login('strict', far.secret_id)
  assert.deepEqual([params.boundCidrs, params.strictlyBindIp], [['10.0.0.0/8'], false])
})

test('a renewal takes the times as they are now, and ends with the role', async () => {
  const { mount, storage } = await mounted()
  const renew = () =>
    storage.view(async (tx) => {
      const context = {
        tx: scopedReader(tx, mountPrefix(mount.mount)),
        request: { remoteAddress: '127.0.0.1' },
      } as ReadContext
      return await approle.renew?.({ internal: { role_name: 'web' }, policies: ['default'] }, context)
    })
  await mount.write('role/web', { token_ttl: 60 })
  assert.equal((await renew())?.ttlSeconds, 60)
  await mount.write('role/web', { token_ttl: 90, token_period: 300, token_policies: 'other', role_id: 'x' })
  assert.deepEqual([(await renew())?.ttlSeconds, (await renew())?.periodSeconds], [90, 300])
  await mount.delete('role/web')
  await assert.rejects(renew(), status(400))
})

/** Counts what transactions read one by one (each read a round trip) and write. */
function counting(storage: Storage) {
  const seen = { reads: 0, writes: 0 }
  const watched = <T extends Reader>(tx: T): T =>
    new Proxy(tx, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (['get', 'getMany', 'list', 'scan', 'entries'].includes(String(name))) seen.reads++
          if (name === 'put' || name === 'delete') seen.writes++
          return Reflect.apply(value, target, args)
        }
      },
    })
  const counted: Storage = {
    kind: storage.kind,
    view: (fn) => storage.view((tx) => fn(watched(tx))),
    update: (fn) => storage.update((tx: Writer) => fn(watched(tx))),
    close: () => storage.close(),
  }
  return { seen, counted }
}

test('a login reads one record when the role is known, two when it is not, and writes none', async () => {
  const { seen, counted } = counting(memoryStorage())
  const { mount, make, login, refusal } = await mounted(counted)
  await mount.write('role/r', { role_id: 'rid' })
  const { secret_id } = await make('r')
  const cost = async (run: () => Promise<unknown>) => {
    seen.reads = 0
    seen.writes = 0
    await run()
    return [seen.reads, seen.writes]
  }
  assert.deepEqual(await cost(() => login('rid', secret_id)), [2, 0])
  assert.deepEqual(await cost(() => login('rid', secret_id)), [1, 0])
  assert.deepEqual(await cost(() => refusal('rid', 'wrong')), [1, 0])
  assert.deepEqual(await cost(() => refusal('none', secret_id)), [1, 0])
  const once = (await make('r', { num_uses: 2 })).secret_id
  assert.deepEqual(await cost(() => login('rid', once)), [1, 1])
})

test('what is known of a role is not believed once it has changed', async () => {
  const { mount, make, login, refusal } = await mounted()
  await mount.write('role/r', { role_id: 'rid', token_ttl: 60 })
  const { secret_id } = await make('r')
  assert.equal((await login('rid', secret_id)).params.ttlSeconds, 60)
  await mount.write('role/r', { token_ttl: 90 })
  assert.equal((await login('rid', secret_id)).params.ttlSeconds, 90)
  await mount.delete('role/r')
  assert.equal(await refusal('rid', secret_id), stranger)
  // The same names again are another role: its secret ids are its own.
  await mount.write('role/r', { role_id: 'rid' })
  assert.equal(await refusal('rid', secret_id), stranger)
  assert.ok(await login('rid', (await make('r')).secret_id))
})
