// The way of a request, top to bottom: admission (namespace and route -> session -> permission) -> audit the request -> handler and commit
// -> token, wrapping -> audit the response -> encode. Everything a request writes is one transaction, which may run more than once.
import type { AuditBroker } from '../audit/event.ts'
import { type Found, inputSource } from '../sdk/dispatch.ts'
import { ApiError, invalid, missing } from '../sdk/errors.ts'
import type { Answer, OperationVerb } from '../sdk/operation.ts'
import type { Reply } from '../sdk/reply.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { type AdmissionPorts, admission } from './admission.ts'
import { auditAnswer, auditQuestion } from './auditing.ts'
import { type Envelope, envelopeOf, errorResponse, isEmpty, printEnvelope, responseOf } from './envelope.ts'
import type { ClientRequest, ClientResponse } from './exchange.ts'
import { type FailurePorts, failureResponse } from './failure.ts'
import type { Grants } from './grants.ts'
import { countFailure, countRequest, type RequestInstruments } from './meter.ts'
import { type Progress, progressOf, requestFacts } from './progress.ts'
import { allowedHeaders, visibleKeys } from './shown.ts'
import type { FoundToken } from './tokens/record.ts'
import type { Traffic } from './traffic.ts'

/** What the pipeline needs of the rooms around it. */
export interface PipelinePorts extends AdmissionPorts, FailurePorts {
  readonly storage: Storage
  readonly audit: AuditBroker
  readonly traffic: Traffic
  readonly grants: Grants
  readonly now: () => number
  readonly meter: RequestInstruments
  endToken(tx: Writer, found: FoundToken, now: number): Promise<void>
  help(progress: Progress): Reply
  /** What `X-Vault-Index` says of a commit. */
  indexOf(revision: number): string
  /** The operation, if the request is for one that runs without keys. */
  lifecycle(request: ClientRequest): Found | undefined
}

export type Pipeline = (request: ClientRequest) => Promise<ClientResponse>

/** Outcome of the transaction: what is to be answered and whether the audit entry of the request is written. */
interface Outcome {
  readonly reply: Answer
  readonly envelope: Envelope | undefined
  readonly error: ApiError | undefined
}

const failed = (error: ApiError): Outcome => ({ reply: undefined, envelope: undefined, error })

/** Builds the pipeline over its ports. It never rejects. */
export function requestPipeline(ports: PipelinePorts): Pipeline {
  const { admit, contextOf } = admission(ports)

  /** Writes the entry of the request, once. The handler need not wait for it, but nothing is committed or done outside before it is taken. */
  const auditRequest = (p: Progress): Promise<void> => {
    p.requestAudited ??= ports.meter.logRequest.time(ports.audit.record([auditQuestion(p, '')]))
    // Whoever needs it waits for it; a handler that fails first must not leave a rejection behind.
    p.requestAudited.catch(() => undefined)
    return p.requestAudited
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
      if (reply.raw || reply.stream) throw invalid('this answer cannot be wrapped')
      const wrapInfo = await ports.grants.wrap(tx, p, printEnvelope(envelope), wrapTtl, reply.auth?.accessor)
      reply = { data: null, wrapInfo, ...(reply.finish && { finish: reply.finish }) }
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
        p.handlingAt = performance.now()
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
      }, p.committed)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      return failed(error)
    }
  }

  const answer = async (p: Progress): Promise<ClientResponse> => {
    const outcome = await ports.traffic.pass(() => outcomeOf(p))
    await outcome.reply?.finish?.()
    const response = outcome.error
      ? errorResponse(outcome.error)
      : responseOf(p.request.verb, outcome.reply, outcome.envelope)
    return p.revision === 0 ? response : { ...response, index: ports.indexOf(p.revision) }
  }

  const outcomeOf = async (p: Progress): Promise<Outcome> => {
    let outcome = await ports.storage.update((tx) => attempt(p, tx), p.committed)
    if (p.prepared && !outcome.error) {
      outcome = await actAndCommit(p)
      if (p.lastUse && p.spent) {
        const spent = p.spent
        await ports.storage.update((tx) => ports.endToken(tx, spent, p.now), p.committed)
      }
    }
    const text = outcome.error?.errors.join('; ') ?? outcome.reply?.refused ?? ''
    const entries = [auditAnswer(p, outcome.reply, outcome.envelope, text)]
    // A pure read and a refusal have had no effect yet: both entries travel together.
    if (!p.requestAudited) entries.unshift(auditQuestion(p, text))
    p.handledAt = performance.now()
    await ports.audit.record(entries)
    return outcome
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
    const began = performance.now()
    let response: ClientResponse
    try {
      const outside = ports.lifecycle(request)
      response = outside ? await answerOutside(p, outside) : await answer(p)
    } catch (error) {
      countFailure(ports.meter, p, error)
      response = failureResponse(error, request, ports)
    }
    countRequest(ports.meter, p, began, response.status)
    return response
  }
}
