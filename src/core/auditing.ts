// From the pipeline's progress to audit events: facts only, nothing is hashed here.
import type { AuditAuth, AuditEvent, AuditRequest } from '../audit/event.ts'
import type { AuthBlock, Reply } from '../sdk/reply.ts'
import type { Envelope } from './envelope.ts'
import type { Progress } from './progress.ts'

const rootFacts = { id: 'root', path: '' }

const requestOf = (p: Progress): AuditRequest => {
  const { request, session } = p
  const namespace = p.namespace ? { id: p.namespace.record.id, path: p.namespace.record.path } : rootFacts
  const hasData = Object.keys(p.source).length > 0
  return {
    id: request.id,
    operation: p.operation,
    mount: p.mount?.audit,
    namespace,
    path: p.path,
    data: hasData ? p.source : undefined,
    clientToken: request.token ?? '',
    clientTokenAccessor: session?.record.accessor ?? '',
    remoteAddress: request.remoteAddress,
    remotePort: request.remotePort,
    wrapTtlSeconds: request.wrapTtlSeconds,
    headers: request.headers,
    clientCertificateSerialNumber: request.peerCertificate?.serial ?? '',
  }
}

const eventOf = (p: Progress, type: 'request' | 'response', error: string): AuditEvent => ({
  type,
  time: Date.now(),
  auth: p.session?.audit,
  granting: (p.verdict?.granting ?? []).map(({ name, namespacePath }) => ({
    name,
    namespaceId: p.topology.namespaces.get(namespacePath)?.record.id ?? 'root',
    type: name === '' ? '' : 'acl',
  })),
  allowed: p.verdict?.allowed,
  request: requestOf(p),
  response: undefined,
  error,
})

/** The entry of the request: what is asked, by whom, and whether policy lets it. */
export const auditQuestion = (p: Progress, error: string): AuditEvent => eventOf(p, 'request', error)

const auditAuthOf = (auth: AuthBlock, p: Progress): AuditAuth => ({
  clientToken: auth.client_token,
  accessor: auth.accessor,
  displayName: '',
  policies: auth.policies,
  tokenPolicies: auth.token_policies,
  identityPolicies: auth.identity_policies ?? [],
  externalNamespacePolicies: {},
  noDefaultPolicy: false,
  metadata: auth.metadata,
  entityId: auth.entity_id,
  tokenType: auth.token_type,
  tokenTtlSeconds: auth.lease_duration,
  tokenIssueTime: new Date(p.now).toISOString(),
})

/** The entry of the answer. What was wrapped is not in it, only that it was. */
export function auditAnswer(
  p: Progress,
  reply: Reply | undefined,
  envelope: Envelope | undefined,
  error: string,
): AuditEvent {
  const base = eventOf(p, 'response', error)
  if (!reply) return base
  const { wrapInfo } = reply
  return {
    ...base,
    response: {
      data: reply.unwrapped ?? (reply.raw ? undefined : (reply.data ?? undefined)),
      auth: reply.auth && auditAuthOf(reply.auth, p),
      secret: undefined,
      wrapInfo: wrapInfo && {
        token: wrapInfo.token,
        accessor: wrapInfo.accessor,
        ttlSeconds: wrapInfo.ttl,
        creationTime: wrapInfo.creation_time,
        creationPath: wrapInfo.creation_path,
        wrappedAccessor: wrapInfo.wrapped_accessor ?? '',
      },
      warnings: envelope?.warnings ?? [],
      redirect: '',
      list: reply.list ?? false,
    },
  }
}
