// How one key of the configuration is declared, read and reported. A declaration is all there is to say about a key: decoding,
// warnings and docs/configuration.md are read from it. Messages never quote a value: it may be a secret.
import { parseDurationSeconds } from '../lib/duration.ts'
import { HclError, type HclItem, type HclValue, type Position, plainObject, plainValue } from '../lib/hcl.ts'
import { Secret } from './secret.ts'

/** Something to say about a configuration; line 0 concerns the whole file, an empty file name the whole configuration. */
export interface ConfigProblem {
  readonly file: string
  readonly line: number
  readonly message: string
}

/** The configuration cannot be used; `problems` holds everything found, `message` one line for each. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]
  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(printProblem).join('\n'))
    this.problems = problems
  }
}

/** Prints "FILE:LINE: message". */
export const printProblem = ({ file, line, message }: ConfigProblem): string =>
  [file, line > 0 ? String(line) : '', ` ${message}`]
    .filter((part) => part !== '')
    .join(':')
    .trimStart()

/** Collects what is wrong (`errors`) and what is odd (`warnings`) in one file. */
export interface Report {
  readonly file: string
  readonly errors: ConfigProblem[]
  readonly warnings: ConfigProblem[]
  error(message: string, at: Position): void
  warn(message: string, at: Position): void
  /** Runs `read`; what it throws as `HclError` becomes an error, and the answer is undefined. */
  attempt<T>(read: () => T): T | undefined
}

/** Starts a report on a file. */
export function reportOn(file: string): Report {
  const errors: ConfigProblem[] = []
  const warnings: ConfigProblem[] = []
  const error = (message: string, at: Position): void => {
    errors.push({ file, line: at.line, message })
  }
  return {
    file,
    errors,
    warnings,
    error,
    warn(message, at) {
      warnings.push({ file, line: at.line, message })
    },
    attempt(read) {
      try {
        return read()
      } catch (thrown) {
        if (!(thrown instanceof HclError)) throw thrown
        error(thrown.problem, thrown)
        return undefined
      }
    },
  }
}

/** One key: `fallback` is the value without it; `shown` says so in the documentation where the value itself does not. */
export interface Key<T> {
  readonly name: string
  readonly kind: string
  readonly help: string
  readonly fallback: T
  readonly shown: string
  /** Reads the value; throws `HclError` at it. */
  read(value: HclValue, name: string): T
}
export type Table = Readonly<Record<string, Key<unknown>>>
/** Values of a table by field; a field without a key in the text has its fallback. */
export type Values<T extends Table> = { readonly [F in keyof T]: T[F] extends Key<infer V> ? V : never }

/** A stanza, or the top level: its keys, and the keys that are taken without any effect, with the reason. */
export interface Section<T extends Table = Table> {
  readonly title: string
  readonly help: string
  readonly keys: T
  readonly ignored: Readonly<Record<string, string>>
}

const fail = (message: string, value: HclValue): never => {
  throw new HclError(message, value)
}

const readText = (value: HclValue, name: string): string =>
  value.kind === 'string' ? value.value : value.kind === 'number' ? value.text : fail(`${name} must be a text`, value)

const trueWords = ['true', '1', 't', 'yes', 'on']
const falseWords = ['false', '0', 'f', 'no', 'off', '']

/** Reads a boolean as Vault does: `true`, "true", 1, "1". */
export function readBool(value: HclValue, name: string): boolean {
  if (value.kind === 'bool') return value.value
  const word = value.kind === 'string' ? value.value.toLowerCase() : value.kind === 'number' ? value.text : undefined
  if (word !== undefined && trueWords.includes(word)) return true
  if (word !== undefined && falseWords.includes(word)) return false
  return fail(`${name} must be true or false`, value)
}

function readWhole(value: HclValue, name: string, least: number): number {
  const number =
    value.kind === 'number'
      ? value.value
      : value.kind === 'string' && /^-?\d+$/.test(value.value)
        ? Number(value.value)
        : Number.NaN
  if (!Number.isSafeInteger(number)) return fail(`${name} must be a whole number`, value)
  return number < least ? fail(`${name} must not be less than ${least}`, value) : number
}

