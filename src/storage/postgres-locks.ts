// Which locks a group of commits holds while it is checked and applied: what makes "check, then write" one step for all
// nodes. Locks are transaction-level advisory locks, taken in the order of their ids, so that nobody waits in a circle.
import type { RangeQuery, Transaction } from './transaction.ts'

/** Locks by id: exclusive, or shared. */
export type Locks = ReadonlyMap<number, boolean>

/**
 * Locks one group may hold. The server's lock table is shared by all sessions (64 for each connection it allows), so a
 * commit with more locks the whole store instead.
 */
export const locksMax = 192

/** FNV-1a over UTF-16 units, as a signed 32-bit integer. Two keys with one hash wait for each other in vain; nothing else. */
export function hash32(text: string, seed = 0x811c9dc5): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash ^ (hash >>> 15)
}

const keySeed = 0x811c9dc5
const folderSeed = 0x2f0b4c47
/** The lock of the store: everyone shares it; who reads the whole, or writes very much, has it alone. */
const storeLock = hash32('store', folderSeed)

/** Folders with a lock of their own are the first two of a key. */
const folderDepth = 2

/** Ends of the first folders of a path. */
function* folderEnds(path: string): Generator<number> {
  let end = 0
  for (let depth = 0; depth < folderDepth; depth++) {
    end = path.indexOf('/', end) + 1
    if (end === 0) return
    yield end
  }
}

const folderLock = (folder: string): number => hash32(folder, folderSeed)

/** Gives the locks a commit needs. */
export function locksOf(tx: Pick<Transaction, 'keys' | 'expected' | 'writes' | 'ranges'>): Locks {
  const locks = new Map<number, boolean>([[storeLock, false]])
  const share = (id: number): void => {
    if (!locks.has(id)) locks.set(id, false)
  }
  for (const key of tx.keys.keys()) share(hash32(key, keySeed))
  for (const key of tx.expected.keys()) share(hash32(key, keySeed))
  for (const key of tx.writes.keys()) {
    locks.set(hash32(key, keySeed), true)
    // Writers share their folders; who has read a range has its folder alone, so that nothing can appear in it.
    for (const end of folderEnds(key)) share(folderLock(key.slice(0, end)))
  }
  for (const { prefix } of tx.ranges) locks.set(rangeLock(prefix), true)
  return locks.size > locksMax ? new Map([[storeLock, true]]) : locks
}

/** The lock that covers all keys a range could find. */
function rangeLock(prefix: RangeQuery['prefix']): number {
  let deepest = 0
  for (const end of folderEnds(prefix)) deepest = end
  return deepest === 0 ? storeLock : folderLock(prefix.slice(0, deepest))
}

/** The locks of commits that go together. */
export class GroupLocks {
  readonly #locks = new Map<number, boolean>()

  /** Adds those of a commit; false, and nothing is added, when they would be too many. */
  add(locks: Locks): boolean {
    let more = 0
    for (const id of locks.keys()) if (!this.#locks.has(id)) more++
    if (this.#locks.size > 0 && this.#locks.size + more > locksMax) return false
    for (const [id, exclusive] of locks) this.#locks.set(id, exclusive || this.#locks.get(id) === true)
    return true
  }

  /** In the order in which everyone takes them. */
  inOrder(): { ids: Int32Array; exclusive: boolean[] } {
    const ids = Int32Array.from(this.#locks.keys()).sort()
    return { ids, exclusive: Array.from(ids, (id) => this.#locks.get(id) === true) }
  }
}
