// YAML output. Loaded only when asked for: the library costs start-up time that the other formats need not pay.
import { Document, type ScalarTag } from 'yaml'
import { isRawNumber, type JsonValue } from '../lib/json.ts'
import { sortedKeys } from './go.ts'
import { type Printable, Struct } from './print.ts'

// A number that a double cannot carry is printed as it came, not as a text.
const rawNumberTag: ScalarTag = {
  identify: isRawNumber,
  default: true,
  tag: 'tag:yaml.org,2002:float',
  resolve: (text) => Number(text),
  stringify: ({ value }) => (value as { rawJSON: string }).rawJSON,
}

function plain(value: Printable): JsonValue | Map<string, unknown> | unknown[] {
  if (value === null || typeof value !== 'object' || isRawNumber(value)) return value as JsonValue
  if (Array.isArray(value)) return value.map((item) => plain(item as Printable))
  const members =
    value instanceof Struct ? new Map(value.members) : new Map(Object.entries(value as Record<string, Printable>))
  return new Map(sortedKeys(Object.fromEntries(members)).map((key) => [key, plain(members.get(key) ?? null)]))
}

/** Prints YAML with sorted keys and no trailing newline. */
export function yamlText(value: Printable): string {
  const document = new Document(plain(value), {
    customTags: (tags) => [rawNumberTag, ...tags],
    aliasDuplicateObjects: false,
  })
  return document.toString({ indentSeq: false, lineWidth: 0 }).trim()
}
