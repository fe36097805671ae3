// Makes and checks what Coffer keeps in PostgreSQL: a schema with the entries, the revisions, and a mark that says
// whose it is and in which format. It changes nothing that is foreign or newer.
import type { Connection } from './postgres-connect.ts'
import { codeOf, failure } from './postgres-failure.ts'
import { hash32 } from './postgres-locks.ts'
import { quoted } from './postgres-sql.ts'
import type { Row } from './postgres-wire.ts'
import { StorageUnusable } from './storage.ts'

const application = 'coffer'
/** Format of the tables. Who raises it adds to `openSchema` the step that leads there from the one before. */
export const format = 1

/** Class of the advisory locks of a schema; with it two stores in one database do not wait for each other. */
export const lockClassOf = (schema: string): number => hash32(`coffer:${schema}`)

const tables = (s: string): string[] => [
  `CREATE TABLE ${s}.store (application text NOT NULL, format integer NOT NULL, timeline bigint NOT NULL)`,
  `CREATE SEQUENCE ${s}.revision`,
  // Keys compare by their bytes. Values are ciphertext, which no compression makes smaller.
  `CREATE TABLE ${s}.entry (key bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL) WITH (fillfactor = 90)`,
  `ALTER TABLE ${s}.entry ALTER COLUMN value SET STORAGE EXTERNAL`,
  `INSERT INTO ${s}.store VALUES ('${application}', ${format}, 0)`,
]

const run = (connection: Connection, text: string): Promise<Row[]> =>
  connection.run([{ statement: { name: '', text, types: [] }, values: [] }])

/** Tells whether the mark is there. Throws `StorageUnusable` when it is not for this version of Coffer. */
async function marked(connection: Connection, schema: string): Promise<boolean> {
  const literal = schema.replaceAll("'", "''")
  const [names] = await run(
    connection,
    `SELECT string_agg(c.relname, ',') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = '${literal}' AND c.relname IN ('store', 'entry', 'revision')`,
  )
  const found = (names?.[0] ?? '').split(',').filter((name) => name !== '')
  if (found.length === 0) return false
  const foreign = new StorageUnusable(`the schema "${schema}" holds tables that are not Coffer's; name another one`)
  if (!found.includes('store')) throw foreign
  let row: Row | undefined
  try {
    ;[row] = await run(connection, `SELECT application, format FROM ${quoted(schema)}.store`)
  } catch (error) {
    if (codeOf(error) === '42703') throw foreign
    throw error
  }
  if (row?.[0] !== application) throw foreign
  const version = Number(row[1])
  if (version > format)
    throw new StorageUnusable(
      `the schema "${schema}" was written by a newer version of Coffer (format ${version}, this one knows ${format})`,
    )
  return true
}

/**
 * Brings the schema into the format of this version. Several processes may do so at once: one does, under a lock of its
 * transaction, which works through poolers too. `create` false: what is missing is refused.
 */
export async function openSchema(connection: Connection, schema: string, create: boolean): Promise<void> {
  try {
    if (await marked(connection, schema)) return
    if (!create)
      throw new StorageUnusable(`the schema "${schema}" has no tables of Coffer, and skip_create_table is set`)
    await makeSchema(connection, schema)
    if (!(await marked(connection, schema))) throw new StorageUnusable(`the schema "${schema}" could not be made`)
  } catch (error) {
    if (error instanceof StorageUnusable) throw error
    throw new StorageUnusable(failure(error, `the schema "${schema}" cannot be used`).message)
  }
}

async function makeSchema(connection: Connection, schema: string): Promise<void> {
  const name = quoted(schema)
  const text = (one: string) => ({ statement: { name: '', text: one, types: [] }, values: [] })
  const there = `SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = '${schema.replaceAll("'", "''")}'`
  // Whoever comes second finds the schema; a role that may not make one uses what was made for it.
  const known = (await run(connection, there)).length > 0
  try {
    await connection.run(
      [
        `SELECT pg_advisory_xact_lock(${lockClassOf(schema)}, 0)`,
        ...(known ? [] : [`CREATE SCHEMA IF NOT EXISTS ${name}`]),
        ...tables(name),
      ].map(text),
    )
  } catch (error) {
    // Another process was first.
    if (!['42P07', '42P06', '23505'].includes(codeOf(error))) throw error
  }
}

/** By so much revisions go ahead when a standby has taken over: more than it could have missed. */
const leap = 2 ** 32
const timeline = `('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint`

/**
 * Sees to it that revisions are never used again after a failover that lost some (or a restore to an earlier moment): the
 * server's timeline is another one then. For each new connection, before anything is committed over it. A standby has no say.
 */
export async function followTimeline(connection: Connection, schema: string): Promise<void> {
  const [store, revision] = [`${quoted(schema)}.store`, `'${quoted(schema).replaceAll("'", "''")}.revision'`]
  const [known] = await run(connection, `SELECT 1 FROM ${store} WHERE timeline = ${timeline}`)
  if (known) return
  // Of several that come at once, one moves the mark; the others wait for it and find it moved.
  await run(
    connection,
    `WITH moved AS (UPDATE ${store} SET timeline = ${timeline} WHERE timeline <> ${timeline} RETURNING 1)
     SELECT setval(${revision}, nextval(${revision}) + ${leap}) FROM moved`,
  )
}
