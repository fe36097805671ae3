// Where the database is and how to come in: connection URLs with several hosts, TLS, and where the password comes from.
// What is wrong is told without the URL: it may hold the password.
import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import { StorageUnusable } from './storage.ts'

/** One server; a host that starts with `/` is a folder of Unix sockets. */
export interface Host {
  readonly host: string
  readonly port: number
}

const sslModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof sslModes)[number]

/** What a connection URL says. */
export interface Address {
  readonly hosts: readonly Host[]
  readonly database: string
  readonly user: string
  readonly password: string | undefined
  readonly sslMode: SslMode
  readonly sslRootCert: string | undefined
  readonly sslCert: string | undefined
  readonly sslKey: string | undefined
  /** Only a server that takes writes will do. */
  readonly readWrite: boolean
  readonly connectTimeoutSeconds: number | undefined
  readonly applicationName: string
}

/** Where the password comes from when it is not in the URL; read anew for each connection. */
export interface PasswordSource {
  readonly file?: string | undefined
  readonly env?: string | undefined
}

const fail = (message: string): never => {
  throw new StorageUnusable(message)
}

const shape = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return fail('connection_url: a "%" must be written as "%25"')
  }
}

/** Splits `key=value` settings (`host=db user=coffer password='a b'`), the other form libpq knows. */
function settingsOf(text: string): Map<string, string> {
  const settings = new Map<string, string>()
  const rest = text.replace(
    /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))/gy,
    (_all, key, quoted, bare) => {
      settings.set(key, String(quoted ?? bare).replace(/\\(.)/g, '$1'))
      return ''
    },
  )
  if (rest.trim() !== '' || settings.size === 0)
    fail('connection_url must be postgres://USER@HOST:PORT/DATABASE or "host=… user=… dbname=…"')
  return settings
}

function urlSettings(url: string): Map<string, string> {
  const parts = shape.exec(url)
  if (!parts) return settingsOf(url)
  const [, user = '', hosts = '', database = '', query = ''] = parts
  const settings = new Map<string, string>()
  const colon = user.indexOf(':')
  if (user !== '') settings.set('user', decoded(colon < 0 ? user : user.slice(0, colon)))
  if (colon >= 0) settings.set('password', decoded(user.slice(colon + 1)))
  if (hosts !== '') {
    const each = hosts
      .split(',')
      .map(
        (one) =>
          /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(one) ?? fail('connection_url: a host must be HOST or HOST:PORT'),
      )
    settings.set('host', each.map((one) => decoded((one[1] ?? '').replace(/^\[|\]$/g, ''))).join(','))
    settings.set('port', each.map((one) => one[2] ?? '').join(','))
  }
  if (database !== '') settings.set('dbname', decoded(database))
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const at = pair.indexOf('=')
    if (at < 0) fail('connection_url: a parameter must be NAME=VALUE')
    settings.set(decoded(pair.slice(0, at)), decoded(pair.slice(at + 1)))
  }
  return settings
}

function hostsOf(settings: ReadonlyMap<string, string>): Host[] {
  const names = (settings.get('host') ?? '').split(',')
  const ports = (settings.get('port') ?? '').split(',')
  if (ports.length > 1 && ports.length !== names.length) fail('connection_url: as many ports as hosts, or one')
  return names.map((name, i) => {
    const text = ports.length === 1 ? ports[0] : ports[i]
    const port = text ? Number(text) : 5432
    if (!Number.isInteger(port) || port < 1 || port > 65_535) fail('connection_url: a port must be from 1 to 65535')
    return { host: name === '' ? 'localhost' : name, port }
  })
}

const knownSettings = new Set([
  'host', 'port', 'user', 'password', 'dbname', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey',
  'target_session_attrs', 'connect_timeout', 'application_name', 'channel_binding',
  'client_encoding', 'fallback_application_name', 'gssencmode', 'keepalives', 'keepalives_idle', 'keepalives_interval',
  'keepalives_count', 'tcp_user_timeout', 'binary_parameters', 'pool_max_conns', 'default_query_exec_mode',
]) // biome-ignore format: a table

/** Reads a connection URL (or `key=value` settings). Throws `StorageUnusable` that names the part and no value. */
export function parseAddress(url: string): Address {
  const settings = urlSettings(url.trim())
  for (const name of settings.keys())
    if (!knownSettings.has(name)) fail(`connection_url: the parameter "${name.slice(0, 40)}" is not known`)
  const rootCert = settings.get('sslrootcert') || undefined
  // Whoever allows TLS has nothing against it.
  const mode =
    settings.get('sslmode')?.replace(/^allow$/, 'prefer') ?? (rootCert === undefined ? 'prefer' : 'verify-full')
  const sslMode =
    sslModes.find((one) => one === mode) ?? fail(`connection_url: sslmode must be one of ${sslModes.join(', ')}`)
  const attrs = settings.get('target_session_attrs') ?? 'read-write'
  if (!['any', 'read-write', 'primary'].includes(attrs))
    fail('connection_url: target_session_attrs must be read-write, primary or any: Coffer writes')
  const timeout = settings.get('connect_timeout')
  if (timeout !== undefined && !/^\d{1,5}$/.test(timeout))
    fail('connection_url: connect_timeout must be a number of seconds')
  if (settings.get('channel_binding') === 'require')
    fail('connection_url: channel_binding is used where it is offered, not required; use sslmode=verify-full')
  const user = settings.get('user') || userInfo().username
  return {
    hosts: hostsOf(settings),
    database: settings.get('dbname') || user,
    user,
    password: settings.get('password'),
    sslMode,
    sslRootCert: rootCert,
    sslCert: settings.get('sslcert') || undefined,
    sslKey: settings.get('sslkey') || undefined,
    readWrite: attrs !== 'any',
    connectTimeoutSeconds: timeout === undefined || timeout === '0' ? undefined : Number(timeout),
    applicationName: settings.get('application_name') ?? 'coffer',
  }
}

function fileText(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    return fail(`${what} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** Reads the password as it is now. */
export function currentPassword(address: Address, source: PasswordSource): string | undefined {
  if (source.file !== undefined) return fileText(source.file, 'password_file').replace(/\r?\n$/, '')
  if (source.env !== undefined)
    return process.env[source.env] ?? fail('the variable that password_env names is not set')
  return address.password
}

/** The TLS options of a mode, with files read as they are now; undefined is none. */
export function tlsOptions(address: Address): ConnectionOptions | undefined {
  const { sslMode, sslRootCert, sslCert, sslKey } = address
  if (sslMode === 'disable') return undefined
  // As in libpq, a root certificate makes "require" check the chain.
  const verifies = sslMode.startsWith('verify') || (sslMode === 'require' && sslRootCert !== undefined)
  return {
    rejectUnauthorized: verifies,
    ...(sslRootCert !== undefined && sslRootCert !== 'system' && { ca: fileText(sslRootCert, 'sslrootcert') }),
    ...(sslCert !== undefined && { cert: fileText(sslCert, 'sslcert') }),
    ...(sslKey !== undefined && { key: fileText(sslKey, 'sslkey') }),
    ...(verifies && sslMode !== 'verify-full' && { checkServerIdentity: () => undefined }),
  }
}
