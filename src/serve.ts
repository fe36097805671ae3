// How `coffer server` runs: one process, the supervisor of several, one of those, a development server, or repairs. What keeps a server
// from starting is told as one message; signals are taken here.
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { CliError, type CliIo, UsageError } from './cli/main.ts'
import { versionLine } from './cli/version.ts'
import { ConfigError, printProblem } from './config/keys.ts'
import { loadConfig, loadTexts, parseConfig } from './config/load.ts'
import { logLevelAliases } from './config/sections.ts'
import type { ServerConfig } from './config/server-config.ts'
import { type Workers, workerCount, workersProblem } from './config/workers.ts'
import { type DevOptions, devConfig, devRootToken } from './dev.ts'
import type { BoundAddress } from './http/bind.ts'
import { type LogOptions, openLog } from './log.ts'
import { type PoolOptions, runSupervisor } from './pool.ts'
import type { RunningServer } from './server.ts'
import type { Failure, Serving } from './workers/protocol.ts'
import { isWorker, takePost } from './workers/worker.ts'

/** Flags of the log; "" takes what the configuration says. */
export interface LogFlags {
  readonly level: string
  readonly format: string
  readonly file: string
}

const logOptions = (config: ServerConfig, { level, format, file }: LogFlags): LogOptions => ({
  level: logLevelAliases[level] ?? (level || config.logLevel),
  format: (format || config.logFormat) === 'json' ? 'json' : 'standard',
  file: file || config.logFile || undefined,
  rotateBytes: config.logRotateBytes,
  rotateSeconds: config.logRotateDurationSeconds,
  rotateMaxFiles: config.logRotateMaxFiles,
})

/** What signals do to a server. */
interface Stoppable {
  stop(): Promise<unknown>
  reload(): unknown
  /** Called for the second signal, before the process ends. */
  kill?(): void
}

/** Runs until a signal ends it; gives the exit code. */
function untilStopped(server: Stoppable, write: (text: string) => void): Promise<number> {
  return new Promise((resolve) => {
    let stopping = false
    const stop = (signal: string) => {
      // The second signal of an impatient person ends it at once.
      if (stopping) {
        server.kill?.()
        process.exit(1)
      }
      stopping = true
      write(`\n${signal}: finishing requests under way, then stopping\n`)
      server.stop().then(
        () => resolve(0),
        (error: unknown) => {
          write(`stop failed: ${String(error)}\n`)
          resolve(1)
        },
      )
    }
    process.on('SIGTERM', () => stop('SIGTERM'))
    process.on('SIGINT', () => stop('SIGINT'))
    process.on('SIGHUP', () => void server.reload())
  })
}

/** What keeps a server from starting, for people: the text and what to do. A bug is thrown again: there the stack says more. */
function startFailure(error: unknown): Failure {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error
  const hint = error instanceof ConfigError ? 'Check it with: coffer operator validate-config FILE' : undefined
  return { message: error.message, hint: (error as Partial<Failure>).hint ?? hint }
}

/** Runs a server; what keeps it from starting ends the command with a message instead of a stack. */
async function orStartFailed(run: () => Promise<number>): Promise<number> {
  try {
    return await run()
  } catch (error) {
    const { message, hint } = startFailure(error)
    throw new CliError(1, message, hint)
  }
}

export interface ServeOptions {
  readonly files: readonly string[]
  /** undefined: what the configuration says. */
  readonly workers: Workers | undefined
  /** Serve repairs only, by one process. */
  readonly recovery: boolean
  readonly logFlags: LogFlags
  readonly io: CliIo
}

