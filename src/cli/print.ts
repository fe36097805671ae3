// The formats: aligned columns, JSON, YAML. Pure functions from values to text; where it goes is render.ts's business.
import { isRawNumber, type JsonValue } from '../lib/json.ts'
import { sortedKeys } from './go.ts'

/** An object whose members print in the order given (Vault's structs); plain objects print sorted (Vault's maps). */
export class Struct {
  readonly members: ReadonlyArray<readonly [string, Printable]>
  constructor(members: ReadonlyArray<readonly [string, Printable]>) {
    this.members = members
  }
}

export type Printable = JsonValue | Struct | readonly Printable[] | { readonly [key: string]: Printable }

/** Makes a struct of what is there: members that are undefined are left out. */
export const struct = (members: Readonly<Record<string, Printable | undefined>>): Struct =>
  new Struct(Object.entries(members).filter((entry): entry is [string, Printable] => entry[1] !== undefined))

const glue = '    '
const cellOf = (text: string): string => text.trim() || 'n/a'

/** Aligns rows of cells; an empty cell shows as `n/a`, the last of a row is not padded. */
export function columns(rows: ReadonlyArray<readonly string[]>): string {
  const cells = rows.map((row) => row.map(cellOf))
  const widths: number[] = []
  for (const row of cells) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, [...cell].length)
  const pad = (cell: string, i: number): string => cell + ' '.repeat((widths[i] ?? 0) - [...cell].length)
  return cells.map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : pad(cell, i))).join(glue)).join('\n')
}

/** Aligns rows below a header line and a line of dashes. */
export function table(rows: ReadonlyArray<readonly string[]>): string {
  const [header = [], ...rest] = rows
  return columns([header, header.map((title) => '-'.repeat(title.length)), ...rest])
}

const membersOf = (value: object): ReadonlyArray<readonly [string, Printable]> =>
  value instanceof Struct
    ? value.members
    : sortedKeys(value).map((key) => [key, (value as Record<string, Printable>)[key] ?? null] as const)

/** Prints JSON with two spaces; numbers as they came. */
export function prettyJson(value: Printable, indent = ''): string {
  if (value === null || typeof value !== 'object' || isRawNumber(value)) return JSON.stringify(value)
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return `[\n${value.map((item) => inner + prettyJson(item as Printable, inner)).join(',\n')}\n${indent}]`
  }
  const members = membersOf(value)
  if (members.length === 0) return '{}'
  return `{\n${members.map(([key, item]) => `${inner}${JSON.stringify(key)}: ${prettyJson(item, inner)}`).join(',\n')}\n${indent}}`
}

/** Prints JSON on one line; numbers as they came. */
export function compactJson(value: Printable): string {
  if (value === null || typeof value !== 'object' || isRawNumber(value)) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((item) => compactJson(item as Printable)).join(',')}]`
  return `{${membersOf(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${compactJson(item)}`)
    .join(',')}}`
}

const signs = (count: number): string => '='.repeat(count)

/** A heading between equal signs, about as wide as `width`. */
export function heading(title: string, width: number): string {
  const free = width - (title.length + 2)
  const even = free <= 0 ? 4 : free % 2 === 0 ? free : free + 1
  return `${signs(even / 2)} ${title} ${signs(even / 2)}`
}

/** Breaks a text at spaces so that no line is longer than 78, with spaces in front of each line. */
export function wrap(text: string, pad = 0): string {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    for (const word of paragraph.split(/\s+/).filter((part) => part !== '')) {
      if (line !== '' && line.length + 1 + word.length > 78 - pad) {
        lines.push(line)
        line = word
      } else line = line === '' ? word : `${line} ${word}`
    }
    lines.push(line)
  }
  return lines.map((line) => (line === '' ? '' : ' '.repeat(pad) + line)).join('\n')
}
