// The format of a snapshot: a gzip'd tar, as backup tools of Vault's raft storage expect it. `meta.json` in clear, then the entries of a store as
// one encrypted stream cut into `state/<n>`, then sums. Each piece is bound to its snapshot, number and whether it is the last (the STREAM
// construction), so what is altered, reordered, cut off or mixed is noticed. It never writes a key or a value in clear.
import { createHash, type KeyObject } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import { AuthenticationFailed, boxOverhead, openBox, sealBox } from '../crypto/aead.ts'
import { readTar, TarError, tarEnd, tarEntry } from '../lib/tar.ts'
import { type Entry, keyBytesMax, valueBytesMax } from './storage.ts'

export const snapshotFormat = 'coffer-snapshot/1'
/** Bytes of plaintext in each piece but the last. */
export const pieceBytes = 1024 * 1024

/** `meta.json`: what a snapshot says of itself in clear. */
export interface SnapshotHeader {
  readonly format: typeof snapshotFormat
  readonly id: string
  /** RFC 3339. */
  readonly created: string
  readonly coffer_version: string
  readonly cluster_id: string
  readonly storage_type: string
  readonly storage_format: number
  /** The key of the stream, encrypted (base64), and the records that lead to what encrypts it. */
  readonly key: string
  readonly seal: unknown
}

/** `end.json`: what was written. */
export interface SnapshotEnd {
  readonly entries: number
  readonly pieces: number
  /** Bytes of keys and values. */
  readonly bytes: number
}

/** The file is no snapshot, or not the one that was written; the message is fit for an operator's eyes. */
export class SnapshotDamaged extends Error {
  override name = 'SnapshotDamaged'
}

const names = { header: 'meta.json', end: 'end.json', sums: 'SHA256SUMS', sealedSums: 'SHA256SUMS.sealed' } as const
const pieceName = (n: number): string => `state/${String(n).padStart(8, '0')}`
const pieceAdditional = (id: string, n: number, last: boolean): Buffer =>
  Buffer.from(`${snapshotFormat} ${id} ${n} ${last ? 'last' : 'more'}`)
const sumsAdditional = (id: string): Buffer => Buffer.from(`${snapshotFormat} ${id} sums`)
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const sumsText = (header: Uint8Array, state: string, end: Uint8Array): Buffer =>
  Buffer.from(`${sha256(header)}  ${names.header}\n${state}  state\n${sha256(end)}  ${names.end}\n`)

const lengthBytes = 8

/** What stands before a value in the stream: both lengths, and the key. */
function headOf({ key, value }: Pick<Entry, 'key' | 'value'>): Buffer {
  const keyLength = Buffer.byteLength(key)
  const head = Buffer.allocUnsafe(lengthBytes + keyLength)
  head.writeUInt32BE(keyLength, 0)
  head.writeUInt32BE(value.byteLength, 4)
  head.write(key, lengthBytes)
  return head
}

/** Writes a snapshot, piece by piece. `header` is in the first piece; an error of the entries cuts it off where anybody sees it. */
export function writeSnapshot(
  header: SnapshotHeader,
  key: KeyObject,
  pages: AsyncIterable<readonly Pick<Entry, 'key' | 'value'>[]>,
): AsyncIterable<Uint8Array> {
  // Ciphertext does not shrink: gzip is the wrapping that tools expect, without the work.
  const gzip = createGzip({ level: 0 })
  pipeline(Readable.from(archive(header, key, pages), { objectMode: false }), gzip, () => undefined)
  return gzip
}

