// What the tests of this room share: a store with a lifecycle, and a storage that fails at a chosen call. Not for use elsewhere.
import { Buffer } from 'node:buffer'
import { createSecretKey, randomBytes } from 'node:crypto'
import { encodeRecord } from '../storage/collection.ts'
import { memoryStorage } from '../storage/memory.ts'
import { OutcomeUnknown, type Soon, type Storage, type Writer } from '../storage/storage.ts'
import type { InitResult, InitWanted } from './init.ts'
import { createLifecycle, type Lifecycle, type LifecyclePorts } from './lifecycle.ts'
import type { Peers } from './peers.ts'
import type { SharesSpec } from './shares.ts'
import type { StaticKey } from './slots.ts'

export const noShares: SharesSpec = { shares: 0, threshold: 0, pgpKeys: [] }
export const spec = (shares: number, threshold: number, pgpKeys: readonly string[] = []): SharesSpec => ({
  shares,
  threshold,
  pgpKeys,
})

/** What init is asked for: shares of the unseal key, or (second) of the recovery key. */
export const wanted = (secret: SharesSpec, recovery: SharesSpec = noShares): InitWanted => ({
  secret,
  recovery,
  rootTokenPgpKey: '',
})

export const staticKey = (id: string, current = true, raw = randomBytes(32)): StaticKey => ({
  id,
  current,
  key: createSecretKey(raw),
})

/** A root token nobody else makes; it is also written, so that a half-done transaction would show. */
let tokens = 0
export async function createRootToken(tx: Writer): Promise<string> {
  const token = `hvs.${String(++tokens).padStart(24, '0')}`
  tx.put(`tokens/${token}`, encodeRecord({ token }))
  return token
}

export interface Node {
  readonly storage: Storage
  readonly life: Lifecycle
  readonly events: string[]
  readonly clock: { now: number }
}

/** A node (process) over a store. Several may share one. */
export function node(
  storage: Storage = memoryStorage(),
  {
    staticKeys = [],
    ports = {},
    peers,
    clock = { now: 1_700_000_000_000 },
  }: { staticKeys?: StaticKey[]; ports?: Partial<LifecyclePorts>; peers?: Peers; clock?: { now: number } } = {},
): Node {
  const events: string[] = []
  const life = createLifecycle({
    storage,
    staticKeys,
    peers,
    now: () => clock.now,
    ports: {
      createRootToken,
      onUnseal: () => void events.push('unseal'),
      onSeal: () => void events.push('seal'),
      ...ports,
    },
  })
  return { storage, life, events, clock }
}

/** A node that was initialised and unsealed with Shamir shares. */
export async function openNode(shares = 5, threshold = 3): Promise<Node & { init: InitResult }> {
  const made = node()
  const init = await made.life.initialize(wanted(spec(shares, threshold)))
  await unsealWith(made.life, init.keys.slice(0, threshold))
  return { ...made, init }
}

/** Gives shares one after the other. */
export async function unsealWith(life: Lifecycle, keys: readonly Buffer[]) {
  let status = await life.status()
  for (const key of keys) status = await life.unseal({ key: key.toString('hex'), reset: false })
  return status
}

export const readText = async (storage: Storage, key: string): Promise<string | undefined> => {
  const entry = await storage.view((tx) => tx.get(key))
  return entry && Buffer.from(entry.value).toString()
}
export const writeText = (storage: Storage, key: string, text: string): Promise<void> =>
  storage.update(async (tx) => tx.put(key, Buffer.from(text)))

export class Injected extends Error {}

/** A storage whose call number `at` fails: reads and commits count. `lost` makes a failing commit happen all the same, its answer lost. */
export function failing(storage: Storage, lost = false) {
  const state = { at: Number.POSITIVE_INFINITY, calls: 0 }
  const strike = (): boolean => ++state.calls === state.at
  const count = async <T>(read: () => Soon<T>): Promise<T> => {
    if (strike()) throw new Injected('injected')
    return read()
  }
  const wrap = (tx: Writer): Writer => ({
    get attempt() {
      return tx.attempt
    },
    get: (key) => count(() => tx.get(key)),
    getMany: (keys) => count(() => tx.getMany(keys)),
    list: (prefix, options) => count(() => tx.list(prefix, options)),
    scan: (prefix, options) => count(() => tx.scan(prefix, options)),
    entries: (prefix, options) => count(() => tx.entries(prefix, options)),
    expect: (key, version) => tx.expect(key, version),
    verify: () => tx.verify(),
    put: (key, value) => tx.put(key, value),
    delete: (key) => tx.delete(key),
    mark: () => tx.mark(),
    rollback: (mark) => tx.rollback(mark),
  })
  const faulty: Storage = {
    kind: storage.kind,
    view: (fn) => storage.view((tx) => fn(wrap(tx as Writer))),
    async update(fn) {
      let struck = false
      const result = await storage.update(async (tx) => {
        const value = await fn(wrap(tx))
        struck = strike()
        if (struck && !lost) throw new Injected('injected at commit')
        return value
      })
      if (struck) throw new OutcomeUnknown('injected after commit')
      return result
    },
    ...(storage.export && { export: storage.export }),
    ...(storage.markFormat && { markFormat: storage.markFormat }),
    close: () => storage.close(),
  }
  return { storage: faulty, state }
}
