// The store that several nodes share: PostgreSQL, with optimistic transactions that are checked when they commit. Nodes are
// equal, and nothing read is believed later unless the database has shown that it still holds.
import type { StorageMeter } from './meter.ts'
import { type PasswordSource, parseAddress } from './postgres-address.ts'
import { PostgresCommits } from './postgres-commits.ts'
import type { Connection } from './postgres-connect.ts'
import { postgresExports } from './postgres-export.ts'
import { ConnectionLost, failure, readOnly, tell } from './postgres-failure.ts'
import { newMoment, type PostgresMoment } from './postgres-moment.ts'
import { Pool } from './postgres-pool.ts'
import { PostgresReader } from './postgres-reader.ts'
import { followTimeline, lockClassOf, openSchema } from './postgres-schema.ts'
import { sqlFor } from './postgres-sql.ts'
import { runner } from './run.ts'
import { type Storage, StorageUnusable } from './storage.ts'
import type { Keeper } from './transaction.ts'

/** Where the database is, and bounds. */
export interface PostgresOptions {
  /** `postgres://USER@HOST:PORT,HOST:PORT/DATABASE?sslmode=verify-full&…`, or "host=… user=… dbname=…". */
  readonly url: string
  /** Where the password comes from when it is not in the URL; read for each connection, so that it may change. */
  readonly password?: PasswordSource | undefined
  readonly schema?: string | undefined
  /** False: the tables must be there. */
  readonly create?: boolean | undefined
  readonly connectionsMax?: number | undefined
  readonly idleMax?: number | undefined
  readonly connectTimeoutMs?: number | undefined
  readonly statementTimeoutMs?: number | undefined
  readonly lockTimeoutMs?: number | undefined
  /** How long a transaction waits for a connection, the time of a failover included. */
  readonly waitMs?: number | undefined
  /** How often one transaction is run before `TooMuchContention`. */
  readonly attemptsMax?: number | undefined
  /** Told of connections that are lost and of those that are back, in words without secrets. */
  readonly onTrouble?: ((message: string) => void) | undefined
  readonly meter?: StorageMeter | undefined
}

/** Values where the options say nothing. */
export const postgresDefaults = {
  schema: 'coffer',
  connectionsMax: 10,
  connectTimeoutMs: 5000,
  statementTimeoutMs: 30_000,
  lockTimeoutMs: 10_000,
  waitMs: 20_000,
} as const

/**
 * Opens a store, making its schema if need be. Rejects with `StorageUnusable` when the database cannot be reached or used,
 * or holds what is foreign or newer.
 */
export async function postgresStorage(options: PostgresOptions): Promise<Storage> {
  const { schema = postgresDefaults.schema, connectionsMax = postgresDefaults.connectionsMax } = options
  if (!/^[^\0]{1,63}$/.test(schema)) throw new StorageUnusable('schema must have from 1 to 63 characters')
  const address = parseAddress(options.url)
  const pool = new Pool(
    {
      address,
      password: options.password ?? {},
      connectTimeoutMs:
        options.connectTimeoutMs ??
        (address.connectTimeoutSeconds === undefined
          ? postgresDefaults.connectTimeoutMs
          : address.connectTimeoutSeconds * 1000),
      statementTimeoutMs: options.statementTimeoutMs ?? postgresDefaults.statementTimeoutMs,
      lockTimeoutMs: options.lockTimeoutMs ?? postgresDefaults.lockTimeoutMs,
      connectionsMax: Math.max(2, connectionsMax),
      idleMax: options.idleMax ?? connectionsMax,
      waitMs: options.waitMs ?? postgresDefaults.waitMs,
    },
    options.onTrouble,
  )
  try {
    const connection = await pool.acquire()
    const welcome = welcomeTo(pool, schema)
    await openSchema(connection, schema, options.create ?? true)
      .then(() => welcome(connection))
      .finally(() => pool.release(connection))
    pool.welcomeWith(welcome)
  } catch (error) {
    await pool.close()
    throw error instanceof StorageUnusable
      ? error
      : new StorageUnusable(failure(error, 'opening the store failed').message)
  }
  const { view, update, drain } = runner(keeperOver(pool, schema), options.attemptsMax, options.meter)
  const exports = postgresExports(pool.settings, schema)
  let closed: Promise<void> | undefined
  return {
    kind: 'postgresql',
    shared: true,
    view,
    update,
    export: exports.run,
    close() {
      exports.close()
      closed ??= drain().then(() => pool.close())
      return closed
    },
  }
}

/** Makes what each new connection goes through. */
function welcomeTo(pool: Pool, schema: string): (connection: Connection) => Promise<void> {
  return async (connection) => {
    try {
      await followTimeline(connection, schema)
    } catch (error) {
      if (error instanceof ConnectionLost || readOnly(error)) throw error
      pool.report(
        `after a failover that loses commits restart all servers: the timeline cannot be followed: ${tell(error)}`,
      )
    }
  }
}

/** Reads, proves and commits for `run.ts`; half of the connections are for reading keys, half for commits. */
function keeperOver(pool: Pool, schema: string): Keeper<PostgresMoment> {
  const sql = sqlFor(schema)
  const lanes = Math.max(1, Math.floor(pool.settings.connectionsMax / 2))
  const reader = new PostgresReader(pool, sql, Math.min(lanes, lanesMax))
  const commits = new PostgresCommits(pool, sql, { lockClass: lockClassOf(schema), lanes: Math.min(lanes, lanesMax) })
  return {
    begin: newMoment,
    get: (key, tx) => reader.getMany(tx, [key]).then(([entry]) => entry),
    getMany: (keys, tx) => reader.getMany(tx, keys),
    names: (query, tx) => reader.names(tx, query),
    entries: (query, tx) => reader.entries(tx, query),
    prove: (tx) => reader.prove(tx),
    commit: (tx) => commits.commit(tx),
  }
}

/** More at once only makes the groups smaller. */
const lanesMax = 4
