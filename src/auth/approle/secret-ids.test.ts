import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../lib/json.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { bareKeys, data, keysOf, mounted, status } from './testing.ts'

const stranger = '400 invalid role or secret ID'

test('a secret id is told once, looked up by itself and by its accessor, listed, destroyed', async () => {
  const { mount, storage, make, lookup, login, refusal } = await mounted()
  await mount.write('role/r', { role_id: 'rid', secret_id_ttl: '1h', secret_id_num_uses: 10 })
  const made = await make('r', { metadata: 'team=blue,host=h1', ttl: '20m', num_uses: 3, cidr_list: '127.0.0.1/32' })
  assert.deepEqual([made.secret_id_num_uses, made.secret_id_ttl], [3, 1200])
  const facts = {
    secret_id_accessor: made.secret_id_accessor,
    secret_id_num_uses: 3,
    secret_id_ttl: 1200,
    cidr_list: ['127.0.0.1/32'],
    creation_time: '2023-11-14T22:13:20.000Z',
    expiration_time: '2023-11-14T22:33:20.000Z',
    last_updated_time: '2023-11-14T22:13:20.000Z',
    metadata: { team: 'blue', host: 'h1' },
    token_bound_cidrs: [],
  }
  const byAccessor = (accessor: string) =>
    mount.write('role/r/secret-id-accessor/lookup', { secret_id_accessor: accessor })
  assert.deepEqual(JSON.parse(JSON.stringify(await lookup('r', made.secret_id))), facts)
  assert.deepEqual(JSON.parse(JSON.stringify(data(await byAccessor(made.secret_id_accessor)))), facts)
  const other = await make('r')
  assert.deepEqual([other.secret_id_num_uses, other.secret_id_ttl], [10, 3600])
  const sorted = [made, other].map((one) => one.secret_id_accessor).sort()
  assert.deepEqual(data(await mount.list('role/r/secret-id'))['keys'], sorted)
  assert.deepEqual(data(await mount.list('role/r/secret-id', { after: String(sorted[0]) }))['keys'], [sorted[1]])
  assert.ok(await login('rid', made.secret_id))
  await mount.write('role/r/secret-id/destroy', { secret_id: made.secret_id })
  await mount.delete('role/r/secret-id-accessor/destroy', { secret_id_accessor: other.secret_id_accessor })
  for (const { secret_id, secret_id_accessor } of [made, other]) {
    assert.equal(await refusal('rid', secret_id), stranger)
    assert.equal(await lookup('r', secret_id), undefined)
    const unknown = await byAccessor(secret_id_accessor)
    assert.deepEqual([unknown?.status, Object.keys(data(unknown))], [404, ['error']])
  }
  await mount.delete('role/r/secret-id/destroy', { secret_id: made.secret_id })
  const again = { secret_id_accessor: made.secret_id_accessor }
  await assert.rejects(mount.write('role/r/secret-id-accessor/destroy', again), status(404))
  assert.deepEqual(data(await mount.list('role/r/secret-id'))['keys'], [])
  await mount.delete('role/r')
  await mount.runDue()
  assert.deepEqual(bareKeys(await keysOf(storage)), [])
})

test('neither secret id nor role id is stored as a key, the secret id not at all', async () => {
  const { mount, storage, make } = await mounted()
  await mount.write('role/r', { role_id: 'the-role-id' })
  const { secret_id } = await make('r')
  await mount.write('role/r/custom-secret-id', { secret_id: 'my-own-secret' })
  const entries = await storage.view((tx) => tx.entries(''))
  for (const { key, value } of entries)
    for (const secret of [secret_id, 'my-own-secret'])
      assert.ok(!key.includes(secret) && !Buffer.from(value).includes(secret), key)
  assert.ok(entries.every(({ key }) => !key.includes('the-role-id')))
})

