// The request target: path and query by hand, percent-decoded exactly once. What could mean two things (`..`, `//`, invalid UTF-8,
// invisible characters) is refused here, so that nobody behind this file has to think of it.
import { isUtf8 } from 'node:buffer'
import { ApiError, invalid } from '../sdk/errors.ts'
import { queryParametersMax, targetLengthMax } from './limits.ts'

/** A target below `/v1/`. */
export interface Target {
  /** Decoded, without the prefix. */
  readonly path: string
  /** First value of each key, all keys; undefined without a query. */
  readonly query: Record<string, string> | undefined
}

const prefix = '/v1/'
// What Vault prints as a path: letters, marks, numbers, punctuation, symbols and the plain space. Not: controls, invisible ones, other spaces.
const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u

/** Takes scheme and host off an absolute target (`http://host/v1/…`); throws `ApiError` 400 for what is no path. */
export function originForm(url: string): string {
  if (url.charCodeAt(0) === 0x2f) return url
  const absolute = /^https?:\/\/[^/?#]*/i.exec(url)
  if (!absolute) throw invalid('malformed request target')
  const rest = url.slice(absolute[0].length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** Whether a target belongs to the API. */
export const isApiTarget = (url: string): boolean => url.startsWith(prefix)

/**
 * Gives the target with its doubled slashes made single when its path has any, to redirect to (clients that glue an address ending in "/" to
 * a path send them); undefined otherwise.
 */
export function withoutDoubledSlashes(url: string): string | undefined {
  const doubled = url.indexOf('//')
  if (doubled < 0) return undefined
  const question = url.indexOf('?')
  if (question >= 0 && doubled > question) return undefined
  const path = question < 0 ? url : url.slice(0, question)
  return path.replace(/\/{2,}/g, '/') + (question < 0 ? '' : url.slice(question))
}

/**
 * Reads a target that starts with `/v1/`. Throws `ApiError` 400 for a path or query that is malformed or ambiguous, 414 for one that is
 * too long.
 */
export function readTarget(url: string): Target {
  const { length } = url
  if (length > targetLengthMax) throw new ApiError(414, `path and query are longer than ${targetLengthMax} characters`)
  let end = length
  let plain = true
  let before = 0x2f
  for (let i = prefix.length; i < length; i++) {
    const c = url.charCodeAt(i)
    if (c === 0x3f) {
      end = i
      break
    }
    // '%', what is not ASCII, controls; a dot or a slash after a slash.
    if (c === 0x25 || c >= 0x7f || c < 0x21 || (before === 0x2f && (c === 0x2e || c === 0x2f))) plain = false
    before = c
  }
  const raw = url.slice(prefix.length, end)
  return {
    path: plain ? raw : decodedPath(raw),
    query: end < length - 1 ? readQuery(url, end + 1) : undefined,
  }
}

function decodedPath(raw: string): string {
  const path = percentDecoded(raw, 'path')
  if (unprintable.test(path)) throw invalid('path holds characters that cannot be printed')
  const segments = path.split('/')
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i]
    if (segment === '.' || segment === '..') throw invalid('path must not hold "." or ".." segments')
    if (segment === '' && i < segments.length - 1) throw invalid('path must not hold empty segments')
  }
  return path
}

/** Decodes percent escapes once. Throws `ApiError` 400 for malformed escapes and for what is not UTF-8. */
function percentDecoded(text: string, what: string): string {
  const bytes = Buffer.allocUnsafe(text.length)
  let size = 0
  for (let i = 0; i < text.length; i++) {
    let c = text.charCodeAt(i)
    if (c === 0x25) {
      const high = hexDigit(text.charCodeAt(i + 1))
      const low = hexDigit(text.charCodeAt(i + 2))
      if (high < 0 || low < 0) throw invalid(`${what} holds a malformed percent escape`)
      c = high * 16 + low
      i += 2
    }
    bytes[size++] = c
  }
  const found = bytes.subarray(0, size)
  if (!isUtf8(found)) throw invalid(`${what} is not valid UTF-8`)
  return found.toString('utf8')
}

const hexDigit = (c: number): number =>
  c >= 0x30 && c <= 0x39 ? c - 0x30 : c >= 0x41 && c <= 0x46 ? c - 0x37 : c >= 0x61 && c <= 0x66 ? c - 0x57 : -1

/** Reads a query, or the body of a form, from `start` on: the first value of each key; keys like `__proto__` are plain data. */
export function readQuery(text: string, start = 0): Record<string, string> {
  const query: Record<string, string> = Object.create(null)
  let count = 0
  for (const [key, value] of pairsOf(text, start)) {
    if (++count > queryParametersMax) throw invalid(`query has more than ${queryParametersMax} parameters`)
    if (query[key] === undefined) query[key] = value
  }
  return query
}

/** Gives the pairs of `a=1&b=2`, decoded. Throws `ApiError` 400 for malformed escapes and for what is not UTF-8. */
export function* pairsOf(text: string, start: number): Generator<[string, string]> {
  for (let i = start; i <= text.length; ) {
    const next = text.indexOf('&', i)
    const end = next < 0 ? text.length : next
    if (end > i) {
      const equals = text.indexOf('=', i)
      const split = equals < 0 || equals > end ? end : equals
      yield [component(text.slice(i, split)), split < end ? component(text.slice(split + 1, end)) : '']
    }
    i = end + 1
  }
}

// What needs no decoding: everything printable in ASCII but % and +.
const simple = /^[\x20-\x24\x26-\x2a\x2c-\x7e]*$/
const component = (text: string): string =>
  simple.test(text) ? text : percentDecoded(text.replaceAll('+', ' '), 'query')
