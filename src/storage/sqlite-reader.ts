// Prepared readings of one SQLite connection. Used by the main thread to read and by the writer thread to check
// what transactions read; both must see the same thing the same way. It never writes.
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { foldNames } from './fold.ts'
import { endOf, startOfKeys } from './order.ts'
import type { Entry } from './storage.ts'
import type { RangeFound, RangeQuery } from './transaction.ts'

/** Readings of the committed state; all synchronous, all may throw what SQLite throws. */
export interface SqliteReader {
  get(key: string): Entry | undefined
  /** Version of a key, 0 when it is absent. */
  version(key: string): number
  /** Revision of the last commit. */
  revision(): number
  names(query: RangeQuery): string[]
  entries(query: RangeQuery): Entry[]
  /** Reads a range again, without the values. */
  found(query: RangeQuery): RangeFound
  /** Runs readings over one state. Not inside another one. */
  snapshot<T>(read: () => T): T
  /** Rows the readings have visited. */
  readonly visited: number
}

/** Every BLOB sorts behind every TEXT: the bound of a range that has none. */
const behindAll = new Uint8Array(0)
const bound = (prefix: string): string | Uint8Array => endOf(prefix) ?? behindAll
const rows = (limit: number): number => (Number.isFinite(limit) ? limit : -1)

const below = 'FROM entry WHERE key >= ? AND key < ? ORDER BY key'

/** Prepares the readings of a connection whose file has been checked. */
export function sqliteReader(db: DatabaseSync): SqliteReader {
  const prepare = (sql: string): StatementSync => db.prepare(sql, { returnArrays: true })
  const getOne = prepare('SELECT version, value FROM entry WHERE key = ?')
  const getVersion = prepare('SELECT version FROM entry WHERE key = ?')
  const getRevision = prepare('SELECT revision FROM store')
  const walkKeys = prepare(`SELECT key ${below}`)
  const someKeys = prepare(`SELECT key ${below} LIMIT ?`)
  const someVersions = prepare(`SELECT key, version ${below} LIMIT ?`)
  const someEntries = prepare(`SELECT key, version, value ${below} LIMIT ?`)
  const begin = db.prepare('BEGIN')
  const commit = db.prepare('COMMIT')
  const rollback = db.prepare('ROLLBACK')
  let visited = 0

  function* keysFrom(start: string, end: string | Uint8Array): Generator<string> {
    for (const row of walkKeys.iterate(start, end) as Iterable<unknown> as Iterable<[string]>) {
      visited++
      yield row[0]
    }
  }
  const some = <Row>(statement: StatementSync, { prefix, after, limit }: RangeQuery): Row[] => {
    const found = statement.all(startOfKeys(prefix, after), bound(prefix), rows(limit)) as unknown as Row[]
    visited += found.length
    return found
  }
  const names = (query: RangeQuery): string[] => {
    const { kind, prefix, after, limit } = query
    if (kind === 'scan') return some<[string]>(someKeys, query).map(([key]) => key.slice(prefix.length))
    const end = bound(prefix)
    return foldNames((start) => keysFrom(start, end), prefix, after, limit)
  }
  return {
    get(key) {
      visited++
      const row = getOne.get(key) as unknown as [number, Uint8Array] | undefined
      return row === undefined ? undefined : { key, value: row[1], version: row[0] }
    },
    version(key) {
      visited++
      return (getVersion.get(key) as unknown as [number] | undefined)?.[0] ?? 0
    },
    revision: () => (getRevision.get() as unknown as [number])[0],
    names,
    entries: (query) =>
      some<[string, number, Uint8Array]>(someEntries, query).map(([key, version, value]) => ({ key, value, version })),
    found(query) {
      if (query.kind !== 'entries') return { names: names(query), versions: undefined }
      const found = some<[string, number]>(someVersions, query)
      return {
        names: found.map(([key]) => key.slice(query.prefix.length)),
        versions: found.map(([, version]) => version),
      }
    },
    snapshot(read) {
      begin.run()
      try {
        const result = read()
        commit.run()
        return result
      } catch (error) {
        if (db.isTransaction) rollback.run()
        throw error
      }
    },
    get visited() {
      return visited
    },
  }
}
