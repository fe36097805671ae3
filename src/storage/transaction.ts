// One run of an optimistic transaction: what it read, what it expects, what it wants to write. Shared by all
// implementations; it never changes the committed state itself (run.ts has it proved and committed).
import { Buffer } from 'node:buffer'
import { compareKeys, nameBelow } from './order.ts'
import {
  type Entry,
  keyBytesMax,
  type ListOptions,
  type Mark,
  type Soon,
  StorageError,
  ValueTooLarge,
  valueBytesMax,
  type Writer,
} from './storage.ts'

/** The version an entry shows that this transaction has only buffered; no commit ever has it. */
export const pendingVersion = -1

/** A question for a range of keys. `limit` is Infinity for all, `after` relative to the prefix. */
export interface RangeQuery {
  readonly kind: 'list' | 'scan' | 'entries'
  readonly prefix: string
  readonly after: string | undefined
  readonly limit: number
}

/** What a range held when it was read: names or relative keys, and the versions where values were read. */
export interface RangeFound {
  readonly names: readonly string[]
  readonly versions: readonly number[] | undefined
}

/** A range that was read, with what it held. */
export interface RangeRead extends RangeQuery {
  readonly found: RangeFound
}

/** Reads of the committed state. Every call sees one state; arrays and bytes it gives belong to the caller. */
export interface Source<At extends Moment = Moment> {
  get(key: string, tx: Transaction<At>): Soon<Entry | undefined>
  getMany(keys: readonly string[], tx: Transaction<At>): Soon<(Entry | undefined)[]>
  /** Folded names or relative keys, by `kind`. */
  names(query: RangeQuery, tx: Transaction<At>): Soon<string[]>
  entries(query: RangeQuery, tx: Transaction<At>): Soon<Entry[]>
}

/** Where the store stood when a transaction began. */
export interface Moment {
  /** Moves when the implementation has seen the store's state move. */
  readonly stamp: number
  /** No reading of the transaction can be older than this revision. */
  readonly floor: number
}

/** What an implementation does for `run.ts`. */
export interface Keeper<At extends Moment = Moment> extends Source<At> {
  begin(): At
  /** Tells whether all that was read and expected holds together at a moment not before this call. */
  prove(tx: Transaction<At>): Soon<boolean>
  /** Commits the writes if all that was read and expected still holds; 0 if not. Resolves with the revision when durable. */
  commit(tx: Transaction<At>): Promise<number>
}

/** Thrown into a transaction's function when what it read has changed; the function is run again whatever it makes of it. */
export class Conflict extends StorageError {
  override name = 'Conflict'
  constructor() {
    super('what the transaction read has changed')
  }
}

/** Tells whether two readings of a range are the same. */
export function sameFound(a: RangeFound, b: RangeFound): boolean {
  return sameItems(a.names, b.names) && sameItems(a.versions ?? [], b.versions ?? [])
}

const sameItems = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((item, i) => item === b[i])

/** Copies bytes, so that neither side sees what the other does to them later. */
export const copyBytes = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes)

/** Turns the caller's options into a query. */
function queryOf(kind: RangeQuery['kind'], prefix: string, options: ListOptions | undefined): RangeQuery {
  const { after, limit } = options ?? {}
  return {
    kind,
    prefix,
    after: after === undefined || after === '' ? undefined : after.toWellFormed(),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : Math.max(0, Math.floor(limit)),
  }
}

/** Refuses a key that the store could not give back as it came. */
function checkKey(key: string): void {
  if (key === '') throw new StorageError('a key must not be empty')
  if (!key.isWellFormed()) throw new StorageError('a key must be well-formed Unicode')
  // A UTF-16 unit takes at most three bytes: short keys need no counting.
  if (key.length * 3 > keyBytesMax && Buffer.byteLength(key) > keyBytesMax) {
    throw new ValueTooLarge(`the key is over the limit of ${keyBytesMax} bytes`)
  }
}

/** A key that no store can hold: reading it finds nothing, and no proof is needed for that. */
const impossible = (key: string): boolean =>
  key === '' || !key.isWellFormed() || (key.length * 3 > keyBytesMax && Buffer.byteLength(key) > keyBytesMax)

/** A buffered write; no value means a removal. */
export interface Write {
  readonly key: string
  readonly value: Uint8Array | undefined
}

// What most transactions never have is made when it is first needed.
const noWrites: ReadonlyMap<string, Uint8Array | undefined> = new Map()
const noRanges: readonly RangeRead[] = []

