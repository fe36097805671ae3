// The life of a store on this node: uninitialised, sealed, unsealed. It owns the keys; core is told when they come and go.
// Sealing first lets core stop, then drops every key.
import type { KeyObject } from 'node:crypto'
import { invalid, unavailable } from '../sdk/errors.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { type Barrier, type BarrierMeter, clearPrefix, createBarrier } from './barrier.ts'
import { Sealed } from './errors.ts'
import { formatOf, newestFormat, putFormat } from './format.ts'
import { createGenerateRoot } from './generate-root.ts'
import { type InitResult, type InitWanted, initializeStore } from './init.ts'
import { intervalSecondsMin, maxOperationsMax, maxOperationsMin, type RotateConfig } from './keyring.ts'
import { createNamespaceSeals, type NamespaceSeals } from './namespace-seal.ts'
import { type Peers, type SealState, type SharedSeal, sealTogether, stateOf, takeOver, together } from './peers.ts'
import { createRekey, type Rekey } from './rekey.ts'
import { lastRestore, restoring } from './restore.ts'
import { type KeyStatus, SealScope } from './scope.ts'
import { readSealStatus, type SealStatus } from './seal-status.ts'
import { decodeShare, ShareProgress } from './shares.ts'
import { createSlotList, type SlotList } from './slot-list.ts'
import type { StaticKey } from './slots.ts'
import { createSnapshots, type Snapshots } from './snapshots.ts'
import { createSuspension } from './suspension.ts'
import type { TokenAttempts } from './token-attempt.ts'
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
  /** Another process has sealed or unsealed a namespace, and this one has followed. */
  onNamespaceSeal?(): void
  warn?(message: string, cause: unknown): void
}

export interface LifecycleOptions {
  readonly storage: Storage
  /** Keys of the configured `seal "static"` stanzas (`readStaticKeys`); empty: Shamir. */
  readonly staticKeys: readonly StaticKey[]
  readonly ports: LifecyclePorts
  /** Other processes of the machine that seal and unseal together with this one. */
  readonly peers?: Peers | undefined
  readonly now?: () => number
  readonly meter?: BarrierMeter | undefined
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
  /**
   * Opens the store as the peers have it; without peers with the static keys, if it is initialised and they open it. Call at start; answers
   * whether it is unsealed.
   */
  autoUnseal(): Promise<boolean>
  /** Drops the keys, here and in all peers. */
  seal(): Promise<void>
  /** Takes over what a peer tells of a seal. Rejects when its keys cannot be used here. */
  follow(state: SealState): Promise<void>
  /** All seals, for a peer that begins. */
  shared(): Promise<SealState[]>
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
  readonly generateRoot: TokenAttempts
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
export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { storage, staticKeys, ports, peers, now = Date.now } = options
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
      void inTurn(() => dropKeys())
        .then(() => join(async () => undefined))
        .catch((cause) => warn('sealing after the keys were lost failed', cause))
    },
    warn,
  })
  const barrier: Barrier = createBarrier(storage, scope, options.meter)
  const namespaces = createNamespaceSeals(barrier, {
    now,
    peers,
    moved: (tx) => ports.moveEpoch?.(tx),
    onFollow: () => ports.onNamespaceSeal?.(),
  })
  const seal: SharedSeal = { namespace: '', scope, progress }
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
  const dropIfOpen = async (): Promise<void> => (scope.keyring ? dropKeys() : progress.reset())
  /** Seals for good: also one that only stepped aside for a restore. */
  const sealHere = async (): Promise<void> => {
    suspension.end()
    await dropIfOpen()
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
  const autoUnseal = async (): Promise<void> => {
    if (!scope.keyring && (await unsealByStatic(scope, staticKeys))) await opened()
  }
  const follow = (state: SealState): Promise<void> =>
    inTurn(async () => {
      if (state.namespace === '') await takeOver(seal, state, { opened, drop: sealHere })
      else if (scope.keyring) await namespaces.follow(state)
    })
  /** Takes over all seals of a peer; without one, with the turn still held, does what a process alone does. */
  const join = async (otherwise: () => Promise<unknown>): Promise<unknown> => {
    if (!peers) return otherwise()
    return peers.inTurn(async () => {
      const states = await peers.ask()
      if (!states) return otherwise()
      for (const state of states) await follow(state)
    })
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
    const found = await readSealStatus(scope, staticKeys, progress)
    if (found.sealed) return found
    // Load balancers ask often: so a process that nobody uses learns of a restore before its next request does.
    const usable = await storageFormat().then(
      () => true,
      () => false,
    )
    return { ...found, sealed: !usable }
  }
  const initialize = async (wanted: InitWanted): Promise<InitResult> => {
    const current = staticKeys.find((key) => key.current)
    const result = await initializeStore(scope, current, wanted, (tx) => ports.createRootToken(tx, 'init'))
    known = true
    // The keys were handed out once and for all: a failure to unseal must not swallow them.
    if (current) await autoUnseal().catch((cause) => warn('unsealing after init failed', cause))
    return result
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
    initialize: (wanted) => together(peers, seal, () => inTurn(() => initialize(wanted))),
    // Of an open store nothing is left to share: whoever asks often must not keep the others busy.
    unseal: (input) => together(scope.keyring ? undefined : peers, seal, () => inTurn(() => unseal(input))),
    async autoUnseal() {
      await join(() => inTurn(autoUnseal))
      return scope.keyring !== undefined
    },
    seal: () => sealTogether(peers, '', () => inTurn(sealHere)),
    follow,
    async shared() {
      if (scope.keyring) await scope.refresh()
      return [stateOf(seal), ...namespaces.shared()]
    },
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
