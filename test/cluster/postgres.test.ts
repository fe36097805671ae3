import { after, before, test } from 'node:test'
import { type Cluster, postgresMissing, startCluster } from '../postgres.ts'
import { judgeNodes } from './linearizability.ts'

const skip = postgresMissing()
let cluster: Cluster
let url: string

before(async () => {
  if (skip) return
  cluster = await startCluster()
  url = await cluster.database()
})
after(() => cluster?.remove())

test('three nodes over one PostgreSQL answer as one would, through faults', { skip, timeout: 900_000 }, (t) =>
  judgeNodes(3, (text) => t.diagnostic(text), `storage "postgresql" {\n  connection_url = "${url}"\n}`),
)
