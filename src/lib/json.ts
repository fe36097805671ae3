// JSON as secrets need it: numbers survive to the last digit, `__proto__` is plain data, depth and size are bounded.
// A number that a double cannot spell back as it was written becomes a raw number (JSON.rawJSON), which prints as it came.

export type JsonValue = string | number | boolean | null | JsonObject | JsonValue[]
export interface JsonObject {
  [key: string]: JsonValue
}

export interface JsonLimits {
  /** Nesting of arrays and objects. */
  readonly depthMax: number
  /** Strings (keys count) in the whole text. */
  readonly stringsMax: number
  /** Characters of one string. */
  readonly stringLengthMax: number
  /** Members of objects and elements of arrays in the whole text: `[[],[],…` takes ten times its length in memory. Default 1,000,000. */
  readonly valuesMax?: number
}

const valuesMaxDefault = 1_000_000

/** Limits for what a client sends, as OpenBao has them in spirit: generous for people, tight for attackers. */
export const bodyLimits: JsonLimits = { depthMax: 300, stringsMax: 500_000, stringLengthMax: 32 * 1024 * 1024 }

/** What is wrong with a JSON text; `message` never quotes the text. */
export class JsonError extends Error {
  override name = 'JsonError'
}

interface ReviverContext {
  readonly source?: string
}
interface RawJson {
  rawJSON(text: string): { rawJSON: string }
  isRawJSON(value: unknown): value is { rawJSON: string }
}
const raw = JSON as unknown as RawJson

/** Whether a value is a number kept as the text it came as. */
export const isRawNumber = (value: unknown): value is { rawJSON: string } => raw.isRawJSON(value)

// Digits that a double may not carry: 16 or more in a row, a fraction or an exponent. A hit inside a string only costs time.
const maybeLossy = /\d{16}|\d\.\d|\d[eE]|-0/
// Below this size no limit can be exceeded, whatever the text holds.
const smallText = 256

// An escape that may be half of a surrogate pair.
const maybeLone = /\\u[dD][89a-fA-F]/

/** Puts U+FFFD in the place of lone surrogates, as Go's decoder does: no text that goes further in is without a UTF-8 form. */
function wellFormed(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.toWellFormed()
  if (Array.isArray(value)) return value.map(wellFormed)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), wellFormed(member)]))
}

const keepDigits = (_key: string, value: unknown, context?: ReviverContext): unknown =>
  typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    ? raw.rawJSON(context.source)
    : value

/** Checks depth and counts of strings without building anything; throws `JsonError` naming the limit. */
function checkLimits(text: string, limits: JsonLimits): void {
  let depth = 0
  let strings = 0
  let values = 0
  const valuesMax = limits.valuesMax ?? valuesMaxDefault
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x22) {
      if (++strings > limits.stringsMax) throw new JsonError(`JSON has more than ${limits.stringsMax} strings`)
      const start = i
      for (i++; i < text.length; i++) {
        const d = text.charCodeAt(i)
        if (d === 0x5c) i++
        else if (d === 0x22) break
      }
      if (i - start > limits.stringLengthMax)
        throw new JsonError(`JSON has a string of more than ${limits.stringLengthMax} characters`)
    } else if (c === 0x7b || c === 0x5b) {
      if (++depth > limits.depthMax) throw new JsonError(`JSON is nested deeper than ${limits.depthMax}`)
    } else if (c === 0x2c) {
      if (++values >= valuesMax) throw new JsonError(`JSON has more than ${valuesMax} values`)
    } else if (c === 0x7d || c === 0x5d) depth--
  }
}

/**
 * Parses a JSON text. Numbers that a double cannot carry become raw numbers; `JSON.stringify` prints them as they came.
 * Throws `JsonError` for malformed text and for a limit exceeded.
 */
export function parseJson(text: string, limits: JsonLimits = bodyLimits): JsonValue {
  if (text.length > smallText) checkLimits(text, limits)
  try {
    const value = (maybeLossy.test(text) ? JSON.parse(text, keepDigits) : JSON.parse(text)) as JsonValue
    return maybeLone.test(text) ? wellFormed(value) : value
  } catch (error) {
    if (error instanceof RangeError) throw new JsonError(`JSON is nested deeper than ${limits.depthMax}`)
    throw new JsonError('malformed JSON')
  }
}

/** Parses a JSON text whose value must be an object. */
export function parseJsonObject(text: string, limits: JsonLimits = bodyLimits): JsonObject {
  const value = parseJson(text, limits)
  if (!isJsonObject(value)) throw new JsonError('JSON must be an object')
  return value
}

/** Whether a value is a JSON object: no array, no null, no raw number. */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value)

/** Gives a number its value, raw or not; undefined for anything else. */
export const numberOf = (value: unknown): number | undefined =>
  typeof value === 'number' ? value : isRawNumber(value) ? Number(value.rawJSON) : undefined

/** JSON text that is passed on as it is: never parsed where nobody asks for what is in it. */
export class JsonText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
  /** Parses the text (for audit, patch, subkeys). */
  parse(): JsonValue {
    return parseJson(this.text)
  }
  toJSON(): JsonValue {
    return this.parse()
  }
}

/** Prints a value in which `JsonText` may stand at the top or as a direct member of the top object. */
export function printJson(value: unknown): string {
  if (value instanceof JsonText) return value.text
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isRawNumber(value))
    return JSON.stringify(value) ?? 'null'
  let spliced = false
  const record = value as Record<string, unknown>
  for (const key in record) if (record[key] instanceof JsonText) spliced = true
  if (!spliced) return JSON.stringify(value)
  const parts: string[] = []
  for (const key of Object.keys(record)) {
    const member = record[key]
    if (member === undefined) continue
    parts.push(`${JSON.stringify(key)}:${member instanceof JsonText ? member.text : JSON.stringify(member)}`)
  }
  return `{${parts.join(',')}}`
}
