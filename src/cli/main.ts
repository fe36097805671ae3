// The command line: finds the command in the table, parses flags, runs it, turns what went wrong into a message and an exit
// code. It knows no server; commands that start one are handed in.

import { variable, variableName } from '../lib/environment.ts'
import { type Client, makeClient } from './client.ts'
import type { Command, Context } from './command.ts'
import { auditCommands } from './commands/audit.ts'
import { auditVerify } from './commands/audit-verify.ts'
import { completionCommands, installText } from './commands/completion.ts'
import { generateRootCommands } from './commands/generate-root.ts'
import { genericCommands } from './commands/generic.ts'
import { kvCommands } from './commands/kv.ts'
import { kvVersionCommands } from './commands/kv-versions.ts'
import { leaseCommands } from './commands/lease.ts'
import { loginCommands } from './commands/login.ts'
import { miscCommands } from './commands/misc.ts'
import { mountCommands } from './commands/mounts.ts'
import { namespaceCommands } from './commands/namespace.ts'
import { operatorCommands } from './commands/operator.ts'
import { policyCommands } from './commands/policy.ts'
import { rekeyCommands } from './commands/rekey.ts'
import { slotCommands } from './commands/slots.ts'
import { snapshotCommands } from './commands/snapshot.ts'
import { statusCommands } from './commands/status.ts'
import { tokenCommands } from './commands/token.ts'
import { upgradeCommands } from './commands/upgrade.ts'
import { parseData } from './data.ts'
import { AnswerError, CliError, ConnectError, Preview, UsageError } from './errors.ts'
import { findFlag, type Parsed, parseBool, parseFlags, splitFlag } from './flags.ts'
import { anywhereFlags, type GlobalFlags, globalFlags } from './globals.ts'
import { commandHelp, groupHelp, rootHelp } from './help.ts'
import { type CliIo, readAll } from './io.ts'
import { type Format, makeUi, type Ui } from './render.ts'
import { settingsOf } from './settings.ts'
import { readToken } from './token-file.ts'
import { childrenOf, findCommand, flagsOf, knownPrefix, suggestions } from './tree.ts'
import { apiVersionLine } from './version.ts'

export { type ArgsSpec, type Command, type CommandSpec, type Context, command, noArgs, oneArg } from './command.ts'
export { CliError, UsageError } from './errors.ts'
export { bool, duration, int, list, maybeBool, pairs, str } from './flags.ts'
export { type CliIo, processIo } from './io.ts'

/** Commands that speak to a server, and those that need none. */
export const clientCommands: readonly Command[] = [
  ...statusCommands,
  ...genericCommands,
  ...kvCommands,
  ...kvVersionCommands,
  ...loginCommands,
  ...tokenCommands,
  ...policyCommands,
  ...mountCommands,
  ...auditCommands,
  auditVerify,
  ...namespaceCommands,
  ...leaseCommands,
  ...operatorCommands,
  ...rekeyCommands,
  ...generateRootCommands,
  ...slotCommands,
  ...snapshotCommands,
  ...upgradeCommands,
  ...miscCommands,
  ...completionCommands,
]

// A command that does not exist: what shells answer, and Vault too.
const unknownCommandCode = 127

const helpWords = ['-h', '-help', '--help']
const versionWords = ['-v', '-version', '--version']

interface Split {
  /** Global flags in front of the words: `coffer -address=… status`. */
  readonly lead: readonly string[]
  readonly tail: readonly string[]
  /** The texts of the tail before its first flag: the words of a command and maybe arguments. */
  readonly words: readonly string[]
}

function splitArgv(argv: readonly string[]): Split {
  let i = 0
  while (i < argv.length) {
    const split = splitFlag(argv[i] ?? '')
    const found = split && findFlag(globalFlags, split.name)
    if (!split || !found) break
    i += split.value === undefined && found.flag.kind === 'value' ? 2 : 1
  }
  const tail = argv.slice(i)
  const end = tail.findIndex((text) => text.startsWith('-'))
  return { lead: argv.slice(0, i), tail, words: end < 0 ? tail : tail.slice(0, end) }
}

