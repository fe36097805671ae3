// What http hands to core and gets back: one request of a client and its answer. No socket, no header parsing below this line.
import type { JsonObject } from '../lib/json.ts'

/** What the client wants done, told from the HTTP method and `?list`, `?scan`, `?help`. POST and PUT are one. */
export type Verb = 'read' | 'list' | 'scan' | 'write' | 'patch' | 'delete' | 'help'

export interface PeerCertificate {
  /** DER of the leaf, then of what the client sent along. */
  readonly chain: readonly Uint8Array[]
  /** Serial number of the leaf as Node prints it (hex). */
  readonly serial: string
}

export interface ClientRequest {
  /** Request id (UUID v4): in the answer, the audit log and every log line. */
  readonly id: string
  readonly verb: Verb
  /** HTTP method as sent (`PUT` stays `PUT`). */
  readonly method: string
  /** Decoded path after `/v1/`, without a leading slash; a trailing slash is kept. Never holds control characters, `.` or `..` segments. */
  readonly path: string
  /** Value of `X-Vault-Namespace`, trimmed of slashes; "" is the root. */
  readonly namespace: string
  readonly token: string | undefined
  /** Query keys (first value each), `list`, `scan`, `help` taken out. */
  readonly query: Readonly<Record<string, string>>
  /** The JSON object of the body; undefined without a body. */
  readonly body: JsonObject | undefined
  /** The body as bytes where the path takes raw bytes (never set together with `body`). */
  readonly rawBody: Uint8Array | undefined
  /** The body as it arrives, where the path takes one without a limit (never set together with the two above). */
  readonly rawStream?: AsyncIterable<Uint8Array> | undefined
  readonly contentType: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Requested wrapping TTL in seconds (`X-Vault-Wrap-TTL`); 0: not asked for. */
  readonly wrapTtlSeconds: number
  readonly wrapFormat: string
  /** Address of the client, after trusted proxies were taken into account. */
  readonly remoteAddress: string
  readonly remotePort: number
  readonly peerCertificate: PeerCertificate | undefined
  /** Name of the listener, and facts of it that core must know. */
  readonly listener: ListenerFacts
}

export interface ListenerFacts {
  readonly address: string
  readonly tls: boolean
  readonly disableUnauthedRekey: boolean
  readonly disableUnauthedGenerateRoot: boolean
  /** Metrics are given without a token. */
  readonly openMetrics?: boolean
}

export interface ClientResponse {
  readonly status: number
  /** Text (JSON) or raw bytes; undefined sends no body. */
  readonly body: string | Uint8Array | undefined
  /** Defaults to `application/json` when there is a body. */
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** Value of `X-Vault-Index`: the request has written something. */
  readonly index?: string
  /** Set for answers that go on (log monitor, events, snapshots): pieces are sent as they come. */
  readonly stream?: AsyncIterable<string | Uint8Array>
}

/** CORS as configured at `sys/config/cors`; http asks for it on each request that has an Origin. */
export interface CorsConfig {
  readonly enabled: boolean
  readonly allowedOrigins: readonly string[]
  readonly allowedHeaders: readonly string[]
  readonly allowCredentials: boolean
}

/** What http needs of the server. */
export interface Handler {
  /** Answers a request; never rejects (a bug is answered with 500 and logged). */
  handle(request: ClientRequest): Promise<ClientResponse>
  /** The CORS configuration in force. Cheap. */
  cors(): CorsConfig | Promise<CorsConfig>
  /** Whether the path (after `/v1/`, namespace prefix included) takes JSON, raw bytes, or raw bytes as a stream without limits of size and time. */
  bodyKind(method: string, path: string): 'json' | 'raw' | 'unlimited'
}
