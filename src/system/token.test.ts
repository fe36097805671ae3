import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identityStore } from '../core/identity/store.ts'
import { jobRunner } from '../core/jobs.ts'
import { mountDue } from '../core/mount-due.ts'
import { rootTokenSpec } from '../core/tokens/create.ts'
import { tokenStore } from '../core/tokens/store.ts'
import { loginMethod, type MountWanted, systemTtlSeconds, testTopology } from '../core/tokens/testing.ts'
import { spendUse } from '../core/tokens/use.ts'
import type { JsonObject } from '../lib/json.ts'
import type { Caller, WriteContext } from '../sdk/context.ts'
import { findOperation, inputSource } from '../sdk/dispatch.ts'
import { ApiError } from '../sdk/errors.ts'
import type { Answer, AuthBlock, Reply, TokenParams } from '../sdk/index.ts'
import type { OperationVerb } from '../sdk/operation.ts'
import { memoryStorage } from '../storage/memory.ts'
import { tokenEngine } from './token.ts'

const loginParams: TokenParams = {
  ttlSeconds: 0,
  maxTtlSeconds: 0,
  explicitMaxTtlSeconds: 0,
  periodSeconds: 0,
  numUses: 0,
  boundCidrs: [],
  strictlyBindIp: false,
  noDefaultPolicy: false,
  type: 'default',
  policies: [],
}

interface Answered {
  readonly status: number
  readonly auth: AuthBlock
  readonly data: Record<string, unknown>
  readonly warnings: readonly string[]
  readonly error: string
}

