// What the processes of one machine share of their seals: key shares given so far, and the root key of what is open. It goes from
// memory to memory and never to storage; how it travels is not known here.
import { Buffer } from 'node:buffer'
import { importKey } from '../crypto/aead.ts'
import type { SealScope } from './scope.ts'
import type { ShareProgress } from './shares.ts'

/** State of one seal, as another process takes it over. Whoever has used it wipes it. */
export interface SealState {
  /** UUID of a namespace with keys of its own; "" is the store. */
  readonly namespace: string
  /** Names the attempt to unseal; "" without shares. */
  readonly nonce: string
  readonly shares: readonly Uint8Array[]
  /** The root key and its id; undefined: sealed there. */
  readonly root: { readonly key: Uint8Array; readonly id: string } | undefined
  /** Of a namespace: version of the sealing that came before these keys were given; 0 for none. */
  readonly sealing: number
  /** Whoever has the keys drops them. A process that is sealed for reasons of its own does not ask that of others. */
  readonly drop?: true
}

/** The other processes of this machine over the same store. */
export interface Peers {
  /** Runs a step while no process of the machine runs another one. */
  inTurn<T>(step: () => Promise<T>): Promise<T>
  /** Resolves when every other process has followed, or has ended. */
  tell(state: SealState): Promise<void>
  /** Asks another process for all its seals; undefined when there is none. In turn. */
  ask(): Promise<readonly SealState[] | undefined>
}

/** A seal of this process. */
export interface SharedSeal {
  readonly namespace: string
  readonly scope: SealScope
  readonly progress: ShareProgress
  readonly sealing?: number
}

/** Zeroes the keys and shares of a state. */
export function wipe({ shares, root }: SealState): void {
  for (const share of shares) share.fill(0)
  root?.key.fill(0)
}

/** Copies the state of a seal. */
export function stateOf({ namespace, scope, progress, sealing = 0 }: SharedSeal): SealState {
  const { rootKey, rootId } = scope.keyring?.parts ?? {}
  return {
    namespace,
    nonce: progress.nonce,
    shares: progress.parts.map((part) => Buffer.from(part)),
    root: rootKey && rootId !== undefined ? { key: rootKey.export(), id: rootId } : undefined,
    sealing,
  }
}

/** Takes a seal over; `opened` runs after its keys were loaded, `drop` takes them away. Rejects when the root key is not the store's. */
export async function takeOver(
  { scope, progress }: SharedSeal,
  state: SealState,
  { opened, drop }: { opened(): Promise<void>; drop(): Promise<void> },
): Promise<void> {
  if (state.drop) return drop()
  if (scope.keyring) return
  const { nonce, shares, root } = state
  progress.take(nonce, shares)
  if (!root) return
  await scope.load(importKey(root.key), root.id)
  await opened()
}

/** Tells the others how a seal stands. */
export async function tellState(peers: Peers, seal: SharedSeal): Promise<void> {
  const state = stateOf(seal)
  try {
    await peers.tell(state)
  } finally {
    wipe(state)
  }
}

const standOf = ({ scope, progress }: SharedSeal): string =>
  `${progress.nonce} ${progress.parts.length} ${scope.keyring?.parts.rootId ?? ''}`

/** Runs a step that may change a seal; when it has come to an end, good or bad, the others stand where this process does. */
export async function together<T>(peers: Peers | undefined, seal: SharedSeal, step: () => Promise<T>): Promise<T> {
  if (!peers) return step()
  return peers.inTurn(async () => {
    const before = standOf(seal)
    try {
      return await step()
    } finally {
      if (standOf(seal) !== before) await tellState(peers, seal)
    }
  })
}

/** Seals here and in all other processes at the same time. */
export async function sealTogether(
  peers: Peers | undefined,
  namespace: string,
  drop: () => Promise<void>,
): Promise<void> {
  if (!peers) return drop()
  await peers.inTurn(async () => {
    await Promise.all([
      drop(),
      peers.tell({ namespace, nonce: '', shares: [], root: undefined, sealing: 0, drop: true }),
    ])
  })
}
