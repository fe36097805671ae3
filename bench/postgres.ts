// `bin/runtime bench/postgres.ts`: the PostgreSQL store over a real server on this machine, beside a loop of bare `SELECT 1` in the same run.
// BENCH_SECONDS (3) and BENCH_CLIENTS (128) change the size. Without PostgreSQL it ends with a word.
import { Buffer } from 'node:buffer'
import pg from 'pg'
import { postgresStorage } from '../src/storage/postgres.ts'
import type { Reader, Storage, Writer } from '../src/storage/storage.ts'
import { postgresMissing, startCluster } from '../test/postgres.ts'

const seconds = Number(process.env['BENCH_SECONDS'] ?? 3)
const clients = Number(process.env['BENCH_CLIENTS'] ?? 128)
const records = 10_000
const value = Buffer.alloc(300, 'v')

/** Runs `work` by so many clients at once; gives runs per second. */
async function rate(count: number, work: (client: number, n: number) => Promise<unknown>): Promise<number> {
  let [done, over] = [0, false]
  const loop = async (client: number): Promise<void> => {
    for (let n = 0; !over; n++) {
      await work(client, n)
      done++
    }
  }
  const began = performance.now()
  setTimeout(() => {
    over = true
  }, seconds * 1000)
  await Promise.all(Array.from({ length: count }, (_, client) => loop(client)))
  return (done * 1000) / (performance.now() - began)
}

const any = (client: number, n: number): string => `bench/${(client * 7919 + n * 104_729) % records}`
let bare = 1
const show = (name: string, perSecond: number, more = ''): void =>
  console.log(
    `${name.padEnd(58)}${Math.round(perSecond).toLocaleString('en-US').padStart(8)}/s   ${(perSecond / bare).toFixed(2).padStart(6)} of SELECT 1${more}`,
  )

async function measureReads(storage: Storage): Promise<void> {
  const version = (await storage.view((tx) => tx.get('epoch')))?.version ?? 0
  const read = (fn: (tx: Reader, client: number, n: number) => unknown) =>
    rate(clients, (client, n) => storage.view((tx) => fn(tx, client, n)))
  show('reads of two keys', await read((tx, c, n) => tx.getMany([any(c, n), any(c + 1, n)])))
  show(
    'one record expected, one key read (one trip)',
    await read((tx, c, n) => {
      tx.expect('epoch', version)
      return tx.get(any(c, n))
    }),
  )
  show(
    'one record expected, two keys read in turn (two trips)',
    await read(async (tx, c, n) => {
      tx.expect('epoch', version)
      await tx.get(any(c, n))
      return tx.get(any(c + 1, n))
    }),
  )
}

async function measureCommits(storage: Storage): Promise<void> {
  const version = (await storage.view((tx) => tx.get('epoch')))?.version ?? 0
  let runs = 0
  const commit = async (count: number, fn: (tx: Writer, client: number, n: number) => unknown) => {
    runs = 0
    let commits = 0
    const perSecond = await rate(count, async (client, n) => {
      await storage.update((tx) => {
        runs++
        return fn(tx, client, n)
      })
      commits++
    })
    return [perSecond, `   ${(runs / commits).toFixed(2)} runs each`] as const
  }
  const independent = async (tx: Writer, client: number, n: number): Promise<void> => {
    if (tx.attempt === 0) tx.expect('epoch', version)
    tx.put(`own/${client}/${n % 50}`, value)
  }
  for (const count of [1, 8, 32, clients])
    show(`commits of own keys, a shared record expected, ${count} clients`, ...(await commit(count, independent)))
  show(
    'read one key, write it, a shared record expected',
    ...(await commit(clients, async (tx, client, n) => {
      if (tx.attempt === 0) tx.expect('epoch', version)
      await tx.get(`own/${client}/${n % 50}`)
      tx.put(`own/${client}/${n % 50}`, value)
    })),
  )
  show(
    'a counter that all write, 16 clients',
    ...(await commit(16, async (tx) => {
      const entry = await tx.get('counter')
      tx.put('counter', Buffer.from(String(Number(Buffer.from(entry?.value ?? []).toString()) + 1)))
    })),
  )
}

const missing = postgresMissing()
if (missing) {
  console.error(missing)
  process.exit(1)
}
const cluster = await startCluster({ durable: true, settings: ['shared_buffers = 128MB'] })
try {
  const loop = Array.from({ length: 4 }, () => new pg.Client({ connectionString: cluster.url }))
  await Promise.all(loop.map((client) => client.connect()))
  bare = await rate(4, (client) => (loop[client] as pg.Client).query('SELECT 1'))
  await Promise.all(loop.map((client) => client.end()))
  show('bare SELECT 1, 4 connections', bare)
  const storage = await postgresStorage({ url: cluster.url })
  for (let start = 0; start < records; start += 1000)
    await storage.update(async (tx) => {
      for (let i = start; i < start + 1000; i++) tx.put(`bench/${i}`, value)
      tx.put('epoch', value)
    })
  await measureReads(storage)
  await measureCommits(storage)
  await storage.close()
} finally {
  cluster.remove()
}
