// Due work of mounts: what an engine notes for later waits among core's due work under one kind, and comes back to the engine of the mount.
import type { Due, MountFacts } from '../sdk/context.ts'
import { mountPrefix } from '../sdk/engine.ts'
import { ScopedTransaction } from '../storage/scoped.ts'
import type { Reader, Soon, Writer } from '../storage/storage.ts'
import { deleteDue, putDue } from './due.ts'
import type { DueHandler } from './jobs.ts'
import type { Topology } from './topology.ts'

export const mountDueKind = 'mount'
/** While a namespace is sealed nobody can tell its mounts from those that are gone: their work waits so long for the next try. */
const sealedPauseMs = 5 * 60_000

const idOf = (mount: MountFacts, kind: string, id: string): string => `${mount.uuid}/${kind}/${id}`

/** Gives an operation the place where work of its mount is noted. `tx` sees the whole store. */
export const mountDue = (tx: Writer, mount: MountFacts): Due => ({
  put: (kind, id, at, data) => putDue(tx, { kind: mountDueKind, id: idOf(mount, kind, id), at, data }),
  delete: (kind, id, at) => deleteDue(tx, mountDueKind, idOf(mount, kind, id), at),
})

/** Makes the handler that hands work to engines. Work of mounts that are gone is dropped: their data goes with them. */
export function mountDueHandler(ports: {
  readonly now: () => number
  topology(tx: Reader): Soon<Topology>
  namespaceSealed(uuid: string): boolean
}): DueHandler {
  return async (tx, { id, data }) => {
    const [uuid = '', kind = '', ...rest] = id.split('/')
    const topology = await ports.topology(tx)
    const mount = topology.mountsByUuid.get(uuid)
    const now = ports.now()
    if (!mount) {
      const sealed = [...topology.namespaces.values()].some(
        ({ record }) => record.ownSeal && ports.namespaceSealed(record.uuid),
      )
      return sealed ? { at: now + sealedPauseMs, data } : undefined
    }
    const handler = Object.hasOwn(mount.engine.due, kind) ? mount.engine.due[kind] : undefined
    if (!handler) throw new Error(`engine ${mount.engine.type} has no handler for due work of kind "${kind}"`)
    return await handler(
      { id: rest.join('/'), data },
      {
        now,
        mount: mount.facts,
        tx: new ScopedTransaction(tx, mountPrefix(mount.facts)),
        due: mountDue(tx, mount.facts),
      },
    )
  }
}
