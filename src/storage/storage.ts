// The one storage interface: ordered keys, byte values, optimistic transactions. Everything durable goes
// through it. It knows nothing of encryption (barrier wraps it) nor of what the keys mean (collection spells them).

/** Bytes a value may have; a longer one is refused with `ValueTooLarge`. */
export const valueBytesMax = 32 * 1024 * 1024
/** UTF-8 bytes a key may have: what PostgreSQL's B-trees hold on a page of theirs, with room to spare. */
export const keyBytesMax = 2560

/**
 * A stored value. `version` is the store-wide revision of the commit that wrote it: it never repeats for a key, not even after a delete.
 * What a transaction has only buffered itself shows version -1, which no commit has and `expect` refuses.
 */
export interface Entry {
  readonly key: string
  readonly value: Uint8Array
  readonly version: number
}

export interface ListOptions {
  /** Only names (or keys) after this one, in byte order. Relative to the prefix. */
  readonly after?: string
  /** At most so many. Absent: all. */
  readonly limit?: number
}

/** A value that is there already, or a promise of it: `await` takes both, and what is there costs no turn of the event loop. */
export type Soon<T> = T | Promise<T>

/**
 * Reads of one transaction. All that is read (keys, absent keys, ranges) is remembered and is proved
 * unchanged before the transaction's function may return its result to the caller.
 */
export interface Reader {
  /** How often the function has run before in this transaction (0 the first time). Above 0 a caller must not trust its caches. */
  readonly attempt: number
  /** Reads one key. Throws or rejects. */
  get(key: string): Soon<Entry | undefined>
  /** Reads several keys in one round trip; the answer has the order of the keys. */
  getMany(keys: readonly string[]): Promise<(Entry | undefined)[]>
  /** Names right below the prefix in byte order, folders collapsed to `name/`, as LIST needs. Seeks from folder to folder. */
  list(prefix: string, options?: ListOptions): Promise<string[]>
  /** Keys below the prefix at any depth, relative to it, in byte order, as SCAN needs. */
  scan(prefix: string, options?: ListOptions): Promise<string[]>
  /** Entries below the prefix at any depth, with their values and full keys, in byte order. `after` is relative to the prefix. */
  entries(prefix: string, options?: ListOptions): Promise<Entry[]>
  /**
   * Adds a fact known from earlier to what this transaction has read: the key has this version (0: it is absent).
   * Costs no read where the store can prove that nothing changed since the fact was last proved. A false one makes the function run again.
   */
  expect(key: string, version: number): void
  /** Proves now that all read and expected so far still holds; rejects (and the function is run again) if not. Call it before an effect outside. */
  verify(): Promise<void>
}

/** A position in a transaction's writes. */
export type Mark = number

/** Reads and writes of one transaction. Reads see the transaction's own writes. */
export interface Writer extends Reader {
  /** Buffers a copy of the value. Throws `ValueTooLarge` at once, and `StorageError` for a key that is empty or not well-formed Unicode. */
  put(key: string, value: Uint8Array): void
  /** Buffers a removal; removing what is absent is no error. */
  delete(key: string): void
  /** Remembers how far the writes have come. */
  mark(): Mark
  /** Drops every write made since the mark. */
  rollback(mark: Mark): void
}

export interface Storage {
  /** What kind of store this is, as `storage_type` in seal-status tells it: "inmem", "sqlite", "postgresql". */
  readonly kind: string
  /** Whether nodes on several machines can have the store open. Absent: no. */
  readonly shared?: boolean
  /** Runs a function over one state of the store. It may run several times: it must have no effect outside. */
  view<T>(fn: (tx: Reader) => Soon<T>): Promise<T>
  /**
   * Runs a function and commits its writes all or nothing; runs it again when what it read has changed. Writing nothing costs no more than `view`.
   * Resolves when the commit is durable. Rejects with what the function threw (nothing is written then), `OutcomeUnknown`, or `StorageClosed`.
   * `committed` is told the store-wide revision of the commit before that, unless nothing was written.
   */
  update<T>(fn: (tx: Writer) => Soon<T>, committed?: (revision: number) => void): Promise<T>
  /**
   * Gives every entry in key order, in pages of bounded size, all of one state of the store whatever is committed meanwhile. The state is
   * taken at the first page. Ending the iteration early frees what it holds; closing the store waits for none of it and ends it with `StorageClosed`.
   */
  export?(options?: ExportOptions): AsyncIterable<readonly Entry[]>
  /**
   * Marks the store so that programs which know only lower formats of records refuse to open it, where the store has a mark of its own that all of them
   * look at. Never lowers a mark.
   */
  markFormat?(format: number): Promise<void>
  /** Waits for what is under way, then closes. Later calls reject with `StorageClosed`. */
  close(): Promise<void>
}

/** A page of an export ends at so many entries, or at the entry that brings its values to so many bytes. */
export const pageMax = { entries: 1000, bytes: 1024 * 1024 } as const

export interface ExportOptions {
  /** Only keys after this one, in byte order. */
  readonly after?: string
}

/** Base of the errors storage throws; `message` is fit for an operator's eyes and holds no value. */
export class StorageError extends Error {
  override name = 'StorageError'
}
/** The value is over `valueBytesMax` (or the key over `keyBytesMax`); the message names the limit. */
export class ValueTooLarge extends StorageError {
  override name = 'ValueTooLarge'
}
/** The store is closed or closing. */
export class StorageClosed extends StorageError {
  override name = 'StorageClosed'
}
/** The commit was sent and no answer came: it may or may not have happened. */
export class OutcomeUnknown extends StorageError {
  override name = 'OutcomeUnknown'
}
/** The store's file or schema cannot be used: foreign, newer, damaged. */
export class StorageUnusable extends StorageError {
  override name = 'StorageUnusable'
}
/** The store could not be reached in time; nothing was sent to it. */
export class StorageUnavailable extends StorageError {
  override name = 'StorageUnavailable'
}
/** The transaction was tried too often because others kept changing what it read. */
export class TooMuchContention extends StorageError {
  override name = 'TooMuchContention'
}
