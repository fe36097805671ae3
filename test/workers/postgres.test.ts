// Two workers over PostgreSQL: the same promises as over a file, and a worker that dies leaves nothing locked.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgresMissing, startCluster } from '../postgres.ts'
import { startDurable } from '../process.ts'
import { allServe, asker, countOf, enough, many, pidsOf, removePool, until } from './pool.ts'

test('workers over PostgreSQL agree, also after one has died', { skip: postgresMissing() }, async (t) => {
  const cluster = await startCluster()
  t.after(() => cluster.remove())
  const storage = `storage "postgresql" {\n  connection_url = "${await cluster.database()}"\n}`
  const server = await startDurable({ storage, extra: 'workers = 2\n' })
  t.after(() => removePool(server))
  await allServe(server)
  const ask = asker(server)
  assert.equal((await ask('POST', 'sys/mounts/v2', { type: 'kv', options: { version: '2' } })).status, 204)
  const raced = (version: number) =>
    many(20, (writer) => ask('PUT', 'v2/data/raced', { data: { writer }, options: { cas: version } }))
  assert.equal(countOf(await raced(0), 200), 1)
  const pid = pidsOf(server).get(1) as number
  const writes = Promise.allSettled(
    Array.from({ length: 20 }, (_, index) => ask('PUT', `v2/data/${index}`, { data: { index } })),
  )
  process.kill(pid, 'SIGKILL')
  await writes
  await until(server, 'a new worker serves', () => pidsOf(server).get(1) !== pid)
  assert.equal(countOf(await raced(1), 200), 1)
  assert.equal(countOf(await many(enough, () => ask('GET', 'v2/data/raced')), 200), enough)
})
