// Which format the records of a store may be written in. A newer server keeps to the store's format until somebody finalizes the newest, so
// that older servers beside it, or after it, read all there is. The number lies in clear: whoever opens the store can judge it.
import { collection } from '../storage/collection.ts'
import { type Reader, type Storage, StorageUnusable, type Writer } from '../storage/storage.ts'
import { clearPrefix } from './barrier.ts'

/**
 * The format this version would write: 2 lets KV v2 keep the newest version's data in the secret's own record. Every format from 1 on is read.
 * New stores begin with it.
 */
export const newestFormat = 2

const records = collection<{ readonly format: number }>(clearPrefix)
const id = 'format'
export const formatKey = records.key(id)

/** The finalized format; stores from before it was recorded have 1. */
export const formatOf = async (tx: Reader): Promise<number> => (await records.get(tx, id))?.format ?? 1

/** Records the finalized format. */
export const putFormat = (tx: Writer, format: number): void => records.put(tx, id, { format })

/** Refuses a store that only newer versions can use, with `StorageUnusable`. Call it before anything else is done with a store. */
export async function checkFormat(storage: Storage): Promise<void> {
  const format = await storage.view(formatOf)
  if (format > newestFormat)
    throw new StorageUnusable(
      `the store was finalized for storage format ${format}, this version knows formats up to ${newestFormat}; start the newer version`,
    )
}
