import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../../lib/json.ts'
import { bareKeys, data, keysOf, mounted, status } from './testing.ts'

const fresh = {
  bind_secret_id: true,
  local_secret_ids: false,
  secret_id_bound_cidrs: null,
  secret_id_num_uses: 0,
  secret_id_ttl: 0,
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

test('a role is made, changed, listed and deleted; upper and lower case are one', async () => {
  const { mount, storage } = await mounted()
  assert.equal(await mount.read('role/web'), undefined)
  assert.equal(await mount.capability('role/web'), 'create')
  await mount.write('role/Web')
  assert.equal(await mount.capability('role/WEB'), 'update')
  assert.deepEqual(data(await mount.read('role/web')), fresh)
  const set = { secret_id_num_uses: 5, secret_id_ttl: '10m', token_ttl: '1m', token_policies: ['b', 'a'] }
  await mount.write('role/web', set)
  await mount.write('role/web', { secret_id_bound_cidrs: '10.0.0.0/8,127.0.0.1' })
  assert.deepEqual(data(await mount.read('role/WEB')), {
    ...fresh,
    ...set,
    secret_id_ttl: 600,
    token_ttl: 60,
    secret_id_bound_cidrs: ['10.0.0.0/8', '127.0.0.1'],
  })
  await mount.write('role/db')
  assert.deepEqual(data(await mount.list('role'))['keys'], ['db', 'web'])
  assert.deepEqual(data(await mount.list('role', { after: 'db', limit: '1' }))['keys'], ['web'])
  for (const name of ['web', 'web', 'DB']) await mount.delete(`role/${name}`)
  await mount.runDue()
  assert.deepEqual(bareKeys(await keysOf(storage)), [])
  for (const bad of ['a b', '.a', 'a-', 'ü', 'a'.repeat(600)])
    await assert.rejects(mount.write(`role/${bad}`), status(404), bad)
})

test('what a role cannot be is refused, and nothing is changed', async () => {
  const { mount } = await mounted()
  await mount.write('role/web', { token_max_ttl: 60 })
  const bad: JsonObject[] = [
    { bind_secret_id: false },
    { secret_id_num_uses: -1 },
    { secret_id_ttl: '-1s' },
    { secret_id_bound_cidrs: ['10.0.0.0/99'] },
    { bound_cidr_list: 'nonsense' },
    { token_ttl: 61 },
    { token_type: 'paper' },
    { token_type: 'batch', token_num_uses: 1 },
    { period: '10000h' },
    { role_id: ' ' },
    { role_id: 'x'.repeat(1025) },
    { local_secret_ids: false },
  ]
  for (const body of bad) await assert.rejects(mount.write('role/web', body), status(400), JSON.stringify(body))
  assert.deepEqual(data(await mount.read('role/web')), { ...fresh, token_max_ttl: 60 })
  await mount.write('role/open', { bind_secret_id: false, token_bound_cidrs: '10.0.0.0/8' })
  await assert.rejects(mount.delete('role/open/token-bound-cidrs'), status(400))
})

test('older and odd names are understood, with a warning where they mean something else', async () => {
  const { mount } = await mounted()
  await mount.write('role/old', {
    policies: 'B,a',
    period: '5m',
    bound_cidr_list: '10.0.0.0/8',
    local_secret_ids: true,
  })
  assert.deepEqual(data(await mount.read('role/old')), {
    ...fresh,
    local_secret_ids: true,
    secret_id_bound_cidrs: ['10.0.0.0/8'],
    period: 300,
    policies: ['a', 'b'],
    token_period: 300,
    token_policies: ['a', 'b'],
  })
  await mount.write('role/b', { token_type: 'default-batch' })
  assert.match(String(mount.warnings), /adjusting to batch/)
  assert.equal(data(await mount.read('role/b'))['token_type'], 'batch')
  await mount.write('role/b', { token_type: 'default-service', token_max_ttl: '10000h' })
  assert.equal(mount.warnings.length, 2)
})

test('each field has a path of its own, with the rules of the role', async () => {
  const { mount } = await mounted()
  await mount.write('role/r', { role_id: 'rid' })
  const parts: [path: string, field: string, set: JsonObject, shown: unknown, reset: unknown][] = [
    ['bind-secret-id', 'bind_secret_id', { bind_secret_id: false }, false, true],
    ['period', 'token_period', { token_period: '5m' }, 300, 0],
    ['policies', 'token_policies', { token_policies: ['b', 'A'] }, ['a', 'b'], []],
    ['secret-id-bound-cidrs', 'secret_id_bound_cidrs', { secret_id_bound_cidrs: '10.0.0.0/8' }, ['10.0.0.0/8'], null],
    ['bound-cidr-list', 'bound_cidr_list', { bound_cidr_list: '10.0.0.0/8' }, ['10.0.0.0/8'], null],
    ['secret-id-num-uses', 'secret_id_num_uses', { secret_id_num_uses: 5 }, 5, 0],
    ['secret-id-ttl', 'secret_id_ttl', { secret_id_ttl: '15m' }, 900, 0],
    ['token-bound-cidrs', 'token_bound_cidrs', { token_bound_cidrs: ['10.0.0.1/32'] }, ['10.0.0.1'], null],
    ['token-max-ttl', 'token_max_ttl', { token_max_ttl: '50m' }, 3000, 0],
    ['token-num-uses', 'token_num_uses', { token_num_uses: 3 }, 3, 0],
    ['token-ttl', 'token_ttl', { token_ttl: '10m' }, 600, 0],
  ]
  for (const [part, field, set, shown, reset] of parts) {
    const at = `role/r/${part}`
    assert.deepEqual(data(await mount.read(at)), { [field]: reset }, part)
    if (part === 'bind-secret-id') await assert.rejects(mount.write(at, set), status(400))
    await mount.write('role/r', { token_bound_cidrs: part === 'bind-secret-id' ? '10.0.0.0/8' : '' })
    await mount.write(at, set)
    assert.deepEqual(data(await mount.read(at)), { [field]: shown }, part)
    await mount.delete(at)
    assert.deepEqual(data(await mount.read(at)), { [field]: reset }, part)
    await assert.rejects(mount.write(at), status(400), part)
    await assert.rejects(mount.write(`role/none/${part}`, set), status(404), part)
    assert.equal(await mount.read(`role/none/${part}`), undefined)
    await mount.delete(`role/none/${part}`)
  }
  assert.deepEqual(data(await mount.read('role/r/local-secret-ids')), { local_secret_ids: false })
  await assert.rejects(mount.write('role/r/secret-id-bound-cidrs', { secret_id_bound_cidrs: [] }), status(400))
  await assert.rejects(mount.write('role/r/period', { token_period: '10000h' }), status(400))
  await mount.write('role/r/policies', { policies: 'Z' })
  assert.deepEqual(data(await mount.read('role/r/policies')), { token_policies: ['z'], policies: ['z'] })
})

test('a role id is one role in the mount; it can be chosen and changed', async () => {
  const { mount, make, login, refusal } = await mounted()
  await mount.write('role/web', { role_id: 'id-1' })
  await mount.write('role/other')
  const drawn = String(data(await mount.read('role/other/role-id'))['role_id'])
  assert.match(drawn, /^[0-9a-f-]{36}$/)
  for (const at of ['role/other', 'role/third', 'role/other/role-id'])
    await assert.rejects(mount.write(at, { role_id: 'id-1' }), status(400), at)
  assert.equal(await mount.read('role/third'), undefined)
  const { secret_id } = await make('web')
  await mount.write('role/web/role-id', { role_id: 'id-2' })
  assert.equal((await login('id-2', secret_id)).alias?.name, 'id-2')
  assert.equal(await refusal('id-1', secret_id), '400 invalid role or secret ID')
  await mount.write('role/other/role-id', { role_id: 'id-1' })
  assert.equal(await refusal('id-1', secret_id), '400 invalid role or secret ID')
  await assert.rejects(mount.write('role/web/role-id'), status(400))
  await assert.rejects(mount.write('role/none/role-id', { role_id: 'x' }), status(404))
  assert.equal(await mount.read('role/none/role-id'), undefined)
})
