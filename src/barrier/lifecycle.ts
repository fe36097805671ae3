// The life of a store on this node: uninitialised, sealed, unsealed. It owns the keys; core is told when they come and go.
// Sealing first lets core stop, then drops every key.
import type { KeyObject } from 'node:crypto'
import { invalid, unavailable } from '../sdk/errors.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { authorityOf, unsealsItself } from './authority.ts'
import { type Barrier, clearPrefix, createBarrier } from './barrier.ts'
import { Sealed } from './errors.ts'
import { formatOf, newestFormat, putFormat } from './format.ts'
import { createGenerateRoot, type GenerateRoot } from './generate-root.ts'
import { type InitResult, type InitWanted, initializeStore } from './init.ts'
import { intervalSecondsMin, maxOperationsMax, maxOperationsMin, type RotateConfig } from './keyring.ts'
import { createNamespaceSeals, type NamespaceSeals } from './namespace-seal.ts'
import { createRekey, type Rekey } from './rekey.ts'
import { lastRestore, restoring } from './restore.ts'
import { type KeyStatus, SealScope } from './scope.ts'
import { decodeShare, ShareProgress } from './shares.ts'
import { createSlotList, type SlotList } from './slot-list.ts'
import type { StaticKey } from './slots.ts'
import { createSnapshots, type Snapshots } from './snapshots.ts'
import { createSuspension } from './suspension.ts'
import { openByStatic, readSeal, rewrapStatic, unsealByShares, unsealByStatic } from './unseal.ts'

/** How often an unsealed process looks after its keys by itself. */
const tickMs = 60_000

/** What the lifecycle needs of core. */
export interface LifecyclePorts {
  /**
   * Writes a new root token through the barrier and returns it (28 characters). At `init` the store is empty: it also writes the first records.
   * Runs in the transaction of init or generate-root, and may run again.
   */
  createRootToken(tx: Writer, why: 'init' | 'generate-root'): Promise<string>
  /** Moves the epoch: keys or slots change in this transaction. */
  moveEpoch?(tx: Writer): void | Promise<void>
  /** The record whose version every process watches, and how it is written anew when all of the store was replaced. */
  readonly epoch?: { readonly key: string; restart(tx: Writer): void }
  /** The keys are in memory; core loads what it needs. When it throws, the store is sealed again. */
  onUnseal?(): void | Promise<void>
  /** The keys are about to be dropped: stop admitting, let what runs finish. Also called when a process loses its keys. */
  onSeal?(): void | Promise<void>
  warn?(message: string, cause: unknown): void
}

export interface LifecycleOptions {
  readonly storage: Storage
  /** Keys of the configured `seal "static"` stanzas (`readStaticKeys`); empty: Shamir. */
  readonly staticKeys: readonly StaticKey[]
  readonly ports: LifecyclePorts
  readonly now?: () => number
}

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

export interface Lifecycle {
  /** Storage for everything above: encrypted, `Sealed` while sealed. */
  readonly barrier: Barrier
  readonly sealed: boolean
  initialized(): Promise<boolean>
  status(): Promise<SealStatus>
  /** Initialises the store; one that unseals itself is unsealed then, any other stays sealed. */
  initialize(wanted: InitWanted): Promise<InitResult>
  /** Takes an unseal share (hex or base64), or with `reset` forgets those given. */
  unseal(input: { key: string; reset: boolean }): Promise<SealStatus>
  /** Opens the store with the static keys, if it is initialised and they open it. Call at start; answers whether it is unsealed. */
  autoUnseal(): Promise<boolean>
  seal(): Promise<void>
  /** Follows changes other processes made to keys, slots and namespace seals. Call when the epoch moved. */
  refresh(): Promise<void>
  keyStatus(): Promise<KeyStatus>
  /** New encryption key term. */
  rotate(): Promise<void>
  /** New root key under the existing slots; no share changes. */
  rotateRoot(): Promise<void>
  rotateConfig(): Promise<RotateConfig>
  /** Sets when terms rotate by themselves; 400 outside Vault's limits. */
  setRotateConfig(change: Partial<RotateConfig>): Promise<void>
  readonly rekey: Rekey
  readonly generateRoot: GenerateRoot
  readonly slots: SlotList
  readonly namespaces: NamespaceSeals
  readonly snapshots: Snapshots
  /**
   * The finalized storage format, as the store has it. When the store is being replaced by a snapshot, or was since it was opened here, it rejects with
   * `Sealed`, and this process opens the store anew when that is over.
   */
  storageFormat(): Promise<number>
  /** Finalizes the newest storage format. */
  finalizeFormat(): Promise<void>
  /** Does what the clock asks for (also done every minute while unsealed). */
  tick(): Promise<void>
  /** Seals without telling core, and closes nothing: for the end of the process, before storage is closed. */
  close(): Promise<void>
}

