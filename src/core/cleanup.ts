// What is left to clear up when something large was switched off: its record is gone in one transaction, its data goes in batches,
// as due work of kind "cleanup".
import type { Writer } from '../storage/storage.ts'
import { putDue } from './due.ts'
import type { DueHandler } from './jobs.ts'

/** What was switched off. */
export type Cleanup =
  | { readonly kind: 'mount'; readonly namespaceUuid: string; readonly mountUuid: string }
  | { readonly kind: 'namespace'; readonly namespaceUuid: string }

export const cleanupKind = 'cleanup'
const batchKeys = 500

export interface CleanupQueue {
  /** Notes the work in the transaction that made it necessary. */
  add(tx: Writer, work: Cleanup, now: number): void
  readonly handler: DueHandler
}

const idOf = (work: Cleanup): string => (work.kind === 'mount' ? work.mountUuid : work.namespaceUuid)
const prefixOf = (work: Cleanup): string =>
  work.kind === 'mount' ? `ns/${work.namespaceUuid}/data/${work.mountUuid}/` : `ns/${work.namespaceUuid}/`

/** Makes the queue. `first` clears a batch of what else belonged to it and gives the cursor for the next, undefined when it is through. */
export function cleanupQueue(ports: {
  readonly first: (tx: Writer, work: Cleanup, after: string, now: number) => Promise<string | undefined>
  /** Runs in the last transaction. */
  readonly last: (tx: Writer, work: Cleanup) => Promise<void>
  readonly now: () => number
}): CleanupQueue {
  return {
    add: (tx, work, now) => putDue(tx, { kind: cleanupKind, id: idOf(work), at: now, data: { work, after: '' } }),
    async handler(tx, entry) {
      const { work, after } = entry.data as { work: Cleanup; after: string | undefined }
      const again = (cursor: string | undefined) => ({ at: ports.now(), data: { work, after: cursor } })
      if (after !== undefined) return again(await ports.first(tx, work, after, ports.now()))
      const prefix = prefixOf(work)
      const names = await tx.scan(prefix, { limit: batchKeys })
      for (const name of names) tx.delete(prefix + name)
      if (names.length === batchKeys) return again(undefined)
      await ports.last(tx, work)
      return undefined
    },
  }
}
