// Groups: entities and other groups taken together, to give them policies. Records lie in one namespace and are never read from another.
// Memberships are records of their own, so that logins into one group do not wait for each other.
import { collection, decodeRecord, encodeRecord } from '../../storage/collection.ts'
import type { Reader, Writer } from '../../storage/storage.ts'

/** The name of a group at a login method: whoever logs in with it is a member. Times in ms since the epoch. */
export interface GroupAlias {
  readonly id: string
  readonly name: string
  readonly mountAccessor: string
  readonly createdTime: number
  readonly updatedTime: number
}

/** A group as it is stored, at `ns/<namespace uuid>/identity/group/<id>`. */
export interface GroupRecord {
  /** UUID; in a child namespace followed by `.<namespace id>`. */
  readonly id: string
  readonly name: string
  readonly namespaceUuid: string
  /** Members of internal groups are set by hand, those of external ones by each login. */
  readonly type: 'internal' | 'external'
  readonly metadata: Readonly<Record<string, string>> | null
  /** Lower case, sorted. */
  readonly policies: readonly string[]
  /** Groups that this one is a member of; some may be gone. */
  readonly parentIds: readonly string[]
  readonly alias?: GroupAlias
  readonly createdTime: number
  readonly updatedTime: number
}

const root = (namespaceUuid: string): string => `ns/${namespaceUuid}/identity/`

export const groupRecords = (namespaceUuid: string) => collection<GroupRecord>(`${root(namespaceUuid)}group/`)
/** From names in lower case to group ids. */
export const groupNames = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}group-name/`)
/** From `<mount accessor>/<alias name in lower case>` to group ids. */
export const groupAliases = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}group-alias/`)
/** From alias ids to group ids. */
export const groupAliasIds = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}group-alias-id/`)
/** Memberships by `<group id>/<entity id>`; each entity names its groups, too. */
export const groupMembers = (namespaceUuid: string) => collection<1>(`${root(namespaceUuid)}group-member/`)
/** Groups in groups by `<group id>/<member group id>`; each member names its parents, too. */
export const groupChildren = (namespaceUuid: string) => collection<1>(`${root(namespaceUuid)}group-child/`)

/** A key whose version moves when any group of the namespace changes: all that a group brings is proved current by it. */
export const groupEpochKey = (namespaceUuid: string): string => `${root(namespaceUuid)}group-epoch`

/** Moves the epoch. It is only written, never read before: changes of different groups do not get into each other's way. */
export const moveGroupEpoch = (tx: Writer, namespaceUuid: string): void =>
  tx.put(groupEpochKey(namespaceUuid), encodeRecord(1))

/** Reads groups in one round trip; those that are gone are left out. */
export async function readGroups(tx: Reader, namespaceUuid: string, ids: readonly string[]): Promise<GroupRecord[]> {
  if (ids.length === 0) return []
  const records = groupRecords(namespaceUuid)
  const entries = await tx.getMany(ids.map((id) => records.key(id)))
  return entries.flatMap((entry) => (entry ? [decodeRecord<GroupRecord>(entry.value)] : []))
}
