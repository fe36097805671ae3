// The `sys` engine: all its operations in one list, each group in a file of its own.
import type { AuditHealth, AuditRoom } from '../audit/broker.ts'
import type { DeviceConfig } from '../audit/options.ts'
import type { Lifecycle } from '../barrier/lifecycle.ts'
import type { Mounts } from '../core/mounts.ts'
import type { Namespaces } from '../core/namespaces.ts'
import type { Nodes } from '../core/nodes.ts'
import type { Policies } from '../core/policies.ts'
import type { Acl } from '../core/policy/acl.ts'
import type { Wrapping } from '../core/wrapping.ts'
import type { Context } from '../sdk/context.ts'
import { type Engine, engine } from '../sdk/engine.ts'
import type { Reader } from '../storage/storage.ts'
import { auditOperations } from './audit.ts'
import { internalOperations } from './internal.ts'
import { type MetricsPrinter, metricsOperations } from './metrics.ts'
import { mountOperations } from './mounts.ts'
import { namespaceSealOperations } from './namespace-seals.ts'
import { namespaceOperations } from './namespaces.ts'
import { nodeOperations } from './nodes.ts'
import { type AclOf, capabilityOperations, policyOperations } from './policies.ts'
import { rawOperations } from './raw.ts'
import { sealOperations } from './seal.ts'
import type { SealFacts } from './seal-status.ts'
import { snapshotOperations } from './snapshot.ts'
import { toolsOperations } from './tools.ts'
import { type OlderNodes, upgradeOperations } from './upgrade.ts'
import { wrappingOperations } from './wrapping.ts'

/** What a server says of itself. */
export interface ServerFacts extends SealFacts {
  /** Name of this node. */
  readonly nodeName: string
}

export interface SystemPorts {
  readonly lifecycle: Lifecycle
  readonly mounts: Mounts
  readonly namespaces: Namespaces
  readonly policies: Policies
  readonly wrapping: Wrapping
  readonly nodes: Nodes
  /** Whether several machines can be nodes over the store. */
  readonly sharedStore: boolean
  readonly acls: AclOf
  readonly facts: ServerFacts
  readonly declaredDevices: readonly DeviceConfig[]
  readonly allowApiAudit: boolean
  readonly allowAuditPrefix: boolean
  /** Whether `sys/raw` is served. */
  readonly rawStorage: boolean
  /** The ACL of the caller; undefined without a good token. */
  aclOf(tx: Reader, context: Context): Promise<Acl | undefined>
  auditRoom(): AuditRoom
  health(): AuditHealth | undefined
  readonly olderNodes: OlderNodes
  readonly printMetrics: MetricsPrinter
  /** A namespace was sealed or unsealed here: what was loaded of it is no longer right. */
  namespaceSealChanged(): void
}

/** Assembles the engine behind `sys/`. */
export function systemEngine(ports: SystemPorts): Engine {
  const { mounts, namespaces, policies, wrapping, lifecycle } = ports
  return engine({
    type: 'system',
    kind: 'secret',
    summary: 'The server itself: seal, mounts, policies, namespaces, audit, wrapping, tools.',
    scope: 'core',
    singleton: true,
    operations: [
      ...sealOperations(lifecycle, ports.facts, () => ports.health()?.ok ?? true),
      ...nodeOperations({ nodes: ports.nodes, facts: ports.facts, shared: ports.sharedStore }),
      ...mountOperations(mounts),
      ...policyOperations(policies),
      ...capabilityOperations(ports.acls),
      ...namespaceOperations(namespaces, mounts, lifecycle.namespaces),
      ...namespaceSealOperations({
        namespaces,
        mounts,
        seals: lifecycle.namespaces,
        changed: ports.namespaceSealChanged,
      }),
      ...wrappingOperations(wrapping, mounts),
      ...auditOperations({
        room: ports.auditRoom,
        mounts,
        declared: ports.declaredDevices,
        allowApi: ports.allowApiAudit,
        allowPrefix: ports.allowAuditPrefix,
      }),
      ...internalOperations({ mounts, aclOf: ports.aclOf, version: ports.facts.apiVersion }),
      ...snapshotOperations(lifecycle.snapshots, ports.facts.cofferVersion),
      ...upgradeOperations(lifecycle, ports.facts.cofferVersion, ports.olderNodes),
      ...metricsOperations(ports.printMetrics),
      ...toolsOperations,
      ...(ports.rawStorage ? rawOperations : []),
    ],
  })
}
