// Groups within groups: what an entity is a member of at all depths, and the checks that keep the tree one. It never writes.
import { invalid } from '../../sdk/errors.ts'
import type { Reader } from '../../storage/storage.ts'
import type { Fact } from '../tokens/record.ts'
import type { EntityRecord } from './entities.ts'
import { type GroupRecord, groupChildren, groupEpochKey, readGroups } from './groups.ts'

/** How deep groups may be nested: each level is a round trip when a session is made. */
export const nestingMax = 32

/** Groups of an entity, and the facts they were read from: expect them before using this again. The entity's own fact is the caller's. */
export interface Membership {
  readonly direct: readonly GroupRecord[]
  readonly inherited: readonly GroupRecord[]
  readonly facts: readonly Fact[]
}

const none: Membership = { direct: [], inherited: [], facts: [] }

/** Finds the groups of an entity at all depths. */
export async function groupsOf(
  tx: Reader,
  { namespaceUuid, groupIds = [] }: Pick<EntityRecord, 'namespaceUuid' | 'groupIds'>,
): Promise<Membership> {
  if (groupIds.length === 0) return none
  const key = groupEpochKey(namespaceUuid)
  const epoch = await tx.get(key)
  const direct = await readGroups(tx, namespaceUuid, groupIds)
  const seen = new Set(groupIds)
  const inherited: GroupRecord[] = []
  for (let level: readonly GroupRecord[] = direct; level.length > 0; ) {
    const above = [...new Set(level.flatMap((group) => group.parentIds))].filter((id) => !seen.has(id))
    for (const id of above) seen.add(id)
    level = await readGroups(tx, namespaceUuid, above)
    inherited.push(...level)
  }
  return { direct, inherited, facts: [{ key, version: epoch?.version ?? 0 }] }
}

interface Reach {
  readonly ids: ReadonlySet<string>
  /** Steps of the longest way. */
  readonly length: number
}

/** Goes from some groups step by step; a level holds all that some way of that length leads to. */
async function reach(from: readonly string[], next: (ids: readonly string[]) => Promise<string[]>): Promise<Reach> {
  const ids = new Set(from)
  let level = [...ids]
  for (let length = 0; ; length++) {
    if (length > nestingMax) throw invalid(`groups cannot be nested deeper than ${nestingMax}`)
    const further = [...new Set(await next(level))]
    if (further.length === 0) return { ids, length }
    for (const id of further) ids.add(id)
    level = further
  }
}

/** Refuses to make groups members of another one when that would close a circle or nest too deep. Throws 400. */
export async function checkNesting(tx: Reader, group: GroupRecord, memberIds: readonly string[]): Promise<void> {
  const { namespaceUuid } = group
  const children = groupChildren(namespaceUuid)
  const up = async (ids: readonly string[]) =>
    (await readGroups(tx, namespaceUuid, ids)).flatMap(({ parentIds }) => parentIds)
  const down = async (ids: readonly string[]) =>
    (await Promise.all(ids.map((id) => children.list(tx, `${id}/`)))).flat()
  const above = await reach(group.parentIds, up)
  const aboveLength = group.parentIds.length > 0 ? above.length + 1 : 0
  for (const id of memberIds) {
    if (id === group.id) throw invalid('a group cannot be a member of itself')
    if (above.ids.has(id)) throw invalid('cyclic relationship detected for a member group')
  }
  const below = await reach(memberIds, down)
  if (aboveLength + 1 + below.length > nestingMax) throw invalid(`groups cannot be nested deeper than ${nestingMax}`)
}
