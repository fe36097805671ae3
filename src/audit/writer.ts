// Turns waiting entries into chained lines and hands them to the sink: a checkpoint that must come first, entries, a checkpoint at the
// end when it is time. What the sink did not take is taken back from the chain, so the chain never has a gap of its own making.
import {
  type Anchor,
  type CheckpointEvent,
  type CheckpointFacts,
  lineHash,
  type Position,
  startChain,
} from './chain.ts'
import type { AuditLimits } from './limits.ts'
import type { EntryQueue } from './queue.ts'
import type { AuditSigner } from './signer.ts'
import { type Found, type Sink, SinkError } from './sinks/sink.ts'

export interface WriterPorts {
  readonly device: string
  readonly place: string
  readonly prefix: string
  readonly now: () => number
  readonly signer: AuditSigner
  readonly limits: Pick<AuditLimits, 'batchCharsMax' | 'checkpointLines'>
  readonly keep: (anchor: Anchor) => void
}

interface Batch {
  readonly before: Position
  readonly lines: readonly string[]
  /** Lines in front of the entries. */
  readonly front: number
  readonly entries: number
  /** The last checkpoint in it. */
  readonly anchor: Anchor | undefined
  /** Lines behind that checkpoint, or since the one before. */
  readonly unsigned: number
}

/** Writes one chain. */
export interface ChainWriter {
  /** Lines since the last checkpoint. */
  readonly unsigned: number
  /** Whether a checkpoint waits to be written before anything else. */
  readonly begins: boolean
  /** Says that the next line must be a checkpoint of this kind, with what was found there. */
  begin(event: CheckpointEvent, found: Found, facts?: CheckpointFacts): void
  /** Writes the next batch, ended by a checkpoint if `sign` says which. Rejects as the sink does; what was taken is off the queue. */
  write(queue: EntryQueue, sign?: CheckpointEvent): Promise<void>
}

/** Makes the writer of a new chain. */
export function chainWriter(sink: Sink, ports: WriterPorts): ChainWriter {
  const { prefix, now, limits } = ports
  const chain = startChain(ports.device, ports.signer, ports.place)
  let unsigned = 0
  let next: { event: CheckpointEvent; facts: CheckpointFacts } | undefined

  const compose = (queue: EntryQueue, sign: CheckpointEvent | undefined): Batch => {
    const before = chain.position()
    const lines: string[] = []
    let anchor: Anchor | undefined
    if (next) {
      const first = chain.checkpoint(next.event, now(), next.facts)
      lines.push(first.line)
      anchor = first.anchor
    }
    const front = lines.length
    // A file that is about to be rotated away gets its last checkpoint, and nothing more goes into it.
    const bodies = sign === 'rotate' ? [] : queue.first(limits.batchCharsMax)
    for (const body of bodies) lines.push(chain.line(body))
    const waiting = (next ? 0 : unsigned) + bodies.length
    const wanted = sign === 'rotate' || bodies.length === queue.length ? sign : undefined
    const event = wanted ?? (waiting >= limits.checkpointLines ? 'periodic' : undefined)
    if (event === undefined || (event !== 'stop' && waiting === 0))
      return { before, lines, front, entries: bodies.length, anchor, unsigned: waiting }
    const last = chain.checkpoint(event, now())
    lines.push(last.line)
    return { before, lines, front, entries: bodies.length, anchor: last.anchor, unsigned: 0 }
  }

  /** Takes back what was chained and not written. */
  const takeBack = (queue: EntryQueue, batch: Batch, error: unknown): void => {
    const { taken, torn } = error instanceof SinkError ? error : { taken: 0, torn: undefined }
    const last = batch.lines[taken - 1]
    chain.back(last === undefined ? batch.before : { seq: batch.before.seq + taken, hash: lineHash(last) })
    const entries = Math.min(batch.entries, Math.max(0, taken - batch.front))
    queue.written(entries)
    if (taken > 0 && batch.front > 0) {
      next = undefined
      unsigned = 0
    }
    unsigned += entries
    if (torn)
      next = { event: next?.event ?? 'periodic', facts: { ...next?.facts, torn: [...(next?.facts.torn ?? []), torn] } }
  }

  return {
    get unsigned() {
      return unsigned
    },
    get begins() {
      return next !== undefined
    },
    begin(event, found, facts = {}) {
      // What an unwritten first line had to say is still to be said, and a chain's first line stays its first.
      const earlier = next?.facts
      const torn = [...(earlier?.torn ?? []), ...(found.torn ? [found.torn] : [])]
      const first = next?.event === 'start' ? 'start' : event
      next = { event: first, facts: { ...earlier, ...facts, ...(torn.length > 0 ? { torn } : {}) } }
    },
    async write(queue, sign) {
      if (queue.owesWord && !queue.full) queue.sayLost(now())
      const batch = compose(queue, sign)
      if (batch.lines.length === 0) return
      try {
        await sink.write(prefix === '' ? batch.lines : batch.lines.map((line) => prefix + line))
      } catch (error) {
        takeBack(queue, batch, error)
        throw error
      }
      queue.written(batch.entries)
      next = undefined
      unsigned = batch.unsigned
      if (batch.anchor) ports.keep(batch.anchor)
    },
  }
}
