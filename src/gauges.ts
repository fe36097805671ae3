// What is only known when metrics are asked for: states and lengths of queues, read from the rooms that have them.
import type { AuditHealth } from './audit/broker.ts'
import type { Topology } from './core/topology.ts'
import type { PasswordPool } from './crypto/password.ts'
import type { Reading, Registry } from './metrics/registry.ts'

export interface GaugePorts {
  /** "" while it is not known. */
  clusterName(): string
  sealed(): boolean
  inFlight(): number
  topology(): Topology | undefined
  audit(): AuditHealth | undefined
  readonly passwords: Pick<PasswordPool, 'waiting' | 'done' | 'refused'>
}

/** Has the registry read the gauges of an assembly. */
export function readGauges(registry: Registry, ports: GaugePorts): void {
  const { read } = registry
  const ofCluster = (value: number, labels: Reading['labels'] = {}): Reading => ({
    value,
    labels: { cluster: ports.clusterName(), ...labels },
  })
  const ofDevices = (value: (device: AuditHealth['devices'][number]) => number): Reading[] =>
    (ports.audit()?.devices ?? []).map((device) => ({ value: value(device), labels: { device: device.path } }))
  read('inFlight', () => [ofCluster(ports.inFlight())])
  read('unsealed', () => [ofCluster(ports.sealed() ? 0 : 1)])
  read('active', () => [ofCluster(ports.sealed() ? 0 : 1)])
  read('mountEntries', () => {
    const mounts = [...(ports.topology()?.mountsByUuid.values() ?? [])]
    return (['auth', 'secret'] as const).flatMap((kind) =>
      [true, false].map((local) =>
        ofCluster(mounts.filter(({ record }) => record.kind === kind && record.local === local).length, {
          type: kind === 'auth' ? 'auth' : 'logical',
          local: String(local),
        }),
      ),
    )
  })
  read('namespaces', () => ports.topology()?.namespaces.size)
  read('auditWaiting', () => ofDevices(({ waiting }) => waiting))
  read('auditLost', () => ofDevices(({ lost }) => lost))
  read('auditOk', () => ofDevices(({ ok }) => (ok ? 1 : 0)))
  read('passwordsWaiting', () => ports.passwords.waiting)
  read('passwordsDone', () => ports.passwords.done)
  read('passwordsRefused', () => ports.passwords.refused)
}