/** One run of a transaction's function: a `Writer` over a `Keeper`, with the record of what it read. */
export class Transaction<At extends Moment = Moment> implements Writer {
  readonly attempt: number
  readonly start: At
  /** Versions of the keys read (0: absent). */
  readonly keys = new Map<string, number>()
  /** Versions the caller says keys have. */
  readonly expected = new Map<string, number>()
  ranges: readonly RangeRead[] = noRanges
  /** Latest buffered write of each key. */
  writes: ReadonlyMap<string, Uint8Array | undefined> = noWrites
  readonly #log: Write[] = []
  #reads = 0
  #doomed = false
  #ended = false
  readonly #keeper: Keeper<At>
  readonly #writable: boolean

  constructor(keeper: Keeper<At>, attempt: number, writable: boolean) {
    this.#keeper = keeper
    this.attempt = attempt
    this.#writable = writable
    this.start = keeper.begin()
  }

  /** True once something read is known to have changed. */
  get doomed(): boolean {
    return this.#doomed
  }

  /** True when a single reading was done, which is one state by itself. */
  get oneState(): boolean {
    return this.#reads <= 1 && this.expected.size === 0
  }

  /** True once its function has ended. */
  get ended(): boolean {
    return this.#ended
  }

  /** Ends the transaction; a function that keeps it cannot use it any more. */
  end(): void {
    this.#ended = true
  }

