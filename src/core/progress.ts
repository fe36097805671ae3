// What is known of one request while it goes through the pipeline. Reset at each run of its transaction.
import type { AuditRequest } from '../audit/event.ts'
import type { Caller, RequestFacts } from '../sdk/context.ts'
import type { Found } from '../sdk/dispatch.ts'
import type { ApiError } from '../sdk/errors.ts'
import type { Mark } from '../storage/storage.ts'
import type { ClientRequest } from './exchange.ts'
import type { Verdict } from './policy/acl.ts'
import type { Session } from './sessions.ts'
import type { FoundToken } from './tokens/record.ts'
import type { Mount, Namespace, Topology } from './topology.ts'

export class Progress {
  readonly request: ClientRequest
  readonly now: number
  readonly warnings: string[] = []
  topology!: Topology
  namespace!: Namespace
  /** Path below the namespace, and below the mount. */
  path: string
  below = ''
  mount: Mount | undefined
  found: Found | undefined
  /** Why there is nothing here; told after permission was judged. */
  absent: ApiError | undefined
  badInput: ApiError | undefined
  caller!: Caller
  session: Session | undefined
  spent: FoundToken | undefined
  lastUse = false
  /** Where the handler's writes begin. */
  mark: Mark = 0
  source: Readonly<Record<string, unknown>> = {}
  input: Record<string, unknown> | undefined
  operation: string
  verdict: Verdict | undefined
  /** The audit entry of the request on its way: once, whatever the number of runs. */
  requestAudited: Promise<void> | undefined
  /** The request as both audit entries tell it. */
  audited: AuditRequest | undefined
  prepared: { readonly value: unknown } | undefined
  /** The store's revision after the last commit of this request; 0: it has written nothing. */
  revision = 0
  /** Takes note of a commit. */
  readonly committed = (revision: number): void => {
    this.revision = revision
  }
  /** Readings of the clock when the handler began, and when it and its commit were done; 0: it did not come to that. */
  handlingAt = 0
  handledAt = 0

  constructor(request: ClientRequest, now: number) {
    this.request = request
    this.now = now
    this.path = request.path
    this.operation = request.verb
  }

  /** Forgets what a former run of the transaction found. */
  reset(): void {
    this.warnings.length = 0
    this.below = ''
    this.mount = undefined
    this.found = undefined
    this.absent = undefined
    this.badInput = undefined
    this.session = undefined
    this.spent = undefined
    this.lastUse = false
    this.mark = 0
    this.input = undefined
    this.verdict = undefined
    this.prepared = undefined
    this.audited = undefined
    this.handlingAt = 0
  }
}

/** Begins the way of a request. */
export const progressOf = (request: ClientRequest, now: number): Progress => new Progress(request, now)

/** The caller of an operation that needs no token; a token that was sent is still told. */
export const callerWithout = (token: string | undefined, root: Namespace): Caller => ({
  token: token ?? '',
  tokenKey: '',
  accessor: '',
  displayName: '',
  entityId: '',
  policies: [],
  metadata: {},
  tokenType: '',
  namespace: root.facts,
  isRoot: false,
  sudo: false,
})

const noHeaders: RequestFacts['headers'] = {}
/** What core's own engines see besides: clients of the OpenID provider say who they are there. */
const coreHeaders: readonly string[] = ['authorization']

/** Headers that the mount lets through. */
function passedHeaders(p: Progress): RequestFacts['headers'] {
  const core = p.mount?.engine.scope === 'core'
  const names = p.mount?.record.config.passthrough_request_headers ?? (core ? coreHeaders : undefined)
  if (!names || names.length === 0) return noHeaders
  return Object.fromEntries(names.map((name) => [name.toLowerCase(), p.request.headers[name.toLowerCase()]]))
}

/** The request as an operation sees it. */
export const requestFacts = (p: Progress): RequestFacts => ({
  id: p.request.id,
  operation: p.operation,
  path: p.below,
  fullPath: p.path,
  body: p.request.body,
  rawBody: p.request.rawBody,
  rawStream: p.request.rawStream,
  query: p.request.query,
  remoteAddress: p.request.remoteAddress,
  wrapTtlSeconds: p.request.wrapTtlSeconds,
  headers: passedHeaders(p),
  accept: p.request.headers['accept'] as string | undefined,
  peerChain: p.request.peerCertificate?.chain ?? [],
  listener: p.request.listener,
})
