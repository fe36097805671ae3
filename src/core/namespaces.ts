// Namespaces: create, change, lock, delete. Each change is one transaction that moves the epoch; a deleted namespace is switched off
// at once and cleared up by a job.
import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { randomText } from '../lib/random.ts'
import { ApiError, invalid, missing } from '../sdk/errors.ts'
import type { Writer } from '../storage/storage.ts'
import type { CleanupQueue } from './cleanup.ts'
import { moveEpoch } from './epoch.ts'
import type { Mounts } from './mounts.ts'
import { putBuiltinPolicies } from './policies.ts'
import { namespaceRecords } from './tables.ts'
import { type Namespace, type NamespaceRecord, parentPath, type Topology } from './topology.ts'

const reserved = new Set(['root', 'sys', 'audit', 'auth', 'cubbyhole', 'identity', '.', '..'])
const idLength = 6
const pathLengthMax = 512
const depthMax = 32
const metadataKeysMax = 64

export interface Namespaces {
  /** Finds a namespace by its path below `from`; undefined when there is none. */
  find(topology: Topology, from: Namespace, wanted: string): Namespace | undefined
  /** Makes a namespace, or gives the one that is there its new metadata. */
  put(
    tx: Writer,
    topology: Topology,
    from: Namespace,
    wish: NamespaceWish,
  ): Promise<{ record: NamespaceRecord; created: boolean }>
  /** Writes the mounts and policies that a namespace begins with. */
  fill(tx: Writer, uuid: string, now: number): void
  change(tx: Writer, record: NamespaceRecord): Promise<void>
  /** Switches a namespace off and leaves it to the clearing job; refuses one with children. */
  remove(tx: Writer, topology: Topology, namespace: Namespace, now: number): Promise<void>
  /** Locks the API; gives the key that unlocks it. */
  lock(tx: Writer, namespace: Namespace): Promise<string>
  /** Unlocks with the key, or without one for callers with sudo. */
  unlock(tx: Writer, namespace: Namespace, key: string | undefined): Promise<void>
}

export interface NamespaceWish {
  readonly path: string
  readonly customMetadata: Readonly<Record<string, string>>
  readonly ownSeal: boolean
  readonly now: number
}

/** Checks a namespace path and gives it with a trailing slash; throws 400. */
export function namespacePathOf(wanted: string): string {
  const path = `${wanted.replace(/^\/+|\/+$/g, '')}/`
  if (path === '/') throw invalid('missing namespace path')
  if (path.length > pathLengthMax) throw invalid(`namespace path is longer than ${pathLengthMax} characters`)
  const segments = path.slice(0, -1).split('/')
  if (segments.length > depthMax) throw invalid(`namespace path is deeper than ${depthMax}`)
  for (const segment of segments) {
    if (reserved.has(segment)) throw invalid(`"${segment}" is a reserved name and cannot be used as a namespace`)
    if (segment === '' || /[\s\p{Cc}*+{}]/u.test(segment))
      throw invalid('namespace path holds characters that cannot be used')
  }
  return path
}

/** Checks custom metadata; throws 400. */
export function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  const entries = Object.entries(metadata)
  if (entries.length > metadataKeysMax) throw invalid(`custom_metadata has more than ${metadataKeysMax} keys`)
  for (const [key, value] of entries)
    if (key.length > 128 || value.length > 512)
      throw invalid('custom_metadata keys may have 128 characters and values 512')
}

const hashOf = (key: string): string => createHash('sha256').update(key).digest('hex')

/** Makes the part of core that changes namespaces. */
export function namespaceTable(ports: { readonly mounts: Mounts; readonly cleanup: CleanupQueue }): Namespaces {
  const { mounts, cleanup } = ports

  const newId = (topology: Topology): string => {
    for (;;) {
      const id = randomText(idLength)
      if (!topology.namespacesById.has(id)) return id
    }
  }

  const create = async (
    tx: Writer,
    topology: Topology,
    path: string,
    wish: NamespaceWish,
  ): Promise<NamespaceRecord> => {
    const parent = topology.namespaces.get(parentPath(path) as string)
    if (!parent || parent.record.tainted) throw invalid('parent namespace does not exist')
    const point = path.slice(parent.record.path.length)
    for (const taken of parent.mounts.keys())
      if (taken.startsWith(point) || point.startsWith(taken))
        throw invalid(`new namespace conflicts with existing mount: ${taken}`)
    const record: NamespaceRecord = {
      uuid: randomUUID(),
      id: newId(topology),
      path,
      customMetadata: wish.customMetadata,
      tainted: false,
      ownSeal: wish.ownSeal,
    }
    namespaceRecords.put(tx, record.uuid, record)
    await moveEpoch(tx, 'mounts')
    return record
  }

  const change = async (tx: Writer, record: NamespaceRecord): Promise<void> => {
    namespaceRecords.put(tx, record.uuid, record)
    await moveEpoch(tx, 'mounts')
  }

  return {
    change,
    find: (topology, from, wanted) => topology.namespaces.get(from.record.path + namespacePathOf(wanted)),
    fill(tx, uuid, now) {
      mounts.putBuiltin(tx, uuid, now)
      putBuiltinPolicies(tx, uuid, now)
    },
    async put(tx, topology, from, wish) {
      checkMetadata(wish.customMetadata)
      const path = from.record.path + namespacePathOf(wish.path)
      const known = topology.namespaces.get(path)
      if (known?.record.tainted) throw invalid('namespace with that name exists and is being deleted')
      if (!known) return { record: await create(tx, topology, path, wish), created: true }
      if (wish.ownSeal) throw invalid('cannot change the seal of an existing namespace')
      const record = { ...known.record, customMetadata: wish.customMetadata }
      await change(tx, record)
      return { record, created: false }
    },
    async remove(tx, topology, namespace, now) {
      const { record } = namespace
      if (record.path === '') throw invalid('unable to delete root namespace')
      for (const path of topology.namespaces.keys())
        if (path !== record.path && path.startsWith(record.path))
          throw invalid(`cannot delete namespace "${record.path}": it has child namespaces`)
      if (record.tainted) return
      await change(tx, { ...record, tainted: true })
      cleanup.add(tx, { kind: 'namespace', namespaceUuid: record.uuid }, now)
    },
    async lock(tx, { record }) {
      if (record.lock !== undefined) throw invalid(`namespace "${record.path}" is locked already`)
      if (record.path === '') throw invalid('root namespace cannot be locked')
      const key = randomText(24)
      await change(tx, { ...record, lock: hashOf(key) })
      return key
    },
    async unlock(tx, { record }, key) {
      if (record.lock === undefined) throw invalid(`namespace "${record.path}" is not locked`)
      if (key !== undefined && !timingSafeEqual(Buffer.from(hashOf(key)), Buffer.from(record.lock)))
        throw new ApiError(400, 'incorrect unlock key')
      const { lock: _, ...open } = record
      await change(tx, open)
    },
  }
}

/** The namespace a request is for, as the topology has it now. */
export function currentNamespace(topology: Topology, uuid: string): Namespace {
  const found = topology.namespacesByUuid.get(uuid)
  if (!found) throw missing('namespace not found')
  return found
}