/** The engine with what the pipeline does around it: session, uses, permission by a list of policies, one transaction per request. */
async function world(options: { login?: Partial<MountWanted>; renew?: () => TokenParams } = {}) {
  const storage = memoryStorage()
  let now = 1_700_000_000_000
  const identity = identityStore()
  const store = tokenStore({ now: () => now })
  const policies = new Set(['default', 'a', 'b', 'c'])
  /** Policies that give sudo on all paths. */
  const sudoers = new Set(['root', 'sudo'])
  const jobs = jobRunner({ handlers: store.handlers, now: () => now, log: () => {} })
  const engine = tokenEngine({
    store,
    identity,
    topology: async () => topology,
    policyExists: async (_tx, _namespace, name) => policies.has(name),
  })
  const build = (login: Partial<MountWanted>) =>
    testTopology([
      { uuid: 'token', path: 'auth/token/', engine },
      { uuid: 'token-team', path: 'auth/token/', engine, namespace: 'team/' },
      { uuid: 'up', path: 'auth/up/', engine: loginMethod(options.renew), ...login },
    ])
  let topology = build(options.login ?? {})
  const root = await storage.update((tx) => store.create(tx, rootTokenSpec(topology.root.facts, now)))

  const call = async (
    token: string,
    verb: OperationVerb,
    path: string,
    body: JsonObject = {},
    namespace = '',
  ): Promise<Answered> => {
    const mount = topology.namespaces.get(namespace)?.mounts.get('auth/token/')
    assert.ok(mount)
    return await storage.update(async (tx): Promise<Answered> => {
      const warnings: string[] = []
      let mark = 0
      let reply: Answer
      let error: ApiError | undefined
      let end = async (): Promise<void> => {}
      try {
        const found = await store.find(tx, token, topology, now)
        if (!found) throw new ApiError(403, 'permission denied')
        const spent = spendUse(tx, found)
        if (spent.last) end = () => store.endUse(tx, spent.found, now)
        mark = tx.mark()
        const { record } = found
        const caller: Caller = {
          token,
          tokenKey: record.key,
          accessor: record.accessor,
          displayName: record.displayName,
          entityId: record.entityId,
          policies: record.policies,
          metadata: record.meta ?? {},
          tokenType: record.type,
          namespace: topology.namespacesByUuid.get(record.namespaceUuid)?.facts ?? topology.root.facts,
          isRoot: record.policies.includes('root'),
          sudo: record.policies.some((name) => sudoers.has(name)),
        }
        const { operation, params } = findOperation(engine.variant({}), verb, path)
        if (operation.sudo && !caller.sudo) throw new ApiError(403, 'permission denied')
        const context: WriteContext = {
          storageFormat: 2,
          now,
          tx,
          due: mountDue(tx, mount.facts),
          caller,
          mount: mount.facts,
          warn: (message) => void warnings.push(message),
          request: {
            id: 'id',
            operation: verb,
            path,
            fullPath: `auth/token/${path}`,
            body,
            rawBody: undefined,
            query: {},
            remoteAddress: '127.0.0.1',
            wrapTtlSeconds: 0,
            headers: {},
            peerChain: [],
            listener: { disableUnauthedRekey: false, disableUnauthedGenerateRoot: false },
          },
        }
        const input = operation.decode(params, inputSource(verb, {}, body))
        reply = await operation.run?.(input, context)
      } catch (thrown) {
        if (!(thrown instanceof ApiError)) throw thrown
        tx.rollback(mark)
        error = thrown
      }
      await end()
      const { auth, data } = (reply ?? {}) as Reply
      return {
        status: error?.status ?? (reply as Reply | undefined)?.status ?? (reply || warnings.length > 0 ? 200 : 204),
        auth: auth as AuthBlock,
        data: (data ?? {}) as Record<string, unknown>,
        warnings,
        error: error?.message ?? '',
      }
    })
  }

  return {
    storage,
    store,
    identity,
    root: root.token,
    rootRecord: root.record,
    sudoers,
    get topology() {
      return topology
    },
    tune: (login: Partial<MountWanted>) => {
      topology = build(login)
    },
    later: (seconds: number) => {
      now += seconds * 1000
    },
    call,
    post: (path: string, body: JsonObject = {}, token = root.token, namespace = '') =>
      call(token, 'write', path, body, namespace),
    async make(body: JsonObject, token = root.token, path = 'create', namespace = '') {
      const answer = await call(token, 'write', path, body, namespace)
      assert.equal(answer.status, 200, answer.error)
      return answer.auth
    },
    look: (token: string) => call(token, 'read', 'lookup-self'),
    alive: async (token: string) => (await storage.view((tx) => store.find(tx, token, topology, now))) !== undefined,
    login: (params: Partial<TokenParams>, name = 'ann') =>
      storage.update(async (tx) => {
        const mount = topology.mountsByUuid.get('up')
        assert.ok(mount)
        const entity = await identity.entityForLogin(tx, mount.namespace, mount, { name }, now)
        return await store.createFromGrant(tx, {
          grant: {
            displayName: name,
            alias: { name },
            metadata: { username: name },
            params: { ...loginParams, ...params },
            internal: { name },
          },
          mount: mount.facts,
          mountTokenType: mount.record.config.token_type ?? 'default-service',
          path: `auth/up/login/${name}`,
          entity,
          remoteAddress: '::ffff:10.1.2.3',
          now,
        })
      }),
    async work() {
      jobs.start(storage)
      while ((await jobs.runDue()) > 0);
      await jobs.stop()
    },
  }
}

const refused = (answer: Answered, status: number): void => {
  assert.equal(answer.status, status, answer.error || 'was answered')
  assert.notEqual(answer.error, '')
}

