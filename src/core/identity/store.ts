// The identity store: finds, makes and changes entities and their aliases, over a transaction the caller opened. It holds nothing itself.
import { randomBytes, randomUUID } from 'node:crypto'
import type { RandomBytes } from '../../lib/random.ts'
import type { MountFacts, NamespaceFacts } from '../../sdk/context.ts'
import { invalid } from '../../sdk/errors.ts'
import type { Reader, Writer } from '../../storage/storage.ts'
import type { TemplateIdentity } from '../policy/template.ts'
import {
  type AliasRecord,
  aliasKey,
  type EntityRecord,
  entityAliases,
  entityAliasIds,
  entityNames,
  entityRecords,
  nameKey,
} from './entities.ts'

/** What a login says about who it was. */
export interface LoginAlias {
  readonly name: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** An entity as it was read: `version` is 0 and there is no entity when it is gone. Expect both in a session's transaction. */
export interface FoundEntity {
  readonly key: string
  readonly version: number
  readonly entity: EntityRecord | undefined
}

export interface Identity {
  find(tx: Reader, namespaceUuid: string, id: string): Promise<FoundEntity>
  get(tx: Reader, namespaceUuid: string, id: string): Promise<EntityRecord | undefined>
  byName(tx: Reader, namespaceUuid: string, name: string): Promise<EntityRecord | undefined>
  byAlias(tx: Reader, namespaceUuid: string, mountAccessor: string, name: string): Promise<EntityRecord | undefined>
  byAliasId(tx: Reader, namespaceUuid: string, aliasId: string): Promise<EntityRecord | undefined>
  all(tx: Reader, namespaceUuid: string): Promise<EntityRecord[]>
  /** The entity of who logs in; made with its alias at the first login. Whether it is disabled is the caller's question. */
  entityForLogin(
    tx: Writer,
    namespace: { readonly facts: NamespaceFacts },
    mount: { readonly facts: MountFacts; readonly record: { readonly local: boolean } },
    alias: LoginAlias,
    now: number,
  ): Promise<EntityRecord>
  /** Policies an entity brings. */
  policiesOf(tx: Reader, entity: EntityRecord): Promise<readonly string[]>
  /** What identity templates in policies may name of it. */
  templateIdentity(tx: Reader, entity: EntityRecord): Promise<TemplateIdentity>
  /** A new entity, not stored yet. An empty name is replaced by a made-up one. */
  draft(tx: Reader, namespace: NamespaceFacts, name: string, now: number): Promise<EntityRecord>
  /** An id for an alias in this namespace. */
  newId(namespace: NamespaceFacts): string
  /** Stores an entity with its indexes; `before` is what it was. */
  put(tx: Writer, before: EntityRecord | undefined, after: EntityRecord): void
  /** Takes an entity away with its aliases: its tokens stop at once. */
  delete(tx: Writer, entity: EntityRecord): void
}

const sameMap = (a: Readonly<Record<string, string>> | null, b: Readonly<Record<string, string>> | null): boolean => {
  const [x, y] = [Object.entries(a ?? {}), Object.entries(b ?? {})]
  return x.length === y.length && x.every(([key, value]) => b !== null && Object.hasOwn(b, key) && b[key] === value)
}

const newId = ({ id }: NamespaceFacts): string => randomUUID() + (id === 'root' ? '' : `.${id}`)

async function find(tx: Reader, namespaceUuid: string, id: string): Promise<FoundEntity> {
  const records = entityRecords(namespaceUuid)
  const found = await records.getVersioned(tx, id)
  return { key: records.key(id), version: found?.version ?? 0, entity: found?.value }
}

function put(tx: Writer, before: EntityRecord | undefined, after: EntityRecord): void {
  const { namespaceUuid, id } = after
  entityRecords(namespaceUuid).put(tx, id, after)
  if (before && nameKey(before.name) !== nameKey(after.name))
    entityNames(namespaceUuid).delete(tx, nameKey(before.name))
  entityNames(namespaceUuid).put(tx, nameKey(after.name), id)
  for (const alias of before?.aliases ?? []) {
    entityAliases(namespaceUuid).delete(tx, aliasKey(alias.mountAccessor, alias.name))
    entityAliasIds(namespaceUuid).delete(tx, alias.id)
  }
  for (const alias of after.aliases) {
    entityAliases(namespaceUuid).put(tx, aliasKey(alias.mountAccessor, alias.name), id)
    entityAliasIds(namespaceUuid).put(tx, alias.id, id)
  }
}

const template = (entity: EntityRecord): TemplateIdentity => ({
  entity: {
    id: entity.id,
    name: entity.name,
    metadata: entity.metadata ?? {},
    aliases: entity.aliases.map(({ id, name, mountAccessor, metadata, customMetadata }) => ({
      id,
      name,
      mountAccessor,
      metadata: metadata ?? {},
      customMetadata: customMetadata ?? {},
    })),
  },
  groups: [],
})

/** Makes the identity store. */
export function identityStore(random: RandomBytes = randomBytes): Identity {
  const get = async (tx: Reader, namespaceUuid: string, id: string | undefined): Promise<EntityRecord | undefined> =>
    id === undefined || id === '' ? undefined : await entityRecords(namespaceUuid).get(tx, id)

  const draft = async (tx: Reader, namespace: NamespaceFacts, name: string, now: number): Promise<EntityRecord> => ({
    id: newId(namespace),
    name: name || (await freeName(tx, namespace)),
    namespaceUuid: namespace.uuid,
    metadata: null,
    policies: [],
    disabled: false,
    aliases: [],
    createdTime: now,
    updatedTime: now,
    mergedIds: [],
  })

  const freeName = async (tx: Reader, namespace: NamespaceFacts): Promise<string> => {
    for (;;) {
      const name = `entity_${random(4).toString('hex')}`
      if (!(await entityNames(namespace.uuid).has(tx, name))) return name
    }
  }

  const byAlias = async (tx: Reader, namespaceUuid: string, mountAccessor: string, name: string) =>
    await get(tx, namespaceUuid, await entityAliases(namespaceUuid).get(tx, aliasKey(mountAccessor, name)))

  /** The same entity with what the login says now; the very object when nothing changed. */
  const refreshed = (entity: EntityRecord, mount: MountFacts, login: LoginAlias, now: number): EntityRecord => {
    const metadata = login.metadata ?? null
    const isIt = (alias: AliasRecord): boolean =>
      alias.mountAccessor === mount.accessor && nameKey(alias.name) === nameKey(login.name)
    if (entity.aliases.some((alias) => isIt(alias) && sameMap(alias.metadata, metadata))) return entity
    const aliases = entity.aliases.map((alias) => (isIt(alias) ? { ...alias, metadata, updatedTime: now } : alias))
    return { ...entity, aliases, updatedTime: now }
  }

  return {
    find,
    get,
    byAlias,
    byName: async (tx, namespaceUuid, name) =>
      await get(tx, namespaceUuid, await entityNames(namespaceUuid).get(tx, nameKey(name))),
    byAliasId: async (tx, namespaceUuid, aliasId) =>
      await get(tx, namespaceUuid, await entityAliasIds(namespaceUuid).get(tx, aliasId)),
    all: async (tx, namespaceUuid) => (await entityRecords(namespaceUuid).all(tx)).map(({ value }) => value),
    async entityForLogin(tx, { facts: namespace }, { facts: mount, record }, alias, now) {
      if (alias.name === '') throw invalid('missing name in alias')
      const known = await byAlias(tx, namespace.uuid, mount.accessor, alias.name)
      if (known) {
        const entity = refreshed(known, mount, alias, now)
        if (entity !== known) put(tx, known, entity)
        return entity
      }
      const fresh = await draft(tx, namespace, '', now)
      const entity: EntityRecord = {
        ...fresh,
        aliases: [
          {
            id: newId(namespace),
            name: alias.name,
            mountAccessor: mount.accessor,
            mountUuid: mount.uuid,
            metadata: alias.metadata ?? null,
            customMetadata: null,
            local: record.local,
            createdTime: now,
            updatedTime: now,
            mergedFrom: [],
          },
        ],
      }
      put(tx, undefined, entity)
      return entity
    },
    policiesOf: async (_tx, entity) => entity.policies,
    templateIdentity: async (_tx, entity) => template(entity),
    draft,
    newId,
    put,
    delete(tx, entity) {
      put(tx, entity, { ...entity, aliases: [] })
      entityNames(entity.namespaceUuid).delete(tx, nameKey(entity.name))
      entityRecords(entity.namespaceUuid).delete(tx, entity.id)
    },
  }
}
