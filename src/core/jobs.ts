// The job runner: works off due entries by handlers, from unseal to seal, a few shards at a time, each under its own fenced lock, so
// that nodes share the work. It holds no lock and writes nothing while nothing is due, and no entry that fails stops the others.
import { hash, randomUUID } from 'node:crypto'
import type { Counter, Timer } from '../lib/metrics.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { type DueEntry, dueKeys, duePrefix, dueShards } from './due.ts'
import { type JobLocks, jobLocks } from './job-lock.ts'
import { takeTurn } from './job-turn.ts'

/** When an entry is to be called again, and with what. */
export interface Again {
  readonly at: number
  readonly data?: unknown
}

/**
 * Does what is due, in the runner's transaction; the entry is gone with the commit unless it asks to be called again. It may run several
 * times, like all that runs in a transaction. What it throws drops its writes and calls it again later.
 */
export type DueHandler = (tx: Writer, entry: DueEntry) => Promise<Again | undefined>

export type JobLog = (level: 'debug' | 'error', message: string, facts: Record<string, unknown>) => void
/** What is counted of due work. */
export interface JobMeter {
  readonly done: Counter
  readonly failed: Counter
  /** Turns at a shard that found something. */
  readonly turn: Timer
}

export interface JobOptions {
  readonly handlers: ReadonlyMap<string, DueHandler>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds that only go forward; for the staleness of locks. */
  readonly clock?: () => number
  readonly log: JobLog
  /** Milliseconds between looks at what is due. */
  readonly pollMs?: number
  /** Milliseconds after which a silent holder has lost its lock. */
  readonly lockTermMs?: number
  /** Entries per transaction. */
  readonly batch?: number
  readonly meter?: JobMeter
}

export interface JobRunner {
  /** Begins to look for due work in this store: at unseal. */
  start(storage: Storage): void
  /** Ends; resolves when what is under way has come to rest: at seal, before the keys go. */
  stop(): Promise<void>
  /** Works off all that is due and free, in tests and after work was queued; gives how many entries were. */
  runDue(): Promise<number>
}

const pollMsDefault = 1_000
/**
 * A dead node's shard is with another after: the term, a poll before it (the first look) and one after it (the look that sees it
 * stale), at worst both slowed down by a store that fails. That is 8 + 2 s, and never more than 8 + 6 s: below 15.
 */
const lockTermMsDefault = 8_000
const pollMostMs = 3_000
/** Shards that one node works at at once: more would take them from others, and the event loop from requests. */
const shardsAtOnce = 4

/** From one start to its stop. */
interface Run {
  readonly store: Storage
  readonly locks: JobLocks
}

/** Makes the runner. Nothing happens before `start`. */
export function jobRunner(options: JobOptions): JobRunner {
  const { handlers, now, log, batch = 25 } = options
  const clock = options.clock ?? (() => performance.now())
  const pollMs = options.pollMs ?? pollMsDefault
  const { meter } = options
  const self = randomUUID()
  /** What this node is doing, by shard. */
  const turns = new Map<string, Promise<void>>()
  /** When a shard had its last turn here: those that waited longest come first. */
  const lastTurns = new Map<string, number>()
  let current: Run | undefined
  let timer: NodeJS.Timeout | undefined
  let turnCount = 0
  let workedOff = 0
  let troubles = 0

  // Every node has an order of its own, so that they begin at different ends.
  const rank = (shard: string): string => hash('sha256', self + shard)
  const inOrder = (a: string, b: string): number =>
    (lastTurns.get(a) ?? 0) - (lastTurns.get(b) ?? 0) || (rank(a) < rank(b) ? -1 : 1)
  const lockOf = (shard: string): string => `due-${shard.slice(0, -1)}`

  /** Shards with due work that nobody is at, in the order of this node. */
  const look = ({ store, locks }: Run): Promise<string[]> =>
    store.view(async (tx) => {
      const held = await locks.held(tx)
      const free: string[] = []
      for (const shard of await dueShards(tx))
        if (!held.has(lockOf(shard)) && (await dueKeys(tx, shard, now(), 1)).length > 0) free.push(shard)
      return free.sort(inOrder)
    })

  const turnAt = async (run: Run, shard: string): Promise<void> => {
    const lock = await run.locks.acquire(lockOf(shard))
    if (!lock) return
    const goesOn = () => current === run
    try {
      const began = performance.now()
      const done = await takeTurn(run.store, shard, lock, { handlers, now, clock, log, batch, goesOn, meter })
      workedOff += done
      if (done > 0) meter?.turn.since(began)
    } finally {
      await lock.release()
    }
  }

  const trouble = (run: Run, error: unknown): void => {
    troubles++
    if (current === run) log('error', 'working off what is due failed', { under: duePrefix, error: String(error) })
  }

  /** Begins turns at what is due, as many as may be; a turn that ends makes room for the next. Looks in any case, for the locks. */
  const fill = async (run: Run): Promise<void> => {
    for (const shard of await look(run)) {
      if (turns.size >= shardsAtOnce || current !== run) return
      if (!turns.has(shard)) begin(run, shard)
    }
  }

  const begin = (run: Run, shard: string): void => {
    lastTurns.set(shard, ++turnCount)
    const turn = turnAt(run, shard).finally(() => turns.delete(shard))
    turns.set(shard, turn)
    turn
      .then(() => {
        troubles = 0
        return current === run ? fill(run) : undefined
      })
      .catch((error: unknown) => trouble(run, error))
  }

  const tick = async (run: Run): Promise<void> => {
    try {
      await fill(run)
      if (turns.size === 0) troubles = 0
    } catch (error) {
      trouble(run, error)
    }
    if (current === run) schedule(run)
  }

  const schedule = (run: Run): void => {
    const slow = Math.min(pollMostMs, pollMs * 2 ** Math.min(troubles, 10))
    timer = setTimeout(() => void tick(run), Math.max(pollMs, slow))
    timer.unref()
  }

  return {
    start(store) {
      if (current) throw new Error('the jobs run already')
      current = { store, locks: jobLocks(store, { clock, termMs: options.lockTermMs ?? lockTermMsDefault }) }
      troubles = 0
      schedule(current)
    },
    async stop() {
      current = undefined
      clearTimeout(timer)
      await Promise.allSettled(turns.values())
    },
    async runDue() {
      const before = workedOff
      for (let run = current; run && current === run; ) {
        await fill(run)
        if (turns.size === 0) break
        await Promise.all(turns.values())
      }
      return workedOff - before
    },
  }
}
