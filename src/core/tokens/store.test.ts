import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../../sdk/errors.ts'
import { memoryStorage } from '../../storage/memory.ts'
import { ScopedTransaction } from '../../storage/scoped.ts'
import type { Storage, Writer } from '../../storage/storage.ts'
import { duePrefix } from '../due.ts'
import { jobRunner } from '../jobs.ts'
import type { Topology } from '../topology.ts'
import { type MadeToken, rootTokenSpec, type TokenSpec } from './create.ts'
import { isAlive } from './find.ts'
import { type FoundToken, type TokenRecord, tokenAccessors, tokenChildren, tokenRecords } from './record.ts'
import { tokenStore } from './store.ts'
import { testTopology } from './testing.ts'
import { renewToken, spendUse } from './use.ts'

const limits = { defaultLeaseTtlSeconds: 3600, maxLeaseTtlSeconds: 100_000 }

class Counting extends ScopedTransaction {
  readonly count: () => void
  constructor(tx: Writer, count: () => void) {
    super(tx, '')
    this.count = count
  }
  override delete(key: string): void {
    this.count()
    super.delete(key)
  }
}

function world(options: { storage?: Storage; onRevoke?: (tx: Writer, record: TokenRecord) => void } = {}) {
  const storage = options.storage ?? memoryStorage()
  let now = 1_700_000_000_000
  let topology = testTopology([{ uuid: 'm1', path: 'auth/up/' }])
  const clock = () => now
  const store = tokenStore({ now: clock, ...(options.onRevoke ? { onRevoke: options.onRevoke } : {}) })
  const problems: unknown[] = []
  const jobs = jobRunner({ handlers: store.handlers, now: clock, log: (_l, _m, facts) => problems.push(facts) })
  const spec = (extra: Partial<TokenSpec> = {}): TokenSpec => ({
    namespace: topology.root.facts,
    now,
    policies: ['default'],
    path: 'auth/token/create',
    displayName: 'token',
    ttlSeconds: 3600,
    renewable: true,
    ...extra,
  })
  return {
    storage,
    store,
    jobs,
    problems,
    spec,
    get now() {
      return now
    },
    get topology() {
      return topology
    },
    later: (ms: number) => {
      now += ms
    },
    setTopology: (next: Topology) => {
      topology = next
    },
    make: (extra: Partial<TokenSpec> = {}): Promise<MadeToken> => storage.update((tx) => store.create(tx, spec(extra))),
    find: (token: string): Promise<FoundToken | undefined> => storage.view((tx) => store.find(tx, token, topology)),
    keys: (prefix: string): Promise<string[]> => storage.view((tx) => tx.scan(prefix)),
    /** Runs due work until none is left. */
    async work() {
      jobs.start(storage)
      while ((await jobs.runDue()) > 0);
      await jobs.stop()
    },
  }
}

test('a token is found by its text alone, and its text is stored nowhere', async () => {
  const w = world()
  const { token, record } = await w.make({ policies: ['a', 'default'], meta: { k: 'v' }, displayName: 'token-x' })
  const found = await w.find(token)
  assert.deepEqual(found?.record, record)
  assert.equal(found?.orphan, true)
  assert.equal(await w.find(`${token}x`), undefined)
  assert.equal(await w.find(record.key), undefined)
  const entries = await w.storage.view((tx) => tx.entries(''))
  for (const { key, value } of entries) {
    assert.ok(!key.includes(token.slice(4)))
    assert.ok(!Buffer.from(value).toString('latin1').includes(token.slice(4)))
  }
})

test('tokens of different processes share the hash key', async () => {
  const w = world()
  const { token } = await w.make()
  const other = tokenStore({ now: () => w.now })
  assert.ok(await w.storage.view((tx) => other.find(tx, token, w.topology)))
})

test('the first two tokens of two processes at once agree on one key', async () => {
  const storage = memoryStorage()
  const [a, b] = [world({ storage }), world({ storage })]
  const [x, y] = await Promise.all([a.make(), b.make()])
  for (const w of [a, b]) for (const { token } of [x, y]) assert.ok(await w.find(token))
})

