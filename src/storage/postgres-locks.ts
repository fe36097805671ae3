// Which locks a group of commits holds while it is checked and applied: what makes "check, then write" one step for all
// nodes. Locks are transaction-level advisory locks, taken in the order of their ids, so that nobody waits in a circle.
import type { RangeQuery, Transaction } from './transaction.ts'

/** Locks in the order in which they are taken. */
export interface LockSet {
  readonly ids: readonly number[]
  readonly exclusive: readonly boolean[]
}

/**
 * Locks one group may hold. The server's lock table is shared by all sessions (64 for each connection it allows), so a
 * larger one locks the whole store instead.
 */
export const locksMax = 256

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

/** Adds what one commit needs. */
function addLocks(locks: Map<number, boolean>, tx: Pick<Transaction, 'keys' | 'expected' | 'writes' | 'ranges'>): void {
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
}

/** The lock that covers all keys a range could find. */
function rangeLock(prefix: RangeQuery['prefix']): number {
  let deepest = 0
  for (const end of folderEnds(prefix)) deepest = end
  return deepest === 0 ? storeLock : folderLock(prefix.slice(0, deepest))
}

/** Gives the locks of commits that go together. */
export function locksFor(group: readonly Pick<Transaction, 'keys' | 'expected' | 'writes' | 'ranges'>[]): LockSet {
  const locks = new Map<number, boolean>([[storeLock, false]])
  for (const tx of group) addLocks(locks, tx)
  if (locks.size > locksMax) return { ids: [storeLock], exclusive: [true] }
  const ids = Int32Array.from(locks.keys()).sort()
  return { ids: [...ids], exclusive: Array.from(ids, (id) => locks.get(id) as boolean) }
}
