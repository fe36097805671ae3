// Loads the topology (namespaces, mounts, compiled routes) from storage and keeps it, epoch by epoch.
// A cached topology is used only with its epoch expected in the caller's transaction.
import type { Engine } from '../sdk/engine.ts'
import { collection } from '../storage/collection.ts'
import type { Reader, Soon } from '../storage/storage.ts'
import { epochKey, epochOf } from './epoch.ts'
import type { RouteMeter } from './meter.ts'
import { loadSettings } from './settings.ts'
import {
  type Mount,
  type MountRecord,
  type Namespace,
  type NamespaceRecord,
  sealAbove,
  type Topology,
} from './topology.ts'

/** Namespaces by UUID; the root has none of its own here. */
export const namespaceRecords = collection<NamespaceRecord>('core/namespace/')
/** Mounts of a namespace by UUID. */
export const mountRecords = (namespaceUuid: string) => collection<MountRecord>(`ns/${namespaceUuid}/mount/`)

export const rootNamespace: NamespaceRecord = {
  uuid: 'root',
  id: 'root',
  path: '',
  customMetadata: {},
  tainted: false,
  ownSeal: false,
}

export interface TablesOptions {
  readonly engines: ReadonlyMap<string, Engine>
  /** System-wide lifetimes in seconds. */
  readonly defaultLeaseTtlSeconds: number
  readonly maxLeaseTtlSeconds: number
  /** Told of every newly loaded topology before a request goes on with it. */
  readonly loaded: (topology: Topology) => Promise<void>
  /** The finalized storage format. Rejects while the store is being replaced by a snapshot: nothing may be loaded then. */
  readonly storageFormat: () => Promise<number>
  /** Whether a namespace with a seal of its own is sealed now: nothing of it can be read then. */
  readonly namespaceSealed: (uuid: string) => boolean
  /** Gives what the requests of a mount, named by its full path, are timed with. */
  readonly routes: (path: string) => RouteMeter
}

export interface Tables {
  /** The topology as this transaction may see it. */
  current(tx: Reader): Soon<Topology>
  /** The newest topology this process has seen; undefined before the first. */
  readonly latest: Topology | undefined
  /** Forgets everything: at seal. */
  clear(): void
  /** Effective lifetimes of a mount's settings. */
  lifetimes(record: MountRecord): { defaultLeaseTtlSeconds: number; maxLeaseTtlSeconds: number }
}

const pathOf = (record: MountRecord): string => (record.kind === 'auth' ? `auth/${record.path}` : record.path)

