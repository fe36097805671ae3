// What happens to commits and readings when the way to PostgreSQL breaks: cut, silent, slow, failed over.
import assert from 'node:assert/strict'
import { chownSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { makeAuthority } from '../../test/certificates.ts'
import { type Cluster, postgresMissing, startCluster, unprivileged } from '../../test/postgres.ts'
import { startProxy, type TcpProxy } from '../../test/proxy.ts'
import { read, write } from './contract-kit.ts'
import { postgresStorage } from './postgres.ts'
import { OutcomeUnknown, type Storage, StorageError, StorageUnavailable, StorageUnusable } from './storage.ts'

const skip = postgresMissing()
/** The name or the text of the statement that commits. */
const commits = (chunk: Buffer): boolean => chunk.includes('coffer_commit') || chunk.includes('pg_advisory_xact_lock')
const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error: unknown) => error,
  )
const elapsed = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now()
  await work()
  return performance.now() - began
}

describe('a broken way to the database', { skip }, () => {
  let cluster: Cluster
  let proxy: TcpProxy
  let direct: Storage
  let storage: Storage
  let url = ''
  const told: string[] = []
  before(async () => {
    cluster = await startCluster()
    proxy = await startProxy(cluster.port)
  })
  after(async () => {
    await proxy?.stop()
    cluster?.remove()
  })
  const open = async (more: object = {}): Promise<void> => {
    url = await cluster.database()
    direct = await postgresStorage({ url })
    storage = await postgresStorage({
      url: url.replace(`:${cluster.port}`, `:${proxy.port}`),
      waitMs: 3000,
      onTrouble: (message) => told.push(message),
      ...more,
    })
  }
  const close = async (): Promise<void> => {
    Object.assign(proxy, { fromClient: undefined, fromServer: undefined, delayMs: 0, accepts: true })
    await storage.close()
    await direct.close()
  }

  test('cut before the server has it, and after it: outcome unknown both times, all or nothing each time', async () => {
    await open()
    const pairs = async (): Promise<(string | undefined)[]> => [await read(direct, 'left'), await read(direct, 'right')]
    for (let round = 0; round < 12; round++) {
      await write(direct, { left: 'old', right: 'old' })
      await read(storage, 'left')
      let struck = false
      if (round % 2 === 0) {
        proxy.fromClient = (chunk) => {
          if (!commits(chunk)) return 'pass'
          struck = true
          return 'cut'
        }
      } else {
        let seen = false
        proxy.fromClient = (chunk) => {
          if (commits(chunk)) seen = true
          return 'pass'
        }
        proxy.fromServer = (chunk) => {
          if (!seen || !chunk.includes(Buffer.from([0x5a, 0, 0, 0, 5]))) return 'pass'
          struck = true
          return 'cut'
        }
      }
      const result = await outcome(write(storage, { left: `${round}`, right: `${round}` }))
      Object.assign(proxy, { fromClient: undefined, fromServer: undefined })
      assert.ok(struck)
      assert.ok(result instanceof OutcomeUnknown, `round ${round}: ${result}`)
      await pause(20)
      assert.deepEqual(await pairs(), Array(2).fill(round % 2 === 0 ? 'old' : `${round}`))
    }
    await write(storage, { left: 'again' })
    assert.equal(await read(direct, 'left'), 'again')
    await close()
  })

  test('cut at random under load: what was acknowledged is there, nothing is half there, nothing is there twice', async () => {
    await open()
    const acknowledged = new Set<string>()
    const unknown = new Set<string>()
    let over = false
    const client = async (c: number): Promise<void> => {
      for (let i = 0; !over; i++) {
        const id = `${c}-${i}`
        const result = await outcome(write(storage, { [`left/${id}`]: id, [`right/${id}`]: id }))
        if (result === 'done') acknowledged.add(id)
        else if (result instanceof OutcomeUnknown) unknown.add(id)
        else assert.ok(result instanceof StorageError, String(result))
      }
    }
    const clients = Array.from({ length: 16 }, (_, c) => client(c))
    for (let cuts = 0; cuts < 15; cuts++) {
      await pause(20 + Math.random() * 60)
      proxy.cutAll()
    }
    over = true
    await Promise.all(clients)
    const [left, right] = await direct.view(async (tx) => [await tx.scan('left/'), await tx.scan('right/')])
    assert.deepEqual(left, right)
    const there = new Set(left)
    for (const id of acknowledged) assert.ok(there.has(id), `${id} was acknowledged`)
    for (const id of there) assert.ok(acknowledged.has(id) || unknown.has(id), `${id} is neither`)
    assert.ok(acknowledged.size > 50 && unknown.size > 0, `${acknowledged.size} acknowledged, ${unknown.size} unknown`)
    await close()
  })

  test('readings are asked again after a cut; a server that answers late or not at all is not waited for without end', async () => {
    await open({ statementTimeoutMs: 200 })
    await write(direct, { a: '1' })
    assert.equal(await read(storage, 'a'), '1')
    let cuts = 1
    proxy.fromClient = () => (cuts-- > 0 ? 'cut' : 'pass')
    assert.equal(await read(storage, 'a'), '1')
    proxy.fromClient = undefined
    proxy.delayMs = 60
    assert.equal(await read(storage, 'a'), '1')
    await write(storage, { a: '2' })
    proxy.delayMs = 0
    // Both get a connection that is there already.
    await Promise.all([read(storage, 'a'), write(storage, { a: '2' })])
    await pause(400)
    proxy.fromServer = () => 'swallow'
    const [silent, unanswered] = await Promise.all([outcome(read(storage, 'a')), outcome(write(storage, { a: '3' }))])
    proxy.fromServer = undefined
    assert.ok(silent instanceof StorageError && !(silent instanceof OutcomeUnknown), String(silent))
    assert.match(silent.message, /no answer came in time/)
    assert.ok(unanswered instanceof OutcomeUnknown, String(unanswered))
    await write(storage, { a: '4' })
    assert.equal(await read(direct, 'a'), '4')
    await close()
  })

  test('a lock that is held too long refuses the commit, and the connection is good for more', async () => {
    await open({ lockTimeoutMs: 300 })
    await write(storage, { a: '1' })
    const blocker = new pg.Client({ connectionString: url })
    await blocker.connect()
    await blocker.query('BEGIN; LOCK TABLE coffer.entry IN EXCLUSIVE MODE')
    const took = await elapsed(async () => {
      const result = await outcome(write(storage, { a: '2' }))
      assert.ok(result instanceof StorageError && !(result instanceof OutcomeUnknown), String(result))
      assert.match(result.message, /held a lock for too long \(55P03\)/)
    })
    assert.ok(took > 250 && took < 5000, `${took} ms`)
    assert.equal(await read(storage, 'a'), '1', 'reading goes on')
    await blocker.query('ROLLBACK')
    await blocker.end()
    await write(storage, { a: '3' })
    await close()
  })

  test('while nothing can be reached requests wait for a bounded time, then are refused with the reason', async () => {
    await open({ waitMs: 1500 })
    await write(storage, { a: '1' })
    told.length = 0
    proxy.accepts = false
    proxy.cutAll()
    const took = await elapsed(async () => {
      for (const result of await Promise.all([outcome(write(storage, { a: '2' })), outcome(read(storage, 'a'))])) {
        assert.ok(result instanceof StorageUnavailable, String(result))
        assert.match(
          result.message,
          /no database can be used: 127\.0\.0\.1:\d+: connection reset|the connection was lost/,
        )
      }
    })
    assert.ok(took > 1000 && took < 6000, `${took} ms`)
    const waiting = write(storage, { a: '3' })
    await pause(200)
    proxy.accepts = true
    await waiting
    assert.equal(await read(direct, 'a'), '3')
    assert.ok(told.includes('the database is reached again'))
    assert.ok(told.every((message) => !message.includes('postgres://')))
    await close()
  })

  test('a restart of the server is survived without a new store', async () => {
    await open()
    await write(storage, { a: '1' })
    cluster.stop('immediate')
    // Else the commit goes out before anything tells that nobody is there.
    await pause(50)
    const waiting = write(storage, { b: '1' })
    cluster.start()
    await waiting
    assert.equal(await read(storage, 'a'), '1')
    await close()
  })
})

