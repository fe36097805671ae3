// The database fails over under whole servers: the primary is killed while clients write through every node, its synchronous standby is
// promoted, and the nodes find it by themselves. Nothing that was acknowledged may be lost.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Cluster, postgresMissing, startCluster } from '../postgres.ts'
import { type Nodes, type Reply, startNodes } from './nodes.ts'

const skip = postgresMissing()

let primary: Cluster
let standby: Cluster
let nodes: Nodes

before(async () => {
  if (skip) return
  primary = await startCluster({ durable: true })
  standby = await primary.standby(true)
  const hosts = [primary, standby].map(({ port }) => `127.0.0.1:${port}`).join(',')
  const url = `postgres://postgres@${hosts}/postgres`
  nodes = await startNodes(3, `storage "postgresql" {\n  connection_url = "${url}"\n}`)
})
after(async () => {
  await nodes?.remove()
  standby?.remove()
  primary?.remove()
})

interface Written {
  readonly path: string
  readonly value: string
  readonly reply: Reply
}

/** Keeps writing secrets of its own through one node after the other; every write has a path and a value of its own. */
async function write(client: number, until: () => boolean): Promise<Written[]> {
  const written: Written[] = []
  for (let n = 0; !until(); n++) {
    const path = `kv/${client}/${n}`
    const value = `${client}-${n}`
    const reply = await nodes.ask(n % nodes.count, {
      token: nodes.rootToken,
      method: 'PUT',
      path,
      body: { value },
    })
    written.push({ path, value, reply })
    if (reply.outcome !== 'ok') await pause(20)
  }
  return written
}

/** The longest time in which no write was acknowledged, in milliseconds. */
function longestGap(written: readonly Written[]): number {
  const ends = written
    .filter(({ reply }) => reply.outcome === 'ok')
    .map(({ reply }) => reply.end)
    .sort((a, b) => a - b)
  return ends.slice(1).reduce((most, end, i) => Math.max(most, end - (ends[i] ?? end)), 0)
}

test('three nodes follow a promotion under load and lose nothing they acknowledged', {
  skip,
  timeout: 180_000,
}, async (t) => {
  const root = { token: nodes.rootToken }
  const mounted = await nodes.ask(0, { ...root, method: 'POST', path: 'sys/mounts/kv', body: { type: 'kv' } })
  assert.equal(mounted.outcome, 'ok')
  let over = false
  const writers = Promise.all(Array.from({ length: 12 }, (_, client) => write(client, () => over)))
  await pause(2000)
  primary.kill()
  const killed = performance.now()
  await pause(300)
  standby.sql(`ALTER SYSTEM SET synchronous_standby_names = ''`)
  standby.promote()
  standby.reload()
  await pause(6000)
  over = true
  const written = (await writers).flat()
  const count = (outcome: string): number => written.filter(({ reply }) => reply.outcome === outcome).length
  t.diagnostic(
    `${count('ok')} acknowledged, ${count('unknown')} unknown, ${count('none')} refused; ${Math.round(longestGap(written))} ms without an acknowledged write`,
  )
  const afterwards = written.filter(({ reply }) => reply.outcome === 'ok' && reply.start > killed)
  assert.ok(afterwards.length > 50, 'service did not come back')
  for (const { path, value, reply } of written) {
    if (reply.outcome === 'no') assert.fail(`${path}: ${reply.status} ${JSON.stringify(reply.body)}`)
    const found = await nodes.ask(1, { ...root, method: 'GET', path })
    const there = found.body?.data?.value
    if (reply.outcome === 'ok') assert.equal(there, value, `${path} was acknowledged and is lost`)
    // What never reached the database is not there; what is not known is whole or absent.
    else assert.ok(there === undefined || there === value, `${path} is half there`)
  }
  for (let node = 0; node < nodes.count; node++)
    assert.equal((await nodes.ask(node, { token: '', method: 'GET', path: 'sys/health' })).status, 200)
})
