// Operations on entity aliases: what a login method calls somebody, tied to an entity.
import { checkCustomMetadata, checkName } from '../core/identity/check.ts'
import { type AliasRecord, type EntityRecord, nameKey } from '../core/identity/entities.ts'
import { invalid, kvpairs, listReply, type Operation, path, type Reply, str, type WriteContext } from '../sdk/index.ts'
import { aliasData, aliasOutput, here, type IdentityPorts, keysOutput, mountFor } from './identity-show.ts'

const aliasFields = {
  name: str('Name of the alias: what the login method calls the user.'),
  canonical_id: str('Entity the alias belongs to; without one an entity is made.'),
  entity_id: str('Older name of canonical_id.').deprecated(),
  mount_accessor: str('Accessor of the login method the alias is for.'),
  custom_metadata: kvpairs('Key-value pairs of your own.'),
}

interface AliasInput {
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly canonical_id?: string | undefined
  readonly entity_id?: string | undefined
  readonly mount_accessor?: string | undefined
  readonly custom_metadata?: Record<string, string> | undefined
}

/** Makes the operations over the ports. */
export function aliasOperations(ports: IdentityPorts): Operation[] {
  const { identity, topology } = ports

  const has = (entity: EntityRecord, accessor: string): boolean =>
    entity.aliases.some((alias) => alias.mountAccessor === accessor)

  const create = async (input: AliasInput, entityId: string, context: WriteContext): Promise<Reply> => {
    const { tx, now } = context
    const mount = await mountFor(ports, input.mount_accessor ?? '', context)
    const before = entityId === '' ? undefined : await identity.get(tx, here(context), entityId)
    if (entityId !== '' && !before) throw invalid('invalid canonical ID')
    const entity = before ?? (await identity.draft(tx, context.mount.namespace, '', now))
    if (has(entity, mount.record.accessor))
      throw invalid('alias already exists for requested entity and mount accessor')
    const alias: AliasRecord = {
      id: identity.newId(context.mount.namespace),
      name: input.name ?? '',
      mountAccessor: mount.record.accessor,
      mountUuid: mount.record.uuid,
      metadata: null,
      customMetadata: input.custom_metadata ?? null,
      local: mount.record.local,
      createdTime: now,
      updatedTime: now,
      mergedFrom: [],
    }
    identity.put(tx, before, { ...entity, aliases: [...entity.aliases, alias], updatedTime: now })
    return { data: { id: alias.id, canonical_id: entity.id } }
  }

  /** Takes an alias from its entity, and the external groups that logins under it have brought. */
  const takeAway = async (owner: EntityRecord, alias: AliasRecord, { tx, now }: WriteContext): Promise<void> => {
    const rest = await identity.refreshGroups(tx, owner, { mountAccessor: alias.mountAccessor, names: [] })
    const aliases = owner.aliases.filter((other) => other.id !== alias.id)
    identity.put(tx, owner, { ...rest, aliases, updatedTime: now })
  }

  const update = async (
    owner: EntityRecord,
    alias: AliasRecord,
    input: AliasInput,
    entityId: string,
    context: WriteContext,
  ): Promise<Reply> => {
    const { tx, now } = context
    const mount = await mountFor(ports, input.mount_accessor || alias.mountAccessor, context)
    const changed: AliasRecord = {
      ...alias,
      name: input.name || alias.name,
      mountAccessor: mount.record.accessor,
      mountUuid: mount.record.uuid,
      customMetadata: input.custom_metadata ?? alias.customMetadata,
      updatedTime: now,
    }
    const taken = await identity.byAlias(tx, here(context), changed.mountAccessor, changed.name)
    if (taken && !taken.aliases.some((other) => other.id === alias.id))
      throw invalid('alias with combination of mount accessor and name already exists')
    const rest = owner.aliases.filter((other) => other.id !== alias.id)
    if (entityId !== '' && entityId !== owner.id) {
      const next = await identity.get(tx, here(context), entityId)
      if (!next) throw invalid("given 'canonical_id' is not associated with an entity")
      if (mount.record.local) throw invalid("local aliases can't be moved between entities")
      if (has(next, changed.mountAccessor))
        throw invalid('alias cannot be updated as the given entity already has an alias for this mount')
      await takeAway(owner, alias, context)
      identity.put(tx, next, { ...next, aliases: [...next.aliases, changed], updatedTime: now })
      return { data: { id: alias.id, canonical_id: next.id } }
    }
    if (rest.some((other) => other.mountAccessor === changed.mountAccessor))
      throw invalid("alias cannot be updated as the entity already has an alias for the given 'mount_accessor'")
    identity.put(tx, owner, { ...owner, aliases: [...rest, changed], updatedTime: now })
    return { data: { id: alias.id, canonical_id: owner.id } }
  }

  const save = async (input: AliasInput, context: WriteContext): Promise<Reply | undefined> => {
    const { id = '', name = '', mount_accessor: accessor = '' } = input
    const entityId = input.canonical_id || input.entity_id || ''
    if (name) checkName('name', name)
    if (input.custom_metadata) checkCustomMetadata(input.custom_metadata)
    if (id !== '') {
      const owner = await identity.byAliasId(context.tx, here(context), id)
      const alias = owner?.aliases.find((one) => one.id === id)
      if (!owner || !alias) throw invalid('invalid alias ID provided')
      if (name === '' && accessor === '' && entityId === '' && !input.custom_metadata) return undefined
      return await update(owner, alias, input, entityId, context)
    }
    if (name === '' || accessor === '') throw invalid("'id' or 'mount_accessor' and 'name' must be provided")
    await mountFor(ports, accessor, context)
    const owner = await identity.byAlias(context.tx, here(context), accessor, name)
    const alias = owner?.aliases.find((one) => one.mountAccessor === accessor && nameKey(one.name) === nameKey(name))
    if (owner && alias) return await update(owner, alias, input, entityId, context)
    return await create(input, entityId, context)
  }

  /** The operations under one of their names. */
  const under = (word: string): Operation[] => {
    const byId = path(`${word}/id/{id}`, { id: str('Id of the alias.').required() }, 'An alias by its id.')
    const made = { id: str('Id of the alias.'), canonical_id: str('Entity it belongs to.') }
    return [
      path(word, {}, 'Aliases of entities.').write({
        summary: 'Create an alias, or update one.',
        input: { id: str('Id of the alias to update.'), ...aliasFields },
        output: made,
        run: save,
      }),
      byId.write({ summary: 'Update an alias.', input: aliasFields, output: made, run: save }),
      byId.read({
        summary: 'Read an alias.',
        output: aliasOutput,
        async run({ id }, context) {
          const owner = await identity.byAliasId(context.tx, here(context), id)
          const alias = owner?.aliases.find((one) => one.id === id)
          if (!owner || !alias) return undefined
          const data = aliasData(alias, owner.id, await topology(context.tx))
          return { data: { ...data, namespace_id: context.mount.namespace.id } }
        },
      }),
      byId.delete({
        summary: 'Delete an alias.',
        async run({ id }, context) {
          const owner = await identity.byAliasId(context.tx, here(context), id)
          const alias = owner?.aliases.find((one) => one.id === id)
          if (owner && alias) await takeAway(owner, alias, context)
          return undefined
        },
      }),
      path(`${word}/id`, {}, 'Ids of the aliases.').list({
        summary: 'List aliases by id.',
        output: keysOutput,
        async run(_input, context) {
          const tables = await topology(context.tx)
          const info = (await identity.all(context.tx, here(context))).flatMap((entity) =>
            entity.aliases.map((alias) => [alias.id, aliasData(alias, entity.id, tables)] as const),
          )
          return listReply(info.map(([id]) => id).sort(), Object.fromEntries(info))
        },
      }),
    ]
  }
  const older = ['alias', 'persona'].flatMap(under).map((operation) => ({ ...operation, deprecated: true }))
  return [...under('entity-alias'), ...older]
}
