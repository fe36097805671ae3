// Flags as facts: each command declares a table, and parsing, help and completion are read from it. Vault's grammar: one or two
// dashes, `-flag=value` or `-flag value`, a bool alone or `-flag=false`; flags end at the first argument or at `--`.
import { UsageError } from './errors.ts'
import { parseDurationMs } from './go.ts'

/** One flag: `add` folds a text into the value and throws an `Error` that names what is wrong with it. */
export interface Flag<T> {
  readonly kind: 'bool' | 'value'
  readonly usage: string
  readonly initial: T
  readonly example: string
  readonly aliases: readonly string[]
  readonly env: string | undefined
  readonly hidden: boolean
  readonly choices: readonly string[]
  readonly files: boolean
  add(previous: T, text: string): T
}

/** What may be said of a flag besides its type; `env` is the name without its prefix (COFFER_, BAO_, VAULT_). */
export interface FlagOptions<T> {
  readonly initial?: T
  readonly aliases?: readonly string[]
  readonly env?: string
  readonly hidden?: boolean
  readonly choices?: readonly string[]
  readonly files?: boolean
  readonly example?: string
}

export type FlagTable = Readonly<Record<string, Flag<unknown>>>
export type FlagValues<F extends FlagTable> = { readonly [K in keyof F]: F[K] extends Flag<infer T> ? T : never }

const flag = <T>(
  kind: 'bool' | 'value',
  usage: string,
  initial: T,
  example: string,
  options: FlagOptions<T>,
  add: (previous: T, text: string) => T,
): Flag<T> => ({
  kind,
  usage,
  initial: options.initial ?? initial,
  example: options.example ?? example,
  aliases: options.aliases ?? [],
  env: options.env,
  hidden: options.hidden ?? false,
  choices: options.choices ?? [],
  files: options.files ?? false,
  add,
})

const truths = ['1', 't', 'T', 'TRUE', 'true', 'True']
const lies = ['0', 'f', 'F', 'FALSE', 'false', 'False']

/** Reads a boolean as flags and environment variables spell it; undefined for anything else. */
export const parseBool = (text: string): boolean | undefined =>
  truths.includes(text) ? true : lies.includes(text) ? false : undefined

const boolOf = (text: string): boolean => {
  const value = parseBool(text)
  if (value === undefined) throw new Error('must be true or false')
  return value
}

/** A text; with `choices`, one of them in any case. */
export const str = (usage: string, options: FlagOptions<string> = {}): Flag<string> =>
  flag('value', usage, '', 'string', options, (_previous, text) => {
    if (options.choices === undefined) return text
    const choice = text.toLowerCase()
    if (!options.choices.includes(choice)) throw new Error(`must be one of ${options.choices.join(', ')}`)
    return choice
  })

/** A switch, off unless `initial` says so. */
export const bool = (usage: string, options: FlagOptions<boolean> = {}): Flag<boolean> =>
  flag('bool', usage, false, '', options, (_previous, text) => boolOf(text))

/** A switch with a third state: not given. It takes a value as any flag does, or none. */
export const maybeBool = (usage: string, options: FlagOptions<boolean | undefined> = {}): Flag<boolean | undefined> =>
  flag<boolean | undefined>('bool', usage, undefined, '', options, (_previous, text) => boolOf(text))

/** A whole number. */
export const int = (usage: string, options: FlagOptions<number> = {}): Flag<number> =>
  flag('value', usage, 0, 'int', options, (_previous, text) => {
    if (!/^[+-]?\d{1,15}$/.test(text)) throw new Error('must be a whole number')
    return Number(text)
  })

/** A duration in milliseconds, written "30s", "1h30m", "30d" or as seconds; "system" is -1000. */
export const duration = (usage: string, options: FlagOptions<number> = {}): Flag<number> =>
  flag('value', usage, 0, 'duration', options, (_previous, text) => {
    const ms = parseDurationMs(text)
    if (ms === undefined) throw new Error('must be a duration such as 30s, 5m or 1h30m')
    return ms
  })

/** A flag that may be repeated. */
export const list = (usage: string, options: FlagOptions<readonly string[]> = {}): Flag<readonly string[]> =>
  flag<readonly string[]>('value', usage, [], 'string', options, (previous, text) => [...previous, text.trim()])

/** key=value, repeatable; entries in the order given. */
export const pairs = (
  usage: string,
  options: FlagOptions<ReadonlyMap<string, string>> = {},
): Flag<ReadonlyMap<string, string>> =>
  flag<ReadonlyMap<string, string>>('value', usage, new Map(), 'key=value', options, (previous, text) => {
    const at = text.indexOf('=')
    if (at < 0) throw new Error('must be key=value')
    return new Map([...previous, [text.slice(0, at), text.slice(at + 1)]])
  })

/** What parsing found: values by flag name (defaults filled in), which names were given, and the arguments. */
export interface Parsed {
  readonly values: Readonly<Record<string, unknown>>
  readonly given: ReadonlySet<string>
  readonly args: readonly string[]
}

/** Finds a flag by its name or an alias; gives the declared name too. */
export function findFlag(table: FlagTable, name: string): { name: string; flag: Flag<unknown> } | undefined {
  const direct = Object.hasOwn(table, name) ? table[name] : undefined
  if (direct) return { name, flag: direct }
  for (const [declared, candidate] of Object.entries(table))
    if (candidate.aliases.includes(name)) return { name: declared, flag: candidate }
  return undefined
}

/** Splits `-name=value`; undefined for what is no flag (`-` alone is an argument). */
export function splitFlag(text: string): { name: string; value: string | undefined } | undefined {
  const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(text)
  return match ? { name: match[1] ?? '', value: match[2] } : undefined
}

function fold(values: Record<string, unknown>, name: string, declared: Flag<unknown>, text: string): void {
  try {
    values[name] = declared.add(values[name], text)
  } catch (error) {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -${name}: ${(error as Error).message}`)
  }
}

/**
 * Parses flags up to the first argument. Flags of `anywhere` (a table of names) are taken behind arguments too, as -format is.
 * Throws `UsageError` for an unknown flag, a missing value or a bad one.
 */
export function parseFlags(table: FlagTable, argv: readonly string[], anywhere: readonly string[] = []): Parsed {
  const values: Record<string, unknown> = {}
  for (const [name, declared] of Object.entries(table)) values[name] = declared.initial
  const given = new Set<string>()
  const args: string[] = []
  let open = true
  for (let i = 0; i < argv.length; i++) {
    const text = argv[i] ?? ''
    const split = splitFlag(text)
    if (text === '--' && open) {
      args.push(...argv.slice(i + 1))
      break
    }
    const found = split && findFlag(table, split.name)
    if (!split || (!open && !(found && anywhere.includes(found.name)))) {
      open = false
      args.push(text)
      continue
    }
    if (!found) throw new UsageError(`flag provided but not defined: -${split.name}`)
    let value = split.value
    if (value === undefined && found.flag.kind === 'bool') value = 'true'
    if (value === undefined) {
      value = argv[++i]
      if (value === undefined) throw new UsageError(`flag needs an argument: -${split.name}`)
    }
    fold(values, found.name, found.flag, value)
    given.add(found.name)
  }
  return { values, given, args }
}