test('a key of a dropped transaction is not used', async () => {
  const w = world()
  await assert.rejects(
    w.storage.update(async (tx) => {
      await w.store.create(tx, w.spec())
      throw new Error('dropped')
    }),
  )
  const { token } = await w.make()
  assert.ok(await w.find(token))
})

test('a root token never expires, others do by their time alone', async () => {
  const w = world()
  const root = await w.storage.update((tx) => w.store.create(tx, rootTokenSpec(w.topology.root.facts, w.now)))
  const { token } = await w.make({ ttlSeconds: 10 })
  w.later(9_999)
  assert.ok(await w.find(token))
  w.later(1)
  assert.equal(await w.find(token), undefined)
  w.later(10 ** 12)
  assert.ok(await w.find(root.token))
  assert.equal(root.record.expireTime, 0)
  await assert.rejects(w.make({ ttlSeconds: 0 }), /only root tokens/)
})

test('expired tokens are cleared with all that belongs to them', async () => {
  const gone: string[] = []
  const w = world({ onRevoke: (_tx, record) => void gone.push(record.key) })
  const parent = await w.make({ ttlSeconds: 10 })
  const child = await w.make({ ttlSeconds: 100, parent: parent.record })
  w.later(10_000)
  assert.equal(await w.find(child.token), undefined, 'the child of an expired token is dead at once')
  await w.work()
  assert.deepEqual(await w.keys('ns/'), [])
  assert.deepEqual(await w.keys(duePrefix), [])
  assert.deepEqual([...new Set(gone)].sort(), [parent.record.key, child.record.key].sort())
  assert.deepEqual(w.problems, [])
})

test('tokens of a child namespace carry its id and are bound to it', async () => {
  const w = world()
  const team = w.topology.namespaces.get('team/')?.facts
  assert.ok(team)
  const made = await w.make({ namespace: team })
  assert.match(made.token, /\.team01$/)
  assert.match(made.record.accessor, /\.team01$/)
  assert.ok(await w.find(made.token))
  assert.equal(await w.find(made.token.slice(0, -7)), undefined)
  const batch = await w.make({ namespace: team, type: 'batch' })
  assert.ok(await w.find(batch.token))
  assert.equal(await w.find(batch.token.slice(0, -7)), undefined)
  w.setTopology(testTopology([], { taintedTeam: true }))
  assert.equal(await w.find(made.token), undefined)
  assert.equal(await w.find(batch.token), undefined)
})

test('chosen ids: once only, root namespace only', async () => {
  const w = world()
  const { token } = await w.make({ id: 'my-token' })
  assert.equal(token, 'my-token')
  assert.ok(await w.find('my-token'))
  await assert.rejects(w.make({ id: 'my-token' }), ApiError)
  await assert.rejects(w.make({ id: 'hvs.abc' }), ApiError)
  const team = w.topology.namespaces.get('team/')?.facts
  assert.ok(team)
  await assert.rejects(w.make({ id: 'other', namespace: team }), ApiError)
})

test('revoking a token kills the tree below it, an orphan lives on', async () => {
  const w = world()
  const a = await w.make()
  const b = await w.make({ parent: a.record })
  const c = await w.make({ parent: b.record })
  const batch = await w.make({ type: 'batch', parent: c.record })
  const other = await w.make()
  assert.equal((await w.find(c.token))?.orphan, false)
  await w.storage.update((tx) => w.store.revokeTree(tx, a.record))
  for (const { token } of [a, b, c, batch]) assert.equal(await w.find(token), undefined)
  assert.ok(await w.find(other.token))
  assert.deepEqual(await w.keys('ns/root/token/id/'), [other.record.key])
  assert.deepEqual(await w.keys('ns/root/token/child/'), [])
  assert.equal((await w.keys(duePrefix)).length, 1)
})

