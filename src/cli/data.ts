// Data on the command line: key=value, key=@file, key=- (standard input), @file.json and - (a whole JSON object). `\@x` is the
// text "@x"; a repeated key becomes a list.
import { readFile } from 'node:fs/promises'
import { isJsonObject, isRawNumber, JsonError, type JsonObject, type JsonValue, parseJson } from '../lib/json.ts'
import { UsageError } from './errors.ts'

async function readFileText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new UsageError(
      `Failed to parse K=V data: error reading file ${path}: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
}

function parseObject(text: string, from: string): JsonObject {
  try {
    const value = parseJson(text)
    if (isJsonObject(value)) return value
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw new UsageError(`Failed to parse K=V data: ${from}: ${error.message}`)
  }
  throw new UsageError(`Failed to parse K=V data: ${from}: JSON must be an object`)
}

/** Reads arguments into an object. `stdin` is read at most once. Throws `UsageError`, which never quotes a value. */
export async function parseData(args: readonly string[], stdin: () => Promise<string>): Promise<JsonObject> {
  const members = new Map<string, JsonValue>()
  let consumed = false
  const readStdin = (): Promise<string> => {
    if (consumed) throw new UsageError('Failed to parse K=V data: standard input is named twice')
    consumed = true
    return stdin()
  }
  const merge = (object: JsonObject): void => {
    for (const [key, value] of Object.entries(object)) members.set(key, value)
  }
  for (const [index, argument] of args.entries()) {
    if (argument === '') continue
    const at = argument.indexOf('=')
    if (at < 0 && argument === '-') merge(parseObject(await readStdin(), 'standard input'))
    else if (at < 0 && argument.startsWith('@'))
      merge(parseObject(await readFileText(argument.slice(1)), argument.slice(1)))
    else if (at < 0) throw new UsageError(`Failed to parse K=V data: pair ${index + 1} is not of the form key=value`)
    else {
      const key = argument.slice(0, at)
      let value = argument.slice(at + 1)
      if (value.startsWith('@')) value = await readFileText(value.slice(1))
      else if (value.startsWith('\\@')) value = value.slice(1)
      else if (value === '-') value = await readStdin()
      const before = members.get(key)
      members.set(key, before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value])
    }
  }
  return Object.fromEntries(members)
}

const textOfValue = (value: JsonValue): string | undefined =>
  typeof value === 'string'
    ? value
    : isRawNumber(value)
      ? value.rawJSON
      : typeof value === 'number' || typeof value === 'boolean'
        ? String(value)
        : undefined

/** Turns data into texts; throws `UsageError` for a list or an object. */
export function asTexts(data: JsonObject): Map<string, string> {
  const texts = new Map<string, string>()
  for (const [key, value] of Object.entries(data)) {
    const text = textOfValue(value)
    if (text === undefined) throw new UsageError(`the value of ${key} must be a single text`)
    texts.set(key, text)
  }
  return texts
}

/** Turns data into a query: a list gives several parameters of one name. Throws `UsageError` for an object. */
export function asQuery(data: JsonObject): Array<[string, string]> {
  const query: Array<[string, string]> = []
  for (const [key, value] of Object.entries(data))
    for (const item of Array.isArray(value) ? value : [value]) {
      const text = textOfValue(item)
      if (text === undefined) throw new UsageError(`the value of ${key} must be a text or a list of texts`)
      query.push([key, text])
    }
  return query
}

/** Makes a plain object of key=value pairs; `__proto__` is a key like any other. */
export const objectOf = (pairs: Iterable<readonly [string, JsonValue]>): JsonObject => Object.fromEntries(pairs)
