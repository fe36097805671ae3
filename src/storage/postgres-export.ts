// Exports of the PostgreSQL store: page after page in one read-only transaction that sees one state, on a connection of its own, so that it takes none from
// requests. It holds no lock that a writer waits for.
import { type Connection, type ConnectSettings, connect } from './postgres-connect.ts'
import { failure } from './postgres-failure.ts'
import { quoted } from './postgres-sql.ts'
import { bytesOf, type Call, textOf, textsAsBytes, types } from './postgres-wire.ts'
import { type Entry, type ExportOptions, pageMax, StorageClosed } from './storage.ts'

const text = (sql: string): Call => ({ statement: { name: '', text: sql, types: [] }, values: [] })
// Whoever takes the pages may be slow: the transaction may be idle between them.
const begin = [
  text('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'),
  text('SET LOCAL idle_in_transaction_session_timeout = 0'),
]

/** Entries after the key of $1 until a page is full; the lengths of values are known without reading them. */
const pageOf = (schema: string): string => `SELECT key, version, value FROM (
    SELECT key, version, value, sum(length(value)) OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
    FROM (SELECT key, version, value FROM ${quoted(schema)}.entry WHERE key > ($1::bytea[])[1] ORDER BY key LIMIT ${pageMax.entries}) next
  ) page WHERE coalesce(bytes_before, 0) < ${pageMax.bytes} ORDER BY key`

/** Exports of one store. */
export interface Exports {
  run(options?: ExportOptions): AsyncIterable<readonly Entry[]>
  /** Ends those under way. */
  close(): void
}

/** Makes the exports of a schema. */
export function postgresExports(settings: ConnectSettings, schema: string): Exports {
  const page = { name: '', text: pageOf(schema), types: [types.byteas] }
  const open = new Set<Connection>()
  let closed = false
  const check = (): void => {
    if (closed) throw new StorageClosed('the store is closed')
  }
  async function* pages(connection: Connection, after: string): AsyncGenerator<readonly Entry[]> {
    await connection.run(begin)
    for (let last = after; ; ) {
      check()
      const rows = await connection.run([{ statement: page, values: [textsAsBytes([last])] }])
      const entries = rows.map(([key, version, value]) => ({
        key: textOf(key as string),
        version: Number(version),
        value: bytesOf(value as string),
      }))
      check()
      if (entries.length === 0) return
      yield entries
      last = entries.at(-1)?.key ?? last
    }
  }
  return {
    async *run({ after = '' } = {}) {
      check()
      let connection: Connection | undefined
      try {
        connection = (await connect(settings, 0)).connection
        open.add(connection)
        yield* pages(connection, after)
      } catch (error) {
        check()
        throw failure(error, 'reading the store failed')
      } finally {
        // What ends the connection ends its transaction.
        if (connection) open.delete(connection)
        connection?.close()
      }
    },
    close() {
      closed = true
      for (const connection of open) connection.close()
    },
  }
}
