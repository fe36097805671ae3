// The records of a seal: keyring, slots, counters, handover. For the store they lie in clear under `seal/`; for a namespace
// with keys of its own the same records lie behind the store's barrier. Everything secret in them is a box.
import { Buffer } from 'node:buffer'
import { type Collection, collection } from '../storage/collection.ts'
import type { Reader, Writer } from '../storage/storage.ts'
import { clearPrefix } from './barrier.ts'

/** The wrapped keyring. */
export interface KeyringRecord {
  readonly format: 1
  /** Which root key wraps it. */
  readonly rootId: string
  readonly box: string
}

/** A way to the root key. Its own key wraps the root key; `kind` says how one comes by that key. */
export interface SlotRecord {
  readonly id: string
  readonly name: string
  readonly kind: 'shamir' | 'static'
  /** RFC 3339. */
  readonly created: string
  /** The root key under the slot's key. */
  readonly box: string
  /** Shamir: how the slot's key is cut. */
  readonly shares?: number
  readonly threshold?: number
  /** Static: which configured key wraps the slot's key, and the slot's key under it. */
  readonly keyId?: string
  readonly keyBox?: string
}

export interface SlotsRecord {
  readonly format: 1
  /** Names the store for ever (`cluster_id`). */
  readonly storeId: string
  /** What the store was initialised with; `type` of seal-status. */
  readonly type: 'shamir' | 'static'
  /** Shares and threshold of the recovery keys, for stores that unseal themselves. What counts is the copy in the keyring. */
  readonly recovery?: { readonly shares: number; readonly threshold: number }
  readonly slots: readonly SlotRecord[]
}

/** New root keys under old ones, for processes that were unsealed when the root key changed; gone after a while. */
export interface HandoverRecord {
  readonly links: readonly {
    readonly from: string
    readonly to: string
    readonly until: number
    readonly box: string
  }[]
}

/** Encryptions reserved of one term, over all processes. */
export interface CountRecord {
  readonly reserved: number
}

/** The records of one seal, by name. */
export interface SealRecords {
  readonly prefix: string
  readonly keyringKey: string
  readonly slotsKey: string
  readonly handoverKey: string
  keyring(tx: Reader): Promise<{ value: KeyringRecord; version: number } | undefined>
  slots(tx: Reader): Promise<SlotsRecord | undefined>
  handover(tx: Reader): Promise<HandoverRecord | undefined>
  putKeyring(tx: Writer, record: KeyringRecord): void
  putSlots(tx: Writer, record: SlotsRecord): void
  putHandover(tx: Writer, record: HandoverRecord | undefined): void
  readonly counts: Collection<CountRecord>
}

/** Names the records below a prefix that ends in `/`. */
export function sealRecords(prefix: string): SealRecords {
  const all = collection<unknown>(prefix)
  return {
    prefix,
    keyringKey: all.key('keyring'),
    slotsKey: all.key('slots'),
    handoverKey: all.key('handover'),
    keyring: (tx) => all.getVersioned(tx, 'keyring') as Promise<{ value: KeyringRecord; version: number } | undefined>,
    slots: (tx) => all.get(tx, 'slots') as Promise<SlotsRecord | undefined>,
    handover: (tx) => all.get(tx, 'handover') as Promise<HandoverRecord | undefined>,
    putKeyring: (tx, record) => all.put(tx, 'keyring', record),
    putSlots: (tx, record) => all.put(tx, 'slots', record),
    putHandover: (tx, record) => (record ? all.put(tx, 'handover', record) : all.delete(tx, 'handover')),
    counts: collection<CountRecord>(`${prefix}count/`),
  }
}

/** Prefix of what processes tell of themselves: of no use to another store, or to this one at another time. */
export const nodesPrefix = `${clearPrefix}node/`

/** Reads what a store is called for ever; undefined for one that was not initialised. */
export const storeIdOf = async (tx: Reader): Promise<string | undefined> =>
  (await sealRecords(clearPrefix).slots(tx))?.storeId

/** Bytes as the text a record holds. */
export const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
/** The bytes of such a text. */
export const toBytes = (text: string): Buffer => Buffer.from(text, 'base64')
