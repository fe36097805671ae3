// Commits over PostgreSQL, one round trip each: what is ready goes as a group, in which no commit touches what another one
// read or wrote, so that each holds or fails by itself. The server checks and applies them under locks.

import { ConnectionLost, failure, readOnly, serverConflict, waitedTooLong } from './postgres-failure.ts'
import { lanes } from './postgres-lanes.ts'
import { GroupLocks, type Locks, locksOf } from './postgres-locks.ts'
import { eachFact, type PostgresTransaction } from './postgres-moment.ts'
import type { Pool } from './postgres-pool.ts'
import { provingParameters } from './postgres-ranges.ts'
import type { Sql } from './postgres-sql.ts'
import { boolArray, bytesArray, type Call, int4Array, int8Array, type Row, textsAsBytes } from './postgres-wire.ts'
import { OutcomeUnknown, StorageError } from './storage.ts'

interface Waiting {
  readonly tx: PostgresTransaction
  readonly bytes: number
  readonly locks: Locks
  readonly since: number
  /** Commits the group alone: it was in one that failed as a whole. */
  alone: boolean
  readonly resolve: (revision: number) => void
  readonly reject: (error: Error) => void
}

interface Group {
  readonly group: Waiting[]
  readonly locks: GroupLocks
}

/** Bounds of a group: commits, and bytes of their values. */
const groupMax = 64
const groupBytesMax = 8 * 1024 * 1024

/** Keys that are read and written by what is under way or goes first. */
class Footprint {
  readonly #read = new Map<string, number>()
  readonly #written = new Map<string, number>()

  meets(tx: PostgresTransaction): boolean {
    for (const key of tx.writes.keys()) if (this.#written.has(key) || this.#read.has(key)) return true
    for (const key of tx.keys.keys()) if (this.#written.has(key)) return true
    for (const key of tx.expected.keys()) if (this.#written.has(key)) return true
    return false
  }

  add(tx: PostgresTransaction): void {
    this.#count(tx, 1)
  }

  remove(tx: PostgresTransaction): void {
    this.#count(tx, -1)
  }

  #count(tx: PostgresTransaction, by: 1 | -1): void {
    for (const key of tx.writes.keys()) change(this.#written, key, by)
    eachFact(tx, (key) => change(this.#read, key, by))
  }
}

function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}

/** Tells whether a transaction read or expects one of these keys. */
function readsOneOf(tx: PostgresTransaction, written: ReadonlySet<string>): boolean {
  let found = false
  eachFact(tx, (key) => {
    if (written.has(key)) found = true
  })
  return found
}

/** Sends commits; `lanes` is how many groups are under way at once. */
export class PostgresCommits {
  readonly #pool: Pool
  readonly #sql: Sql
  readonly #lockClass: string
  readonly #schedule: () => void
  #queue: Waiting[] = []
  readonly #underWay = new Footprint()

  constructor(pool: Pool, sql: Sql, options: { readonly lockClass: number; readonly lanes: number }) {
    this.#pool = pool
    this.#sql = sql
    this.#lockClass = String(options.lockClass)
    this.#schedule = lanes({ most: options.lanes, waiting: () => this.#queue.length > 0, fly: () => this.#fly() })
  }

  /** Resolves with the revision when durable, 0 when what was read has changed; rejects with a `StorageError`. */
  commit(tx: PostgresTransaction): Promise<number> {
    if (tx.start.broken) return Promise.resolve(0)
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const value of tx.writes.values()) bytes += value?.byteLength ?? 0
      this.#queue.push({ tx, bytes, locks: locksOf(tx), since: performance.now(), alone: false, resolve, reject })
      this.#schedule()
    })
  }

  async #fly(): Promise<boolean> {
    try {
      const connection = await this.#pool.acquire()
      const { group, locks } = this.#take()
      if (group.length === 0) {
        this.#pool.release(connection)
        return false
      }
      for (const { tx } of group) this.#underWay.add(tx)
      const calls = (): Call[] => this.#callsFor(group, locks)
      const outcome = await this.#pool.runOn(connection, calls, 'commit').catch((error: unknown) => error)
      for (const { tx } of group) this.#underWay.remove(tx)
      if (Array.isArray(outcome)) this.#answer(group, outcome)
      else this.#fail(group, outcome)
    } catch (error) {
      this.#refuseLate(error)
    }
    return true
  }

