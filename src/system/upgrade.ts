// sys/x/upgrade: which format the store is written in, and finalizing the newest one. Until then an older version can take the store back.
import { newestFormat } from '../barrier/format.ts'
import type { Lifecycle } from '../barrier/lifecycle.ts'
import { bool, conflict, int, list, type Operation, path, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { changing } from './seal-keyring.ts'

/** Names of the nodes that serve this store with a version which does not know the newest format. */
export type OlderNodes = () => Promise<readonly string[]>

/** Operations on the storage format. */
export function upgradeOperations(lifecycle: Lifecycle, cofferVersion: string, olderNodes: OlderNodes): Operation[] {
  return [
    path('x/upgrade', {}, 'The format of the store.').read({
      summary: 'Read which format the store is written in, and what this version would write.',
      output: {
        coffer_version: str('Version of this server.'),
        storage_format: int('The finalized format: every version that knows it can serve the store.'),
        newest_format: int('The newest format this version knows.'),
        finalized: bool('Whether they are the same.'),
        older_nodes: list('Nodes whose version does not know the newest format.'),
      },
      async run(_, context) {
        inRoot(context)
        return {
          data: {
            coffer_version: cofferVersion,
            storage_format: context.storageFormat,
            newest_format: newestFormat,
            finalized: context.storageFormat === newestFormat,
            older_nodes: await olderNodes(),
          },
        }
      },
    }),
    path('x/upgrade/finalize', {}, 'Ending an upgrade.').write({
      summary: 'Finalize the newest storage format: older versions can no longer serve the store.',
      sudo: true,
      stages: changing(async () => {
        const older = await olderNodes()
        if (older.length > 0) throw conflict(`older versions still serve this store: ${older.join(', ')}`)
        await lifecycle.finalizeFormat()
        return undefined
      }),
    }),
  ]
}
