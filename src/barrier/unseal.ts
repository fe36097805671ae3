// Opening a seal: with shares, one request at a time, or with the configured static keys. Shares that do not open it clear
// the progress; nothing is ever said about which share was wrong.
import { createSecretKey, type KeyObject } from 'node:crypto'
import { AuthenticationFailed } from '../crypto/aead.ts'
import { invalid } from '../sdk/errors.ts'
import { combined, isRecoveryKey } from './authority.ts'
import type { KeyringRecord, SlotRecord, SlotsRecord } from './records.ts'
import type { SealScope } from './scope.ts'
import type { ShareProgress } from './shares.ts'
import { makeStaticSlot, openSlot, openStaticSlot, type StaticKey } from './slots.ts'

/** What lies in storage of a seal. */
export interface StoredSeal {
  readonly keyring: KeyringRecord
  readonly slots: SlotsRecord
}

/** Reads keyring and slots of a seal; undefined while it is not initialised. */
export const readSeal = (scope: SealScope): Promise<StoredSeal | undefined> =>
  scope.storage.view(async (tx) => {
    const keyring = await scope.records.keyring(tx)
    const slots = await scope.records.slots(tx)
    return keyring && slots && { keyring: keyring.value, slots }
  })

/** Finds the root key by the configured static keys. */
export function openByStatic(
  prefix: string,
  rootId: string,
  slots: SlotsRecord,
  keys: readonly StaticKey[],
): { slot: SlotRecord; key: StaticKey; rootKey: KeyObject } | undefined {
  for (const slot of slots.slots) {
    const opened = slot.kind === 'static' ? openStaticSlot(prefix, slot, keys, rootId) : undefined
    if (opened) return { slot, key: opened.key, rootKey: opened.rootKey }
  }
  return undefined
}

/** Tries to open the seal with the static keys; false when none of its slots opens with them. */
export async function unsealByStatic(scope: SealScope, keys: readonly StaticKey[]): Promise<boolean> {
  if (keys.length === 0) return false
  const stored = await readSeal(scope)
  if (!stored) return false
  const { rootId } = stored.keyring
  const opened = openByStatic(scope.prefix, rootId, stored.slots, keys)
  if (!opened) return false
  await scope.load(opened.rootKey, rootId)
  return true
}

/** Puts static slots that a previous key opened under the current one. */
export async function rewrapStatic(scope: SealScope, keys: readonly StaticKey[]): Promise<void> {
  const current = keys.find((key) => key.current)
  if (!current) return
  await scope.change(async ({ keyring, slots }) => {
    const { rootKey, rootId } = keyring.parts
    const slotKeys = new Map(keyring.parts.slotKeys)
    let changed = false
    const list = slots.slots.map((slot) => {
      const opened = slot.kind === 'static' ? openStaticSlot(scope.prefix, slot, keys, rootId) : undefined
      if (!opened || (opened.key.current && slot.keyId === current.id)) return slot
      const place = { prefix: scope.prefix, rootKey, rootId, now: scope.now }
      const made = makeStaticSlot(place, { id: slot.id, name: slot.name, key: current })
      slotKeys.set(slot.id, made.slotKey)
      changed = true
      return { ...made.slot, created: slot.created }
    })
    if (!changed) return { result: undefined }
    return { result: undefined, keyring: keyring.with({ slotKeys }), slots: { ...slots, slots: list } }
  })
}

const wrongShares = () =>
  invalid(
    'invalid key: failed to decrypt keys from storage: the key shares given do not open the seal; unseal progress was reset',
  )

/** What the shares given so far came to: more are needed, the seal is open, they do not fit, or there are none to give. */
export type ShareVerdict = 'more' | 'open' | 'wrong' | 'none'

/** Tries the shares gathered so far and opens the seal when they suffice. Recovery keys open a store only together with its static key. */
export async function tryShares(
  scope: SealScope,
  parts: readonly Uint8Array[],
  stored: StoredSeal,
  keys: readonly StaticKey[],
): Promise<ShareVerdict> {
  const { slots } = stored
  const count = parts.length
  const thresholds = slots.slots.map((slot) => (slot.kind === 'shamir' ? (slot.threshold ?? 0) : 0))
  const recovery = slots.recovery?.threshold ?? 0
  const most = Math.max(recovery, ...thresholds)
  if (most === 0) return 'none'
  if (!thresholds.includes(count) && recovery !== count && count < most) return 'more'
  const key = await combined(parts)
  try {
    if (key && (await openWith(scope, key, count, stored, keys))) return 'open'
  } finally {
    key?.fill(0)
  }
  return count < most ? 'more' : 'wrong'
}

/**
 * Judges the shares gathered so far and opens the seal when they suffice. Answers whether it is open; throws 400 and clears the
 * progress when they can no longer lead anywhere. Recovery keys open a store that could unseal itself but was sealed by hand.
 */
export async function unsealByShares(
  scope: SealScope,
  progress: ShareProgress,
  stored: StoredSeal,
  keys: readonly StaticKey[],
): Promise<boolean> {
  const verdict = await tryShares(scope, progress.parts, stored, keys)
  if (verdict === 'more') return false
  progress.reset()
  if (verdict === 'none') throw invalid('this store has no key shares; its seal opens it when the server starts')
  if (verdict === 'wrong') throw wrongShares()
  return true
}

async function openWith(
  scope: SealScope,
  key: Uint8Array,
  count: number,
  { keyring, slots }: StoredSeal,
  keys: readonly StaticKey[],
): Promise<boolean> {
  for (const slot of slots.slots) {
    if (slot.kind !== 'shamir' || slot.threshold !== count) continue
    try {
      await scope.load(openSlot(scope.prefix, slot, createSecretKey(key), keyring.rootId), keyring.rootId)
      return true
    } catch (error) {
      if (!(error instanceof AuthenticationFailed)) throw error
    }
  }
  if (slots.recovery?.threshold !== count) return false
  const opened = openByStatic(scope.prefix, keyring.rootId, slots, keys)
  if (!opened) return false
  await scope.load(opened.rootKey, keyring.rootId)
  if (scope.keyring && isRecoveryKey(scope.keyring, key)) return true
  scope.drop()
  return false
}
