// sys/storage/raft/snapshot and snapshot-force: the whole store as a file, and back. The paths and answers are those of Vault's raft storage, so that
// backup scripts and other command lines work with any store. It must never tell more of a file than whether it may be restored.
import type { Snapshots } from '../barrier/snapshots.ts'
import { type Operation, path, stages } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'

/** Operations on snapshots. */
export function snapshotOperations(snapshots: Snapshots, cofferVersion: string): Operation[] {
  const snapshot = path('storage/raft/snapshot', {}, 'The whole store as a file.')
  const restore = (force: boolean) =>
    stages({
      prepare(_: unknown, context) {
        inRoot(context)
        return context.request.rawStream
      },
      act: async (upload) => await snapshots.stage(upload ?? nothing(), force),
      // The audit device has the answer before the store is replaced: what it is replaced by may have other devices.
      commit: (staged) => ({ status: 204, finish: () => staged.apply() }),
    })
  return [
    snapshot.read({
      summary: 'Save a snapshot: one state of the whole store, encrypted, while it goes on.',
      run(_, context) {
        inRoot(context)
        return {
          stream: { pieces: snapshots.save(cofferVersion), contentType: 'application/gzip' },
          headers: { 'Content-Disposition': 'attachment' },
        }
      },
    }),
    snapshot.write({
      summary: 'Restore a snapshot of this store.',
      description: 'The body is the file as it was saved. It is read and checked whole before anything is changed.',
      sudo: true,
      rawBody: 'unlimited',
      stages: restore(false),
    }),
    path('storage/raft/snapshot-force', {}, 'The whole store from a file, whatever store it was saved from.').write({
      summary: 'Restore a snapshot of any store, with its seal.',
      description: 'The store is sealed afterwards unless this server has the keys of the snapshot.',
      sudo: true,
      rawBody: 'unlimited',
      stages: restore(true),
    }),
  ]
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
