// The epoch record: one key whose version moves when anything changes that processes cache for all requests (mounts, namespaces,
// policies). Everybody who answers from a cache expects its version in the transaction; everybody who changes such a thing moves it.
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
