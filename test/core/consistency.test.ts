// The consistency suite over the stores there are: two cores in one process, and two processes.
import { rmSync } from 'node:fs'
import { test } from 'node:test'
import { memoryStorage } from '../../src/storage/memory.ts'
import { postgresStorage } from '../../src/storage/postgres.ts'
import { sqliteStorage } from '../../src/storage/sqlite.ts'
import type { Storage } from '../../src/storage/storage.ts'
import { type Inside, startInside } from '../inside.ts'
import { postgresMissing, startCluster } from '../postgres.ts'
import { newFolder, type ServerProcess, startDurable } from '../process.ts'
import { consistencyContract, type Pair, type Peer } from './consistency.ts'

const verbs = { GET: 'read', POST: 'write', DELETE: 'delete' } as const

const peerInside = (core: Inside): Peer => ({
  ask: (method, path, body, { headers = {}, ...more } = {}) =>
    core.call(verbs[method], path, body, {
      headers,
      wrapTtlSeconds: Number(headers['x-vault-wrap-ttl'] ?? 0),
      ...more,
    }),
  async allows(origin) {
    const { enabled, allowedOrigins } = await core.assembly.handler.cors()
    return enabled && allowedOrigins.includes(origin)
  },
})

/** Two cores in this process, each over its own opening of one store. */
async function coresOver(first: Storage, second: Storage, remove: () => Promise<void>): Promise<Pair> {
  const one = await startInside(first)
  const two = await startInside(second, { beside: one })
  return {
    peers: [peerInside(one), peerInside(two)],
    async close() {
      await one.assembly.close()
      await two.assembly.close()
      await remove()
    },
  }
}

const peerProcess = (server: ServerProcess): Peer => ({
  ask: (method, path, body, { token = server.rootToken, namespace, headers } = {}) =>
    server.call(method, path, body, {
      ...headers,
      'x-vault-token': token,
      ...(namespace && { 'x-vault-namespace': namespace }),
    }),
  async allows(origin) {
    const answer = await server.call('GET', 'sys/health', undefined, { origin })
    return answer.headers.get('access-control-allow-origin') === origin
  },
})

consistencyContract('two cores over one store in memory', async () => {
  const storage = memoryStorage()
  return await coresOver(storage, storage, () => storage.close())
})

consistencyContract('two cores over one SQLite file', async () => {
  const folder = newFolder()
  const [first, second] = [await sqliteStorage({ folder }), await sqliteStorage({ folder })]
  return await coresOver(first, second, async () => {
    await first.close()
    await second.close()
    rmSync(folder, { recursive: true, force: true })
  })
})

const missing = postgresMissing()
if (missing) test.skip(`consistency over PostgreSQL: ${missing}`)
else
  consistencyContract('two cores over one PostgreSQL', async () => {
    const cluster = await startCluster()
    const url = await cluster.database()
    const [first, second] = [await postgresStorage({ url }), await postgresStorage({ url })]
    return await coresOver(first, second, async () => {
      await first.close()
      await second.close()
      cluster.remove()
    })
  })

consistencyContract('two processes over one SQLite file', async () => {
  const first = await startDurable()
  const second = await startDurable({ folder: first.folder, rootToken: first.rootToken })
  return {
    peers: [peerProcess(first), peerProcess(second)],
    async close() {
      await second.end()
      await first.remove()
    },
  }
})
