// Copying a whole store into an empty one, as it is: entries in key order, in bounded steps, each committed with how far it has come, so that a
// migration that was killed goes on. It is done when both were read again and are the same. It must never touch a store that holds anything else.
import { createHash, type Hash } from 'node:crypto'
import { collection } from './collection.ts'
import { replaceRange } from './replace.ts'
import { type Entry, type Reader, type Storage, StorageError, StorageUnusable } from './storage.ts'

interface MigrationState {
  /** What the source says it is. */
  readonly source: string
  /** Milliseconds since the epoch. */
  readonly started: number
  /** The key up to which the copy is as it should be. */
  readonly at: string
}

const states = collection<MigrationState>('migration/')
const stateId = 'state'
const stateKey = states.key(stateId)
const countPage = 10_000
const removePage = 1000

/** The migration may not begin, or did not end as it should; the message says what to do. */
export class MigrationFailed extends StorageError {
  override name = 'MigrationFailed'
}

/** Where a migration is. */
export interface MigrationProgress {
  readonly phase: 'copying' | 'checking'
  readonly done: number
  readonly total: number
}

export interface Migration {
  readonly source: Storage
  readonly destination: Storage
  /** What a store says it is; undefined for one that was never initialised. */
  readonly identify: (tx: Reader) => Promise<string | undefined>
  /** Only keys from this one on; "" for all. */
  readonly start: string
  readonly now: number
  readonly progress: (progress: MigrationProgress) => void
}

/** Refuses a store into which a migration is not finished, with `StorageUnusable`. */
export async function checkMigrated(storage: Storage): Promise<void> {
  if (await storage.view((tx) => states.has(tx, stateId)))
    throw new StorageUnusable(
      'a migration into this store is not finished: run "coffer operator migrate" again, or take it back with -reset',
    )
}

/** Removes everything that an unfinished migration has copied, and its record. False: there is none. */
export async function takeBack(destination: Storage): Promise<boolean> {
  if (!(await destination.view((tx) => states.has(tx, stateId)))) return false
  for (let more = true; more; ) {
    more = await destination.update(async (tx) => {
      if (!(await states.has(tx, stateId))) return false
      const keys = (await tx.scan('', { limit: removePage })).filter((key) => key !== stateKey)
      for (const key of keys) tx.delete(key)
      if (keys.length === 0) states.delete(tx, stateId)
      return keys.length > 0
    })
  }
  return true
}

/** Copies, or goes on copying, and checks. Rejects with `MigrationFailed`; what was copied stays for the next try. */
export async function migrate(migration: Migration): Promise<{ readonly entries: number; readonly sha256: string }> {
  const { source, destination, start, progress } = migration
  const state = await begin(migration)
  const total = await count(source, start)
  let done = total - (await count(source, state.at))
  const resumed = state.at !== start
  const seen = new Digest()
  let { at } = state
  for (const entry of await first(source, start)) seen.add(entry)
  for await (const page of pagesOf(source, at)) {
    at = await copy(destination, { state, at, page, upTo: page.at(-1)?.key })
    for (const entry of page) seen.add(entry)
    done += page.length
    progress({ phase: 'copying', done, total })
  }
  await copy(destination, { state, at, page: [], upTo: undefined })
  return await check(migration, state, { copied: resumed ? undefined : seen, total: 2 * total })
}

/** Takes the record of the migration, or makes it; refuses what must not be begun. */
async function begin({ source, destination, identify, start, now }: Migration): Promise<MigrationState> {
  if (await source.view((tx) => states.has(tx, stateId)))
    throw new MigrationFailed('the source is itself the destination of a migration that is not finished')
  const identity = await source.view(identify)
  if (identity === undefined) throw new MigrationFailed('the source holds no store of Coffer: it was never initialised')
  const [entry] = await first(source, start)
  return await destination.update(async (tx) => {
    const known = await states.get(tx, stateId)
    if (known && known.source !== identity)
      throw new MigrationFailed(
        'an unfinished migration of another store is in the destination; take it back with -reset',
      )
    if (!known && (await tx.scan('', { limit: 1 })).length > 0)
      throw new MigrationFailed('the destination is not empty, and nothing in it is overwritten')
    const state = { source: identity, started: known?.started ?? now, at: start || (known?.at ?? '') }
    if (entry) tx.put(entry.key, entry.value)
    states.put(tx, stateId, state)
    return state
  })
}