test('a token and what is told of it', async () => {
  const w = await world()
  const made = await w.make({
    policies: ['b', 'A'],
    ttl: '1h',
    display_name: 'ci runner',
    meta: { team: 'build' },
  })
  assert.deepEqual(
    { ...made, client_token: '', accessor: '', metadata: { ...made.metadata } },
    {
      client_token: '',
      accessor: '',
      policies: ['a', 'b', 'default'],
      token_policies: ['a', 'b', 'default'],
      metadata: { team: 'build' },
      lease_duration: 3600,
      renewable: true,
      entity_id: '',
      token_type: 'service',
      orphan: false,
      num_uses: 0,
    },
  )
  w.later(10)
  const self = await w.look(made.client_token)
  assert.deepEqual(
    { ...self.data, issue_time: '', expire_time: '', creation_time: 0 },
    {
      accessor: made.accessor,
      creation_time: 0,
      creation_ttl: 3600,
      display_name: 'token-ci-runner',
      entity_id: '',
      expire_time: '',
      explicit_max_ttl: 0,
      id: made.client_token,
      issue_time: '',
      meta: { team: 'build' },
      num_uses: 0,
      orphan: false,
      path: 'auth/token/create',
      policies: ['a', 'b', 'default'],
      renewable: true,
      ttl: 3590,
      type: 'service',
    },
  )
  assert.deepEqual((await w.post('lookup', { token: made.client_token })).data, self.data)
  assert.deepEqual((await w.post('lookup', {}, made.client_token)).data, self.data)
  assert.deepEqual((await w.post('lookup-accessor', { accessor: made.accessor })).data, { ...self.data, id: '' })
  refused(await w.post('lookup', { token: 's.bogus' }), 403)
  refused(await w.post('lookup-accessor', { accessor: 'bogus' }), 400)
  refused(await w.post('lookup-accessor', {}), 400)
})

test('the root token lives for ever and cannot be renewed', async () => {
  const w = await world()
  const { data } = await w.look(w.root)
  assert.deepEqual(
    [data['policies'], data['ttl'], data['expire_time'], data['path'], data['display_name'], data['orphan']],
    [['root'], 0, null, 'auth/token/root', 'root', true],
  )
  refused(await w.post('renew-self'), 400)
  const other = await w.make({ policies: ['root'] })
  assert.deepEqual([other.lease_duration, other.renewable, other.policies], [0, false, ['root']])
})

test('what a token without sudo may hand on', async () => {
  const w = await world()
  const p = (await w.make({ policies: ['a', 'b'] })).client_token
  assert.deepEqual((await w.make({ ttl: '10m' }, p)).policies, ['a', 'b', 'default'])
  assert.deepEqual((await w.make({ policies: ['b'] }, p)).policies, ['b', 'default'])
  assert.deepEqual((await w.make({ policies: ['b'], no_default_policy: true }, p)).policies, ['b'])
  const bare = (await w.make({ policies: ['a'], no_default_policy: true })).client_token
  assert.deepEqual((await w.make({ policies: ['a'] }, bare)).policies, ['a'], 'default only if the parent has it')
  for (const body of [
    { policies: ['b', 'c'] },
    { policies: ['root'] },
    { no_parent: true },
    { period: '1h' },
    { id: 'my-own' },
    { policies: ['response-wrapping'] },
  ])
    refused(await w.post('create', body, p), 400)
  refused(await w.call(p, 'list', 'accessors'), 403)
  refused(await w.post('revoke-orphan', { token: p }, p), 400)
})

test('with sudo: any policies but root, orphans, periods, chosen ids', async () => {
  const w = await world()
  const q = (await w.make({ policies: ['sudo'] })).client_token
  assert.equal((await w.make({ policies: ['c'], no_parent: true }, q)).orphan, true)
  assert.equal((await w.make({ policies: ['c'] }, q, 'create-orphan')).orphan, true)
  const periodic = await w.make({ policies: ['c'], period: '1h' }, q)
  assert.equal(periodic.lease_duration, 3600)
  assert.equal((await w.look(periodic.client_token)).data['period'], 3600)
  assert.equal((await w.make({ policies: ['c'], id: 'chosen' }, q)).client_token, 'chosen')
  assert.equal((await w.look('chosen')).status, 200)
  refused(await w.post('create', { policies: ['c'], id: 'chosen' }, q), 400)
  refused(await w.post('create', { policies: ['root'] }, q), 400)
})

