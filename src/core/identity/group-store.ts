// Finds, makes, changes and deletes groups over a transaction the caller opened. Every change of a group moves the epoch of its namespace.
import { randomBytes, randomUUID } from 'node:crypto'
import type { NamespaceFacts } from '../../sdk/context.ts'
import type { Reader, Writer } from '../../storage/storage.ts'
import { putDue } from '../due.ts'
import type { Again, DueHandler } from '../jobs.ts'
import { aliasKey, nameKey } from './entities.ts'
import { clearMemberships } from './group-members.ts'
import {
  type GroupRecord,
  groupAliases,
  groupAliasIds,
  groupChildren,
  groupNames,
  groupRecords,
  moveGroupEpoch,
} from './groups.ts'

const dueKind = 'identity-group'

/** A new id in this namespace. */
export const newIdentityId = ({ id }: NamespaceFacts): string => randomUUID() + (id === 'root' ? '' : `.${id}`)

/** Finds a group by its id; undefined when there is none in this namespace. */
export const groupById = async (tx: Reader, namespaceUuid: string, id: string): Promise<GroupRecord | undefined> =>
  id === '' ? undefined : await groupRecords(namespaceUuid).get(tx, id)

const byIndex = async (tx: Reader, namespaceUuid: string, id: string | undefined) =>
  await groupById(tx, namespaceUuid, id ?? '')

/** Finds a group by its name, whatever the case. */
export const groupByName = async (tx: Reader, namespaceUuid: string, name: string): Promise<GroupRecord | undefined> =>
  await byIndex(tx, namespaceUuid, await groupNames(namespaceUuid).get(tx, nameKey(name)))

/** Finds a group by what a login method calls it. */
export const groupByAlias = async (
  tx: Reader,
  namespaceUuid: string,
  mountAccessor: string,
  name: string,
): Promise<GroupRecord | undefined> =>
  await byIndex(tx, namespaceUuid, await groupAliases(namespaceUuid).get(tx, aliasKey(mountAccessor, name)))

/** Finds a group by the id of its alias. */
export const groupByAliasId = async (tx: Reader, namespaceUuid: string, id: string): Promise<GroupRecord | undefined> =>
  await byIndex(tx, namespaceUuid, await groupAliasIds(namespaceUuid).get(tx, id))

/** Gives all groups of a namespace. */
export const allGroups = async (tx: Reader, namespaceUuid: string): Promise<GroupRecord[]> =>
  (await groupRecords(namespaceUuid).all(tx)).map(({ value }) => value)

/** Drafts a group that is not stored yet. An empty name is replaced by a made-up one. */
export async function draftGroup(
  tx: Reader,
  namespace: NamespaceFacts,
  wish: { readonly name: string; readonly type: GroupRecord['type']; readonly now: number },
): Promise<GroupRecord> {
  let { name } = wish
  while (name === '') {
    const made = `group_${randomBytes(4).toString('hex')}`
    if (!(await groupNames(namespace.uuid).has(tx, made))) name = made
  }
  return {
    id: newIdentityId(namespace),
    name,
    namespaceUuid: namespace.uuid,
    type: wish.type,
    metadata: null,
    policies: [],
    parentIds: [],
    createdTime: wish.now,
    updatedTime: wish.now,
  }
}

function removeIndexes(tx: Writer, { namespaceUuid, name, alias }: GroupRecord): void {
  groupNames(namespaceUuid).delete(tx, nameKey(name))
  if (!alias) return
  groupAliases(namespaceUuid).delete(tx, aliasKey(alias.mountAccessor, alias.name))
  groupAliasIds(namespaceUuid).delete(tx, alias.id)
}

/** Stores a group with its indexes; `before` is what it was. */
export function putGroup(tx: Writer, before: GroupRecord | undefined, after: GroupRecord): void {
  const { namespaceUuid, id, alias } = after
  if (before) removeIndexes(tx, before)
  groupRecords(namespaceUuid).put(tx, id, after)
  groupNames(namespaceUuid).put(tx, nameKey(after.name), id)
  if (alias) {
    groupAliases(namespaceUuid).put(tx, aliasKey(alias.mountAccessor, alias.name), id)
    groupAliasIds(namespaceUuid).put(tx, alias.id, id)
  }
  moveGroupEpoch(tx, namespaceUuid)
}

/** Takes a group away: what it gave ends at once. Memberships that are too many for one transaction are cleared by a job. */
export async function deleteGroup(tx: Writer, group: GroupRecord, now: number): Promise<void> {
  const { namespaceUuid, id } = group
  removeIndexes(tx, group)
  for (const parentId of group.parentIds) groupChildren(namespaceUuid).delete(tx, `${parentId}/${id}`)
  groupRecords(namespaceUuid).delete(tx, id)
  moveGroupEpoch(tx, namespaceUuid)
  if (!(await clearMemberships(tx, namespaceUuid, id)))
    putDue(tx, { kind: dueKind, id: `${namespaceUuid}/${id}`, at: now })
}

/** Makes the handlers of the due work of groups: for the job runner. */
export const groupHandlers = (now: () => number): ReadonlyMap<string, DueHandler> =>
  new Map([
    [
      dueKind,
      async (tx, entry): Promise<Again | undefined> => {
        const slash = entry.id.indexOf('/')
        const done = await clearMemberships(tx, entry.id.slice(0, slash), entry.id.slice(slash + 1))
        return done ? undefined : { at: now() }
      },
    ],
  ])
