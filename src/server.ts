// The composition root of a server process: configuration -> storage -> core -> listeners, and the signals. The only file that sees all rooms.
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { type Assembly, assemble } from './assembly.ts'
import type { DeviceConfig } from './audit/options.ts'
import { checkFormat } from './barrier/format.ts'
import { readStaticKeys, type StaticKey } from './barrier/slots.ts'
import { cofferVersion } from './cli/version.ts'
import type {
  ListenerSettings,
  PostgresSettings,
  SealSettings,
  ServerConfig,
  StorageSettings,
} from './config/server-config.ts'
import type { Handler } from './core/exchange.ts'
import type { ListenerConfig } from './http/limits.ts'
import { type HttpServer, startListeners } from './http/listener.ts'
import type { Log } from './log.ts'
import { memoryStorage } from './storage/memory.ts'
import { checkMigrated } from './storage/migrate.ts'
import { sqliteStorage } from './storage/sqlite.ts'
import type { Storage } from './storage/storage.ts'

export interface RunningServer {
  readonly assembly: Assembly
  readonly http: HttpServer
  /** Address for people: the first listener's. */
  readonly url: string
  /** SIGHUP: certificates, audit files and the log are opened anew. */
  reload(): Promise<void>
  /** Lets requests under way finish, then closes everything in order. */
  stop(): Promise<void>
}

/** Milliseconds that requests under way are given at stop. */
const graceMs = 10_000

/** Opens the store of a stanza, making it if need be; without one, a store in memory. `warn` is told of connections that are lost and found again. */
export const openStorage = async (
  settings: StorageSettings | undefined,
  warn: (message: string) => void,
): Promise<Storage> => {
  if (settings?.type === 'postgresql') return await openPostgres(settings.postgres, warn)
  if (!settings || settings.type === 'inmem' || !settings.file) return memoryStorage()
  mkdirSync(path.dirname(path.resolve(settings.file)), { recursive: true, mode: 0o700 })
  return await sqliteStorage({ path: settings.file })
}

const openPostgres = async (settings: PostgresSettings, warn: (message: string) => void): Promise<Storage> => {
  // Only servers that need the driver load it.
  const { postgresStorage } = await import('./storage/postgres.ts')
  const ms = (seconds: number): number => Math.ceil(seconds * 1000)
  return await postgresStorage({
    url: settings.url.reveal(),
    password: { file: settings.passwordFile, env: settings.passwordEnv },
    schema: settings.schema,
    create: settings.create,
    connectionsMax: settings.maxParallel,
    idleMax: settings.maxIdle,
    connectTimeoutMs: settings.connectTimeoutSeconds === undefined ? undefined : ms(settings.connectTimeoutSeconds),
    statementTimeoutMs: ms(settings.statementTimeoutSeconds),
    lockTimeoutMs: ms(settings.lockTimeoutSeconds),
    waitMs: ms(settings.failoverTimeoutSeconds),
    onTrouble: warn,
  })
}

const staticKeysOf = (seals: readonly SealSettings[]): StaticKey[] =>
  seals.flatMap((seal) =>
    seal.kind === 'static' && !seal.disabled
      ? readStaticKeys({
          kind: 'static',
          currentKey: seal.currentKey.reveal(),
          currentKeyId: seal.currentKeyId,
          ...(seal.previousKey && seal.previousKeyId
            ? { previousKey: seal.previousKey.reveal(), previousKeyId: seal.previousKeyId }
            : {}),
        })
      : [],
  )

/** Devices of the configuration; each gets its salt from a secret of the store at unseal. */
const declaredDevices = (config: ServerConfig): DeviceConfig[] =>
  config.audits.map((audit) => ({
    path: audit.path,
    type: audit.type,
    description: audit.description,
    options: audit.options,
    local: audit.local,
    accessor: `audit_${audit.type}_${createHash('sha256').update(audit.path).digest('hex').slice(0, 8)}`,
    salt: '',
    declared: true,
  }))

/** What the whole server says goes for listeners that say nothing themselves. */
const listenerOf = (config: ServerConfig, listener: ListenerSettings): ListenerConfig => ({
  ...listener,
  maxRequestDurationSeconds: listener.maxRequestDurationSeconds ?? config.defaultMaxRequestDurationSeconds,
  ...(config.enableResponseHeaderHostname
    ? {
        customResponseHeaders: {
          ...listener.customResponseHeaders,
          default: { ...listener.customResponseHeaders?.['default'], 'X-Vault-Hostname': [hostname()] },
        },
      }
    : {}),
})

const requestLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const

/** Logs one line for each finished request, at debug unless `log_requests_level` says otherwise. Nothing is added where that is not logged. */
function logged(handler: Handler, log: Log, wanted: string): Handler {
  const level = requestLevels.find((one) => one === wanted) ?? 'debug'
  if (wanted === 'off' || !log.isLevelEnabled(level)) return handler
  return {
    cors: () => handler.cors(),
    bodyKind: (method, at) => handler.bodyKind(method, at),
    async handle(request) {
      const began = performance.now()
      const response = await handler.handle(request)
      const { id: requestId, method, path: at, namespace, remoteAddress } = request
      const milliseconds = Math.round((performance.now() - began) * 1000) / 1000
      log[level](
        { requestId, method, path: at, namespace, status: response.status, milliseconds, remoteAddress },
        'request',
      )
      return response
    },
  }
}

const urlOf = (config: ServerConfig, http: HttpServer): string => {
  const first = http.addresses[0]
  const listener = config.listeners[0]
  if (!first) return ''
  return first.type === 'unix'
    ? `unix://${first.address}`
    : `${listener?.tls.disable ? 'http' : 'https'}://${first.address}`
}

/**
 * Starts a server; rejects with a clear error when a part cannot be opened, leaving nothing open. `prepare` runs when the store is open and
 * nobody can come in yet.
 */
export async function startServer(
  config: ServerConfig,
  log: Log,
  prepare?: (assembly: Assembly) => Promise<void>,
): Promise<RunningServer> {
  const { assembly, storage, close } = await assembleServer(config, log)
  try {
    await assembly.lifecycle.autoUnseal()
    await prepare?.(assembly)
    const listeners = config.listeners.map((listener) => listenerOf(config, listener))
    const http = await startListeners(listeners, logged(assembly.handler, log, config.logRequestsLevel), { log })
    return running(config, log, storage, assembly, http)
  } catch (error) {
    await close()
    throw error
  }
}

/** Opens the store and assembles a core over it, without a way in. `close` ends both. */
export async function assembleServer(
  config: ServerConfig,
  log: Log,
): Promise<{ assembly: Assembly; storage: Storage; close(): Promise<void> }> {
  const staticKeys = staticKeysOf(config.seals)
  const storage = await openStorage(config.storage, (message) => log.warn({ storage: config.storage?.type }, message))
  try {
    await checkMigrated(storage)
    await checkFormat(storage)
  } catch (error) {
    await storage.close()
    throw error
  }
  const assembly = assemble({
    storage,
    staticKeys,
    log,
    defaultLeaseTtlSeconds: config.defaultLeaseTtlSeconds,
    maxLeaseTtlSeconds: config.maxLeaseTtlSeconds,
    declaredDevices: declaredDevices(config),
    allowApiAudit: config.unsafeAllowApiAuditCreation,
    allowAuditPrefix: config.allowAuditLogPrefixing,
    facts: {
      apiVersion: config.apiVersion,
      cofferVersion,
      clusterName: config.clusterName,
      hostname: hostname(),
      apiAddress: config.apiAddr,
      clusterAddress: config.clusterAddr,
    },
  })
  return {
    assembly,
    storage,
    async close() {
      await assembly.close()
      await storage.close()
    },
  }
}

function running(
  config: ServerConfig,
  log: Log,
  storage: Storage,
  assembly: Assembly,
  http: HttpServer,
): RunningServer {
  if (config.pidFile) writeFileSync(config.pidFile, `${process.pid}\n`, { mode: 0o644 })
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await http.close(graceMs)
    await assembly.close()
    await storage.close()
    if (config.pidFile) rmSync(config.pidFile, { force: true })
  }
  return {
    assembly,
    http,
    url: urlOf(config, http),
    async reload() {
      log.reopen()
      await assembly.reopenAudit()
      await http
        .reload()
        .catch((error: unknown) => log.error({ error: String(error) }, 'certificates were not reloaded'))
      log.info('reloaded')
    },
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
}
