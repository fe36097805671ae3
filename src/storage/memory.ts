// A store in memory: for tests and for a development server without a folder. Nothing in it outlives the process.
import { setImmediate as turn } from 'node:timers/promises'
import { foldNames } from './fold.ts'
import type { StorageMeter } from './meter.ts'
import { startOfKeys } from './order.ts'
import { runner } from './run.ts'
import { SortedKeys } from './sorted-keys.ts'
import { type Entry, type ExportOptions, pageMax, type Storage, StorageClosed } from './storage.ts'
import {
  type Keeper,
  type Moment,
  type RangeFound,
  type RangeQuery,
  sameFound,
  type Transaction,
} from './transaction.ts'

interface Stored {
  readonly value: Uint8Array
  readonly version: number
}

/** A memory store with the number of keys its readings have visited, for tests of how a reading goes about it. */
export interface MemoryStorage extends Storage {
  rowsVisited(): number
}

/** What a store in memory is made with. `attemptsMax` bounds how often one transaction is run. */
export interface MemoryOptions {
  readonly attemptsMax?: number
  readonly meter?: StorageMeter | undefined
}

/** Makes an empty store in memory. */
export function memoryStorage(options: MemoryOptions = {}): MemoryStorage {
  const table = new MemoryTable()
  const { view, update, drain } = runner(table, options.attemptsMax, options.meter)
  let closed = false
  return {
    kind: 'inmem',
    view,
    update,
    async *export(wanted) {
      for (const page of table.pages(wanted)) {
        // Others get their turn between pages, as in a store on disk.
        await turn()
        if (closed) throw new StorageClosed('the store is closed')
        yield page
      }
    },
    close() {
      closed = true
      return drain()
    },
    rowsVisited: () => table.visited,
  }
}

/** The committed state. Readings and commits are synchronous, so each sees and makes one state. */
class MemoryTable implements Keeper {
  readonly #stored = new Map<string, Stored>()
  readonly #order = new SortedKeys()
  #revision = 0
  visited = 0

  begin(): Moment {
    return { stamp: this.#revision, floor: this.#revision }
  }

  get(key: string): Entry | undefined {
    this.visited++
    const stored = this.#stored.get(key)
    return stored && { key, value: stored.value.slice(), version: stored.version }
  }

  getMany(keys: readonly string[]): (Entry | undefined)[] {
    return keys.map((key) => this.get(key))
  }

  names({ kind, prefix, after, limit }: RangeQuery): string[] {
    if (kind === 'list') return foldNames((start) => this.#below(prefix, start), prefix, after, limit)
    return this.#keys(prefix, after, limit).map((key) => key.slice(prefix.length))
  }

  entries({ prefix, after, limit }: RangeQuery): Entry[] {
    return this.#keys(prefix, after, limit).map((key) => this.get(key) as Entry)
  }

  prove(tx: Transaction): boolean {
    if (tx.start.stamp === this.#revision && tx.expected.size === 0) return true
    return (
      this.#same(tx.keys) &&
      this.#same(tx.expected) &&
      tx.ranges.every((range) => sameFound(range.found, this.#found(range)))
    )
  }

  async commit(tx: Transaction): Promise<number> {
    // As in a store on disk, others get their turn between the function's end and its commit.
    await turn()
    if (!this.prove(tx)) return 0
    this.#revision++
    for (const [key, value] of tx.writes) {
      if (value === undefined) {
        if (this.#stored.delete(key)) this.#order.remove(key)
      } else {
        if (!this.#stored.has(key)) this.#order.add(key)
        this.#stored.set(key, { value, version: this.#revision })
      }
    }
    return this.#revision
  }

  /** All entries of the state at the first page. What is stored is never changed in place, so references are a copy. */
  *pages({ after }: ExportOptions = {}): Generator<Entry[]> {
    const found: [string, Stored][] = []
    for (const key of this.#order.from(startOfKeys('', after))) found.push([key, this.#stored.get(key) as Stored])
    let page: Entry[] = []
    let bytes = 0
    for (const [key, { value, version }] of found) {
      page.push({ key, value: value.slice(), version })
      bytes += value.byteLength
      if (page.length < pageMax.entries && bytes < pageMax.bytes) continue
      yield page
      page = []
      bytes = 0
    }
    if (page.length > 0) yield page
  }

  *#below(prefix: string, start: string): Generator<string> {
    for (const key of this.#order.from(start)) {
      this.visited++
      if (!key.startsWith(prefix)) return
      yield key
    }
  }

  #keys(prefix: string, after: string | undefined, limit: number): string[] {
    const keys: string[] = []
    for (const key of this.#below(prefix, startOfKeys(prefix, after))) {
      keys.push(key)
      if (keys.length >= limit) break
    }
    return keys
  }

  #same(versions: ReadonlyMap<string, number>): boolean {
    for (const [key, version] of versions) if ((this.#stored.get(key)?.version ?? 0) !== version) return false
    return true
  }

  #found({ kind, prefix, after, limit }: RangeQuery): RangeFound {
    if (kind !== 'entries') return { names: this.names({ kind, prefix, after, limit }), versions: undefined }
    const keys = this.#keys(prefix, after, limit)
    return {
      names: keys.map((key) => key.slice(prefix.length)),
      versions: keys.map((key) => this.#stored.get(key)?.version ?? 0),
    }
  }
}
