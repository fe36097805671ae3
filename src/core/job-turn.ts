// One turn at a shard of due work: batches under the shard's lock, until nothing is due, the time is up or the lock is lost. It must
// never write without having read the lock in the same transaction.
import type { Storage, Writer } from '../storage/storage.ts'
import { type DueEntry, dueKeys, putDue, readDue } from './due.ts'
import type { JobLock } from './job-lock.ts'
import type { DueHandler, JobLog, JobMeter } from './jobs.ts'

export interface TurnOptions {
  readonly handlers: ReadonlyMap<string, DueHandler>
  readonly now: () => number
  readonly clock: () => number
  readonly log: JobLog
  /** Entries per transaction. */
  readonly batch: number
  /** Whether the runner still wants it. */
  readonly goesOn: () => boolean
  readonly meter?: JobMeter | undefined
}

interface Failure {
  readonly entry: DueEntry
  readonly error: unknown
}

const retryFirstMs = 1_000
const retryMostMs = 15 * 60_000
/** After so long a turn ends: others may want the shard, and other shards want this node. */
const turnMs = 1_000
/** After so long a batch takes no further entry: requests wait for the event loop, and the lock for its batch. */
const batchMs = 25

/** Milliseconds until the next try of something that failed so often. */
const retryDelay = (attempts: number): number => Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(attempts, 20))

/** Works off what is due in a shard under its lock; gives how many entries were. The lock stays the caller's to release. */
export async function takeTurn(store: Storage, shard: string, lock: JobLock, options: TurnOptions): Promise<number> {
  const { handlers, now, clock, log, meter } = options

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

  /** One transaction over a few entries; gives how many. 0: the lock is lost, or another was faster. */
  const runBatch = async (keys: readonly string[]): Promise<number> => {
    let failures: Failure[] = []
    const count = await store.update(async (tx) => {
      failures = []
      if (!(await lock.holds(tx))) return 0
      const until = clock() + batchMs
      let worked = 0
      for (const found of await tx.getMany(keys)) {
        if (worked > 0 && clock() >= until) break
        worked++
        if (!found) continue
        tx.delete(found.key)
        const entry = readDue(found)
        if (entry) await runEntry(tx, entry, failures)
        else log('error', 'due work with a key that cannot be read was dropped', { key: found.key })
      }
      return worked
    })
    meter?.done.add(count > 0 ? count - failures.length : 0)
    meter?.failed.add(count > 0 ? failures.length : 0)
    for (const { entry, error } of count > 0 ? failures : [])
      log('error', 'due work failed and will be tried again', {
        kind: entry.kind,
        attempts: entry.attempts + 1,
        error: String(error),
      })
    return count
  }

  const until = clock() + turnMs
  let done = 0
  do {
    const keys = await store.view((tx) => dueKeys(tx, shard, now(), options.batch))
    const count = keys.length > 0 ? await runBatch(keys) : 0
    if (count === 0) break
    done += count
  } while (options.goesOn() && clock() < until)
  return done
}
