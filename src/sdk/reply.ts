// What an operation gives back. Core turns it into the envelope, the lease, the token and the audit entry; it asks the reply, never the engine's name.
import type { JsonText } from '../lib/json.ts'

/** How a token is to be made; seconds throughout, 0 = the mount's own. Source: the `token_*` parameters of every auth method. */
export interface TokenParams {
  readonly ttlSeconds: number
  readonly maxTtlSeconds: number
  readonly explicitMaxTtlSeconds: number
  readonly periodSeconds: number
  readonly numUses: number
  readonly boundCidrs: readonly string[]
  readonly strictlyBindIp: boolean
  readonly noDefaultPolicy: boolean
  readonly type: 'service' | 'batch' | 'default' | 'default-service' | 'default-batch'
  readonly policies: readonly string[]
}

/** What a login grants: who it is and how the token is to be. The engine never sees the token itself. */
export interface Grant {
  readonly displayName: string
  readonly alias: { readonly name: string; readonly metadata?: Readonly<Record<string, string>> } | undefined
  /** Names of the groups the method says it is in: each login makes it a member of the external groups with these aliases, and of no others of the mount. */
  readonly groupAliases?: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly params: TokenParams
  readonly renewable?: boolean
  /** Kept with the token and handed to `renew`; never shown. */
  readonly internal?: Readonly<Record<string, unknown>>
}

/** The `auth` block of an answer: a token that core (or `auth/token`) made. */
export interface AuthBlock {
  readonly client_token: string
  readonly accessor: string
  readonly policies: readonly string[]
  readonly token_policies: readonly string[]
  readonly identity_policies?: readonly string[]
  readonly metadata: Readonly<Record<string, string>> | null
  readonly lease_duration: number
  readonly renewable: boolean
  readonly entity_id: string
  readonly token_type: 'service' | 'batch'
  readonly orphan: boolean
  readonly num_uses: number
}

export interface RawReply {
  readonly body: string | Uint8Array
  readonly contentType: string
}

/** An answer of any length: nothing is asked of `pieces` before the answer is audited, and an error cuts the answer off. */
export interface StreamReply {
  readonly pieces: AsyncIterable<Uint8Array>
  readonly contentType: string
}

export interface WrapInfo {
  readonly token: string
  readonly accessor: string
  readonly ttl: number
  readonly creation_time: string
  readonly creation_path: string
  readonly wrapped_accessor?: string
}

export interface Reply {
  /** An object (members may be `JsonText`), or the whole as `JsonText`; null shows `"data": null`. */
  readonly data?: object | JsonText | null
  /** Seconds the answer holds (`lease_duration`) without a lease: KV v1. */
  readonly leaseSeconds?: number
  readonly auth?: AuthBlock
  readonly grant?: Grant
  readonly warnings?: readonly string[]
  /** HTTP status; 200 with data or auth, else 204. */
  readonly status?: number
  /** Repeats the members of `data` beside it (sys/mounts and its like). */
  readonly flat?: boolean
  /** Instead of an envelope: these bytes. */
  readonly raw?: RawReply
  /** Instead of an envelope: what comes. */
  readonly stream?: StreamReply
  readonly headers?: Readonly<Record<string, string>>
  /** Why the answer is a no although what was written stands (OAuth has errors of its own): for the audit log. Holds no secret. */
  readonly refused?: string
  /** The answer of an unwrap: the very envelope that was wrapped. */
  readonly unwrapped?: JsonText
  /** Says that the answer is a list (audit may elide it). */
  readonly list?: boolean
  /** A wrapping made by the operation itself (rewrap). */
  readonly wrapInfo?: WrapInfo
  /** Wraps the answer for this long although the client did not ask (seconds). */
  readonly wrapTtlSeconds?: number
  /** Runs once, after commit and audit and before the answer is sent (sys/seal: nothing may need the keys any more). */
  readonly finish?: () => Promise<void>
}

/** Makes a list answer; an empty one becomes 404 `{"errors":[]}` in core. */
export const listReply = (keys: readonly string[], info?: Readonly<Record<string, unknown>>): Reply => ({
  data: info && Object.keys(info).length > 0 ? { key_info: info, keys } : { keys },
  list: true,
})