test('a secret id can give no more than its role', async () => {
  const { mount, make, lookup } = await mounted()
  await mount.write('role/r', { secret_id_ttl: '1h', secret_id_num_uses: 10 })
  const bad: JsonObject[] = [
    { ttl: '2h' },
    { ttl: 0 },
    { ttl: '-1s' },
    { num_uses: 11 },
    { num_uses: 0 },
    { num_uses: -1 },
    { cidr_list: 'nonsense' },
    { token_bound_cidrs: ['10.0.0.0/99'] },
    { metadata: 'not json' },
    { metadata: '{"a":{}}' },
    { metadata: { a: 'x'.repeat(16 * 1024) } },
  ]
  for (const body of bad) await assert.rejects(make('r', body), status(400), JSON.stringify(body).slice(0, 60))
  await mount.write('role/free')
  await assert.rejects(make('free', { num_uses: -1 }), status(400))
  // What would outlive the mount's maximum is cut down to it.
  const long = await make('free', { ttl: '100000h', num_uses: 5 })
  assert.deepEqual([long.secret_id_ttl, long.secret_id_num_uses], [2_764_800, 5])
  assert.equal((await lookup('free', (await make('free')).secret_id))?.['expiration_time'], '0001-01-01T00:00:00Z')
})

test('a secret id of one’s own choice is one in its role, and may be another in another role', async () => {
  const { mount, storage, login, refusal } = await mounted()
  for (const name of ['a', 'b']) await mount.write(`role/${name}`, { role_id: name })
  const own = (role: string, secret_id: string) => mount.write(`role/${role}/custom-secret-id`, { secret_id })
  assert.equal(data(await own('a', ' mine '))['secret_id'], 'mine')
  await assert.rejects(own('a', 'mine'), status(400))
  assert.equal(await refusal('b', 'mine'), stranger)
  await own('b', 'mine')
  const hashes = (await keysOf(storage)).flatMap((key) => /secret-id\/[^/]+\/(.+)$/.exec(key)?.[1] ?? [])
  assert.equal(new Set(hashes).size, 2)
  await mount.write('role/a/secret-id/destroy', { secret_id: 'mine' })
  assert.equal(await refusal('a', 'mine'), stranger)
  assert.ok(await login('b', 'mine'))
  for (const bad of ['', ' ', 'x'.repeat(4097)]) await assert.rejects(own('a', bad), status(400))
})

test('secret ids of a role that is not there', async () => {
  const { mount, make, lookup } = await mounted()
  await assert.rejects(make('none'), status(404))
  await assert.rejects(lookup('none', 'x'), status(404))
  await assert.rejects(mount.list('role/none/secret-id'), status(400))
  await mount.write('role/r')
  for (const at of ['secret-id/lookup', 'secret-id/destroy', 'secret-id-accessor/lookup', 'secret-id-accessor/destroy'])
    await assert.rejects(mount.write(`role/r/${at}`), status(400), at)
  // An accessor is good in its own role only.
  await mount.write('role/other')
  const { secret_id_accessor } = await make('r')
  assert.equal((await mount.write('role/other/secret-id-accessor/lookup', { secret_id_accessor }))?.status, 404)
  await assert.rejects(mount.write('role/other/secret-id-accessor/destroy', { secret_id_accessor }), status(404))
})

test('uses are counted to the last; then nothing is left', async () => {
  const w = await mounted()
  await w.mount.write('role/r', { role_id: 'rid', secret_id_ttl: '1h' })
  const { secret_id } = await w.make('r', { num_uses: 2 })
  w.now += 5000
  await w.login('rid', secret_id)
  const after = await w.lookup('r', secret_id)
  assert.deepEqual([after?.['secret_id_num_uses'], after?.['last_updated_time']], [1, '2023-11-14T22:13:25.000Z'])
  // A refused login costs no use.
  await w.mount.write('role/r', { secret_id_bound_cidrs: '10.0.0.0/8' })
  assert.match(await w.refusal('rid', secret_id), /^400 source/)
  await w.mount.delete('role/r/secret-id-bound-cidrs')
  await w.login('rid', secret_id)
  assert.equal(await w.refusal('rid', secret_id), stranger)
  await w.mount.delete('role/r')
  await w.mount.runDue()
  assert.deepEqual(bareKeys(await keysOf(w.storage)), [])
})

