// The way of a request, top to bottom: namespace and route -> session -> permission -> audit the request -> handler and commit
// -> token, wrapping -> audit the response -> encode. Everything a request writes is one transaction, which may run more than once.
import type { AuditBroker } from '../audit/event.ts'
import { AuditFailed } from '../audit/event.ts'
import type { ReadContext, WriteContext } from '../sdk/context.ts'
import { type Found, findOperation, inputSource, writeCapability } from '../sdk/dispatch.ts'
import { mountPrefix } from '../sdk/engine.ts'
import { ApiError, denied, invalid, missing, sealed, unavailable } from '../sdk/errors.ts'
import type { Answer, OperationVerb } from '../sdk/operation.ts'
import type { Reply } from '../sdk/reply.ts'
import { ScopedTransaction } from '../storage/scoped.ts'
import { OutcomeUnknown, type Storage, TooMuchContention, ValueTooLarge, type Writer } from '../storage/storage.ts'
import { auditAnswer, auditQuestion } from './auditing.ts'
import { type Envelope, envelopeOf, errorResponse, isEmpty, printEnvelope, responseOf } from './envelope.ts'
import type { ClientRequest, ClientResponse } from './exchange.ts'
import type { Grants } from './grants.ts'
import { pageLimit } from './policy/acl.ts'
import type { RequestCapability } from './policy/capabilities.ts'
import { callerWithout, type Progress, progressOf, requestFacts } from './progress.ts'
import type { Session, Sessions } from './sessions.ts'
import type { Tables } from './tables.ts'
import type { FoundToken } from './tokens/record.ts'
import { findMount, parentPath, resolveNamespace } from './topology.ts'
import type { Traffic } from './traffic.ts'

/** What the pipeline needs of the rooms around it. */
export interface PipelinePorts {
  readonly storage: Storage
  readonly tables: Tables
  readonly sessions: Sessions
  readonly audit: AuditBroker
  readonly traffic: Traffic
  readonly grants: Grants
  readonly now: () => number
  /** Whether an address may use a token bound to these CIDRs. */
  inCidrs(address: string, cidrs: readonly string[]): boolean
  /** Spends one use of a use-limited token; gives what is to be done after the handler. */
  spendUse(tx: Writer, found: FoundToken): { readonly last: boolean; readonly found: FoundToken }
  endToken(tx: Writer, found: FoundToken, now: number): Promise<void>
  help(progress: Progress): Reply
  /** The operation, if the request is for one that runs without keys. */
  lifecycle(request: ClientRequest): Found | undefined
  readonly isSealedError: (error: unknown) => boolean
  /** Whether a namespace (or one above it) with a seal of its own is sealed. */
  namespaceSealed(uuid: string): boolean
  log(level: 'debug' | 'error', message: string, facts: Record<string, unknown>): void
}

export type Pipeline = (request: ClientRequest) => Promise<ClientResponse>

/** Outcome of the transaction: what is to be answered and whether the audit entry of the request is written. */
interface Outcome {
  readonly reply: Answer
  readonly envelope: Envelope | undefined
  readonly error: ApiError | undefined
}

const lists = new Set<string>(['list', 'scan'])

const failed = (error: ApiError): Outcome => ({ reply: undefined, envelope: undefined, error })