async function* archive(
  header: SnapshotHeader,
  key: KeyObject,
  pages: AsyncIterable<readonly Pick<Entry, 'key' | 'value'>[]>,
): AsyncGenerator<Uint8Array> {
  const mtime = Math.floor(Date.parse(header.created) / 1000)
  const headerText = Buffer.from(`${JSON.stringify(header, null, 2)}\n`)
  yield tarEntry(names.header, headerText, mtime)

  const state = createHash('sha256')
  const counted = { entries: 0, pieces: 0, bytes: 0 }
  const sealed = (plain: Uint8Array, last: boolean): Buffer => {
    const box = sealBox(key, plain, pieceAdditional(header.id, counted.pieces, last))
    state.update(box)
    return tarEntry(pieceName(counted.pieces++), box, mtime)
  }
  const piece = Buffer.allocUnsafe(pieceBytes)
  let used = 0
  for await (const page of pages)
    for (const entry of page) {
      const head = headOf(entry)
      counted.entries++
      counted.bytes += head.length - lengthBytes + entry.value.byteLength
      for (let bytes of [head, entry.value] as Uint8Array[])
        while (bytes.byteLength > 0) {
          // Only when more follows: the last piece is never known before the end.
          if (used === pieceBytes) {
            yield sealed(piece, false)
            used = 0
          }
          const part = bytes.subarray(0, pieceBytes - used)
          piece.set(part, used)
          used += part.byteLength
          bytes = bytes.subarray(part.byteLength)
        }
    }
  yield sealed(piece.subarray(0, used), true)

  const end: SnapshotEnd = counted
  const endText = Buffer.from(`${JSON.stringify(end)}\n`)
  const sums = sumsText(headerText, state.digest('hex'), endText)
  yield tarEntry(names.end, endText, mtime)
  yield tarEntry(names.sums, sums, mtime)
  yield tarEntry(names.sealedSums, sealBox(key, sums, sumsAdditional(header.id)), mtime)
  yield tarEnd
}

/** What a snapshot gives when it is read: its header, its pieces in order, and at the end what it says it holds. */
export type SnapshotPart =
  | { readonly is: 'header'; readonly header: SnapshotHeader }
  | { readonly is: 'piece'; readonly n: number; readonly last: boolean; readonly box: Buffer }
  | { readonly is: 'end'; readonly end: SnapshotEnd; readonly sums: Buffer; readonly sealedSums: Buffer }

/** Ciphertext does not shrink, so what grows much more than this when it is inflated was made to. */
const inflationMax = 2
const headBytesMax = 256 * 1024

async function* inflated(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  let read = 0
  const counting = async function* (): AsyncGenerator<Uint8Array> {
    for await (const bytes of source) {
      read += bytes.byteLength
      yield bytes
    }
  }
  let cause: unknown
  pipeline(Readable.from(counting(), { objectMode: false }), gunzip, (error) => {
    cause = error
  })
  let given = 0
  try {
    for await (const bytes of gunzip as AsyncIterable<Buffer>) {
      given += bytes.length
      if (given > inflationMax * read + headBytesMax)
        throw new SnapshotDamaged('the file is no snapshot: it inflates too much')
      yield bytes
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code?.startsWith('Z_')) throw new SnapshotDamaged('the file is no snapshot, or cut short', { cause: error })
    throw cause ?? error
  }
}

const parsed = <T>(content: Buffer, name: string): T => {
  try {
    return JSON.parse(content.toString('utf8')) as T
  } catch {
    throw new SnapshotDamaged(`${name} of the snapshot is malformed`)
  }
}

function headerOf(name: string, content: Buffer): SnapshotHeader {
  const header = name === names.header ? parsed<SnapshotHeader>(content, name) : undefined
  if (typeof header?.format !== 'string' || !header.format.startsWith('coffer-snapshot/'))
    throw new SnapshotDamaged('the file is no snapshot of Coffer')
  if (header.format !== snapshotFormat)
    throw new SnapshotDamaged(
      `the snapshot has the format ${String(header.format).slice(0, 40)}; this version reads ${snapshotFormat}`,
    )
  if (typeof header.id !== 'string' || typeof header.key !== 'string' || !Number.isSafeInteger(header.storage_format))
    throw new SnapshotDamaged(`${names.header} of the snapshot is malformed`)
  return header
}

/**
 * Reads a snapshot and checks its structure and its sums, to the last byte; throws `SnapshotDamaged`. Whether it is authentic, `openPiece` and
 * `openSums` tell those who have the key. Errors of the source are thrown as they are.
 */
