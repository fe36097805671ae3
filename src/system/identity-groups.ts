// Operations on groups. Members of external groups are not set here: each login says who is in them.
import { checkMetadata, checkName, checkPolicies } from '../core/identity/check.ts'
import { entityPolicyNames } from '../core/identity/entities.ts'
import { memberCounts, setMemberEntities, setMemberGroups } from '../core/identity/group-members.ts'
import { allGroups, deleteGroup, draftGroup, groupById, groupByName, putGroup } from '../core/identity/group-store.ts'
import type { GroupRecord } from '../core/identity/groups.ts'
import {
  invalid,
  kvpairs,
  list,
  listReply,
  type Operation,
  path,
  type ReadContext,
  type Reply,
  str,
  type WriteContext,
} from '../sdk/index.ts'
import { groupOutput, here, type IdentityPorts, keysOutput, mountOf, showGroup } from './identity-show.ts'

const settings = {
  type: str('internal, or external: its members come by logins, through its alias. Cannot be changed.'),
  metadata: kvpairs('Key-value pairs kept with the group; replaced as a whole.'),
  policies: list('Policies that the tokens of all members have besides their own.'),
  member_entity_ids: list('Entities in the group; replaced as a whole. Internal groups only.'),
  member_group_ids: list('Groups in the group; replaced as a whole. Internal groups only.'),
}
const groupFields = { name: str('Name of the group; without one a name is made up.'), ...settings }

interface GroupInput {
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly type?: string | undefined
  readonly metadata?: Record<string, string> | undefined
  readonly policies?: string[] | undefined
  readonly member_entity_ids?: string[] | undefined
  readonly member_group_ids?: string[] | undefined
}

const typeOf = (wanted: string | undefined, before: GroupRecord | undefined): GroupRecord['type'] => {
  const type = wanted || before?.type || 'internal'
  if (before && before.type !== type) throw invalid('group type cannot be changed')
  if (type !== 'internal' && type !== 'external') throw invalid('type must be "internal" or "external"')
  return type
}

function refuseMembers(input: GroupInput): void {
  if (input.member_entity_ids) throw invalid("member_entity_ids can't be set manually for external groups")
  if (input.member_group_ids) throw invalid("member_group_ids can't be set for external groups")
}

/** Stores a group as it is to be: `before` is undefined for a new one. */
async function saveGroup(
  before: GroupRecord | undefined,
  input: GroupInput,
  context: WriteContext,
): Promise<Reply | undefined> {
  const { tx, now, mount } = context
  if (input.name) checkName('name', input.name)
  if (input.metadata) checkMetadata('metadata', input.metadata)
  const type = typeOf(input.type, before)
  if (type === 'external') refuseMembers(input)
  const namesake = input.name ? await groupByName(tx, here(context), input.name) : undefined
  if (namesake && namesake.id !== before?.id) throw invalid('group name is already in use')
  const base = before ?? (await draftGroup(tx, mount.namespace, { name: input.name ?? '', type, now }))
  const policies = input.policies ? entityPolicyNames(input.policies) : base.policies
  checkPolicies(policies)
  const after: GroupRecord = {
    ...base,
    name: input.name || base.name,
    metadata: input.metadata ?? base.metadata,
    policies,
    updatedTime: now,
  }
  putGroup(tx, before, after)
  if (input.member_entity_ids) await setMemberEntities(tx, after, input.member_entity_ids)
  if (input.member_group_ids) await setMemberGroups(tx, after, input.member_group_ids)
  return before ? undefined : { data: { id: after.id, name: after.name } }
}

/** Makes the operations over the ports. */
export function groupOperations(ports: IdentityPorts): Operation[] {
  const known = async (id: string, context: ReadContext): Promise<GroupRecord> => {
    const group = await groupById(context.tx, here(context), id)
    if (!group) throw invalid('invalid group ID')
    return group
  }
  const named = (name: string, { tx, mount }: ReadContext) => groupByName(tx, mount.namespace.uuid, name)
  const remove = async (group: GroupRecord | undefined, { tx, now }: WriteContext): Promise<undefined> => {
    if (group) await deleteGroup(tx, group, now)
    return undefined
  }

  const listGroups = async (context: ReadContext, by: 'id' | 'name'): Promise<Reply> => {
    const tables = await ports.topology(context.tx)
    const groups = await allGroups(context.tx, here(context))
    const counts = await memberCounts(context.tx, here(context))
    const info = groups.map(({ id, name, parentIds, alias }) => [
      id,
      {
        name,
        num_member_entities: counts.get(id) ?? 0,
        num_parent_groups: parentIds.length,
        ...(alias
          ? {
              alias: {
                id: alias.id,
                name: alias.name,
                mount_accessor: alias.mountAccessor,
                ...mountOf(tables, alias.mountAccessor),
              },
            }
          : {}),
      },
    ])
    return listReply(groups.map((group) => group[by]).sort(), Object.fromEntries(info))
  }

  const byId = path('group/id/{id}', { id: str('Id of the group.').required() }, 'A group by its id.')
  const byName = path('group/name/{name*}', { name: str('Name of the group.').required() }, 'A group by its name.')
  const made = { id: str('Id of the new group.'), name: str('Name of the new group.') }
  return [
    path('group', {}, 'Groups.').write({
      summary: 'Create a group, or update one by id or name.',
      input: { id: str('Id of the group to update.'), ...groupFields },
      output: made,
      async run(input, context) {
        const before = input.id
          ? await known(input.id, context)
          : input.name
            ? await named(input.name, context)
            : undefined
        return await saveGroup(before, input, context)
      },
    }),
    byId.write({
      summary: 'Update a group.',
      input: groupFields,
      output: {},
      run: async (input, context) => await saveGroup(await known(input.id, context), input, context),
    }),
    byId.read({
      summary: 'Read a group.',
      output: groupOutput,
      run: async ({ id }, context) => showGroup(ports, await groupById(context.tx, here(context), id), context),
    }),
    byId.delete({
      summary: 'Delete a group; what it gave its members ends at once.',
      run: async ({ id }, context) => remove(await groupById(context.tx, here(context), id), context),
    }),
    byName.write({
      summary: 'Create or update a group by its name.',
      input: settings,
      output: made,
      run: async (input, context) => saveGroup(await named(input.name, context), input, context),
    }),
    byName.read({
      summary: 'Read a group by its name.',
      output: groupOutput,
      run: async ({ name }, context) => showGroup(ports, await named(name, context), context),
    }),
    byName.delete({
      summary: 'Delete a group by its name.',
      run: async ({ name }, context) => remove(await named(name, context), context),
    }),
    path('group/id', {}, 'Ids of the groups.').list({
      summary: 'List groups by id.',
      output: keysOutput,
      run: (_input, context) => listGroups(context, 'id'),
    }),
    path('group/name', {}, 'Names of the groups.').list({
      summary: 'List groups by name.',
      output: keysOutput,
      run: (_input, context) => listGroups(context, 'name'),
    }),
  ]
}