async function count(storage: Storage, after: string): Promise<number> {
  let total = 0
  for (let last: string | undefined = after; last !== undefined; ) {
    const keys: string[] = await storage.view((tx) => tx.scan('', { after: last as string, limit: countPage }))
    total += keys.length
    last = keys.length === countPage ? keys.at(-1) : undefined
  }
  return total
}

/** The entry that a copy from `start` on begins with, if there is one. */
async function first(storage: Storage, start: string): Promise<readonly Entry[]> {
  const entry = start === '' ? undefined : await storage.view((tx) => tx.get(start))
  return entry ? [entry] : []
}

/** Pages of a store's entries after a position, without the record of a migration. */
async function* pagesOf(storage: Storage, after: string): AsyncGenerator<readonly Entry[]> {
  if (!storage.export) throw new MigrationFailed(`a store of kind "${storage.kind}" cannot be copied`)
  for await (const page of storage.export({ after })) {
    const entries = page.filter(({ key }) => key !== stateKey)
    if (entries.length > 0) yield entries
  }
}

/** Copies one page in as many steps as it takes; gives the new position. */
async function copy(
  destination: Storage,
  step: { state: MigrationState; at: string; page: readonly Entry[]; upTo: string | undefined },
): Promise<string> {
  let { at } = step
  for (;;) {
    const reached = await destination.update(async (tx) => {
      const now = await states.get(tx, stateId)
      if (now?.source !== step.state.source || now.at !== at)
        throw new MigrationFailed('another migration works on this destination')
      const kept = (key: string): boolean => key === stateKey
      const result = await replaceRange(tx, { after: at, upTo: step.upTo, entries: step.page, kept })
      states.put(tx, stateId, { ...now, at: result.at })
      return result
    })
    at = reached.at
    if (reached.done) return at
  }
}

/** Reads both stores again, side by side; when they are the same the record goes and the destination may be served. */
async function check(
  { source, destination, start, progress }: Migration,
  state: MigrationState,
  { copied, total }: { copied: Digest | undefined; total: number },
): Promise<{ entries: number; sha256: string }> {
  let done = 0
  const read = async (storage: Storage): Promise<Digest> => {
    const digest = new Digest()
    for (const entry of await first(storage, start)) digest.add(entry)
    for await (const page of pagesOf(storage, start)) {
      for (const entry of page) digest.add(entry)
      done += page.length
      progress({ phase: 'checking', done, total })
    }
    return digest
  }
  const from = await read(source)
  const to = await read(destination)
  const sha256 = to.hex()
  const same = from.entries === to.entries && from.hex() === sha256
  await destination.update(async (tx) => {
    // A copy that is not right is made anew from its beginning by the next try.
    if (same) states.delete(tx, stateId)
    else states.put(tx, stateId, { ...state, at: '' })
  })
  if (same) return { entries: to.entries, sha256 }
  const moved = copied !== undefined && copied.hex() !== from.hex()
  throw new MigrationFailed(
    moved
      ? 'the source was changed while it was copied: stop every server on it, then migrate again'
      : 'the destination differs from the source: stop every server on both, then migrate again',
  )
}

/** SHA-256 over keys and values in key order. */
class Digest {
  readonly #hash: Hash = createHash('sha256')
  #hex: string | undefined
  entries = 0

  add({ key, value }: Pick<Entry, 'key' | 'value'>): void {
    const lengths = Buffer.allocUnsafe(8)
    lengths.writeUInt32BE(Buffer.byteLength(key), 0)
    lengths.writeUInt32BE(value.byteLength, 4)
    this.#hash.update(lengths).update(key).update(value)
    this.entries++
  }

  hex(): string {
    this.#hex ??= this.#hash.digest('hex')
    return this.#hex
  }
}
