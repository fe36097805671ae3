// Locks for work that must be done once over all processes. Fenced: a lock is stale when its record has not moved for a term on the
// observer's own clock, and whoever works under it re-reads it in each commit, so that one who lost it can write nothing any more.
import { randomUUID } from 'node:crypto'
import { collection } from '../storage/collection.ts'
import type { Reader, Storage } from '../storage/storage.ts'
import { standstill } from './standstill.ts'

interface LockRecord {
  readonly holder: string
  readonly beat: number
}

const records = collection<LockRecord>('core/job/')
/** Signs of life in a term: three may be missed. */
const beatsPerTerm = 4

/** A lock that is held, as far as its holder knows. */
export interface JobLock {
  /** Reads the lock in this transaction: true while it is ours. A commit that read it cannot pass a change of hands. */
  holds(tx: Reader): Promise<boolean>
  /** Gives it back; never throws. */
  release(): Promise<void>
}

export interface JobLocks {
  /** Looks at all locks and gives the names of those that others hold. Staleness is only seen by looking again and again. */
  held(tx: Reader): Promise<ReadonlySet<string>>
  /** Takes the lock, or gives undefined when another process holds it. */
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
  const stood = standstill(clock)
  const isStale = (name: string, version: number): boolean => stood.ms(name, version) >= termMs

  const take = (name: string, holder: string): Promise<boolean> =>
    storage.update(async (tx) => {
      const current = await records.getVersioned(tx, name)
      if (current && !isStale(name, current.version)) return false
      records.put(tx, name, { holder, beat: 0 })
      return true
    })

  const heldBy = (name: string, holder: string): JobLock => {
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
    const timer = setInterval(beat, Math.max(1, termMs / beatsPerTerm))
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
    async held(tx) {
      const all = await records.all(tx)
      stood.keep(all.map(({ id }) => id))
      return new Set(all.filter(({ id, version }) => !isStale(id, version)).map(({ id }) => id))
    },
    async acquire(name) {
      const holder = randomUUID()
      return (await take(name, holder)) ? heldBy(name, holder) : undefined
    },
  }
}
