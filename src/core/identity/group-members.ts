// Who is in a group. Each membership is one record at the group and the group's id at the member; both change in one transaction.
import { invalid } from '../../sdk/errors.ts'
import { decodeRecord } from '../../storage/collection.ts'
import type { Reader, Writer } from '../../storage/storage.ts'
import { nameMax } from './check.ts'
import { aliasKey, type EntityRecord, entityRecords } from './entities.ts'
import { checkNesting } from './group-tree.ts'
import {
  type GroupRecord,
  groupAliases,
  groupChildren,
  groupMembers,
  groupRecords,
  moveGroupEpoch,
  readGroups,
} from './groups.ts'

/** Members that may be set by hand in one request, entities and groups. */
export const memberEntitiesMax = 20_000
export const memberGroupsMax = 1_000
/** Groups an entity, and a group, may be a direct member of: all are read when a session is made. */
const groupsOfMemberMax = 1_000
const clearedAtOnce = 200

/** Lists the ids of the member entities. */
export const memberEntityIds = (tx: Reader, { namespaceUuid, id }: GroupRecord): Promise<string[]> =>
  groupMembers(namespaceUuid).list(tx, `${id}/`)

/** Lists the ids of the member groups. */
export const memberGroupIds = (tx: Reader, { namespaceUuid, id }: GroupRecord): Promise<string[]> =>
  groupChildren(namespaceUuid).list(tx, `${id}/`)

/** Counts the member entities of all groups of a namespace that have any. */
export async function memberCounts(tx: Reader, namespaceUuid: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const key of await groupMembers(namespaceUuid).scan(tx)) {
    const id = key.slice(0, key.indexOf('/'))
    counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return counts
}

const joined = (ids: readonly string[], id: string): string[] => {
  const all = [...new Set([...ids, id])].sort()
  if (all.length > groupsOfMemberMax) throw invalid(`a member cannot be in more than ${groupsOfMemberMax} groups`)
  return all
}
const left = (ids: readonly string[], id: string): string[] => ids.filter((one) => one !== id)

interface Change {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}

function changeOf(now: readonly string[], wanted: readonly string[]): Change {
  const [before, after] = [new Set(now), new Set(wanted)]
  return {
    added: [...after].filter((id) => !before.has(id)),
    removed: [...before].filter((id) => !after.has(id)),
  }
}

async function readEntities(tx: Reader, namespaceUuid: string, ids: readonly string[]): Promise<EntityRecord[]> {
  if (ids.length === 0) return []
  const records = entityRecords(namespaceUuid)
  const entries = await tx.getMany(ids.map((id) => records.key(id)))
  return entries.flatMap((entry) => (entry ? [decodeRecord<EntityRecord>(entry.value)] : []))
}

/** Stores which groups an entity is in; the record is the fact its sessions hang on. */
const putGroupIds = (tx: Writer, entity: EntityRecord, groupIds: readonly string[]): EntityRecord => {
  const next = { ...entity, groupIds }
  entityRecords(entity.namespaceUuid).put(tx, entity.id, next)
  return next
}

/** Makes these the member entities of a group, and no others. Throws 400 for ids that are none. */
export async function setMemberEntities(tx: Writer, group: GroupRecord, wanted: readonly string[]): Promise<void> {
  const { namespaceUuid, id } = group
  if (wanted.length > memberEntitiesMax)
    throw invalid(`member_entity_ids cannot hold more than ${memberEntitiesMax} ids`)
  const { added, removed } = changeOf(await memberEntityIds(tx, group), wanted)
  const entities = await readEntities(tx, namespaceUuid, added)
  const known = new Set(entities.map((entity) => entity.id))
  const unknown = added.find((one) => !known.has(one))
  if (unknown !== undefined) throw invalid(`member_entity_ids: invalid entity id "${unknown.slice(0, 100)}"`)
  for (const entity of entities) {
    putGroupIds(tx, entity, joined(entity.groupIds ?? [], id))
    groupMembers(namespaceUuid).put(tx, `${id}/${entity.id}`, 1)
  }
  for (const entity of await readEntities(tx, namespaceUuid, removed))
    putGroupIds(tx, entity, left(entity.groupIds ?? [], id))
  for (const one of removed) groupMembers(namespaceUuid).delete(tx, `${id}/${one}`)
}

