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
