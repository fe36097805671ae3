// Locks for work that must be done once over all processes. Fenced: a lock is stale when its record has not moved for a term on the
// observer's own clock, and whoever works under it re-reads it in each commit, so that one who lost it can write nothing any more.
import { randomUUID } from 'node:crypto'
import { collection } from '../storage/collection.ts'
import type { Reader, Storage } from '../storage/storage.ts'

interface LockRecord {
  readonly holder: string
  readonly beat: number
}

const records = collection<LockRecord>('core/job/')

/** A lock that is held, as far as its holder knows. */
export interface JobLock {
  /** Reads the lock in this transaction: true while it is ours. A commit that read it cannot pass a change of hands. */
  holds(tx: Reader): Promise<boolean>
  /** Gives it back; never throws. */
  release(): Promise<void>
}

export interface JobLocks {
  /** Takes the lock, or gives undefined when another process holds it. Call again later: staleness is only seen by looking twice. */
  acquire(name: string): Promise<JobLock | undefined>
}

export interface JobLockOptions {
  /** Milliseconds that only go forward. */
  readonly clock: () => number
  /** Milliseconds without a sign of life after which a lock is stale. */
  readonly termMs: number
}

/** Makes the locks of one process over a store. */
export function jobLocks(storage: Storage, { clock, termMs }: JobLockOptions): JobLocks {
  const seen = new Map<string, { readonly version: number; readonly since: number }>()

  /** Whether a lock record may be taken over, by what this process has seen of it. */
  const isStale = (name: string, version: number): boolean => {
    const known = seen.get(name)
    if (known?.version !== version) {
      seen.set(name, { version, since: clock() })
      return false
    }
    return clock() - known.since >= termMs
  }

  const take = (name: string, holder: string): Promise<boolean> =>
    storage.update(async (tx) => {
      const current = await records.getVersioned(tx, name)
      if (current && !isStale(name, current.version)) return false
      records.put(tx, name, { holder, beat: 0 })
      return true
    })

  const held = (name: string, holder: string): JobLock => {
    const isMine = async (tx: Reader): Promise<boolean> => (await records.get(tx, name))?.holder === holder
    const beat = (): void => {
      storage
        .update(async (tx) => {
          const current = await records.get(tx, name)
          if (current?.holder === holder) records.put(tx, name, { holder, beat: current.beat + 1 })
        })
        // A beat that fails is missed; whether the lock is still ours each commit asks for itself.
        .catch(() => {})
    }
    const timer = setInterval(beat, Math.max(1, termMs / 3))
    timer.unref()
    return {
      holds: isMine,
      async release() {
        clearInterval(timer)
        try {
          await storage.update(async (tx) => {
            if (await isMine(tx)) records.delete(tx, name)
          })
        } catch {
          // Sealed or closed: the lock goes stale by itself.
        }
      },
    }
  }

  return {
    async acquire(name) {
      const current = await storage.view((tx) => records.getVersioned(tx, name))
      if (current && !isStale(name, current.version)) return undefined
      const holder = randomUUID()
      if (!(await take(name, holder))) return undefined
      seen.delete(name)
      return held(name, holder)
    },
  }
}
