// The chain: what makes an altered, removed or added line show. Every line says which chain it belongs to, its number and the hash of
// the line before it; checkpoints are signed. Lines are chained when they are written, so a line that was never written leaves no gap.
import { hash, randomBytes } from 'node:crypto'
import type { AuditSigner } from './signer.ts'
import { formatTime } from './time.ts'

/** The last signed position of a chain, kept outside of the log (and exported for `coffer audit verify`). */
export interface Anchor {
  readonly chain: string
  /** Number of the checkpoint line in its chain; the first line is 1. */
  readonly seq: number
  /** SHA-256 of the checkpoint line, hex. */
  readonly hash: string
  /** RFC 3339 with nine digits, as in the line. */
  readonly time: string
  /** Whether the chain was ended in order. */
  readonly closed: boolean
  /** Number up to which a later chain's first line refers to this chain; 0 for none. */
  readonly linked: number
  /** Where the chain is written: a host, and a file there. Nodes that share a store have logs of their own. */
  readonly place?: string
}

/** Where anchors are kept. One record per device and chain; `device` is the device's accessor. */
export interface AuditAnchors {
  /** Gives the anchors of all chains of the device. */
  load(device: string): Promise<readonly Anchor[]>
  /** Keeps an anchor in place of the one of the same chain. */
  save(device: string, anchor: Anchor): Promise<void>
  /** Forgets the anchor of a chain; forgetting what is absent is no error. */
  remove(device: string, chain: string): Promise<void>
}

/** A position in another chain that a first line refers to. */
export interface Link {
  readonly chain: string
  readonly seq: number
  readonly hash: string
  readonly time: string
}

/** A piece of a line that a crash left behind: how long it is and its SHA-256, so that a verifier knows it from a forgery. */
export interface Torn {
  readonly bytes: number
  readonly sha256: string
}

/** Why a checkpoint was written. `start`, `reopen` and `recreated` may be the first line of a file, no other. */
export type CheckpointEvent = 'start' | 'periodic' | 'rotate' | 'reopen' | 'recreated' | 'stop'

/** What a checkpoint line says beside its chain member. */
export interface Checkpoint {
  readonly event: CheckpointEvent
  /** Accessor of the device. */
  readonly device: string
  /** Fingerprint of the key that signs. */
  readonly key: string
  /** Where the chain is written, as in its anchors. */
  readonly place?: string
  readonly previous?: readonly Link[]
  readonly torn?: readonly Torn[]
}

/** What a first checkpoint may carry besides. */
export interface CheckpointFacts {
  readonly previous?: readonly Link[]
  readonly torn?: readonly Torn[]
}

/** Number and hash of a chain's last line. */
export interface Position {
  readonly seq: number
  readonly hash: string
}

/** The `prev` of a first line. */
export const noHash = '0'.repeat(64)
/** What stands in front of the signed bytes, so that a signature of a checkpoint can be nothing else. */
export const signatureDomain = 'coffer audit checkpoint 1\n'
/** How the end of every line looks: chain, number, hash of the line before, signature where there is one. */
export const lineEnd =
  /,"chain":\{"id":"([0-9a-f]{16})","seq":([1-9]\d{0,14}),"prev":"([0-9a-f]{64})"\}(?:,"signature":"([A-Za-z0-9+/]{86}==)")?\}$/
/** Bytes that match of `lineEnd` can have at most. */
export const lineEndBytesMax = 256

/** Hashes a line: its JSON from brace to brace, without what is in front of it and without the line break. */
export const lineHash = (json: string | Uint8Array): string => hash('sha256', json, 'hex')

/** A chain being written. Lines given out count as written until `back` says otherwise. */
export interface Chain {
  readonly id: string
  position(): Position
  /** Returns to a position, after a write that failed. */
  back(position: Position): void
  /** Closes a body (JSON without its last brace) as the next line. */
  line(body: string): string
  /** Makes a signed line and its anchor. */
  checkpoint(event: CheckpointEvent, ms: number, facts?: CheckpointFacts): { line: string; anchor: Anchor }
}

/** Starts a chain of a device with a random id. `place` is where it is written; "" does not say. */
export function startChain(device: string, signer: AuditSigner, place = ''): Chain {
  const id = randomBytes(8).toString('hex')
  const front = `,"chain":{"id":"${id}","seq":`
  const where = place === '' ? {} : { place }
  let seq = 0
  let last = noHash
  const take = (json: string): string => {
    last = lineHash(json)
    seq += 1
    return json
  }
  const member = (): string => `${front}${seq + 1},"prev":"${last}"}`
  return {
    id,
    position: () => ({ seq, hash: last }),
    back(position) {
      seq = position.seq
      last = position.hash
    },
    line: (body) => take(`${body}${member()}}`),
    checkpoint(event, ms, facts = {}) {
      const time = formatTime(ms)
      const said: Checkpoint = { event, device, key: signer.fingerprint, ...where, ...facts }
      const text = `{"time":"${time}","type":"checkpoint","checkpoint":${JSON.stringify(said)}${member()}`
      const line = take(`${text},"signature":"${signer.sign(signatureDomain + text)}"}`)
      return { line, anchor: { chain: id, seq, hash: last, time, closed: event === 'stop', linked: 0, ...where } }
    },
  }
}

/** Makes the body of the line that says how many entries a device could not take. */
export const lostBody = (ms: number, lost: number): string => `{"time":"${formatTime(ms)}","type":"lost","lost":${lost}`
