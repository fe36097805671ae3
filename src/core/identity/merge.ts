// Merging entities: one takes over the aliases, the groups and the tokens of others. Policies and metadata of those are not taken over.
import { invalid } from '../../sdk/errors.ts'
import type { Writer } from '../../storage/storage.ts'
import { type AliasRecord, type EntityRecord, mergedEntities } from './entities.ts'
import { withGroups } from './group-members.ts'
import type { Identity } from './store.ts'

/** Two aliases at one login method, of which an entity can have one only. */
export interface Clash {
  readonly alias: AliasRecord
  readonly entity: EntityRecord
}

export interface MergeWish {
  readonly to: EntityRecord
  readonly from: readonly EntityRecord[]
  /** Which alias of two that clash is to stay. */
  readonly keepAliasIds: readonly string[]
  readonly now: number
}

/** Finds the aliases that stand in each other's way. Throws 400 when two of the entities merged from clash with each other. */
function clashesOf({ to, from }: MergeWish): Clash[] {
  const owners = new Map<string, EntityRecord>()
  const clashes: Clash[] = []
  for (const entity of from)
    for (const alias of entity.aliases) {
      if ((owners.get(alias.mountAccessor) ?? entity) !== entity)
        throw invalid(
          `mount accessor ${alias.mountAccessor} found in multiple fromEntities, merge should be done with one fromEntity at a time`,
        )
      owners.set(alias.mountAccessor, entity)
      for (const own of to.aliases)
        if (own.mountAccessor === alias.mountAccessor) clashes.push({ alias: own, entity: to }, { alias, entity })
    }
  return clashes
}

/** The aliases after one more entity was taken in. */
function joinAliases(own: readonly AliasRecord[], entity: EntityRecord, keep: readonly string[]): AliasRecord[] {
  let aliases = [...own]
  for (const alias of entity.aliases) {
    const rival = aliases.find((one) => one.mountAccessor === alias.mountAccessor)
    if (rival && keep.includes(rival.id)) continue
    if (rival && !keep.includes(alias.id))
      throw invalid(
        `conflicting mount accessors in following alias IDs and neither were present in conflicting_alias_ids_to_keep: ${alias.id}, ${rival.id}`,
      )
    if (rival) aliases = aliases.filter((one) => one !== rival)
    aliases.push({ ...alias, mergedFrom: [...alias.mergedFrom, entity.id] })
  }
  return aliases
}

/** Merges entities of one namespace. Gives the clashes, and has changed nothing then, when there are some and nothing says what to keep. */
export function mergeEntities(identity: Identity, tx: Writer, wish: MergeWish): Clash[] {
  const { to, from, keepAliasIds, now } = wish
  const clashes = clashesOf(wish)
  if (clashes.length > 0 && keepAliasIds.length === 0) return clashes
  let next: EntityRecord = { ...to, updatedTime: now }
  for (const entity of from) {
    next = withGroups(
      tx,
      {
        ...next,
        aliases: joinAliases(next.aliases, entity, keepAliasIds),
        mergedIds: [...next.mergedIds, ...entity.mergedIds, entity.id],
      },
      entity.groupIds ?? [],
    )
    identity.delete(tx, entity)
  }
  identity.put(tx, to, next)
  for (const id of next.mergedIds) mergedEntities(to.namespaceUuid).put(tx, id, to.id)
  return []
}