/** Makes the lifecycle of a store. */
export function createLifecycle({ storage, staticKeys, ports, now = Date.now }: LifecycleOptions): Lifecycle {
  const warn = (message: string, cause: unknown) => ports.warn?.(message, cause)
  const progress = new ShareProgress()
  let known = false
  /** The last restore when the store was opened here. */
  let restored = ''
  let timer: NodeJS.Timeout | undefined
  let queue: Promise<unknown> = Promise.resolve()
  /** One step of the life at a time. */
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const run = queue.then(step)
    queue = run.catch(() => undefined)
    return run
  }

  const scope: SealScope = new SealScope({
    storage,
    prefix: clearPrefix,
    now,
    writerOver: (tx) => barrier.writerOver(tx),
    moved: (tx) => ports.moveEpoch?.(tx),
    selfOpen: ({ rootId }, slots): KeyObject | undefined =>
      openByStatic(clearPrefix, rootId, slots, staticKeys)?.rootKey,
    lost: () => {
      warn('another process changed the root key and this one cannot follow: sealed', undefined)
      void inTurn(() => dropKeys()).catch((cause) => warn('sealing after the keys were lost failed', cause))
    },
    warn,
  })
  const barrier: Barrier = createBarrier(storage, scope)
  const namespaces = createNamespaceSeals(barrier, now)
  const suspension = createSuspension(scope, {
    inTurn,
    dropKeys: (between) => dropKeys(between),
    async reopen() {
      if (!scope.keyring && !(await unsealByStatic(scope, staticKeys))) return
      await opened()
    },
    warn,
  })
  const snapshots = createSnapshots(scope, barrier, {
    staticKeys,
    epoch: ports.epoch,
    moveEpoch: (tx) => ports.moveEpoch?.(tx),
    suspend: (change) => suspension.suspend(change),
  })

  const stopClock = () => {
    clearInterval(timer)
    timer = undefined
  }
  const dropKeys = async (between?: () => Promise<void>): Promise<void> => {
    stopClock()
    progress.reset()
    try {
      await ports.onSeal?.()
      await between?.()
    } finally {
      await namespaces.dropAll().catch((cause) => warn('releasing the keys of namespaces failed', cause))
      await scope.release().catch((cause) => warn('giving back reserved encryptions failed', cause))
      scope.drop()
    }
  }
  const opened = async (): Promise<void> => {
    try {
      await snapshots.finish()
      restored = await storage.view(lastRestore)
      await storage.markFormat?.(await storage.view(formatOf))
      await rewrapStatic(scope, staticKeys).catch((cause) =>
        warn('wrapping the seal with its current key failed', cause),
      )
      await namespaces.declare()
      await ports.onUnseal?.()
    } catch (error) {
      await dropKeys()
      throw error
    }
    timer = setInterval(() => void tick().catch((cause) => warn('looking after the keys failed', cause)), tickMs)
    timer.unref()
  }
  const initialized = async (): Promise<boolean> => {
    known ||= (await readSeal(scope)) !== undefined
    return known
  }
  const autoUnseal = async (): Promise<boolean> => {
    if (scope.keyring) return true
    if (!(await unsealByStatic(scope, staticKeys))) return false
    await opened()
    return true
  }
  const refresh = async (): Promise<void> => {
    await scope.refresh()
    await namespaces.refresh()
  }
  const tick = async (): Promise<void> => {
    if (!scope.keyring) return
    await scope.tick().catch(unlessSealed)
    if (scope.keyring) await storageFormat().catch(unlessSealed)
    if (scope.keyring) await namespaces.refresh()
  }
  const storageFormat = async (): Promise<number> => {
    const { format, replaced } = await storage.view(async (tx) => ({
      format: await formatOf(tx),
      replaced: (await restoring(tx)) !== undefined || (await lastRestore(tx)) !== restored,
    }))
    if (format > newestFormat)
      throw unavailable(`the store is finalized for storage format ${format}; this server is too old for it`)
    if (!replaced) return format
    void suspension.suspend().catch((cause) => warn('sealing for a restore failed', cause))
    throw new Sealed()
  }
  const status = async (): Promise<SealStatus> => {
    const stored = await readSeal(scope)
    const authority = stored && authorityOf(stored.slots)
    // Load balancers ask often: so a process that nobody uses learns of a restore before its next request does.
    const usable =
      scope.keyring !== undefined &&
      (await storageFormat().then(
        () => true,
        () => false,
      ))
    const type = stored?.slots.type ?? (staticKeys.length > 0 ? 'static' : 'shamir')
    return {
      type,
      initialized: stored !== undefined,
      sealed: !usable,
      t: authority?.threshold ?? 0,
      n: authority?.shares ?? 0,
      progress: progress.parts.length,
      nonce: progress.nonce,
      recoverySeal: stored ? unsealsItself(stored.slots) : type === 'static',
      storeId: stored?.slots.storeId ?? '',
    }
  }
  const unseal = async ({ key, reset }: { key: string; reset: boolean }): Promise<SealStatus> => {
    if (reset) {
      if (scope.keyring) throw invalid('vault is unsealed')
      progress.reset()
      return status()
    }
    if (key === '') throw invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
    const share = decodeShare(key)
    const stored = await readSeal(scope)
    if (!stored) throw invalid('Vault is not initialized')
    if (!scope.keyring && progress.add(share) && (await unsealByShares(scope, progress, stored, staticKeys)))
      await opened()
    return status()
  }

  return {
    barrier,
    get sealed() {
      return scope.keyring === undefined
    },
    initialized,
    status,
    initialize: (wanted) =>
      inTurn(async () => {
        const current = staticKeys.find((key) => key.current)
        const result = await initializeStore(scope, current, wanted, (tx) => ports.createRootToken(tx, 'init'))
        known = true
        // The keys were handed out once and for all: a failure to unseal must not swallow them.
        if (current) await autoUnseal().catch((cause) => warn('unsealing after init failed', cause))
        return result
      }),
    unseal: (input) => inTurn(() => unseal(input)),
    autoUnseal: () => inTurn(autoUnseal),
    seal: () =>
      inTurn(async () => {
        suspension.end()
        if (scope.keyring) await dropKeys()
      }),
    refresh,
    keyStatus: () => scope.keyStatus(),
    rotate: () => scope.rotate(),
    rotateRoot: () =>
      scope.change(async ({ keyring, slots, newRoot }) => ({ result: undefined, ...(await newRoot(keyring, slots)) })),
    async rotateConfig() {
      await scope.refresh()
      if (!scope.keyring) throw new Sealed()
      return scope.keyring.parts.config
    },
    async setRotateConfig(change) {
      await scope.refresh()
      if (!scope.keyring) throw new Sealed()
      const config = { ...scope.keyring.parts.config, ...change }
      if (config.intervalSeconds !== 0 && config.intervalSeconds < intervalSecondsMin)
        throw invalid('interval must be greater or equal to 24h0m0s')
      if (config.maxOperations < maxOperationsMin || config.maxOperations > maxOperationsMax)
        throw invalid(`max_operations must be in the range [${maxOperationsMin},${maxOperationsMax}]`)
      await scope.setRotateConfig(config)
    },
    rekey: createRekey(scope, barrier),
    generateRoot: createGenerateRoot(scope, barrier, (tx) => ports.createRootToken(tx, 'generate-root')),
    slots: createSlotList(scope, staticKeys),
    namespaces,
    snapshots,
    storageFormat,
    async finalizeFormat() {
      await storage.update(async (raw) => {
        if ((await formatOf(raw)) >= newestFormat) return
        putFormat(raw, newestFormat)
        const tx = barrier.writerOver(raw)
        await ports.moveEpoch?.(tx)
        await tx.settle()
      })
      await storage.markFormat?.(newestFormat)
    },
    tick,
    close: () =>
      inTurn(async () => {
        suspension.end()
        stopClock()
        progress.reset()
        if (!scope.keyring) return
        await namespaces.dropAll().catch(() => undefined)
        await scope.release().catch(() => undefined)
        scope.drop()
      }),
  }
}

function unlessSealed(error: unknown): void {
  if (!(error instanceof Sealed)) throw error
}