/** Reads a list of texts: a list, or one text with commas. */
export function readTexts(value: HclValue, name: string): string[] {
  if (value.kind === 'list') return value.items.map((one) => readText(one, `an entry of ${name}`))
  return readText(value, name)
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

type Fallback<T, F> = F extends undefined ? T | undefined : T
const declare = <T, F extends T | undefined>(
  kind: string,
  read: (value: HclValue, name: string) => T,
  name: string,
  help: string,
  fallback: F,
  shown: string | undefined,
): Key<Fallback<T, F>> => ({
  name,
  kind,
  help,
  fallback: fallback as Fallback<T, F>,
  shown: shown ?? (fallback === undefined || fallback === '' ? '' : String(fallback)),
  read: read as Key<Fallback<T, F>>['read'],
})

/** Declares a text. */
export const text = <F extends string | undefined>(name: string, help: string, fallback: F, shown?: string) =>
  declare<string, F>('text', readText, name, help, fallback, shown)

/** Splits `host:port` (`[::1]:8125` too); undefined for what is none. */
export function hostPort(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  return match && port > 0 && port <= 65_535 ? { host: (match[1] ?? match[2]) as string, port } : undefined
}

/** Declares a `host:port`. */
export const address = (name: string, help: string) =>
  declare<string, ''>(
    '`host:port`',
    (value, key) => {
      const text = readText(value, key)
      return text === '' || hostPort(text)
        ? text
        : fail(`${key} must be a host and a port such as "localhost:8125"`, value)
    },
    name,
    help,
    '',
    undefined,
  )

/** Declares rules that begin with + or -. */
export const signedRules = (name: string, help: string) =>
  declare<readonly string[], readonly string[]>(
    'list of texts',
    (value, key) => {
      const rules = readTexts(value, key)
      return rules.every((rule) => /^[+-]/.test(rule))
        ? rules
        : fail(`each rule of ${key} must begin with + or -`, value)
    },
    name,
    help,
    [],
    '',
  )

/** Declares a boolean. */
export const bool = <F extends boolean | undefined>(name: string, help: string, fallback: F, shown?: string) =>
  declare<boolean, F>('boolean', readBool, name, help, fallback, shown)

/** Declares a whole number of at least `least`. */
export const whole = <F extends number | undefined>(
  name: string,
  help: string,
  fallback: F,
  least = 0,
  shown?: string,
) => declare<number, F>('number', (value, key) => readWhole(value, key, least), name, help, fallback, shown)

/** Declares a whole number of at least 1, or `auto`. */
export const wholeOrAuto = (name: string, help: string, fallback: number | 'auto', most: number) =>
  declare<number | 'auto', number | 'auto'>(
    'number or `auto`',
    (value, key) => {
      if (value.kind === 'string' && value.value.toLowerCase() === 'auto') return 'auto'
      const number = readWhole(value, key, 1)
      return number > most ? fail(`${key} must not be greater than ${most}`, value) : number
    },
    name,
    help,
    fallback,
    undefined,
  )

/** Declares a duration; its value is seconds. */
export const duration = <F extends number | undefined>(name: string, help: string, fallback: F, shown?: string) =>
  declare<number, F>(
    'duration',
    (value, key) => {
      const seconds = parseDurationSeconds(value.kind === 'number' ? value.value : readText(value, key))
      return seconds === undefined || seconds < 0
        ? fail(`${key} must be a duration such as "90s" or "1h"`, value)
        : seconds
    },
    name,
    help,
    fallback,
    shown,
  )

/** Declares a list of texts. */
export const texts = <F extends readonly string[] | undefined>(
  name: string,
  help: string,
  fallback: F,
  shown?: string,
) => declare<readonly string[], F>('list of texts', readTexts, name, help, fallback, shown)

/** Declares a choice; words compare without case, `synonyms` maps other spellings. */
export const choice = <const W extends string, const F extends W | undefined>(
  name: string,
  words: readonly W[],
  help: string,
  fallback: F,
  synonyms: Readonly<Record<string, W>> = {},
) =>
  declare<W, F>(
    words.map((word) => `\`${word}\``).join(', '),
    (value, key) => {
      const word = readText(value, key).toLowerCase()
      const known = words.find((one) => one === word) ?? (Object.hasOwn(synonyms, word) ? synonyms[word] : undefined)
      return known ?? fail(`${key} must be one of ${words.join(', ')}`, value)
    },
    name,
    help,
    fallback,
    undefined,
  )

/** Declares a secret; it is never printed. */
export const secret = (name: string, help: string) =>
  declare<Secret, undefined>(
    'secret',
    (value, key) => new Secret(readText(value, key)),
    name,
    help,
    undefined,
    undefined,
  )

/** Declares an `http://` or `https://` address. */
export const url = (name: string, help: string, shown?: string) =>
  declare<string, string>(
    'URL',
    (value, key) => {
      const address = readText(value, key)
      if (address === '') return address
      if (address.includes('{{')) fail(`${key}: address templates are not part of Coffer; write the address`, value)
      const valid = /^https?:\/\//.test(address) && URL.canParse(address)
      return valid
        ? address.replace(/\/+$/, '')
        : fail(`${key} must be an address such as "https://vault.example.com:8200"`, value)
    },
    name,
    help,
    '',
    shown,
  )

/** Headers by status (`404`), class (`4xx`) or `default`. */
export type HeadersByStatus = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

function readHeaders(value: HclValue, name: string): HeadersByStatus {
  const objects = value.kind === 'list' ? value.items : [value]
  const all: [string, Record<string, readonly string[]>][] = []
  for (const object of objects) {
    if (object.kind !== 'object') return fail(`${name} must be an object of headers by status`, object)
    for (const item of object.items) {
      const status = item.keys[0].value
      if (!/^(default|[1-5]xx|[1-5]\d\d)$/.test(status)) throw new HclError(`${name}: "${status}" is no status`, item)
      const inner = item.value.kind === 'list' && item.value.items.length === 1 ? item.value.items[0] : item.value
      if (inner?.kind !== 'object') return fail(`${name}: the headers of a status must be an object`, item.value)
      all.push([
        status,
        Object.fromEntries(
          inner.items.map((header) => [header.keys[0].value, readTexts(header.value, `a header of ${name}`)]),
        ),
      ])
    }
  }
  return Object.fromEntries(all)
}

/** Declares headers by status. */
export const headers = (name: string, help: string) =>
  declare<HeadersByStatus, undefined>('headers by status', readHeaders, name, help, undefined, undefined)

/** Declares an object of texts; numbers and booleans are taken as they are written. */
export const textMap = (name: string, help: string) =>
  declare<Readonly<Record<string, string>>, Readonly<Record<string, string>>>(
    'object of texts',
    (value, key) => {
      if (value.kind !== 'object') return fail(`${key} must be an object`, value)
      const entries = value.items.map((item): [string, string] => {
        const inner = item.value
        return [
          item.keys[0].value,
          inner.kind === 'string'
            ? inner.value
            : inner.kind === 'number'
              ? inner.text
              : JSON.stringify(plainValue(inner)),
        ]
      })
      return Object.fromEntries(entries)
    },
    name,
    help,
    {},
    '',
  )

/**
 * Reads the keys of a section out of items. Gives what was written only; unknown keys warn, keys without effect say why, wrong
 * values are errors in the report. `stanzas` names what the caller reads itself.
 */
export function readKeys<T extends Table>(
  items: readonly HclItem[],
  section: Section<T>,
  report: Report,
  stanzas: readonly string[] = [],
): Partial<Values<T>> {
  const fields = new Map(Object.entries(section.keys).map(([field, key]) => [key.name, { field, key }]))
  const found: Record<string, unknown> = {}
  const seen = new Set<string>()
  for (const item of items) {
    const first = item.keys[0]
    // HCL 1 compares keys without case.
    const name = first.value.toLowerCase()
    if (stanzas.includes(name)) continue
    const known = fields.get(name)
    if (!known) {
      const reason = Object.hasOwn(section.ignored, name) ? section.ignored[name] : undefined
      report.warn(
        reason === undefined ? `unknown key "${first.value}" has no effect` : `"${name}" has no effect: ${reason}`,
        first,
      )
      continue
    }
    if (seen.has(name)) report.warn(`"${name}" is set twice; the last one counts`, first)
    seen.add(name)
    if (item.value.kind === 'null') continue
    const value = report.attempt(() => known.key.read(item.value, name))
    if (value !== undefined) found[known.field] = value
  }
  return found as Partial<Values<T>>
}

/** Completes values with the fallbacks of a table. */
export function withFallbacks<T extends Table>(table: T, values: Partial<Values<T>>): Values<T> {
  const all = Object.entries(table).map(([field, key]) => [field, values[field] ?? key.fallback])
  return Object.fromEntries(all) as Values<T>
}

/** Plain values of a stanza as written, for the sanitized print. */
export const asWritten = (items: readonly HclItem[]): Record<string, unknown> => plainObject(items)
