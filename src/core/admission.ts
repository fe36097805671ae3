// Who asks for what, and whether they may: the steps of a request before its handler. Permission comes before existence.
import type { WriteContext } from '../sdk/context.ts'
import { type Found, findOperation, inputSource, writeCapability } from '../sdk/dispatch.ts'
import { mountPrefix } from '../sdk/engine.ts'
import { ApiError, denied, missing, unavailable } from '../sdk/errors.ts'
import type { OperationVerb } from '../sdk/operation.ts'
import { ScopedTransaction } from '../storage/scoped.ts'
import type { Writer } from '../storage/storage.ts'
import { mountDue } from './mount-due.ts'
import { pageLimit } from './policy/acl.ts'
import type { RequestCapability } from './policy/capabilities.ts'
import { callerWithout, type Progress, requestFacts } from './progress.ts'
import type { Session, Sessions } from './sessions.ts'
import type { Tables } from './tables.ts'
import type { FoundToken } from './tokens/record.ts'
import { findMount, parentPath, resolveNamespace } from './topology.ts'

/** What admission needs of the rooms around it. */
export interface AdmissionPorts {
  readonly tables: Tables
  readonly sessions: Sessions
  /** Whether an address may use a token bound to these CIDRs. */
  inCidrs(address: string, cidrs: readonly string[]): boolean
  /** Spends one use of a use-limited token; gives what is to be done after the handler. */
  spendUse(tx: Writer, found: FoundToken): { readonly last: boolean; readonly found: FoundToken }
  /** Whether a namespace (or one above it) with a seal of its own is sealed. */
  namespaceSealed(uuid: string): boolean
}

export interface Admission {
  /** Fills in what is known of the request. Throws `ApiError` for every kind of no. */
  admit(p: Progress, tx: Writer): Promise<void>
  /** What the handler is given. */
  contextOf(p: Progress, tx: Writer): WriteContext
}

const lists = new Set<string>(['list', 'scan'])

/** Makes the admission of requests. */
export function admission(ports: AdmissionPorts): Admission {
  /** Namespace, mount and operation; what is not found is remembered, and told only to those who may know. */
  const route = (p: Progress): void => {
    const { request } = p
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
    const asked = operation?.public && !operation.optionalToken ? undefined : request.token
    const found = asked === undefined ? undefined : ports.sessions.of(tx, p.topology, asked, p.now)
    const session = found instanceof Promise ? await found : found
    if (!session || !mayUseFrom(session, request.remoteAddress)) {
      if (!operation?.public && !operation?.optionalToken) throw denied()
      p.caller = callerWithout(request.token, p.topology.root)
      return
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
      storageFormat: p.topology.settings.storageFormat,
      tx: mount.engine.scope === 'core' ? tx : new ScopedTransaction(tx, mountPrefix(mount.facts)),
      due: mountDue(tx, mount.facts),
      warn: (message) => void p.warnings.push(message),
    }
  }

  return {
    contextOf,
    async admit(p, tx) {
      const topology = ports.tables.current(tx)
      p.topology = topology instanceof Promise ? await topology : topology
      route(p)
      await authenticate(p, tx)
      await authorize(p, tx)
      if (p.absent) throw p.absent
      if (p.badInput) throw p.badInput
    },
  }
}
