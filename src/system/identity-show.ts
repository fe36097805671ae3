// What the `identity/` engine shows of entities, groups and aliases, and what its operations share.
import type { AliasRecord, EntityRecord } from '../core/identity/entities.ts'
import { memberEntityIds, memberGroupIds } from '../core/identity/group-members.ts'
import { groupsOf, type Membership } from '../core/identity/group-tree.ts'
import { type GroupAlias, type GroupRecord, readGroups } from '../core/identity/groups.ts'
import type { Identity } from '../core/identity/store.ts'
import type { Mount, Topology } from '../core/topology.ts'
import { any, bool, invalid, list, map, type ReadContext, type Reply, str, time } from '../sdk/index.ts'
import type { Reader, Soon } from '../storage/storage.ts'

/** What the engine needs of core. */
export interface IdentityPorts {
  readonly identity: Identity
  topology(tx: Reader): Soon<Topology>
}

/** Output of reading an entity. */
export const entityOutput = {
  id: str('Id of the entity.'),
  name: str('Name of the entity.'),
  metadata: map('Key-value pairs.').nullable(),
  policies: list('Policies of the entity.'),
  disabled: bool('Whether its tokens are refused.'),
  aliases: any('Its aliases.'),
  group_ids: list('Groups it is in.'),
  direct_group_ids: list('Groups it is a member of.'),
  inherited_group_ids: list('Groups it is in through other groups.'),
  namespace_id: str('Namespace of the entity.'),
  creation_time: time('When it was made.'),
  last_update_time: time('When it was last changed.'),
  merged_entity_ids: any('Entities that were merged into it.'),
}
/** Output of reading an alias. */
export const aliasOutput = {
  id: str('Id of the alias.'),
  canonical_id: str('Entity it belongs to.'),
  name: str('Name at the login method.'),
  mount_accessor: str('Accessor of the login method.'),
  mount_type: str('Type of the login method.'),
  mount_path: str('Path of the login method.'),
  metadata: map('What the login method says.').nullable(),
  custom_metadata: map('Key-value pairs of your own.').nullable(),
}
/** Output of reading a group. */
export const groupOutput = {
  id: str('Id of the group.'),
  name: str('Name of the group.'),
  type: str('internal, or external: its members come by logins.'),
  policies: list('Policies of the group.').nullable(),
  metadata: map('Key-value pairs.').nullable(),
  member_entity_ids: list('Entities in it.').nullable(),
  member_group_ids: list('Groups in it.').nullable(),
  parent_group_ids: list('Groups it is in.').nullable(),
  alias: map('Its name at a login method.'),
  namespace_id: str('Namespace of the group.'),
  creation_time: time('When it was made.'),
  last_update_time: time('When it was last changed.'),
}
/** Output of lists. */
export const keysOutput = { keys: list('Names or ids.'), key_info: any('What belongs to each.') }

const iso = (ms: number): string => new Date(ms).toISOString()
const orNull = <T>(items: readonly T[]): readonly T[] | null => (items.length > 0 ? items : null)

/** Type and path of the mount an alias is for; nothing when it is gone. */
export const mountOf = (topology: Topology, accessor: string): { mount_type?: string; mount_path?: string } => {
  const mount = topology.mountsByAccessor.get(accessor)
  return mount ? { mount_type: mount.record.type, mount_path: mount.facts.path } : {}
}

/** An alias as clients read it. */
export const aliasData = (alias: AliasRecord, entityId: string, topology: Topology): Record<string, unknown> => ({
  id: alias.id,
  canonical_id: entityId,
  name: alias.name,
  mount_accessor: alias.mountAccessor,
  ...mountOf(topology, alias.mountAccessor),
  metadata: alias.metadata,
  custom_metadata: alias.customMetadata,
  local: alias.local,
  merged_from_canonical_ids: orNull(alias.mergedFrom),
  creation_time: iso(alias.createdTime),
  last_update_time: iso(alias.updatedTime),
})

const idsOf = (groups: readonly GroupRecord[]): string[] => groups.map(({ id }) => id)

const namespaceId = (topology: Topology, uuid: string): string => topology.namespacesByUuid.get(uuid)?.record.id ?? ''

/** An entity as clients read it. */
const entityData = (
  entity: EntityRecord,
  { direct, inherited }: Membership,
  topology: Topology,
): Record<string, unknown> => ({
  id: entity.id,
  name: entity.name,
  metadata: entity.metadata,
  policies: entity.policies,
  disabled: entity.disabled,
  aliases: entity.aliases.map((alias) => aliasData(alias, entity.id, topology)),
  group_ids: idsOf([...direct, ...inherited]),
  direct_group_ids: idsOf(direct),
  inherited_group_ids: idsOf(inherited),
  merged_entity_ids: orNull(entity.mergedIds),
  namespace_id: namespaceId(topology, entity.namespaceUuid),
  creation_time: iso(entity.createdTime),
  last_update_time: iso(entity.updatedTime),
})

/** Answers with an entity; nothing when there is none. */
export async function showEntity(
  { topology }: IdentityPorts,
  entity: EntityRecord | undefined,
  { tx }: ReadContext,
): Promise<Reply | undefined> {
  return entity && { data: entityData(entity, await groupsOf(tx, entity), await topology(tx)) }
}

/** An alias of a group as clients read it. */
export const groupAliasData = (alias: GroupAlias, groupId: string, topology: Topology): Record<string, unknown> => ({
  id: alias.id,
  canonical_id: groupId,
  name: alias.name,
  mount_accessor: alias.mountAccessor,
  ...mountOf(topology, alias.mountAccessor),
  metadata: null,
  custom_metadata: null,
  local: false,
  merged_from_canonical_ids: null,
  creation_time: iso(alias.createdTime),
  last_update_time: iso(alias.updatedTime),
})

/** Answers with a group; nothing when there is none. */
export async function showGroup(
  { topology }: IdentityPorts,
  group: GroupRecord | undefined,
  { tx }: ReadContext,
): Promise<Reply | undefined> {
  if (!group) return undefined
  const tables = await topology(tx)
  return {
    data: {
      id: group.id,
      name: group.name,
      type: group.type,
      policies: orNull(group.policies),
      metadata: group.metadata,
      member_entity_ids: orNull(await memberEntityIds(tx, group)),
      member_group_ids: orNull(await memberGroupIds(tx, group)),
      parent_group_ids: orNull(idsOf(await readGroups(tx, group.namespaceUuid, group.parentIds))),
      alias: group.alias ? groupAliasData(group.alias, group.id, tables) : {},
      namespace_id: namespaceId(tables, group.namespaceUuid),
      creation_time: iso(group.createdTime),
      last_update_time: iso(group.updatedTime),
    },
  }
}

/** The mount of an accessor, which must lie in the namespace of the request; throws 400. */
export async function mountFor({ topology }: IdentityPorts, accessor: string, context: ReadContext): Promise<Mount> {
  const mount = (await topology(context.tx)).mountsByAccessor.get(accessor)
  if (!mount || mount.namespace.record.uuid !== here(context))
    throw invalid(`invalid mount accessor "${accessor.slice(0, 100)}"`)
  return mount
}

/** The namespace of the request, whose identities it is about. */
export const here = (context: ReadContext): string => context.mount.namespace.uuid
