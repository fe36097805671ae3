// The `identity/` engine: all its operations in one list, and those on entities. Names compare without case; all of it stays within one namespace.
import { checkMetadata, checkName, checkPolicies } from '../core/identity/check.ts'
import { type AliasRecord, type EntityRecord, entityPolicyNames } from '../core/identity/entities.ts'
import type { Topology } from '../core/topology.ts'
import {
  bool,
  type Engine,
  engine,
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
import { aliasOperations } from './identity-aliases.ts'
import { groupAliasOperations } from './identity-group-aliases.ts'
import { groupOperations } from './identity-groups.ts'
import { lookupOperations } from './identity-lookup.ts'
import { mergeOperation } from './identity-merge.ts'
import { entityOutput, here, type IdentityPorts, keysOutput, mountOf, showEntity } from './identity-show.ts'
import { type OidcPorts, oidcOperations } from './oidc/index.ts'

/** Entities deleted in one request, which is one transaction. */
const batchMax = 10_000

const entityFields = {
  name: str('Name of the entity; without one a name is made up.'),
  metadata: kvpairs('Key-value pairs kept with the entity; replaced as a whole.'),
  policies: list('Policies every token of the entity has besides its own.'),
  disabled: bool('Tokens of a disabled entity cannot be used; they are not revoked.'),
}

interface EntityInput {
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly metadata?: Record<string, string> | undefined
  readonly policies?: string[] | undefined
  readonly disabled?: boolean | undefined
}

/** Makes the engine over its ports. */
export function identityEngine(ports: OidcPorts): Engine {
  return engine({
    type: 'identity',
    kind: 'secret',
    summary: 'Who somebody is, whatever the way they log in.',
    scope: 'core',
    singleton: true,
    operations: [
      ...entityOperations(ports),
      ...aliasOperations(ports),
      ...groupOperations(ports),
      ...groupAliasOperations(ports),
      ...lookupOperations(ports),
      mergeOperation(ports),
      ...oidcOperations(ports),
    ],
  })
}

function entityOperations(ports: IdentityPorts): Operation[] {
  const { identity, topology } = ports
  /** Finds which entity a write is about: by id, else by name; undefined: a new one. */
  const target = async ({ id, name }: EntityInput, context: ReadContext): Promise<EntityRecord | undefined> => {
    const byId = id ? await identity.get(context.tx, here(context), id) : undefined
    if (id && !byId) throw invalid('entity not found from id')
    const byName = name ? await identity.byName(context.tx, here(context), name) : undefined
    if (byId && byName && byName.id !== byId.id) throw invalid('entity name is already in use')
    return byId ?? byName
  }

  const save = async (input: EntityInput, context: WriteContext): Promise<Reply | undefined> => {
    if (input.name) checkName('name', input.name)
    if (input.metadata) checkMetadata('metadata', input.metadata)
    const before = await target(input, context)
    const base = before ?? (await identity.draft(context.tx, context.mount.namespace, input.name ?? '', context.now))
    const policies = input.policies ? entityPolicyNames(input.policies) : base.policies
    checkPolicies(policies)
    const after: EntityRecord = {
      ...base,
      name: input.name || base.name,
      metadata: input.metadata ?? base.metadata,
      policies,
      disabled: input.disabled ?? base.disabled,
      updatedTime: context.now,
    }
    identity.put(context.tx, before, after)
    return before ? undefined : { data: { id: after.id, name: after.name, aliases: null } }
  }

  const show = (entity: EntityRecord | undefined, context: ReadContext) => showEntity(ports, entity, context)

  const remove = (entity: EntityRecord | undefined, context: WriteContext): undefined => {
    if (entity) identity.delete(context.tx, entity)
  }

  const listEntities = async (context: ReadContext, by: 'id' | 'name'): Promise<Reply> => {
    const tables = await topology(context.tx)
    const entities = await identity.all(context.tx, here(context))
    const info = entities.map((entity) => [
      entity.id,
      {
        name: entity.name,
        ...(entity.aliases.length > 0 ? { aliases: entity.aliases.map((alias) => aliasInfo(alias, tables)) } : {}),
      },
    ])
    return listReply(entities.map((entity) => entity[by]).sort(), Object.fromEntries(info))
  }

  const aliasInfo = (alias: AliasRecord, tables: Topology) => ({
    id: alias.id,
    name: alias.name,
    mount_accessor: alias.mountAccessor,
    ...mountOf(tables, alias.mountAccessor),
  })

  const all = path('entity', {}, 'Entities.')
  const byId = path('entity/id/{id}', { id: str('Id of the entity.').required() }, 'An entity by its id.')
  const byName = path('entity/name/{name*}', { name: str('Name of the entity.').required() }, 'An entity by its name.')
  return [
    all.write({
      summary: 'Create an entity, or update one by id or name.',
      input: { id: str('Id of the entity to update.'), ...entityFields },
      output: { id: str('Id of the new entity.'), name: str('Name of the new entity.') },
      run: save,
    }),
    byId.write({ summary: 'Update an entity.', input: entityFields, output: {}, run: save }),
    byId.read({
      summary: 'Read an entity.',
      output: entityOutput,
      run: async ({ id }, context) => show(await identity.get(context.tx, here(context), id), context),
    }),
    byId.delete({
      summary: 'Delete an entity; its tokens stop at once.',
      run: async ({ id }, context) => remove(await identity.get(context.tx, here(context), id), context),
    }),
    byName.write({
      summary: 'Create or update an entity by its name.',
      input: {
        id: str('Id of the entity to update.'),
        metadata: entityFields.metadata,
        policies: entityFields.policies,
        disabled: entityFields.disabled,
      },
      output: { id: str('Id of the new entity.'), name: str('Name of the new entity.') },
      run: save,
    }),
    byName.read({
      summary: 'Read an entity by its name.',
      output: entityOutput,
      run: async ({ name }, context) => show(await identity.byName(context.tx, here(context), name), context),
    }),
    byName.delete({
      summary: 'Delete an entity by its name.',
      run: async ({ name }, context) => remove(await identity.byName(context.tx, here(context), name), context),
    }),
    path('entity/id', {}, 'Ids of the entities.').list({
      summary: 'List entities by id.',
      output: keysOutput,
      run: (_input, context) => listEntities(context, 'id'),
    }),
    path('entity/name', {}, 'Names of the entities.').list({
      summary: 'List entities by name.',
      output: keysOutput,
      run: (_input, context) => listEntities(context, 'name'),
    }),
    path('entity/batch-delete', {}, 'Several entities at once.').write({
      summary: 'Delete several entities.',
      input: { entity_ids: list('Ids of the entities.').default([]) },
      async run({ entity_ids }, context) {
        if (entity_ids.length === 0) throw invalid('missing entity ids to delete')
        if (entity_ids.length > batchMax) throw invalid(`entity_ids cannot hold more than ${batchMax} ids`)
        for (const id of new Set(entity_ids)) remove(await identity.get(context.tx, here(context), id), context)
        return undefined
      },
    }),
  ]
}