test('policies that do not exist are given with a warning; empty texts mean unset', async () => {
  const w = await world()
  const answer = await w.post('create', { policies: ['nosuch'], type: '', ttl: '', period: '', id: '' })
  assert.deepEqual(answer.warnings, ['Policy "nosuch" does not exist'])
  assert.equal(answer.auth.lease_duration, systemTtlSeconds)
})

test('bad wishes are refused', async () => {
  const w = await world()
  for (const body of [
    { type: 'weird' },
    { ttl: 'soon' },
    { ttl: '-1h' },
    { num_uses: -1 },
    { type: 'batch', period: '5m' },
    { type: 'batch', explicit_max_ttl: '5m' },
    { type: 'batch', num_uses: 2 },
    { type: 'batch', policies: ['root'] },
    { entity_alias: 'x' },
    { id: 'hvs.x' },
  ])
    refused(await w.post('create', { policies: ['a'], ...body }), 400)
})

test('limits cap a lifetime and say so', async () => {
  const w = await world()
  const long = await w.post('create', { policies: ['a'], ttl: '2000h' })
  assert.equal(long.auth.lease_duration, systemTtlSeconds)
  assert.match(long.warnings.join(), /TTL of "2000h0m0s" exceeded the effective max_ttl of "768h0m0s"/)
  const capped = await w.post('create', { policies: ['a'], ttl: '1h', explicit_max_ttl: '10m' })
  assert.equal(capped.auth.lease_duration, 600)
  assert.equal(capped.warnings.length, 1)
  const root = await w.post('create', { policies: ['root'], explicit_max_ttl: '1h' })
  assert.equal(root.auth.lease_duration, 3600)
  refused(await w.post('create', { policies: ['root'] }, root.auth.client_token), 400)
})

test('batch tokens: no accessor, cannot be renewed, revoked, or make tokens', async () => {
  const w = await world()
  const { client_token: batch, ...rest } = await w.make({ policies: ['a'], type: 'batch', ttl: '10m' })
  assert.deepEqual([rest.accessor, rest.renewable, rest.token_type, rest.orphan], ['', false, 'batch', false])
  const { data } = await w.look(batch)
  assert.deepEqual([data['type'], data['ttl'], data['renewable'], data['accessor']], ['batch', 600, false, ''])
  refused(await w.post('renew-self', {}, batch), 400)
  refused(await w.post('revoke', { token: batch }), 400)
  refused(await w.post('revoke-self', {}, batch), 400)
  refused(await w.post('create', {}, batch), 400)
})

test('renewal: by itself, by name, by accessor; without an increment what was granted last', async () => {
  const w = await world()
  const { client_token: t, accessor } = await w.make({ policies: ['a'], ttl: '30m', meta: { k: 'v' } })
  const renew = async (path: string, body: JsonObject) => (await w.post(path, body, t)).auth.lease_duration
  assert.equal(await renew('renew-self', {}), 1800)
  assert.equal(await renew('renew-self', { increment: '45m' }), 2700)
  assert.equal(await renew('renew', { token: t, increment: 3600 }), 3600)
  const by = (await w.post('renew-accessor', { accessor, increment: '20m' })).auth
  assert.deepEqual([by.client_token, by.lease_duration, by.metadata], ['', 1200, { k: 'v' }])
  const { data } = await w.look(t)
  assert.deepEqual([data['ttl'], data['creation_ttl']], [1200, 1800])
  assert.equal(typeof data['last_renewal_time'], 'number')
  refused(await w.post('renew', { token: 's.bogus' }), 400)
  refused(await w.post('renew', {}), 400)
  refused(await w.post('renew-accessor', { accessor: 'bogus' }), 400)
  refused(await w.post('renew', { token: t, increment: 'abc' }), 400)
  const fixed = await w.make({ policies: ['a'], renewable: false })
  refused(await w.post('renew-self', {}, fixed.client_token), 400)
  const cap = (await w.make({ policies: ['a'], ttl: '5m', explicit_max_ttl: '10m' })).client_token
  const most = await w.post('renew-self', { increment: '1h' }, cap)
  assert.deepEqual([most.auth.lease_duration, most.warnings.length], [600, 1])
  const per = (await w.make({ policies: ['a'], period: '15m' })).client_token
  assert.equal((await w.post('renew-self', { increment: '5h' }, per)).auth.lease_duration, 900)
  w.later(900)
  refused(await w.post('renew', { token: per }), 400)
})

