import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newestFormat } from '../barrier/format.ts'
import { nodeRegister } from '../core/nodes.ts'
import type { RequestFacts, WriteContext } from '../sdk/context.ts'
import { findOperation } from '../sdk/dispatch.ts'
import { engine } from '../sdk/engine.ts'
import type { OperationVerb } from '../sdk/operation.ts'
import { memoryStorage } from '../storage/memory.ts'
import { nodeOperations } from './nodes.ts'

const facts = {
  apiVersion: '1.21.5',
  cofferVersion: '0.1.0',
  clusterName: '',
  hostname: 'here',
  apiAddress: 'http://127.0.0.1:8200',
  clusterAddress: 'https://127.0.0.1:8201',
}

function node(shared: boolean) {
  const { hostname, apiAddress, clusterAddress, apiVersion, cofferVersion } = facts
  const nodes = nodeRegister({
    storage: memoryStorage(),
    facts: { name: 'one', hostname, apiAddress, clusterAddress, version: apiVersion, cofferVersion },
    now: () => 1_700_000_000_000,
    warn: () => undefined,
  })
  const operations = nodeOperations({ nodes, facts, shared })
  const sys = engine({ type: 'system', kind: 'secret', summary: '', operations }).variant({})
  const context = { mount: { namespace: { uuid: 'root', path: '' } } } as unknown as WriteContext
  const call = async (verb: OperationVerb, path: string) => {
    const { operation } = findOperation(sys, verb, path)
    const reply = operation.lifecycle
      ? await operation.lifecycle({}, {} as RequestFacts)
      : await operation.run?.({}, context)
    return reply?.raw ? JSON.parse(String(reply.raw.body)) : reply?.data
  }
  return { nodes, call }
}

test('each unsealed node over a shared store leads, and gives its own address', async () => {
  const { nodes, call } = node(true)
  const sealed = {
    ha_enabled: true,
    is_self: false,
    active_time: '0001-01-01T00:00:00Z',
    leader_address: '',
    leader_cluster_address: '',
    performance_standby: false,
    performance_standby_last_remote_wal: 0,
  }
  assert.deepEqual(await call('read', 'leader'), sealed)
  nodes.setActive(1_700_000_000_000)
  assert.deepEqual(await call('read', 'leader'), {
    ...sealed,
    is_self: true,
    active_time: '2023-11-14T22:13:20.000Z',
    leader_address: 'http://127.0.0.1:8200',
    leader_cluster_address: 'https://127.0.0.1:8201',
  })
})

test('over a store of one machine there is no cluster', async () => {
  const { nodes, call } = node(false)
  nodes.setActive(1_700_000_000_000)
  const leader = await call('read', 'leader')
  assert.deepEqual([leader.ha_enabled, leader.is_self, leader.leader_address], [false, false, ''])
})

test('ha-status names the nodes; step-down is taken', async () => {
  const { nodes, call } = node(false)
  nodes.setActive(1_700_000_000_000)
  const [{ node_id, ...one }] = (await call('read', 'ha-status')).nodes
  assert.match(node_id, /^[0-9a-f-]{36}$/)
  assert.deepEqual(one, {
    hostname: 'here',
    api_address: 'http://127.0.0.1:8200',
    cluster_address: 'https://127.0.0.1:8201',
    active_node: true,
    last_echo: '2023-11-14T22:13:20.000Z',
    version: '1.21.5',
    coffer_version: '0.1.0',
    storage_format: newestFormat,
    node_name: 'one',
    pid: process.pid,
    state: 'active',
    started: '2023-11-14T22:13:20.000Z',
  })
  assert.equal(await call('write', 'step-down'), undefined)
})
