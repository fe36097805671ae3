// The keyring: encryption keys by term, the key-encryption keys of the slots, and the verifier of the recovery key. At rest it
// is one box under the root key. It must never let key bytes become a string: they travel in buffers that are zeroed.
import { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import {
  AuthenticationFailed,
  boxOverhead,
  generateKey,
  importKey,
  keyBytes,
  openBox,
  sealBox,
} from '../crypto/aead.ts'
import { Undecryptable } from './errors.ts'

/** When a new term is due by itself. */
export interface RotateConfig {
  readonly enabled: boolean
  /** Encryptions of one term, over all processes. */
  readonly maxOperations: number
  /** Seconds after which a term is old; 0: never. */
  readonly intervalSeconds: number
}

/** NIST's 2^32 for random nonces, less ten per cent; Vault's numbers. */
export const maxOperationsMax = 3_865_470_566
/** Fewer encryptions per term than this are refused. */
export const maxOperationsMin = 1_000_000
/** A term lives at least so long, unless rotated by hand. */
export const intervalSecondsMin = 86_400

export const defaultRotateConfig: RotateConfig = { enabled: true, maxOperations: maxOperationsMax, intervalSeconds: 0 }

/** One encryption key. `remaining` is what this process may still encrypt of what it has reserved in storage; below 0 is owed. */
export interface Term {
  readonly number: number
  readonly key: KeyObject
  /** Milliseconds since the epoch. */
  readonly installedAt: number
  remaining: number
  /** Size of the last reservation; the next is larger. */
  block: number
  reserving: Promise<void> | undefined
}

/** Proof of the recovery key (SHA-256 of 32 random bytes) and how many shares make it. */
export interface RecoveryVerifier {
  readonly shares: number
  readonly threshold: number
  /** Base64. */
  readonly digest: string
}

interface KeyringHeader {
  readonly active: number
  readonly terms: readonly { readonly number: number; readonly installedAt: number }[]
  readonly slots: readonly string[]
  readonly config: RotateConfig
  readonly recovery?: RecoveryVerifier
}

const headerBytes = 5
const formatVersion = 1
/** Bytes an encrypted value is longer than what it holds. */
export const encryptionOverhead = headerBytes + boxOverhead

/** Term number of an encrypted value; undefined when it is no value of this format. */
export function termOf(value: Uint8Array): number | undefined {
  if (value.length < encryptionOverhead || value[0] !== formatVersion) return undefined
  return (
    (((value[1] as number) << 24) |
      ((value[2] as number) << 16) |
      ((value[3] as number) << 8) |
      (value[4] as number)) >>>
    0
  )
}

/** Makes a term with a fresh key. */
export const newTerm = (number: number, now: number): Term => ({
  number,
  key: generateKey(),
  installedAt: now,
  remaining: 0,
  block: 0,
  reserving: undefined,
})

/** What a keyring is made of; `with` gives a changed copy, since a keyring in use never changes but in its counters. */
export interface KeyringParts {
  readonly rootKey: KeyObject
  /** Names the root key; new with each new root key. */
  readonly rootId: string
  readonly terms: ReadonlyMap<number, Term>
  readonly active: Term
  readonly slotKeys: ReadonlyMap<string, KeyObject>
  readonly config: RotateConfig
  readonly recovery: RecoveryVerifier | undefined
}

/** Keys in memory. After `destroy` every use throws. */
export class Keyring {
  #parts: KeyringParts | undefined
  constructor(parts: KeyringParts) {
    this.#parts = parts
  }

  get parts(): KeyringParts {
    if (!this.#parts) throw new Error('the keyring was destroyed')
    return this.#parts
  }

  get destroyed(): boolean {
    return this.#parts === undefined
  }

  /** Encrypts a value for a storage key under the active term and counts it. */
  encrypt(key: string, value: Uint8Array): Buffer {
    const { active } = this.parts
    active.remaining--
    const box = sealBox(active.key, value, Buffer.from(key, 'utf8'), headerBytes)
    box[0] = formatVersion
    box.writeUInt32BE(active.number, 1)
    return box
  }

  /** Decrypts the value of a storage key; undefined: its term is unknown here. Throws `Undecryptable`. */
  decrypt(key: string, value: Uint8Array): Buffer | undefined {
    const number = termOf(value)
    if (number === undefined) throw new Undecryptable(`the value at "${key}" is not in the barrier's format`)
    const { active, terms } = this.parts
    const term = active.number === number ? active : terms.get(number)
    if (!term) return undefined
    try {
      return openBox(term.key, value, Buffer.from(key, 'utf8'), headerBytes)
    } catch (error) {
      if (error instanceof AuthenticationFailed) throw new Undecryptable(`the value at "${key}" does not authenticate`)
      throw error
    }
  }

  /** A keyring with some parts changed. Terms are shared with this one, so counters go on. */
  with(change: Partial<KeyringParts>): Keyring {
    return new Keyring({ ...this.parts, ...change })
  }

  /** Drops all keys. */
  destroy(): void {
    this.#parts = undefined
  }

  /** Encodes and encrypts the keyring under its root key; `additional` binds the place. */
  wrap(additional: string): Buffer {
    const { rootKey, rootId, terms, active, slotKeys, config, recovery } = this.parts
    const header: KeyringHeader = {
      active: active.number,
      terms: [...terms.values()].map(({ number, installedAt }) => ({ number, installedAt })),
      slots: [...slotKeys.keys()],
      config,
      ...(recovery && { recovery }),
    }
    const head = Buffer.from(JSON.stringify(header), 'utf8')
    const keys = [...[...terms.values()].map((term) => term.key), ...slotKeys.values()]
    const plain = Buffer.alloc(4 + head.length + keys.length * keyBytes)
    plain.writeUInt32BE(head.length, 0)
    head.copy(plain, 4)
    for (const [index, key] of keys.entries()) {
      const raw = key.export()
      raw.copy(plain, 4 + head.length + index * keyBytes)
      raw.fill(0)
    }
    const box = sealBox(rootKey, plain, Buffer.from(`${additional} ${rootId}`, 'utf8'))
    plain.fill(0)
    return box
  }
}

/**
 * Decrypts a stored keyring; throws `AuthenticationFailed` when the root key is not its own. Counters of terms that `known`
 * (the keyring it replaces) has are carried over.
 */
export function unwrapKeyring(
  rootKey: KeyObject,
  rootId: string,
  box: Uint8Array,
  additional: string,
  known?: Keyring,
): Keyring {
  const plain = openBox(rootKey, box, Buffer.from(`${additional} ${rootId}`, 'utf8'))
  try {
    const headLength = plain.readUInt32BE(0)
    const header = JSON.parse(plain.toString('utf8', 4, 4 + headLength)) as KeyringHeader
    let offset = 4 + headLength
    const nextKey = (): KeyObject => {
      const key = importKey(plain.subarray(offset, offset + keyBytes))
      offset += keyBytes
      return key
    }
    const old = known && !known.destroyed ? known.parts.terms : undefined
    const terms = new Map<number, Term>()
    for (const { number, installedAt } of header.terms) {
      const key = nextKey()
      const same = old?.get(number)
      // A store that another one took the place of has other keys under the same numbers.
      if (same?.key.equals(key)) terms.set(number, same)
      else terms.set(number, { number, key, installedAt, remaining: 0, block: 0, reserving: undefined })
    }
    const slotKeys = new Map<string, KeyObject>()
    for (const id of header.slots) slotKeys.set(id, nextKey())
    const active = terms.get(header.active)
    if (!active) throw new Undecryptable('the keyring names an active term it does not hold')
    return new Keyring({ rootKey, rootId, terms, active, slotKeys, config: header.config, recovery: header.recovery })
  } finally {
    plain.fill(0)
  }
}
