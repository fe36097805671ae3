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

/** Makes the queue. `first` clears a batch of what else belonged to it and says whether it is through; `last` runs in the last transaction. */
export function cleanupQueue(ports: {
  readonly first: (tx: Writer, work: Cleanup, now: number) => Promise<boolean>
  readonly last: (tx: Writer, work: Cleanup) => Promise<void>
  readonly now: () => number
}): CleanupQueue {
  return {
    add: (tx, work, now) => putDue(tx, { kind: cleanupKind, id: idOf(work), at: now, data: work }),
    async handler(tx, entry) {
      const work = entry.data as Cleanup
      const again = { at: ports.now(), data: work }
      if (!(await ports.first(tx, work, ports.now()))) return again
      const prefix = prefixOf(work)
      const names = await tx.scan(prefix, { limit: batchKeys })
      for (const name of names) tx.delete(prefix + name)
      if (names.length === batchKeys) return again
      await ports.last(tx, work)
      return undefined
    },
  }
}
