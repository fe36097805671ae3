// Operations on group aliases: what a login method calls a group. An external group has one; who logs in under it becomes a member.
import { checkName } from '../core/identity/check.ts'
import {
  allGroups,
  draftGroup,
  groupByAlias,
  groupByAliasId,
  groupById,
  newIdentityId,
  putGroup,
} from '../core/identity/group-store.ts'
import type { GroupAlias, GroupRecord } from '../core/identity/groups.ts'
import { invalid, listReply, type Operation, path, type Reply, str, type WriteContext } from '../sdk/index.ts'
import { aliasOutput, groupAliasData, here, type IdentityPorts, keysOutput, mountFor } from './identity-show.ts'

const aliasFields = {
  name: str('Name of the alias: what the login method calls the group.'),
  mount_accessor: str('Accessor of the login method the alias is for.'),
  canonical_id: str('External group the alias belongs to; without one a group is made.'),
}

interface AliasInput {
  readonly name?: string | undefined
  readonly mount_accessor?: string | undefined
  readonly canonical_id?: string | undefined
}

const withoutAlias = ({ alias: _, ...group }: GroupRecord): GroupRecord => group

/** Makes the operations over the ports. */
export function groupAliasOperations(ports: IdentityPorts): Operation[] {
  /** The group an alias is to belong to: the one asked for, the one it has, or a new one. */
  const target = async (wanted: string, owner: GroupRecord | undefined, context: WriteContext) => {
    const { tx, now, mount } = context
    if (wanted === '' && owner) return owner
    if (wanted === '') return await draftGroup(tx, mount.namespace, { name: '', type: 'external', now })
    const group = await groupById(tx, here(context), wanted)
    if (!group) throw invalid("invalid group ID given in 'canonical_id'")
    if (group.type !== 'external') throw invalid("alias can't be set on an internal group")
    return group
  }

  const save = async (
    owner: GroupRecord | undefined,
    input: AliasInput,
    context: WriteContext,
  ): Promise<Reply | undefined> => {
    const { tx, now } = context
    const { name = '', mount_accessor: accessor = '', canonical_id: wanted = '' } = input
    if (name === '') throw invalid('missing alias name')
    checkName('name', name)
    if (accessor === '') throw invalid('missing mount_accessor')
    const alias = owner?.alias
    if (alias?.name === name && alias.mountAccessor === accessor && (wanted === '' || wanted === owner?.id))
      return undefined
    const mount = await mountFor(ports, accessor, context)
    if (mount.record.local) throw invalid('mount_accessor is that of a local mount')
    const taken = await groupByAlias(tx, here(context), accessor, name)
    if (taken && taken.alias?.id !== alias?.id)
      throw invalid('combination of mount and group alias name is already in use')
    const group = await target(wanted, owner, context)
    const next: GroupAlias = {
      id: alias?.id ?? newIdentityId(context.mount.namespace),
      name,
      mountAccessor: accessor,
      createdTime: alias?.createdTime ?? now,
      updatedTime: now,
    }
    if (owner && owner.id !== group.id) putGroup(tx, owner, { ...withoutAlias(owner), updatedTime: now })
    putGroup(tx, group, { ...group, alias: next, updatedTime: now })
    return { data: { id: next.id, canonical_id: group.id } }
  }

  const update = async (id: string, input: AliasInput, context: WriteContext): Promise<Reply | undefined> => {
    const owner = await groupByAliasId(context.tx, here(context), id)
    if (!owner) throw invalid('invalid group alias ID')
    return await save(owner, input, context)
  }

  const byId = path('group-alias/id/{id}', { id: str('Id of the alias.').required() }, 'A group alias by its id.')
  const made = { id: str('Id of the alias.'), canonical_id: str('Group it belongs to.') }
  return [
    path('group-alias', {}, 'Aliases of groups.').write({
      summary: 'Create a group alias, or update one by its id.',
      input: { id: str('Id of the alias to update.'), ...aliasFields },
      output: made,
      run: async ({ id, ...input }, context) =>
        id ? await update(id, input, context) : await save(undefined, input, context),
    }),
    byId.write({
      summary: 'Update a group alias.',
      input: aliasFields,
      output: made,
      run: async ({ id, ...input }, context) => await update(id, input, context),
    }),
    byId.read({
      summary: 'Read a group alias.',
      output: aliasOutput,
      async run({ id }, context) {
        const group = await groupByAliasId(context.tx, here(context), id)
        if (!group?.alias) return undefined
        const data = groupAliasData(group.alias, group.id, await ports.topology(context.tx))
        return { data: { ...data, namespace_id: context.mount.namespace.id } }
      },
    }),
    byId.delete({
      summary: 'Delete a group alias; its group keeps its members until they log in again.',
      async run({ id }, context) {
        const group = await groupByAliasId(context.tx, here(context), id)
        if (group) putGroup(context.tx, group, { ...withoutAlias(group), updatedTime: context.now })
        return undefined
      },
    }),
    path('group-alias/id', {}, 'Ids of the group aliases.').list({
      summary: 'List group aliases by id.',
      output: keysOutput,
      async run(_input, context) {
        const tables = await ports.topology(context.tx)
        const info = (await allGroups(context.tx, here(context))).flatMap(({ id, alias }) =>
          alias ? [[alias.id, groupAliasData(alias, id, tables)] as const] : [],
        )
        return listReply(info.map(([id]) => id).sort(), Object.fromEntries(info))
      },
    }),
  ]
}
