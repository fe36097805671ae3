// Looking up entities and groups by what is known of them. Nobody found is no error: 204.
import { groupByAlias, groupByAliasId, groupById, groupByName } from '../core/identity/group-store.ts'
import { invalid, type Operation, path, type ReadContext, type Reply, str } from '../sdk/index.ts'
import { entityOutput, groupOutput, here, type IdentityPorts, showEntity, showGroup } from './identity-show.ts'

const fieldsFor = (what: string) => ({
  id: str(`Id of the ${what}.`),
  name: str(`Name of the ${what}.`),
  alias_id: str('Id of an alias.'),
  alias_name: str('Name of an alias; with alias_mount_accessor.'),
  alias_mount_accessor: str('Accessor of the login method of the alias; with alias_name.'),
})

type Asked = { readonly [K in keyof ReturnType<typeof fieldsFor>]?: string | undefined }

/** The ways to find something, as exactly one of which is asked for. */
interface Ways<T> {
  byId(id: string): Promise<T | undefined>
  byName(name: string): Promise<T | undefined>
  byAliasId(id: string): Promise<T | undefined>
  byAlias(mountAccessor: string, name: string): Promise<T | undefined>
}

async function find<T>(input: Asked, ways: Ways<T>): Promise<T | undefined> {
  const { id, name, alias_id: aliasId, alias_name: aliasName, alias_mount_accessor: accessor } = input
  const asked = [id, name, aliasId, aliasName, accessor].filter((value) => value !== undefined).length
  if (asked === 0) throw invalid('query parameter not supplied')
  if (asked === 2 && aliasName && accessor) return await ways.byAlias(accessor, aliasName)
  if (asked > 1) throw invalid('query parameter conflict; supply one way to look up')
  if (aliasName !== undefined || accessor !== undefined)
    throw invalid("both 'alias_name' and 'alias_mount_accessor' need to be set")
  if (id) return await ways.byId(id)
  if (name) return await ways.byName(name)
  return aliasId ? await ways.byAliasId(aliasId) : undefined
}

/** Makes the look-ups. */
export function lookupOperations(ports: IdentityPorts): Operation[] {
  const { identity } = ports
  const entity = (input: Asked, context: ReadContext) => {
    const [tx, where] = [context.tx, here(context)]
    return find(input, {
      byId: (id) => identity.get(tx, where, id),
      byName: (name) => identity.byName(tx, where, name),
      byAliasId: (id) => identity.byAliasId(tx, where, id),
      byAlias: (accessor, name) => identity.byAlias(tx, where, accessor, name),
    })
  }
  const group = (input: Asked, context: ReadContext) => {
    const [tx, where] = [context.tx, here(context)]
    return find(input, {
      byId: (id) => groupById(tx, where, id),
      byName: (name) => groupByName(tx, where, name),
      byAliasId: (id) => groupByAliasId(tx, where, id),
      byAlias: (accessor, name) => groupByAlias(tx, where, accessor, name),
    })
  }
  return [
    path('lookup/entity', {}, 'An entity by what is known of it.').compute({
      summary: 'Look up an entity by id, name, alias id, or alias name and mount accessor.',
      input: fieldsFor('entity'),
      output: entityOutput,
      run: async (input, context): Promise<Reply | undefined> =>
        await showEntity(ports, await entity(input, context), context),
    }),
    path('lookup/group', {}, 'A group by what is known of it.').compute({
      summary: 'Look up a group by id, name, alias id, or alias name and mount accessor.',
      input: fieldsFor('group'),
      output: groupOutput,
      run: async (input, context): Promise<Reply | undefined> =>
        await showGroup(ports, await group(input, context), context),
    }),
  ]
}
