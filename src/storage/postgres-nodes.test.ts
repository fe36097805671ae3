// Several nodes over one database: first starts at once, lost updates, phantoms, write skew, and processes of their own.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { type Cluster, pgbouncerMissing, postgresMissing, startCluster, startPgbouncer } from '../../test/postgres.ts'
import { startProxy } from '../../test/proxy.ts'
import { bytes, read, text, write } from './contract-kit.ts'
import { postgresStorage } from './postgres.ts'
import { type Storage, StorageUnusable, ValueTooLarge, type Writer } from './storage.ts'

const skip = postgresMissing()
const number = async (tx: Writer, key: string): Promise<number> =>
  Number(text((await tx.get(key))?.value ?? bytes('0')))

describe('several nodes over one database', { skip }, () => {
  let cluster: Cluster
  let url = ''
  let nodes: Storage[] = []
  const open = async (count: number, more: object = {}): Promise<Storage[]> => {
    url = await cluster.database()
    nodes = await Promise.all(Array.from({ length: count }, () => postgresStorage({ url, ...more })))
    return nodes
  }
  const closeAll = async (): Promise<void> => {
    for (const node of nodes) await node.close()
  }
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.remove())

  test('first starts at once make one schema', async () => {
    await open(8, { connectionsMax: 2 })
    await Promise.all(nodes.map((node, i) => write(node, { [`k/${i}`]: '1' })))
    assert.equal((await (nodes[0] as Storage).view((tx) => tx.list('k/'))).length, 8)
    await closeAll()
  })

  test('counters lose no update, with hundreds of transactions at once', async () => {
    await open(3)
    const add = (node: Storage, key: string) =>
      node.update(async (tx) => tx.put(key, bytes(`${(await number(tx, key)) + 1}`)))
    await Promise.all(nodes.flatMap((node) => Array.from({ length: 120 }, (_, i) => add(node, `count/${i % 12}`))))
    const counts = await Promise.all(Array.from({ length: 12 }, (_, i) => read(nodes[0] as Storage, `count/${i}`)))
    assert.deepEqual(counts, Array(12).fill('30'))
    await closeAll()
  })

  const claims: Record<string, (tx: Writer, slot: string) => Promise<boolean>> = {
    'an absent key read by one and written by the other': async (tx, slot) => {
      const others = ['a', 'b', 'c'].map((who) => `skew/${slot}/${who}`)
      return (await tx.getMany(others)).every((entry) => entry === undefined)
    },
    'an absent key that is expected': async (tx, slot) => {
      if (tx.attempt > 0) return (await tx.list(`skew/${slot}/`)).length === 0
      for (const who of ['a', 'b', 'c']) tx.expect(`skew/${slot}/${who}`, 0)
      return true
    },
    'a range that was empty': async (tx, slot) => (await tx.list(`skew/${slot}/`)).length === 0,
    'a range above the folders': async (tx, slot) =>
      (await tx.scan('')).every((key) => !key.startsWith(`skew/${slot}/`)),
    'entries with a limit': async (tx, slot) => (await tx.entries(`skew/${slot}/`, { limit: 1 })).length === 0,
  }
  for (const [name, free] of Object.entries(claims)) {
    test(`write skew is excluded: ${name}`, async () => {
      await open(3)
      const slots = Array.from({ length: 40 }, (_, i) => `${i}`)
      const wins = await Promise.all(
        slots.flatMap((slot) =>
          nodes.map((node, i) =>
            node.update(async (tx) => {
              const won = await free(tx, slot)
              if (won) tx.put(`skew/${slot}/${'abc'[i]}`, bytes('mine'))
              return won
            }),
          ),
        ),
      )
      assert.equal(wins.filter(Boolean).length, slots.length)
      const held = await (nodes[0] as Storage).view((tx) => tx.scan('skew/'))
      assert.equal(held.length, slots.length, 'one winner for each')
      await closeAll()
    })
  }

  test('a view is one state while other nodes move amounts', async () => {
    const [here, there] = (await open(2)) as [Storage, Storage]
    await write(here, { a: '100', b: '100', c: '100' })
    let over = false
    const move = async (node: Storage, from: string, to: string): Promise<void> => {
      for (let i = 0; i < 60; i++)
        await node.update(async (tx) => {
          tx.put(from, bytes(`${(await number(tx, from)) - 1}`))
          tx.put(to, bytes(`${(await number(tx, to)) + 1}`))
        })
    }
    const watch = async (node: Storage, ways: readonly string[]): Promise<void> => {
      while (!over) {
        const sum = await node.view(async (tx) => {
          let total = 0
          for (const key of ways) total += await number(tx as Writer, key)
          return total
        })
        assert.equal(sum, 300)
      }
    }
    const watching = [watch(here, ['a', 'b', 'c']), watch(there, ['c', 'a', 'b'])]
    await Promise.all([move(here, 'a', 'b'), move(there, 'b', 'c'), move(there, 'c', 'a')]).finally(() => {
      over = true
    })
    await Promise.all(watching)
    await closeAll()
  })

  test('a conflict in a group fails its own transaction alone, and a refused key does not fail the others', async () => {
    const [here, there] = (await open(2, { connectionsMax: 2 })) as [Storage, Storage]
    await write(here, { shared: '1' })
    const attempts = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        here.update(async (tx) => {
          await tx.get(i === 7 ? 'shared' : `own/${i}`)
          if (i === 7 && tx.attempt === 0) await write(there, { shared: '2' })
          tx.put(`own/${i}`, bytes('1'))
          return tx.attempt
        }),
      ),
    )
    assert.deepEqual(
      attempts,
      Array.from({ length: 20 }, (_, i) => (i === 7 ? 1 : 0)),
    )
    await closeAll()
  })

  test('processes of their own count together, one revision for each commit', async () => {
    url = await cluster.database()
    const module = new URL('./postgres.ts', import.meta.url).href
    const source = `import { postgresStorage } from ${JSON.stringify(module)}
      const storage = await postgresStorage({ url: ${JSON.stringify(url)}, connectionsMax: 4 })
      const bytes = (text) => new TextEncoder().encode(text)
      const add = () => storage.update(async (tx) => {
        const entry = await tx.get('n')
        const n = entry === undefined ? 1 : Number(new TextDecoder().decode(entry.value)) + 1
        if ((await tx.list('log/', { after: String(n).padStart(6, '0') })).length > 0) throw new Error('ahead of the count')
        tx.put('n', bytes(String(n)))
        tx.put('log/' + String(n).padStart(6, '0'), bytes(String(process.pid)))
      })
      await Promise.all([1, 2, 3].map(async () => { for (let i = 0; i < 20; i++) await add() }))
      await storage.close()`
    const ended = [1, 2, 3].map(
      () =>
        new Promise((resolve) => {
          const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
            stdio: ['ignore', 'inherit', 'inherit'],
          })
          child.on('close', resolve)
        }),
    )
    assert.deepEqual(await Promise.all(ended), [0, 0, 0])
    const storage = await postgresStorage({ url })
    assert.equal(await read(storage, 'n'), '180')
    const log = await storage.view((tx) => tx.entries('log/'))
    assert.equal(log.length, 180)
    assert.equal(new Set(log.map(({ value }) => text(value))).size, 3)
    assert.equal(new Set(log.map(({ version }) => version)).size, 180)
    await storage.close()
  })

  test('round trips: facts travel with the reads, and the last reading is the proof', async () => {
    const proxy = await startProxy(cluster.port)
    url = (await cluster.database()).replace(`:${cluster.port}`, `:${proxy.port}`)
    const node = await postgresStorage({ url })
    await write(node, { epoch: '1', token: '1', 'kv/a': '1' })
    const [epoch, token] = await node.view((tx) => tx.getMany(['epoch', 'token']))
    const trips = async (fn: (tx: Writer) => unknown): Promise<number> => {
      const before = proxy.trips()
      await node.update(async (tx) => {
        if (tx.attempt > 0) throw new Error('run again')
        tx.expect('epoch', epoch?.version ?? 0)
        tx.expect('token', token?.version ?? 0)
        await fn(tx)
      })
      return proxy.trips() - before
    }
    assert.equal(await trips((tx) => tx.get('kv/a')), 1)
    assert.equal(await trips((tx) => Promise.all([tx.get('kv/a'), tx.get('kv/none')])), 1)
    assert.equal(await trips((tx) => tx.list('kv/')), 1)
    assert.equal(await trips(async (tx) => [await tx.get('kv/a'), await tx.get('kv/none')]), 2)
    assert.equal(await trips(async (tx) => tx.put('kv/b', bytes('1'))), 1)
    assert.equal(await trips(async (tx) => tx.put('kv/b', (await tx.get('kv/a'))?.value ?? bytes(''))), 2)
    assert.equal(await trips(async (tx) => [await tx.list('kv/'), await tx.verify()]), 2)
    const before = proxy.trips()
    await Promise.all(Array.from({ length: 50 }, (_, i) => read(node, `kv/${i}`)))
    assert.ok(proxy.trips() - before < 5, 'reads of one tick travel together')
    await node.close()
    await proxy.stop()
  })

  test('a list of many folders seeks, also in a table that the server does not know yet, and behind a pooler', async () => {
    const pooler = pgbouncerMissing() ? undefined : await startPgbouncer(cluster)
    const [direct] = (await open(1, { statementTimeoutMs: 5000 })) as [Storage]
    const pooled =
      pooler &&
      (await postgresStorage({ url: url.replace(`:${cluster.port}`, `:${pooler.port}`), statementTimeoutMs: 5000 }))
    await direct.update(async (tx) => {
      for (let i = 0; i < 20_000; i++) tx.put(`many/x/${i % 4000}/${i}`, bytes('v'))
    })
    for (const node of pooled ? [direct, pooled] : [direct]) {
      const attempt = await node.update(async (tx) => {
        assert.equal((await tx.list('many/x/')).length, 4000)
        assert.equal((await tx.list('many/x/', { after: '2', limit: 300 })).length, 300)
        tx.put('other', bytes('1'))
        return tx.attempt
      })
      assert.equal(attempt, 0)
    }
    await pooled?.close()
    await closeAll()
    await pooler?.stop()
  })

  test('what is foreign, newer or not to be made is refused, and left as it is', async () => {
    url = await cluster.database()
    const database = new URL(url).pathname.slice(1)
    const refused = async (pattern: RegExp, more: object = {}) =>
      assert.rejects(
        postgresStorage({ url, ...more }),
        (error: unknown) => error instanceof StorageUnusable && pattern.test(error.message),
      )
    await refused(/no tables of Coffer, and skip_create_table is set/, { create: false })
    cluster.sql('CREATE SCHEMA other; CREATE TABLE other.entry (id int)', database)
    await refused(/tables that are not Coffer's/, { schema: 'other' })
    cluster.sql('CREATE SCHEMA shop; CREATE TABLE shop.store (name text)', database)
    await refused(/tables that are not Coffer's/, { schema: 'shop' })
    await (await postgresStorage({ url })).close()
    await (await postgresStorage({ url, create: false })).close()
    cluster.sql('UPDATE coffer.store SET format = 2', database)
    await refused(/written by a newer version of Coffer \(format 2, this one knows 1\)/)
    cluster.sql(`UPDATE coffer.store SET format = 1, application = 'x'`, database)
    await refused(/tables that are not Coffer's/)
    assert.equal(cluster.sql('SELECT count(*) FROM other.entry', database), '0')
    await refused(/there is no such database \(3D000\)/, { url: url.replace(database, 'nowhere') })
    cluster.sql(`ALTER DATABASE ${database} SET default_transaction_isolation = 'serializable'`)
    await refused(/default_transaction_isolation is "serializable"/)
    cluster.sql(`ALTER DATABASE ${database} RESET ALL; ALTER DATABASE ${database} SET synchronous_commit = off`)
    await refused(/synchronous_commit is off/)
  })

  test('a role that owns nothing uses what was made for it; keys of the longest length need no luck', async () => {
    url = await cluster.database()
    const database = new URL(url).pathname.slice(1)
    cluster.sql('CREATE ROLE app LOGIN')
    await (await postgresStorage({ url })).close()
    cluster.sql(
      `GRANT USAGE ON SCHEMA coffer TO app; GRANT SELECT, UPDATE ON coffer.store TO app;
       GRANT SELECT, INSERT, UPDATE, DELETE ON coffer.entry TO app; GRANT USAGE, UPDATE ON SEQUENCE coffer.revision TO app`,
      database,
    )
    const storage = await postgresStorage({ url: url.replace('postgres@', 'app@'), create: false })
    const letters = Array.from({ length: 2560 }, () => String.fromCharCode(33 + Math.random() * 90)).join('')
    await write(storage, { [letters]: 'kept' })
    assert.equal(await read(storage, letters), 'kept')
    await assert.rejects(write(storage, { [`${letters}x`]: 'x' }), ValueTooLarge)
    await storage.close()
  })
})