export async function* readSnapshot(source: AsyncIterable<Uint8Array>): AsyncGenerator<SnapshotPart> {
  const state = createHash('sha256')
  let headerText: Buffer | undefined
  let pieces = 0
  let held: Buffer | undefined
  const tail = new Map<string, Buffer>()
  try {
    for await (const { name, content } of readTar(inflated(source), pieceBytes + boxOverhead)) {
      if (!headerText) {
        headerText = content
        yield { is: 'header', header: headerOf(name, content) }
      } else if (name === pieceName(pieces) && tail.size === 0) {
        if (held) yield { is: 'piece', n: pieces - 1, last: false, box: held }
        state.update(content)
        held = content
        pieces++
      } else if (name === [names.end, names.sums, names.sealedSums][tail.size]) tail.set(name, content)
      else throw new SnapshotDamaged('the parts of the snapshot are not in order')
    }
  } catch (error) {
    if (error instanceof TarError) throw new SnapshotDamaged(`the snapshot cannot be read: ${error.message}`)
    throw error
  }
  const [endText, sums, sealedSums] = [names.end, names.sums, names.sealedSums].map((name) => tail.get(name))
  if (!headerText || !held || !endText || !sums || !sealedSums) throw new SnapshotDamaged('the snapshot is cut short')
  const end = parsed<SnapshotEnd>(endText, names.end)
  if (end.pieces !== pieces || !sums.equals(sumsText(headerText, state.digest('hex'), endText)))
    throw new SnapshotDamaged('the sums of the snapshot do not match what it holds')
  yield { is: 'piece', n: pieces - 1, last: true, box: held }
  yield { is: 'end', end, sums, sealedSums }
}

const authentic = (open: () => Buffer): Buffer => {
  try {
    return open()
  } catch (error) {
    if (error instanceof AuthenticationFailed)
      throw new SnapshotDamaged('the snapshot does not authenticate: it was altered')
    throw error
  }
}

/** Decrypts a piece; throws `SnapshotDamaged` when it is not this piece of this snapshot. */
export const openPiece = (key: KeyObject, id: string, piece: { n: number; last: boolean; box: Uint8Array }): Buffer =>
  authentic(() => openBox(key, piece.box, pieceAdditional(id, piece.n, piece.last)))

/** Checks that header and end are those that were written; throws `SnapshotDamaged`. */
export function openSums(key: KeyObject, id: string, { sums, sealedSums }: { sums: Buffer; sealedSums: Buffer }): void {
  if (!authentic(() => openBox(key, sealedSums, sumsAdditional(id))).equals(sums))
    throw new SnapshotDamaged('the snapshot does not authenticate: its sums were altered')
}

/** An entry of the stream, and where in it the next one begins. */
export interface PlacedEntry {
  readonly key: string
  readonly value: Uint8Array
  readonly nextAt: number
}

/** Reads the entries of decrypted pieces that begin at byte `at` of the stream; throws `SnapshotDamaged` for what is no entry. */
export async function* entriesOf(plain: AsyncIterable<Buffer>, at: number): AsyncGenerator<PlacedEntry> {
  let held: Buffer[] = []
  let length = 0
  // Nothing is put together before all of an entry is there: a large one spans many pieces.
  let needed = lengthBytes
  let place = at
  for await (const piece of plain) {
    held.push(piece)
    length += piece.length
    if (length < needed) continue
    let rest: Buffer = held.length === 1 ? piece : Buffer.concat(held, length)
    for (needed = lengthBytes; rest.length >= needed; needed = lengthBytes) {
      const keyLength = rest.readUInt32BE(0)
      const valueLength = rest.readUInt32BE(4)
      if (keyLength === 0 || keyLength > keyBytesMax || valueLength > valueBytesMax)
        throw new SnapshotDamaged('the snapshot holds an entry that cannot be')
      needed = lengthBytes + keyLength + valueLength
      if (rest.length < needed) break
      place += needed
      const valueAt = lengthBytes + keyLength
      yield { key: rest.toString('utf8', lengthBytes, valueAt), value: rest.subarray(valueAt, needed), nextAt: place }
      rest = rest.subarray(needed)
    }
    held = rest.length > 0 ? [rest] : []
    length = rest.length
  }
  if (length > 0) throw new SnapshotDamaged('the snapshot ends inside an entry')
}
