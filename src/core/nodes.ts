// The nodes over one store: each process writes a record of itself every few seconds and takes it away when it ends. The records lie
// in clear, so that sealed nodes show too; they are for people to read, and nothing is decided by them but that an upgrade is not finalized yet.
import { randomUUID } from 'node:crypto'
import { newestFormat } from '../barrier/format.ts'
import { nodesPrefix } from '../barrier/records.ts'
import { decodeRecord, encodeRecord } from '../storage/collection.ts'
import type { Entry, Storage } from '../storage/storage.ts'
import { standstill } from './standstill.ts'

/** What a process says of itself for as long as it runs. */
export interface NodeFacts {
  /** From the configuration, or the host's. */
  readonly name: string
  readonly hostname: string
  readonly apiAddress: string
  readonly clusterAddress: string
  /** API level, as `sys/health` reports it. */
  readonly version: string
  readonly cofferVersion: string
}

interface NodeRecord extends NodeFacts {
  readonly pid: number
  /** The newest storage format this version knows. */
  readonly format: number
  /** Milliseconds since the epoch, by the node's own clock. */
  readonly startedAt: number
  readonly beatAt: number
  /** Since when it serves; absent while it is sealed. */
  readonly activeSince?: number
}

/** A node as `sys/ha-status` shows it. `silent`: it has given no sign of life for 15 seconds of this process's own clock. */
export interface NodeView extends NodeRecord {
  readonly id: string
  readonly state: 'active' | 'sealed' | 'silent'
}

export interface Nodes {
  /** Registers this process and keeps its record fresh. */
  start(): Promise<void>
  /** Says since when this process serves, or (undefined) that it is sealed. */
  setActive(since: number | undefined): void
  /** Since when this process serves. */
  readonly activeSince: number | undefined
  /** All nodes, this one included, by address and name. */
  list(): Promise<NodeView[]>
  /** Those that give signs of life and do not know the newest storage format, with their versions. */
  older(): Promise<string[]>
  /** Takes the record away: the process ends. */
  stop(): Promise<void>
}

export interface NodesOptions {
  /** The store below the barrier. */
  readonly storage: Storage
  readonly facts: NodeFacts
  readonly now: () => number
  /** Milliseconds that only go forward; for silence. */
  readonly clock?: () => number
  readonly warn: (message: string, cause: unknown) => void
  /** Milliseconds between signs of life, give or take a tenth. */
  readonly beatMs?: number
}

const beatMsDefault = 5_000
/** Two signs of life may be missed. */
const silentMs = 15_000
/** After so long the record of a silent node is taken away; its successor on the same host does so at once. */
const goneMs = 24 * 60 * 60_000
/** More records are no cluster but rubbish. */
const nodesMax = 1_000

// Whoever can write to the database can write here: nothing of it goes to a terminal as it came.
const text = (value: unknown): string => (typeof value === 'string' ? value.replace(/\p{C}/gu, '').slice(0, 256) : '')
const count = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0)

/** Reads a record whatever is in it; undefined when it is none. */
function readNode({ value }: Entry): NodeRecord | undefined {
  let found: Partial<Record<keyof NodeRecord, unknown>>
  try {
    found = decodeRecord(value)
  } catch {
    return undefined
  }
  if (typeof found !== 'object' || found === null) return undefined
  return {
    name: text(found.name),
    hostname: text(found.hostname),
    apiAddress: text(found.apiAddress),
    clusterAddress: text(found.clusterAddress),
    version: text(found.version),
    cofferVersion: text(found.cofferVersion),
    pid: count(found.pid),
    format: count(found.format),
    startedAt: count(found.startedAt),
    beatAt: count(found.beatAt),
    ...(found.activeSince !== undefined && { activeSince: count(found.activeSince) }),
  }
}

const byAddress = (a: NodeView, b: NodeView): number =>
  [a.apiAddress, a.name, a.id].join(' ') < [b.apiAddress, b.name, b.id].join(' ') ? -1 : 1

/** Makes the register of this process. Nothing is written before `start`. */
export function nodeRegister(options: NodesOptions): Nodes {
  const { storage, facts, now, warn, beatMs = beatMsDefault } = options
  const id = randomUUID()
  const key = nodesPrefix + id
  const stood = standstill(options.clock ?? (() => performance.now()))
  const startedAt = now()
  let activeSince: number | undefined
  let running = false
  let failing = false
  let timer: NodeJS.Timeout | undefined
  let queue: Promise<void> = Promise.resolve()

  const own = (): NodeRecord => ({
    ...facts,
    pid: process.pid,
    format: newestFormat,
    startedAt,
    beatAt: now(),
    ...(activeSince !== undefined && { activeSince }),
  })

  /** The others with the version of their record and how long it has stood still. */
  const look = async (): Promise<{ node: NodeView; version: number; silentFor: number }[]> => {
    const entries = await storage.view((tx) => tx.entries(nodesPrefix, { limit: nodesMax }))
    stood.keep(entries.map((entry) => entry.key))
    return entries.flatMap((entry) => {
      const record = entry.key === key ? undefined : readNode(entry)
      if (!record) return []
      const silentFor = stood.ms(entry.key, entry.version)
      const state = silentFor >= silentMs ? 'silent' : record.activeSince === undefined ? 'sealed' : 'active'
      const node: NodeView = { ...record, id: entry.key.slice(nodesPrefix.length), state }
      return [{ node, version: entry.version, silentFor }]
    })
  }

  /** Takes away the records of nodes that are dead for a day, and of former lives of this one. A living one would come back. */
  const sweep = async (): Promise<void> => {
    for (const { node, version } of await look()) {
      const former = node.name === facts.name && node.hostname === facts.hostname
      if (node.state !== 'silent' || (!former && now() - node.beatAt < goneMs)) continue
      await storage.update(async (tx) => {
        if ((await tx.get(nodesPrefix + node.id))?.version === version) tx.delete(nodesPrefix + node.id)
      })
    }
  }

  /** One sign of life after the other. A failure is told once; the next sign may succeed. */
  const beat = (): Promise<void> => {
    queue = queue.then(async () => {
      if (!running) return
      try {
        await storage.update(async (tx) => tx.put(key, encodeRecord(own())))
        await sweep()
        failing = false
      } catch (error) {
        if (!failing) warn('this node could not tell the others that it is there', error)
        failing = true
      }
    })
    return queue
  }

  // Nodes that were started together do not write together for ever.
  const schedule = (): void => {
    timer = setTimeout(
      () => void beat().then(() => running && schedule()),
      Math.round(beatMs * (0.9 + Math.random() * 0.2)),
    )
    timer.unref()
  }

  const list = async (): Promise<NodeView[]> => {
    const mine: NodeView = { ...own(), id, state: activeSince === undefined ? 'sealed' : 'active' }
    return [mine, ...(await look()).map(({ node }) => node)].sort(byAddress)
  }

  return {
    list,
    async older() {
      const found = (await list()).filter(({ state, format }) => state !== 'silent' && format < newestFormat)
      return found.map(({ name, cofferVersion }) => `${name} (${cofferVersion})`)
    },
    async start() {
      running = true
      schedule()
      await beat()
    },
    setActive(since) {
      activeSince = since
      if (running) void beat()
    },
    get activeSince() {
      return activeSince
    },
    async stop() {
      if (!running) return
      running = false
      clearTimeout(timer)
      await queue
      await storage.update(async (tx) => tx.delete(key)).catch((error) => warn('this node could not sign off', error))
    },
  }
}