test('revoke-orphan frees the children and their own trees', async () => {
  const w = world()
  const a = await w.make()
  const b = await w.make({ parent: a.record })
  const c = await w.make({ parent: b.record })
  const batch = await w.make({ type: 'batch', parent: a.record })
  await w.storage.update((tx) => w.store.revokeOrphan(tx, a.record))
  assert.equal(await w.find(a.token), undefined)
  assert.equal((await w.find(b.token))?.orphan, true)
  assert.equal((await w.find(c.token))?.orphan, false)
  assert.equal(await w.find(batch.token), undefined, 'a batch token goes with its parent')
  await w.storage.update((tx) => w.store.revokeTree(tx, b.record))
  assert.equal(await w.find(c.token), undefined)
})

test('a wide and deep tree is dead at once and cleared in bounded transactions', async () => {
  const w = world()
  const root = await w.make()
  const tokens: string[] = []
  let deepest = root.record
  for (let i = 0; i < 40; i++) {
    const made = await w.make({ parent: deepest })
    deepest = made.record
    tokens.push(made.token)
  }
  for (let i = 0; i < 10; i++)
    await w.storage.update(async (tx) => {
      for (let j = 0; j < 60; j++) tokens.push((await w.store.create(tx, w.spec({ parent: root.record }))).token)
    })
  let deletes = 0
  await w.storage.update((tx) => {
    deletes = 0
    const counting = new Counting(tx, () => deletes++)
    return w.store.revokeTree(counting, root.record)
  })
  assert.ok(deletes > 0 && deletes <= 600, `${deletes} deletes in one transaction`)
  assert.equal((await Promise.all(tokens.map(w.find))).filter(Boolean).length, 0)
  assert.ok((await w.keys('ns/root/token/id/')).length > 0, 'not all is cleared yet')
  await w.work()
  assert.deepEqual(await w.keys('ns/'), [])
  assert.deepEqual(await w.keys(duePrefix), [])
  assert.deepEqual(w.problems, [])
})

test('a token with very many children can be revoked alone: all are orphans at once', async () => {
  const w = world()
  const root = await w.make()
  const children: MadeToken[] = []
  await w.storage.update(async (tx) => {
    children.length = 0
    for (let j = 0; j < 250; j++) children.push(await w.store.create(tx, w.spec({ parent: root.record })))
  })
  await w.storage.update((tx) => w.store.revokeOrphan(tx, root.record))
  assert.equal(await w.find(root.token), undefined)
  for (const { token } of children) assert.equal((await w.find(token))?.orphan, true)
  await w.work()
  for (const { token } of children) assert.equal((await w.find(token))?.record.parent, undefined)
  assert.equal((await w.keys('ns/root/token/id/')).length, 250)
  assert.deepEqual(await w.keys('ns/root/token/child/'), [])
})

test('tokens are not made under more than a hundred ancestors', async () => {
  const w = world()
  let { record } = await w.make()
  for (let i = 0; i < 100; i++) record = (await w.make({ parent: record })).record
  await assert.rejects(w.make({ parent: record }), /ancestors/)
})

test('a use-limited token is used exactly so often by many at once, and then cleared', async () => {
  const w = world()
  const { token, record } = await w.make({ numUses: 7 })
  const use = () =>
    w.storage.update(async (tx) => {
      const found = await w.store.find(tx, token, w.topology)
      if (!found) return false
      const { last, found: spent } = spendUse(tx, found)
      await Promise.resolve()
      if (last) await w.store.endUse(tx, spent)
      return true
    })
  const results = await Promise.all(Array.from({ length: 50 }, use))
  assert.equal(results.filter(Boolean).length, 7)
  assert.equal(await w.find(token), undefined)
  assert.equal(await w.storage.view((tx) => tokenRecords('root').has(tx, record.key)), false)
  assert.deepEqual(await w.keys(duePrefix), [])
})

test('the last use is told as -1 to the request itself and to nobody else', async () => {
  const w = world()
  const { token } = await w.make({ numUses: 1 })
  await w.storage.update(async (tx) => {
    const found = await w.store.find(tx, token, w.topology)
    assert.ok(found)
    assert.deepEqual(spendUse(tx, found).last, true)
    assert.equal((await w.store.find(tx, token, w.topology, w.now, { spent: true }))?.record.numUses, -1)
    assert.equal(await w.store.find(tx, token, w.topology), undefined)
  })
  assert.equal(await w.find(token), undefined, 'also when its end was left to a second transaction')
  w.later(3600_000)
  await w.work()
  assert.deepEqual(await w.keys('ns/'), [])
})

