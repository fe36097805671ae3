// Every SQL text of the PostgreSQL store, for one schema. Statements are plain SQL; what each relies on is in docs/adr/0013.

import type { Statement } from './postgres-wire.ts'
import { types as t } from './postgres-wire.ts'
import type { RangeQuery } from './transaction.ts'

/** Quotes an identifier. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** The statements of a store. */
export interface Sql {
  /** Keys of $1 with their place in it, version and value. */
  readonly read: Statement
  /** The same, and facts (keys $2, versions $3) that do not hold: place below 0, no value. */
  readonly readAndProve: Statement
  /** Facts (keys $1, versions $2) that do not hold: place below 0. */
  readonly prove: Statement
  /** The same with ranges, whose place is 0. */
  readonly proveRanges: Statement
  /** Keys of a range in order, with versions (and values); the first column counts facts that do not hold. */
  keys(kind: 'keys' | 'entries'): Statement
  /** Folded names of a range, which seeks from folder to folder. */
  readonly folded: Statement
  /** Takes locks: class $1, ids $2 in order, which of them exclusive $3. Gives the isolation level. */
  readonly lock: Statement
  /** Checks and applies the commits of a group; gives those that held, with their versions. */
  readonly commit: Statement
  /** The same for one commit, which read ranges. */
  readonly commitRanges: Statement
}

// A scalar subquery is looked up by index for each fact, whatever the planner believes of the table's size.
const broken = (entry: string, keys: number, versions: number): string =>
  `unnest($${keys}::bytea[], $${versions}::int8[]) WITH ORDINALITY f(key, version, i)
   WHERE f.version <> coalesce((SELECT e.version FROM ${entry} e WHERE e.key = f.key), 0)`

/** How a range is spelled in SQL: parameters of a statement, or columns of a table of ranges. */
interface Spelling {
  readonly start: string
  readonly end: string
  readonly limit: string
  readonly skip: string
}
const asked: Spelling = { start: '$1', end: '$2', limit: '$3', skip: '$4' }
const rangeTypes = [t.bytea, t.bytea, t.int8, t.int4]
const listed: Spelling = { start: 'q.start', end: 'q.stop', limit: 'q.bound', skip: 'q.skip' }

const rangeOf = (entry: string, columns: string, { start, end, limit }: Spelling): string =>
  `SELECT ${columns} FROM ${entry} WHERE key >= ${start} AND key < ${end} ORDER BY key LIMIT ${limit}`

/**
 * The folded names of a range. `walk` goes from the first folder to the next, `start` to `folder`; keys without a slash lie
 * between them. Each step looks at no more keys than the limit.
 */
function foldedOf(entry: string, { start, end, limit, skip }: Spelling): string {
  const slash = `position('\\x2f'::bytea in substring(c.key from ${skip} + 1))`
  const folderFrom = (from: string): string =>
    `(SELECT substring(c.key for ${skip} + ${slash})
      FROM (SELECT key FROM ${entry} WHERE key >= ${from} AND key < ${end} ORDER BY key LIMIT ${limit}) c
      WHERE ${slash} > 0 ORDER BY c.key LIMIT 1)`
  const next = `substring(w.folder for length(w.folder) - 1) || '\\x30'::bytea`
  return `WITH RECURSIVE walk(start, folder, n) AS (
      SELECT ${start}::bytea, ${folderFrom(start)}, 1::int8
      UNION ALL
      SELECT s.start, ${folderFrom('s.start')}, w.n + 1
      FROM walk w, LATERAL (SELECT ${next} AS start) s
      WHERE w.folder IS NOT NULL AND (${limit}::int8 IS NULL OR w.n < ${limit})
    )
    SELECT n.name FROM walk w, LATERAL (
      (SELECT key FROM ${entry} WHERE key >= w.start AND key < coalesce(w.folder, ${end}) ORDER BY key LIMIT ${limit})
      UNION ALL SELECT w.folder WHERE w.folder IS NOT NULL
    ) n(name) ORDER BY n.name LIMIT ${limit}`
}

/** Kinds of ranges as numbers. */
export const rangeKinds: Readonly<Record<RangeQuery['kind'], number>> = { list: 0, scan: 1, entries: 2 }

