// Putting a snapshot back. It is staged in the store itself, under the barrier's clear prefix, where nobody sees it; one transaction then declares
// that it is being applied, which bars every process; it is applied in steps, by whoever has the keys, and goes on after a crash. So clients see
// the old store or the new one. It must never touch what is served before the whole file was read and checked.
import { type KeyObject, randomUUID } from 'node:crypto'
import { conflict, invalid, unavailable } from '../sdk/errors.ts'
import { collection } from '../storage/collection.ts'
import { compareKeys } from '../storage/order.ts'
import { replaceRange } from '../storage/replace.ts'
import {
  entriesOf,
  openPiece,
  openSums,
  type PlacedEntry,
  pieceBytes,
  readSnapshot,
  SnapshotDamaged,
  type SnapshotHeader,
} from '../storage/snapshot-file.ts'
import { pageMax, type Reader, type Storage, type Writer } from '../storage/storage.ts'
import { clearPrefix } from './barrier.ts'
import { formatKey, formatOf, putFormat } from './format.ts'
import { type HandoverRecord, type KeyringRecord, nodesPrefix, type SlotsRecord, sealRecords } from './records.ts'

/** Records in clear that lead to the root key, as a snapshot carries them. */
export interface SealCopy {
  readonly keyring: KeyringRecord
  readonly slots: SlotsRecord
  readonly handover?: HandoverRecord
}

interface RestoreState {
  readonly id: string
  /** Being staged, nothing has changed; or being applied, nobody may use the store. */
  readonly phase: 'staging' | 'applying'
  /** Milliseconds since the epoch. */
  readonly started: number
  readonly header?: SnapshotHeader
  readonly pieces?: number
  /** Whether every piece was shown to be authentic. */
  readonly checked?: boolean
  /** The seal of before, where the snapshot's takes its place. */
  readonly before?: SealCopy
  /** Byte of the stream up to which it is applied, and the key up to which the store is as it should be. */
  readonly at: number
  readonly after: string
}

const restorePrefix = `${clearPrefix}restore/`
const states = collection<RestoreState>(restorePrefix)
const stateId = 'state'
/** Which restore was the last one; a process that slept through it must load everything anew. */
const lasts = collection<{ readonly id: string }>(clearPrefix)
const lastId = 'restored'
const lastKey = lasts.key(lastId)
const seals = sealRecords(clearPrefix)
const pieceKey = (id: string, n: number): string => `${restorePrefix}${id}/${String(n).padStart(8, '0')}`
/** Staging that nobody finished in this time was given up. */
const abandonedMs = 24 * 3600 * 1000
const stepBytes = 4 * pageMax.bytes

/** Keys that a snapshot leaves out: what a restore itself keeps there, and the seal, which its header carries. */
export const leftOut = (key: string): boolean =>
  key.startsWith(restorePrefix) ||
  key.startsWith(nodesPrefix) ||
  key === lastKey ||
  key === seals.keyringKey ||
  key === seals.slotsKey ||
  key === seals.handoverKey

/** Whether a snapshot is being applied: nobody may use the store. */
export const restoring = async (tx: Reader): Promise<string | undefined> => {
  const state = await states.get(tx, stateId)
  return state?.phase === 'applying' ? `${state.id} ${state.at} ${state.after}` : undefined
}

/** Names the last restore that was declared; "" when there was none. */
export const lastRestore = async (tx: Reader): Promise<string> => (await lasts.get(tx, lastId))?.id ?? ''

/** What was staged: ready to be applied. */
export interface Staged {
  readonly id: string
  readonly header: SnapshotHeader
  readonly pieces: number
  readonly checked: boolean
  readonly replacesSeal: boolean
}

/** How the keys of a snapshot stand to those here; throws `ApiError` 400 for one that may not be restored. */
export type Judge = (header: SnapshotHeader) => { readonly key: KeyObject | undefined; readonly replacesSeal: boolean }

/** Removes what was staged, in steps, unless (again) something is. */
async function clearStaged(storage: Storage, mine?: string): Promise<void> {
  for (;;) {
    const more = await storage.update(async (tx) => {
      const state = await states.get(tx, stateId)
      if (state && state.id !== mine) return false
      const names = await tx.scan(restorePrefix, { limit: 100 })
      for (const name of names) if (name !== stateId) tx.delete(restorePrefix + name)
      return names.length === 100
    })
    if (!more) return
  }
}

