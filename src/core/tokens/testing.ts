// A small world for tests of tokens: a topology with a root and a child namespace, `auth/token` and login mounts. Never imported by the server.
import { Timer } from '../../lib/metrics.ts'
import type { MountFacts } from '../../sdk/context.ts'
import { type Engine, engine, type RenewGrant } from '../../sdk/engine.ts'
import { routeMeter } from '../meter.ts'
import { noSettings } from '../settings.ts'
import type { Mount, MountRecord, Namespace, NamespaceRecord, Topology } from '../topology.ts'

const daysInSeconds = 86_400
/** Lifetimes of a server that says nothing else: 32 days. */
export const systemTtlSeconds = 32 * daysInSeconds

const namespaceRecord = (id: string, uuid: string, path: string): NamespaceRecord => ({
  uuid,
  id,
  path,
  customMetadata: {},
  tainted: false,
  ownSeal: false,
})

export interface MountWanted {
  readonly uuid: string
  /** Below the namespace, with `auth/`. */
  readonly path: string
  readonly namespace?: string
  readonly engine?: Engine
  readonly tokenType?: string
  readonly defaultTtl?: number
  readonly maxTtl?: number
}

/** A login method without operations. */
export const loginMethod = (renew?: RenewGrant): Engine =>
  engine({ type: 'login', kind: 'auth', summary: 'For tests.', operations: [], ...(renew ? { renew } : {}) })

function buildMount(wanted: MountWanted, namespace: Namespace): Mount {
  const made = wanted.engine ?? loginMethod()
  const record: MountRecord = {
    uuid: wanted.uuid,
    path: wanted.path.replace(/^auth\//, ''),
    kind: 'auth',
    type: made.type,
    accessor: `auth_${wanted.uuid}`,
    description: '',
    options: {},
    config: {
      default_lease_ttl: wanted.defaultTtl ?? 0,
      max_lease_ttl: wanted.maxTtl ?? 0,
      force_no_cache: false,
      ...(wanted.tokenType ? { token_type: wanted.tokenType } : {}),
    },
    local: false,
    sealWrap: false,
    externalEntropyAccess: false,
    pluginVersion: '',
    createdTime: 0,
  }
  const facts: MountFacts = {
    uuid: record.uuid,
    path: wanted.path,
    type: record.type,
    kind: 'auth',
    accessor: record.accessor,
    options: {},
    defaultLeaseTtlSeconds: wanted.defaultTtl ?? systemTtlSeconds,
    maxLeaseTtlSeconds: wanted.maxTtl ?? systemTtlSeconds,
    namespace: namespace.facts,
    states: new Map(),
  }
  const audit = {
    point: wanted.path,
    type: record.type,
    accessor: record.accessor,
    class: 'auth' as const,
    runningVersion: '',
    nonHmacRequestKeys: [],
    nonHmacResponseKeys: [],
  }
  const routes = routeMeter(() => new Timer())
  return { record, engine: made, variant: made.variant({}), facts, audit, routes, namespace }
}

/** Builds a topology: the root, the namespace `team/` (id `team01`), and these mounts. */
export function testTopology(mounts: readonly MountWanted[], options: { taintedTeam?: boolean } = {}): Topology {
  const records = [
    namespaceRecord('root', 'root', ''),
    { ...namespaceRecord('team01', 'team-uuid', 'team/'), tainted: options.taintedTeam ?? false },
  ]
  const namespaces = new Map<string, Namespace>()
  const mountsByUuid = new Map<string, Mount>()
  for (const record of records) {
    const own = new Map<string, Mount>()
    const facts = { id: record.id, uuid: record.uuid, path: record.path }
    const namespace: Namespace = { record, facts, mounts: own }
    namespaces.set(record.path, namespace)
    for (const wanted of mounts) {
      if ((wanted.namespace ?? '') !== record.path) continue
      const mount = buildMount(wanted, namespace)
      own.set(wanted.path, mount)
      mountsByUuid.set(wanted.uuid, mount)
    }
  }
  const all = [...namespaces.values()]
  return {
    epoch: 1,
    policyEpoch: 1,
    root: namespaces.get('') as Namespace,
    namespaces,
    namespacesById: new Map(all.map((namespace) => [namespace.record.id, namespace])),
    namespacesByUuid: new Map(all.map((namespace) => [namespace.record.uuid, namespace])),
    mountsByUuid,
    mountsByAccessor: new Map([...mountsByUuid.values()].map((mount) => [mount.record.accessor, mount])),
    settings: noSettings,
  }
}