/** Ranges (six arrays from parameter `at` on: kind, start, end, limit, bytes of the prefix, digest) that hold something else now. */
function brokenRanges(entry: string, at: number): string {
  const framed = 'int4send(length(r.key)) || r.key'
  // postgres-ranges.ts makes the same digest of what was read.
  const digest = (rows: string, columns: string, item: string): string =>
    `(SELECT sha256(coalesce(string_agg(${item}, ''::bytea ORDER BY r.key), ''::bytea)) FROM (${rows}) r(${columns}))`
  const keys = rangeOf(entry, 'key, version', listed)
  const arrays = ['int4', 'bytea', 'bytea', 'int8', 'int4', 'bytea'].map((type, i) => `$${at + i}::${type}[]`)
  return `unnest(${arrays.join(', ')}) q(kind, start, stop, bound, skip, digest)
    WHERE q.digest <> CASE q.kind
      WHEN ${rangeKinds.list} THEN ${digest(foldedOf(entry, listed), 'key', framed)}
      WHEN ${rangeKinds.scan} THEN ${digest(keys, 'key, version', framed)}
      ELSE ${digest(keys, 'key, version', `${framed} || int8send(r.version)`)} END`
}
const rangesTypes = [t.int4s, t.byteas, t.byteas, t.int8s, t.int4s, t.byteas]

/** Writes the statements for a schema. */
export function sqlFor(schema: string): Sql {
  const entry = `${quoted(schema)}.entry`
  const revision = `${quoted(schema)}.revision`.replaceAll("'", "''")
  const found = `SELECT k.i, e.version, e.value FROM unnest($1::bytea[]) WITH ORDINALITY k(key, i),
    LATERAL (SELECT version, value FROM ${entry} WHERE key = k.key OFFSET 0) e`
  const keys = (kind: 'keys' | 'entries'): Statement => ({
    name: `coffer_${kind}`,
    text: `SELECT b.n, r.* FROM (SELECT count(*) AS n FROM ${broken(entry, 5, 6)}) b LEFT JOIN LATERAL
      (${rangeOf(entry, kind === 'keys' ? 'key' : 'key, version, value', asked)}) r ON true`,
    types: [...rangeTypes, t.byteas, t.int8s],
  })
  const [keysOnly, entries] = [keys('keys'), keys('entries')]
  const prove = `SELECT -f.i FROM ${broken(entry, 1, 2)}`
  const commit = (ranges: string): string => `WITH bad AS MATERIALIZED (
        SELECT f.tx FROM unnest($1::int4[], $2::bytea[], $3::int8[]) f(tx, key, version)
        WHERE f.version <> coalesce((SELECT e.version FROM ${entry} e WHERE e.key = f.key), 0)
        ${ranges}
      ), good AS MATERIALIZED (
        SELECT g.tx, nextval('${revision}') AS version FROM generate_series(0, $7::int4 - 1) g(tx)
        WHERE g.tx NOT IN (SELECT tx FROM bad) AND current_setting('transaction_isolation') = 'read committed'
      ), change AS MATERIALIZED (
        SELECT w.key, w.value, good.version
        FROM unnest($4::int4[], $5::bytea[], $6::bytea[]) w(tx, key, value) JOIN good USING (tx)
      ), removed AS (
        DELETE FROM ${entry} WHERE key = ANY (ARRAY(SELECT key FROM change WHERE value IS NULL))
      ), written AS (
        INSERT INTO ${entry} (key, version, value) SELECT key, version, value FROM change WHERE value IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value
      )
      SELECT tx, version FROM good`
  const commitTypes = [t.int4s, t.byteas, t.int8s, t.int4s, t.byteas, t.byteas, t.int4]
  return {
    read: { name: 'coffer_read', text: found, types: [t.byteas] },
    readAndProve: {
      name: 'coffer_read_and_prove',
      text: `${found} UNION ALL SELECT -f.i, f.version, NULL FROM ${broken(entry, 2, 3)}`,
      types: [t.byteas, t.byteas, t.int8s],
    },
    prove: { name: 'coffer_prove', text: prove, types: [t.byteas, t.int8s] },
    proveRanges: {
      name: 'coffer_prove_ranges',
      text: `${prove} UNION ALL SELECT 0 FROM ${brokenRanges(entry, 3)}`,
      types: [t.byteas, t.int8s, ...rangesTypes],
    },
    keys: (kind) => (kind === 'keys' ? keysOnly : entries),
    folded: { name: 'coffer_folded', text: foldedOf(entry, asked), types: rangeTypes },
    lock: {
      name: 'coffer_lock',
      text: `SELECT count(CASE WHEN l.exclusive THEN pg_advisory_xact_lock($1::int4, l.id)::text
          ELSE pg_advisory_xact_lock_shared($1::int4, l.id)::text END)
        FROM unnest($2::int4[], $3::bool[]) l(id, exclusive)`,
      types: [t.int4, t.int4s, t.bools],
    },
    commit: { name: 'coffer_commit', text: commit(''), types: commitTypes },
    commitRanges: {
      name: 'coffer_commit_ranges',
      text: commit(`UNION ALL SELECT 0 FROM ${brokenRanges(entry, 8)}`),
      types: [...commitTypes, ...rangesTypes],
    },
  }
}
