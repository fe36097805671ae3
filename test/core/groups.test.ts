// Groups at work in a whole core: what they give counts from the next request on, for every kind of token, and for nobody else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { engine, list, loginStages, path, str } from '../../src/sdk/index.ts'
import { memoryStorage } from '../../src/storage/memory.ts'
import { startInside } from '../inside.ts'

const params = {
  ttlSeconds: 0,
  maxTtlSeconds: 0,
  explicitMaxTtlSeconds: 0,
  periodSeconds: 0,
  numUses: 0,
  boundCidrs: [],
  strictlyBindIp: false,
  noDefaultPolicy: false,
  policies: [],
}

/** A login method that believes everybody, also about groups; a renewal finds those in `renewedGroups`. */
let renewedGroups: readonly string[] | undefined
const believer = engine({
  type: 'believer',
  kind: 'auth',
  summary: 'For tests.',
  renew: () => ({ ...params, type: 'service', ...(renewedGroups ? { groupAliases: renewedGroups } : {}) }),
  operations: [
    path('login', {}, 'Log in.').login({
      summary: 'Log in.',
      input: {
        name: str('Who.').required(),
        groups: list('In which groups.').default([]),
        type: str('Kind of token.').default('service'),
      },
      stages: loginStages({
        prepare: (input: { name: string; groups: string[]; type: string }) => input,
        act: (input) => input,
        commit: async ({ name, groups, type }) => ({
          displayName: name,
          alias: { name },
          groupAliases: groups,
          metadata: {},
          params: { ...params, type: type === 'batch' ? 'batch' : 'service' },
        }),
      }),
    }),
  ],
})

async function world() {
  const core = await startInside(memoryStorage(), { engines: [believer] })
  const root = async (verb: 'read' | 'write' | 'delete' | 'list', at: string, body?: unknown, namespace = '') => {
    const answer = await core.call(verb, at, body, { namespace })
    assert.ok(answer.status < 300, `${verb} ${at}: ${answer.status} ${answer.raw}`)
    return answer.body['data']
  }
  await root('write', 'sys/auth/corp', { type: 'believer' })
  await root('write', 'sys/mounts/kv', { type: 'kv' })
  for (const name of ['a', 'b', 'team-red']) await root('write', `kv/${name}`, { v: name })
  for (const name of ['a', 'b'])
    await root('write', `sys/policies/acl/${name}`, { policy: `path "kv/${name}" { capabilities = ["read"] }` })
  const accessor = (await root('read', 'sys/auth/corp')).accessor as string
  const login = async (body: { name: string; groups?: string[]; type?: string }) => {
    const answer = await core.call('write', 'auth/corp/login', body, { token: '' })
    assert.equal(answer.status, 200, answer.raw)
    const { client_token: token, entity_id: entity, policies } = answer.body['auth']
    return { token, entity, policies } as { token: string; entity: string; policies: string[] }
  }
  const reads = async (token: string, at: string) => (await core.call('read', at, undefined, { token })).status
  return { core, root, login, reads, accessor }
}

test('internal groups give and take policies from the next request on, service and batch tokens alike', async () => {
  const { root, login, reads } = await world()
  const service = await login({ name: 'ann' })
  const batch = await login({ name: 'ann', type: 'batch' })
  const both = async (status: number, at = 'kv/a') => {
    assert.equal(await reads(service.token, at), status)
    assert.equal(await reads(batch.token, at), status)
  }
  await both(403)
  const group = await root('write', 'identity/group', { name: 'g', member_entity_ids: [service.entity] })
  await both(403)
  await root('write', `identity/group/id/${group.id}`, { policies: ['a'] })
  await both(200)
  const top = await root('write', 'identity/group', { name: 'top', policies: ['b'], member_group_ids: [group.id] })
  await both(200, 'kv/b')
  await root('write', `identity/group/id/${top.id}`, { member_group_ids: [] })
  await both(403, 'kv/b')
  await root('write', 'identity/group/name/g', { member_entity_ids: [] })
  await both(403)
  await root('write', 'identity/group/name/g', { member_entity_ids: [service.entity] })
  await both(200)
  await root('delete', 'identity/group/name/g')
  await both(403)
})