/** Makes these the member groups of a group, and no others. Throws 400 for unknown ids, circles and too deep nesting. */
export async function setMemberGroups(tx: Writer, group: GroupRecord, wanted: readonly string[]): Promise<void> {
  const { namespaceUuid, id } = group
  if (wanted.length > memberGroupsMax) throw invalid(`member_group_ids cannot hold more than ${memberGroupsMax} ids`)
  const { added, removed } = changeOf(await memberGroupIds(tx, group), wanted)
  const groups = await readGroups(tx, namespaceUuid, added)
  // A new group has no record yet: itself is unknown to it.
  const known = new Set([...groups.map((one) => one.id), id])
  const unknown = added.find((one) => !known.has(one))
  if (unknown !== undefined) throw invalid(`member_group_ids: invalid group id "${unknown.slice(0, 100)}"`)
  if (added.length > 0) await checkNesting(tx, group, added)
  const records = groupRecords(namespaceUuid)
  for (const one of groups) {
    records.put(tx, one.id, { ...one, parentIds: joined(one.parentIds, id) })
    groupChildren(namespaceUuid).put(tx, `${id}/${one.id}`, 1)
  }
  for (const one of await readGroups(tx, namespaceUuid, removed))
    records.put(tx, one.id, { ...one, parentIds: left(one.parentIds, id) })
  for (const one of removed) groupChildren(namespaceUuid).delete(tx, `${id}/${one}`)
  moveGroupEpoch(tx, namespaceUuid)
}

/** What a login says of the external groups of who logs in: names at its mount. */
export interface LoginGroups {
  readonly mountAccessor: string
  readonly names: readonly string[]
}

/**
 * Recomputes the external groups that an entity has by one login method; groups of other methods and internal ones stay. Gives the entity
 * as it is then: the very object when nothing changed.
 */
export async function refreshExternalGroups(
  tx: Writer,
  entity: EntityRecord,
  { mountAccessor, names }: LoginGroups,
): Promise<EntityRecord> {
  const { namespaceUuid, groupIds = [] } = entity
  if (groupIds.length === 0 && names.length === 0) return entity
  const aliases = groupAliases(namespaceUuid)
  // What could not be the name of an alias need not be looked for.
  const possible = names.filter((name) => name !== '' && name.length <= nameMax && name.isWellFormed())
  const keys = [...new Set(possible.map((name) => aliases.key(aliasKey(mountAccessor, name))))]
  const found = keys.length === 0 ? [] : await tx.getMany(keys)
  const wanted = found.flatMap((entry) => (entry ? [decodeRecord<string>(entry.value)] : []))
  // Who has no alias at a login method cannot have been made a member by it: its group's alias was moved, or the entity's taken away.
  const others = new Set(entity.aliases.map((alias) => alias.mountAccessor).filter((one) => one !== mountAccessor))
  const kept = (await readGroups(tx, namespaceUuid, groupIds))
    .filter(({ type, alias }) => type === 'internal' || (alias !== undefined && others.has(alias.mountAccessor)))
    .map(({ id }) => id)
  const { added, removed } = changeOf(groupIds, [...kept, ...wanted])
  if (added.length === 0 && removed.length === 0) return entity
  let next = groupIds.filter((id) => !removed.includes(id))
  for (const id of added) next = joined(next, id)
  for (const id of added) groupMembers(namespaceUuid).put(tx, `${id}/${entity.id}`, 1)
  for (const id of removed) groupMembers(namespaceUuid).delete(tx, `${id}/${entity.id}`)
  return putGroupIds(tx, entity, next)
}

/** Takes an entity out of all its groups' member lists: it goes, or another one takes its place. */
export function leaveGroups(tx: Writer, { namespaceUuid, id, groupIds = [] }: EntityRecord): void {
  for (const groupId of groupIds) groupMembers(namespaceUuid).delete(tx, `${groupId}/${id}`)
}

/** Puts an entity, not stored yet, into groups besides its own; the caller stores what it gives. */
export function withGroups(tx: Writer, entity: EntityRecord, groupIds: readonly string[]): EntityRecord {
  let next = entity.groupIds ?? []
  for (const groupId of groupIds) {
    next = joined(next, groupId)
    groupMembers(entity.namespaceUuid).put(tx, `${groupId}/${entity.id}`, 1)
  }
  return { ...entity, groupIds: next }
}

/** Clears a batch of what names a group that is gone. False: there is more. */
export async function clearMemberships(tx: Writer, namespaceUuid: string, groupId: string): Promise<boolean> {
  const limit = { limit: clearedAtOnce }
  const members = await groupMembers(namespaceUuid).list(tx, `${groupId}/`, limit)
  for (const entity of await readEntities(tx, namespaceUuid, members))
    putGroupIds(tx, entity, left(entity.groupIds ?? [], groupId))
  for (const id of members) groupMembers(namespaceUuid).delete(tx, `${groupId}/${id}`)
  const children = await groupChildren(namespaceUuid).list(tx, `${groupId}/`, limit)
  for (const group of await readGroups(tx, namespaceUuid, children))
    groupRecords(namespaceUuid).put(tx, group.id, { ...group, parentIds: left(group.parentIds, groupId) })
  for (const id of children) groupChildren(namespaceUuid).delete(tx, `${groupId}/${id}`)
  return members.length < clearedAtOnce && children.length < clearedAtOnce
}
