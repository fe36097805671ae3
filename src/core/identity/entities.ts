// Entities: who somebody is, whatever the way they log in. An entity holds its aliases (one for each login method it comes by); names,
// aliases and alias ids have indexes. Records lie in one namespace and are never read from another.
import { collection } from '../../storage/collection.ts'
import { tidyNames } from '../tokens/names.ts'

/** A name at one login method that belongs to an entity. Times in ms since the epoch. */
export interface AliasRecord {
  /** UUID; in a child namespace followed by `.<namespace id>`. */
  readonly id: string
  readonly name: string
  readonly mountAccessor: string
  readonly mountUuid: string
  /** What the login method says; replaced at each login that says something else. */
  readonly metadata: Readonly<Record<string, string>> | null
  readonly customMetadata: Readonly<Record<string, string>> | null
  readonly local: boolean
  readonly createdTime: number
  readonly updatedTime: number
  readonly mergedFrom: readonly string[]
}

/** An entity as it is stored, at `ns/<namespace uuid>/identity/entity/<id>`. */
export interface EntityRecord {
  /** UUID; in a child namespace followed by `.<namespace id>`. */
  readonly id: string
  readonly name: string
  readonly namespaceUuid: string
  readonly metadata: Readonly<Record<string, string>> | null
  /** Lower case, sorted. */
  readonly policies: readonly string[]
  readonly disabled: boolean
  readonly aliases: readonly AliasRecord[]
  readonly createdTime: number
  readonly updatedTime: number
  readonly mergedIds: readonly string[]
  /** Groups it is a member of, sorted; some may be gone. Its tokens hang on them through this record. */
  readonly groupIds?: readonly string[]
}

const root = (namespaceUuid: string): string => `ns/${namespaceUuid}/identity/`

export const entityRecords = (namespaceUuid: string) => collection<EntityRecord>(`${root(namespaceUuid)}entity/`)
/** From names in lower case to entity ids. */
export const entityNames = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}name/`)
/** From `<mount accessor>/<alias name in lower case>` to entity ids. */
export const entityAliases = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}alias/`)
/** From alias ids to entity ids. */
export const entityAliasIds = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}alias-id/`)

/** From ids of entities that were merged to the one that took them over: their tokens go on under it. */
export const mergedEntities = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}merged/`)

/** How a name stands in an index: names are the same whatever their case. */
export const nameKey = (name: string): string => name.toLowerCase()
export const aliasKey = (mountAccessor: string, name: string): string => `${mountAccessor}/${name.toLowerCase()}`

/** Policies as an entity keeps them. */
export const entityPolicyNames = (names: readonly string[]): string[] => tidyNames(names)
