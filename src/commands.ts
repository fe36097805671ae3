// Commands that start a server or look at its files: handed to the command line, which knows no server.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { bool, type Command, command, list, maybeBool, str, UsageError } from './cli/main.ts'
import { versionLine } from './cli/version.ts'
import { ConfigError, printProblem } from './config/keys.ts'
import { loadConfig, parseConfig, validateConfig } from './config/load.ts'
import { configReference } from './config/reference.ts'
import type { ServerConfig } from './config/server-config.ts'
import { type DevOptions, devConfig, devRootToken } from './dev.ts'
import { type LogOptions, openLog } from './log.ts'
import { migrateCommand } from './migrate.ts'
import type { Engine } from './sdk/engine.ts'
import { type DescribedMount, openApiFor } from './sdk/openapi.ts'
import { assembleServer, type RunningServer, startServer } from './server.ts'

const logOptions = (config: ServerConfig, level: string, format: string, file: string): LogOptions => ({
  level: level || config.logLevel,
  format: (format || config.logFormat) === 'json' ? 'json' : 'standard',
  file: file || config.logFile || undefined,
  rotateBytes: config.logRotateBytes,
  rotateSeconds: config.logRotateDurationSeconds,
  rotateMaxFiles: config.logRotateMaxFiles,
})

