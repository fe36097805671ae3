// What the parts of the storage contract share: the store under test, and short ways to read and write it.
import { Buffer } from 'node:buffer'
import type { Storage } from './storage.ts'

/** An empty store for one test. */
export interface Opened {
  readonly storage: Storage
  /** Rows or keys visited by readings so far, where the implementation counts them. */
  readonly visited?: () => number
  /** Closes the store if need be and opens what it kept; absent where nothing outlives closing. */
  readonly reopen?: () => Promise<Storage>
  /** Closes and removes everything. */
  readonly close: () => Promise<void>
}

/** The store of the test that runs, for the parts of the suite. */
export type Subject = () => Opened

/** Opens a new empty store; `attemptsMax` bounds how often it runs one transaction. */
export type Open = (options: { readonly attemptsMax?: number }) => Promise<Opened>

/** Text as bytes. */
export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf8'))
/** Bytes as text. */
export const text = (value: Uint8Array): string => Buffer.from(value).toString('utf8')

/** Reads one key as text; undefined when it is absent. */
export const read = (storage: Storage, key: string): Promise<string | undefined> =>
  storage.view(async (tx) => {
    const entry = await tx.get(key)
    return entry && text(entry.value)
  })

/** Writes keys in one commit; undefined removes one. */
export const write = (storage: Storage, records: Record<string, string | undefined>): Promise<void> =>
  storage.update(async (tx) => {
    for (const [key, value] of Object.entries(records)) {
      if (value === undefined) tx.delete(key)
      else tx.put(key, bytes(value))
    }
  })

/** Gives each of `count` callers a promise that resolves when all of them have come. */
export function meeting(count: number): () => Promise<void> {
  const all = Promise.withResolvers<void>()
  let missing = count
  return () => {
    missing--
    if (missing <= 0) all.resolve()
    return all.promise
  }
}