/** Builds the pipeline over its ports. It never rejects. */
export function requestPipeline(ports: PipelinePorts): Pipeline {
  /** Namespace, mount and operation; what is not found is remembered, and told only to those who may know. */
  const route = async (p: Progress, tx: Writer): Promise<void> => {
    const { request } = p
    p.topology = await ports.tables.current(tx)
    const resolved = resolveNamespace(p.topology, request.namespace, request.path)
    if (!resolved || resolved.namespace.record.tainted) throw missing('namespace not found')
    p.namespace = resolved.namespace
    p.path = resolved.path
    refuseClosedNamespace(p)
    const found = findMount(p.namespace, p.path)
    if (!found) {
      p.absent = missing(`no handler for route "${p.path}". route entry not found.`)
      return
    }
    p.mount = found.mount
    p.below = found.below
    if (request.verb === 'help') return
    try {
      p.found = findOperation(found.mount.variant, request.verb, found.below)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      p.absent = error
    }
  }

  const refuseClosedNamespace = (p: Progress): void => {
    const unlocking = p.path.startsWith('sys/namespaces/api-lock/unlock')
    for (let path: string | undefined = p.namespace.record.path; path !== undefined; path = parentPath(path)) {
      const record = p.topology.namespaces.get(path)?.record
      if (!record || record.tainted) throw missing('namespace not found')
      if (record.ownSeal && ports.namespaceSealed(record.uuid)) throw unavailable(`namespace "${path}" is sealed`)
      if (record.lock !== undefined && !unlocking)
        throw unavailable(`API access to this namespace has been locked by an administrator - source: "${path}"`)
    }
  }

  /** Who asks. Operations without a token go on without; all others are refused. */
  const authenticate = async (p: Progress, tx: Writer): Promise<void> => {
    const { request } = p
    const operation = p.found?.operation
    p.caller = callerWithout(request.token, p.topology.root)
    if (operation?.public && !operation.optionalToken) return
    const session =
      request.token === undefined ? undefined : await ports.sessions.of(tx, p.topology, request.token, p.now)
    if (!session || !mayUseFrom(session, request.remoteAddress)) {
      if (operation?.optionalToken) return
      throw denied()
    }
    p.session = session
    p.caller = session.caller
    if (session.record.numUses > 0) {
      const use = ports.spendUse(tx, session.found)
      p.spent = use.found
      p.lastUse = use.last
    }
    p.mark = tx.mark()
  }

  const mayUseFrom = ({ record }: Session, address: string): boolean =>
    record.boundCidrs.length === 0 || ports.inCidrs(address, record.boundCidrs)

  /** What is to be done, and whether policy lets the caller. Permission comes before existence. */
  const authorize = async (p: Progress, tx: Writer): Promise<void> => {
    const { request, found, session } = p
    p.source = inputSource(request.verb as OperationVerb, request.query, request.body)
    p.operation = request.verb === 'write' ? 'update' : request.verb
    if (found) {
      if (found.operation.rawBody === undefined || request.verb !== 'write') decodeInput(p, found)
      else p.input = found.operation.decode(found.params, request.query)
      if (found.operation.exists && p.input && request.verb === 'write')
        p.operation = await writeCapability(found, p.input, contextOf(p, tx))
    }
    if (!session || request.verb === 'help' || found?.operation.public) return
    const fullPath = p.namespace.record.path + p.path
    const verdict = session.acl.decide({
      path: fullPath,
      capability: p.operation as RequestCapability,
      sudo: found?.operation.sudo ?? false,
      parameters: p.source,
      wraps: request.wrapTtlSeconds > 0,
      wrapTtlSeconds: request.wrapTtlSeconds,
      limit: request.query['limit'],
      now: p.now,
    })
    p.verdict = verdict
    if (!verdict.allowed) throw denied()
    limitPage(p)
    // Only core's own engines ask whether the path is granted with sudo.
    if (p.mount?.engine.scope === 'core' && !p.caller.isRoot)
      p.caller = { ...p.caller, sudo: session.acl.capabilities(fullPath, p.now).includes('sudo') }
  }

  /** The largest page that policy allows takes the place of what was sent. */
  const limitPage = (p: Progress): void => {
    const limit = p.verdict && pageLimit(p.verdict, p.request.query['limit'])
    if (limit === undefined || !p.found || !lists.has(p.request.verb)) return
    p.source = { ...p.source, limit }
    decodeInput(p, p.found)
  }

  /** Takes out of a list what policy says is not to be shown. */
  const visibleKeys = (p: Progress, reply: Reply): Reply => {
    const filter = p.verdict?.keysFilter
    const data = reply.data as { keys?: readonly string[]; key_info?: Record<string, unknown> } | null | undefined
    if (!filter || !reply.list || !data?.keys || !p.session) return reply
    const { acl } = p.session
    const may = (key: string) =>
      acl.decide({
        path: p.namespace.record.path + filter(p.path, key),
        capability: key.endsWith('/') ? 'list' : 'read',
        sudo: false,
        parameters: undefined,
        wraps: false,
        wrapTtlSeconds: 0,
        now: p.now,
      }).allowed
    const keys = data.keys.filter(may)
    const info =
      data.key_info && Object.fromEntries(Object.entries(data.key_info).filter(([key]) => keys.includes(key)))
    return { ...reply, data: info ? { ...data, key_info: info, keys } : { ...data, keys } }
  }

  /** A bad input is told only after permission was judged. */
  const decodeInput = (p: Progress, found: Found): void => {
    try {
      p.input = found.operation.decode(found.params, p.source)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      p.badInput = error
    }
  }

  const contextOf = (p: Progress, tx: Writer): WriteContext => {
    const mount = p.mount
    if (!mount) throw new Error('no mount')
    return {
      now: p.now,
      mount: mount.facts,
      caller: p.caller,
      request: requestFacts(p),
      tx: mount.engine.scope === 'core' ? tx : new ScopedTransaction(tx, mountPrefix(mount.facts)),
      warn: (message) => void p.warnings.push(message),
    }
  }

  /** Writes the entry of the request, once. The handler need not wait for it, but nothing is committed or done outside before it is taken. */
  const auditRequest = (p: Progress): Promise<void> => {
    p.requestAudited ??= ports.audit.record([auditQuestion(p, '')])
    // Whoever needs it waits for it; a handler that fails first must not leave a rejection behind.
    p.requestAudited.catch(() => undefined)
    return p.requestAudited
  }

  /** The steps before the handler. Throws `ApiError` for every kind of no. */
  const admit = async (p: Progress, tx: Writer): Promise<void> => {
    p.warnings.length = 0
    await route(p, tx)
    await authenticate(p, tx)
    await authorize(p, tx)
    if (p.absent) throw p.absent
    if (p.badInput) throw p.badInput
  }

  /** An engine sets only those headers that its mount allows. */
  const allowedHeaders = (p: Progress, reply: Reply): Reply => {
    if (p.mount?.engine.scope === 'core') return reply
    const allowed = new Set((p.mount?.record.config.allowed_response_headers ?? []).map((name) => name.toLowerCase()))
    const headers = Object.entries(reply.headers ?? {}).filter(([name]) => allowed.has(name.toLowerCase()))
    return { ...reply, headers: Object.fromEntries(headers) }
  }

  /** What follows a handler's answer in the same transaction: the token of a login, wrapping, the end of a used-up token. */
  const settle = async (p: Progress, tx: Writer, answer: Answer): Promise<Outcome> => {
    let reply = answer
    if (reply?.list) reply = visibleKeys(p, reply)
    if (reply?.headers) reply = allowedHeaders(p, reply)
    if (reply?.grant) reply = await ports.grants.login(tx, p, reply)
    let envelope = reply && envelopeOf(p.request.id, reply, p.warnings)
    if (!reply && p.warnings.length > 0) {
      reply = { data: null, status: 200 }
      envelope = envelopeOf(p.request.id, reply, p.warnings)
    }
    const wrapTtl = reply?.wrapTtlSeconds ?? p.request.wrapTtlSeconds
    if (
      reply &&
      envelope &&
      wrapTtl > 0 &&
      !isEmpty(reply) &&
      !reply.wrapInfo &&
      !reply.unwrapped &&
      (reply.status ?? 200) < 400
    ) {
      if (reply.raw) throw invalid('this answer cannot be wrapped')
      const wrapInfo = await ports.grants.wrap(tx, p, printEnvelope(envelope), wrapTtl, reply.auth?.accessor)
      reply = { data: null, wrapInfo }
      envelope = { ...envelopeOf(p.request.id, reply, []), wrapInfo }
    }
    return { reply, envelope, error: undefined }
  }

  const finishUse = async (p: Progress, tx: Writer): Promise<void> => {
    if (p.lastUse && p.spent) await ports.endToken(tx, p.spent, p.now)
  }

  /** One run of the transaction for operations that only touch storage. An error drops what the handler wrote and keeps what the request cost. */
  const attempt = async (p: Progress, tx: Writer): Promise<Outcome> => {
    p.reset()
    let outcome: Outcome
    try {
      await admit(p, tx)
      if (p.request.verb === 'help') outcome = await settle(p, tx, ports.help(p))
      else {
        const { operation } = p.found as Found
        const reads = (operation.kind === 'read' || operation.kind === 'compute') && !p.spent
        const audited = !reads || p.request.wrapTtlSeconds > 0 ? auditRequest(p) : undefined
        const context = contextOf(p, tx)
        if (operation.stages) return await stage(p, operation.stages.prepare(p.input as never, context))
        outcome = await settle(p, tx, await operation.run?.(p.input as never, context))
        await audited
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      tx.rollback(p.mark)
      outcome = failed(error)
    }
    await finishUse(p, tx)
    return outcome
  }

  const stage = async (p: Progress, prepared: unknown): Promise<Outcome> => {
    p.prepared = { value: await prepared }
    return { reply: undefined, envelope: undefined, error: undefined }
  }

  /** The outside part of an operation with stages, then its commit in a transaction of its own. */
  const actAndCommit = async (p: Progress): Promise<Outcome> => {
    const { stages } = (p.found as Found).operation
    if (!stages || !p.prepared) throw new Error('no stages')
    try {
      await p.requestAudited
      const done = await stages.act(p.prepared.value, p.input as never)
      return await ports.storage.update(async (tx) => {
        p.warnings.length = 0
        p.topology = await ports.tables.current(tx)
        const mount = p.topology.mountsByUuid.get(p.mount?.record.uuid ?? '')
        if (!mount) throw missing(`no handler for route "${p.path}". route entry not found.`)
        p.mount = mount
        return await settle(p, tx, await stages.commit(done, p.input as never, contextOf(p, tx)))
      })
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return failed(error)
    }
  }

  const answer = async (p: Progress): Promise<ClientResponse> => {
    const outcome = await ports.traffic.pass(() => outcomeOf(p))
    await outcome.reply?.finish?.()
    return outcome.error ? errorResponse(outcome.error) : responseOf(p.request.verb, outcome.reply, outcome.envelope)
  }

  const outcomeOf = async (p: Progress): Promise<Outcome> => {
    let outcome = await ports.storage.update((tx) => attempt(p, tx))
    if (p.prepared && !outcome.error) {
      outcome = await actAndCommit(p)
      if (p.lastUse && p.spent) {
        const spent = p.spent
        await ports.storage.update((tx) => ports.endToken(tx, spent, p.now))
      }
    }
    const text = outcome.error?.errors.join('; ') ?? ''
    const entries = [auditAnswer(p, outcome.reply, outcome.envelope, text)]
    // A pure read and a refusal have had no effect yet: both entries travel together.
    if (!p.requestAudited) entries.unshift(auditQuestion(p, text))
    await ports.audit.record(entries)
    return outcome
  }

  /** Turns what went wrong into an answer that says no more than it may. */
  const failure = (p: Progress, error: unknown): ClientResponse => {
    if (error instanceof ApiError) return errorResponse(error)
    if (ports.isSealedError(error)) return errorResponse(sealed())
    if (error instanceof ValueTooLarge) return errorResponse(new ApiError(413, error.message))
    if (error instanceof TooMuchContention)
      return errorResponse(unavailable('too many writers on the same records, try again'))
    const facts = {
      requestId: p.request.id,
      path: p.request.path,
      error: String(error),
      stack: (error as Error)?.stack,
    }
    ports.log('error', 'request failed', facts)
    if (error instanceof OutcomeUnknown)
      return errorResponse(new ApiError(500, 'the outcome of this write is unknown: it may or may not have happened'))
    if (error instanceof AuditFailed) return errorResponse(new ApiError(500, 'no audit device accepted the entry'))
    return errorResponse(new ApiError(500, 'internal error'))
  }

  /** Operations that work without keys (init, unseal, health …) run outside of everything below. */
  const answerOutside = async (p: Progress, found: Found): Promise<ClientResponse> => {
    const { operation, params } = found
    const { request } = p
    const source = inputSource(request.verb as OperationVerb, request.query, request.body)
    const reply = await operation.lifecycle?.(operation.decode(params, source), requestFacts(p))
    return responseOf(request.verb, reply, reply && envelopeOf(request.id, reply, []))
  }

  return async (request) => {
    const p = progressOf(request, ports.now())
    try {
      const outside = ports.lifecycle(request)
      return outside ? await answerOutside(p, outside) : await answer(p)
    } catch (error) {
      return failure(p, error)
    }
  }
}

export type { ReadContext }