test('a refused request keeps what it cost and drops the rest', async () => {
  const w = world()
  const { token } = await w.make({ numUses: 2 })
  await w.storage.update(async (tx) => {
    const found = await w.store.find(tx, token, w.topology)
    assert.ok(found)
    spendUse(tx, found)
    const mark = tx.mark()
    await w.store.create(tx, w.spec())
    tx.rollback(mark)
  })
  assert.equal((await w.find(token))?.record.numUses, 1)
  assert.equal((await w.keys('ns/root/token/id/')).length, 1)
})

test('of a use and a revocation at once, none is lost', async () => {
  for (let i = 0; i < 20; i++) {
    const w = world()
    const { token, record } = await w.make({ numUses: 5 })
    await Promise.all([
      w.storage.update(async (tx) => {
        const found = await w.store.find(tx, token, w.topology)
        if (found) spendUse(tx, found)
        await Promise.resolve()
      }),
      w.storage.update(async (tx) => {
        await Promise.resolve()
        await w.store.revokeTree(tx, record)
      }),
    ])
    assert.equal(await w.find(token), undefined)
    assert.deepEqual(await w.keys('ns/'), [])
  }
})

test('a child made while its parent is revoked is refused or dies with it', async () => {
  for (let i = 0; i < 20; i++) {
    const w = world()
    const parent = await w.make()
    const [made] = await Promise.all([
      w.storage.update(async (tx) => {
        const found = await w.store.find(tx, parent.token, w.topology)
        if (!found) return undefined
        if (i % 2) await Promise.resolve()
        return await w.store.create(tx, w.spec({ parent: found.record }))
      }),
      w.storage.update((tx) => w.store.revokeTree(tx, parent.record)),
    ])
    assert.equal(await w.find(made?.token ?? 'none'), undefined)
    assert.deepEqual(await w.keys('ns/'), [])
  }
})

test('facts of a found token prove it: they change when it or an ancestor does', async () => {
  const w = world()
  const parent = await w.make()
  const child = await w.make({ parent: parent.record })
  const found = await w.find(child.token)
  assert.ok(found)
  assert.equal(found.facts.length, 2)
  const holds = () =>
    w.storage.view(async (tx) => {
      if (tx.attempt > 0) return false
      for (const { key, version } of found.facts) tx.expect(key, version)
      await tx.get('anything')
      return true
    })
  assert.equal(await holds(), true)
  await w.storage.update((tx) => w.store.revokeTree(tx, parent.record))
  assert.equal(await holds(), false)
})

test('renewal moves expiry and due key; terms and limits hold', async () => {
  const w = world()
  const { token, record } = await w.make({ ttlSeconds: 60, explicitMaxTtlSeconds: 600 })
  w.later(30_000)
  const terms = { ttlSeconds: 60, maxTtlSeconds: 0, periodSeconds: 0, explicitMaxTtlSeconds: 600 }
  const renewed = await w.storage.update(async (tx) =>
    renewToken(tx, record, limits, terms, { incrementSeconds: 9000, now: w.now }),
  )
  assert.equal(renewed.ttlSeconds, 570)
  assert.equal(renewed.warnings.length, 1)
  assert.equal((await w.keys(duePrefix)).length, 1)
  w.later(60_000)
  await w.work()
  assert.equal((await w.find(token))?.record.lastRenewalTime, 1_700_000_030_000)
  w.later(510_000)
  assert.equal(await w.find(token), undefined)
  await w.work()
  assert.deepEqual(await w.keys('ns/'), [])
  const fixed = await w.make({ renewable: false })
  await assert.rejects(
    w.storage.update(async (tx) => renewToken(tx, fixed.record, limits, terms, { incrementSeconds: 0, now: w.now })),
    ApiError,
  )
})

