// Opens one connection to the server that takes writes: tries the hosts in turn, checks what answers, and carries exchanges
// over it, each with a deadline. It never runs anything twice.
import pg from 'pg'
import { type Address, currentPassword, type PasswordSource, tlsOptions } from './postgres-address.ts'
import { ConnectionLost, codeOf, tell } from './postgres-failure.ts'
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

/** What an exchange is for: looking up keys, reading a range, a commit. */
export type ExchangeKind = 'keys' | 'range' | 'commit'

/** A connection; one exchange at a time. */
export interface Connection {
  /** True when the server itself is at the other end, false when a pooler may change servers between transactions. */
  readonly direct: boolean
  /** True once it cannot be used any more. */
  readonly lost: boolean
  /**
   * Sends calls as one transaction; gives the rows of the last one. Rejects with the server's error or `ConnectionLost`. In a
   * commit a warning of the server counts as no answer: so it tells that it has stopped waiting for a standby.
   */
  run(calls: readonly Call[], kind?: ExchangeKind): Promise<Row[]>
  /** Called when the connection is lost while nothing runs. */
  onLost: (() => void) | undefined
  close(): void
}

/** Time beyond the server's own limit, so that its answer comes first. */
const answerGraceMs = 5000
const answerMsFor = (statementMs: number): number => statementMs + Math.min(answerGraceMs, statementMs)

const hello = `SELECT pg_backend_pid(), current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery(),
  current_setting('server_version_num')::int, current_setting('default_transaction_isolation'),
  current_setting('synchronous_commit'), version()`
const oldestVersion = 150_000

/** Checks what answered; gives whether it is the server itself. */
async function greet(client: pg.Client, address: Address): Promise<boolean> {
  const { rows } = await client.query<unknown[]>({ text: hello, rowMode: 'array' })
  const [pid, readOnly, version, isolation, durability, name] = rows[0] as [
    number,
    boolean,
    number,
    string,
    string,
    string,
  ]
  if (/cockroach|yugabyte|-YB-/i.test(name))
    throw new StorageUnusable('the database is not PostgreSQL itself; Coffer relies on locks that others lack')
  if (version < oldestVersion) throw new StorageUnusable('PostgreSQL 15 or later is needed')
  if (readOnly && address.readWrite)
    throw new StorageError('the server takes no writes (it is a standby, or read-only)')
  if (isolation !== 'read committed')
    throw new StorageUnusable(
      `default_transaction_isolation is "${isolation}" for this user; "read committed" is needed`,
    )
  if (durability === 'off')
    throw new StorageUnusable(
      'synchronous_commit is off for this user: writes would be acknowledged that a crash loses',
    )
  return pid === inside(client).processID
}

/**
 * The statement that bounds waiting, and holds the server to the index: a plan made when it knew the table as small, or not at
 * all, would read and sort the whole of it again and again. For the session, or (behind a pooler) for one transaction.
 */
const settled = ({ statementTimeoutMs, lockTimeoutMs }: ConnectSettings, local: boolean): string =>
  `SELECT ${Object.entries({
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    enable_seqscan: 'off',
    enable_bitmapscan: 'off',
    jit: 'off',
  })
    .map(([name, value]) => `set_config('${name}', '${value}', ${local})`)
    .join(', ')}`