const asksHelp = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).some((text) => helpWords.includes(text))
}

/** Help for the words as far as they are known. */
function helpFor(commands: readonly Command[], words: readonly string[]): string {
  const command = findCommand(commands, words)
  const known = knownPrefix(commands, words)
  if (command && command.words.length >= known.length) return commandHelp(command, commands)
  return known.length === 0 ? rootHelp(commands) : groupHelp(commands, known)
}

function unknownCommand(commands: readonly Command[], words: readonly string[], io: CliIo): number {
  const known = knownPrefix(commands, words)
  const typed = words[known.length]
  if (typed === undefined) {
    io.stderr.write(`${helpFor(commands, words)}\n`)
    return known.length === 0 ? unknownCommandCode : 1
  }
  const near = suggestions(
    typed,
    childrenOf(commands, known).map(({ word }) => word),
  )
  const full = ['coffer', ...known].join(' ')
  const hint = near.length > 0 ? `Did you mean ${near.map((word) => `"${full} ${word}"`).join(' or ')}?\n` : ''
  io.stderr.write(`Unknown command: ${full} ${typed}\n${hint}\n${helpFor(commands, known)}\n`)
  return known.length === 0 ? unknownCommandCode : 1
}

function formatOf(parsed: Parsed, command: Command, io: CliIo): Format {
  const raw = parsed.given.has('format')
    ? String(parsed.values['format'])
    : (variable(io.env, 'FORMAT') ?? 'table').toLowerCase()
  const format = raw === 'yml' ? 'yaml' : raw === 'pretty' ? 'table' : raw
  if (format === 'raw' && !command.raw) throw new UsageError('This command does not support the -format=raw option.')
  if (format !== 'table' && format !== 'json' && format !== 'yaml' && format !== 'raw')
    throw new UsageError(
      `Invalid output format: ${raw}`,
      `It comes from ${variableName(io.env, 'FORMAT') ?? '-format'}; table, json and yaml are known.`,
    )
  return format
}

const detailedOf = (parsed: Parsed, io: CliIo): boolean =>
  parsed.given.has('detailed')
    ? parsed.values['detailed'] === true
    : parseBool(variable(io.env, 'DETAILED') ?? '') === true

function checkArgs(command: Command, args: readonly string[], ui: Ui): void {
  const { min, max } = command.args
  const expected = max === min ? `${min}` : max === Number.POSITIVE_INFINITY ? `at least ${min}` : `${min}-${max}`
  const stray = args.filter((text) => /^--?[A-Za-z]/.test(text) && !text.slice(1).includes(' '))
  if (stray.length > 0 && ui.format === 'table')
    ui.warn(`Flags go before arguments. Taken as arguments: ${stray.map((text) => text.split('=', 1)[0]).join(', ')}`)
  if (args.length < min) throw new UsageError(`Not enough arguments (expected ${expected}, got ${args.length})`)
  if (args.length > max) throw new UsageError(`Too many arguments (expected ${expected}, got ${args.length})`)
}

function contextOf(parsed: Parsed, io: CliIo, ui: Ui, commands: readonly Command[]): Context {
  const flags = { ...defaultGlobals, ...parsed.values } as unknown as GlobalFlags
  const silent = flags['non-interactive']
  const stdin = (): Promise<string> => (silent ? Promise.resolve('') : readAll(io))
  let client: Promise<Client> | undefined
  const connect = async (withToken: boolean): Promise<Client> => {
    const settings = settingsOf(flags, parsed.given, io)
    const token = withToken ? (variable(io.env, 'TOKEN') ?? (await readToken(io))) : ''
    if (/[^\x21-\x7e]/.test(token))
      throw new UsageError(
        'the token holds characters that a token cannot have',
        'Look for spaces or line ends in COFFER_TOKEN or the token file.',
      )
    return makeClient(settings, token, io)
  }
  return {
    args: parsed.args,
    flags: parsed.values as Context['flags'],
    given: parsed.given,
    globals: flags,
    io,
    ui,
    commands,
    client: () => (client ??= connect(true)),
    clientWithoutToken: () => connect(false),
    stdin,
    data: (args) => parseData(args, stdin),
  }
}