test('of 50 logins at once a secret id with 10 uses lets in exactly 10', async () => {
  const w = await mounted()
  await w.mount.write('role/r', { role_id: 'rid' })
  const { secret_id } = await w.make('r', { num_uses: 10 })
  const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => w.login('rid', secret_id)))
  assert.equal(outcomes.filter((one) => one.status === 'fulfilled').length, 10)
  assert.ok(outcomes.every((one) => one.status === 'fulfilled' || status(400)(one.reason)))
})

test('of many who store the same secret id, or take the same role id, one wins', async () => {
  const { mount } = await mounted()
  const won = async (calls: Promise<unknown>[]) =>
    (await Promise.allSettled(calls)).filter((one) => one.status === 'fulfilled').length
  await mount.write('role/r')
  const twenty = Array.from({ length: 20 }, (_, n) => n)
  assert.equal(await won(twenty.map(() => mount.write('role/r/custom-secret-id', { secret_id: 'mine' }))), 1)
  assert.equal((data(await mount.list('role/r/secret-id'))['keys'] as string[]).length, 1)
  assert.equal(await won(twenty.map((n) => mount.write(`role/r${n}`, { role_id: 'same' }))), 1)
  assert.equal((data(await mount.list('role'))['keys'] as string[]).length, 2)
})

test('an expired secret id is refused at once, and cleared by itself', async () => {
  const w = await mounted()
  await w.mount.write('role/r', { role_id: 'rid' })
  const short = await w.make('r', { ttl: 60 })
  const long = await w.make('r', { ttl: 120 })
  await w.mount.write('role/r/custom-secret-id', { secret_id: 'mine', ttl: 60 })
  w.now += 59_999
  assert.ok(await w.login('rid', short.secret_id))
  w.now += 1
  assert.equal(await w.refusal('rid', short.secret_id), stranger)
  assert.equal(await w.lookup('r', short.secret_id), undefined)
  // Its text is free again, whether it is cleared yet or not, and the old end does not touch the new one.
  await w.mount.write('role/r/custom-secret-id', { secret_id: 'mine', ttl: 300 })
  await w.mount.runDue()
  assert.equal((data(await w.mount.list('role/r/secret-id'))['keys'] as string[]).length, 2)
  assert.ok(await w.login('rid', 'mine'))
  assert.ok(await w.login('rid', long.secret_id))
  w.now += 3600_000
  await w.mount.runDue()
  assert.deepEqual(data(await w.mount.list('role/r/secret-id'))['keys'], [])
})

test('tidy walks over all secret ids in steps, and only one walk at a time', async () => {
  const storage = memoryStorage()
  const w = await mounted(storage)
  await w.mount.write('role/r', { role_id: 'rid' })
  const good = await w.make('r')
  await Promise.all(Array.from({ length: 250 }, () => w.make('r', { ttl: 60 })))
  // As if their due work had been lost.
  await storage.update(async (tx) => {
    for (const name of await tx.scan('due/')) tx.delete(`due/${name}`)
  })
  w.now += 60_000
  assert.equal((await w.mount.write('tidy/secret-id'))?.status, 202)
  const second = await w.mount.write('tidy/secret-id')
  assert.deepEqual([second?.status, second?.warnings], [undefined, ['Tidy operation already in progress.']])
  assert.ok((await w.mount.runDue()) > 1)
  assert.deepEqual(data(await w.mount.list('role/r/secret-id'))['keys'], [good.secret_id_accessor])
  assert.ok(await w.login('rid', good.secret_id))
  assert.equal((await w.mount.write('tidy/secret-id'))?.status, 202)
})

test('the secret ids of a deleted role are refused at once and cleared in steps', async () => {
  const w = await mounted()
  await w.mount.write('role/r', { role_id: 'rid' })
  const made = await Promise.all(Array.from({ length: 250 }, (_, n) => w.make('r', n % 2 ? { ttl: 60 } : {})))
  await w.mount.delete('role/r')
  await w.mount.write('role/r', { role_id: 'rid' })
  for (const { secret_id } of made.slice(0, 5)) assert.equal(await w.refusal('rid', secret_id), stranger)
  assert.ok((await w.mount.runDue()) > 1)
  assert.deepEqual(
    bareKeys(await keysOf(w.storage)).filter((key) => !/\/role(-id)?\//.test(key)),
    [],
  )
})
