// Fields: what an operation takes and gives. One declaration holds type, coercion, default and help; decoder, path-help,
// OpenAPI and the command line read it from here. Coercions are Vault's (sdk/framework FieldData, parseutil).
import { parseDurationSeconds } from '../lib/duration.ts'
import { isJsonObject, isRawNumber, type JsonObject, type JsonValue, numberOf } from '../lib/json.ts'
import { invalid } from './errors.ts'

export type FieldKind =
  | 'string'
  | 'integer'
  | 'number'
  | 'boolean'
  | 'duration'
  | 'list'
  | 'integers'
  | 'object'
  | 'kvpairs'
  | 'any'
  | 'time'

interface Facts<T> {
  readonly kind: FieldKind
  readonly about: string
  readonly decode: (value: JsonValue, name: string) => T
  readonly fallback: T | undefined
  readonly required: boolean
  readonly nullable: boolean
  readonly sensitive: boolean
  readonly deprecated: boolean
  readonly oneOf: readonly string[] | undefined
  readonly aliases: readonly string[]
}

/** A field and the type its value has once decoded. Fields are immutable: each method gives a new one. */
export class Field<T> {
  readonly facts: Facts<T>
  constructor(facts: Facts<T>) {
    this.facts = facts
  }
  /** What it is when the request does not say. */
  default(value: Exclude<T, undefined | null>): Field<Exclude<T, undefined>> {
    return new Field({ ...this.facts, fallback: value } as unknown as Facts<Exclude<T, undefined>>)
  }
  /** Refuses a request without it: 400 `missing <name>`. */
  required(): Field<Exclude<T, undefined>> {
    return new Field({ ...this.facts, required: true } as unknown as Facts<Exclude<T, undefined>>)
  }
  /** Lets `null` through (merge patch: take it away). Elsewhere null means absent. */
  nullable(): Field<T | null> {
    return new Field({ ...this.facts, nullable: true } as unknown as Facts<T | null>)
  }
  /** Its value never reaches logs, errors or help. */
  sensitive(): Field<T> {
    return new Field({ ...this.facts, sensitive: true })
  }
  /** Still taken, said to be old in help and OpenAPI. */
  deprecated(): Field<T> {
    return new Field({ ...this.facts, deprecated: true })
  }
  /** Only these values (strings). */
  oneOf(values: readonly string[]): Field<T> {
    const { decode } = this.facts
    return new Field({
      ...this.facts,
      oneOf: values,
      decode: (value: JsonValue, name: string) => {
        const decoded = decode(value, name)
        if (!values.includes(String(decoded))) throw invalid(`field "${name}" must be one of: ${values.join(', ')}`)
        return decoded
      },
    })
  }
  /** Older names it is also taken under. */
  alias(...names: string[]): Field<T> {
    return new Field({ ...this.facts, aliases: names })
  }
}

export type Fields = Readonly<Record<string, Field<unknown>>>
/** The values of a set of fields. */
export type ValuesOf<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never }

const field = <T>(
  kind: FieldKind,
  about: string,
  decode: (value: JsonValue, name: string) => T,
): Field<T | undefined> =>
  new Field<T | undefined>({
    kind,
    about,
    decode,
    fallback: undefined,
    required: false,
    nullable: false,
    sensitive: false,
    deprecated: false,
    oneOf: undefined,
    aliases: [],
  })

const bad = (name: string, what: string): never => {
  throw invalid(`field "${name}" is not ${what}`)
}

const toText = (value: JsonValue, name: string): string => {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (isRawNumber(value)) return value.rawJSON
  return bad(name, 'a string')
}

const toInteger = (value: JsonValue, name: string): number => {
  const number = typeof value === 'string' && /^\s*[+-]?\d+\s*$/.test(value) ? Number(value) : numberOf(value)
  if (number === undefined && value === '') return 0
  if (number === undefined || !Number.isSafeInteger(number)) return bad(name, 'an integer')
  return number
}

const toNumber = (value: JsonValue, name: string): number => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : numberOf(value)
  return number === undefined || !Number.isFinite(number) ? bad(name, 'a number') : number
}

const truths: Readonly<Record<string, boolean>> = {
  true: true,
  t: true,
  '1': true,
  yes: true,
  on: true,
  false: false,
  f: false,
  '0': false,
  no: false,
  off: false,
  '': false,
}

const toBoolean = (value: JsonValue, name: string): boolean => {
  if (typeof value === 'boolean') return value
  const number = numberOf(value)
  if (number !== undefined) return number !== 0
  const known = typeof value === 'string' ? truths[value.toLowerCase()] : undefined
  return known ?? bad(name, 'a boolean')
}

const toSeconds = (value: JsonValue, name: string): number => {
  if (value === '') return 0
  const number = numberOf(value)
  const seconds = number ?? (typeof value === 'string' ? parseDurationSeconds(value) : undefined)
  if (seconds === undefined || !Number.isFinite(seconds)) return bad(name, 'a duration')
  if (Math.abs(seconds) > 9_223_372_036) return bad(name, 'a duration that fits')
  return Math.trunc(seconds)
}