async function connectTo(settings: ConnectSettings, at: number, tls: boolean): Promise<Connection> {
  const { address, connectTimeoutMs } = settings
  const host = address.hosts[at] as Address['hosts'][number]
  const ssl = tls && !host.host.startsWith('/') ? tlsOptions(address) : undefined
  const client = new pg.Client({
    host: host.host,
    port: host.port,
    user: address.user,
    database: address.database,
    // A function: else the driver would look for a password in other places.
    password: async () =>
      currentPassword(address, settings.password) ?? Promise.reject(new StorageUnusable('the server wants a password')),
    ssl: ssl ?? false,
    application_name: address.applicationName,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // The driver's types leave it out.
    ...({ enableChannelBinding: true } as object),
  })
  // Told to whoever waits; without a listener an error of an idle connection would end the process.
  client.on('error', () => {})
  let late = false
  const limit = setTimeout(() => {
    late = true
    destroy(client)
  }, connectTimeoutMs)
  try {
    await client.connect()
    const direct = await greet(client, address)
    if (direct) await client.query(settled(settings, false))
    return connectionOver(client, direct, settings)
  } catch (error) {
    destroy(client)
    throw late ? new StorageError('timed out') : error
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

function connectionOver(client: pg.Client, direct: boolean, settings: ConnectSettings): Connection {
  const answerMs = answerMsFor(settings.statementTimeoutMs)
  const first: Call = { statement: { name: '', text: settled(settings, true), types: [] }, values: [] }
  const prepared = direct ? new Set<string>() : undefined
  let lost = false
  let running = false
  let warned = false
  client.on('notice', ({ code }) => {
    if (code === '01000') warned = true
  })
  const connection: Connection = {
    direct,
    get lost() {
      return lost
    },
    run(calls, kind = 'keys') {
      return new Promise((resolve, reject) => {
        running = true
        warned = false
        inside(client).ref()
        let silent = false
        const timer = setTimeout(() => {
          silent = true
          lost = true
          destroy(client)
        }, answerMs)
        const end = (error: Error | undefined, rows: Row[]): void => {
          clearTimeout(timer)
          running = false
          inside(client).unref()
          if (silent) reject(new ConnectionLost('no answer came in time', true))
          else if (error !== undefined) reject(error)
          else if (kind === 'commit' && warned) reject(new ConnectionLost('the server stopped waiting for its standby'))
          else resolve(rows)
        }
        const all = direct || kind === 'keys' ? calls : [first, ...calls]
        try {
          client.query(new Exchange(all, prepared, end))
        } catch (error) {
          // Half of it may have been written.
          lost = true
          destroy(client)
          end(error as Error, [])
        }
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

/** Codes of the server about who comes in and where to: trying again does not help. */
const hopeless = /^(28|3D)/

/**
 * Connects to the first host that will do, beginning with `first`. Rejects with `StorageUnusable` where waiting does not
 * help, otherwise with `StorageError`; both tell the reason of each host.
 */
export async function connect(
  settings: ConnectSettings,
  first: number,
): Promise<{ connection: Connection; at: number }> {
  const { hosts } = settings.address
  const reasons: string[] = []
  let helpless = true
  for (let i = 0; i < hosts.length; i++) {
    const at = (first + i) % hosts.length
    try {
      return { connection: await connectAsAllowed(settings, at), at }
    } catch (error) {
      const { host, port } = hosts[at] as Address['hosts'][number]
      reasons.push(`${host}:${port}: ${tlsReason(error) ?? tell(error)}`)
      if (!(error instanceof StorageUnusable) && !hopeless.test(codeOf(error))) helpless = false
    }
  }
  const message = `no database can be used: ${reasons.join('; ')}`
  throw helpless ? new StorageUnusable(message) : new StorageError(message)
}

const withoutTls = 'The server does not support SSL connections'

/** Connects with TLS or without, as sslmode says; "prefer" takes what there is. */
async function connectAsAllowed(settings: ConnectSettings, at: number): Promise<Connection> {
  const { sslMode } = settings.address
  try {
    return await connectTo(settings, at, true)
  } catch (error) {
    if (sslMode !== 'prefer' || (error as Error).message !== withoutTls) throw error
    return await connectTo(settings, at, false)
  }
}

/** What OpenSSL has against a certificate, or that there is no TLS. */
function tlsReason(error: unknown): string | undefined {
  if ((error as Error).message === withoutTls) return 'the server has no TLS'
  const code = codeOf(error)
  return /CERT|TLS|SSL|ISSUER|CHAIN|SIGNATURE/.test(code) ? `TLS: ${code}` : undefined
}