describe('failover', { skip }, () => {
  test('the primary is killed under load: no acknowledged write is lost, and the store finds the new one by itself', async (t) => {
    const primary = await startCluster({ durable: true })
    const standby = await primary.standby(true)
    const hosts = `127.0.0.1:${standby.port},127.0.0.1:${primary.port}`
    const storage = await postgresStorage({ url: `postgres://postgres@${hosts}/postgres`, connectTimeoutMs: 1000 })
    const acknowledged: string[] = []
    let [over, last, gap, unknown] = [false, performance.now(), 0, 0]
    const client = async (c: number): Promise<void> => {
      for (let i = 0; !over; i++) {
        const id = `${c}-${i}`
        const result = await outcome(write(storage, { [`left/${id}`]: id, [`right/${id}`]: id }))
        if (result === 'done') {
          acknowledged.push(id)
          gap = Math.max(gap, performance.now() - last)
          last = performance.now()
        } else if (result instanceof OutcomeUnknown) unknown++
        else throw result
      }
    }
    try {
      const clients = Promise.all(Array.from({ length: 8 }, (_, c) => client(c)))
      for (const limit = Date.now() + 20_000; acknowledged.length < 200 && Date.now() < limit; ) await pause(10)
      primary.kill()
      const before = acknowledged.length
      standby.promote()
      standby.sql(`ALTER SYSTEM SET synchronous_standby_names = ''`)
      standby.reload()
      for (const limit = Date.now() + 20_000; acknowledged.length < before + 200 && Date.now() < limit; )
        await pause(10)
      over = true
      await clients
      assert.ok(acknowledged.length >= before + 200, 'writes go on')
      const [left, right] = await storage.view(async (tx) => [await tx.scan('left/'), await tx.scan('right/')])
      assert.deepEqual(left, right)
      const there = new Set(left)
      const lost = acknowledged.filter((id) => !there.has(id))
      assert.deepEqual(lost, [])
      t.diagnostic(
        `${acknowledged.length} acknowledged, none lost; ${unknown} unknown; ${gap.toFixed(0)} ms without service`,
      )
    } finally {
      over = true
      await storage.close()
      standby.remove()
      primary.remove()
    }
  })

  test('revisions are not used again when a standby takes over that has missed some', async () => {
    const primary = await startCluster()
    const before = await postgresStorage({ url: primary.url })
    await write(before, { a: '1' })
    const standby = await primary.standby(false)
    const version = async (of: Storage) => (await of.view((tx) => tx.get('a')))?.version ?? 0
    standby.stop('immediate')
    for (let i = 0; i < 100; i++) await write(before, { a: `${i}` })
    const lost = await version(before)
    await before.close()
    primary.kill()
    standby.start()
    standby.promote()
    try {
      const after = await postgresStorage({ url: standby.url })
      await write(after, { a: 'new' })
      const now = await version(after)
      assert.ok(now > lost + 1_000_000, `${now} after ${lost}`)
      await write(after, { a: 'newer' })
      assert.equal(await version(after), now + 1, 'one leap')
      await after.close()
    } finally {
      standby.remove()
      primary.remove()
    }
  })

  test('a server that stops waiting for its standby has not acknowledged the commit', async () => {
    const primary = await startCluster()
    const standby = await primary.standby(true)
    const storage = await postgresStorage({ url: primary.url })
    try {
      await write(storage, { a: '1' })
      standby.stop('immediate')
      const waiting = outcome(write(storage, { a: '2' }))
      for (const limit = Date.now() + 10_000; Date.now() < limit; await pause(50)) {
        const cancelled = primary.sql(
          `SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'`,
        )
        if (cancelled !== '0') break
      }
      assert.ok((await waiting) instanceof OutcomeUnknown)
    } finally {
      primary.sql(`ALTER SYSTEM SET synchronous_standby_names = ''`)
      primary.reload()
      await storage.close()
      standby.remove()
      primary.remove()
    }
  })

  test('a demoted server is left for the one that takes writes', async () => {
    const [one, two] = [await startCluster(), await startCluster()]
    const proxy = await startProxy(one.port)
    const storage = await postgresStorage({ url: `postgres://postgres@127.0.0.1:${proxy.port}/postgres` })
    try {
      await write(storage, { a: 'one' })
      await (await postgresStorage({ url: two.url })).close()
      // As after a switch by an address that moves: connections stay, the server takes no writes any more.
      one.sql('ALTER SYSTEM SET default_transaction_read_only = on')
      one.reload()
      await pause(500)
      proxy.target = two.port
      await write(storage, { a: 'two' })
      const there = await postgresStorage({ url: two.url })
      assert.equal(await read(there, 'a'), 'two')
      await there.close()
    } finally {
      await storage.close()
      await proxy.stop()
      one.remove()
      two.remove()
    }
  })
})

