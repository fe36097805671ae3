// Who may rekey and make root tokens: the holders of the Shamir shares, or of the recovery keys where the store unseals itself.
import { createHash, createSecretKey } from 'node:crypto'
import { keyBytes } from '../crypto/aead.ts'
import { sameBytes } from '../crypto/hmac.ts'
import { combineShares, SharesUnusable } from '../crypto/shamir.ts'
import type { Keyring } from './keyring.ts'
import { type SlotsRecord, toBytes, toText } from './records.ts'
import { primaryShamir } from './slots.ts'

/** How many shares prove authority; undefined when nobody holds any. */
export interface Authority {
  readonly kind: 'shamir' | 'recovery'
  readonly shares: number
  readonly threshold: number
}

/** Whether the store unseals itself, so that recovery keys stand in for unseal keys. */
export const unsealsItself = (slots: SlotsRecord): boolean => slots.type === 'static'

/** Whose shares count. */
export function authorityOf(slots: SlotsRecord): Authority | undefined {
  if (unsealsItself(slots) && slots.recovery && slots.recovery.shares > 0)
    return { kind: 'recovery', ...slots.recovery }
  const slot = primaryShamir(slots)
  return slot && { kind: 'shamir', shares: slot.shares ?? 0, threshold: slot.threshold ?? 0 }
}

/** The verifier of a recovery key, as the keyring keeps it. */
export const recoveryDigest = (key: Uint8Array): string => toText(createHash('sha256').update(key).digest())

/** Whether a key is the recovery key a keyring knows. */
export const isRecoveryKey = (keyring: Keyring, key: Uint8Array): boolean => {
  const { recovery } = keyring.parts
  return recovery !== undefined && sameBytes(createHash('sha256').update(key).digest(), toBytes(recovery.digest))
}

/** Puts shares together; undefined when they do not fit together or make no key. */
export async function combined(parts: readonly Uint8Array[]): Promise<Uint8Array | undefined> {
  try {
    const key = await combineShares(parts)
    if (key.length === keyBytes) return key
    key.fill(0)
  } catch (error) {
    if (!(error instanceof SharesUnusable)) throw error
  }
  return undefined
}

/** Judges the shares given so far: more are needed, they prove authority, or they do not. */
export async function judgeShares(
  parts: readonly Uint8Array[],
  keyring: Keyring,
  slots: SlotsRecord,
): Promise<'more' | 'proved' | 'wrong'> {
  if (authorityOf(slots)?.kind === 'recovery') {
    const { threshold } = keyring.parts.recovery ?? { threshold: 1 }
    if (parts.length < threshold) return 'more'
    const key = await combined(parts)
    const proved = key !== undefined && isRecoveryKey(keyring, key)
    key?.fill(0)
    return proved ? 'proved' : 'wrong'
  }
  const shamir = slots.slots.filter((slot) => slot.kind === 'shamir')
  for (const slot of shamir) {
    if (slot.threshold !== parts.length) continue
    const key = await combined(parts)
    const proved = key !== undefined && keyring.parts.slotKeys.get(slot.id)?.equals(createSecretKey(key)) === true
    key?.fill(0)
    if (proved) return 'proved'
  }
  return shamir.some((slot) => (slot.threshold ?? 0) > parts.length) ? 'more' : 'wrong'
}