/** Runs until a signal ends it; gives the exit code. */
function untilStopped(server: RunningServer, write: (text: string) => void): Promise<number> {
  return new Promise((resolve) => {
    let stopping = false
    const stop = (signal: string) => {
      // The second signal of an impatient person ends it at once.
      if (stopping) process.exit(1)
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

const tokenFile = (): string => path.join(os.homedir(), '.vault-token')

const server = command({
  words: ['server'],
  synopsis: 'Start a server',
  help: `Starts a server from configuration files:

    $ coffer server -config=/etc/coffer/coffer.hcl

or a development server, ready to use, in memory or with a folder that survives restarts:

    $ coffer server -dev
    $ coffer server -dev -dev-data=./data`,
  online: false,
  flags: {
    config: list('Configuration file or folder (HCL or JSON); may be given several times.'),
    dev: bool('Start a development server: unsealed, with a root token and a KV store at secret/.'),
    'dev-data': str('Folder in which the development server keeps its data, unseal key and root token.'),
    'dev-root-token-id': str('Text of the development root token.'),
    'dev-listen-address': str('Address the development server listens on (127.0.0.1:8200).'),
    'dev-tls': bool('Serve TLS with a new certificate authority.'),
    'dev-tls-cert-dir': str('Folder for the certificates of -dev-tls.'),
    'dev-no-store-token': bool('Do not write the root token to ~/.vault-token.'),
    'exit-on-core-shutdown': maybeBool('Accepted.'),
    'log-level': str('trace, debug, info, warn, error or off.'),
    'log-format': str('standard or json.'),
    'log-file': str('File or folder to log to.'),
  },
  async run({ flags, io }) {
    const print = (text: string) => void io.stdout.write(text)
    const warn = (text: string) => void io.stderr.write(text)
    const dev = flags.dev || flags['dev-tls'] || flags['dev-data'] !== '' || flags['dev-root-token-id'] !== ''
    if (!dev && flags.config.length === 0)
      throw new UsageError(
        'A server needs its configuration.',
        'Give -config=FILE, or -dev to try it out. See docs/configuration.md.',
      )
    const options: DevOptions = {
      folder: flags['dev-data'] || undefined,
      rootTokenId:
        flags['dev-root-token-id'] || io.env['VAULT_DEV_ROOT_TOKEN_ID'] || io.env['BAO_DEV_ROOT_TOKEN_ID'] || undefined,
      listenAddress:
        flags['dev-listen-address'] ||
        io.env['VAULT_DEV_LISTEN_ADDRESS'] ||
        io.env['BAO_DEV_LISTEN_ADDRESS'] ||
        '127.0.0.1:8200',
      tls: flags['dev-tls'],
      tlsFolder: flags['dev-tls-cert-dir'] || undefined,
    }
    try {
      const certificates = options.tls
        ? await (await import('./dev-tls.ts')).devCertificates(options.tlsFolder, options.listenAddress)
        : undefined
      const loaded = dev ? parseConfig(devConfig(options, certificates), 'development') : await loadConfig(flags.config)
      for (const problem of loaded.warnings) warn(`warning: ${printProblem(problem)}\n`)
      const { config } = loaded
      const log = openLog(logOptions(config, flags['log-level'], flags['log-format'], flags['log-file']))
      let token = ''
      const running = await startServer(config, log, async (assembly) => {
        if (dev) token = await devRootToken(assembly, options)
      })
      const keepsToken = !flags['dev-no-store-token'] && options.folder === undefined
      if (dev && keepsToken) writeFileSync(tokenFile(), token, { mode: 0o600 })
      print(dev ? announceDev(running, options, token, certificates?.ca) : await announce(running, config))
      return await untilStopped(running, warn)
    } catch (error) {
      if (error instanceof ConfigError)
        throw new UsageError(error.message, 'Check it with: coffer operator validate-config FILE')
      throw error
    }
  },
})

const nextStep = async ({ lifecycle }: RunningServer['assembly']): Promise<string> => {
  if (!lifecycle.sealed) return 'unsealed'
  return (await lifecycle.initialized())
    ? 'sealed: unseal it with "coffer operator unseal"'
    : 'not initialised: do that with "coffer operator init"'
}

const announce = async (running: RunningServer, config: ServerConfig): Promise<string> =>
  [
    versionLine,
    ...running.http.addresses.map(({ type, address }) => `  listening on ${type} ${address}`),
    `  storage ${config.storage?.type ?? 'inmem'}${config.storage?.file ? ` at ${config.storage.file}` : ''}`,
    `  ${await nextStep(running.assembly)}`,
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

const validate = command({
  words: ['operator', 'validate-config'],
  synopsis: 'Check configuration files without starting anything',
  args: { usage: 'FILE|DIR…', min: 1, max: Number.POSITIVE_INFINITY, complete: 'files' },
  online: false,
  async run({ args, io }) {
    const { errors, warnings } = await validateConfig(args)
    for (const problem of warnings) io.stderr.write(`warning: ${printProblem(problem)}\n`)
    for (const problem of errors) io.stderr.write(`error: ${printProblem(problem)}\n`)
    io.stdout.write(
      errors.length > 0 ? `${errors.length} error${errors.length > 1 ? 's' : ''}\n` : 'The configuration is valid.\n',
    )
    return errors.length > 0 ? 1 : 0
  },
})

/** Every engine at the path where people expect it; one with several variants has a mount for each. */
function describedMounts(engines: readonly Engine[]): DescribedMount[] {
  return engines.flatMap((engine) =>
    Object.entries(engine.variants).map(([name, variant]) => {
      const place = engine.type === 'system' ? 'sys' : name === 'only' ? engine.type : `${engine.type}-${name}`
      return { path: engine.kind === 'auth' ? `auth/${place}/` : `${place}/`, engine, variant }
    }),
  )
}

/** The OpenAPI document of all there is, from a core that never serves. */
async function openApiText(): Promise<string> {
  const { config } = parseConfig('storage "inmem" {}', 'generate')
  const { assembly, close } = await assembleServer(config, openLog({ level: 'off', format: 'json' }))
  const document = openApiFor(describedMounts(assembly.engines), { version: config.apiVersion })
  await close()
  return `${JSON.stringify(document, null, 1)}\n`
}

const docs = path.resolve(import.meta.dirname, '../docs')

/** Files made from the code, and what they must hold. */
const generated = async (): Promise<{ file: string; text: string }[]> => [
  { file: path.join(docs, 'configuration.md'), text: configReference() },
  { file: path.join(docs, 'openapi.json'), text: await openApiText() },
]

const generate = command({
  words: ['generate'],
  synopsis: 'Write the files that are made from the code (for developers)',
  online: false,
  hidden: true,
  flags: { check: bool('Only say which are stale.') },
  async run({ flags, io }) {
    let stale = 0
    for (const { file, text } of await generated()) {
      if (!flags.check) writeFileSync(file, text)
      else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
        io.stderr.write(`${path.basename(file)} is stale: run "npm run generate"\n`)
        stale++
      }
    }
    return stale > 0 ? 1 : 0
  },
})

export const serverCommands: readonly Command[] = [server, validate, migrateCommand, generate]