test('revocation takes the children, but not orphans; by accessor a second time is only a warning', async () => {
  const w = await world()
  const p = await w.make({ policies: ['a'] })
  const c = await w.make({}, p.client_token)
  const g = await w.make({}, c.client_token)
  assert.equal((await w.post('revoke', { token: p.client_token })).status, 204)
  for (const { client_token } of [p, c, g]) assert.equal(await w.alive(client_token), false)
  refused(await w.post('lookup-accessor', { accessor: c.accessor }), 400)
  const q = await w.make({ policies: ['a'] })
  const q1 = await w.make({}, q.client_token)
  assert.equal((await w.post('revoke-orphan', { token: q.client_token })).status, 204)
  assert.equal(await w.alive(q.client_token), false)
  assert.equal((await w.look(q1.client_token)).data['orphan'], true)
  const s = await w.make({ policies: ['a'] })
  assert.equal((await w.post('revoke-accessor', { accessor: s.accessor })).status, 204)
  const twice = await w.post('revoke-accessor', { accessor: s.accessor })
  assert.deepEqual([twice.status, twice.warnings], [200, ['No token found with this accessor']])
  refused(await w.post('revoke', {}), 400)
  refused(await w.post('revoke-orphan', { token: 's.bogus' }), 400)
  assert.equal((await w.post('revoke', { token: 's.bogus' })).status, 204)
  const self = await w.make({ policies: ['a'] })
  assert.equal((await w.post('revoke-self', {}, self.client_token)).status, 204)
  assert.equal(await w.alive(self.client_token), false)
})

test('uses count down, lookups by others cost nothing, the last one says -1 and ends the token', async () => {
  const w = await world()
  const { client_token: t, accessor } = await w.make({ policies: ['a'], num_uses: 3 })
  const left = async () => (await w.post('lookup-accessor', { accessor })).data['num_uses']
  assert.equal(await left(), 3)
  refused(await w.post('create', {}, t), 400)
  assert.equal(await left(), 2, 'a refused request costs a use')
  await w.look(t)
  assert.equal((await w.look(t)).data['num_uses'], -1)
  refused(await w.look(t), 403)
  refused(await w.post('lookup', { token: t }), 403)
  refused(await w.post('lookup-accessor', { accessor }), 400)
})

test('the last use may renew or revoke the token itself: it ends all the same', async () => {
  for (const path of ['renew-self', 'revoke-self']) {
    const w = await world()
    const { client_token: t } = await w.make({ policies: ['a'], num_uses: 1 })
    assert.ok((await w.post(path, {}, t)).status < 300)
    assert.equal(await w.alive(t), false)
    assert.equal((await w.storage.view((tx) => tx.scan('due/'))).length, 0)
  }
})

