// Two servers over one PostgreSQL: what one acknowledged holds on the other, an outage is answered, and no secret of the connection shows.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Cluster, postgresMissing, startCluster } from '../postgres.ts'
import { freePort, newFolder, type ServerProcess, spawnServer, startProcess } from '../process.ts'

const password = 'canary-database-password'

describe('servers over PostgreSQL', { skip: postgresMissing() }, () => {
  const folder = newFolder()
  let cluster: Cluster
  let nodes: ServerProcess[] = []
  let token = ''
  const start = async (name: string): Promise<ServerProcess> => {
    const port = await freePort()
    const file = path.join(folder, `${name}.hcl`)
    writeFileSync(
      file,
      `storage "postgresql" {
  connection_url = "postgres://app:${password}@127.0.0.1:${cluster.port}/postgres"
  failover_timeout = "2s"
}
listener "tcp" {
  address = "127.0.0.1:${port}"
  tls_disable = true
}
seal "static" {
  current_key_id = "test"
  current_key = "${Buffer.alloc(32, 7).toString('base64')}"
}
log_level = "debug"
`,
      { mode: 0o600 },
    )
    return await startProcess({ args: [`-config=${file}`], port, folder })
  }
  const call = (node: number, method: string, at: string, body?: unknown, as = token) =>
    (nodes[node] as ServerProcess).call(method, at, body, { 'x-vault-token': as })

  before(async () => {
    cluster = await startCluster({
      access: ['local all all trust', 'host all app 127.0.0.1/32 scram-sha-256'],
    })
    cluster.sql(`CREATE ROLE app LOGIN PASSWORD '${password}'; GRANT CREATE ON DATABASE postgres TO app`)
    nodes = [await start('one')]
    const init = await call(0, 'PUT', 'sys/init', { recovery_shares: 1, recovery_threshold: 1 }, '')
    assert.equal(init.status, 200, JSON.stringify(init.body))
    token = init.body.root_token
    nodes.push(await start('two'))
    for (const limit = Date.now() + 30_000; (await call(1, 'GET', 'sys/health')).status !== 200; ) {
      assert.ok(Date.now() < limit, 'the other node unseals itself')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })
  after(async () => {
    for (const node of nodes) await node.end('SIGKILL')
    cluster?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  test('what one acknowledged holds on the other in the next request', async () => {
    assert.equal((await call(0, 'GET', 'sys/seal-status')).body.storage_type, 'postgresql')
    assert.equal((await call(0, 'POST', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } })).status, 204)
    for (let i = 0; i < 20; i++) {
      assert.equal((await call(i % 2, 'POST', 'kv/data/a', { data: { n: i } })).status, 200)
      assert.equal((await call(1 - (i % 2), 'GET', 'kv/data/a')).body.data.data.n, i)
    }
    for (let i = 0; i < 10; i++) {
      const made = (await call(0, 'POST', 'auth/token/create', { policies: ['default'] })).body.auth.client_token
      assert.equal((await call(1, 'GET', 'auth/token/lookup-self', undefined, made)).status, 200)
      assert.equal((await call(0, 'POST', 'auth/token/revoke', { token: made })).status, 204)
      assert.equal((await call(1, 'GET', 'auth/token/lookup-self', undefined, made)).status, 403)
    }
    const writes = Array.from({ length: 20 }, (_, i) =>
      call(i % 2, 'POST', 'kv/data/cas', { options: { cas: 0 }, data: { i } }),
    )
    const statuses = (await Promise.all(writes)).map(({ status }) => status)
    assert.equal(statuses.filter((status) => status === 200).length, 1, 'check-and-set lets one through')
  })

  test('an outage is answered with 503 in bounded time, and ends by itself', async () => {
    cluster.stop('immediate')
    const began = performance.now()
    const answer = await call(0, 'GET', 'kv/data/a')
    assert.equal(answer.status, 503, JSON.stringify(answer.body))
    assert.match(answer.body.errors[0], /storage cannot be reached/)
    assert.ok(performance.now() - began < 15_000)
    cluster.start()
    for (const limit = Date.now() + 20_000; (await call(0, 'GET', 'kv/data/a')).status !== 200; )
      assert.ok(Date.now() < limit, 'it reads again')
    for (const node of nodes) assert.doesNotMatch(node.output(), /canary/)
  })

  test('a server that cannot come in says why, without the password', async () => {
    const file = path.join(folder, 'wrong.hcl')
    writeFileSync(
      file,
      `storage "postgresql" { connection_url = "postgres://app:${password}-wrong@127.0.0.1:${cluster.port}/postgres" }
listener "tcp" {
  address = "127.0.0.1:${await freePort()}"
  tls_disable = true
}
`,
      { mode: 0o600 },
    )
    const child = spawnServer([`-config=${file}`])
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        output += chunk
      })
    const code = await new Promise((resolve) => child.once('close', resolve))
    assert.notEqual(code, 0)
    assert.match(output, /the password is wrong \(28P01\)/)
    assert.doesNotMatch(output, /canary/)
  })
})
