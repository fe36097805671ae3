// The identity store: finds, makes and changes entities and their aliases, over a transaction the caller opened. It holds nothing itself.
import { randomBytes } from 'node:crypto'
import type { RandomBytes } from '../../lib/random.ts'
import type { MountFacts, NamespaceFacts } from '../../sdk/context.ts'
import { invalid } from '../../sdk/errors.ts'
import type { Collection } from '../../storage/collection.ts'
import type { Reader, Writer } from '../../storage/storage.ts'
import type { TemplateIdentity } from '../policy/template.ts'
import { tidyNames } from '../tokens/names.ts'
import type { Fact } from '../tokens/record.ts'
import {
  type AliasRecord,
  aliasKey,
  type EntityRecord,
  entityAliases,
  entityAliasIds,
  entityNames,
  entityRecords,
  mergedEntities,
  nameKey,
} from './entities.ts'
import { type LoginGroups, leaveGroups, refreshExternalGroups } from './group-members.ts'
import { newIdentityId } from './group-store.ts'
import { groupsOf, type Membership } from './group-tree.ts'

/** What a login says about who it was. */
export interface LoginAlias {
  readonly name: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** An entity as it was read, and the facts it was read from: expect them in a session's transaction. None: it is gone. */
export interface FoundEntity {
  readonly entity: EntityRecord | undefined
  readonly facts: readonly Fact[]
}

/** What an entity brings to a session, and the facts it was read from besides the entity's own record. */
export interface Brought {
  /** Lower case, sorted. */
  readonly policies: readonly string[]
  /** What identity templates in policies may name. */
  readonly template: TemplateIdentity
  readonly facts: readonly Fact[]
}

export interface Identity {
  /** The entity behind an id that a token holds: also the one that has taken over a merged one. */
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
  /** Recomputes the groups that a login method says somebody is in; gives the entity as it is then. */
  refreshGroups(tx: Writer, entity: EntityRecord, login: LoginGroups): Promise<EntityRecord>
  /** Policies an entity brings: its own and those of its groups. */
  policiesOf(tx: Reader, entity: EntityRecord): Promise<readonly string[]>
  /** All that an entity brings to a session. */
  bringsOf(tx: Reader, entity: EntityRecord, namespacePath: string): Promise<Brought>
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

async function readWithFact<T>(tx: Reader, records: Collection<T>, id: string): Promise<{ value?: T; fact: Fact }> {
  const found = await records.getVersioned(tx, id)
  const fact = { key: records.key(id), version: found?.version ?? 0 }
  return found ? { value: found.value, fact } : { fact }
}

async function find(tx: Reader, namespaceUuid: string, id: string): Promise<FoundEntity> {
  const own = await readWithFact(tx, entityRecords(namespaceUuid), id)
  if (own.value) return { entity: own.value, facts: [own.fact] }
  const merged = await readWithFact(tx, mergedEntities(namespaceUuid), id)
  if (merged.value === undefined) return { entity: undefined, facts: [own.fact, merged.fact] }
  const next = await readWithFact(tx, entityRecords(namespaceUuid), merged.value)
  return { entity: next.value, facts: [own.fact, merged.fact, next.fact] }
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

const policiesOf = (entity: EntityRecord, { direct, inherited }: Membership): string[] =>
  tidyNames([...entity.policies, ...[...direct, ...inherited].flatMap((group) => group.policies)])

const template = (
  entity: EntityRecord,
  { direct, inherited }: Membership,
  namespacePath: string,
): TemplateIdentity => ({
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
  groups: [...direct, ...inherited].map(({ id, name, metadata }) => ({
    id,
    name,
    namespacePath,
    metadata: metadata ?? {},
  })),
})

/** Makes the identity store. */
export function identityStore(random: RandomBytes = randomBytes): Identity {
  const get = async (tx: Reader, namespaceUuid: string, id: string | undefined): Promise<EntityRecord | undefined> =>
    id === undefined || id === '' ? undefined : await entityRecords(namespaceUuid).get(tx, id)

  const draft = async (tx: Reader, namespace: NamespaceFacts, name: string, now: number): Promise<EntityRecord> => ({
    id: newIdentityId(namespace),
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
            id: newIdentityId(namespace),
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
    refreshGroups: refreshExternalGroups,
    policiesOf: async (tx, entity) => policiesOf(entity, await groupsOf(tx, entity)),
    async bringsOf(tx, entity, namespacePath) {
      const membership = await groupsOf(tx, entity)
      return {
        policies: policiesOf(entity, membership),
        template: template(entity, membership, namespacePath),
        facts: membership.facts,
      }
    },
    draft,
    newId: newIdentityId,
    put,
    delete(tx, entity) {
      leaveGroups(tx, entity)
      put(tx, entity, { ...entity, aliases: [] })
      entityNames(entity.namespaceUuid).delete(tx, nameKey(entity.name))
      entityRecords(entity.namespaceUuid).delete(tx, entity.id)
      for (const id of entity.mergedIds) mergedEntities(entity.namespaceUuid).delete(tx, id)
    },
  }
}
