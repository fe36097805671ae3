// The seal of a store as `sys/seal-status` tells it, read from what lies in clear. It needs no key and changes nothing.
import { authorityOf, unsealsItself } from './authority.ts'
import type { SealScope } from './scope.ts'
import type { ShareProgress } from './shares.ts'
import type { StaticKey } from './slots.ts'
import { readSeal } from './unseal.ts'

/** The seal as `sys/seal-status` tells it. */
export interface SealStatus {
  readonly type: 'shamir' | 'static'
  readonly initialized: boolean
  readonly sealed: boolean
  /** Threshold and number of the shares that count (recovery keys where the store unseals itself); 0 before init. */
  readonly t: number
  readonly n: number
  readonly progress: number
  readonly nonce: string
  /** Recovery keys stand in for unseal keys. */
  readonly recoverySeal: boolean
  /** Names the store for ever; "" before init. */
  readonly storeId: string
}

/** Reads the status; `staticKeys` tell what a store that is not initialised would become. */
export async function readSealStatus(
  scope: SealScope,
  staticKeys: readonly StaticKey[],
  progress: ShareProgress,
): Promise<SealStatus> {
  const stored = await readSeal(scope)
  const authority = stored && authorityOf(stored.slots)
  const type = stored?.slots.type ?? (staticKeys.length > 0 ? 'static' : 'shamir')
  return {
    type,
    initialized: stored !== undefined,
    sealed: scope.keyring === undefined,
    t: authority?.threshold ?? 0,
    n: authority?.shares ?? 0,
    progress: progress.parts.length,
    nonce: progress.nonce,
    recoverySeal: stored ? unsealsItself(stored.slots) : type === 'static',
    storeId: stored?.slots.storeId ?? '',
  }
}
