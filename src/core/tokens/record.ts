// What is stored of tokens, and where: the only place that spells their keys. A token's text is never stored, only its keyed hash.
import { collection } from '../../storage/collection.ts'

/** Where another token is stored. */
export interface TokenPlace {
  readonly namespaceUuid: string
  readonly key: string
}

/** A token as it is stored, at `ns/<namespace uuid>/token/id/<key>`; a batch token carries this within itself. Times in ms since the epoch. */
export interface TokenRecord {
  /** Keyed hash of the token's text; "" for batch tokens. */
  readonly key: string
  readonly namespaceUuid: string
  /** "" for batch tokens. */
  readonly accessor: string
  readonly type: 'service' | 'batch'
  /** The token it dies with; none: an orphan. */
  readonly parent?: TokenPlace
  /** How many ancestors it was made under. */
  readonly depth: number
  readonly policies: readonly string[]
  readonly noDefaultPolicy: boolean
  /** Path that made it, below its namespace. */
  readonly path: string
  readonly displayName: string
  readonly meta: Readonly<Record<string, string>> | null
  /** "" without one. */
  readonly entityId: string
  /** Where the entity lies: another namespace than the token's when a parent's entity was inherited. "" without entity. */
  readonly entityNamespaceUuid: string
  readonly createdTime: number
  readonly creationTtlSeconds: number
  /** What the last renewal (or the creation) granted. */
  readonly leaseTtlSeconds: number
  /** 0: never (non-expiring root tokens). */
  readonly expireTime: number
  /** 0: none. As asked for at creation; a role's own limit is read from the role. */
  readonly explicitMaxTtlSeconds: number
  /** 0: not periodic. */
  readonly periodSeconds: number
  /** Uses left; 0: without limit; -1: the last one is being spent. */
  readonly numUses: number
  readonly initialUses: number
  readonly renewable: boolean
  /** Name of the token role that made it, or "". */
  readonly role: string
  /** Addresses it may be used from; empty: any. */
  readonly boundCidrs: readonly string[]
  /** The auth mount whose login granted it; "" for tokens made by `auth/token` and by core. It dies with the mount. */
  readonly mountUuid: string
  /** 0: never renewed. */
  readonly lastRenewalTime: number
  /** What the login method wants to know again at renewal; never shown. */
  readonly internal?: Readonly<Record<string, unknown>>
  /** Set on access tokens of an OpenID provider: they open its userinfo endpoint and nothing that their entity may. */
  readonly access?: AccessFacts
  /** Set on wrapping tokens. */
  readonly wrapping?: WrappingFacts
  /** The token is gone and left its children as orphans; some of them still name it. A job frees them, then takes this away. */
  readonly left?: true
}

/** What an access token of an OpenID provider was given for. */
export interface AccessFacts {
  readonly provider: string
  readonly clientId: string
  readonly scopes: readonly string[]
}

/** What a wrapping token is for. */
export interface WrappingFacts {
  /** Path of the request whose answer is wrapped. */
  readonly creationPath: string
  /** Accessor of the token within, when the answer holds one. */
  readonly wrappedAccessor?: string
}

/** A key and the version it must have for something read earlier to hold. */
export interface Fact {
  readonly key: string
  readonly version: number
}

/** A token that is alive, and what it hangs on. */
export interface FoundToken {
  /** Text of the token as it was sent; "" when it was found by its accessor or key. */
  readonly token: string
  readonly record: TokenRecord
  /** Its own record first (not for batch tokens), then its ancestors: expect them all before using this again. */
  readonly facts: readonly Fact[]
  /** The earliest end of it and its ancestors in ms since the epoch; 0: never. */
  readonly expireTime: number
  /** UUIDs of the auth mounts and namespaces that it and its ancestors hang on. */
  readonly mountUuids: readonly string[]
  readonly namespaceUuids: readonly string[]
  readonly orphan: boolean
}

/** An entry of the index from a token to its children. */
export interface ChildEntry {
  readonly namespaceUuid: string
}

/** A token role, at `ns/<namespace uuid>/token/role/<name>`. Seconds; lists in lower case, sorted. */
export interface TokenRole {
  readonly name: string
  readonly allowedPolicies: readonly string[]
  readonly disallowedPolicies: readonly string[]
  readonly allowedPoliciesGlob: readonly string[]
  readonly disallowedPoliciesGlob: readonly string[]
  /** Absent: never set. */
  readonly allowedEntityAliases?: readonly string[]
  readonly orphan: boolean
  readonly renewable: boolean
  readonly pathSuffix: string
  readonly tokenType: 'service' | 'batch' | 'default-service' | 'default-batch'
  readonly boundCidrs: readonly string[]
  readonly explicitMaxTtlSeconds: number
  readonly periodSeconds: number
  readonly numUses: number
  readonly noDefaultPolicy: boolean
  /** Set under the older names `period`, `explicit_max_ttl`, `bound_cidrs`, and read back under them too. */
  readonly olderPeriodSeconds: number
  readonly olderExplicitMaxTtlSeconds: number
  readonly olderBoundCidrs: readonly string[]
}

const root = (namespaceUuid: string): string => `ns/${namespaceUuid}/token/`

/** Tokens of a namespace by keyed hash. */
export const tokenRecords = (namespaceUuid: string) => collection<TokenRecord>(`${root(namespaceUuid)}id/`)
/** From accessors to keyed hashes. */
export const tokenAccessors = (namespaceUuid: string) => collection<string>(`${root(namespaceUuid)}accessor/`)
/** Children of a token by their keyed hash; they may live in other namespaces. */
export const tokenChildren = (parent: TokenPlace) =>
  collection<ChildEntry>(`${root(parent.namespaceUuid)}child/${parent.key}/`)
/** Index of all children of all tokens of a namespace, by `<parent key>/<child key>`. */
export const allTokenChildren = (namespaceUuid: string) => collection<ChildEntry>(`${root(namespaceUuid)}child/`)
export const tokenRoles = (namespaceUuid: string) => collection<TokenRole>(`${root(namespaceUuid)}role/`)
/** There while a tidy of the namespace waits or runs; holds when it was asked for. */
export const tidyMarks = collection<number>('core/token-tidy/')

/** Kinds of due work of tokens. Ids are `<namespace uuid>/<key>`, or the namespace's UUID for a tidy. */
export const dueKinds = { expiry: 'token', tree: 'token-tree', orphans: 'token-orphans', tidy: 'token-tidy' } as const

export const placeId = ({ namespaceUuid, key }: TokenPlace): string => `${namespaceUuid}/${key}`
export const placeOf = (id: string): TokenPlace => {
  const slash = id.indexOf('/')
  return { namespaceUuid: id.slice(0, slash), key: id.slice(slash + 1) }
}
