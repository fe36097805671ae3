// Seal slots: each has a key of its own (the slot key) that wraps the root key. A Shamir slot's key is cut into shares; a
// static slot's key is wrapped by a key from the configuration. The slot keys also lie in the keyring, so a new root key goes under every slot.
import { Buffer } from 'node:buffer'
import { type KeyObject, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { AuthenticationFailed, generateKey, importKey, keyBytes, openBox, sealBox } from '../crypto/aead.ts'
import { type SlotRecord, type SlotsRecord, toBytes, toText } from './records.ts'

/** A key from the configuration (`seal "static"`): `file://`, `env://`, or 32 bytes as hex, base64 or text. */
export interface StaticSeal {
  readonly kind: 'static'
  readonly currentKey: string
  readonly currentKeyId: string
  readonly previousKey?: string | undefined
  readonly previousKeyId?: string | undefined
}

/** A static key once read. */
export interface StaticKey {
  readonly id: string
  readonly key: KeyObject
  readonly current: boolean
}

/** The configuration's key cannot be used; the message names the setting, never its value. */
export class SealUnusable extends Error {
  override name = 'SealUnusable'
}

const wrapped = (key: KeyObject, secret: KeyObject, additional: string): string => {
  const raw = secret.export()
  const box = sealBox(key, raw, Buffer.from(additional, 'utf8'))
  raw.fill(0)
  return toText(box)
}
const unwrapped = (key: KeyObject, box: string, additional: string): KeyObject =>
  importKey(openBox(key, toBytes(box), Buffer.from(additional, 'utf8')))

const rootPlace = (prefix: string, slotId: string, rootId: string): string => `${prefix}slots ${slotId} root ${rootId}`
const keyPlace = (prefix: string, slotId: string): string => `${prefix}slots ${slotId} key`

/** Wraps one key under another; `additional` binds what for. */
export const wrapKey = wrapped
/** Unwraps what `wrapKey` made; throws `AuthenticationFailed`. */
export const unwrapKey = unwrapped

/** Wraps the root key under a slot's key, for the slot's record. */
export const wrapRoot = (
  prefix: string,
  slotId: string,
  slotKey: KeyObject,
  rootKey: KeyObject,
  rootId: string,
): string => wrapped(slotKey, rootKey, rootPlace(prefix, slotId, rootId))

/** Opens a slot with its key; throws `AuthenticationFailed` when it is not the slot's. */
export const openSlot = (prefix: string, slot: SlotRecord, slotKey: KeyObject, rootId: string): KeyObject =>
  unwrapped(slotKey, slot.box, rootPlace(prefix, slot.id, rootId))

/** What a new slot is made for. */
export interface SlotPlace {
  readonly prefix: string
  readonly rootKey: KeyObject
  readonly rootId: string
  readonly now: number
}

/** Makes a Shamir slot; its key is what the caller cuts into shares. */
export function makeShamirSlot(
  { prefix, rootKey, rootId, now }: SlotPlace,
  { name, shares, threshold, id = randomUUID() }: { name: string; shares: number; threshold: number; id?: string },
): { slot: SlotRecord; slotKey: KeyObject } {
  const slotKey = generateKey()
  const created = new Date(now).toISOString()
  const box = wrapRoot(prefix, id, slotKey, rootKey, rootId)
  return { slotKey, slot: { id, name, kind: 'shamir', created, box, shares, threshold } }
}

/** Makes a static slot under a configured key. */
export function makeStaticSlot(
  { prefix, rootKey, rootId, now }: SlotPlace,
  { name, key, id = randomUUID() }: { name: string; key: StaticKey; id?: string },
): { slot: SlotRecord; slotKey: KeyObject } {
  const slotKey = generateKey()
  return {
    slotKey,
    slot: {
      id,
      name,
      kind: 'static',
      created: new Date(now).toISOString(),
      box: wrapRoot(prefix, id, slotKey, rootKey, rootId),
      keyId: key.id,
      keyBox: wrapped(key.key, slotKey, keyPlace(prefix, id)),
    },
  }
}

/** Opens a static slot with one of the configured keys (the one it names first); undefined when none fits. */
export function openStaticSlot(
  prefix: string,
  slot: SlotRecord,
  keys: readonly StaticKey[],
  rootId: string,
): { rootKey: KeyObject; slotKey: KeyObject; key: StaticKey } | undefined {
  if (slot.keyBox === undefined) return undefined
  const named = keys.filter((key) => key.id === slot.keyId)
  for (const key of [...named, ...keys.filter((other) => !named.includes(other))]) {
    try {
      const slotKey = unwrapped(key.key, slot.keyBox, keyPlace(prefix, slot.id))
      return { key, slotKey, rootKey: openSlot(prefix, slot, slotKey, rootId) }
    } catch (error) {
      if (!(error instanceof AuthenticationFailed)) throw error
    }
  }
  return undefined
}

/** Puts a new root key under every slot; slots whose key is not in `slotKeys` cannot follow and are named in `left`. */
export function rewrapSlots(
  prefix: string,
  record: SlotsRecord,
  slotKeys: ReadonlyMap<string, KeyObject>,
  rootKey: KeyObject,
  rootId: string,
): { record: SlotsRecord; left: readonly SlotRecord[] } {
  const left = record.slots.filter((slot) => !slotKeys.has(slot.id))
  const slots = record.slots.map((slot) => {
    const slotKey = slotKeys.get(slot.id)
    return slotKey ? { ...slot, box: wrapRoot(prefix, slot.id, slotKey, rootKey, rootId) } : slot
  })
  return { record: { ...record, slots }, left }
}

/** The slot that init, rekey and seal-status speak of when shares are meant: the oldest Shamir slot. */
export const primaryShamir = (record: SlotsRecord): SlotRecord | undefined =>
  record.slots.find((slot) => slot.kind === 'shamir')

function keyFromBytes(bytes: Buffer, setting: string): KeyObject {
  if (bytes.length === keyBytes) return importKey(bytes)
  const text = bytes.toString('latin1').trim()
  if (/^[0-9a-fA-F]{64}$/.test(text)) return importKey(Buffer.from(text, 'hex'))
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return importKey(Buffer.from(text, 'base64'))
  if (text.length === keyBytes) return importKey(Buffer.from(text, 'latin1'))
  throw new SealUnusable(`seal "static": ${setting} must hold ${keyBytes} bytes, as they are or as hex or base64`)
}

function readKey(value: string, setting: string, env: NodeJS.ProcessEnv): KeyObject {
  if (value.startsWith('file://')) {
    let bytes: Buffer
    try {
      bytes = readFileSync(value.slice('file://'.length))
    } catch (error) {
      throw new SealUnusable(
        `seal "static": ${setting}: cannot read the file (${(error as NodeJS.ErrnoException).code})`,
      )
    }
    const key = keyFromBytes(bytes, setting)
    bytes.fill(0)
    return key
  }
  if (value.startsWith('env://')) {
    const name = value.slice('env://'.length)
    const text = env[name]
    if (text === undefined || text === '')
      throw new SealUnusable(`seal "static": ${setting}: variable ${name} is not set`)
    return keyFromBytes(Buffer.from(text, 'utf8'), setting)
  }
  return keyFromBytes(Buffer.from(value, 'utf8'), setting)
}

/** Reads the keys of a `seal "static"` stanza, the current one first; throws `SealUnusable`. */
export function readStaticKeys(seal: StaticSeal, env: NodeJS.ProcessEnv = process.env): StaticKey[] {
  if (seal.currentKeyId === '') throw new SealUnusable('seal "static": current_key_id must be set')
  const keys: StaticKey[] = [
    { id: seal.currentKeyId, key: readKey(seal.currentKey, 'current_key', env), current: true },
  ]
  if (seal.previousKey !== undefined && seal.previousKey !== '') {
    if (!seal.previousKeyId) throw new SealUnusable('seal "static": previous_key_id must be set with previous_key')
    if (seal.previousKeyId === seal.currentKeyId)
      throw new SealUnusable('seal "static": current_key_id and previous_key_id must differ')
    keys.push({ id: seal.previousKeyId, key: readKey(seal.previousKey, 'previous_key', env), current: false })
  }
  return keys
}