test('external groups follow the last login of the entity, for older tokens too', async () => {
  const { core, root, login, reads, accessor } = await world()
  const group = await root('write', 'identity/group', { name: 'ext', type: 'external', policies: ['a'] })
  await root('write', 'identity/group-alias', { name: 'Admins', mount_accessor: accessor, canonical_id: group.id })
  const first = await login({ name: 'ann' })
  assert.equal(await reads(first.token, 'kv/a'), 403)
  const second = await login({ name: 'ann', groups: ['admins'] })
  assert.deepEqual(second.policies, ['a', 'default'])
  assert.equal(await reads(first.token, 'kv/a'), 200)
  assert.deepEqual((await root('read', `identity/group/id/${group.id}`)).member_entity_ids, [first.entity])
  await login({ name: 'ann' })
  assert.equal(await reads(first.token, 'kv/a'), 403)
  assert.equal(await reads(second.token, 'kv/a'), 403)
  // A method that looks anew at a renewal says so.
  const renew = () => core.call('write', 'auth/token/renew-self', {}, { token: first.token })
  renewedGroups = ['admins']
  assert.deepEqual((await renew()).body['auth'].identity_policies, ['a'])
  renewedGroups = undefined
  await renew()
  assert.equal(await reads(second.token, 'kv/a'), 200)
  renewedGroups = []
  await renew()
  assert.equal(await reads(second.token, 'kv/a'), 403)
  // What a login brought goes with the alias it came by.
  renewedGroups = ['admins']
  await renew()
  const { aliases } = await root('read', `identity/entity/id/${first.entity}`)
  await root('delete', `identity/entity-alias/id/${aliases[0].id}`)
  assert.equal(await reads(first.token, 'kv/a'), 403)
})

test('policy templates name groups', async () => {
  const { root, login, reads } = await world()
  await root('write', 'sys/policies/acl/t', {
    policy: `path "kv/team-{{identity.groups.names.g.metadata.team}}" { capabilities = ["read"] }`,
  })
  const ann = await login({ name: 'ann' })
  const group = await root('write', 'identity/group', {
    name: 'g',
    policies: ['t'],
    metadata: { team: 'red' },
    member_entity_ids: [ann.entity],
  })
  assert.equal(await reads(ann.token, 'kv/team-red'), 200)
  await root('write', `identity/group/id/${group.id}`, { metadata: { team: 'blue' } })
  assert.equal(await reads(ann.token, 'kv/team-red'), 403)
  // A value that would widen the path matches nothing.
  await root('write', `identity/group/id/${group.id}`, { metadata: { team: '*' } })
  assert.equal(await reads(ann.token, 'kv/team-red'), 403)
})

test('a merged entity is its new self: tokens of the old one get its policies', async () => {
  const { core, root, login, reads } = await world()
  const ann = await login({ name: 'ann' })
  const anna = await login({ name: 'anna' })
  await root('write', `identity/entity/id/${anna.entity}`, { policies: ['a'] })
  assert.equal(await reads(ann.token, 'kv/a'), 403)
  const clash = { from_entity_ids: [ann.entity], to_entity_id: anna.entity }
  const refused = await core.call('write', 'identity/entity/merge', clash)
  assert.equal(refused.status, 400)
  assert.deepEqual(
    refused.body['data'].map((one: { alias: string }) => one.alias),
    ['anna', 'ann'],
  )
  assert.equal((await core.call('write', 'identity/entity/merge', { ...clash, to_entity_id: 'nosuch' })).status, 400)
  const self = { from_entity_ids: [ann.entity], to_entity_id: ann.entity }
  assert.equal((await core.call('write', 'identity/entity/merge', self)).status, 400)
  const { aliases } = await root('read', `identity/entity/id/${ann.entity}`)
  await root('write', 'identity/entity/merge', { ...clash, conflicting_alias_ids_to_keep: [aliases[0].id] })
  assert.equal(await reads(ann.token, 'kv/a'), 200)
  assert.equal((await login({ name: 'ann' })).entity, anna.entity)
  const merged = await root('read', `identity/entity/id/${anna.entity}`)
  assert.deepEqual(merged.merged_entity_ids, [ann.entity])
  assert.deepEqual(
    merged.aliases.map((one: { name: string }) => one.name),
    ['ann'],
  )
  await root('write', `identity/entity/id/${anna.entity}`, { disabled: true })
  assert.equal(await reads(ann.token, 'kv/a'), 403)
})

test('groups of one namespace are nothing to another', async () => {
  const { core, root, login, accessor } = await world()
  const ann = await login({ name: 'ann' })
  const group = await root('write', 'identity/group', { name: 'g' })
  await root('write', 'sys/namespaces/team', {})
  const inTeam = { namespace: 'team' }
  for (const [path, body] of [
    ['identity/group', { member_entity_ids: [ann.entity] }],
    ['identity/group', { member_group_ids: [group.id] }],
    ['identity/group', { id: group.id, policies: ['a'] }],
    [`identity/group/id/${group.id}`, { policies: ['a'] }],
    ['identity/group-alias', { name: 'x', mount_accessor: accessor }],
  ] as const)
    assert.equal((await core.call('write', path, body, inTeam)).status, 400, path)
  assert.equal((await core.call('read', `identity/group/id/${group.id}`, undefined, inTeam)).status, 404)
  assert.equal((await core.call('write', 'identity/lookup/group', { id: group.id }, inTeam)).status, 204)
  const own = await root('write', 'identity/group', { name: 'g' }, 'team')
  assert.match(own.id, /\.[A-Za-z0-9]{6}$/)
})