  get(key: string): Soon<Entry | undefined> {
    this.#check()
    if (this.writes.size > 0) {
      const own = this.writes.get(key)
      if (own !== undefined) return { key, value: copyBytes(own), version: pendingVersion }
      if (this.writes.has(key)) return undefined
    }
    if (impossible(key)) return undefined
    this.#reads++
    const found = this.#keeper.get(key, this)
    return found instanceof Promise ? found.then((entry) => this.#remember(key, entry)) : this.#remember(key, found)
  }

  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    this.#check()
    const asked = keys.filter((key) => !this.writes.has(key) && !impossible(key))
    const found = new Map<string, Entry | undefined>()
    if (asked.length > 0) {
      this.#reads++
      const entries = await this.#keeper.getMany(asked, this)
      for (const [i, key] of asked.entries()) found.set(key, this.#remember(key, entries[i]))
    }
    return keys.map((key) => {
      const own = this.writes.get(key)
      return own === undefined ? found.get(key) : { key, value: copyBytes(own), version: pendingVersion }
    })
  }

  async list(prefix: string, options?: ListOptions): Promise<string[]> {
    return this.#names(queryOf('list', prefix, options))
  }

  async scan(prefix: string, options?: ListOptions): Promise<string[]> {
    return this.#names(queryOf('scan', prefix, options))
  }

  async entries(prefix: string, options?: ListOptions): Promise<Entry[]> {
    this.#check()
    const query = queryOf('entries', prefix, options)
    if (!prefix.isWellFormed() || query.limit === 0) return []
    const own = this.#ownBelow(query)
    const removals = own.filter((key) => this.writes.get(key) === undefined).length
    this.#reads++
    const asked = { ...query, limit: query.limit + own.length }
    const entries = await this.#keeper.entries(asked, this)
    const found = {
      names: entries.map(({ key }) => key.slice(prefix.length)),
      versions: entries.map(({ version }) => version),
    }
    this.#noteRange({ ...asked, found })
    if (own.length === 0) return entries
    const merged = entries.filter(({ key }) => !this.writes.has(key))
    if (own.length > removals) {
      for (const key of own) {
        const value = this.writes.get(key)
        if (value !== undefined) merged.push({ key, value: copyBytes(value), version: pendingVersion })
      }
      merged.sort((a, b) => compareKeys(a.key, b.key))
    }
    return merged.slice(0, query.limit)
  }

  expect(key: string, version: number): void {
    this.#check()
    if (!Number.isSafeInteger(version) || version < 0) throw new StorageError('an expected version must be 0 or more')
    const known = this.keys.get(key) ?? this.expected.get(key)
    if ((known !== undefined && known !== version) || (version !== 0 && impossible(key))) this.#doomed = true
    else if (!impossible(key)) this.expected.set(key, version)
  }

  async verify(): Promise<void> {
    this.#check()
    if (!(await this.#keeper.prove(this))) this.#doomed = true
    this.#check()
  }

  put(key: string, value: Uint8Array): void {
    this.#checkWritable()
    checkKey(key)
    if (value.byteLength > valueBytesMax) {
      throw new ValueTooLarge(`the value has ${value.byteLength} bytes, the limit is ${valueBytesMax}`)
    }
    this.#write({ key, value: copyBytes(value) })
  }

  delete(key: string): void {
    this.#checkWritable()
    if (!impossible(key)) this.#write({ key, value: undefined })
  }

  mark(): Mark {
    return this.#log.length
  }

  rollback(mark: Mark): void {
    this.#checkWritable()
    if (!(mark >= 0 && mark <= this.#log.length)) throw new StorageError('the mark is not of this transaction')
    if (mark === this.#log.length) return
    this.#log.length = mark
    this.writes = new Map(this.#log.map(({ key, value }) => [key, value]))
  }

  #write(write: Write): void {
    this.#log.push(write)
    if (this.writes === noWrites) this.writes = new Map()
    ;(this.writes as Map<string, Uint8Array | undefined>).set(write.key, write.value)
  }

  #noteRange(range: RangeRead): void {
    this.#check()
    if (this.ranges === noRanges) this.ranges = []
    ;(this.ranges as RangeRead[]).push(range)
  }

  #check(): void {
    if (this.#ended) throw new StorageError('the transaction is over')
    if (this.#doomed) throw new Conflict()
  }

  #checkWritable(): void {
    this.#check()
    if (!this.#writable) throw new StorageError('a view cannot write')
  }

  /** Notes what a key was found to be; a second reading that differs proves that something has changed. */
  #remember(key: string, entry: Entry | undefined): Entry | undefined {
    this.#check()
    const version = entry === undefined ? 0 : entry.version
    const known = this.keys.get(key)
    if (known === undefined) this.keys.set(key, version)
    if ((known !== undefined && known !== version) || (this.expected.get(key) ?? version) !== version) {
      this.#doomed = true
      throw new Conflict()
    }
    return entry
  }

  /** Buffered keys a query could meet, in byte order. */
  #ownBelow(query: RangeQuery): string[] {
    if (this.writes.size === 0) return []
    const { kind, prefix, after } = query
    const own: string[] = []
    for (const key of this.writes.keys()) {
      if (!key.startsWith(prefix) || key.length === prefix.length) continue
      const name = kind === 'list' ? nameBelow(prefix, key) : key.slice(prefix.length)
      if (after === undefined || compareKeys(name, after) > 0) own.push(key)
    }
    return own.sort(compareKeys)
  }

  async #committedNames(query: RangeQuery): Promise<string[]> {
    this.#reads++
    const names = await this.#keeper.names(query, this)
    this.#noteRange({ ...query, found: { names, versions: undefined } })
    return names
  }

  async #names(query: RangeQuery): Promise<string[]> {
    this.#check()
    if (!query.prefix.isWellFormed() || query.limit === 0) return []
    const own = this.#ownBelow(query)
    if (own.length === 0) return (await this.#committedNames(query)).slice()
    // A buffered removal takes away at most one name, so with this many more the limit is still reached.
    const committed = await this.#committedNames({ ...query, limit: query.limit + own.length })
    const names = new Set<string>()
    for (const name of committed) if (await this.#remains(query, name, own)) names.add(name)
    for (const key of own) {
      if (this.writes.get(key) === undefined) continue
      names.add(query.kind === 'list' ? nameBelow(query.prefix, key) : key.slice(query.prefix.length))
    }
    return [...names].sort(compareKeys).slice(0, query.limit)
  }

  /** Tells whether a committed name is still there under the buffered removals; a folder is while one key in it is. */
  async #remains(query: RangeQuery, name: string, own: readonly string[]): Promise<boolean> {
    const path = query.prefix + name
    if (query.kind !== 'list' || !name.endsWith('/'))
      return !this.writes.has(path) || this.writes.get(path) !== undefined
    const removed = own.filter((key) => key.startsWith(path) && this.writes.get(key) === undefined)
    if (removed.length === 0) return true
    const below: RangeQuery = { kind: 'scan', prefix: path, after: undefined, limit: removed.length + 2 }
    // The folder may itself hold the key that equals its prefix, which a scan below it leaves out.
    if (!removed.includes(path) && (await this.get(path)) !== undefined) return true
    return (await this.#committedNames(below)).some((key) => !removed.includes(path + key))
  }
}
