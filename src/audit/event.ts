// What core tells the audit room about one request: plain facts, unhashed. Only a device turns them into a line, hashed with its own salt.

/** Who asked. One object per session: devices cache what they make of it by identity, so it must never be changed. */
export interface AuditAuth {
  readonly clientToken: string
  readonly accessor: string
  readonly displayName: string
  readonly policies: readonly string[]
  readonly tokenPolicies: readonly string[]
  readonly identityPolicies: readonly string[]
  /** Namespace path -> policies that apply there through groups. */
  readonly externalNamespacePolicies: Readonly<Record<string, readonly string[]>>
  readonly noDefaultPolicy: boolean
  readonly metadata: Readonly<Record<string, string>> | null
  readonly entityId: string
  readonly tokenType: 'service' | 'batch' | 'default' | ''
  readonly tokenTtlSeconds: number
  /** RFC 3339; "" when unknown. */
  readonly tokenIssueTime: string
}

/** Facts of the mount that served it; one object per mount, cached by identity. */
export interface AuditMount {
  readonly point: string
  readonly type: string
  readonly accessor: string
  /** "secret" or "auth". */
  readonly class: string
  readonly runningVersion: string
  /** Keys whose values stay in clear. */
  readonly nonHmacRequestKeys: readonly string[]
  readonly nonHmacResponseKeys: readonly string[]
}

export interface AuditRequest {
  readonly id: string
  /** "create", "read", "update", "patch", "delete", "list", "scan", "help", … as Vault names operations. */
  readonly operation: string
  readonly mount: AuditMount | undefined
  readonly namespace: { readonly id: string; readonly path: string }
  readonly path: string
  /** Input of the operation (body, or query for reads); undefined for none. Strings inside are hashed. */
  readonly data: unknown
  readonly clientToken: string
  readonly clientTokenAccessor: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly wrapTtlSeconds: number
  /** Lower-case names of the request's headers; only those configured to be audited are written. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly clientCertificateSerialNumber: string
}

export interface AuditWrapInfo {
  readonly token: string
  readonly accessor: string
  readonly ttlSeconds: number
  readonly creationTime: string
  readonly creationPath: string
  readonly wrappedAccessor: string
}

export interface AuditResponse {
  /** Data of the answer: an object, a `JsonText`, or undefined. Strings inside are hashed. */
  readonly data: unknown
  readonly auth: AuditAuth | undefined
  readonly secret: { readonly leaseId: string } | undefined
  readonly wrapInfo: AuditWrapInfo | undefined
  readonly warnings: readonly string[]
  readonly redirect: string
  /** Whether `data.keys` / `data.key_info` is a list answer (for `elide_list_responses`). */
  readonly list: boolean
}

export interface AuditEvent {
  readonly type: 'request' | 'response'
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly auth: AuditAuth | undefined
  /** Names of the policies that granted it, with their namespace. */
  readonly granting: readonly { readonly name: string; readonly namespaceId: string; readonly type: string }[]
  /** Whether policy allowed it; undefined where no policy was asked. */
  readonly allowed: boolean | undefined
  readonly request: AuditRequest
  readonly response: AuditResponse | undefined
  readonly error: string
}

/** What core needs of the audit room. */
export interface AuditBroker {
  /** Whether any device is enabled. */
  readonly enabled: boolean
  /**
   * Hands the events to every device, in order. Resolves when at least one device has accepted all of them (or none is enabled);
   * rejects with `AuditFailed` when none did.
   */
  record(events: readonly AuditEvent[]): Promise<void>
}

/** No device took an entry. The request must fail. */
export class AuditFailed extends Error {
  override name = 'AuditFailed'
}