test('what a group cannot be', async () => {
  const { core, root, accessor } = await world()
  const internal = await root('write', 'identity/group', { name: 'internal' })
  const external = await root('write', 'identity/group', { name: 'external', type: 'external' })
  for (const [path, body] of [
    ['identity/group', { name: 'r', policies: ['root'] }],
    ['identity/group', { name: 'w', policies: ['response-wrapping'] }],
    ['identity/group', { name: 'm', metadata: { 'a b': 'c' } }],
    ['identity/group', { name: 'x'.repeat(2000) }],
    [`identity/group/id/${internal.id}`, { type: 'external' }],
    [`identity/group/id/${internal.id}`, { name: 'EXTERNAL' }],
    [`identity/group/id/${external.id}`, { member_entity_ids: [] }],
    [`identity/group/id/${external.id}`, { member_group_ids: [internal.id] }],
    ['identity/group-alias', { name: 'a', mount_accessor: accessor, canonical_id: internal.id }],
    ['identity/group-alias', { name: 'a', mount_accessor: 'nosuch', canonical_id: external.id }],
    ['identity/group-alias', { name: 'a', mount_accessor: accessor, canonical_id: 'nosuch' }],
    ['identity/group-alias', { mount_accessor: accessor }],
    ['identity/group-alias/id/nosuch', { name: 'a', mount_accessor: accessor }],
  ] as const)
    assert.equal((await core.call('write', path, body)).status, 400, `${path} ${JSON.stringify(body).slice(0, 80)}`)
})

test('group aliases: made with a group or for one, moved, listed, found, deleted', async () => {
  const { core, root, accessor } = await world()
  const made = await root('write', 'identity/group-alias', { name: 'Ops', mount_accessor: accessor })
  const group = await root('read', `identity/group/id/${made.canonical_id}`)
  assert.deepEqual([group.type, group.alias.name, group.alias.id], ['external', 'Ops', made.id])
  const again = { name: 'ops', mount_accessor: accessor }
  assert.equal((await core.call('write', 'identity/group-alias', again)).status, 400)
  const found = await root('write', 'identity/lookup/group', { alias_name: 'OPS', alias_mount_accessor: accessor })
  assert.equal(found.id, group.id)
  const other = await root('write', 'identity/group', { name: 'other', type: 'external' })
  await root('write', `identity/group-alias/id/${made.id}`, { ...again, canonical_id: other.id })
  assert.deepEqual((await root('read', `identity/group/id/${group.id}`)).alias, {})
  assert.equal((await root('write', 'identity/lookup/group', { alias_id: made.id })).id, other.id)
  assert.equal((await root('read', `identity/group-alias/id/${made.id}`)).canonical_id, other.id)
  assert.deepEqual((await root('list', 'identity/group-alias/id')).keys, [made.id])
  const { key_info: info } = await root('list', 'identity/group/id')
  assert.deepEqual(info[other.id].alias.name, 'ops')
  await root('delete', `identity/group-alias/id/${made.id}`)
  assert.equal((await core.call('read', `identity/group-alias/id/${made.id}`)).status, 404)
  assert.equal((await core.call('write', 'identity/lookup/group', { alias_id: made.id })).status, 204)
})

test('a token without rights on identity/ changes nothing there, not even itself', async () => {
  const { core, root, login } = await world()
  const ann = await login({ name: 'ann' })
  const group = await root('write', 'identity/group', { name: 'g', policies: ['a'] })
  for (const [verb, path, body] of [
    ['write', 'identity/group', { name: 'g', member_entity_ids: [ann.entity] }],
    ['write', `identity/group/id/${group.id}`, { member_entity_ids: [ann.entity] }],
    ['write', 'identity/group/name/g', { member_entity_ids: [ann.entity] }],
    ['delete', `identity/group/id/${group.id}`, undefined],
    ['read', `identity/group/id/${group.id}`, undefined],
    ['list', 'identity/group/id', undefined],
    ['write', 'identity/group-alias', { name: 'x' }],
    ['write', `identity/entity/id/${ann.entity}`, { policies: ['a'] }],
    ['write', 'identity/entity', { id: ann.entity, policies: ['a'] }],
    ['write', 'identity/entity/merge', { from_entity_ids: ['x'], to_entity_id: ann.entity }],
    ['write', 'identity/alias', { name: 'root', canonical_id: ann.entity }],
    ['write', 'identity/persona', { name: 'root', entity_id: ann.entity }],
    ['write', 'identity/lookup/group', { id: group.id }],
  ] as const)
    assert.equal((await core.call(verb, path, body, { token: ann.token })).status, 403, path)
})
