// The composition root of a server process: configuration -> storage -> core -> listeners, and the signals. The only file that sees all rooms.
import cluster from 'node:cluster'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { type Assembly, assemble } from './assembly.ts'
import type { DeviceConfig } from './audit/options.ts'
import { checkFormat } from './barrier/format.ts'
import type { Lifecycle } from './barrier/lifecycle.ts'
import type { Peers } from './barrier/peers.ts'
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
import { instrumentsOf } from './metrics/instruments.ts'
import { metricsRoom } from './metrics/room.ts'
import { recoveryServer } from './recovery.ts'
import { memoryStorage } from './storage/memory.ts'
import type { StorageMeter } from './storage/meter.ts'
import { checkMigrated } from './storage/migrate.ts'
import { sqliteStorage } from './storage/sqlite.ts'
import type { Storage } from './storage/storage.ts'
import type { ServerFacts } from './system/system.ts'
import { metricsOptionsOf } from './telemetry.ts'

export interface RunningServer {
  readonly http: HttpServer
  /** Address for people: the first listener's. */
  readonly url: string
  /** SIGHUP: certificates, audit files and the log are opened anew. */
  reload(): Promise<void>
  /** Lets requests under way finish, then closes everything in order. */
  stop(): Promise<void>
}

/** What a server is given that is one of several processes on the same listeners. */
export interface Siblings {
  readonly peers: Peers
  /** Called before the server looks at its seals: from then on the peers may call. */
  meet(lifecycle: Lifecycle): void
}

/** Milliseconds that requests under way are given at stop. */
const graceMs = 10_000

/** What a store tells while it works: troubles (PostgreSQL), and what it measures. */
export interface StorageEars {
  warn(message: string): void
  readonly meter?: StorageMeter | undefined
}

/** Opens the store of a stanza, making it if need be; without one, a store in memory. */
export const openStorage = async (settings: StorageSettings | undefined, ears: StorageEars): Promise<Storage> => {
  const { meter } = ears
  if (settings?.type === 'postgresql') return await openPostgres(settings.postgres, ears)
  if (!settings || settings.type === 'inmem' || !settings.file) return memoryStorage({ meter })
  mkdirSync(path.dirname(path.resolve(settings.file)), { recursive: true, mode: 0o700 })
  return await sqliteStorage({ path: settings.file, meter })
}

/** Opens the store of a server; one that is not to be served is refused. */
const openServed = async (config: ServerConfig, log: Log, meter?: StorageMeter): Promise<Storage> => {
  const warn = (message: string): void => log.warn({ storage: config.storage?.type }, message)
  const storage = await openStorage(config.storage, { warn, meter })
  try {
    await checkMigrated(storage)
    await checkFormat(storage)
    return storage
  } catch (error) {
    await storage.close()
    throw error
  }
}

const openPostgres = async (settings: PostgresSettings, { warn, meter }: StorageEars): Promise<Storage> => {
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
    meter,
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

const factsOf = (config: ServerConfig): ServerFacts => ({
  apiVersion: config.apiVersion,
  cofferVersion,
  clusterName: config.clusterName,
  hostname: hostname(),
  nodeName: config.nodeName || hostname(),
  apiAddress: config.apiAddr,
  clusterAddress: config.clusterAddr,
})

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
  siblings?: Siblings,
): Promise<RunningServer & { readonly assembly: Assembly }> {
  const { assembly, close } = await assembleServer(config, log, siblings?.peers)
  try {
    siblings?.meet(assembly.lifecycle)
    await assembly.unsealItself()
    await prepare?.(assembly)
    const server = await serving(config, log, { ...assembly, close }, siblings !== undefined)
    void assembly.join()
    return { assembly, ...server }
  } catch (error) {
    await close()
    throw error
  }
}

/** Starts a server in recovery mode; rejects when there is no initialised store to recover, leaving nothing behind. */
export async function startRecoveryServer(config: ServerConfig, log: Log): Promise<RunningServer> {
  const { type = 'inmem', file } = config.storage ?? {}
  if (type === 'inmem') throw new Error('recovery mode needs a store that lasts: the configuration names none')
  if (file && !existsSync(file)) throw new Error(`there is no store at ${file}: nothing to recover`)
  const storage = await openServed(config, log)
  const { recovery, handler } = recoveryServer({
    storage,
    staticKeys: staticKeysOf(config.seals),
    facts: factsOf(config),
    log,
  })
  const close = async () => {
    await recovery.close()
    await storage.close()
  }
  try {
    if (!(await recovery.initialized())) throw new Error('the store is not initialised: nothing to recover')
    return await serving(config, log, { handler, close, reopenAudit: async () => undefined })
  } catch (error) {
    await close()
    throw error
  }
}

/** How the seal stands, for people. */
export const sealStand = async (lifecycle: Lifecycle): Promise<'unsealed' | 'sealed' | 'not initialised'> =>
  !lifecycle.sealed ? 'unsealed' : (await lifecycle.initialized()) ? 'sealed' : 'not initialised'

/** Opens the store and assembles a core over it, without a way in. `close` ends both. */
export async function assembleServer(
  config: ServerConfig,
  log: Log,
  peers?: Peers,
): Promise<{ assembly: Assembly; close(): Promise<void> }> {
  const staticKeys = staticKeysOf(config.seals)
  const room = metricsRoom(metricsOptionsOf(config.telemetry, hostname(), cluster.worker?.id), (facts, message) =>
    log.warn(facts, message),
  )
  const instruments = instrumentsOf(room)
  const storage = await openServed(config, log, instruments.storage).catch((error: unknown) => {
    room.close()
    throw error
  })
  const assembly = assemble({
    storage,
    metrics: { room, instruments },
    staticKeys,
    peers,
    log,
    defaultLeaseTtlSeconds: config.defaultLeaseTtlSeconds,
    maxLeaseTtlSeconds: config.maxLeaseTtlSeconds,
    declaredDevices: declaredDevices(config),
    allowApiAudit: config.unsafeAllowApiAuditCreation,
    allowAuditPrefix: config.allowAuditLogPrefixing,
    rawStorage: config.rawStorageEndpoint,
    facts: factsOf(config),
  })
  return {
    assembly,
    async close() {
      await assembly.close()
      await storage.close()
    },
  }
}

/** What answers, and how it is ended. */
interface Served {
  readonly handler: Handler
  reopenAudit(): Promise<void>
  close(): Promise<void>
}

/** Opens the listeners; `shared` with other processes. */
async function serving(config: ServerConfig, log: Log, served: Served, shared = false): Promise<RunningServer> {
  const listeners = config.listeners.map((listener) => listenerOf(config, listener))
  const http = await startListeners(listeners, logged(served.handler, log, config.logRequestsLevel), { log, shared })
  if (config.pidFile) writeFileSync(config.pidFile, `${process.pid}\n`, { mode: 0o644 })
  let stopping: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    await http.close(graceMs)
    await served.close()
    if (config.pidFile) rmSync(config.pidFile, { force: true })
  }
  return {
    http,
    url: urlOf(config, http),
    async reload() {
      log.reopen()
      await served.reopenAudit()
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
