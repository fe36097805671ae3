// Reads over PostgreSQL. What is asked for in one tick, by whatever transactions, travels as one query, which is one state;
// the versions the transactions know are shown to hold in that same state. Nothing is kept from one query to the next.

import { ConnectionLost, failure } from './postgres-failure.ts'
import { lanes } from './postgres-lanes.ts'
import { carries, type Extent, eachFact, extentAfter, isProved, type PostgresTransaction } from './postgres-moment.ts'
import type { Pool } from './postgres-pool.ts'
import { entriesOf, foldKeys, keysOf, provingParameters, rangeParameters } from './postgres-ranges.ts'
import type { Sql } from './postgres-sql.ts'
import { bytesOf, type Call, int8Array, type Row, textsAsBytes } from './postgres-wire.ts'
import type { Entry } from './storage.ts'
import { Conflict, copyBytes, type RangeQuery } from './transaction.ts'

/** A question: keys to read (none: only facts are to be shown), for a transaction. */
interface Question {
  readonly tx: PostgresTransaction
  readonly keys: readonly string[]
  tries: number
  readonly since: number
  readonly resolve: (entries: (Entry | undefined)[]) => void
  readonly reject: (error: Error) => void
}

/** Questions under way, and keys in one query, at most. */
const keysMax = 2000
/** A reading may be asked again when its connection was lost: it changes nothing. */
const triesMax = 3
const mayAskAgain = (error: unknown): boolean => error instanceof ConnectionLost && !error.silent
/** Keys a list looks at before it lets the server fold. */
const chunkKeys = 200

/** The distinct facts of a query. */
class FactSet {
  readonly keys: string[] = []
  readonly versions: number[] = []
  readonly #seen = new Map<string, number>()

  add(key: string, version: number): void {
    const seen = this.#seen.get(key)
    if (seen === version) return
    if (seen === undefined) this.#seen.set(key, version)
    this.keys.push(key)
    this.versions.push(version)
  }
}

/** Tells whether a fact of the transaction is among those that failed. */
function anyBroken(tx: PostgresTransaction, broken: ReadonlyMap<string, ReadonlySet<number>>): boolean {
  if (broken.size === 0) return false
  let found = false
  eachFact(tx, (key, version) => {
    if (broken.get(key)?.has(version)) found = true
  })
  return found
}

/** Asks PostgreSQL; `most` is how many queries for keys are under way at once. */
export class PostgresReader {
  readonly #pool: Pool
  readonly #sql: Sql
  readonly #schedule: () => void
  #queue: Question[] = []

  constructor(pool: Pool, sql: Sql, most: number) {
    this.#pool = pool
    this.#sql = sql
    this.#schedule = lanes({ most, waiting: () => this.#queue.length > 0, fly: () => this.#fly() })
  }

