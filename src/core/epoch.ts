// The epoch record: one key whose version moves when anything changes that processes cache for all requests (mounts, namespaces,
// policies). Everybody who answers from a cache expects its version in the transaction; everybody who changes such a thing moves it.
import { Undecryptable } from '../barrier/errors.ts'
import { decodeRecord, encodeRecord } from '../storage/collection.ts'
import type { Entry, Writer } from '../storage/storage.ts'

export const epochKey = 'core/epoch'

/** Counters of what may change. `mounts`: namespaces, mounts, audit devices, headers and CORS; `policies`: ACL policies of any namespace. */
export interface Epoch {
  readonly mounts: number
  readonly policies: number
}

/** Decodes the record; an absent one is the beginning. */
export const epochOf = (entry: Entry | undefined): Epoch =>
  entry ? decodeRecord<Epoch>(entry.value) : { mounts: 0, policies: 0 }

/** Writes the record of a store whose content was replaced: counters that no process can have seen, so that all load anew. */
export const restartEpoch = (tx: Writer, now: number): void =>
  tx.put(epochKey, encodeRecord({ mounts: now, policies: now } satisfies Epoch))

/** Moves one counter of the epoch in this transaction. */
export async function moveEpoch(tx: Writer, what: keyof Epoch): Promise<void> {
  const epoch = epochOf(await tx.get(epochKey))
  tx.put(epochKey, encodeRecord({ ...epoch, [what]: epoch[what] + 1 }))
}

/**
 * Moves both counters after a change made below everything, to numbers that no process has seen; also where the record is broken, whose
 * counters are lost: the clock is far ahead of them.
 */
export async function renewEpoch(tx: Writer, now: number): Promise<void> {
  let before: Partial<Epoch> = {}
  try {
    before = epochOf(await tx.get(epochKey)) ?? {}
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof Undecryptable)) throw error
  }
  const next = (count: unknown): number => Math.max(now, Number.isSafeInteger(count) ? (count as number) + 1 : 0)
  tx.put(epochKey, encodeRecord({ mounts: next(before.mounts), policies: next(before.policies) }))
}
