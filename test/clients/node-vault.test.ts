// node-vault, as published on npm, against a real server: nothing in it knows of Coffer.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import nodeVault from 'node-vault'
import { type ServerProcess, startDev } from '../process.ts'

let server: ServerProcess
const client = (token?: string) =>
  nodeVault({ apiVersion: 'v1', endpoint: server.url, ...(token === undefined ? {} : { token }) })

before(async () => {
  server = await startDev()
})
after(() => server.remove())

test('status, health and seal status', async () => {
  const vault = client('root')
  assert.equal((await vault.initialized()).initialized, true)
  assert.equal((await vault.status()).sealed, false)
  assert.match((await vault.health()).version, /^\d+\.\d+\.\d+$/)
})

test('KV version 2: versions under a policy, through a userpass login', async () => {
  const root = client('root')
  await root.mount({ mount_point: 'nv', type: 'kv', options: { version: '2' } })
  await root.addPolicy({
    name: 'nv-app',
    rules:
      'path "nv/data/app/*" { capabilities = ["create","read","update"] }\npath "nv/metadata/*" { capabilities = ["list"] }',
  })
  await root.enableAuth({ mount_point: 'nv-users', type: 'userpass' })
  await root.write('auth/nv-users/users/ann', { password: 'pw-ann-1', token_policies: 'nv-app' })
  const ann = client()
  const login = await ann.userpassLogin({ mount_point: 'nv-users', username: 'ann', password: 'pw-ann-1' })
  assert.deepEqual(login.auth.policies, ['default', 'nv-app'])
  await ann.write('nv/data/app/db', { data: { password: 'one' } })
  await ann.write('nv/data/app/db', { data: { password: 'two' }, options: { cas: 1 } })
  assert.equal((await ann.read('nv/data/app/db')).data.data.password, 'two')
  assert.equal((await ann.read('nv/data/app/db?version=1')).data.data.password, 'one')
  assert.deepEqual((await ann.list('nv/metadata/app')).data.keys, ['db'])
  await assert.rejects(
    ann.write('nv/data/app/db', { data: { password: 'three' }, options: { cas: 1 } }),
    /check-and-set parameter did not match/,
  )
  await assert.rejects(ann.read('nv/data/other'), /permission denied/)
})

test('tokens: create, look up, renew, revoke', async () => {
  const root = client('root')
  const made = await root.tokenCreate({ policies: ['default'], ttl: '1h', meta: { team: 'a' } })
  const own = client(made.auth.client_token)
  assert.equal((await own.tokenLookupSelf()).data.meta.team, 'a')
  assert.equal((await own.tokenRenewSelf({ increment: '2h' })).auth.lease_duration, 7200)
  // node-vault has taken over the token it made: from here on another client is root.
  const admin = client('root')
  assert.equal((await admin.tokenLookupAccessor({ accessor: made.auth.accessor })).data.accessor, made.auth.accessor)
  await admin.tokenRevoke({ token: made.auth.client_token })
  await assert.rejects(own.tokenLookupSelf(), /permission denied/)
})

test('a machine logs in by AppRole, with a secret id that came wrapped', async () => {
  const root = client('root')
  await root.enableAuth({ mount_point: 'approle', type: 'approle' })
  await root.addApproleRole({ role_name: 'web', policies: 'default', token_ttl: 600, secret_id_num_uses: 1 })
  assert.deepEqual((await root.approleRoles()).data.keys, ['web'])
  assert.equal((await root.getApproleRole({ role_name: 'web' })).data.token_ttl, 600)
  await root.updateApproleRoleId({ role_name: 'web', role_id: 'web-1' })
  assert.equal((await root.getApproleRoleId({ role_name: 'web' })).data.role_id, 'web-1')
  const wrapped = await root.write('auth/approle/role/web/secret-id', {}, { headers: { 'X-Vault-Wrap-TTL': '60' } })
  const { secret_id } = (await client(wrapped.wrap_info.token).unwrap()).data
  const machine = client()
  const login = await machine.approleLogin({ role_id: 'web-1', secret_id })
  assert.deepEqual([login.auth.metadata, login.auth.lease_duration], [{ role_name: 'web' }, 600])
  assert.equal((await machine.tokenRenewSelf()).auth.lease_duration, 600)
  await assert.rejects(client().approleLogin({ role_id: 'web-1', secret_id }), /invalid role or secret ID/)
  await root.deleteApproleRole({ role_name: 'web' })
  await assert.rejects(machine.tokenRenewSelf(), /role does not exist/)
})

test('wrap and unwrap', async () => {
  const root = client('root')
  const wrapped = await root.write('sys/wrapping/wrap', { a: '1' }, { headers: { 'X-Vault-Wrap-TTL': '60' } })
  const { token } = wrapped.wrap_info
  assert.deepEqual((await client(token).unwrap()).data, { a: '1' })
  await assert.rejects(client(token).unwrap(), /wrapping token is not valid or does not exist/)
})

test('mounts, auth methods, audit devices, policies', async () => {
  const root = client('root')
  assert.ok((await root.mounts()).data['nv/'])
  assert.ok((await root.auths()).data['token/'])
  assert.deepEqual((await root.policies()).data.policies.includes('root'), true)
  await root.removePolicy({ name: 'nv-app' })
  await root.unmount({ mount_point: 'nv' })
  await assert.rejects(root.read('nv/data/app/db'), /no handler for route/)
})