  getMany(tx: PostgresTransaction, keys: readonly string[]): Promise<(Entry | undefined)[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ tx, keys, tries: 0, since: performance.now(), resolve, reject })
      this.#schedule()
    })
  }

  /** Tells whether all that was read and expected holds now. */
  async prove(tx: PostgresTransaction): Promise<boolean> {
    if (tx.start.broken) return false
    if (tx.ended && isProved(tx)) return true
    if (tx.ranges.length === 0) {
      if (tx.keys.size + tx.expected.size === 0) return true
      return this.getMany(tx, []).then(
        () => true,
        (error: unknown) => {
          if (error instanceof Conflict) return false
          throw error
        },
      )
    }
    const facts = new FactSet()
    eachFact(tx, (key, version) => facts.add(key, version))
    const rows = await this.#ask({
      statement: this.#sql.proveRanges,
      values: [textsAsBytes(facts.keys), int8Array(facts.versions), ...provingParameters(tx.ranges)],
    })
    return rows.length === 0
  }

  async names(tx: PostgresTransaction, query: RangeQuery): Promise<string[]> {
    if (query.kind === 'scan') {
      const rows = await this.#range(tx, query, query.limit)
      return keysOf(rows, 1).map((key) => key.slice(query.prefix.length))
    }
    const keys = keysOf(await this.#range(tx, query, chunkKeys), 1)
    const names = foldKeys(keys, query, keys.length < chunkKeys)
    if (names) return names
    tx.start.proved = undefined
    const rows = await this.#ask({ statement: this.#sql.folded, values: rangeParameters(query) })
    return keysOf(rows, 0).map((name) => name.slice(query.prefix.length))
  }

  async entries(tx: PostgresTransaction, query: RangeQuery): Promise<Entry[]> {
    return entriesOf(await this.#range(tx, query, query.limit))
  }

  /** Reads a range, and shows in the same state that the transaction's facts hold. */
  async #range(tx: PostgresTransaction, query: RangeQuery, limit: number): Promise<Row[]> {
    const carried = carries(tx)
    const extent = carried ? extentAfter(tx, [], 1) : undefined
    const facts = new FactSet()
    if (carried) eachFact(tx, (key, version) => facts.add(key, version))
    const rows = await this.#ask({
      statement: this.#sql.keys(query.kind === 'entries' ? 'entries' : 'keys'),
      values: [...rangeParameters(query, limit), textsAsBytes(facts.keys), int8Array(facts.versions)],
    })
    if (Number(rows[0]?.[0]) > 0) throw brokenIn(tx)
    tx.start.proved = extent
    return rows
  }

  /** Asks, and asks again when the connection was lost. */
  async #ask(call: Call): Promise<Row[]> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#pool.run([call], 'range')
      } catch (error) {
        if (!mayAskAgain(error) || tries >= triesMax) throw failure(error, 'reading the store failed')
      }
    }
  }

  async #fly(): Promise<boolean> {
    let batch: Question[] = []
    try {
      const connection = await this.#pool.acquire()
      batch = this.#take()
      if (batch.length === 0) this.#pool.release(connection)
      else await this.#answer(batch, connection)
    } catch (error) {
      this.#fail(batch, error)
    }
    return true
  }

  /** Takes the questions for one query. */
  #take(): Question[] {
    let count = 0
    for (let keys = 0; count < this.#queue.length; count++) {
      keys += (this.#queue[count] as Question).keys.length
      if (count > 0 && keys > keysMax) break
    }
    return this.#queue.splice(0, count)
  }

  /** After a lost connection questions are asked again; where none could be had, those that have waited long are refused. */
  #fail(batch: readonly Question[], error: unknown): void {
    const now = performance.now()
    for (const question of batch) {
      if (mayAskAgain(error) && ++question.tries < triesMax) this.#queue.push(question)
      else question.reject(failure(error, 'reading the store failed'))
    }
    if (batch.length > 0) return
    const waiting = this.#queue
    this.#queue = []
    for (const question of waiting) {
      if (now - question.since < this.#pool.settings.waitMs) this.#queue.push(question)
      else question.reject(failure(error, 'reading the store failed'))
    }
  }

  async #answer(batch: readonly Question[], connection: Awaited<ReturnType<Pool['acquire']>>): Promise<void> {
    const places = new Map<string, number>()
    const facts = new FactSet()
    const asked = new Map<PostgresTransaction, string[]>()
    const proofs = new Set<PostgresTransaction>()
    for (const { tx, keys } of batch) {
      for (const key of keys) if (!places.has(key)) places.set(key, places.size)
      if (keys.length === 0) proofs.add(tx)
      const others = asked.get(tx)
      asked.set(tx, others ? [...others, ...keys] : (keys as string[]))
    }
    const extents = new Map<PostgresTransaction, Extent | undefined>()
    for (const [tx, keys] of asked) {
      const carried = proofs.has(tx) || carries(tx)
      if (carried) eachFact(tx, (key, version) => facts.add(key, version))
      extents.set(tx, carried ? extentAfter(tx, keys, 0) : undefined)
    }
    const calls = (): Call[] => [this.#callFor([...places.keys()], facts)]
    const rows = await this.#pool.runOn(connection, calls, 'keys')
    const found = new Array<Row | undefined>(places.size)
    const broken = new Map<string, Set<number>>()
    for (const row of rows) {
      const place = Number(row[0])
      if (place > 0) found[place - 1] = row
      else {
        const key = facts.keys[-place - 1] as string
        broken.set(key, (broken.get(key) ?? new Set()).add(facts.versions[-place - 1] as number))
      }
    }
    const values = new Map<string, Uint8Array>()
    for (const { tx, keys, resolve, reject } of batch) {
      if (anyBroken(tx, broken)) {
        reject(brokenIn(tx))
        continue
      }
      tx.start.proved = extents.get(tx)
      resolve(keys.map((key) => entryOf(key, found[places.get(key) as number], values)))
    }
  }

  #callFor(keys: readonly string[], facts: FactSet): Call {
    const { read, prove, readAndProve } = this.#sql
    if (facts.keys.length === 0) return { statement: read, values: [textsAsBytes(keys)] }
    const [factKeys, versions] = [textsAsBytes(facts.keys), int8Array(facts.versions)]
    if (keys.length > 0) return { statement: readAndProve, values: [textsAsBytes(keys), factKeys, versions] }
    return { statement: prove, values: [factKeys, versions] }
  }
}

/** Marks the run as one that must not count. */
function brokenIn(tx: PostgresTransaction): Conflict {
  tx.start.broken = true
  return new Conflict()
}

/** Makes an entry whose bytes belong to the caller. */
function entryOf(key: string, row: Row | undefined, values: Map<string, Uint8Array>): Entry | undefined {
  if (row === undefined) return undefined
  const first = values.get(key)
  const value = first === undefined ? bytesOf(row[2] as string) : copyBytes(first)
  if (first === undefined) values.set(key, value)
  return { key, value, version: Number(row[1]) }
}
