// Commands that start a server or look at its files: handed to the command line, which knows no server.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { bool, type Command, command, list, maybeBool, str, UsageError } from './cli/main.ts'
import { printProblem } from './config/keys.ts'
import { parseConfig, validateConfig } from './config/load.ts'
import { configReference } from './config/reference.ts'
import { logLevelAliases, logLevels } from './config/sections.ts'
import { parseWorkers } from './config/workers.ts'
import type { DevOptions } from './dev.ts'
import { openLog } from './log.ts'
import { metricsReference } from './metrics/reference.ts'
import { migrateCommand } from './migrate.ts'
import type { Engine } from './sdk/engine.ts'
import { type DescribedMount, openApiFor } from './sdk/openapi.ts'
import { serve, serveDev } from './serve.ts'

const server = command({
  words: ['server'],
  synopsis: 'Start a server',
  help: `Starts a server from configuration files:

    $ coffer server -config=/etc/coffer/coffer.hcl

or a development server, ready to use, in memory or with a folder that survives restarts:

    $ coffer server -dev
    $ coffer server -dev -dev-data=./data

With -recovery it serves repairs only: a recovery token is made with "coffer operator generate-root -recovery-token", and with that
token sys/raw reads and writes what is stored. See docs/seal.md.`,
  online: false,
  flags: {
    config: list('Configuration file or folder (HCL or JSON); may be given several times.', { files: true }),
    recovery: bool('Serve repairs only: sys/raw, with a recovery token.'),
    dev: bool('Start a development server: unsealed, with a root token and a KV store at secret/.'),
    'dev-data': str('Folder in which the development server keeps its data, unseal key and root token.', {
      files: true,
    }),
    'dev-root-token-id': str('Text of the development root token.'),
    'dev-listen-address': str('Address the development server listens on (127.0.0.1:8200).'),
    'dev-tls': bool('Serve TLS with a new certificate authority.'),
    'dev-tls-cert-dir': str('Folder for the certificates of -dev-tls.', { files: true }),
    'dev-no-store-token': bool('Do not write the root token to ~/.vault-token.'),
    'exit-on-core-shutdown': maybeBool('Accepted.'),
    'log-level': str('trace, debug, info, warn, error or off.', {
      choices: [...logLevels, 'off', ...Object.keys(logLevelAliases)],
    }),
    'log-format': str('standard or json.', { choices: ['standard', 'json'] }),
    'log-file': str('File or folder to log to.', { files: true }),
    workers: str('Processes that serve together, or "auto" for one each core; `workers` of the configuration.', {
      example: 'int',
    }),
  },
  async run({ flags, io }) {
    const dev = flags.dev || flags['dev-tls'] || flags['dev-data'] !== '' || flags['dev-root-token-id'] !== ''
    const workers = flags.workers === '' ? undefined : parseWorkers(flags.workers)
    if (flags.workers !== '' && workers === undefined)
      throw new UsageError('-workers must be a number from 1 to 256, or "auto"')
    if (!dev && flags.config.length === 0)
      throw new UsageError(
        'A server needs its configuration.',
        'Give -config=FILE, or -dev to try it out. See docs/configuration.md.',
      )
    if (dev && flags.recovery)
      throw new UsageError('a development server has no recovery mode: -recovery needs -config')
    if ((dev || flags.recovery) && workers !== undefined && workers !== 1)
      throw new UsageError(`-workers does not go with ${dev ? '-dev' : '-recovery'}: that is one process`)
    const logFlags = { level: flags['log-level'], format: flags['log-format'], file: flags['log-file'] }
    if (!dev) return await serve({ files: flags.config, workers, recovery: flags.recovery, logFlags, io })
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
    return await serveDev({ dev: options, discardToken: flags['dev-no-store-token'], logFlags, io })
  },
})

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
  const { config } = parseConfig('storage "inmem" {}\nraw_storage_endpoint = true', 'generate')
  const { assembleServer } = await import('./server.ts')
  const { assembly, close } = await assembleServer(config, openLog({ level: 'off', format: 'json' }))
  const document = openApiFor(describedMounts(assembly.engines), { version: config.apiVersion })
  await close()
  return `${JSON.stringify(document, null, 1)}\n`
}

const docs = path.resolve(import.meta.dirname, '../docs')

/** Files made from the code, and what they must hold. */
const generated = async (): Promise<{ file: string; text: string }[]> => [
  { file: path.join(docs, 'configuration.md'), text: configReference() },
  { file: path.join(docs, 'metrics.md'), text: metricsReference() },
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
