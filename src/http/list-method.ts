// LIST and SCAN as HTTP methods. Node's parser refuses every verb it does not know; this file takes the refused bytes, puts a verb
// the parser does know in their place, remembers the true one beside the socket and lets the same parser go on. Request targets with raw
// bytes beyond ASCII, which clients do send, go the same way, percent-encoded. It is the only place that knows the inside of Node's
// parser. Other requests never come here, and no client can set the marker.
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

// What the parser is given to read instead. A client that sends this verb itself has no marker and is told 405.
const standIn = 'LINK'
const verbLengthMax = 32
const needle = Buffer.from(standIn)

// A verb, where the parser stumbles over it, and what may not stand before it: the other beginnings of known verbs that end alike.
const shimmed = [
  { verb: 'LIST', at: 2, notAfter: ['UN'] },
  { verb: 'SCAN', at: 1, notAfter: ['OPTION', 'M-'] },
] as const

interface ParserError extends Error {
  readonly code?: string
  readonly rawPacket?: Buffer
  readonly bytesParsed?: number
}

/** The part of Node's HTTP parser that is used here (node:http keeps it at `socket.parser`). */
interface Parser {
  initialize(type: number, resource: object, headerBytesMax: number, lenient: number, connections: unknown): void
  remove(): void
  readonly constructor: { readonly REQUEST: number }
}

interface Rescue {
  /** What the parser stumbled over. */
  readonly over: 'verb' | 'target'
  /** Bytes since the parser gave up, from `position` (where it stumbled) on. */
  bytes: Buffer
  position: number
  scheduled: boolean
  /** The client has closed its side meanwhile. */
  ended: boolean
  readonly onEnd: () => void
  /** Who else listens for that: node:http, which would take the connection down, as it knows of no request. */
  readonly endListeners: readonly (() => void)[]
}

/** A socket while a verb is being replaced, and then until its request has been emitted. */
interface ShimmedSocket extends Duplex {
  parser?: Parser | null
  /** Set by node:http while pipelined answers wait to be sent; it takes no data meanwhile. */
  _paused?: boolean
  [rescueKey]?: Rescue | undefined
  [verbKey]?: string | undefined
}
const rescueKey = Symbol('verb rescue')
const verbKey = Symbol('verb')

/** What a packet says about the verb in which the parser stumbled. */
export type Refused =
  | { readonly kind: 'verb'; readonly verb: string; readonly rest: Buffer }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'garbage' }

const isToken = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) ||
  (code >= 0x41 && code <= 0x5a) ||
  (code >= 0x61 && code <= 0x7a) ||
  "!#$%&'*+-.^_`|~".includes(String.fromCharCode(code))

/**
 * Finds the verb that the parser refused at `position` of `bytes`. The beginning of the verb may have come in an earlier packet,
 * which nobody has kept; the rest then decides.
 */
export function refusedVerb(bytes: Buffer, position: number): Refused {
  for (const { verb, at, notAfter } of shimmed) {
    const seen = Math.min(at, position)
    const start = position - seen
    const text = bytes.toString('latin1', start, position + verb.length - at + 1)
    const wanted = `${verb} `.slice(at - seen)
    const before = bytes.toString('latin1', Math.max(0, start - 6), start)
    if (notAfter.some((end) => before.endsWith(end))) continue
    if (text === wanted) return { kind: 'verb', verb, rest: bytes.subarray(start + wanted.length - 1) }
    if (wanted.startsWith(text)) return { kind: 'incomplete' }
  }
  let start = position
  while (start > 0 && position - start < verbLengthMax && isVerbLetter(bytes[start - 1] as number)) start--
  let end = position
  while (end < bytes.length && end - start <= verbLengthMax && isToken(bytes[end] as number)) end++
  if (end - start > verbLengthMax) return { kind: 'garbage' }
  if (end === bytes.length) return { kind: 'incomplete' }
  if (bytes[end] !== 0x20 || end === start) return { kind: 'garbage' }
  return { kind: 'verb', verb: bytes.toString('latin1', start, end), rest: bytes.subarray(end) }
}

/**
 * Mends a request whose target holds raw bytes beyond ASCII, of which the one at `position` was refused: the request from its verb on,
 * those bytes percent-encoded. Undefined for every other fault, and where the verb does not stand at the beginning of the packet or of a line.
 */
