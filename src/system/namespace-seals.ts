// Seals of namespaces that have keys of their own: sys/namespaces/<path>/seal, unseal, seal-status and delete-sealed.
import type { NamespaceSeals } from '../barrier/namespace-seal.ts'
import type { Mounts } from '../core/mounts.ts'
import { currentNamespace, type Namespaces } from '../core/namespaces.ts'
import type { Namespace } from '../core/topology.ts'
import { bool, int, invalid, missing, type Operation, path, type ReadContext, stages, str } from '../sdk/index.ts'

const statusFields = {
  type: str('"shamir".'),
  initialized: bool('Always true.'),
  sealed: bool('Whether the namespace is sealed.'),
  t: int('Shares needed.'),
  n: int('Shares there are.'),
  progress: int('Shares given so far.'),
  nonce: str('Id of the attempt.'),
}
const at = { path: str('Path of the namespace, below the one asked in.').required() }

export interface NamespaceSealPorts {
  readonly namespaces: Namespaces
  readonly mounts: Mounts
  readonly seals: NamespaceSeals
  /** Told after a namespace was sealed or unsealed in this process. */
  changed(): void
}

/** Operations on the seals of namespaces. */
export function namespaceSealOperations({ namespaces, mounts, seals, changed }: NamespaceSealPorts): Operation[] {
  const find = async (context: ReadContext, wanted: string): Promise<Namespace> => {
    const topology = await mounts.topology(context.tx)
    const found = namespaces.find(topology, currentNamespace(topology, context.mount.namespace.uuid), wanted)
    if (!found) throw missing('namespace not found')
    if (!found.record.ownSeal) throw invalid('namespace is not sealable')
    return found
  }
  const statusOf = async (uuid: string) => {
    const status = await seals.status(uuid)
    if (!status) throw invalid('namespace is not sealable')
    return { data: status }
  }
  return [
    path('namespaces/{path*}/seal-status', at, 'Seal status of a namespace.').read({
      summary: 'Read the seal status of a namespace with a seal of its own.',
      output: statusFields,
      run: async (input, context) => await statusOf((await find(context, input.path)).record.uuid),
    }),
    path('namespaces/{path*}/seal', at, 'Seals a namespace.').write({
      summary: 'Seal a namespace: its keys are dropped, nothing of it can be read.',
      sudo: true,
      stages: stages({
        prepare: async (input: { path: string }, context) => (await find(context, input.path)).record.uuid,
        async act(uuid) {
          await seals.seal(uuid)
          changed()
        },
        commit: () => undefined,
      }),
    }),
    path('namespaces/{path*}/unseal', at, 'Unseals a namespace.').write({
      summary: 'Give a share of the key of a namespace.',
      input: {
        key: str('A share, hex or base64.').sensitive().default(''),
        reset: bool('Forget the shares given.').default(false),
      },
      output: statusFields,
      stages: stages({
        prepare: async (input: { path: string; key: string; reset: boolean }, context) =>
          (await find(context, input.path)).record.uuid,
        async act(uuid, { key, reset }) {
          const status = await seals.unseal(uuid, { key, reset })
          if (!status.sealed) changed()
          return status
        },
        commit: (status) => ({ data: status }),
      }),
    }),
    path('namespaces/{path*}/delete-sealed', at, 'Deletes a sealed namespace.').delete({
      summary: 'Delete a namespace that is sealed, with all it holds.',
      sudo: true,
      output: { status: str('"in-progress": it is switched off, its data is being cleared.') },
      async run(input, context) {
        const found = await find(context, input.path)
        if (!(await seals.status(found.record.uuid))?.sealed) throw invalid('namespace is not sealed')
        await namespaces.remove(context.tx, await mounts.topology(context.tx), found, context.now)
        return { data: { status: 'in-progress' } }
      },
    }),
  ]
}
