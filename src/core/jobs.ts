// The job runner: works off due entries by handlers, in bounded batches, under fenced locks, from unseal to seal. It holds no lock
// and writes nothing while nothing is due. It must never let an entry that fails stop the others.
import type { Counter, Timer } from '../lib/metrics.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { type DueEntry, dueKeys, duePrefix, dueShards, putDue, readDue } from './due.ts'
import { type JobLock, type JobLocks, jobLocks } from './job-lock.ts'

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

/** What is counted of due work. */
export interface JobMeter {
  readonly done: Counter
  readonly failed: Counter
  /** Looks that found something. */
  readonly turn: Timer
}

export interface JobOptions {
  readonly handlers: ReadonlyMap<string, DueHandler>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds that only go forward; for the staleness of locks. */
  readonly clock?: () => number
  readonly log: (level: 'debug' | 'error', message: string, facts: Record<string, unknown>) => void
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
  /** Looks now, in tests and after work was queued; gives how many entries were worked off. */
  runDue(): Promise<number>
}

interface Failure {
  readonly entry: DueEntry
  readonly error: unknown
}

const retryFirstMs = 1_000
const retryMostMs = 15 * 60_000
const pollMostMs = 60_000
/** Batches of one shard before the others get their turn. */
const batchesPerTurn = 50

/** Milliseconds until the next try of something that failed so often. */
const retryDelay = (attempts: number): number => Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(attempts, 20))

/** Makes the runner. Nothing happens before `start`. */
export function jobRunner(options: JobOptions): JobRunner {
  const { handlers, now, log } = options
  const clock = options.clock ?? (() => performance.now())
  const pollMs = options.pollMs ?? 1_000
  const termMs = options.lockTermMs ?? 15_000
  const batch = options.batch ?? 25
  const { meter } = options
  let storage: Storage | undefined
  let locks: JobLocks | undefined
  let timer: NodeJS.Timeout | undefined
  let running: Promise<number> | undefined
  let troubles = 0
  /** Which start this is: a look that outlives its stop must not go on in the next one. */
  let round = 0

  const runEntry = async (tx: Writer, entry: DueEntry, failures: Failure[]): Promise<void> => {
    const mark = tx.mark()
    try {
      const handler = handlers.get(entry.kind)
      if (!handler) throw new Error(`no handler for due work of kind "${entry.kind}"`)
      const again = await handler(tx, entry)
      if (again) putDue(tx, { kind: entry.kind, id: entry.id, at: again.at, data: again.data })
    } catch (error) {
      tx.rollback(mark)
      const { attempts } = entry
      putDue(tx, { ...entry, at: now() + retryDelay(attempts), attempts: attempts + 1 })
      failures.push({ entry, error })
    }
  }

  /** One transaction over a few entries. False: the lock is lost, or another was faster. */
  const runBatch = async (store: Storage, lock: JobLock, keys: readonly string[]): Promise<boolean> => {
    let failures: Failure[] = []
    const held = await store.update(async (tx) => {
      failures = []
      if (!(await lock.holds(tx))) return false
      for (const found of await tx.getMany(keys)) {
        if (!found) continue
        tx.delete(found.key)
        const entry = readDue(found)
        if (entry) await runEntry(tx, entry, failures)
        else log('error', 'due work with a key that cannot be read was dropped', { key: found.key })
      }
      return true
    })
    meter?.done.add(held ? keys.length - failures.length : 0)
    meter?.failed.add(held ? failures.length : 0)
    for (const { entry, error } of held ? failures : [])
      log('error', 'due work failed and will be tried again', {
        kind: entry.kind,
        attempts: entry.attempts + 1,
        error: String(error),
      })
    return held
  }

  const runShard = async (store: Storage, held: JobLocks, shard: string): Promise<number> => {
    const due = () => store.view((tx) => dueKeys(tx, shard, now(), batch))
    let keys = await due()
    if (keys.length === 0) return 0
    const lock = await held.acquire(`due-${shard.slice(0, -1)}`)
    if (!lock) return 0
    let done = 0
    try {
      for (let turn = 0; turn < batchesPerTurn && keys.length > 0 && storage === store; turn++) {
        if (!(await runBatch(store, lock, keys))) break
        done += keys.length
        keys = await due()
      }
    } finally {
      await lock.release()
    }
    return done
  }

  const runAll = async (store: Storage, held: JobLocks): Promise<number> => {
    let done = 0
    for (const shard of await store.view(dueShards)) {
      if (storage !== store) break
      done += await runShard(store, held, shard)
    }
    return done
  }

  const runDue = async (): Promise<number> => {
    while (running) await running.catch(() => 0)
    const store = storage
    if (!store || !locks) return 0
    const began = performance.now()
    running = runAll(store, locks)
    try {
      const done = await running
      if (done > 0) meter?.turn.since(began)
      return done
    } finally {
      running = undefined
    }
  }

  const tick = async (): Promise<void> => {
    const mine = round
    let more = false
    try {
      more = (await runDue()) > 0
      troubles = 0
    } catch (error) {
      troubles++
      if (mine === round && storage)
        log('error', 'looking for due work failed', { under: duePrefix, error: String(error) })
    }
    if (mine === round && storage) schedule(more ? 0 : Math.min(pollMostMs, pollMs * 2 ** Math.min(troubles, 10)))
  }

  const schedule = (delayMs: number): void => {
    timer = setTimeout(() => void tick(), delayMs)
    timer.unref()
  }

  return {
    start(store) {
      if (storage) throw new Error('the jobs run already')
      storage = store
      locks = jobLocks(store, { clock, termMs })
      troubles = 0
      round++
      schedule(pollMs)
    },
    async stop() {
      storage = undefined
      locks = undefined
      round++
      clearTimeout(timer)
      await running?.catch(() => 0)
    },
    runDue,
  }
}
