// Recovery mode: a server over a store that may be broken. It serves its status, the making of a recovery token, and with that token
// sys/raw; it loads no mounts, policies, tokens or audit devices, and runs no jobs. Every request is logged, without values.
import { Sealed } from './barrier/errors.ts'
import { formatOf } from './barrier/format.ts'
import { createRecovery, type Recovery } from './barrier/recovery.ts'
import type { StaticKey } from './barrier/slots.ts'
import { envelopeOf, responseOf } from './core/envelope.ts'
import type { ClientRequest, ClientResponse, Handler } from './core/exchange.ts'
import { failureResponse } from './core/failure.ts'
import { mountDue } from './core/mount-due.ts'
import { callerWithout, progressOf, requestFacts } from './core/progress.ts'
import { corsOff } from './core/settings.ts'
import { namespaceRecords, rootNamespace } from './core/tables.ts'
import { type Namespace, type NamespaceRecord, parentPath, sealAbove } from './core/topology.ts'
import type { Log } from './log.ts'
import type { MountFacts } from './sdk/context.ts'
import { type Found, findOperation, inputSource } from './sdk/dispatch.ts'
import { engine } from './sdk/engine.ts'
import { ApiError, denied, invalid, unavailable } from './sdk/errors.ts'
import type { Answer, OperationVerb } from './sdk/operation.ts'
import { decodeRecord } from './storage/collection.ts'
import type { Storage } from './storage/storage.ts'
import { leaderOperation } from './system/nodes.ts'
import { rawOperations } from './system/raw.ts'
import { type SealFacts, statusOperations } from './system/seal-status.ts'
import { attemptOperations, decodeTokenOperation } from './system/token-attempts.ts'

export interface RecoveryServerOptions {
  readonly storage: Storage
  readonly staticKeys: readonly StaticKey[]
  readonly facts: SealFacts
  readonly log: Log
  readonly now?: () => number
}

export interface RecoveryServer {
  readonly recovery: Recovery
  readonly handler: Handler
}

const root: Namespace = {
  record: rootNamespace,
  facts: { id: rootNamespace.id, uuid: rootNamespace.uuid, path: rootNamespace.path },
  mounts: new Map(),
}
/** `sys/` of a server without mounts. */
const sysMount: MountFacts = {
  uuid: '',
  path: 'sys/',
  type: 'system',
  kind: 'secret',
  accessor: '',
  options: {},
  defaultLeaseTtlSeconds: 0,
  maxLeaseTtlSeconds: 0,
  namespace: root.facts,
  states: new Map(),
}

const notServed = () =>
  unavailable(
    'the server is in recovery mode: it serves sys/generate-recovery-token, sys/decode-token, sys/raw, sys/health and sys/seal-status only',
  )
/** What monitors ask all the time. */
const quiet = new Set(['sys/health', 'sys/seal-status', 'sys/leader', 'sys/init'])

/** Says of all namespaces under keys of their own that those are not here; one whose record cannot be read could be such a one. */
const declareNamespaces =
  (log: Log): Parameters<typeof createRecovery>[0]['opened'] =>
  async (barrier, seals) => {
    await seals.declare()
    const namespaces = new Map<string, Pick<Namespace, 'record'>>()
    for (const name of await barrier.view((tx) => namespaceRecords.scan(tx))) {
      try {
        const entry = await barrier.view((tx) => tx.get(namespaceRecords.key(name)))
        const record = entry && decodeRecord<NamespaceRecord>(entry.value)
        if (record) namespaces.set(record.path, { record })
      } catch (error) {
        barrier.declareKeyring(`ns/${name}/`)
        log.warn(
          { namespace: name, error: String(error) },
          'the record of a namespace cannot be read; its data stays closed',
        )
      }
    }
    for (const { record } of namespaces.values()) {
      const above = sealAbove({ namespaces }, record.path)
      if (above && above.uuid !== record.uuid) seals.adopt(record.uuid, above.uuid)
      if (!above && !wholeAbove(namespaces, record.path)) barrier.declareKeyring(`ns/${record.uuid}/`)
    }
  }

/** Whether the records of all namespaces above one are known, so that none of them can have keys of its own unseen. */
function wholeAbove(namespaces: ReadonlyMap<string, unknown>, path: string): boolean {
  for (let at = parentPath(path); at; at = parentPath(at)) if (!namespaces.has(at)) return false
  return true
}

/** Makes a server in recovery mode over a store. */
export function recoveryServer({
  storage,
  staticKeys,
  facts,
  log,
  now = Date.now,
}: RecoveryServerOptions): RecoveryServer {
  const recovery = createRecovery({
    storage,
    staticKeys,
    now,
    opened: declareNamespaces(log),
    warn: (message, cause) => log.warn({ cause: String(cause) }, message),
  })
  const system = engine({
    type: 'system',
    kind: 'secret',
    summary: 'Recovery mode.',
    operations: [
      ...statusOperations(recovery, facts, { healthy: () => true, recovery: true }),
      leaderOperation({ facts, shared: storage.shared === true, activeSince: () => undefined }),
      ...attemptOperations(recovery.tokens, {
        base: 'generate-recovery-token',
        makes: 'recovery token',
        rootToken: false,
        async open() {
          if (!(await recovery.initialized())) throw invalid('server is not yet initialized')
        },
      }),
      decodeTokenOperation,
      ...rawOperations,
    ],
  }).variant({})

  const find = (request: ClientRequest): Found => {
    if (request.namespace !== '') throw invalid('this belongs to the root namespace')
    if (request.verb === 'help' || !request.path.startsWith('sys/')) throw notServed()
    try {
      return findOperation(system, request.verb as OperationVerb, request.path.slice(4))
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) throw notServed()
      throw error
    }
  }

  const answer = async (request: ClientRequest): Promise<Answer> => {
    const { operation, params } = find(request)
    const { lifecycle, run } = operation
    // Everything that is not for everybody is for the holder of the recovery token.
    if (!lifecycle && !recovery.admits(request.token)) throw denied()
    if (request.wrapTtlSeconds > 0) throw invalid('answers are not wrapped in recovery mode')
    const p = progressOf(request, now())
    const input = operation.decode(params, inputSource(operation.verb, request.query, request.body))
    if (lifecycle) return await lifecycle(input, requestFacts(p))
    const caller = { ...callerWithout(undefined, root), isRoot: true, sudo: true }
    const storageFormat = await storage.view(formatOf)
    const context = {
      now: p.now,
      mount: sysMount,
      caller,
      request: requestFacts(p),
      storageFormat,
      warn: () => undefined,
    }
    return await recovery.barrier.update(
      async (tx) => await run?.(input, { ...context, tx, due: mountDue(tx, sysMount) }),
    )
  }

  const handle = async (request: ClientRequest): Promise<ClientResponse> => {
    const { id: requestId, verb: operation, path, remoteAddress } = request
    const level = quiet.has(path) ? 'debug' : 'warn'
    // Before it is done, so that no access goes without its line.
    log[level]({ requestId, operation, path, remoteAddress }, 'recovery mode: request')
    let response: ClientResponse
    try {
      const reply = await answer(request)
      response = responseOf(operation, reply, reply && envelopeOf(requestId, reply, []))
    } catch (error) {
      response = failureResponse(error, request, {
        isSealedError: (one) => one instanceof Sealed,
        log: (at, message, more) => log[at](more, message),
      })
    }
    log[level]({ requestId, status: response.status }, 'recovery mode: answer')
    return response
  }

  return { recovery, handler: { handle, cors: () => corsOff, bodyKind: () => 'json' } }
}
