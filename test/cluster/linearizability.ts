// The question put to several nodes over one store: do they answer as one would, while they are killed, paused and restarted?
// COFFER_CLUSTER_SECONDS sets how long (60), COFFER_CLUSTER_SEED repeats the choices of a run.

import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { readPublicKeys } from '../../src/audit/signer.ts'
import { verifyLog } from '../../src/audit/verify.ts'
import { randomOf } from '../crash/random.ts'
import { type Nodes, type Reply, startNodes } from './nodes.ts'
import { runWorkloads } from './workloads.ts'

const seconds = Number(process.env['COFFER_CLUSTER_SECONDS'] ?? 60)
const seed = Number(process.env['COFFER_CLUSTER_SEED'] ?? Date.now() % 1_000_000)

async function prepare(nodes: Nodes): Promise<void> {
  const root = async (method: string, path: string, body: unknown) => {
    const reply = await nodes.ask(0, { token: nodes.rootToken, method, path, body })
    assert.equal(reply.outcome, 'ok', `${path}: ${reply.status} ${JSON.stringify(reply.body)}`)
  }
  await root('POST', 'sys/mounts/kv1', { type: 'kv' })
  await root('POST', 'sys/mounts/kv2', { type: 'kv', options: { version: '2' } })
  await root('PUT', 'kv1/shared', { v: 'shared' })
}

/** Runs the clients and the faults, then judges the histories and the audit logs. */
export async function judgeNodes(count: number, say: (text: string) => void, storage?: string): Promise<void> {
  const nodes = await startNodes(count, storage)
  try {
    await prepare(nodes)
    const random = randomOf(seed)
    const deadline = performance.now() + seconds * 1000
    const stopped = () => performance.now() > deadline
    const tally = new Map<string, number>()
    const add = (name: string): void => void tally.set(name, (tally.get(name) ?? 0) + 1)
    const counted = (name: string, reply: Reply): Reply => {
      add(`${name}: ${reply.outcome}`)
      return reply
    }
    const faults = async (): Promise<void> => {
      while (!stopped()) {
        await pause(500 + random.below(2000))
        if (!stopped()) add(`fault: ${await nodes.fault(random.below(nodes.count), random)}`)
      }
    }
    const [wrong] = await Promise.all([runWorkloads(nodes, seed, stopped, counted), faults()])
    say(`seed ${seed}, ${seconds} s, ${count} nodes`)
    for (const [name, times] of [...tally].sort()) say(`${String(times).padStart(8)}  ${name}`)
    assert.deepEqual(wrong, [])
    assert.ok(
      [...tally].some(([name]) => name.startsWith('fault')),
      'no fault happened',
    )
    await verifyLogs(nodes)
  } finally {
    await nodes.remove()
  }
}

/** Every node's log holds together. */
async function verifyLogs(nodes: Nodes): Promise<void> {
  const { body } = await nodes.ask(0, { token: nodes.rootToken, method: 'GET', path: 'sys/x/audit/verification' })
  for (const file of nodes.auditFiles()) {
    const log = [{ name: file, chunks: createReadStream(file) }]
    const report = await verifyLog(log, { publicKey: readPublicKeys(body.data.public_key) })
    assert.deepEqual(report.finding, undefined, file)
  }
}