/** Makes the tables. They hold nothing until the first `current`. */
export function coreTables(options: TablesOptions): Tables {
  let topology: Topology | undefined
  let mountsCounter = -1
  let clears = 0
  let publishing: Promise<void> = Promise.resolve()
  let statesByMount = new Map<string, Map<symbol, unknown>>()

  const lifetimes = ({ config }: MountRecord) => {
    const maxLeaseTtlSeconds = config.max_lease_ttl || options.maxLeaseTtlSeconds
    const wanted = config.default_lease_ttl || options.defaultLeaseTtlSeconds
    return { defaultLeaseTtlSeconds: Math.min(wanted, maxLeaseTtlSeconds), maxLeaseTtlSeconds }
  }

  const buildMount = (record: MountRecord, namespace: Namespace, states: Map<symbol, unknown>): Mount => {
    const found = options.engines.get(`${record.kind}:${record.type}`)
    if (!found) throw new Error(`mount ${record.path}: unknown type ${record.type}`)
    const point = pathOf(record)
    return {
      record,
      engine: found,
      variant: found.variant(record.options),
      namespace,
      routes: options.routes(namespace.record.path + point),
      facts: {
        uuid: record.uuid,
        path: point,
        type: record.type,
        kind: record.kind,
        accessor: record.accessor,
        options: record.options,
        namespace: namespace.facts,
        states,
        ...lifetimes(record),
      },
      audit: {
        point: namespace.record.path + point,
        type: record.type,
        accessor: record.accessor,
        class: record.kind,
        runningVersion: '',
        nonHmacRequestKeys: record.config.audit_non_hmac_request_keys ?? [],
        nonHmacResponseKeys: record.config.audit_non_hmac_response_keys ?? [],
      },
    }
  }

  const load = async (tx: Reader, epoch: number, policyEpoch: number): Promise<Topology> => {
    const storageFormat = await options.storageFormat()
    const records = [rootNamespace, ...(await namespaceRecords.all(tx)).map((r) => r.value)]
    const namespaces = new Map<string, Namespace>()
    const namespacesById = new Map<string, Namespace>()
    const namespacesByUuid = new Map<string, Namespace>()
    const mountsByUuid = new Map<string, Mount>()
    const mountsByAccessor = new Map<string, Mount>()
    const states = new Map<string, Map<symbol, unknown>>()
    // Parents first: whether a namespace can be read hangs on the seals above it.
    for (const record of [...records].sort((a, b) => a.path.length - b.path.length)) {
      const mounts = new Map<string, Mount>()
      const facts = { id: record.id, uuid: record.uuid, path: record.path }
      const namespace: Namespace = { record, facts, mounts }
      namespaces.set(record.path, namespace)
      const keys = sealAbove({ namespaces }, record.path)
      const stored = keys && options.namespaceSealed(keys.uuid) ? [] : await mountRecords(record.uuid).all(tx)
      for (const { value } of stored) {
        const state = statesByMount.get(value.uuid) ?? new Map<symbol, unknown>()
        states.set(value.uuid, state)
        const mount = buildMount(value, namespace, state)
        mounts.set(pathOf(value), mount)
        mountsByUuid.set(value.uuid, mount)
        mountsByAccessor.set(value.accessor, mount)
      }
      namespacesById.set(record.id, namespace)
      namespacesByUuid.set(record.uuid, namespace)
    }
    statesByMount = states
    const root = namespaces.get('') as Namespace
    const settings = await loadSettings(tx, storageFormat)
    return {
      epoch,
      policyEpoch,
      settings,
      root,
      namespaces,
      namespacesById,
      namespacesByUuid,
      mountsByUuid,
      mountsByAccessor,
    }
  }

  /** Reads the epoch, and the tables when they are others than those known. */
  const read = async (tx: Reader): Promise<Topology> => {
    const since = clears
    const entry = await tx.get(epochKey)
    const version = entry?.version ?? 0
    if (topology?.epoch === version) return topology
    const epoch = epochOf(entry)
    const next =
      topology && epoch.mounts === mountsCounter
        ? { ...topology, epoch: version, policyEpoch: epoch.policies }
        : await load(tx, version, epoch.policies)
    // Only what one state of the store shows may be kept for others.
    await tx.verify()
    await publish(next, epoch.mounts, since)
    return next
  }

  /**
   * Lets everybody use a topology, once what hangs on it has followed: keys that are to go, audit devices that are to come. One at a time,
   * never an older one, and none that was read before `clear`.
   */
  const publish = (next: Topology, counter: number, since: number): Promise<void> => {
    const done = publishing.then(async () => {
      const isNews = () => since === clears && (!topology || next.epoch > topology.epoch)
      if (!isNews()) return
      if (counter !== mountsCounter) await options.loaded(next)
      if (!isNews()) return
      topology = next
      mountsCounter = counter
    })
    publishing = done.catch(() => undefined)
    return done
  }

  return {
    lifetimes,
    get latest() {
      return topology
    },
    clear() {
      clears++
      topology = undefined
      mountsCounter = -1
      statesByMount = new Map()
    },
    current(tx) {
      if (!topology || tx.attempt > 0) return read(tx)
      tx.expect(epochKey, topology.epoch)
      return topology
    },
  }
}
