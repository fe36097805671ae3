import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../sdk/errors.ts'
import { memoryStorage } from '../../storage/memory.ts'
import type { Reader, Writer } from '../../storage/storage.ts'
import { testTopology } from '../tokens/testing.ts'
import type { EntityRecord } from './entities.ts'
import { memberEntityIds, memberGroupIds, setMemberEntities, setMemberGroups } from './group-members.ts'
import { deleteGroup, draftGroup, groupById, groupHandlers, putGroup } from './group-store.ts'
import { groupsOf, nestingMax } from './group-tree.ts'
import { type GroupRecord, groupEpochKey } from './groups.ts'
import { mergeEntities } from './merge.ts'
import { identityStore } from './store.ts'

const { root } = testTopology([])
const now = 1000

function world() {
  const storage = memoryStorage()
  const identity = identityStore()
  const update = <T>(fn: (tx: Writer) => Promise<T>) => storage.update(fn)
  const view = <T>(fn: (tx: Reader) => Promise<T>) => storage.view(fn)
  const group = (name: string, more: Partial<GroupRecord> = {}) =>
    update(async (tx) => {
      const made = { ...(await draftGroup(tx, root.facts, { name, type: 'internal', now })), ...more }
      putGroup(tx, undefined, made)
      return made
    })
  const entity = (name: string) =>
    update(async (tx) => {
      const aliases = ['acc', 'other'].map((mountAccessor) => ({
        id: `alias-of-${name}-${mountAccessor}`,
        name,
        mountAccessor,
        mountUuid: mountAccessor,
        metadata: null,
        customMetadata: null,
        local: false,
        createdTime: now,
        updatedTime: now,
        mergedFrom: [],
      }))
      const made = { ...(await identity.draft(tx, root.facts, name, now)), aliases }
      identity.put(tx, undefined, made)
      return made
    })
  const again = (one: EntityRecord) => view(async (tx) => (await identity.get(tx, 'root', one.id)) as EntityRecord)
  const nest = (parent: GroupRecord, children: readonly GroupRecord[]) =>
    update(async (tx) => {
      const fresh = (await groupById(tx, 'root', parent.id)) as GroupRecord
      await setMemberGroups(
        tx,
        fresh,
        children.map(({ id }) => id),
      )
    })
  const login = (one: EntityRecord, names: string[], mountAccessor = 'acc') =>
    update(async (tx) => {
      const fresh = (await identity.get(tx, 'root', one.id)) as EntityRecord
      return await identity.refreshGroups(tx, fresh, { mountAccessor, names })
    })
  const external = (name: string, alias: string, mountAccessor = 'acc') =>
    group(name, {
      type: 'external',
      alias: { id: `alias-${name}`, name: alias, mountAccessor, createdTime: now, updatedTime: now },
    })
  return { storage, identity, update, view, group, entity, again, nest, login, external }
}

const refused = (promise: Promise<unknown>) =>
  assert.rejects(promise, (error) => error instanceof ApiError && error.status === 400)

test('policies come from all groups above, once each', async () => {
  const { update, view, group, entity, again, nest, identity } = world()
  const low = await group('low', { policies: ['p1'] })
  const mid = await group('mid', { policies: ['p2', 'p1'] })
  const top = await group('top', { policies: ['p3'], metadata: { k: 'v' } })
  const ann = await entity('ann')
  await nest(mid, [low])
  await nest(top, [mid, low])
  await update((tx) => setMemberEntities(tx, low, [ann.id]))
  const brought = await view(async (tx) => identity.bringsOf(tx, await again(ann), 'team/'))
  assert.deepEqual(brought.policies, ['p1', 'p2', 'p3'])
  assert.deepEqual(
    brought.template.groups.find(({ id }) => id === top.id),
    {
      id: top.id,
      name: 'top',
      namespacePath: 'team/',
      metadata: { k: 'v' },
    },
  )
  const { direct, inherited } = await view(async (tx) => groupsOf(tx, await again(ann)))
  assert.deepEqual([direct.length, inherited.length], [1, 2])
})

