// The `data` of an entry: every string value becomes its hash, names, numbers, booleans and null stay. The hot part of the room:
// text that came as JSON is rewritten as text, never parsed where nothing in it has to be told apart.
import { Buffer } from 'node:buffer'
import { isRawNumber, JsonText } from '../lib/json.ts'
import type { Hasher } from './salt.ts'

// Longer fractions than nanoseconds are no time but a place to hide things.
const timestamp =
  /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/
const daysOf = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Whether a text is an RFC 3339 time and nothing else: Vault leaves those in clear (`created_time` and its like). */
export function isTimestamp(text: string): boolean {
  if (text.length < 20 || text.charCodeAt(4) !== 0x2d || text.charCodeAt(10) !== 0x54) return false
  const match = timestamp.exec(text)
  return match !== null && Number(match[2]) <= (daysOf[Number(match[1]) - 1] ?? 0)
}

/** How values are written: hashed, or in clear (`log_raw`), and which names keep their values in clear. */
export interface DataStyle {
  /** Undefined writes everything in clear. */
  readonly hash: Hasher | undefined
  readonly clearKeys: readonly string[]
}

const quoted = (text: string, style: DataStyle, clear: boolean): string =>
  clear || style.hash === undefined || isTimestamp(text) ? JSON.stringify(text) : `"${style.hash(text)}"`

/** Rewrites a JSON text without parsing it; undefined when it must be parsed after all (line breaks, or not JSON). */
function rewriteText(text: string, hash: Hasher): string | undefined {
  if (text.includes('\n') || text.includes('\r')) return undefined
  let out = ''
  let from = 0
  let slash = text.indexOf('\\')
  for (let open = text.indexOf('"'); open !== -1; open = text.indexOf('"', open)) {
    let close = open
    for (;;) {
      close = text.indexOf('"', close + 1)
      if (close === -1) return undefined
      let back = close - 1
      while (text.charCodeAt(back) === 0x5c) back--
      if ((close - back) % 2 === 1) break
    }
    // The position is kept from string to string: looking for it anew each time would cost the square of the text.
    if (slash !== -1 && slash < open) slash = text.indexOf('\\', open)
    const escaped = slash !== -1 && slash < close
    let next = close + 1
    while (text.charCodeAt(next) <= 0x20) next++
    if (text.charCodeAt(next) !== 0x3a) {
      const value = escaped ? (JSON.parse(text.slice(open, close + 1)) as string) : text.slice(open + 1, close)
      if (!isTimestamp(value)) {
        out += `${text.slice(from, open)}"${hash(value)}"`
        from = close + 1
      }
    }
    open = next
  }
  return from === 0 ? text : out + text.slice(from)
}

function printText(value: JsonText, style: DataStyle, clear: boolean): string {
  if (style.hash !== undefined && !clear && style.clearKeys.length === 0) {
    const rewritten = rewriteText(value.text, style.hash)
    if (rewritten !== undefined) return rewritten
  }
  return printValue(value.parse(), style, clear)
}

function printList(list: readonly unknown[], style: DataStyle, clear: boolean): string {
  let out = '['
  for (let i = 0; i < list.length; i++) out += (i === 0 ? '' : ',') + printValue(list[i], style, clear)
  return `${out}]`
}

function printMembers(record: Readonly<Record<string, unknown>>, style: DataStyle): string {
  let out = '{'
  for (const key of Object.keys(record)) {
    const value = record[key]
    if (value === undefined) continue
    const clear = style.clearKeys.length > 0 && style.clearKeys.includes(key)
    out += `${out.length === 1 ? '' : ','}${JSON.stringify(key)}:${printValue(value, style, clear)}`
  }
  return `${out}}`
}

/**
 * Prints a value as JSON in one line with its strings hashed. `clear` says that the nearest name above is one that keeps its
 * values; lists pass it on, objects do not, as in Vault. Throws for what JSON cannot hold (a cycle).
 */
export function printValue(value: unknown, style: DataStyle, clear = false): string {
  if (typeof value === 'string') return quoted(value, style, clear)
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  if (typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return 'null'
  if (value instanceof JsonText) return printText(value, style, clear)
  if (Array.isArray(value)) return printList(value, style, clear)
  if (isRawNumber(value)) return value.rawJSON
  if (value instanceof Uint8Array)
    return quoted(Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8'), style, clear)
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') return printValue(toJSON.call(value), style, clear)
  return printMembers(value as Record<string, unknown>, style)
}

/** Replaces the lists of a list answer by their lengths (`elide_list_responses`); other data is given back as it is. */
export function elideList(data: unknown): unknown {
  const value = data instanceof JsonText ? data.parse() : data
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isRawNumber(value)) return value
  const record = value as Record<string, unknown>
  const out: Record<string, unknown> = Object.assign(Object.create(null), record)
  const keys = plain(record['keys'])
  const info = plain(record['key_info'])
  if (Array.isArray(keys)) out['keys'] = keys.length
  if (typeof info === 'object' && info !== null && !Array.isArray(info)) out['key_info'] = Object.keys(info).length
  return out
}

const plain = (value: unknown): unknown => (value instanceof JsonText ? value.parse() : value)
