// What the `identity/` engine shows of entities and aliases, and what its operations share.
import type { AliasRecord, EntityRecord } from '../core/identity/entities.ts'
import type { Identity } from '../core/identity/store.ts'
import type { Topology } from '../core/topology.ts'
import { any, bool, list, map, type ReadContext, str, time } from '../sdk/index.ts'
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

/** An entity as clients read it. */
export const entityData = (entity: EntityRecord, topology: Topology): Record<string, unknown> => ({
  id: entity.id,
  name: entity.name,
  metadata: entity.metadata,
  policies: entity.policies,
  disabled: entity.disabled,
  aliases: entity.aliases.map((alias) => aliasData(alias, entity.id, topology)),
  group_ids: [],
  direct_group_ids: [],
  inherited_group_ids: [],
  merged_entity_ids: orNull(entity.mergedIds),
  namespace_id: topology.namespacesByUuid.get(entity.namespaceUuid)?.record.id ?? 'root',
  creation_time: iso(entity.createdTime),
  last_update_time: iso(entity.updatedTime),
})

/** The namespace of the request, whose identities it is about. */
export const here = (context: ReadContext): string => context.mount.namespace.uuid
