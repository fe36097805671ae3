// The PostgreSQL store: the contract over a real server, and what only a store of several nodes can get wrong.
import { after, before } from 'node:test'
import { type Cluster, postgresMissing, startCluster } from '../../test/postgres.ts'
import { storageContract } from './contract.ts'
import { postgresStorage } from './postgres.ts'

const skip = postgresMissing()
let cluster: Cluster
if (!skip) {
  before(async () => {
    cluster = await startCluster()
  })
  after(() => cluster?.remove())

  let stores = 0
  storageContract('postgresql', async (options) => {
    const schema = `contract ${++stores}`
    const open = () => postgresStorage({ url: cluster.url, schema, ...options })
    const opened = [await open()]
    return {
      storage: opened[0] as Awaited<ReturnType<typeof open>>,
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