test('tokens die with the mount that granted them, and so do their children', async () => {
  const w = world()
  const login = await w.make({ mountUuid: 'm1' })
  const child = await w.make({ parent: login.record })
  const other = await w.make()
  const found = await w.find(child.token)
  assert.ok(found && isAlive(found, w.topology, w.now))
  w.setTopology(testTopology([]))
  assert.equal(isAlive(found, w.topology, w.now), false)
  for (const { token } of [login, child]) assert.equal(await w.find(token), undefined)
  const mount = { namespaceUuid: 'root', mountUuid: 'm1' }
  assert.equal(await w.storage.update((tx) => w.store.clearMount(tx, mount, '')), undefined)
  assert.deepEqual(await w.keys('ns/root/token/id/'), [other.record.key])
})

test('accessors find a token in their namespace only', async () => {
  const w = world()
  const { record } = await w.make()
  const by = (accessor: string, namespace: string) =>
    w.storage.view((tx) => w.store.findByAccessor(tx, accessor, namespace, w.topology))
  assert.equal((await by(record.accessor, 'root'))?.record.key, record.key)
  assert.equal(await by(record.accessor, 'team-uuid'), undefined)
  assert.equal(await by('../x', 'root'), undefined)
})

test('batch tokens hold all they are and store nothing', async () => {
  const w = world()
  const parent = await w.make()
  const before = await w.keys('ns/')
  const { token, record } = await w.make({ type: 'batch', policies: ['a'], meta: { k: 'v' }, parent: parent.record })
  assert.match(token, /^hvb\./)
  assert.deepEqual(await w.keys('ns/'), before)
  assert.deepEqual((await w.find(token))?.record, record)
  assert.equal(record.accessor, '')
  const broken = `${token.slice(0, 20)}${token[20] === 'A' ? 'B' : 'A'}${token.slice(21)}`
  assert.equal(await w.find(broken), undefined)
  w.later(3600_000)
  assert.equal(await w.find(token), undefined)
})

test('the keys of batch tokens rotate; forgetting the old ones kills the tokens everywhere', async () => {
  const w = world()
  const first = await w.make({ type: 'batch', ttlSeconds: 86_400 * 60 })
  const other = tokenStore({ now: () => w.now })
  const elsewhere = (token: string) => w.storage.view((tx) => other.find(tx, token, w.topology))
  assert.ok(await elsewhere(first.token))
  await w.storage.update((tx) => w.store.keys.rotateBatch(tx, w.now))
  const second = await w.make({ type: 'batch', ttlSeconds: 86_400 * 60 })
  for (const { token } of [first, second]) assert.ok((await w.find(token)) && (await elsewhere(token)))
  w.later(31 * 86_400_000)
  const third = await w.make({ type: 'batch' })
  assert.ok(await elsewhere(third.token), 'an old term is followed by a new one by itself')
  await w.storage.update((tx) => w.store.keys.rotateBatch(tx, w.now, true))
  for (const { token } of [first, second, third]) {
    assert.equal(await w.find(token), undefined)
    assert.equal(await elsewhere(token), undefined)
  }
})

test('tidy clears what points nowhere and what is dead', async () => {
  const w = world()
  const live = await w.make()
  const child = await w.make({ parent: live.record })
  await w.storage.update(async (tx) => {
    tokenAccessors('root').put(tx, 'dangling', 'nowhere')
    tokenChildren({ namespaceUuid: 'root', key: 'gone' }).put(tx, 'nobody', { namespaceUuid: 'root' })
    assert.equal(await w.store.startTidy(tx, 'root'), true)
    assert.equal(await w.store.startTidy(tx, 'root'), false)
  })
  await w.work()
  assert.deepEqual(await w.keys('ns/root/token/accessor/'), [live.record.accessor, child.record.accessor].sort())
  assert.deepEqual(await w.keys('ns/root/token/child/'), [`${live.record.key}/${child.record.key}`])
  assert.ok(await w.find(child.token))
  assert.equal(await w.storage.update((tx) => w.store.startTidy(tx, 'root')), true, 'it can be asked for again')
  assert.deepEqual(w.problems, [])
})
