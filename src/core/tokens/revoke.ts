// The end of tokens. Taking one record away kills the whole tree below it (find.ts); what is left of the tree is cleared here, a bounded part
// in the same transaction and the rest by due work, so that neither a wide nor a deep tree makes one giant transaction.
import { Sealed } from '../../barrier/errors.ts'
import type { Writer } from '../../storage/storage.ts'
import { deleteDue, putDue } from '../due.ts'
import type { DueHandler } from '../jobs.ts'
import { readToken } from './find.ts'
import {
  dueKinds,
  placeId,
  placeOf,
  type TokenPlace,
  type TokenRecord,
  tokenAccessors,
  tokenChildren,
  tokenRecords,
} from './record.ts'

/** Deletes what else hangs on a token (cubbyhole, leases), in the transaction that takes it away. */
export type OnRevoke = (tx: Writer, record: TokenRecord) => void | Promise<void>

/** Tokens one transaction clears. */
const tokensPerCommit = 100
/** When a namespace with a seal of its own is sealed, its tokens wait so long for the next try. */
const sealedPauseMs = 5 * 60_000

export interface Revocation {
  /** Revokes a token with all below it: dead at once, cleared now or by due work. Revoking what is gone is no error. */
  revokeTree(tx: Writer, place: TokenPlace, now: number): Promise<void>
  /** Revokes only this token; its children live on as orphans. */
  revokeOrphan(tx: Writer, place: TokenPlace, now: number): Promise<void>
  /** Takes one record away with accessor, parent index, due key and what hangs on it. Its children are dead, but not cleared. */
  remove(tx: Writer, record: TokenRecord): Promise<void>
  /** Clears every token that the logins of a mount granted, with all below. In batches, may be repeated. */
  clearMount(tx: Writer, mount: GrantingMount, after: string, now: number): Promise<string | undefined>
  readonly handlers: ReadonlyMap<string, DueHandler>
}

/** The mount whose logins granted tokens. */
export interface GrantingMount {
  readonly namespaceUuid: string
  readonly mountUuid: string
}

/** Makes the functions that end tokens. */
export function revocation(onRevoke: OnRevoke): Revocation {
  const remove = async (tx: Writer, record: TokenRecord): Promise<void> => {
    tokenRecords(record.namespaceUuid).delete(tx, record.key)
    tokenAccessors(record.namespaceUuid).delete(tx, record.accessor)
    if (record.parent) tokenChildren(record.parent).delete(tx, record.key)
    if (record.expireTime > 0) deleteDue(tx, dueKinds.expiry, placeId(record), record.expireTime)
    await onRevoke(tx, record)
  }

  /** Clears children of a token that is gone, then theirs, until the budget is spent; what remains becomes due work. */
  const clearBelow = async (tx: Writer, place: TokenPlace, now: number): Promise<void> => {
    let budget = tokensPerCommit
    const open: TokenPlace[] = [place]
    for (let above = open.shift(); above; above = open.shift()) {
      const children = await tokenChildren(above).all(tx, '', { limit: budget + 1 })
      for (const { id: key, value } of children.slice(0, budget)) {
        budget--
        const child = { namespaceUuid: value.namespaceUuid, key }
        await clearChild(tx, above, child, now)
        open.push(child)
      }
      if (budget <= 0) {
        for (const rest of [above, ...open]) await leaveToJob(tx, rest, now)
        return
      }
    }
  }

  const leaveToJob = async (tx: Writer, place: TokenPlace, now: number): Promise<void> => {
    const any = await tokenChildren(place).scan(tx, '', { limit: 1 })
    if (any.length > 0) putDue(tx, { kind: dueKinds.tree, id: placeId(place), at: now })
  }

  const clearChild = async (tx: Writer, above: TokenPlace, child: TokenPlace, now: number): Promise<void> => {
    tokenChildren(above).delete(tx, child.key)
    try {
      const found = await readToken(tx, child)
      if (found) await remove(tx, found.record)
    } catch (error) {
      if (!(error instanceof Sealed)) throw error
      // Dead all the same; its expiry entry or this one clears it when its namespace is open again.
      putDue(tx, { kind: dueKinds.tree, id: placeId(child), at: now + sealedPauseMs, data: { whole: true } })
    }
  }

  const revokeTree = async (tx: Writer, place: TokenPlace, now: number): Promise<void> => {
    const found = await readToken(tx, place)
    if (found) await remove(tx, found.record)
    await clearBelow(tx, place, now)
  }

  /** Frees children of a token; true when none is left. */
  const freeChildren = async (tx: Writer, place: TokenPlace): Promise<boolean> => {
    const index = tokenChildren(place)
    const children = await index.all(tx, '', { limit: tokensPerCommit + 1 })
    for (const { id: key, value } of children.slice(0, tokensPerCommit)) {
      const child = await readToken(tx, { namespaceUuid: value.namespaceUuid, key })
      if (child) {
        const { parent: _, ...orphan } = child.record
        tokenRecords(value.namespaceUuid).put(tx, key, orphan)
      }
      index.delete(tx, key)
    }
    return children.length <= tokensPerCommit
  }

  const revokeOrphan = async (tx: Writer, place: TokenPlace, now: number): Promise<void> => {
    const found = await readToken(tx, place)
    if (!found) return
    await remove(tx, found.record)
    if (await freeChildren(tx, place)) return
    // Too many to free at once: the record stays as a mark that says to those who still name it that they are orphans.
    tokenRecords(place.namespaceUuid).put(tx, place.key, { ...found.record, left: true })
    putDue(tx, { kind: dueKinds.orphans, id: placeId(place), at: now })
  }

  const expire: DueHandler = async (tx, { id, at }) => {
    const place = placeOf(id)
    const found = await readToken(tx, place)
    if (!found || found.record.left) return undefined
    if (found.record.expireTime === 0) return undefined
    if (found.record.expireTime > at) return { at: found.record.expireTime }
    await revokeTree(tx, place, at)
    return undefined
  }

  const clearTree: DueHandler = async (tx, { id, at, data }) => {
    const place = placeOf(id)
    if ((data as { whole?: boolean } | undefined)?.whole) await revokeTree(tx, place, at)
    else await clearBelow(tx, place, at)
    return undefined
  }

  const freeRest: DueHandler = async (tx, { id, at }) => {
    const place = placeOf(id)
    const mark = await readToken(tx, place)
    if (!mark?.record.left) return undefined
    if (!(await freeChildren(tx, place))) return { at }
    tokenRecords(place.namespaceUuid).delete(tx, place.key)
    return undefined
  }

  return {
    revokeTree,
    revokeOrphan,
    remove,
    clearMount: async (tx, { namespaceUuid, mountUuid }, after, now) => {
      const batch = await tokenRecords(namespaceUuid).all(tx, '', { limit: tokensPerCommit, ...(after && { after }) })
      for (const { value } of batch) if (value.mountUuid === mountUuid) await revokeTree(tx, value, now)
      return batch.length < tokensPerCommit ? undefined : batch.at(-1)?.id
    },
    handlers: new Map<string, DueHandler>([
      [dueKinds.expiry, expire],
      [dueKinds.tree, clearTree],
      [dueKinds.orphans, freeRest],
    ]),
  }
}