test('a role allows, forces and shows', async () => {
  const w = await world()
  const role = {
    allowed_policies: 'a,b',
    disallowed_policies: ['c'],
    orphan: true,
    renewable: false,
    token_explicit_max_ttl: '2h',
    path_suffix: 'release-1',
  }
  assert.equal((await w.post('roles/r1', role)).status, 204)
  assert.deepEqual((await w.call(w.root, 'read', 'roles/r1')).data, {
    allowed_entity_aliases: null,
    allowed_policies: ['a', 'b'],
    allowed_policies_glob: [],
    disallowed_policies: ['c'],
    disallowed_policies_glob: [],
    explicit_max_ttl: 0,
    name: 'r1',
    orphan: true,
    path_suffix: 'release-1',
    period: 0,
    renewable: false,
    token_explicit_max_ttl: 7200,
    token_no_default_policy: false,
    token_period: 0,
    token_type: 'default-service',
  })
  const t = await w.make({ policies: ['a'], ttl: '1h' }, w.root, 'create/r1')
  assert.deepEqual([t.policies, t.orphan, t.renewable], [['a', 'default'], true, false])
  const { data } = await w.look(t.client_token)
  assert.deepEqual([data['path'], data['role']], ['auth/token/create/r1/release-1', 'r1'])
  assert.deepEqual((await w.make({}, w.root, 'create/r1')).policies, ['a', 'b', 'default'])
  refused(await w.post('create/r1', { policies: ['x'] }), 400)
  refused(await w.post('create/r1', { policies: ['c'] }), 400)
  refused(await w.post('create/nosuch', {}), 400)
  await w.post('roles/r1', { allowed_policies: 'c' })
  const { data: kept } = await w.call(w.root, 'read', 'roles/r1')
  assert.deepEqual([kept['allowed_policies'], kept['orphan'], kept['path_suffix']], [['c'], true, 'release-1'])
  assert.deepEqual((await w.call(w.root, 'list', 'roles')).data, { keys: ['r1'] })
  assert.equal((await w.call(w.root, 'delete', 'roles/r1')).status, 204)
  assert.equal((await w.call(w.root, 'read', 'roles/r1')).status, 204)
})

test('a role counts uses, leaves default out, fits patterns, and forces batch', async () => {
  const w = await world()
  await w.post('roles/r2', {
    allowed_policies: ['a'],
    token_period: '90s',
    token_no_default_policy: true,
    token_num_uses: 5,
  })
  const t = await w.make({}, w.root, 'create/r2')
  assert.deepEqual([t.policies, t.lease_duration, t.num_uses], [['a'], 90, 5])
  assert.equal((await w.make({ num_uses: 9 }, w.root, 'create/r2')).num_uses, 5)
  await w.post('roles/r3', { allowed_policies_glob: ['dev-*'], disallowed_policies_glob: ['dev-secret*'] })
  assert.deepEqual((await w.make({ policies: ['dev-1'] }, w.root, 'create/r3')).policies, ['default', 'dev-1'])
  refused(await w.post('create/r3', { policies: ['prod-1'] }), 400)
  refused(await w.post('create/r3', { policies: ['dev-secret-1'] }), 400)
  refused(await w.post('roles/r4', { token_type: 'batch', orphan: true }), 400)
  await w.post('roles/r4', { token_type: 'batch', orphan: true, renewable: false })
  assert.equal((await w.make({ policies: ['a'], ttl: '5m' }, w.root, 'create/r4')).token_type, 'batch')
  for (const body of [
    { path_suffix: 'a/../b' },
    { path_suffix: '!' },
    { token_type: 'weird' },
    { token_num_uses: -1 },
    { token_bound_cidrs: 'nowhere' },
    { token_period: '-1s' },
  ])
    refused(await w.post('roles/bad', body), 400)
  refused(await w.post('roles/-bad-', {}), 400)
})

test('older names of role fields are taken and read back; addresses bind the tokens', async () => {
  const w = await world()
  await w.post('roles/old', { period: '1h', explicit_max_ttl: '2h', bound_cidrs: '10.0.0.0/8,127.0.0.1/32' })
  const { data } = await w.call(w.root, 'read', 'roles/old')
  assert.deepEqual(
    [data['period'], data['token_period'], data['explicit_max_ttl'], data['bound_cidrs'], data['token_bound_cidrs']],
    [3600, 3600, 7200, ['10.0.0.0/8', '127.0.0.1'], ['10.0.0.0/8', '127.0.0.1']],
  )
  const both = await w.post('roles/old', { period: '3h', token_period: '30m' })
  assert.equal(both.warnings.length, 1)
  const after = (await w.call(w.root, 'read', 'roles/old')).data
  assert.deepEqual([after['period'], after['token_period']], [0, 1800])
  const t = await w.make({ policies: ['a'] }, w.root, 'create/old')
  assert.deepEqual((await w.look(t.client_token)).data['bound_cidrs'], ['10.0.0.0/8', '127.0.0.1'])
  const child = await w.make({}, t.client_token)
  assert.deepEqual((await w.look(child.client_token)).data['bound_cidrs'], ['10.0.0.0/8', '127.0.0.1'])
})