/** Runs a server from configuration files: one process, the supervisor of several, or one of those. Gives the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  if (isWorker) return await serveAsWorker(options)
  const { files, workers, recovery, logFlags, io } = options
  const write = (text: string) => void io.stderr.write(text)
  return await orStartFailed(async () => {
    const { config, warnings, texts } = await loadConfig(files)
    for (const problem of warnings) write(`warning: ${printProblem(problem)}\n`)
    if (recovery) return await recover(config, logOptions(config, logFlags), io)
    const wanted = workers ?? config.workers
    const problem = workersProblem(wanted, config.storage)
    if (problem) throw new UsageError(problem)
    const count = workerCount(wanted)
    const log = openLog({ ...logOptions(config, logFlags), shared: count > 1 })
    if (count > 1) return await supervised({ config, texts, count, log }, io)
    const { startServer, sealStand } = await import('./server.ts')
    const running = await startServer(config, log)
    io.stdout.write(announce(config, running.http.addresses, [nextSteps[await sealStand(running.assembly.lifecycle)]]))
    return await untilStopped(running, write)
  })
}

async function supervised(pool: Pick<PoolOptions, 'config' | 'texts' | 'count' | 'log'>, io: CliIo): Promise<number> {
  const { config, count, log } = pool
  const inOrder = await runSupervisor({
    ...pool,
    begun(supervisor) {
      void untilStopped(
        {
          stop: async () => supervisor.stop(),
          kill: () => supervisor.kill(),
          reload() {
            log.reopen()
            supervisor.reload()
          },
        },
        (text) => void io.stderr.write(text),
      )
    },
    serving: ({ addresses, seal }) =>
      void io.stdout.write(announce(config, addresses, [`${count} workers`, nextSteps[seal]])),
  })
  return inOrder ? 0 : 1
}

async function serveAsWorker({ logFlags }: ServeOptions): Promise<number> {
  const post = await takePost().catch(() => undefined)
  // The supervisor has gone before it said a word.
  if (!post) return 1
  try {
    const { config } = loadTexts(post.place.texts)
    const rotatesNot = { rotateBytes: 0, rotateSeconds: 0 }
    const log = openLog({ ...logOptions(config, logFlags), ...rotatesNot, worker: post.place.number })
    await (await import('./worker.ts')).runWorker(post, config, log)
    return 0
  } catch (error) {
    await post.failed(startFailure(error))
    return 1
  }
}

/** Serves repairs until it is stopped. The log is the record of what was done: it cannot be switched off. */
async function recover(config: ServerConfig, logging: LogOptions, io: CliIo): Promise<number> {
  const level = logging.level === 'off' || logging.level === 'error' ? 'warn' : logging.level
  const { startRecoveryServer } = await import('./server.ts')
  const running = await startRecoveryServer(config, openLog({ ...logging, level }))
  const next = 'recovery mode: begin with "coffer operator generate-root -recovery-token -init"'
  io.stdout.write(announce(config, running.http.addresses, [next]))
  return await untilStopped(running, (text) => void io.stderr.write(text))
}

export interface ServeDevOptions {
  readonly dev: DevOptions
  /** Do not write the root token to ~/.vault-token. */
  readonly discardToken: boolean
  readonly logFlags: LogFlags
  readonly io: CliIo
}

const tokenFile = (): string => path.join(os.homedir(), '.vault-token')

/** Runs a development server; gives the exit code. */
export async function serveDev({ dev, discardToken, logFlags, io }: ServeDevOptions): Promise<number> {
  return await orStartFailed(async () => {
    const certificates = dev.tls
      ? await (await import('./dev-tls.ts')).devCertificates(dev.tlsFolder, dev.listenAddress)
      : undefined
    const { config, warnings } = parseConfig(devConfig(dev, certificates), 'development')
    for (const problem of warnings) io.stderr.write(`warning: ${printProblem(problem)}\n`)
    const { startServer } = await import('./server.ts')
    let token = ''
    const running = await startServer(config, openLog(logOptions(config, logFlags)), async (assembly) => {
      token = await devRootToken(assembly, dev)
    })
    if (!discardToken && dev.folder === undefined) writeFileSync(tokenFile(), token, { mode: 0o600 })
    io.stdout.write(announceDev(running, dev, token, certificates?.ca))
    return await untilStopped(running, (text) => void io.stderr.write(text))
  })
}

const nextSteps: Readonly<Record<Serving['seal'], string>> = {
  unsealed: 'unsealed',
  sealed: 'sealed: unseal it with "coffer operator unseal"',
  'not initialised': 'not initialised: do that with "coffer operator init"',
}

const announce = (config: ServerConfig, addresses: readonly BoundAddress[], more: readonly string[]): string =>
  [
    versionLine,
    ...addresses.map(({ type, address }) => `  listening on ${type} ${address}`),
    `  storage ${config.storage?.type ?? 'inmem'}${config.storage?.file ? ` at ${config.storage.file}` : ''}`,
    ...more.map((line) => `  ${line}`),
    '',
  ].join('\n')

function announceDev(running: RunningServer, options: DevOptions, token: string, ca: string | undefined): string {
  const where = options.folder
    ? `${path.resolve(options.folder)} (kept; the root token is in the file root-token there, readable by you alone)`
    : 'in memory, gone when the server stops'
  const program = path.relative(process.cwd(), path.resolve(import.meta.dirname, '../bin/coffer'))
  return `${versionLine}, development server

  Address:    ${running.url}
  Root token: ${token}
  Data:       ${where}${ca ? `\n  CA:         ${ca}` : ''}

  In another terminal:

    export VAULT_ADDR=${running.url}${ca ? `\n    export VAULT_CACERT=${ca}` : ''}
    export VAULT_TOKEN=${token}
    ${program || 'coffer'} kv put secret/hello password=s3cret

  Stop it with Ctrl-C. It is for development: use "coffer server -config=FILE" for anything else.

`
}
