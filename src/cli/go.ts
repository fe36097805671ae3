// How Vault's command line spells values, because scripts read it: durations ("1h30m"), lists and maps ("[a b]", "map[a:1]").
import { isRawNumber, type JsonObject, type JsonValue } from '../lib/json.ts'

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Parses "90", "1h30m", "30d" or "system" (-1) into milliseconds; undefined for anything else. A bare number is seconds. */
export function parseDurationMs(text: string): number | undefined {
  const trimmed = text.trim()
  if (trimmed === 'system') return -1000
  if (trimmed === '') return 0
  if (/^[+-]?\d+$/.test(trimmed)) return Number(trimmed) * 1000
  if (!/^[+-]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d))+$/.test(trimmed)) return undefined
  let total = 0
  for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)/g))
    total += Number(amount) * (unitMs[unit ?? 's'] ?? 0)
  return trimmed.startsWith('-') ? -total : total
}

/** Prints milliseconds the way the API takes them: "0s", "1h0m0s", "1.5s", "20ms". */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s'
  const sign = ms < 0 ? '-' : ''
  const size = Math.abs(ms)
  if (size < 1) return `${sign}${size * 1000}µs`
  if (size < 1000) return `${sign}${size}ms`
  const hours = Math.floor(size / 3_600_000)
  const minutes = Math.floor((size % 3_600_000) / 60_000)
  const seconds = (size % 60_000) / 1000
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`
}

/** Prints whole seconds for people: "1h", "1h30m", "768h". What is no whole number comes back as it is. */
export function humanSeconds(value: JsonValue): JsonValue {
  const text = typeof value === 'number' ? String(value) : isRawNumber(value) ? value.rawJSON : ''
  if (!/^-?\d+$/.test(text)) return value
  return formatDuration(Number(text) * 1000)
    .replace(/m0s$/, 'm')
    .replace(/h0m/, 'h')
}

/** Whether a field of that name holds seconds, so that a table shows it as a duration. */
export const looksLikeDuration = (key: string): boolean =>
  /(^|_)(period|ttl|duration)$/.test(key) || key === 'lease_max' || key === 'ttl_max'

/** Sorted keys of an object; integer-like keys sort as text, as they do in Vault's output. */
export const sortedKeys = (value: object): string[] => Object.keys(value).sort()

/** Prints any JSON value on one line: text as it is, `<nil>`, `[a b]`, `map[a:1 b:2]`. */
export function formatValue(value: JsonValue | undefined): string {
  if (value === null || value === undefined) return '<nil>'
  if (isRawNumber(value)) return value.rawJSON
  if (Array.isArray(value)) return `[${value.map(formatValue).join(' ')}]`
  if (typeof value === 'object')
    return `map[${sortedKeys(value)
      .map((key) => `${key}:${formatValue((value as JsonObject)[key])}`)
      .join(' ')}]`
  return String(value)
}

/** Prints a list of texts quoted: `["default" "root"]`; anything else is an empty list. */
export const quoteList = (value: JsonValue | undefined): string =>
  `[${(Array.isArray(value) ? value : []).map((item) => JSON.stringify(item)).join(' ')}]`

/** Prints an RFC 3339 time as Go prints a time: "2026-01-02 03:04:05.678 +0000 UTC". */
export function formatTime(value: JsonValue | undefined): string {
  const match =
    typeof value === 'string' && /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))$/.exec(value)
  if (!match) return formatValue(value)
  const [, day, time, fraction = '', sign, hours, minutes] = match
  const part = fraction.replace(/\.?0+$/, '')
  const zone = sign === undefined ? '+0000 UTC' : `${sign}${hours}${minutes} ${sign}${hours}${minutes}`
  return `${day} ${time}${part} ${zone}`
}

const cleanSegments = (path: string): string[] => {
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment === '..') out.pop()
    else out.push(segment)
  }
  return out
}

/** Joins parts of an API path: no doubled, leading or trailing slash, `..` resolved. */
export const joinPath = (...parts: readonly string[]): string =>
  cleanSegments(parts.filter((part) => part !== '').join('/')).join('/')

/** Drops spaces around a path and slashes at both ends. */
export const sanitizePath = (path: string): string => path.trim().replace(/^\/+|\/+$/g, '')

/** Ends a path with exactly the slash it needs; an empty path stays empty. */
export const withSlash = (path: string): string => {
  const trimmed = path.trim()
  return trimmed === '' || trimmed.endsWith('/') ? trimmed : `${trimmed}/`
}
