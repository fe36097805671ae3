// From the pipeline's progress to audit events: facts only, nothing is hashed here.
import type { AuditAuth, AuditEvent, AuditRequest } from '../audit/event.ts'
import type { AuthBlock, Reply } from '../sdk/reply.ts'
import type { Envelope } from './envelope.ts'
import type { Progress } from './progress.ts'

const rootFacts = { id: 'root', path: '' }
type Granting = AuditEvent['granting']
const nobody: Granting = []
// The audit room keeps what it makes of these objects by their identity: one object for one thing, for as long as it lives.
const granted = new WeakMap<object, Granting>()

function grantingOf(p: Progress): Granting {
  const origins = p.verdict?.granting
  if (!origins || origins.length === 0) return nobody
  let known = granted.get(origins)
  if (!known) {
    known = origins.map(({ name, namespacePath }) => ({
      name,
      namespaceId: p.topology.namespaces.get(namespacePath)?.record.id ?? 'root',
      type: name === '' ? '' : 'acl',
    }))
    granted.set(origins, known)
  }
  return known
}

const requestOf = (p: Progress): AuditRequest => {
  const { request, session } = p
  return {
    id: request.id,
    operation: p.operation,
    mount: p.mount?.audit,
    namespace: p.namespace?.facts ?? rootFacts,
    path: p.path,
    data: Object.keys(p.source).length > 0 ? p.source : undefined,
    clientToken: request.token ?? '',
    clientTokenAccessor: session?.record.accessor ?? '',
    remoteAddress: request.remoteAddress,
    remotePort: request.remotePort,
    wrapTtlSeconds: request.wrapTtlSeconds,
    headers: request.headers,
    clientCertificateSerialNumber: request.peerCertificate?.serial ?? '',
  }
}

const eventOf = (p: Progress, type: 'request' | 'response', error: string): AuditEvent => {
  p.audited ??= requestOf(p)
  return {
    type,
    time: Date.now(),
    auth: p.session?.audit,
    granting: grantingOf(p),
    allowed: p.verdict?.allowed,
    request: p.audited,
    response: undefined,
    error,
  }
}

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
      data: reply.unwrapped ?? (reply.raw || reply.stream ? undefined : (reply.data ?? undefined)),
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