export function mendedTarget(bytes: Buffer, position: number): Buffer | undefined {
  if (position >= bytes.length || (bytes[position] as number) < 0x80) return undefined
  let target = position
  while (target > 0 && !isGap(bytes[target - 1] as number)) target--
  let start = target - 1
  if (start < 1 || bytes[start] !== 0x20) return undefined
  while (start > 0 && isVerbLetter(bytes[start - 1] as number)) start--
  if (start === target - 1 || (start > 0 && bytes[start - 1] !== 0x0a)) return undefined
  let end = position
  while (end < bytes.length && !isGap(bytes[end] as number)) end++
  const text = bytes
    .toString('latin1', target, end)
    .replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`)
  return Buffer.concat([bytes.subarray(start, target), Buffer.from(text, 'latin1'), bytes.subarray(end)])
}

const isGap = (code: number): boolean => code === 0x20 || code === 0x0d || code === 0x0a
const isVerbLetter = (code: number): boolean => (code >= 0x41 && code <= 0x5a) || code === 0x2d

/** The shim of one server. */
export interface VerbShim {
  /**
   * To be asked first on each `clientError`: true when the error was an unknown verb or a target beyond ASCII and the request goes on (or
   * waits for the rest of its verb); false when the error is a real one.
   */
  rescue(error: Error, socket: Duplex): boolean
  /** Gives the verb as the client sent it. To be asked once per request, for the stand-in verb (`isStandIn`) only. */
  verbOf(request: IncomingMessage): string
}

/** Whether a method may be a replaced one, so that `verbOf` must be asked. */
export const isStandIn = (method: string | undefined): boolean => method === standIn

/** Ends a rescue: the listeners that were kept from hearing the end of the stream hear of it again. */
function giveBack(socket: ShimmedSocket, rescue: Rescue): void {
  socket[rescueKey] = undefined
  socket.removeListener('end', rescue.onEnd)
  for (const listener of rescue.endListeners) socket.on('end', listener)
}

/** Makes the shim for a server; unknown verbs other than LIST and SCAN reach the request listener too, under their own name. */
export function verbShim(server: Server, headerBytesMax: number): VerbShim {
  const symbols = Object.getOwnPropertySymbols(server)
  const resume = (socket: ShimmedSocket): void => {
    const rescue = socket[rescueKey]
    if (!rescue || socket.destroyed || socket.writableEnded || !socket.parser) return
    if (socket._paused) {
      socket.once('resume', () => resume(socket))
      return
    }
    rescue.scheduled = false
    const found = rescue.over === 'verb' ? refusedVerb(rescue.bytes, rescue.position) : undefined
    if (found?.kind === 'incomplete' && !rescue.ended) return
    giveBack(socket, rescue)
    const mended = found ? undefined : mendedTarget(rescue.bytes, rescue.position)
    const replay = found?.kind === 'verb' ? Buffer.concat([needle, found.rest]) : mended
    if (!replay) {
      server.emit(
        'clientError',
        Object.assign(new Error('malformed request line'), { code: 'HPE_INVALID_METHOD' }),
        socket,
      )
      return
    }
    const parser = socket.parser
    const connections = (server as unknown as Record<symbol, unknown>)[
      symbols.find((symbol) => symbol.description === 'http.server.connections') ?? rescueKey
    ]
    parser.remove()
    parser.initialize(parser.constructor.REQUEST, { socket }, headerBytesMax, 0, connections)
    if (found?.kind === 'verb') socket[verbKey] = found.verb
    // The listener of node:http takes it from here, as if it had come from the network.
    socket.emit('data', replay)
    if (rescue.ended) socket.emit('end')
  }
  const schedule = (socket: ShimmedSocket, rescue: Rescue): void => {
    if (rescue.scheduled) return
    rescue.scheduled = true
    // Not at once: the parser is still inside the call that failed, and aborts the process when it is entered again.
    setImmediate(resume, socket)
  }

  return {
    rescue(error, duplex) {
      const socket = duplex as ShimmedSocket
      const { code, rawPacket, bytesParsed } = error as ParserError
      const waiting = socket[rescueKey]
      const over = code === 'HPE_INVALID_METHOD' ? 'verb' : code === 'HPE_INVALID_URL' ? 'target' : undefined
      if (!over || rawPacket === undefined || !socket.parser) {
        if (waiting) giveBack(socket, waiting)
        return false
      }
      if (waiting) {
        waiting.bytes = Buffer.concat([waiting.bytes, rawPacket])
        schedule(socket, waiting)
        return true
      }
      const position = Math.min(bytesParsed ?? 0, rawPacket.length)
      const from = over === 'target' ? 0 : Math.max(0, position - verbLengthMax)
      if (over === 'verb' && refusedVerb(rawPacket.subarray(from), position - from).kind === 'garbage') return false
      if (over === 'target' && !mendedTarget(rawPacket, position)) return false
      const rescue: Rescue = {
        over,
        bytes: rawPacket.subarray(from),
        position: position - from,
        scheduled: false,
        ended: false,
        onEnd() {
          rescue.ended = true
          schedule(socket, rescue)
        },
        endListeners: socket.rawListeners('end') as (() => void)[],
      }
      socket[rescueKey] = rescue
      // A client that closes its side right after the request still gets the answer.
      socket.removeAllListeners('end')
      socket.on('end', rescue.onEnd)
      schedule(socket, rescue)
      return true
    },
    verbOf(request) {
      const socket = request.socket as unknown as ShimmedSocket
      const verb = socket[verbKey]
      socket[verbKey] = undefined
      return verb ?? standIn
    },
  }
}
