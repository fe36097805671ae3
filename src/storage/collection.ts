// Typed records under a prefix: the only place where a storage key is spelled and a record is turned into bytes.
import { Buffer } from 'node:buffer'
import type { ListOptions, Reader, Writer } from './storage.ts'

/** A record with the version its key had when it was read. */
export interface Versioned<T> {
  readonly value: T
  readonly version: number
}

/** Records of one type, as JSON, below a prefix that ends in `/`. */
export interface Collection<T> {
  readonly prefix: string
  key(id: string): string
  get(tx: Reader, id: string): Promise<T | undefined>
  getVersioned(tx: Reader, id: string): Promise<Versioned<T> | undefined>
  has(tx: Reader, id: string): Promise<boolean>
  put(tx: Writer, id: string, record: T): void
  delete(tx: Writer, id: string): void
  /** Names as LIST shows them: folders collapsed. */
  list(tx: Reader, below?: string, options?: ListOptions): Promise<string[]>
  /** Ids at any depth. */
  scan(tx: Reader, below?: string, options?: ListOptions): Promise<string[]>
  all(tx: Reader, below?: string, options?: ListOptions): Promise<{ id: string; value: T; version: number }[]>
}

/** Turns a record into bytes. */
export const encodeRecord = (record: unknown): Uint8Array => Buffer.from(JSON.stringify(record), 'utf8')
/** Turns bytes back into a record. */
export const decodeRecord = <T>(bytes: Uint8Array): T =>
  JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) as T

/** Makes the collection of records below `prefix`; throws when the prefix does not end in `/`. */
export function collection<T>(prefix: string): Collection<T> {
  if (!prefix.endsWith('/')) throw new Error(`collection prefix "${prefix}" must end in /`)
  const getVersioned = async (tx: Reader, id: string): Promise<Versioned<T> | undefined> => {
    const entry = await tx.get(prefix + id)
    return entry && { value: decodeRecord<T>(entry.value), version: entry.version }
  }
  return {
    prefix,
    key: (id) => prefix + id,
    getVersioned,
    get: async (tx, id) => (await getVersioned(tx, id))?.value,
    has: async (tx, id) => (await tx.get(prefix + id)) !== undefined,
    put: (tx, id, record) => tx.put(prefix + id, encodeRecord(record)),
    delete: (tx, id) => tx.delete(prefix + id),
    list: (tx, below = '', options) => tx.list(prefix + below, options),
    scan: (tx, below = '', options) => tx.scan(prefix + below, options),
    all: async (tx, below = '', options) =>
      (await tx.entries(prefix + below, options)).map((e) => ({
        id: e.key.slice(prefix.length),
        value: decodeRecord<T>(e.value),
        version: e.version,
      })),
  }
}