describe('who comes in', { skip }, () => {
  test('a password from a file changes without a restart; a wrong one is told without it', async () => {
    const cluster = await startCluster({
      access: [
        'local all all trust',
        'host all postgres 127.0.0.1/32 trust',
        'host all app 127.0.0.1/32 scram-sha-256',
      ],
    })
    try {
      cluster.sql(`CREATE ROLE app LOGIN PASSWORD 'first'; GRANT CREATE ON DATABASE postgres TO app`)
      const file = path.join(cluster.folder, 'password')
      writeFileSync(file, 'first\n', { mode: 0o600 })
      const url = `postgres://app@127.0.0.1:${cluster.port}/postgres`
      const storage = await postgresStorage({ url, password: { file }, waitMs: 2000 })
      await write(storage, { a: '1' })
      cluster.sql(`ALTER ROLE app PASSWORD 'second'`)
      writeFileSync(file, 'second\n')
      cluster.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'`)
      await pause(50)
      await write(storage, { a: '2' })
      assert.equal(await read(storage, 'a'), '2')
      await storage.close()
      for (const [password, why] of [
        [{ file }, undefined],
        [{ env: 'COFFER_TEST_PG_PASSWORD' }, /password_env/],
        [{ file: path.join(cluster.folder, 'none') }, /password_file cannot be read: ENOENT/],
        [{}, /the server wants a password/],
      ] as const) {
        const opening = postgresStorage({ url, password })
        if (why)
          await assert.rejects(opening, (error: unknown) => error instanceof StorageUnusable && why.test(error.message))
        else await (await opening).close()
      }
      const wrong = postgresStorage({ url: url.replace('app@', 'app:canary-password@') })
      await assert.rejects(wrong, (error: unknown) => {
        assert.ok(error instanceof StorageUnusable)
        assert.match(error.message, /the password is wrong \(28P01\)/)
        assert.doesNotMatch(String(error.stack) + JSON.stringify(error), /canary/)
        return true
      })
    } finally {
      cluster.remove()
    }
  })

  test('TLS: what each sslmode takes, and a client certificate instead of a password', async () => {
    const cluster = await startCluster({
      access: [
        'local all all trust',
        'hostssl all app 127.0.0.1/32 cert',
        'hostssl all postgres 127.0.0.1/32 trust',
        'hostnossl all plain 127.0.0.1/32 trust',
      ],
    })
    try {
      const [ours, others] = [await makeAuthority(cluster.folder), await makeAuthority(cluster.folder)]
      const [server, client, stranger] = [
        await ours.issue('localhost'),
        await ours.issue('app'),
        await others.issue('app'),
      ]
      const { uid, gid } = unprivileged
      if (uid !== undefined)
        for (const file of [server.cert, server.key, ours.file]) chownSync(file, uid, gid as number)
      cluster.sql('CREATE ROLE app LOGIN; CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE postgres TO app, plain')
      for (const [name, file] of [
        ['ssl_cert_file', server.cert],
        ['ssl_key_file', server.key],
        ['ssl_ca_file', ours.file],
      ])
        cluster.sql(`ALTER SYSTEM SET ${name} = '${file}'`)
      cluster.sql('ALTER SYSTEM SET ssl = on')
      cluster.reload()
      await pause(200)
      const opens = async (host: string, user: string, parameters: Record<string, string>): Promise<string> => {
        const url = `postgres://${user}@${host}:${cluster.port}/postgres?${new URLSearchParams(parameters)}`
        const result = await outcome(
          postgresStorage({ url, schema: user, waitMs: 300 }).then((storage) => storage.close()),
        )
        return result === 'done' ? 'opens' : (result as Error).message.replace(/^.*:\d+: /, '')
      }
      const root = { sslrootcert: ours.file }
      const own = { ...root, sslcert: client.cert, sslkey: client.key }
      assert.equal(await opens('localhost', 'postgres', { sslmode: 'verify-full', ...root }), 'opens')
      assert.equal(await opens('localhost', 'postgres', root), 'opens')
      assert.equal(await opens('127.0.0.1', 'postgres', { sslmode: 'require' }), 'opens')
      assert.equal(await opens('127.0.0.1', 'postgres', { sslmode: 'prefer' }), 'opens')
      assert.equal(await opens('127.0.0.1', 'postgres', { sslmode: 'verify-ca', ...root }), 'opens')
      assert.match(
        await opens('127.0.0.1', 'postgres', { sslmode: 'verify-full', ...root }),
        /TLS: ERR_TLS_CERT_ALTNAME/,
      )
      for (const sslmode of ['verify-ca', 'verify-full', 'require'])
        assert.match(
          await opens('localhost', 'postgres', { sslmode, sslrootcert: others.file }),
          /TLS: .*(SIGNED|ISSUER|LEAF)/,
        )
      assert.match(await opens('127.0.0.1', 'postgres', { sslmode: 'disable' }), /does not let this user in \(28000\)/)
      assert.equal(await opens('127.0.0.1', 'plain', { sslmode: 'disable' }), 'opens')
      assert.equal(await opens('localhost', 'app', { sslmode: 'verify-full', ...own }), 'opens')
      assert.notEqual(await opens('localhost', 'app', { sslmode: 'verify-full', ...root }), 'opens')
      const foreign = { ...root, sslcert: stranger.cert, sslkey: stranger.key }
      assert.notEqual(await opens('localhost', 'app', { sslmode: 'verify-full', ...foreign }), 'opens')
      assert.match(await opens('localhost', 'app', { ...own, sslkey: '/none' }), /sslkey cannot be read: ENOENT/)
    } finally {
      cluster.remove()
    }
  })
})
