// Reads how a log ends: its last whole line, and what a crash may have left behind it. It reads from the end in blocks, never the
// whole file, and gives up on what is larger than any line could be.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { type Link, lineEnd, lineEndBytesMax, lineHash } from '../chain.ts'
import type { Found } from './sink.ts'

const blockBytes = 64 * 1024
// A line with a value of 32 MiB in clear, escaped.
const tornBytesMax = 96 * 1024 * 1024
const lineBytesMax = 4 * 1024 * 1024

const lineBreak = 0x0a
const brace = 0x7b

/** Gives the offset behind the last line break before `end`; 0 when there is none, undefined when it is too far away. */
async function lineStart(file: FileHandle, end: number, bytesMax: number): Promise<number | undefined> {
  const block = Buffer.alloc(Math.min(blockBytes, end))
  for (let upTo = end; upTo > 0; ) {
    if (end - upTo > bytesMax) return undefined
    const from = Math.max(0, upTo - block.length)
    const { bytesRead } = await file.read(block, 0, upTo - from, from)
    const at = block.subarray(0, bytesRead).lastIndexOf(lineBreak)
    if (at !== -1) return from + at + 1
    upTo = from
  }
  return 0
}

async function digest(file: FileHandle, from: number, to: number): Promise<string> {
  const sum = createHash('sha256')
  const block = Buffer.alloc(blockBytes)
  for (let at = from; at < to; ) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, to - at), at)
    if (bytesRead === 0) break
    sum.update(block.subarray(0, bytesRead))
    at += bytesRead
  }
  return sum.digest('hex')
}

/** Reads the place of a line in its chain; undefined when it is no line of ours. */
function linkOf(line: Buffer): Link | undefined {
  const start = line.indexOf(brace)
  if (start === -1) return undefined
  const json = line.subarray(start)
  const end = lineEnd.exec(json.subarray(Math.max(0, json.length - lineEndBytesMax)).toString('latin1'))
  const time = /^\{"time":"([^"]{1,40})"/.exec(json.subarray(0, 64).toString('latin1'))
  if (!end?.[1] || !time?.[1]) return undefined
  return { chain: end[1], seq: Number(end[2]), hash: lineHash(json), time: time[1] }
}

/** Reads how a file of `size` bytes ends. */
export async function readTail(file: FileHandle, size: number): Promise<Found> {
  if (size === 0) return {}
  const tornAt = await lineStart(file, size, tornBytesMax)
  // Bytes without an end that are longer than any line: not ours to explain.
  if (tornAt === undefined) return {}
  const torn = tornAt === size ? undefined : { bytes: size - tornAt, sha256: await digest(file, tornAt, size) }
  const start = tornAt === 0 ? undefined : await lineStart(file, tornAt - 1, lineBytesMax)
  let tail: Link | undefined
  if (start !== undefined && tornAt - 1 > start) {
    const line = Buffer.alloc(tornAt - 1 - start)
    const { bytesRead } = await file.read(line, 0, line.length, start)
    tail = linkOf(line.subarray(0, bytesRead))
  }
  return { ...(tail ? { tail } : {}), ...(torn ? { torn } : {}) }
}