  /** Takes what may go together with what is under way, in the order of arrival; what must wait bars what meets it. */
  #take(): Group {
    const group: Waiting[] = []
    const rest: Waiting[] = []
    const barred = new Footprint()
    const locks = new GroupLocks()
    let bytes = 0
    let full = false
    for (const waiting of this.#queue) {
      const { tx } = waiting
      const single = waiting.alone || tx.ranges.length > 0
      const fits = group.length === 0 || (!single && group.length < groupMax && bytes + waiting.bytes <= groupBytesMax)
      const goes = !full && fits && !this.#underWay.meets(tx) && !barred.meets(tx) && locks.add(waiting.locks)
      barred.add(tx)
      if (goes) {
        group.push(waiting)
        bytes += waiting.bytes
        full = single
      } else rest.push(waiting)
    }
    this.#queue = rest
    return { group, locks }
  }

  #callsFor(group: readonly Waiting[], locks: GroupLocks): Call[] {
    const { ids, exclusive } = locks.inOrder()
    const facts = { tx: [] as number[], keys: [] as string[], versions: [] as number[] }
    const writes = { tx: [] as number[], keys: [] as string[], values: [] as (Uint8Array | undefined)[] }
    for (const [i, { tx }] of group.entries()) {
      eachFact(tx, (key, version) => {
        facts.tx.push(i)
        facts.keys.push(key)
        facts.versions.push(version)
      })
      for (const [key, value] of tx.writes) {
        writes.tx.push(i)
        writes.keys.push(key)
        writes.values.push(value)
      }
    }
    const ranges = group.flatMap(({ tx }) => tx.ranges)
    return [
      { statement: this.#sql.lock, values: [this.#lockClass, int4Array(ids), boolArray(exclusive)] },
      {
        statement: ranges.length > 0 ? this.#sql.commitRanges : this.#sql.commit,
        values: [
          int4Array(facts.tx),
          textsAsBytes(facts.keys),
          int8Array(facts.versions),
          int4Array(writes.tx),
          textsAsBytes(writes.keys),
          bytesArray(writes.values),
          String(group.length),
          ...(ranges.length > 0 ? provingParameters(ranges) : []),
        ],
      },
    ]
  }

  #answer(group: readonly Waiting[], rows: readonly Row[]): void {
    const revisions = new Map(rows.map(([tx, version]) => [Number(tx), Number(version)]))
    const written = new Set<string>()
    for (const [i, { tx, resolve }] of group.entries()) {
      const revision = revisions.get(i) ?? 0
      if (revision > 0) for (const key of tx.writes.keys()) written.add(key)
      resolve(revision)
    }
    // What waits and has read what was written now can only fail: it need not travel for that.
    const rest: Waiting[] = []
    for (const waiting of this.#queue) {
      if (readsOneOf(waiting.tx, written)) waiting.resolve(0)
      else rest.push(waiting)
    }
    this.#queue = rest
  }

  #fail(group: readonly Waiting[], error: unknown): void {
    if (error instanceof ConnectionLost) {
      const unknown = new OutcomeUnknown(`it is not known whether the commit was made: ${error.message}`)
      for (const { reject } of group) reject(unknown)
    } else if (serverConflict(error)) {
      for (const { resolve } of group) resolve(0)
    } else if (readOnly(error) && group.every(({ since }) => this.#young(since))) {
      this.#queue.unshift(...group)
    } else if (group.length > 1 && !waitedTooLong(error)) {
      // One of them may be to blame (too large for the disk): the others need not fail with it.
      for (const waiting of group) waiting.alone = true
      this.#queue.unshift(...group)
    } else {
      for (const { reject } of group) reject(failure(error, 'the commit failed'))
    }
  }

  #young = (since: number): boolean => performance.now() - since < this.#pool.settings.waitMs

  /** No connection could be had: nothing was sent for those that wait. */
  #refuseLate(error: unknown): void {
    const waiting = this.#queue
    this.#queue = []
    for (const one of waiting) {
      if (this.#young(one.since)) this.#queue.push(one)
      else one.reject(error instanceof StorageError ? error : failure(error, 'the commit failed'))
    }
  }
}
