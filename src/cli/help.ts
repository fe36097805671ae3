// Help texts, made from the declarations.
import type { Command } from './command.ts'
import type { Flag, FlagTable } from './flags.ts'
import { fieldFlags, httpFlags, outputFlags } from './globals.ts'
import { wrap } from './print.ts'
import { childrenOf, groups } from './tree.ts'

const common = ['status', 'login', 'kv', 'read', 'write', 'list', 'delete', 'server', 'unwrap']

const lines = (choices: ReadonlyArray<{ readonly word: string; readonly synopsis: string }>): string => {
  const width = Math.max(0, ...choices.map(({ word }) => word.length))
  return choices.map(({ word, synopsis }) => `    ${word.padEnd(width)}    ${synopsis}`.trimEnd()).join('\n')
}

/** Help of the whole command. */
export function rootHelp(commands: readonly Command[]): string {
  const all = childrenOf(commands, [])
  const first = common.flatMap((word) => all.filter((choice) => choice.word === word))
  const others = all.filter((choice) => !common.includes(choice.word))
  return `Usage: coffer <command> [options] [args]

Common commands:
${lines(first)}

Other commands:
${lines(others)}

"coffer <command> -h" says more. The server is at -address or COFFER_ADDR, http://127.0.0.1:8200 when neither is given.`
}

/** Help of a group: its synopsis and what is in it. */
export function groupHelp(commands: readonly Command[], prefix: readonly string[]): string {
  const name = prefix.join(' ')
  const synopsis = groups[name] ?? ''
  return `Usage: coffer ${name} <subcommand> [options] [args]
${synopsis === '' ? '' : `\n  ${synopsis}.\n`}
Subcommands:
${lines(childrenOf(commands, prefix))}`
}

function flagText(name: string, flag: Flag<unknown>): string {
  const aliases = flag.aliases.map((alias) => `, -${alias}`).join('')
  const value = flag.kind === 'bool' ? '' : `=<${flag.example}>`
  const initial = flag.initial
  const shownDefault =
    (typeof initial === 'string' && initial !== '') || (typeof initial === 'number' && initial > 0) || initial === true
      ? ` Default: ${String(initial)}.`
      : ''
  const env = flag.env === undefined ? '' : ` Environment: COFFER_${flag.env}.`
  const choices = flag.choices.filter((choice) => choice !== '')
  const oneOf =
    choices.length > 0 && !choices.every((choice) => flag.usage.includes(choice))
      ? ` One of ${choices.join(', ')}.`
      : ''
  return `  -${name}${value}${aliases}\n${wrap(flag.usage + oneOf + shownDefault + env, 6)}`
}

function section(title: string, table: FlagTable, hidden: FlagTable = {}): string {
  const shown = Object.entries(table).filter(([name, flag]) => !flag.hidden && !Object.hasOwn(hidden, name))
  if (shown.length === 0) return ''
  return `\n\n${title}:\n\n${shown.map(([name, flag]) => flagText(name, flag)).join('\n\n')}`
}

/** Help of one command: usage, text, its own flags, then the global ones. */
export function commandHelp(command: Command, commands: readonly Command[]): string {
  const usage = ['coffer', ...command.words, '[options]', command.args.usage].filter((part) => part !== '').join(' ')
  const help = command.help === '' ? '' : `\n\n${/^\s/.test(command.help) ? command.help : `  ${command.help}`}`
  const below = childrenOf(commands, command.words)
  const output = { ...(command.field ? fieldFlags : {}), ...outputFlags }
  return (
    `Usage: ${usage}\n\n  ${command.synopsis}.${help}` +
    (below.length > 0 ? `\n\nSubcommands:\n${lines(below)}` : '') +
    section('Command options', command.flags) +
    section('Output options', output, command.flags) +
    (command.online ? section('HTTP options', httpFlags, command.flags) : '')
  )
}