const defaultGlobals: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(globalFlags).map(([name, flag]) => [name, flag.initial]),
)

/** Prints what ended a command and gives the exit code. Only what is known is printed; anything else is a bug and is thrown. */
function report(error: unknown, ui: Ui): number {
  if (error instanceof Preview) {
    ui.out(error.message)
    return 0
  }
  if (error instanceof CliError || error instanceof AnswerError || error instanceof ConnectError) {
    ui.error(error.message)
    if (error.hint !== undefined) ui.error(`\n${error.hint}`)
    return error instanceof CliError ? error.code : 2
  }
  throw error
}

async function runCommand(
  command: Command,
  argv: readonly string[],
  io: CliIo,
  commands: readonly Command[],
): Promise<number> {
  const plainUi = makeUi(io, { format: 'table', detailed: false, yaml: undefined })
  try {
    const table = flagsOf(command)
    const parsed = parseFlags(table, argv, anywhereFlags)
    const format = formatOf(parsed, command, io)
    const yaml = format === 'yaml' ? (await import('./yaml.ts')).yamlText : undefined
    const ui = makeUi(io, { format, detailed: detailedOf(parsed, io), yaml })
    checkArgs(command, parsed.args, ui)
    const context = contextOf(parsed, io, ui, commands)
    const code = await command.run(context)
    const { 'output-curl-string': curl, 'output-policy': policy } = context.globals
    if (code === 0 && command.online && (curl || policy))
      throw new UsageError('this command sends no request that could be shown')
    return code
  } catch (error) {
    if (error instanceof UsageError && error.hint === undefined && /^(flag |Not enough|Too many)/.test(error.message)) {
      plainUi.error(`${error.message}\n\nSee "coffer ${command.words.join(' ')} -h".`)
      return 1
    }
    return report(error, plainUi)
  }
}

/**
 * Runs the command line and gives the exit code: 0 done, 1 usage or local error, 2 the server said no or nothing is there,
 * 127 no such command. `extra` are commands of other rooms; one with the words of a command here takes its place.
 */
export async function runCli(argv: readonly string[], io: CliIo, extra: readonly Command[] = []): Promise<number> {
  const taken = new Set(extra.map((command) => command.words.join(' ')))
  const commands = [...clientCommands.filter((command) => !taken.has(command.words.join(' '))), ...extra]
  const [first] = argv
  if (argv.length === 1 && versionWords.includes(first ?? '')) {
    io.stdout.write(`${apiVersionLine}\n`)
    return 0
  }
  if (first === '-autocomplete-install' || first === '-autocomplete-uninstall') {
    io.stdout.write(`${installText}\n`)
    return 0
  }
  if (first === 'help') {
    io.stdout.write(`${helpFor(commands, argv.slice(1))}\n`)
    return 0
  }
  const { lead, tail, words } = splitArgv(argv)
  if (asksHelp(argv)) {
    io.stdout.write(`${helpFor(commands, words)}\n`)
    return 0
  }
  const command = findCommand(commands, words)
  if (command) return runCommand(command, [...lead, ...tail.slice(command.words.length)], io, commands)
  const stray = words.length === 0 ? tail[0] : undefined
  if (stray !== undefined) {
    io.stderr.write(`Unknown flag before the command: ${stray.split('=', 1)[0]}\n\n${rootHelp(commands)}\n`)
    return unknownCommandCode
  }
  return unknownCommand(commands, words, io)
}