test('renewal under a role uses its terms of now, and fails once it is gone', async () => {
  const w = await world()
  await w.post('roles/r', { token_period: '10m' })
  const t = (await w.make({ policies: ['a'] }, w.root, 'create/r')).client_token
  await w.post('roles/r', { token_period: '20m' })
  assert.equal((await w.post('renew-self', {}, t)).auth.lease_duration, 1200)
  await w.call(w.root, 'delete', 'roles/r')
  refused(await w.post('renew-self', {}, t), 400)
  assert.equal((await w.look(t)).status, 200)
})

test('an entity alias must be allowed by the role, and makes the entity', async () => {
  const w = await world()
  await w.post('roles/r', { allowed_entity_aliases: ['web-*', 'Batch'] })
  const t = await w.make({ entity_alias: 'web-1', policies: ['a'] }, w.root, 'create/r')
  assert.notEqual(t.entity_id, '')
  assert.equal((await w.make({ entity_alias: 'web-1' }, w.root, 'create/r')).entity_id, t.entity_id)
  refused(await w.post('create/r', { entity_alias: 'db-1' }), 400)
  const entity = await w.storage.view((tx) => w.identity.get(tx, 'root', t.entity_id))
  assert.ok(entity)
  await w.storage.update(async (tx) => w.identity.put(tx, entity, { ...entity, policies: ['c'], disabled: true }))
  refused(await w.post('create/r', { entity_alias: 'web-1' }), 403)
  assert.deepEqual((await w.post('lookup', { token: t.client_token })).data['identity_policies'], ['c'])
})

test('a child takes over the entity of its parent, an orphan does not', async () => {
  const w = await world()
  const { token, auth } = await w.login({ policies: ['a', 'sudo'] })
  assert.notEqual(auth.entity_id, '')
  assert.equal((await w.make({ policies: ['a'] }, token)).entity_id, auth.entity_id)
  assert.equal((await w.make({ policies: ['a'], no_parent: true }, token)).entity_id, '')
})

test('tokens of a child namespace: made from above with sudo, renewed and found there only', async () => {
  const w = await world()
  const t = await w.make({ policies: ['a'], ttl: '1h' }, w.root, 'create', 'team/')
  assert.match(t.client_token, /\.team01$/)
  assert.deepEqual([t.policies, t.orphan], [['a', 'default'], false])
  assert.equal((await w.look(t.client_token)).data['namespace_path'], 'team/')
  refused(await w.post('renew-self', {}, t.client_token), 400)
  assert.equal((await w.post('renew-self', {}, t.client_token, 'team/')).status, 200)
  refused(await w.post('create', { policies: ['root'] }, w.root, 'team/'), 400)
  const p = (await w.make({ policies: ['a'] })).client_token
  refused(await w.post('create', { policies: ['a'] }, p, 'team/'), 400)
  refused(await w.post('lookup-accessor', { accessor: t.accessor }), 400)
  assert.deepEqual((await w.call(w.root, 'list', 'accessors', {}, 'team/')).data, { keys: [t.accessor] })
})

