// The two secrets of the token store, kept in the barrier: the key of the hash under which tokens are stored (made once, never changed), and
// the keys batch tokens are encrypted with (terms; the newest encrypts, all decrypt). They are dropped from memory at seal.
import { Buffer } from 'node:buffer'
import { createSecretKey, type KeyObject } from 'node:crypto'
import { AuthenticationFailed, boxOverhead, importKey, keyBytes, openBox, sealBox } from '../../crypto/aead.ts'
import { hmacSha256 } from '../../crypto/hmac.ts'
import type { RandomBytes } from '../../lib/random.ts'
import type { Entry, Reader, Writer } from '../../storage/storage.ts'
import type { Fact } from './record.ts'

const hashKeyPath = 'core/token-key'
const batchKeysPath = 'core/batch-key'
/** A term encrypts so long; then the next batch token begins a new one. Far below 2^32 encryptions. */
const termMs = 30 * 24 * 3600_000
const termsMax = 200

interface Term {
  readonly number: number
  readonly createdTime: number
  readonly key: KeyObject
}

interface Terms {
  readonly version: number
  readonly active: Term
  readonly byNumber: ReadonlyMap<number, Term>
}

export interface TokenKeys {
  /** Keyed hash of a token's text (43 characters of base64url); undefined while the store has no key, and so no tokens. */
  hash(tx: Reader, token: string): Promise<string | undefined>
  /** The same; makes the key when there is none. */
  hashToStore(tx: Writer, token: string): Promise<string>
  /** Encrypts what a batch token holds. */
  sealBatch(tx: Writer, plain: Uint8Array, now: number): Promise<Buffer>
  /** Decrypts it, with the fact that its term is still in force; undefined when it is not ours. */
  openBatch(tx: Reader, body: string): Promise<{ readonly plain: Buffer; readonly fact: Fact } | undefined>
  /** Begins a new term. `forget` drops the old ones: every batch token there is dies at once. */
  rotateBatch(tx: Writer, now: number, forget?: boolean): Promise<void>
  /** Drops the keys from memory: at seal. */
  clear(): void
}

const additional = Buffer.from('batch token')
const termBytes = 4
const timeBytes = 8
const rowBytes = termBytes + timeBytes + keyBytes

/** What only this transaction has written may yet be dropped, so nobody else may use it. */
const isCommitted = (entry: Entry): boolean => entry.version > 0

function readTerms(entry: Entry): Terms {
  const bytes = Buffer.from(entry.value)
  const byNumber = new Map<number, Term>()
  let active: Term | undefined
  for (let at = 0; at + rowBytes <= bytes.length; at += rowBytes) {
    const createdTime = Number(bytes.readBigUInt64BE(at + termBytes))
    const key = importKey(bytes.subarray(at + termBytes + timeBytes, at + rowBytes))
    active = { number: bytes.readUInt32BE(at), createdTime, key }
    byNumber.set(active.number, active)
  }
  if (!active) throw new Error('the keys of batch tokens cannot be read')
  return { version: entry.version, active, byNumber }
}

function writeTerms(tx: Writer, terms: readonly Term[]): void {
  const bytes = Buffer.alloc(terms.length * rowBytes)
  for (const [index, { number, createdTime, key }] of terms.entries()) {
    const raw = key.export()
    bytes.writeUInt32BE(number, index * rowBytes)
    bytes.writeBigUInt64BE(BigInt(createdTime), index * rowBytes + termBytes)
    raw.copy(bytes, index * rowBytes + termBytes + timeBytes)
    raw.fill(0)
  }
  tx.put(batchKeysPath, bytes)
}

/** Makes the key holder of one process. */
export function tokenKeys(random: RandomBytes): TokenKeys {
  let hashKey: KeyObject | undefined
  let terms: Terms | undefined
  /** Moves with each `clear`: what was being read meanwhile is not kept. */
  let era = 0

  const loadHashKey = async (tx: Reader): Promise<KeyObject | undefined> => {
    const mine = era
    const entry = await tx.get(hashKeyPath)
    if (!entry) return undefined
    const key = importKey(entry.value)
    if (isCommitted(entry) && mine === era) hashKey = key
    return key
  }

  /** The terms as this transaction may see them; a cached set is expected to be in force. */
  const currentTerms = async (tx: Reader): Promise<Terms | undefined> => {
    if (terms && tx.attempt === 0) {
      tx.expect(batchKeysPath, terms.version)
      return terms
    }
    const mine = era
    const entry = await tx.get(batchKeysPath)
    if (!entry) return undefined
    if (terms?.version === entry.version) return terms
    const read = readTerms(entry)
    if (isCommitted(entry) && mine === era) terms = read
    return read
  }

  const freshKey = (): KeyObject => importKey(Buffer.from(random(keyBytes)))

  const rotate = async (tx: Writer, now: number, forget: boolean): Promise<Term> => {
    const current = await currentTerms(tx)
    const fresh: Term = { number: (current?.active.number ?? 0) + 1, createdTime: now, key: freshKey() }
    const kept = forget || !current ? [] : [...current.byNumber.values()].slice(1 - termsMax)
    writeTerms(tx, [...kept, fresh])
    return fresh
  }

  const digest = (key: KeyObject, token: string): string => hmacSha256(key, token).toString('base64url')

  return {
    async hash(tx, token) {
      const key = hashKey ?? (await loadHashKey(tx))
      return key && digest(key, token)
    },
    async hashToStore(tx, token) {
      let key = hashKey ?? (await loadHashKey(tx))
      if (!key) {
        const raw = Buffer.from(random(keyBytes))
        tx.put(hashKeyPath, raw)
        key = createSecretKey(raw)
      }
      return digest(key, token)
    },
    async sealBatch(tx, plain, now) {
      const active = (await currentTerms(tx))?.active
      const term = active && now - active.createdTime < termMs ? active : await rotate(tx, now, false)
      const box = sealBox(term.key, plain, additional, termBytes)
      box.writeUInt32BE(term.number, 0)
      return box
    },
    async openBatch(tx, body) {
      const box = Buffer.from(body, 'base64url')
      if (box.length < termBytes + boxOverhead || box.toString('base64url') !== body) return undefined
      const current = await currentTerms(tx)
      const term = current?.byNumber.get(box.readUInt32BE(0))
      if (!current || !term) return undefined
      try {
        return {
          plain: openBox(term.key, box, additional, termBytes),
          fact: { key: batchKeysPath, version: current.version },
        }
      } catch (error) {
        if (error instanceof AuthenticationFailed) return undefined
        throw error
      }
    },
    rotateBatch: async (tx, now, forget = false) => void (await rotate(tx, now, forget)),
    clear() {
      era++
      hashKey = undefined
      terms = undefined
    },
  }
}
