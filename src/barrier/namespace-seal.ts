// Seals of namespaces: a namespace may have keys of its own, cut into shares of its own. Their records lie behind the store's
// barrier, so nothing of them can be read or tried while the store is sealed.
import { randomUUID } from 'node:crypto'
import { AuthenticationFailed, generateKey } from '../crypto/aead.ts'
import { invalid } from '../sdk/errors.ts'
import { encodeRecord } from '../storage/collection.ts'
import type { Reader, Storage, Writer } from '../storage/storage.ts'
import { type Barrier, type BarrierWriter, namespacePrefix } from './barrier.ts'
import { Sealed } from './errors.ts'
import { defaultRotateConfig, Keyring, newTerm } from './keyring.ts'
import {
  type Peers,
  type SealState,
  type SharedSeal,
  sealTogether,
  stateOf,
  takeOver,
  tellState,
  together,
} from './peers.ts'
import { sealRecords } from './records.ts'
import { SealScope } from './scope.ts'
import { checkShares, decodeShare, type MadeShares, makeShares, ShareProgress, type SharesSpec } from './shares.ts'
import { makeShamirSlot, primaryShamir } from './slots.ts'
import { readSeal, unsealByShares } from './unseal.ts'

export interface NamespaceSealStatus {
  readonly type: 'shamir'
  readonly initialized: true
  readonly sealed: boolean
  readonly t: number
  readonly n: number
  readonly progress: number
  readonly nonce: string
}

export interface NamespaceSeals {
  /**
   * Gives a namespace that the running transaction creates keys of its own and takes them into memory at once, so that the same transaction
   * can write below `ns/<uuid>/`. `tx` is a transaction of the barrier. When it fails in the end, call `forget`, else `share`. 400 for a bad spec.
   */
  create(tx: Writer, uuid: string, spec: SharesSpec): Promise<MadeShares>
  /** Gives the keys of a namespace that was made just now to the peers. */
  share(uuid: string): Promise<void>
  /** Takes over what a peer tells of a namespace's seal; keys that do not fit (it is gone by now) are left alone. */
  follow(state: SealState): Promise<void>
  /** All seals that are open or have shares. */
  shared(): SealState[]
  /** Binds a child namespace without keys of its own to those of the sealable namespace above it. */
  adopt(childUuid: string, parentUuid: string): void
  /** Whether the namespace has keys of its own; told from memory. */
  sealable(uuid: string): boolean
  /** Whether a namespace with keys of its own is sealed here; also when this process has not heard of its keys yet. Told from memory. */
  closed(uuid: string): boolean
  /** Status; undefined for a namespace without keys of its own. */
  status(uuid: string): Promise<NamespaceSealStatus | undefined>
  /** Takes a share (hex or base64), or with `reset` forgets those given. 400 for wrong shares and for a namespace that is not sealable. */
  unseal(uuid: string, input: { key: string; reset: boolean }): Promise<NamespaceSealStatus>
  /**
   * Drops the keys: no value below `ns/<uuid>/`, or below adopted children, can be read or written (`Sealed`); names can, and removed. Other
   * processes drop theirs at their next `refresh`, which the moved epoch brings about before their next request.
   */
  seal(uuid: string): Promise<void>
  /** Removes the records of a namespace's seal; every process forgets it at its next `refresh`. */
  remove(tx: Writer, uuid: string): Promise<void>
  /** Forgets a namespace: it is gone, or was never made. */
  forget(uuid: string): void
  /** Learns from storage which namespaces have keys of their own; those whose keys are not here become `Sealed`. */
  declare(): Promise<void>
  /** Follows changes that other processes made to keys that are open here. */
  refresh(): Promise<void>
  /** Drops all keys: the store is being sealed. */
  dropAll(): Promise<void>
}

interface Known {
  readonly scope: SealScope
  readonly progress: ShareProgress
  /** Child namespaces that share its keys. */
  readonly children: Set<string>
  /** Its records were seen in storage; before that its creation may still be under way. */
  stored: boolean
  /** Version of the sealing that came before these keys were given; once there is another, they go. */
  sealing: number
}