/**
 * Reads a snapshot whole, checks it, and keeps it in the store without changing anything that is served. Rejects with `ApiError` 400 when it cannot be
 * restored, and leaves nothing then. A restore that was being staged is given up for this one.
 */
export async function stage(
  storage: Storage,
  upload: AsyncIterable<Uint8Array>,
  judge: Judge,
  now: number,
): Promise<Staged> {
  const id = randomUUID()
  await storage.update(async (tx) => {
    if (await restoring(tx)) throw unavailable('a snapshot is being restored')
    states.put(tx, stateId, { id, phase: 'staging', started: now, at: 0, after: '' })
  })
  try {
    await clearStaged(storage, id)
    return await take(storage, id, upload, judge)
  } catch (error) {
    await giveUp(storage, id)
    if (error instanceof SnapshotDamaged) throw invalid(error.message)
    throw error
  }
}

async function giveUp(storage: Storage, id: string): Promise<void> {
  await clearStaged(storage, id)
  await storage.update(async (tx) => {
    const state = await states.get(tx, stateId)
    if (state?.id === id && state.phase === 'staging') states.delete(tx, stateId)
  })
}

async function take(storage: Storage, id: string, upload: AsyncIterable<Uint8Array>, judge: Judge): Promise<Staged> {
  let header: SnapshotHeader | undefined
  let judged: ReturnType<Judge> = { key: undefined, replacesSeal: false }
  let pieces = 0
  const plain = async function* (): AsyncGenerator<Buffer> {
    for await (const part of readSnapshot(upload)) {
      if (part.is === 'header') {
        header = part.header
        judged = judge(header)
      } else if (part.is === 'piece') {
        if (judged.key && header) yield openPiece(judged.key, header.id, part)
        await storage.update(async (tx) => {
          const state = await states.get(tx, stateId)
          if (state?.id !== id) throw conflict('another restore has taken the place of this one')
          tx.put(pieceKey(id, part.n), part.box)
        })
        pieces++
      } else if (judged.key && header) openSums(judged.key, header.id, part)
    }
  }
  let before = ''
  for await (const { key } of entriesOf(plain(), 0)) {
    if (compareKeys(before, key) >= 0) throw new SnapshotDamaged('the entries of the snapshot are not in order')
    before = key
  }
  if (!header) throw new SnapshotDamaged('the snapshot is cut short')
  return { id, header, pieces, checked: judged.key !== undefined, replacesSeal: judged.replacesSeal }
}

/** Declares that what was staged is being applied; from its commit on nobody may use the store. `moveEpoch` runs in the same transaction. */
export async function declare(
  storage: Storage,
  { id, header, pieces, checked, replacesSeal }: Staged,
  moveEpoch: (raw: Writer) => Promise<void>,
): Promise<void> {
  await storage.update(async (tx) => {
    const state = await states.get(tx, stateId)
    if (state?.id !== id || state.phase !== 'staging') throw conflict('another restore has taken the place of this one')
    lasts.put(tx, lastId, { id })
    putFormat(tx, Math.max(await formatOf(tx), header.storage_format))
    let before: SealCopy | undefined
    if (replacesSeal) {
      before = await copySeal(tx)
      putSeal(tx, header.seal as SealCopy)
    }
    states.put(tx, stateId, { ...state, phase: 'applying', header, pieces, checked, ...(before && { before }) })
    await moveEpoch(tx)
  })
}

/** Reads the records that lead to the root key; throws when there are none. */
export async function copySeal(tx: Reader): Promise<SealCopy> {
  const keyring = await seals.keyring(tx)
  const slots = await seals.slots(tx)
  const handover = await seals.handover(tx)
  if (!keyring || !slots) throw new Error('the store has no seal')
  return { keyring: keyring.value, slots, ...(handover && { handover }) }
}

function putSeal(tx: Writer, { keyring, slots, handover }: SealCopy): void {
  seals.putKeyring(tx, keyring)
  seals.putSlots(tx, slots)
  seals.putHandover(tx, handover)
}

/** What applying needs besides the store: the keys, and the record that makes processes load anew. */
export interface ApplyPorts {
  /** The key of the snapshot's stream; undefined when the keys that are here do not open it. */
  keyOf(header: SnapshotHeader): KeyObject | undefined
  /** Key of the record whose version everybody watches: left alone until the end. */
  readonly epochKey: string
  /** Writes that record anew, in the last transaction. */
  restartEpoch(raw: Writer): Promise<void>
}

