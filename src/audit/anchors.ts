// Keeps a device's anchors: after each checkpoint the log is made durable, then the position is written to storage, in that order,
// one at a time. It never delays the writer; what it cannot do now it does at the next checkpoint.
import type { Anchor, AuditAnchors, Link } from './chain.ts'
import type { AuditLimits, AuditLogger } from './limits.ts'
import { reason, type Sink } from './sinks/sink.ts'
import { formatTime } from './time.ts'

/** Keeps the anchors of one device and chain. */
export interface AnchorKeeper {
  /** Reads what earlier chains left; gives what the first line must refer to, the log's last line included. Rejects when storage does. */
  links(tail: Link | undefined): Promise<readonly Link[]>
  /** Takes a new position; making it durable goes on beside. */
  keep(anchor: Anchor): void
  /** Tries again what failed. */
  retry(): void
  /** Resolves when the log is not being made durable (its file may be closed then). */
  quiet(): Promise<void>
  /** Resolves when all is kept or has failed. */
  settled(): Promise<void>
  /** What does not work at the moment; "" when all does. */
  trouble(): string
}

interface KeeperPorts {
  readonly now: () => number
  readonly anchors: AuditAnchors
  readonly logger: AuditLogger
  readonly limits: Pick<AuditLimits, 'anchorAgeMs' | 'anchorsMax'>
}

const linkOf = ({ chain, seq, hash, time }: Link): Link => ({ chain, seq, hash, time })
const byTime = (a: Link, b: Link): number => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0)

/** Which chain's anchors are kept: `device` is the accessor, `place` where this process writes it. */
export interface Kept {
  readonly device: string
  readonly place: string
}

/** Makes the keeper of a device's chain. */
export function anchorKeeper({ device, place }: Kept, sink: Pick<Sink, 'sync'>, ports: KeeperPorts): AnchorKeeper {
  const { anchors, limits } = ports
  let earlier: readonly Anchor[] = []
  let pending: Anchor | undefined
  let trouble = ''
  let syncing: Promise<void> = Promise.resolve()
  let running: Promise<void> | undefined

  /** Earlier chains are referred to now: those that ended are done with, of the others it is noted how far. */
  const settleEarlier = async (): Promise<void> => {
    const oldest = formatTime(ports.now() - limits.anchorAgeMs)
    const all = await anchors.load(device)
    const known = new Map(all.map((anchor) => [anchor.chain, anchor]))
    // No later chain will ever follow those of a node that is gone for good.
    for (const { chain, time, place: elsewhere } of all)
      if (elsewhere !== undefined && elsewhere !== place && time < oldest) await anchors.remove(device, chain)
    const kept = [...earlier].sort(byTime).slice(-limits.anchorsMax)
    for (const was of earlier) {
      const anchor = known.get(was.chain)
      // A process that still writes this chain may have moved it meanwhile: then it is none of ours.
      if (!anchor || anchor.seq !== was.seq) continue
      if (anchor.closed || anchor.time < oldest || !kept.includes(was)) await anchors.remove(device, was.chain)
      else if (anchor.linked < was.seq) await anchors.save(device, { ...anchor, linked: was.seq })
    }
    earlier = []
  }

  const run = async (): Promise<void> => {
    while (pending) {
      const anchor = pending
      pending = undefined
      try {
        syncing = sink.sync()
        await syncing
        await anchors.save(device, anchor)
        if (earlier.length > 0) await settleEarlier()
        trouble = ''
      } catch (error) {
        pending ??= anchor
        const text = `the last checkpoint is not anchored: ${reason(error)}`
        if (trouble === '') ports.logger.warn({ device, reason: reason(error) }, 'audit: checkpoint not anchored')
        trouble = text
        return
      }
    }
  }

  const start = (): void => {
    if (running || !pending) return
    running = run().finally(() => {
      running = undefined
    })
  }

  return {
    async links(tail) {
      // What other nodes write stands in other files: a first line cannot vouch for it.
      earlier = (await anchors.load(device)).filter((anchor) => (anchor.place ?? place) === place)
      const links = new Map<string, Link>()
      for (const anchor of earlier) if (anchor.seq > anchor.linked) links.set(anchor.chain, linkOf(anchor))
      if (tail && (links.get(tail.chain)?.seq ?? 0) < tail.seq) links.set(tail.chain, tail)
      return [...links.values()].sort(byTime).slice(-limits.anchorsMax)
    },
    keep(anchor) {
      pending = anchor
      start()
    },
    retry: start,
    quiet: () => syncing.catch(() => {}),
    async settled() {
      while (running) await running
    },
    trouble: () => trouble,
  }
}