const splitList = (text: string): string[] => (text.trim() === '' ? [] : text.split(',').map((item) => item.trim()))

const toList = (value: JsonValue, name: string): string[] => {
  if (typeof value === 'string') return splitList(value)
  if (Array.isArray(value)) return value.map((item) => toText(item, name).trim())
  return [toText(value, name)]
}

const toPairs = (value: JsonValue, name: string): Record<string, string> => {
  const pairs: Record<string, string> = Object.create(null)
  if (isJsonObject(value)) {
    for (const [key, item] of Object.entries(value)) pairs[key] = toText(item, `${name}.${key}`)
    return pairs
  }
  if (typeof value === 'string' && value.trimStart().startsWith('{')) {
    try {
      return toPairs(JSON.parse(value) as JsonValue, name)
    } catch (error) {
      if (error instanceof SyntaxError) return bad(name, 'a map')
      throw error
    }
  }
  const items = typeof value === 'string' ? splitList(value) : Array.isArray(value) ? value : bad(name, 'a map')
  for (const item of items) {
    const text = toText(item, name)
    const at = text.indexOf('=')
    if (at < 1) bad(name, 'a map of key=value')
    pairs[text.slice(0, at).trim()] = text.slice(at + 1).trim()
  }
  return pairs
}

/** Text. Numbers and booleans are taken as text. */
export const str = (about: string) => field('string', about, toText)
/** Text in lower case. */
export const lowerStr = (about: string) => field('string', about, (v, n) => toText(v, n).toLowerCase().trim())
/** An integer, as number or text. */
export const int = (about: string) => field('integer', about, toInteger)
/** A number. */
export const float = (about: string) => field('number', about, toNumber)
/** True or false, also as text ("true", "1") or number. */
export const bool = (about: string) => field('boolean', about, toBoolean)
/** Seconds, from "1h30m", "90" or a number; whole seconds. Negative ones are refused. */
export const duration = (about: string) =>
  field('duration', about, (value, name) => {
    const seconds = toSeconds(value, name)
    return seconds < 0 ? bad(name, 'a duration of zero or more') : seconds
  })
/** Seconds that may be negative (a sentinel). */
export const signedDuration = (about: string) => field('duration', about, toSeconds)
/** A list of texts, from an array or comma-separated text. */
export const list = (about: string) => field('list', about, toList)
/** A list of integers, from an array or comma-separated text. */
export const intList = (about: string) =>
  field('integers', about, (value, name) =>
    (typeof value === 'string' ? splitList(value) : Array.isArray(value) ? value : [value]).map((v) =>
      toInteger(v, name),
    ),
  )
/** A JSON object, kept as it is. A text that holds one is taken too. */
export const map = (about: string) =>
  field('object', about, (value, name): JsonObject => {
    if (isJsonObject(value)) return value
    if (typeof value === 'string' && value.trimStart().startsWith('{')) {
      try {
        const parsed = JSON.parse(value) as JsonValue
        if (isJsonObject(parsed)) return parsed
      } catch {}
    }
    return bad(name, 'a map')
  })
/** A map of texts, from an object, "k=v,k2=v2", or ["k=v"]. */
export const kvpairs = (about: string) => field('kvpairs', about, toPairs)
/** Any JSON value. */
export const any = (about: string) => field('any', about, (value) => value)
/** A moment: RFC 3339 text or unix seconds; milliseconds since the epoch once decoded. */
export const time = (about: string) =>
  field('time', about, (value, name): number => {
    const number = numberOf(value) ?? (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : undefined)
    const ms = number !== undefined ? number * 1000 : typeof value === 'string' ? Date.parse(value) : Number.NaN
    return Number.isNaN(ms) ? bad(name, 'a time (RFC 3339)') : ms
  })

type Decoder = (source: Readonly<Record<string, JsonValue>>, into: Record<string, unknown>) => void

/** Compiles the decoder of a set of fields once; it throws `ApiError` 400 that names the field, never the value. */
export function compileDecoder(fields: Fields): Decoder {
  const entries = Object.entries(fields).map(([name, { facts }]) => ({ name, facts, names: [name, ...facts.aliases] }))
  return (source, into) => {
    for (const { name, facts, names } of entries) {
      const key = names.length === 1 ? name : (names.find((candidate) => Object.hasOwn(source, candidate)) ?? name)
      const value = Object.hasOwn(source, key) ? source[key] : undefined
      const absent = value === undefined || (value === null && !facts.nullable)
      if (absent && facts.required) throw invalid(`missing ${name}`)
      if (absent) into[name] = facts.fallback
      else into[name] = value === null ? null : facts.decode(value as JsonValue, name)
    }
  }
}
