// Bodies on their way in: read with a limit, then understood: a JSON object whatever the Content-Type says, or a form.
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { isJsonObject, JsonError, type JsonLimits, type JsonObject, parseJson } from '../lib/json.ts'
import { ApiError, invalid } from '../sdk/errors.ts'
import { queryParametersMax } from './limits.ts'
import { pairsOf } from './target.ts'

const empty = Buffer.alloc(0)

/** Whether a request announces a body at all. */
export const hasBody = (req: IncomingMessage): boolean => {
  const { headers } = req
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

const tooLarge = (): ApiError => new ApiError(413, 'request body too large')

/** Throws `ApiError` 413 when the announced length is over the limit. */
export function checkAnnouncedLength(req: IncomingMessage, bytesMax: number): void {
  if (Number(req.headers['content-length'] ?? 0) > bytesMax) throw tooLarge()
}

/** How much of a body that is over its limit is taken off the wire and thrown away before the connection is cut. */
export const drainedBytesMax = (bytesMax: number): number => 2 * bytesMax + 1024 * 1024

/** Bytes that all large bodies under way may hold together, over all listeners: strangers may send bodies, and memory has an end. */
export const heldBytesMax = 128 * 1024 * 1024
/** Bodies up to this size do not count. */
const smallBytes = 64 * 1024
let heldBytes = 0

/** Counts what one large body holds, until its answer is sent or the connection is gone. False: there is no room for more. */
function bodyHolder(res: ServerResponse): (size: number) => boolean {
  let held = 0
  return (size) => {
    if (size <= smallBytes) return true
    if (heldBytes - held + size > heldBytesMax || res.closed) return false
    if (held === 0)
      res.once('close', () => {
        heldBytes -= held
      })
    heldBytes += size - held
    held = size
    return true
  }
}

/**
 * Reads a body whole. Gives undefined when the client went away in the middle of it. Rejects with `ApiError` 413 as soon as there is more than
 * `bytesMax`, with 503 when all bodies under way hold too much memory.
 */
export function readBody(req: IncomingMessage, res: ServerResponse, bytesMax: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    let pieces: Buffer[] | undefined
    let first: Buffer = empty
    let size = 0
    let refused = false
    const hold = bodyHolder(res)
    req.on('data', (piece: Buffer) => {
      size += piece.length
      if (size > bytesMax || refused || !hold(size)) {
        pieces = undefined
        first = empty
        refused = true
        reject(size > bytesMax ? tooLarge() : new ApiError(503, 'too many large requests under way, try again'))
        if (size > drainedBytesMax(Math.min(bytesMax, heldBytesMax))) req.destroy()
      } else if (first === empty) first = piece
      else if (pieces) pieces.push(piece)
      else pieces = [first, piece]
    })
    req.on('end', () => resolve(pieces ? Buffer.concat(pieces, size) : first))
    req.on('error', () => resolve(undefined))
    req.on('close', () => resolve(undefined))
  })
}

const patientKey = Symbol('patient')
interface PatientSocket extends Duplex {
  [patientKey]?: boolean
}

/** Whether the body that comes over a connection may take any time. Node's watch over slow requests knows one limit for all. */
export const isPatient = (socket: Duplex): boolean => (socket as PatientSocket)[patientKey] === true

/** Gives a body as it arrives, without limits of size and time (but a connection that falls silent is cut); can be read once. */
export async function* streamBody(req: IncomingMessage, begin: () => void): AsyncGenerator<Uint8Array> {
  const socket: PatientSocket = req.socket
  socket[patientKey] = true
  begin()
  try {
    // Whoever has had enough of it still answers on this connection.
    for await (const piece of req.iterator({ destroyOnReturn: false })) yield piece as Buffer
  } catch {
    throw invalid('the request body was cut short')
  } finally {
    socket[patientKey] = false
  }
}

/** Throws away what is left of a body that nobody wants, so that the client reads the answer; one that is longer than `bytesMax` is cut off. */
export function drainBody(req: IncomingMessage, bytesMax: number): void {
  if (req.complete || req.destroyed) return
  let left = bytesMax
  req.on('error', () => undefined)
  req.on('data', (piece: Buffer) => {
    left -= piece.length
    if (left < 0) req.destroy()
  })
}

/**
 * Understands a body: the JSON object in it, or the fields of a form; undefined for an empty one and for `null`. Throws `ApiError` 400 for
 * what is not UTF-8, malformed, no object or over a limit; the texts never quote the body.
 */
export function parseBody(bytes: Buffer, contentType: string, limits: JsonLimits): JsonObject | undefined {
  if (bytes.length === 0) return undefined
  if (!isUtf8(bytes)) throw invalid('request body is not valid UTF-8')
  const text = bytes.toString('utf8')
  if (isForm(text, contentType)) return parseForm(text)
  if (text.trim() === '') return undefined
  try {
    const value = parseJson(text, limits)
    if (value === null) return undefined
    if (!isJsonObject(value)) throw new JsonError('JSON must be an object')
    return value
  } catch (error) {
    if (error instanceof JsonError) throw invalid(`failed to decode JSON input: ${error.message}`)
    throw error
  }
}

/** The media type of a Content-Type header, lower-case, without parameters. */
export function mediaType(contentType: string): string {
  const semicolon = contentType.indexOf(';')
  return (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase()
}

// curl sends JSON under this type too: what begins like JSON is JSON.
const isForm = (text: string, contentType: string): boolean =>
  contentType !== '' &&
  mediaType(contentType) === 'application/x-www-form-urlencoded' &&
  !/^[ \t\r\n]*(?:[[{]|$)/.test(text)

function parseForm(text: string): JsonObject {
  const form: JsonObject = {}
  let count = 0
  for (const [key, value] of pairsOf(text, 0)) {
    if (++count > queryParametersMax) throw invalid(`form has more than ${queryParametersMax} fields`)
    const known = Object.hasOwn(form, key) ? form[key] : undefined
    const joined = known === undefined ? value : `${known},${value}`
    // Defined, not assigned: `__proto__` is a name like any other.
    Object.defineProperty(form, key, { value: joined, enumerable: true, configurable: true, writable: true })
  }
  return form
}