test('the token of a login: lifetime, kind and name by role and mount', async () => {
  const w = await world({ login: { defaultTtl: 1800, maxTtl: 7200 } })
  const { auth, record, warnings } = await w.login({ policies: ['b', 'A'], numUses: 7, explicitMaxTtlSeconds: 3600 })
  assert.deepEqual(
    [auth.policies, auth.lease_duration, auth.num_uses, auth.orphan],
    [['a', 'b', 'default'], 1800, 7, true],
  )
  assert.deepEqual([record.displayName, record.path, record.meta], ['up-ann', 'auth/up/login/ann', { username: 'ann' }])
  assert.deepEqual(warnings, [])
  const capped = await w.login({ maxTtlSeconds: 600 })
  assert.deepEqual([capped.auth.lease_duration, capped.warnings.length], [600, 1])
  const period = await w.login({ periodSeconds: 240, ttlSeconds: 60, maxTtlSeconds: 180 })
  assert.deepEqual([period.auth.lease_duration, period.record.periodSeconds, period.warnings.length], [180, 240, 1])
  assert.deepEqual((await w.login({ strictlyBindIp: true })).record.boundCidrs, ['10.1.2.3'])
  await assert.rejects(w.login({ policies: ['root'] }), ApiError)
  await assert.rejects(w.login({ policies: ['response-wrapping'] }), ApiError)
  const kinds: [string, TokenParams['type'], string][] = [
    ['default-batch', 'default', 'batch'],
    ['default-batch', 'service', 'service'],
    ['batch', 'service', 'batch'],
    ['service', 'batch', 'service'],
    ['default-service', 'batch', 'batch'],
    ['default-service', 'default', 'service'],
  ]
  for (const [tokenType, type, kind] of kinds) {
    w.tune({ tokenType })
    assert.equal((await w.login({ type })).auth.token_type, kind, `${tokenType} and ${type}`)
  }
})

test('renewal of a login asks its method, and the mount as it is now', async () => {
  let params: TokenParams = { ...loginParams, ttlSeconds: 300, maxTtlSeconds: 600 }
  const w = await world({ login: { defaultTtl: 1800, maxTtl: 7200 }, renew: () => params })
  const { token } = await w.login({ ttlSeconds: 300, maxTtlSeconds: 600, explicitMaxTtlSeconds: 0 })
  const renew = (increment: string) => w.post('renew-self', increment === '' ? {} : { increment }, token)
  assert.equal((await renew('8m')).auth.lease_duration, 480)
  assert.deepEqual([(await renew('1h')).auth.lease_duration, (await renew('1h')).warnings.length], [600, 1])
  assert.equal((await renew('')).auth.lease_duration, 300)
  params = { ...loginParams, periodSeconds: 900 }
  assert.equal((await renew('1s')).auth.lease_duration, 900)
  params = loginParams
  w.tune({ defaultTtl: 60, maxTtl: 120 })
  assert.equal((await renew('1h')).auth.lease_duration, 120)
})

test('identity policies show beside those of the token', async () => {
  const w = await world()
  const { record } = await w.login({ policies: ['a'] })
  const before = await w.storage.view((tx) => w.identity.get(tx, 'root', record.entityId))
  assert.ok(before)
  await w.storage.update(async (tx) => w.identity.put(tx, before, { ...before, policies: ['ep'] }))
  const { auth, token } = await w.login({ policies: ['a'] })
  assert.deepEqual(
    [auth.policies, auth.token_policies, auth.identity_policies],
    [['a', 'default', 'ep'], ['a', 'default'], ['ep']],
  )
  const { data } = await w.look(token)
  assert.deepEqual(
    [data['policies'], data['identity_policies'], data['external_namespace_policies']],
    [['a', 'default'], ['ep'], {}],
  )
})

test('tidy is asked for once and answers 202 with what happens', async () => {
  const w = await world()
  const first = await w.post('tidy')
  assert.deepEqual([first.status, first.warnings.length], [202, 1])
  assert.match((await w.post('tidy')).warnings[0] ?? '', /already in progress/)
  await w.work()
  assert.match((await w.post('tidy')).warnings[0] ?? '', /successfully started/)
})
