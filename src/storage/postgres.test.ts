// The PostgreSQL store passes the contract over a real server: directly, and behind pgbouncer in transaction mode.
import { after, before, test } from 'node:test'
import {
  type Cluster,
  type Pooler,
  pgbouncerMissing,
  postgresMissing,
  startCluster,
  startPgbouncer,
} from '../../test/postgres.ts'
import { storageContract } from './contract.ts'
import { postgresStorage } from './postgres.ts'
import type { Storage } from './storage.ts'

let cluster: Cluster
let pooler: Pooler | undefined

function contractOver(name: string, url: () => string): void {
  let stores = 0
  storageContract(name, async (options) => {
    const schema = `${name} ${++stores}`
    const open = (): Promise<Storage> => postgresStorage({ url: url(), schema, ...options })
    const storage = await open()
    const opened = [storage]
    return {
      storage,
      async reopen() {
        for (const one of opened) await one.close()
        const again = await open()
        opened.push(again)
        return again
      },
      async close() {
        for (const one of opened) await one.close()
        cluster.sql(`DROP SCHEMA "${schema}" CASCADE`)
      },
    }
  })
}

const missing = postgresMissing()
if (missing) test('storage contract: postgresql', { skip: missing })
else {
  before(async () => {
    cluster = await startCluster()
    if (!pgbouncerMissing()) pooler = await startPgbouncer(cluster)
  })
  after(async () => {
    await pooler?.stop()
    cluster.remove()
  })
  contractOver('postgresql', () => cluster.url)
  const behind = pgbouncerMissing()
  if (behind) test('storage contract: postgresql behind pgbouncer', { skip: behind })
  else contractOver('postgresql behind pgbouncer', () => `postgres://postgres@127.0.0.1:${pooler?.port}/postgres`)
}
