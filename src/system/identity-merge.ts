// Merging entities by API: what clashes is told, with a way to say which alias stays.
import { mergeEntities } from '../core/identity/merge.ts'
import { bool, invalid, list, type Operation, path, str } from '../sdk/index.ts'
import { here, type IdentityPorts, mountOf } from './identity-show.ts'

const entitiesMax = 1_000
const clashText =
  'toEntity and at least one fromEntity have aliases with the same mount accessor, repeat the merge request specifying exactly one fromEntity and conflicting_alias_ids_to_keep'

/** Makes the operation over the ports. */
export function mergeOperation({ identity, topology }: IdentityPorts): Operation {
  return path('entity/merge', {}, 'Several entities that are one.').write({
    summary: 'Merge entities into another one, which takes over their aliases, groups and tokens.',
    input: {
      from_entity_ids: list('Entities to merge; they are gone afterwards.').default([]),
      to_entity_id: str('Entity to merge them into.').default(''),
      conflicting_alias_ids_to_keep: list('Of two aliases at one login method, the one to keep.').default([]),
      force: bool('Keeps second factors of the entity merged into where both have some.').default(false),
    },
    async run(input, context) {
      const { tx, now } = context
      const { to_entity_id: toId, conflicting_alias_ids_to_keep: keepAliasIds } = input
      const fromIds = [...new Set(input.from_entity_ids)]
      if (toId === '') throw invalid('missing entity id to merge to')
      if (fromIds.length === 0) throw invalid('missing entity ids to merge from')
      if (fromIds.length > entitiesMax) throw invalid(`from_entity_ids cannot hold more than ${entitiesMax} ids`)
      if (fromIds.length > 1 && keepAliasIds.length > 1)
        throw invalid('alias conflicts cannot be resolved with multiple from entity ids - merge one entity at a time')
      if (fromIds.includes(toId)) throw invalid('to_entity_id should not be present in from_entity_ids')
      const to = await identity.get(tx, here(context), toId)
      if (!to) throw invalid('entity id to merge to is invalid')
      const found = await Promise.all(fromIds.map((id) => identity.get(tx, here(context), id)))
      const from = found.filter((entity) => entity !== undefined)
      if (from.length < fromIds.length) throw invalid('entity id to merge from is invalid')
      const clashes = mergeEntities(identity, tx, { to, from, keepAliasIds, now })
      if (clashes.length === 0) return undefined
      const tables = await topology(tx)
      const data = clashes.map(({ alias, entity }) => {
        const { mount_type: mount = '', mount_path = '' } = mountOf(tables, alias.mountAccessor)
        return { alias: alias.name, entity: entity.name, entity_id: entity.id, mount, mount_path }
      })
      const ids = clashes.map(({ alias }) => alias.id).join(', ')
      const body = JSON.stringify({ errors: [`${clashText}; clashing alias IDs: ${ids}`], data })
      return { status: 400, raw: { body, contentType: 'application/json' }, refused: clashText }
    },
  })
}