test('the facts fall with every change of a group or of a membership, and with nothing else', async () => {
  const { storage, update, view, group, entity, again, nest, identity, login, external } = world()
  const one = await group('one')
  const other = await group('other')
  const ext = await external('ext', 'admins')
  const ann = await entity('ann')
  const bob = await entity('bob')
  const stamp = () =>
    view(async (tx) => {
      const found = await identity.find(tx, 'root', ann.id)
      const brought = await identity.bringsOf(tx, found.entity as EntityRecord, '')
      return JSON.stringify([...found.facts, ...brought.facts])
    })
  let last = await stamp()
  const moves = async (what: () => Promise<unknown>, expected = true) => {
    await what()
    const next = await stamp()
    assert.equal(next !== last, expected, what.toString())
    last = next
  }
  await moves(() => update((tx) => setMemberEntities(tx, one, [ann.id])))
  await moves(() => nest(other, [one]))
  await moves(async () => update(async (tx) => putGroup(tx, other, { ...other, policies: ['x'] })))
  await moves(() => login(ann, ['ADMINS']))
  await moves(() => login(ann, ['admins', 'unknown', '']), false)
  await moves(() => login(bob, ['admins']), false)
  await moves(() => update((tx) => setMemberEntities(tx, one, [ann.id, bob.id])), false)
  await moves(() => update((tx) => deleteGroup(tx, ext, now)))
  await moves(() => nest(other, []))
  assert.equal((await again(ann)).groupIds?.length, 1)
  await storage.close()
})

test('no circle can be made, not by two at once either, and nesting has an end', async () => {
  const { group, nest, view } = world()
  const [a, b, c] = [await group('a'), await group('b'), await group('c')]
  await refused(nest(a, [a]))
  await nest(a, [b])
  await nest(b, [c])
  await refused(nest(c, [a]))
  await refused(nest(b, [c, a]))
  const [x, y] = [await group('x'), await group('y')]
  const outcomes = await Promise.allSettled([nest(x, [y]), nest(y, [x])])
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  let below = await group('deep')
  for (let depth = 1; depth <= nestingMax; depth++) {
    const above = await group(`deep${depth}`)
    await nest(above, [below])
    below = above
  }
  const beyond = await group('beyond')
  await refused(nest(beyond, [below]))
  assert.deepEqual(await view((tx) => memberGroupIds(tx, beyond)), [])
})

test('members must be there; a set of them replaces the former one', async () => {
  const { update, view, group, entity, again, nest } = world()
  const one = await group('one')
  const [ann, bob] = [await entity('ann'), await entity('bob')]
  await refused(update((tx) => setMemberEntities(tx, one, [ann.id, 'nosuch'])))
  await refused(update((tx) => setMemberGroups(tx, one, ['nosuch'])))
  await refused(
    update((tx) =>
      setMemberEntities(
        tx,
        one,
        Array.from({ length: 20_001 }, (_, i) => String(i)),
      ),
    ),
  )
  await update((tx) => setMemberEntities(tx, one, [ann.id, ann.id, bob.id]))
  assert.deepEqual(await view((tx) => memberEntityIds(tx, one)), [ann.id, bob.id].sort())
  await update((tx) => setMemberEntities(tx, one, [bob.id]))
  assert.deepEqual((await again(ann)).groupIds, [])
  assert.deepEqual((await again(bob)).groupIds, [one.id])
  const child = await group('child')
  await nest(one, [child])
  await nest(one, [])
  assert.deepEqual(await view(async (tx) => (await groupById(tx, 'root', child.id))?.parentIds), [])
})

