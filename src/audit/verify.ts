// Verifies a log offline: with the public key alone it finds the first line that was altered, removed, put in or moved; with the
// anchors also a tail that was cut off. Reads the log once, line by line, and keeps only where each chain stands.
import { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import { type Anchor, type Checkpoint, type Link, signatureDomain } from './chain.ts'
import {
  type ChainLine,
  LineTooLong,
  type LogInput,
  type Piece,
  type Place,
  readChainLine,
  readLines,
} from './log-lines.ts'
import { fingerprintOf, signatureHolds } from './signer.ts'

export type { LogInput } from './log-lines.ts'

import { explainBreak, type Finding, type FindingKind, lookAhead, type Mark, markOf } from './suspect.ts'

/** What to verify with. */
export interface VerifyOptions {
  /** The key that signs, or all keys that ever did. */
  readonly publicKey: KeyObject | readonly KeyObject[]
  /** Signed positions kept outside of the log. */
  readonly anchors?: readonly KnownAnchor[]
}

/** An anchor to hold against a log. One that names a device counts only for a log that this device wrote. */
export interface KnownAnchor extends Pick<Anchor, 'chain' | 'seq' | 'hash' | 'time'> {
  /** Accessor of the device. */
  readonly device?: string
  /** Where the chain is written; counts only for a log that was written there. */
  readonly place?: string
}

/** How far a chain goes in the log. */
export interface ChainReport {
  readonly chain: string
  /** Accessor of the device that wrote it. */
  readonly device: string
  readonly first: number
  readonly last: number
  /** Number of the last checkpoint. */
  readonly signed: number
  /** Whether it was ended in order. */
  readonly closed: boolean
  readonly lastLine: Place
}

/** What verification found: `ok` when nothing is wrong with what was given. */
export interface VerifyReport {
  readonly ok: boolean
  readonly finding: Finding | undefined
  readonly lines: number
  readonly checkpoints: number
  /** Lines behind the last checkpoint of their chain: chained, but not yet signed. */
  readonly unsigned: number
  /** Entries that a device said it could not take. */
  readonly lost: number
  readonly chains: readonly ChainReport[]
  /** What is no fault and worth knowing (at most a hundred). */
  readonly notes: readonly string[]
}

interface ChainState {
  readonly device: string
  readonly place: string | undefined
  readonly first: number
  last: Mark
  signed: Mark
  closed: boolean
}

const notesMax = 100
const piecesMax = 1000
const signatureTail = Buffer.byteLength(`,"signature":"${'x'.repeat(88)}"}`)
const opening: readonly string[] = ['start', 'reopen', 'recreated']
// Behind `{"time":"…",`, whose length never changes.
const lostAt = 41
const lostMark = Buffer.from('"type":"lost","lost":')

const wrong = (kind: FindingKind, place: Place, reason: string): Finding => ({
  kind,
  file: place.file,
  line: place.line,
  reason,
})

/** One run over a log. */
class Verification {
  readonly #keys: ReadonlyMap<string, KeyObject>
  readonly #anchors: ReadonlyMap<string, KnownAnchor>
  readonly #chains = new Map<string, ChainState>()
  readonly #notes: string[] = []
  #pieces: Piece[] = []
  #suspect: { chain: string; last: Mark; next: Mark[] } | undefined
  #headTime: string | undefined
  #place: Place = { file: '', line: 0 }
  #lines = 0
  #checkpoints = 0
  #lost = 0

  constructor({ publicKey, anchors = [] }: VerifyOptions) {
    const keys = Array.isArray(publicKey) ? (publicKey as readonly KeyObject[]) : [publicKey as KeyObject]
    this.#keys = new Map(keys.map((key) => [fingerprintOf(key), key]))
    this.#anchors = new Map(anchors.map((anchor) => [anchor.chain, anchor]))
  }

  #note(place: Place, text: string): void {
    if (this.#notes.length < notesMax) this.#notes.push(`${place.file}:${place.line}: ${text}`)
  }

  /** Takes the next line; gives what is wrong as soon as it is known. */
  take(bytes: Buffer, place: Place, ended: boolean): Finding | undefined {
    if (bytes.length === 0) return undefined
    this.#lines++
    this.#place = place
    const line = readChainLine(bytes, place)
    if (!('chain' in line)) return this.#takePiece(line, ended)
    if (this.#suspect) return this.#takeBehind(line)
    if (line.torn) {
      if (line.torn.cut)
        this.#note(place, `${line.torn.bytes} bytes of a write that was cut short stand before the line`)
      else return wrong('inserted', place, 'something that is no line of a chain stands before the line')
    }
    this.#headTime ??= line.time
    return this.#takeLine(line)
  }

  #takePiece(piece: Piece, ended: boolean): Finding | undefined {
    if (!ended && piece.cut) {
      this.#note(piece, 'the last line is incomplete: cut short, or still being written')
      return undefined
    }
    this.#pieces.push(piece)
    return this.#pieces.length > piecesMax ? this.#strange(this.#pieces[0] as Piece) : undefined
  }

  #strange(piece: Piece): Finding {
    return wrong('altered', piece, 'it is no line of a chain: altered, or put in')
  }

  /** Collects lines behind a break until it can be told what happened. */
  #takeBehind(line: ChainLine): Finding | undefined {
    const suspect = this.#suspect
    if (!suspect || line.chain !== suspect.chain) return undefined
    const checkpoint = line.signature === undefined ? undefined : this.#readCheckpoint(line)
    suspect.next.push(markOf(line, checkpoint !== undefined && !('kind' in checkpoint)))
    return suspect.next.length < lookAhead ? undefined : this.#explain()
  }

  #explain(): Finding | undefined {
    const suspect = this.#suspect
    return suspect && explainBreak(suspect.last, suspect.next, this.#pieces)
  }

  #readCheckpoint(line: ChainLine): Checkpoint | Finding {
    let said: Partial<Checkpoint> | undefined
    try {
      said = (JSON.parse(line.json.toString('utf8')) as { checkpoint?: Partial<Checkpoint> }).checkpoint
    } catch {}
    if (typeof said?.key !== 'string' || typeof said.event !== 'string' || typeof said.device !== 'string')
      return wrong('forged', line, 'it is signed, but no checkpoint')
    const key = this.#keys.get(said.key)
    if (!key) return wrong('forged', line, `it is signed with another key (${said.key.slice(0, 80)})`)
    const signed = Buffer.concat([
      Buffer.from(signatureDomain),
      line.json.subarray(0, line.json.length - signatureTail),
    ])
    if (!signatureHolds(key, signed, line.signature ?? ''))
      return wrong('forged', line, 'its signature does not hold: the checkpoint was altered or forged')
    return said as Checkpoint
  }

  #takeLine(line: ChainLine): Finding | undefined {
    const checkpoint = line.signature === undefined ? undefined : this.#readCheckpoint(line)
    if (checkpoint && 'kind' in checkpoint) return checkpoint
    const state = this.#chains.get(line.chain)
    const mark = markOf(line, checkpoint !== undefined)
    if (state) {
      if (state.closed) return wrong('inserted', line, `its chain ended at line ${state.last.line}`)
      if (line.seq !== state.last.seq + 1 || line.prev !== state.last.hash) {
        this.#suspect = { chain: line.chain, last: state.last, next: [mark] }
        return undefined
      }
      state.last = mark
    } else if (!checkpoint || !opening.includes(checkpoint.event)) return this.#noBeginning(line)
    const anchor = this.#anchors.get(line.chain)
    if (anchor?.seq === line.seq && anchor.hash !== line.hash)
      return wrong('altered', line, `it is not the line that was anchored as number ${anchor.seq}`)
    if (checkpoint) return this.#takeCheckpoint(line, mark, checkpoint)
    if (line.json.subarray(lostAt, lostAt + lostMark.length).equals(lostMark)) this.#countLost(line)
    return undefined
  }

  #countLost(line: ChainLine): void {
    const { lost } = JSON.parse(line.json.toString('utf8')) as { lost?: unknown }
    const entries = typeof lost === 'number' ? lost : 0
    this.#lost += entries
    this.#note(line, `the device could not take ${entries} entries`)
  }

  /** A chain that shows up without a signed first line. */
  #noBeginning(line: ChainLine): Finding {
    for (const [chain, { last }] of this.#chains)
      if (last.hash === line.prev && last.seq + 1 === line.seq)
        return wrong('altered', line, `it follows line ${last.line}, but does not name its chain ${chain}`)
    const piece = this.#pieces[0]
    if (piece) return this.#strange(piece)
    return line.seq === 1
      ? wrong('inserted', line, `no signed line begins its chain ${line.chain}`)
      : wrong(
          'missing',
          line,
          `its chain ${line.chain} begins with number ${line.seq}: the lines before it are missing`,
        )
  }

  #takeCheckpoint(line: ChainLine, mark: Mark, checkpoint: Checkpoint): Finding | undefined {
    this.#checkpoints++
    let state = this.#chains.get(line.chain)
    if (!state) {
      const { device, place } = checkpoint
      state = { device, place, first: line.seq, last: mark, signed: mark, closed: false }
      this.#chains.set(line.chain, state)
      if (line.seq > 1)
        this.#note(line, `chain ${line.chain} begins with number ${line.seq}: what is before is in an earlier file`)
    }
    state.signed = mark
    state.closed = checkpoint.event === 'stop'
    if (checkpoint.event === 'recreated')
      this.#note(line, 'the file had been taken away and was made anew: lines may be missing from it')
    for (const torn of checkpoint.torn ?? []) {
      const kept = this.#pieces.filter(({ bytes, sha256 }) => bytes !== torn.bytes || sha256 !== torn.sha256)
      if (kept.length < this.#pieces.length)
        this.#note(line, `vouches for a line that a crash or a full disk cut short`)
      this.#pieces = kept
    }
    for (const link of checkpoint.previous ?? []) {
      const finding = this.#follow(link, line)
      if (finding) return finding
    }
    return undefined
  }

  /** Checks that an earlier chain reaches as far as a later one says. */
  #follow(link: Link, line: ChainLine): Finding | undefined {
    const state = this.#chains.get(link.chain)
    if (!state) {
      if (this.#headTime !== undefined && link.time >= this.#headTime)
        return wrong('missing', line, `chain ${link.chain}, which it refers to, is missing before it`)
      this.#note(line, `refers to chain ${link.chain}, which is in an earlier file`)
      return undefined
    }
    const { last, signed } = state
    if (last.seq < link.seq)
      return wrong(
        'missing',
        last,
        `chain ${link.chain} breaks off here with number ${last.seq}; number ${link.seq} had been written when line ${line.line} was`,
      )
    for (const mark of [signed, last])
      if (mark.seq === link.seq && mark.hash !== link.hash)
        return wrong('altered', mark, `line ${line.line} was chained to another line in its place`)
    return undefined
  }

  /** Says what is wrong once all is read. */
  end(): Finding | undefined {
    const broken = this.#explain()
    if (broken) return broken
    const piece = this.#pieces[0]
    if (piece) return this.#strange(piece)
    for (const anchor of this.#anchors.values()) {
      const state = this.#chains.get(anchor.chain)
      if (state && state.last.seq < anchor.seq)
        return wrong(
          'cut',
          state.last,
          `chain ${anchor.chain} ends here with number ${state.last.seq}; number ${anchor.seq} was anchored: the tail was cut off`,
        )
      if (state || !this.#concerns(anchor)) continue
      if (this.#headTime !== undefined && anchor.time < this.#headTime)
        this.#note(this.#place, `anchored chain ${anchor.chain} is in an earlier file`)
      else return wrong('cut', this.#place, `anchored chain ${anchor.chain} is not in the log: it was cut off`)
    }
    return undefined
  }

  /** Whether an anchored chain belongs into this log: nodes that share a store write the same device in different places. */
  #concerns(anchor: KnownAnchor): boolean {
    if (anchor.device === undefined && (anchor.place === undefined || this.#chains.size === 0)) return true
    for (const { device, place } of this.#chains.values())
      if ((anchor.device ?? device) === device && (anchor.place ?? place) === (place ?? anchor.place)) return true
    return false
  }

  report(finding: Finding | undefined): VerifyReport {
    const chains = [...this.#chains].map(([chain, { device, first, last, signed, closed }]) => ({
      chain,
      device,
      first,
      last: last.seq,
      signed: signed.seq,
      closed,
      lastLine: { file: last.file, line: last.line },
    }))
    return {
      ok: finding === undefined,
      finding,
      lines: this.#lines,
      checkpoints: this.#checkpoints,
      unsigned: chains.reduce((sum, { last, signed }) => sum + last - signed, 0),
      lost: this.#lost,
      chains,
      notes: this.#notes,
    }
  }
}

/**
 * Verifies log files, the oldest first, and stops at the first thing that is wrong. Lines of several chains (devices' processes) may
 * stand between each other; every line may have a prefix. Rejects only when an input cannot be read.
 */
export async function verifyLog(inputs: Iterable<LogInput>, options: VerifyOptions): Promise<VerifyReport> {
  const run = new Verification(options)
  try {
    for (const input of inputs)
      for await (const { place, bytes, ended } of readLines(input)) {
        const finding = run.take(bytes, place, ended)
        if (finding) return run.report(finding)
      }
  } catch (error) {
    if (error instanceof LineTooLong) return run.report(wrong('inserted', error.place, error.message))
    throw error
  }
  return run.report(run.end())
}
