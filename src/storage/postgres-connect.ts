// Opens one connection to the server that takes writes: tries the hosts in turn, checks what answers, and carries exchanges
// over it, each with a deadline. It never runs anything twice.
import pg from 'pg'
import { type Address, currentPassword, type PasswordSource, tlsOptions } from './postgres-address.ts'
import { ConnectionLost, endsConnection, tell } from './postgres-failure.ts'
import { type Call, Exchange, type Row } from './postgres-wire.ts'
import { StorageError, StorageUnusable } from './storage.ts'

/** How connections are made, and how long things may take. */
export interface ConnectSettings {
  readonly address: Address
  readonly password: PasswordSource
  readonly connectTimeoutMs: number
  readonly statementTimeoutMs: number
  readonly lockTimeoutMs: number
}

/** A connection; one exchange at a time. */
export interface Connection {
  /** True when the server itself is at the other end, false when a pooler may change servers between transactions. */
  readonly direct: boolean
  /** True once it cannot be used any more. */
  readonly lost: boolean
  /** Sends calls as one transaction; gives the rows of the last one. Rejects with the server's or the connection's error. */
  run(calls: readonly Call[]): Promise<Row[]>
  /** Called when the connection is lost while nothing runs. */
  onLost: (() => void) | undefined
  close(): void
}

/** More than the server's own limit, so that its answer comes first. */
const answerGraceMs = 5000

const hello = `SELECT pg_backend_pid(), current_setting('transaction_read_only'), pg_is_in_recovery(),
  current_setting('server_version_num')::int, current_setting('default_transaction_isolation'), version()`
const oldestVersion = 150_000

/** Checks what answered; gives whether it is the server itself. */
async function greet(client: pg.Client, address: Address): Promise<boolean> {
  const { rows } = await client.query<unknown[]>({ text: hello, rowMode: 'array' })
  const [pid, readOnly, recovering, version, isolation, name] = rows[0] as [
    number,
    string,
    boolean,
    number,
    string,
    string,
  ]
  if (/cockroach|yugabyte|-YB-/i.test(name))
    throw new StorageUnusable('the database is not PostgreSQL itself; Coffer relies on locks that others lack')
  if (version < oldestVersion) throw new StorageUnusable('PostgreSQL 15 or later is needed')
  if (address.readWrite && (readOnly === 'on' || recovering))
    throw new StorageError('the server takes no writes (standby)')
  if (isolation !== 'read committed')
    throw new StorageUnusable(
      `default_transaction_isolation is "${isolation}" for this user; it must be "read committed"`,
    )
  return pid === inside(client).processID
}

async function connectTo(settings: ConnectSettings, at: number, tls: boolean): Promise<Connection> {
  const { address, connectTimeoutMs } = settings
  const host = address.hosts[at] as Address['hosts'][number]
  const ssl = tls && !host.host.startsWith('/') ? tlsOptions(address) : undefined
  const client = new pg.Client({
    host: host.host,
    port: host.port,
    user: address.user,
    database: address.database,
    // The driver takes an empty text for "none known" and would look into other places.
    password: async () => currentPassword(address, settings.password) ?? '',
    ssl: ssl ?? false,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: address.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...({ enableChannelBinding: true } as object),
  })
  // Told to whoever waits; without a listener an error of an idle connection would end the process.
  client.on('error', () => {})
  const limit = setTimeout(() => destroy(client), connectTimeoutMs)
  try {
    await client.connect()
    const direct = await greet(client, address)
    if (direct) {
      const { statementTimeoutMs, lockTimeoutMs } = settings
      await client.query(`SET statement_timeout = ${statementTimeoutMs}; SET lock_timeout = ${lockTimeoutMs}`)
    }
    return connectionOver(client, direct, settings.statementTimeoutMs + answerGraceMs)
  } catch (error) {
    destroy(client)
    throw error
  } finally {
    clearTimeout(limit)
  }
}

/** What the driver's types leave out. */
interface Inside {
  readonly processID: number
  readonly connection: pg.Connection
  ref(): void
  unref(): void
}
const inside = (client: pg.Client): Inside => client as unknown as Inside
const destroy = (client: pg.Client): void => {
  inside(client).connection.stream.destroy()
}

function connectionOver(client: pg.Client, direct: boolean, answerMs: number): Connection {
  const prepared = direct ? new Set<string>() : undefined
  let lost = false
  let running = false
  const connection: Connection = {
    direct,
    get lost() {
      return lost
    },
    run(calls) {
      return new Promise((resolve, reject) => {
        running = true
        inside(client).ref()
        const timer = setTimeout(() => {
          lost = true
          destroy(client)
        }, answerMs)
        const end = (error: Error | undefined, rows: Row[]): void => {
          clearTimeout(timer)
          running = false
          inside(client).unref()
          if (error === undefined) {
            resolve(rows)
            return
          }
          reject(endsConnection(error) ? new ConnectionLost(tell(error)) : error)
        }
        client.query(new Exchange(calls, prepared, end))
      })
    },
    onLost: undefined,
    close() {
      lost = true
      connection.onLost = undefined
      client.end().catch(() => {})
    },
  }
  client.on('end', () => {
    lost = true
    if (!running) connection.onLost?.()
  })
  inside(client).unref()
  return connection
}

/**
 * Connects to the first host that will do, beginning with `first`. Rejects with `StorageUnusable` where waiting does not
 * help, otherwise with `StorageError` that tells the reason of each host.
 */
export async function connect(
  settings: ConnectSettings,
  first: number,
): Promise<{ connection: Connection; at: number }> {
  const { hosts, sslMode } = settings.address
  const reasons: string[] = []
  for (let i = 0; i < hosts.length; i++) {
    const at = (first + i) % hosts.length
    for (const tls of sslMode === 'prefer' ? [true, false] : [sslMode !== 'allow']) {
      try {
        return { connection: await connectTo(settings, at, tls), at }
      } catch (error) {
        if (error instanceof StorageUnusable) throw error
        const noTls = (error as Error).message === 'The server does not support SSL connections'
        const { host, port } = hosts[at] as Address['hosts'][number]
        if (noTls && sslMode === 'prefer') continue
        reasons.push(`${host}:${port}: ${noTls ? 'the server has no TLS' : (tlsReason(error) ?? tell(error))}`)
        break
      }
    }
  }
  throw new StorageError(`no database can be reached: ${reasons.join('; ')}`)
}

/** What OpenSSL has against a certificate. */
function tlsReason(error: unknown): string | undefined {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /CERT|TLS|SSL|ISSUER|CHAIN/.test(code) ? `TLS: ${code}` : undefined
}
