// sys/leader, sys/ha-status and sys/step-down: what clients of a cluster ask. Here no node leads: each one answers for itself.
import type { Nodes, NodeView } from '../core/nodes.ts'
import { bool, list, type Operation, path, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { rawJson } from './raw-json.ts'
import type { SealFacts } from './seal-status.ts'

export interface NodePorts {
  readonly nodes: Nodes
  readonly facts: SealFacts
  /** Whether several machines can be nodes over the store. */
  readonly shared: boolean
}

const never = '0001-01-01T00:00:00Z'
const time = (ms: number | undefined): string => {
  const date = new Date(ms ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? never : date.toISOString()
}

const shown = (node: NodeView): object => ({
  hostname: node.hostname,
  api_address: node.apiAddress,
  cluster_address: node.clusterAddress,
  active_node: node.state === 'active',
  last_echo: time(node.beatAt),
  version: node.version,
  coffer_version: node.cofferVersion,
  storage_format: node.format,
  node_id: node.id,
  node_name: node.name,
  pid: node.pid,
  state: node.state,
  started: time(node.startedAt),
})

/** What `sys/leader` tells of this node; `activeSince` is undefined while it is sealed. */
export interface LeaderPorts {
  readonly facts: SealFacts
  readonly shared: boolean
  activeSince(): number | undefined
}

/** The operation that tells who leads. */
export const leaderOperation = ({ facts, shared, activeSince }: LeaderPorts): Operation =>
  path('leader', {}, 'Leadership.').lifecycle('read', {
    summary: 'Tell who leads: every node that is unsealed does.',
    output: {
      ha_enabled: bool('Whether several machines can be nodes over the store.'),
      is_self: bool('Where nodes share the store: whether this one is unsealed.'),
      active_time: str('Since when.'),
      leader_address: str('The address of this node.'),
      leader_cluster_address: str('The cluster address of this node.'),
      performance_standby: bool('Always false.'),
    },
    run() {
      const since = activeSince()
      const leads = shared && since !== undefined
      return rawJson({
        ha_enabled: shared,
        is_self: leads,
        active_time: time(leads ? since : undefined),
        leader_address: leads ? facts.apiAddress : '',
        leader_cluster_address: leads ? facts.clusterAddress : '',
        performance_standby: false,
        performance_standby_last_remote_wal: 0,
      })
    },
  })

/** Operations on the nodes of a cluster. */
export function nodeOperations({ nodes, facts, shared }: NodePorts): Operation[] {
  return [
    leaderOperation({ facts, shared, activeSince: () => nodes.activeSince }),
    path('ha-status', {}, 'Nodes.').read({
      summary: 'List the nodes over this store, with version, state and last sign of life.',
      output: { nodes: list('Nodes: `state` is active, sealed, or silent after 15 seconds without a sign of life.') },
      run: async () => ({ data: { nodes: (await nodes.list()).map(shown) }, flat: true }),
    }),
    path('step-down', {}, 'Giving up leadership.').write({
      summary: 'Accepted; nodes are equal, none leads.',
      sudo: true,
      run: (_, context) => {
        inRoot(context)
        return undefined
      },
    }),
  ]
}
