// A process steps aside while the store is replaced by a snapshot: its caches and keys go as at seal, but the root key is remembered, so that it
// serves again by itself when the new state is whole. When whoever applies the snapshot falls silent, it goes on in its place.
import type { KeyObject } from 'node:crypto'
import { AuthenticationFailed } from '../crypto/aead.ts'
import { Sealed } from './errors.ts'
import { restoring } from './restore.ts'
import type { SealScope } from './scope.ts'

const lookMs = 500
const lookMsMax = 30_000
/** Looks without progress after which the one who applies is taken for dead. */
const silentLooksMax = 20

export interface SuspensionPorts {
  /** One step of the store's life at a time. */
  inTurn<T>(step: () => Promise<T>): Promise<T>
  /** Lets nobody in, runs `between`, drops the keys whatever came of it. */
  dropKeys(between?: () => Promise<void>): Promise<void>
  /** Opens the store with the keys loaded, or by itself; finishes a restore that is still under way. */
  reopen(): Promise<void>
  warn(message: string, cause: unknown): void
}

export interface Suspension {
  /**
   * Lets nobody in any more, makes the change if one is given, and drops the keys. With a change the store is opened again at once, without one when the
   * restore that others do is over. Rejects with what the change threw; the store is open then as before.
   */
  suspend(change?: () => Promise<void>): Promise<void>
  /** Forgets the root key: the process stays sealed. */
  end(): void
}

/** Makes the suspension of one process. */
export function createSuspension(scope: SealScope, ports: SuspensionPorts): Suspension {
  let held: { readonly rootKey: KeyObject; readonly rootId: string } | undefined
  let timer: NodeJS.Timeout | undefined
  let seen: string | undefined
  let silent = 0
  let troubles = 0

  const end = (): void => {
    clearTimeout(timer)
    held = undefined
  }
  const look = (): void => {
    const step = () => ports.inTurn(resume).catch((cause) => ports.warn('looking after a restore failed', cause))
    timer = setTimeout(() => void step(), Math.min(lookMsMax, lookMs * 2 ** troubles))
    timer.unref()
  }
  const open = async (): Promise<void> => {
    if (!held) return
    const { rootKey, rootId } = held
    await scope.load(rootKey, rootId).catch((error: unknown) => {
      // The seal is another one now: what opens by itself does, the rest waits for shares.
      if (!(error instanceof AuthenticationFailed)) throw error
    })
    await ports.reopen()
    end()
  }
  const tryOpen = async (): Promise<unknown> => {
    try {
      await open()
      return undefined
    } catch (cause) {
      troubles++
      ports.warn('the store could not be opened after a restore; it is tried again', cause)
      if (held) look()
      return cause
    }
  }
  const resume = async (): Promise<void> => {
    if (!held) return
    if (scope.keyring) return end()
    const now = await scope.storage.view(restoring).catch(() => seen)
    silent = now === seen ? silent + 1 : 0
    seen = now
    if (now !== undefined && silent < silentLooksMax) look()
    else await tryOpen()
  }
  const suspend = async (change: (() => Promise<void>) | undefined): Promise<void> => {
    if (!scope.keyring) {
      if (change) throw new Sealed()
      return
    }
    const { rootKey, rootId } = scope.keyring.parts
    held = { rootKey, rootId }
    seen = undefined
    silent = 0
    troubles = 0
    if (!change) {
      await ports.dropKeys().finally(look)
      return
    }
    const refused: unknown[] = []
    await ports.dropKeys(change).catch((error: unknown) => void refused.push(error))
    const failed = await tryOpen()
    if (refused.length > 0) throw refused[0]
    if (failed !== undefined) throw failed
  }
  return { suspend: (change) => ports.inTurn(() => suspend(change)), end }
}
