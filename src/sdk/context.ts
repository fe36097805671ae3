// What an operation is given besides its input: narrow handles and plain facts, never the server.
import type { JsonObject } from '../lib/json.ts'
import type { Reader, Writer } from '../storage/storage.ts'

export interface NamespaceFacts {
  /** "root", or six characters that tokens carry as a suffix. */
  readonly id: string
  /** "root" or a UUID: where its keys lie. */
  readonly uuid: string
  /** "" for the root, else with a trailing slash: "team/sub/". */
  readonly path: string
}

/** The mount an operation runs on. One object per mount and configuration. */
export interface MountFacts {
  readonly uuid: string
  /** With a trailing slash and, for auth methods, the leading `auth/`; relative to the namespace. */
  readonly path: string
  readonly type: string
  readonly kind: 'secret' | 'auth'
  readonly accessor: string
  readonly options: Readonly<Record<string, string>>
  /** Effective lifetimes in seconds, the system's where the mount has none of its own. */
  readonly defaultLeaseTtlSeconds: number
  readonly maxLeaseTtlSeconds: number
  readonly namespace: NamespaceFacts
  /** State that engines keep per mount (see `mountState`); dropped with the mount. */
  readonly states: Map<symbol, unknown>
}

/** Who calls; on operations without a token all is empty. */
export interface Caller {
  /** The token as the client sent it; "" without one. Only wrapping and token operations need it. */
  readonly token: string
  /** Keyed hash of the token: what it is stored under; "" for batch tokens and without a token. */
  readonly tokenKey: string
  readonly accessor: string
  readonly displayName: string
  readonly entityId: string
  readonly policies: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
  readonly tokenType: 'service' | 'batch' | ''
  /** Namespace the token belongs to. */
  readonly namespace: NamespaceFacts
  readonly isRoot: boolean
  /** Whether the path called is granted with `sudo`. */
  readonly sudo: boolean
}

export interface RequestFacts {
  readonly id: string
  /** As Vault names it: create, read, update, patch, delete, list, scan. */
  readonly operation: string
  /** Path below the mount. */
  readonly path: string
  /** Path with mount, below the namespace. */
  readonly fullPath: string
  /** The whole JSON object of the body; undefined without one. */
  readonly body: JsonObject | undefined
  readonly rawBody: Uint8Array | undefined
  /** The body as it arrives, where the operation takes it without a limit; can be read once. Set even when there is none. */
  readonly rawStream?: AsyncIterable<Uint8Array> | undefined
  readonly query: Readonly<Record<string, string>>
  readonly remoteAddress: string
  readonly wrapTtlSeconds: number
  /** Headers the mount lets through (`passthrough_request_headers`), lower-case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The header Accept, as sent. */
  readonly accept?: string | undefined
  /** DER of the client's certificate chain on TLS listeners. */
  readonly peerChain: readonly Uint8Array[]
  readonly listener: { readonly disableUnauthedRekey: boolean; readonly disableUnauthedGenerateRoot: boolean }
}

export interface Context {
  /** Milliseconds since the epoch, one value for the whole request. */
  readonly now: number
  readonly mount: MountFacts
  readonly caller: Caller
  readonly request: RequestFacts
  /** The format that every node of this store reads: what an older one could not read must not be written yet. */
  readonly storageFormat: number
  /** Adds a line to `warnings` of the answer. */
  warn(message: string): void
}

export interface ReadContext extends Context {
  /** Storage below the mount (below nothing for core's own engines). */
  readonly tx: Reader
}

/** Work of a mount that is to be done later: noted, and taken back, in the transaction that makes it so. */
export interface Due {
  /** Notes work for a time in ms since the epoch. `kind` is one of the engine's `due`; `id` is the engine's own. */
  put(kind: string, id: string, at: number, data?: unknown): void
  /** Takes back what was noted for this very time; what is not there is no error. */
  delete(kind: string, id: string, at: number): void
}

export interface WriteContext extends Context {
  readonly tx: Writer
  readonly due: Due
}

/** What due work is given: no caller and no request stand behind it. */
export type DueContext = Pick<WriteContext, 'now' | 'mount' | 'tx' | 'due'>

/** Declares a piece of state an engine keeps per mount in this process: made at first use, dropped with the mount. */
export function mountState<T>(make: (mount: MountFacts) => T): { of(mount: MountFacts): T } {
  const key = Symbol('state')
  return {
    of(mount) {
      if (!mount.states.has(key)) mount.states.set(key, make(mount))
      return mount.states.get(key) as T
    },
  }
}