/** Finishes what was declared, if anything was, and clears up. Several processes may do it at once; each goes on where the store says it is. */
export async function apply(storage: Storage, ports: ApplyPorts, now: number): Promise<void> {
  for (;;) {
    const state = await storage.view((tx) => states.get(tx, stateId))
    if (state?.phase === 'staging')
      return now - state.started > abandonedMs ? await giveUp(storage, state.id) : undefined
    if (!state) return await clearStaged(storage)
    if (!state.header) throw new Error('the record of the restore is incomplete')
    const key = ports.keyOf(state.header)
    if (!state.checked) await check(storage, state, key)
    if (!key) throw new Error('the keys do not open the snapshot that is being restored')
    await applyFrom(storage, state, key, ports)
  }
}

/** Decrypts staged pieces from byte `at` of the stream on. */
async function* plainFrom(storage: Storage, state: RestoreState, key: KeyObject, at: number): AsyncGenerator<Buffer> {
  const { id, header, pieces = 0 } = state
  const first = Math.floor(at / pieceBytes)
  for (let n = first; n < pieces; n++) {
    const found = await storage.view((tx) => tx.get(pieceKey(id, n)))
    if (!found) throw new SnapshotDamaged('a staged piece of the snapshot is missing')
    const plain = openPiece(key, header?.id ?? '', { n, last: n === pieces - 1, box: found.value })
    yield n === first ? plain.subarray(at % pieceBytes) : plain
  }
}

/** Checks pieces that could not be checked when they came; those that do not authenticate bring the old seal back. */
async function check(storage: Storage, state: RestoreState, key: KeyObject | undefined): Promise<void> {
  try {
    if (!key) throw new SnapshotDamaged('the key of the snapshot does not authenticate')
    for await (const _ of entriesOf(plainFrom(storage, state, key, 0), 0));
  } catch (error) {
    if (!(error instanceof SnapshotDamaged)) throw error
    await storage.update(async (tx) => {
      const now = await states.get(tx, stateId)
      if (now?.id !== state.id || now.at > 0 || now.after !== '') return
      if (state.before) putSeal(tx, state.before)
      states.delete(tx, stateId)
    })
    throw invalid(`${error.message}; it is not restored, and what was before is back under its own keys`)
  }
}

async function applyFrom(storage: Storage, state: RestoreState, key: KeyObject, ports: ApplyPorts): Promise<void> {
  const kept = keptKeys(state, ports.epochKey)
  let { at, after } = state
  /** Commits a batch in steps; false when another process has gone on meanwhile. */
  const step = async (entries: readonly PlacedEntry[], upTo: string | undefined, nextAt: number): Promise<boolean> => {
    for (;;) {
      const reached = await storage.update(async (tx) => {
        const now = await states.get(tx, stateId)
        if (now?.id !== state.id || now.at !== at || now.after !== after) return undefined
        const result = await replaceRange(tx, { after, upTo, entries, kept })
        if (result.done && upTo === undefined) {
          await ports.restartEpoch(tx)
          states.delete(tx, stateId)
        } else states.put(tx, stateId, { ...now, checked: true, at: result.done ? nextAt : at, after: result.at })
        return result
      })
      if (!reached) return false
      after = reached.at
      if (!reached.done) continue
      at = nextAt
      return true
    }
  }
  let batch: PlacedEntry[] = []
  let bytes = 0
  for await (const entry of entriesOf(plainFrom(storage, state, key, at), at)) {
    batch.push(entry)
    bytes += entry.value.byteLength
    if (batch.length < pageMax.entries && bytes < stepBytes) continue
    if (!(await step(batch, entry.key, entry.nextAt))) return
    batch = []
    bytes = 0
  }
  await step(batch, undefined, at)
}

/** What a restore leaves as it is: with the seal of before, all that belongs to it; with the snapshot's, the records put there when it was declared. */
function keptKeys(state: RestoreState, epochKey: string): (key: string) => boolean {
  const declared = new Set([epochKey, seals.keyringKey, seals.slotsKey, formatKey, lastKey])
  const prefixes = state.before ? [restorePrefix, nodesPrefix] : [clearPrefix]
  return (key) => declared.has(key) || prefixes.some((prefix) => key.startsWith(prefix))
}