const recordsPrefix = 'barrier/ns/'
/** When it was sealed last; absent: never. */
const sealingKey = (uuid: string): string => `${recordsPrefix}${uuid}/sealing`
const notSealable = () => invalid('namespace is not sealable')
const firstBlock = 1024

export interface NamespaceSealOptions {
  readonly now: () => number
  /** Runs in the transaction of every sealing, so that other processes notice. */
  moved(tx: Writer): void | Promise<void>
  readonly peers?: Peers | undefined
  /** A peer has sealed or unsealed a namespace, and this process has followed. */
  onFollow?(): void
}

/** The seals of namespaces over a barrier. */
export function createNamespaceSeals(
  barrier: Barrier,
  { now, moved, peers, onFollow }: NamespaceSealOptions,
): NamespaceSeals {
  const scopes = new Map<string, Known>()
  const prefixOf = (uuid: string) => `${namespacePrefix}${uuid}/`

  const known = (uuid: string, stored: boolean): Known => {
    const found = scopes.get(uuid)
    if (found) {
      found.stored ||= stored
      return found
    }
    // The barrier settles its own transactions: its writers are handed on as they are.
    const writerOver = (tx: Writer) => tx as BarrierWriter
    const storage: Storage = barrier
    const prefix = `${recordsPrefix}${uuid}/`
    const scope = new SealScope({ storage, prefix, now, writerOver })
    const made: Known = { scope, progress: new ShareProgress(), children: new Set(), stored, sealing: 0 }
    scopes.set(uuid, made)
    barrier.attachKeyring(prefixOf(uuid), made.scope)
    return made
  }
  const declared = async (tx: Reader): Promise<string[]> =>
    (await tx.list(recordsPrefix)).map((name) => name.replace(/\/$/, ''))

  const sealingsOf = (uuids: readonly string[]): Promise<number[]> =>
    barrier.view(async (tx) => (await tx.getMany(uuids.map(sealingKey))).map((entry) => entry?.version ?? 0))
  const drop = async ({ scope, progress }: Known): Promise<void> => {
    progress.reset()
    await scope.release().catch(() => undefined)
    scope.drop()
  }

  const status = async (uuid: string): Promise<NamespaceSealStatus | undefined> => {
    if (barrier.sealed) throw new Sealed()
    const slots = await barrier.view((tx) => sealRecords(`${recordsPrefix}${uuid}/`).slots(tx))
    const slot = slots && primaryShamir(slots)
    if (!slot) return undefined
    const { scope, progress } = known(uuid, true)
    return {
      type: 'shamir',
      initialized: true,
      sealed: scope.keyring === undefined,
      t: slot.threshold ?? 0,
      n: slot.shares ?? 0,
      progress: progress.parts.length,
      nonce: progress.nonce,
    }
  }

  const forget = (uuid: string): void => {
    const found = scopes.get(uuid)
    found?.progress.reset()
    found?.scope.drop()
    scopes.delete(uuid)
    for (const each of [uuid, ...(found?.children ?? [])]) barrier.detachKeyring(prefixOf(each))
  }
  const declare = async (): Promise<void> => {
    const there = new Set(await barrier.view(declared))
    for (const uuid of there) known(uuid, true)
    for (const [uuid, { stored }] of scopes) if (stored && !there.has(uuid)) forget(uuid)
  }

  return {
    status,
    forget,
    declare,

    async create(tx, uuid, spec) {
      await checkShares(spec, 'invalid seal config')
      const { scope } = known(uuid, false)
      const place = { prefix: scope.prefix, now: now(), rootKey: generateKey(), rootId: randomUUID() }
      const { slot, slotKey } = makeShamirSlot(place, { name: 'shamir', ...spec })
      const made = await makeShares(slotKey, spec)
      const term = { ...newTerm(1, place.now), remaining: firstBlock, block: firstBlock }
      const keyring = new Keyring({
        rootKey: place.rootKey,
        rootId: place.rootId,
        terms: new Map([[1, term]]),
        active: term,
        slotKeys: new Map([[slot.id, slotKey]]),
        config: defaultRotateConfig,
        recovery: undefined,
      })
      scope.records.putKeyring(tx, scope.wrap(keyring))
      scope.records.putSlots(tx, { format: 1, storeId: uuid, type: 'shamir', slots: [slot] })
      scope.records.counts.put(tx, '1', { reserved: firstBlock })
      scope.adopt(keyring)
      return made
    },

    adopt(childUuid, parentUuid) {
      // A parent this process has not heard of yet is sealed here, and so is the child.
      const parent = known(parentUuid, false)
      parent.children.add(childUuid)
      barrier.attachKeyring(prefixOf(childUuid), parent.scope)
    },

    sealable: (uuid) => scopes.has(uuid),
    closed: (uuid) => scopes.get(uuid)?.scope.keyring === undefined,

    async unseal(uuid, { key, reset }) {
      if (!(await status(uuid))) throw notSealable()
      const here = known(uuid, true)
      const { scope, progress } = here
      await together(peers, sharedOf(uuid, here), async () => {
        if (reset) progress.reset()
        else if (key === '') throw invalid('provided key is empty')
        else if (!scope.keyring && progress.add(decodeShare(key))) {
          const [sealing = 0] = await sealingsOf([uuid])
          const stored = await readSeal(scope)
          if (!stored) throw notSealable()
          here.sealing = sealing
          await unsealByShares(scope, progress, stored, [])
        }
      })
      return (await status(uuid)) as NamespaceSealStatus
    },

    async seal(uuid) {
      if (!(await status(uuid))) throw notSealable()
      await sealTogether(peers, uuid, async () => {
        await barrier.update(async (tx) => {
          tx.put(sealingKey(uuid), encodeRecord({ at: now() }))
          await moved(tx)
        })
        await drop(known(uuid, true))
      })
    },

    async share(uuid) {
      const found = scopes.get(uuid)
      if (peers && found) await peers.inTurn(() => tellState(peers, sharedOf(uuid, found)))
    },

    async follow(state) {
      const here = known(state.namespace, true)
      if (state.root && !here.scope.keyring) here.sealing = state.sealing
      const steps = { opened: async () => undefined, drop: () => drop(here) }
      await takeOver(sharedOf(state.namespace, here), state, steps).catch((error: unknown) => {
        if (!(error instanceof AuthenticationFailed)) throw error
      })
      onFollow?.()
    },

    shared: () =>
      [...scopes]
        .filter(([, { scope, progress, stored }]) => stored && (scope.keyring || progress.parts.length > 0))
        .map(([uuid, found]) => stateOf(sharedOf(uuid, found))),

    async remove(tx, uuid) {
      const { prefix } = sealRecords(`${recordsPrefix}${uuid}/`)
      for (const key of await tx.scan(prefix)) tx.delete(prefix + key)
    },

    async refresh() {
      await declare()
      const open = [...scopes].filter(([, { scope, stored }]) => stored && scope.keyring)
      if (open.length === 0) return
      const sealings = await sealingsOf(open.map(([uuid]) => uuid))
      for (const [i, [, each]] of open.entries()) {
        if (sealings[i] !== each.sealing) await drop(each)
        // A scope that can no longer follow seals itself; that is its own namespace's affair.
        else await each.scope.refresh().catch(ignoreSealed)
      }
    },

    async dropAll() {
      for (const each of scopes.values()) await drop(each)
    },
  }
}

/** A namespace's seal as peers see it. */
const sharedOf = (namespace: string, known: Known): SharedSeal => ({
  namespace,
  scope: known.scope,
  progress: known.progress,
  get sealing() {
    return known.sealing
  },
})

function ignoreSealed(error: unknown): void {
  if (!(error instanceof Sealed)) throw error
}
