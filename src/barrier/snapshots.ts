// Snapshots of the whole store: taking one, and judging by its keys whether and how one may be restored. What a snapshot's stream is encrypted with
// is a key of its own, wrapped under the barrier's keyring, so a snapshot opens wherever the keys of its time are, and shows no path to anybody else.
import { randomUUID } from 'node:crypto'
import { generateKey, importKey } from '../crypto/aead.ts'
import { invalid } from '../sdk/errors.ts'
import { decodeRecord } from '../storage/collection.ts'
import { type SnapshotHeader, snapshotFormat, writeSnapshot } from '../storage/snapshot-file.ts'
import type { Entry, Storage, Writer } from '../storage/storage.ts'
import { type Barrier, clearPrefix } from './barrier.ts'
import { Sealed, Undecryptable } from './errors.ts'
import { formatOf, newestFormat } from './format.ts'
import { type Keyring, unwrapKeyring } from './keyring.ts'
import { type KeyringRecord, sealRecords, toBytes, toText } from './records.ts'
import { apply, copySeal, declare, type Judge, leftOut, type SealCopy, stage } from './restore.ts'
import type { SealScope } from './scope.ts'
import type { StaticKey } from './slots.ts'
import { openByStatic } from './unseal.ts'

export interface Snapshots {
  /** Writes a snapshot of one state of the store. Nothing is read before the first piece is asked for; an error cuts it off. */
  save(cofferVersion: string): AsyncIterable<Uint8Array>
  /**
   * Reads and checks an uploaded snapshot and keeps it beside the store; `apply` then puts it in the store's place, and resolves when that is done and
   * the store is open again, or sealed because its keys are not here. Rejects with `ApiError` 400 for what may not be restored: with `force`, a
   * snapshot of another store may, and its seal comes with it.
   */
  stage(upload: AsyncIterable<Uint8Array>, force: boolean): Promise<{ apply(): Promise<void> }>
  /** Finishes a restore that was interrupted. Called when the keys are there and nobody is let in yet. */
  finish(): Promise<void>
}

export interface SnapshotPorts {
  readonly staticKeys: readonly StaticKey[]
  readonly epoch: { readonly key: string; restart(tx: Writer): void } | undefined
  moveEpoch(tx: Writer): void | Promise<void>
  /** Closes the store to everybody, makes the change, opens it again. */
  suspend(change: () => Promise<void>): Promise<void>
}

const keyPlace = (id: string): string => `${clearPrefix}snapshot ${id}`

/** Makes the snapshots of a store. */
export function createSnapshots(scope: SealScope, barrier: Barrier, ports: SnapshotPorts): Snapshots {
  const { storage } = scope
  const keyring = (): Keyring => {
    if (!scope.keyring) throw new Sealed()
    return scope.keyring
  }
  /** Runs a change of the raw transaction that writes through the barrier as well. */
  const through = async (raw: Writer, change: (tx: Writer) => void | Promise<void>): Promise<void> => {
    const tx = barrier.writerOver(raw)
    await change(tx)
    await tx.settle()
  }

  async function* save(cofferVersion: string): AsyncGenerator<Uint8Array> {
    const { seal, format } = await storage.view(async (tx) => ({
      seal: await copySeal(tx),
      format: await formatOf(tx),
    }))
    const id = randomUUID()
    const key = generateKey()
    const raw = key.export()
    const box = keyring().encrypt(keyPlace(id), raw)
    raw.fill(0)
    const header: SnapshotHeader = {
      format: snapshotFormat,
      id,
      created: new Date(scope.now).toISOString(),
      coffer_version: cofferVersion,
      cluster_id: seal.slots.storeId,
      storage_type: storage.kind,
      storage_format: format,
      key: toText(box),
      seal,
    }
    yield* writeSnapshot(header, key, copied(storage, seal))
  }

  /** The key of a snapshot's stream under a keyring; undefined when it is another store's, or of a term that is not there. */
  const keyUnder = (ring: Keyring, header: SnapshotHeader) => {
    try {
      const raw = ring.decrypt(keyPlace(header.id), toBytes(header.key))
      return raw && importKey(raw)
    } catch (error) {
      if (error instanceof Undecryptable || error instanceof RangeError) return undefined
      throw error
    }
  }
  /** The keyring that a snapshot carries, where its root key is the present one or opens by itself. */
  const carriedKeyring = ({ seal }: SnapshotHeader): Keyring | undefined => {
    const { keyring: record, slots } = seal as SealCopy
    const { rootKey, rootId } = keyring().parts
    const opened =
      rootId === record.rootId ? rootKey : openByStatic(clearPrefix, record.rootId, slots, ports.staticKeys)?.rootKey
    return opened && unwrapKeyring(opened, record.rootId, toBytes(record.box), scope.records.keyringKey)
  }
  const carried = (header: SnapshotHeader) => {
    try {
      const ring = carriedKeyring(header)
      return ring && keyUnder(ring, header)
    } catch {
      // What a file says of its keys may be anything; what does not open does not open.
      return undefined
    }
  }
  const judge =
    (storeId: string, force: boolean): Judge =>
    (header) => {
      if (header.storage_format > newestFormat)
        throw invalid(
          `the snapshot has storage format ${header.storage_format}; this version knows formats up to ${newestFormat}`,
        )
      checkSeal(header.seal)
      const ours = header.cluster_id === storeId
      const present = ours ? keyUnder(keyring(), header) : undefined
      if (present) return { key: present, replacesSeal: false }
      const key = carried(header)
      if (!force && !(ours && key))
        throw invalid(
          'could not verify hash file, possibly the snapshot is using a different set of unseal keys; use the snapshot-force API to bypass this check',
        )
      return { key, replacesSeal: true }
    }

  return {
    save,
    async stage(upload, force) {
      const { slots } = await storage.view(copySeal)
      const staged = await stage(storage, upload, judge(slots.storeId, force), scope.now)
      return {
        apply: () => ports.suspend(() => declare(storage, staged, (raw) => through(raw, (tx) => ports.moveEpoch(tx)))),
      }
    },
    finish: () =>
      apply(
        storage,
        {
          keyOf: (header) => keyUnder(keyring(), header),
          epochKey: ports.epoch?.key ?? '',
          restartEpoch: (raw) => through(raw, (tx) => ports.epoch?.restart(tx)),
        },
        scope.now,
      ),
  }
}

/** Refuses a seal that is none before it could take the place of the store's. */
function checkSeal(seal: unknown): void {
  const { keyring, slots } = (seal ?? {}) as Partial<SealCopy>
  const whole =
    typeof keyring?.rootId === 'string' &&
    typeof keyring.box === 'string' &&
    typeof slots?.storeId === 'string' &&
    Array.isArray(slots.slots)
  if (!whole) throw invalid('the snapshot carries no seal')
}

/** Entries that go into a snapshot. The seal travels in its header; that both are of one time is shown here. */
async function* copied(storage: Storage, seal: SealCopy): AsyncGenerator<Entry[]> {
  if (!storage.export) throw new Error(`a store of kind "${storage.kind}" cannot be copied`)
  for await (const page of storage.export()) {
    for (const { key, value } of page)
      if (key === sealRecords(clearPrefix).keyringKey && decodeRecord<KeyringRecord>(value).box !== seal.keyring.box)
        throw new Error('the keys were changed while the snapshot was taken')
    yield page.filter(({ key }) => !leftOut(key))
  }
}
