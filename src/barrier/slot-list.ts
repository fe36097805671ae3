// Managing seal slots on a live server: list, check, add, remove. The last slot that opens cannot be removed.
import { randomUUID } from 'node:crypto'
import { AuthenticationFailed } from '../crypto/aead.ts'
import { invalid, missing } from '../sdk/errors.ts'
import type { Keyring } from './keyring.ts'
import type { SlotRecord, SlotsRecord } from './records.ts'
import type { SealScope } from './scope.ts'
import { checkShares, type MadeShares, makeShares, type SharesSpec } from './shares.ts'
import { makeShamirSlot, makeStaticSlot, openSlot, openStaticSlot, type StaticKey } from './slots.ts'

/** A slot as an operator sees it. */
export interface SlotView {
  readonly id: string
  readonly name: string
  readonly kind: 'shamir' | 'static'
  readonly created: string
  readonly shares: number | undefined
  readonly threshold: number | undefined
  readonly keyId: string | undefined
  /** Tried just now against the root key in force. */
  readonly opens: boolean
  /** Why it does not open; "" when it does. */
  readonly reason: string
}

export interface SlotList {
  list(): Promise<SlotView[]>
  addShamir(wanted: SharesSpec & { name: string }): Promise<{ slot: SlotView; made: MadeShares }>
  /** Adds a slot for a configured static key: the named one, else the current one. */
  addStatic(wanted: { name: string; keyId: string }): Promise<SlotView>
  remove(id: string): Promise<void>
}

const slotsMax = 16
const namePattern = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/

/** Tries a slot: whether it gives the root key in force, and if not, why. */
function tried(prefix: string, slot: SlotRecord, keyring: Keyring, keys: readonly StaticKey[]): string {
  const { rootKey, rootId, slotKeys } = keyring.parts
  if (slot.kind === 'static') {
    const opened = openStaticSlot(prefix, slot, keys, rootId)
    if (opened) return opened.rootKey.equals(rootKey) ? '' : 'it holds another root key'
    if (keys.length === 0) return 'no seal "static" is configured on this server'
    return keys.some((key) => key.id === slot.keyId)
      ? `the configured key "${slot.keyId}" is not the one it was made with`
      : `its key "${slot.keyId}" is not configured on this server`
  }
  const slotKey = slotKeys.get(slot.id)
  if (!slotKey) return 'the keyring does not know it'
  try {
    return openSlot(prefix, slot, slotKey, rootId).equals(rootKey) ? '' : 'it holds another root key'
  } catch (error) {
    if (error instanceof AuthenticationFailed) return 'its record was altered or is of an older root key'
    throw error
  }
}

/** Keeps `type` true to the slots that are left, and drops recovery keys where shares hold authority again. */
function typed(record: SlotsRecord, slots: readonly SlotRecord[]): SlotsRecord {
  const { recovery, ...rest } = record
  if (!slots.some((slot) => slot.kind === 'static')) return { ...rest, type: 'shamir', slots }
  const type = slots.some((slot) => slot.kind === 'shamir') ? record.type : 'static'
  return { ...rest, ...(recovery && type === 'static' && { recovery }), type, slots }
}

/** The slots of a seal; `staticKeys` are the configured ones. */
export function createSlotList(scope: SealScope, staticKeys: readonly StaticKey[]): SlotList {
  const view = (slot: SlotRecord, keyring: Keyring): SlotView => {
    const reason = tried(scope.prefix, slot, keyring, staticKeys)
    const { id, name, kind, created, shares, threshold, keyId } = slot
    return { id, name, kind, created, shares, threshold, keyId, opens: reason === '', reason }
  }
  const checkName = (name: string, record: SlotsRecord): void => {
    if (!namePattern.test(name))
      throw invalid('name must be 1 to 64 letters, digits, spaces, dots, dashes or underscores')
    if (record.slots.some((slot) => slot.name === name)) throw invalid(`a seal slot named "${name}" exists already`)
    if (record.slots.length >= slotsMax) throw invalid(`a store has at most ${slotsMax} seal slots`)
  }
  const add = <T>(
    name: string,
    make: (keyring: Keyring, id: string) => Promise<{ slot: SlotRecord; keyring: Keyring; more: T }>,
  ) =>
    scope.change(async ({ keyring, slots }) => {
      checkName(name, slots)
      const made = await make(keyring, randomUUID())
      const record = { ...slots, slots: [...slots.slots, made.slot] }
      return { result: { slot: view(made.slot, made.keyring), more: made.more }, keyring: made.keyring, slots: record }
    })
  const placeOf = (keyring: Keyring) => ({
    prefix: scope.prefix,
    rootKey: keyring.parts.rootKey,
    rootId: keyring.parts.rootId,
    now: scope.now,
  })

  return {
    list: () =>
      scope.change(async ({ keyring, slots }) => ({ result: slots.slots.map((slot) => view(slot, keyring)) })),

    async addShamir(wanted) {
      await checkShares(wanted, 'invalid seal configuration')
      const { slot, more } = await add(wanted.name, async (keyring, id) => {
        const { slot, slotKey } = makeShamirSlot(placeOf(keyring), { ...wanted, id })
        const slotKeys = new Map([...keyring.parts.slotKeys, [id, slotKey]])
        return { slot, keyring: keyring.with({ slotKeys }), more: await makeShares(slotKey, wanted) }
      })
      return { slot, made: more }
    },

    async addStatic({ name, keyId }) {
      const key = staticKeys.find((other) => (keyId === '' ? other.current : other.id === keyId))
      if (!key && staticKeys.length === 0) throw invalid('no seal "static" is configured on this server')
      if (!key) throw invalid(`key_id "${keyId}" names no configured static key`)
      const { slot } = await add(name, async (keyring, id) => {
        const { slot, slotKey } = makeStaticSlot(placeOf(keyring), { name, key, id })
        const slotKeys = new Map([...keyring.parts.slotKeys, [id, slotKey]])
        return { slot, keyring: keyring.with({ slotKeys }), more: undefined }
      })
      return slot
    },

    remove: (id) =>
      scope.change(async ({ keyring, slots, newRoot }) => {
        const slot = slots.slots.find((other) => other.id === id || other.name === id)
        if (!slot) throw missing(`no seal slot "${id}"`)
        const left = slots.slots.filter((other) => other !== slot)
        if (!left.some((other) => tried(scope.prefix, other, keyring, staticKeys) === ''))
          throw invalid(`seal slot "${slot.name}" is the last one able to open the store`)
        const record = typed(slots, left)
        const slotKeys = new Map([...keyring.parts.slotKeys].filter(([other]) => other !== slot.id))
        const recovery = record.recovery ? keyring.parts.recovery : undefined
        // A copy of the removed slot must open nothing that is written from now on, so the root key changes with it.
        return { result: undefined, ...(await newRoot(keyring.with({ slotKeys, recovery }), record)) }
      }),
  }
}
