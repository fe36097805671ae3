// What is stored of identity tokens and of the OpenID provider, and where: the only place that spells their keys. All of it lies in one
// namespace and behind the barrier, private keys too.
import type { JWK } from 'jose'
import type { TokenStore } from '../../core/tokens/store.ts'
import type { ApiError } from '../../sdk/errors.ts'
import { invalid } from '../../sdk/index.ts'
import { type Collection, collection } from '../../storage/collection.ts'
import type { Reader } from '../../storage/storage.ts'
import type { IdentityPorts } from '../identity-show.ts'

/** What these operations need of core. */
export interface OidcPorts extends IdentityPorts {
  readonly tokens: Pick<TokenStore, 'find' | 'create'>
  /** Address of this server for others; "" when it is not configured. */
  readonly apiAddress: string
}

/** Makes the refusal to delete what others name; `users` are told by their ids. */
export const referenced = (what: string, by: string, users: readonly { readonly id: string }[]): ApiError =>
  invalid(
    `unable to delete ${what} because it is currently referenced by these ${by}: ${users.map(({ id }) => id).join(', ')}`,
  )

/** A key pair that signs. */
export interface SigningKey {
  /** A UUID: `kid` in tokens and key sets. */
  readonly id: string
  readonly algorithm: string
  /** PKCS #8, base64. */
  readonly privateKey: string
  readonly publicKey: JWK
}

/** A key that signs no more, but what it has signed can still be verified. */
export interface RetiredKey {
  readonly publicKey: JWK
  /** Milliseconds since the epoch. */
  readonly expireTime: number
}

/** A named key: what signs now, what will sign next (published before), what has signed. */
export interface NamedKey {
  readonly name: string
  readonly algorithm: string
  readonly rotationPeriodSeconds: number
  readonly verificationTtlSeconds: number
  /** Client ids of roles and clients that may sign with it; `*`: all. */
  readonly allowedClientIds: readonly string[]
  /** Absent: made at first use (the built-in key). */
  readonly pair?: { readonly current: SigningKey; readonly next: SigningKey }
  readonly retired: readonly RetiredKey[]
  /** When `next` takes over; 0 without a pair. */
  readonly rotationTime: number
}

/** A role: which claims an identity token has, and which key signs it. */
export interface OidcRole {
  readonly key: string
  readonly template: string
  readonly ttlSeconds: number
  readonly clientId: string
}

/** Who may sign in to a client. */
export interface Assignment {
  readonly entityIds: readonly string[]
  readonly groupIds: readonly string[]
}

export interface Scope {
  readonly template: string
  readonly description: string
}

/** An application that signs people in. */
export interface Client {
  readonly name: string
  readonly clientId: string
  /** "" for public clients. */
  readonly clientSecret: string
  readonly type: 'confidential' | 'public'
  readonly redirectUris: readonly string[]
  readonly assignments: readonly string[]
  readonly key: string
  readonly idTokenTtlSeconds: number
  readonly accessTokenTtlSeconds: number
  readonly authorizationCode: boolean
  readonly clientCredentials: boolean
}

export interface Provider {
  /** Scheme, host and port; "" is the server's own address. */
  readonly issuer: string
  readonly allowedClientIds: readonly string[]
  readonly scopesSupported: readonly string[]
}

/** An authorization code, by the hash of its text: what it was given for. */
export interface AuthorizationCode {
  readonly provider: string
  readonly clientId: string
  readonly entityId: string
  readonly redirectUri: string
  readonly nonce: string
  readonly scopes: readonly string[]
  /** Milliseconds since the epoch; 0: not asked for. */
  readonly authTime: number
  readonly challenge?: { readonly method: 'plain' | 'S256'; readonly value: string }
  readonly expireTime: number
}

const below = <T>(folder: string) => {
  return (namespaceUuid: string): Collection<T> => collection<T>(`ns/${namespaceUuid}/identity/oidc/${folder}/`)
}

/** The issuer of identity tokens, under the id `issuer`. */
export const oidcConfig = below<string>('config')
export const namedKeys = below<NamedKey>('key')
export const oidcRoles = below<OidcRole>('role')
export const assignments = below<Assignment>('assignment')
export const scopes = below<Scope>('scope')
export const clients = below<Client>('client')
/** From client ids to names of clients. */
export const clientIds = below<string>('client-id')
export const providers = below<Provider>('provider')
export const authorizationCodes = below<AuthorizationCode>('code')

/** The name of the built-in key and provider, which are there until somebody changes them, and cannot be deleted. */
export const defaultName = 'default'
/** The built-in assignment: everybody. */
export const allowAll = 'allow_all'
/** The scope that every request must name, and that has no template. */
export const openidScope = 'openid'

const defaultKey: NamedKey = {
  name: defaultName,
  algorithm: 'RS256',
  rotationPeriodSeconds: 86_400,
  verificationTtlSeconds: 86_400,
  allowedClientIds: ['*'],
  retired: [],
  rotationTime: 0,
}
const defaultProvider: Provider = { issuer: '', allowedClientIds: ['*'], scopesSupported: [] }
const everybody: Assignment = { entityIds: ['*'], groupIds: ['*'] }

/** Records of which one is there without ever having been written. */
interface WithBuiltin<T> {
  get(tx: Reader, namespaceUuid: string, name: string): Promise<T | undefined>
  names(tx: Reader, namespaceUuid: string): Promise<string[]>
}

const withBuiltin = <T>(records: (uuid: string) => Collection<T>, builtin: string, value: T): WithBuiltin<T> => ({
  get: async (tx, uuid, name) => (await records(uuid).get(tx, name)) ?? (name === builtin ? value : undefined),
  names: async (tx, uuid) => [...new Set([...(await records(uuid).list(tx)), builtin])].sort(),
})

/** Finds named keys, the built-in one included. */
export const keyStore = withBuiltin(namedKeys, defaultName, defaultKey)
/** Finds providers, the built-in one included. */
export const providerStore = withBuiltin(providers, defaultName, defaultProvider)
/** Finds assignments, the built-in one included. */
export const assignmentStore = withBuiltin(assignments, allowAll, everybody)

const nameMax = 256

/** Refuses a name that cannot stand in a path or a scope. */
export function checkOidcName(name: string): void {
  if (name.length > nameMax || !/^\w(?:[\w.-]*\w)?$/.test(name))
    throw invalid('name may have letters, digits, "_", "-" and ".", and must begin and end with a letter, digit or "_"')
}

/** Refuses a list that is longer than anybody needs, or has members that are. */
export function checkList(field: string, values: readonly string[], max = 1_000): void {
  if (values.length > max) throw invalid(`${field} cannot have more than ${max} items`)
  if (values.some((value) => value.length > 2_048)) throw invalid(`${field} has an item of more than 2048 characters`)
}

/** Whether a list of client ids lets one in. */
export const allowsClient = (allowed: readonly string[], clientId: string): boolean =>
  allowed.includes('*') || allowed.includes(clientId)
