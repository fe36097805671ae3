// Reads a log as lines of bytes, piece by piece, and finds in each what the chain says. Bytes, not text: a byte that is no UTF-8 must
// not turn into another line's hash.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { lineEnd, lineEndBytesMax, lineHash } from './chain.ts'

/** One log file, or part of one. `chunks` may be split anywhere. */
export interface LogInput {
  readonly name: string
  readonly chunks: AsyncIterable<Uint8Array>
}

/** Where a line stands: file and number, counted from 1. */
export interface Place {
  readonly file: string
  readonly line: number
}

/** A line that says where in a chain it belongs. */
export interface ChainLine extends Place {
  readonly chain: string
  readonly seq: number
  readonly prev: string
  readonly hash: string
  readonly signature: string | undefined
  /** RFC 3339, as it stands in the line. */
  readonly time: string
  /** From brace to brace. */
  readonly json: Buffer
  /** Bytes before it in the same line that are a piece of another one. */
  readonly torn: Piece | undefined
}

/** Bytes that are no line of a chain. */
export interface Piece extends Place {
  readonly bytes: number
  readonly sha256: string
  /** Whether they break off in the middle of a JSON value, as a write cut short does. */
  readonly cut: boolean
}

const lineBytesMax = 128 * 1024 * 1024
const lineBreak = 0x0a
const start = Buffer.from('{"time":"')

/** A line longer than any line can be. */
export class LineTooLong extends Error {
  override name = 'LineTooLong'
  readonly place: Place
  constructor(place: Place) {
    super(`line ${place.line} is longer than ${lineBytesMax} bytes`)
    this.place = place
  }
}

/** Gives the lines of a log; `ended` is false for a last line without a line break. Throws `LineTooLong`. */
export async function* readLines(input: LogInput): AsyncGenerator<{ place: Place; bytes: Buffer; ended: boolean }> {
  let line = 1
  let held: Buffer[] = []
  let heldBytes = 0
  for await (const chunk of input.chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    let from = 0
    for (let at = bytes.indexOf(lineBreak); at !== -1; at = bytes.indexOf(lineBreak, from)) {
      const piece = bytes.subarray(from, at)
      yield {
        place: { file: input.name, line },
        bytes: held.length === 0 ? piece : Buffer.concat([...held, piece]),
        ended: true,
      }
      held = []
      heldBytes = 0
      line++
      from = at + 1
    }
    if (from === bytes.length) continue
    held.push(Buffer.from(bytes.subarray(from)))
    heldBytes += bytes.length - from
    if (heldBytes > lineBytesMax) throw new LineTooLong({ file: input.name, line })
  }
  if (heldBytes > 0) yield { place: { file: input.name, line }, bytes: Buffer.concat(held), ended: false }
}

/** Whether bytes open a JSON object and break off before it is closed. */
function breaksOff(bytes: Buffer): boolean {
  let depth = 0
  let quoted = false
  for (let i = bytes.indexOf(0x7b); i >= 0 && i < bytes.length; i++) {
    const c = bytes[i]
    if (quoted) {
      if (c === 0x5c) i++
      else if (c === 0x22) quoted = false
    } else if (c === 0x22) quoted = true
    else if (c === 0x7b || c === 0x5b) depth++
    else if ((c === 0x7d || c === 0x5d) && --depth === 0) return false
  }
  return depth > 0 || bytes.indexOf(0x7b) === -1
}

const pieceOf = (bytes: Buffer, place: Place): Piece => ({
  ...place,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
  cut: breaksOff(bytes),
})

/** Finds where the line itself begins: behind a prefix, and behind a piece of another line that a crash left in front of it. */
function jsonStart(bytes: Buffer): { at: number; torn: boolean } {
  const first = bytes.indexOf(start)
  if (first === -1) return { at: -1, torn: false }
  let at = first
  let next = bytes.indexOf(start, at + 1)
  if (next === -1) return { at, torn: false }
  // Data may hold the same text; only a line that is no JSON from its first brace on has something in front of it.
  for (; ; next = bytes.indexOf(start, at + 1)) {
    try {
      JSON.parse(bytes.toString('utf8', at))
      return { at, torn: at !== first }
    } catch {
      if (next === -1) return { at: first, torn: false }
      at = next
    }
  }
}

/** Reads what a line says of its chain; a `Piece` when it says nothing that can be used. */
export function readChainLine(bytes: Buffer, place: Place): ChainLine | Piece {
  const { at, torn } = jsonStart(bytes)
  const json = bytes.subarray(Math.max(0, at))
  const end = at === -1 ? null : lineEnd.exec(json.toString('latin1', Math.max(0, json.length - lineEndBytesMax)))
  if (!end?.[1] || !end[3]) return pieceOf(bytes, place)
  const timeEnd = json.indexOf(0x22, start.length)
  return {
    ...place,
    chain: end[1],
    seq: Number(end[2]),
    prev: end[3],
    hash: lineHash(json),
    signature: end[4],
    time: json.toString('latin1', start.length, Math.min(timeEnd, start.length + 40)),
    json,
    torn: torn ? pieceOf(bytes.subarray(0, at), place) : undefined,
  }
}