test('each login says anew who is in external groups, for its own method only', async () => {
  const { update, group, entity, login, external, identity } = world()
  const ann = await entity('ann')
  const admins = await external('admins', 'CN=Admins')
  const devs = await external('devs', 'devs')
  const elsewhere = await external('elsewhere', 'devs', 'other')
  const own = await group('own')
  await update((tx) => setMemberEntities(tx, own, [ann.id]))
  const ids = async (names: string[], accessor?: string) => (await login(ann, names, accessor)).groupIds
  assert.deepEqual(await ids(['cn=admins', 'devs']), [admins.id, devs.id, own.id].sort())
  assert.deepEqual(await ids(['devs'], 'other'), [admins.id, devs.id, elsewhere.id, own.id].sort())
  assert.deepEqual(await ids(['devs']), [devs.id, elsewhere.id, own.id].sort())
  assert.deepEqual(await ids([]), [elsewhere.id, own.id].sort())
  // Without an alias there, nobody is in a group of that method any more.
  await update(async (tx) => {
    const fresh = (await identity.get(tx, 'root', ann.id)) as EntityRecord
    identity.put(tx, fresh, { ...fresh, aliases: fresh.aliases.filter((alias) => alias.mountAccessor === 'acc') })
  })
  assert.deepEqual(await ids([]), [own.id])
  const many = await Promise.all(Array.from({ length: 20 }, (_, i) => entity(`e${i}`)))
  await Promise.all(many.map((one) => login(one, ['devs'])))
  const members = await update((tx) => memberEntityIds(tx, devs))
  assert.deepEqual(members, many.map(({ id }) => id).sort())
})

test('a group that goes takes all that names it along, in batches when there is much', async () => {
  const { update, view, group, entity, again, nest, identity } = world()
  const big = await group('big')
  const parent = await group('parent')
  const child = await group('child')
  await nest(parent, [big])
  await nest(big, [child])
  const members = await Promise.all(Array.from({ length: 450 }, (_, i) => entity(`e${i}`)))
  await update((tx) =>
    setMemberEntities(
      tx,
      big,
      members.map(({ id }) => id),
    ),
  )
  const fresh = (await view((tx) => groupById(tx, 'root', big.id))) as GroupRecord
  await update((tx) => deleteGroup(tx, fresh, now))
  // At once for everybody, whether the job has come to them or not.
  const last = members.at(-1) as EntityRecord
  assert.deepEqual((await view(async (tx) => groupsOf(tx, await again(last)))).direct, [])
  const [kind, handler] = [...groupHandlers(() => now)][0] ?? []
  assert.ok(kind && handler)
  const entry = { kind, id: `root/${big.id}`, at: now, attempts: 0 }
  let rounds = 0
  while (await update((tx) => handler(tx, entry))) assert.ok(++rounds < 10)
  for (const one of members) assert.deepEqual((await again(one)).groupIds, [])
  for (const one of members) await update(async (tx) => identity.delete(tx, await again(one)))
  await update(async (tx) => {
    for (const one of [parent, child]) await deleteGroup(tx, (await groupById(tx, 'root', one.id)) as GroupRecord, now)
  })
  const rest = (await view((tx) => tx.scan(''))).filter((key) => !key.startsWith('due/'))
  assert.deepEqual(rest, [groupEpochKey('root')])
})

test('a merge moves aliases and groups, and tokens find the entity that took over', async () => {
  const { update, view, group, entity, again, identity } = world()
  const [ann, bob, cid] = [await entity('ann'), await entity('bob'), await entity('cid')]
  for (const [one, kept] of [[ann, 'acc'] as const, [cid, 'other'] as const])
    await update(async (tx) =>
      identity.put(tx, one, { ...one, aliases: one.aliases.filter((alias) => alias.mountAccessor === kept) }),
    )
  await update(async (tx) => identity.put(tx, bob, { ...bob, aliases: [] }))
  const [one, two] = [await group('one'), await group('two')]
  await update((tx) => setMemberEntities(tx, one, [ann.id]))
  await update((tx) => setMemberEntities(tx, two, [ann.id, bob.id]))
  const merge = async (to: EntityRecord, from: EntityRecord[]) => {
    const [into, others] = [await again(to), await Promise.all(from.map(again))]
    return await update(async (tx) => mergeEntities(identity, tx, { to: into, from: others, keepAliasIds: [], now }))
  }
  assert.deepEqual(await merge(bob, [ann]), [])
  assert.deepEqual((await again(bob)).groupIds, [one.id, two.id].sort())
  assert.deepEqual(await view((tx) => memberEntityIds(tx, one)), [bob.id])
  await merge(cid, [bob])
  const found = await view((tx) => identity.find(tx, 'root', ann.id))
  assert.equal(found.entity?.id, cid.id)
  await update(async (tx) => identity.delete(tx, await again(cid)))
  assert.equal((await view((tx) => identity.find(tx, 'root', ann.id))).entity, undefined)
})
