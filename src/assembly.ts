// Puts core together: every part with exactly what it needs of the others. No listener, no configuration file, no signal here.
import { createHmac } from 'node:crypto'
import type { AuditRoom } from './audit/broker.ts'
import { auditBroker } from './audit/broker.ts'
import type { AuditBroker } from './audit/event.ts'
import { deviceMeter } from './audit/meter.ts'
import type { DeviceConfig } from './audit/options.ts'
import { auditSigner } from './audit/signer.ts'
import { Sealed } from './barrier/errors.ts'
import { createLifecycle, type Lifecycle } from './barrier/lifecycle.ts'
import type { Peers } from './barrier/peers.ts'
import type { StaticKey } from './barrier/slots.ts'
import { cleanupKind, cleanupQueue } from './core/cleanup.ts'
import { epochKey, moveEpoch, restartEpoch } from './core/epoch.ts'
import type { Handler } from './core/exchange.ts'
import { tokenGrants } from './core/grants.ts'
import { groupHandlers, identityStore } from './core/identity/index.ts'
import { jobRunner } from './core/jobs.ts'
import { routeMeter } from './core/meter.ts'
import { mountDueHandler, mountDueKind } from './core/mount-due.ts'
import { mountTable } from './core/mounts.ts'
import { namespaceTable } from './core/namespaces.ts'
import { nodeRegister } from './core/nodes.ts'
import { requestPipeline } from './core/pipeline.ts'
import { policyStore } from './core/policies.ts'
import { sessionCache } from './core/sessions.ts'
import { auditAnchors, auditKeyPath, corsOff } from './core/settings.ts'
import { stateIndex } from './core/state-index.ts'
import { coreTables, namespaceRecords } from './core/tables.ts'
import { rootTokenSpec } from './core/tokens/create.ts'
import { tokenStore } from './core/tokens/store.ts'
import { spendUse } from './core/tokens/use.ts'
import { sealAbove } from './core/topology.ts'
import { trafficGate } from './core/traffic.ts'
import { responseWrapping } from './core/wrapping.ts'
import { sharedPasswords } from './crypto/password.ts'
import { cubbyholePrefix } from './engines/cubbyhole/index.ts'
import { readGauges } from './gauges.ts'
import { inCidrs } from './lib/cidr.ts'
import type { Log } from './log.ts'
import { type Instruments, instrumentsOf } from './metrics/instruments.ts'
import { type MetricsRoom, metricsRoom, plainMetrics } from './metrics/room.ts'
import { engineAliases, engines as registered } from './registry.ts'
import type { Context } from './sdk/context.ts'
import { findOperation } from './sdk/dispatch.ts'
import { type Engine, mountPrefix } from './sdk/engine.ts'
import { ApiError } from './sdk/errors.ts'
import { helpFor } from './sdk/help.ts'
import type { OperationVerb } from './sdk/operation.ts'
import { keepUnsealing } from './self-unseal.ts'
import type { Reader, Storage } from './storage/storage.ts'
import { identityEngine } from './system/identity.ts'
import { openMetrics } from './system/metrics.ts'
import { oidcHandlers } from './system/oidc/index.ts'
import { clusterNameOf } from './system/seal-status.ts'
import { type ServerFacts, systemEngine } from './system/system.ts'
import { tokenEngine } from './system/token.ts'

export interface AssemblyOptions {
  readonly storage: Storage
  readonly staticKeys: readonly StaticKey[]
  readonly facts: ServerFacts
  readonly log: Log
  readonly defaultLeaseTtlSeconds: number
  readonly maxLeaseTtlSeconds: number
  /** Audit devices of the configuration file. */
  readonly declaredDevices: readonly DeviceConfig[]
  readonly allowApiAudit: boolean
  readonly allowAuditPrefix: boolean
  /** Whether `sys/raw` is served. */
  readonly rawStorage: boolean
  /** Other processes of the machine that seal and unseal together with this one. */
  readonly peers?: Peers | undefined
  /** What is counted with; the assembly ends it. Absent: made here. */
  readonly metrics?: { readonly room: MetricsRoom; readonly instruments: Instruments }
  /** Engines besides those registered: for tests. */
  readonly engines?: readonly Engine[]
  readonly now?: () => number
  /** Milliseconds between looks for a store that others initialise; for tests. */
  readonly lookForKeysMs?: number
  /** Names of nodes that do not know the newest storage format; absent: as they tell themselves. */
  readonly olderNodes?: () => Promise<readonly string[]>
}

export interface Assembly {
  readonly lifecycle: Lifecycle
  readonly handler: Handler
  /** All engines, core's own included. */
  readonly engines: readonly Engine[]
  /** Opens audit files anew (SIGHUP). */
  reopenAudit(): Promise<void>
  /** Opens the store with the keys of the configuration, if it can; else looks again until it could, also when others initialise it. */
  unsealItself(): Promise<void>
  /** Tells the other nodes over the store that this one is there, until `close`. */
  join(): Promise<void>
  /** Ends jobs, audit and metrics, then drops the keys. */
  close(): Promise<void>
}

/** Milliseconds between looks for a store that others initialise. */
const lookForKeysMs = 2_000
/** Milliseconds that requests under way are given when the store is sealed. */
const sealGraceMs = 2_000

/** Assembles a core over a store. It is sealed until the lifecycle unseals it. */
export function assemble(options: AssemblyOptions): Assembly {
  const { storage, log, facts } = options
  const now = options.now ?? Date.now
  const { room: metrics, instruments } = options.metrics ?? unconfiguredMetrics(log)
  const engines = new Map(
    [...registered, ...(options.engines ?? [])].map((engine) => [`${engine.kind}:${engine.type}`, engine]),
  )
  let room: AuditRoom | undefined
  let declared: readonly DeviceConfig[] = []
  let storeId = ''
  const audit: AuditBroker = {
    get enabled() {
      return room?.enabled ?? false
    },
    record: (events) => (room ? room.record(events) : Promise.reject(new Sealed())),
  }

  const namespaceSealed = (uuid: string): boolean => lifecycle.namespaces.closed(uuid)
  const traffic = trafficGate(() => new Sealed())
  const identity = identityStore()
  const policies = policyStore(instruments.policies)
  const tokens = tokenStore({
    now,
    meter: instruments.tokens,
    entityPolicies: (tx, entity) => identity.policiesOf(tx, entity),
    async onRevoke(tx, record) {
      wrapping.forget(tx, record)
      const mount = tables.latest?.namespacesByUuid.get(record.namespaceUuid)?.mounts.get('cubbyhole/')
      if (!mount) return
      const prefix = mountPrefix(mount.facts) + cubbyholePrefix(record.key)
      for (const name of await tx.scan(prefix)) tx.delete(prefix + name)
    },
  })
  const tables = coreTables({
    engines,
    defaultLeaseTtlSeconds: options.defaultLeaseTtlSeconds,
    maxLeaseTtlSeconds: options.maxLeaseTtlSeconds,
    storageFormat: () => lifecycle.storageFormat(),
    namespaceSealed,
    routes: (path) => routeMeter((operation) => instruments.route(path, operation)),
    async loaded(topology) {
      await lifecycle.refresh()
      for (const { record } of topology.namespaces.values()) {
        const above = sealAbove(topology, record.path)
        if (above && above.uuid !== record.uuid) lifecycle.namespaces.adopt(record.uuid, above.uuid)
      }
      await room?.sync([...declared, ...topology.settings.auditDevices])
      room?.setHeaders(topology.settings.auditHeaders)
    },
  })
  const wrapping = responseWrapping({
    find: (tx, token, topology) => tokens.find(tx, token, topology, now(), { spent: true }),
    create: (tx, { namespace, ttlSeconds, path, policies: names, now: at }) =>
      tokens.create(tx, {
        namespace,
        now: at,
        policies: names,
        noDefaultPolicy: true,
        path,
        displayName: '',
        ttlSeconds,
        explicitMaxTtlSeconds: ttlSeconds,
        numUses: 1,
        renewable: false,
        wrapping: { creationPath: path },
      }),
    revoke: (tx, record, at) => tokens.revokeTree(tx, record, at),
  })
  const cleanup = cleanupQueue({
    now,
    first: async (tx, work, after, at) =>
      work.kind === 'mount' ? await tokens.clearMount(tx, work, after, at) : undefined,
    async last(tx, work) {
      if (work.kind !== 'namespace') return
      const record = await namespaceRecords.get(tx, work.namespaceUuid)
      if (record?.ownSeal) await lifecycle.namespaces.remove(tx, work.namespaceUuid)
      namespaceRecords.delete(tx, work.namespaceUuid)
      await moveEpoch(tx, 'mounts')
    },
  })
  const mounts = mountTable({ tables, engines, aliases: engineAliases, cleanup })
  const namespaces = namespaceTable({ mounts, cleanup })
  const sessions = sessionCache({
    policies,
    findToken: (tx, token, topology, at) => tokens.find(tx, token, topology, at),
    findEntity: (tx, uuid, id) => identity.find(tx, uuid, id),
    entityBrings: (tx, entity, namespacePath) => identity.bringsOf(tx, entity, namespacePath),
  })
  const jobs = jobRunner({
    now,
    meter: instruments.jobs,
    handlers: new Map([
      ...tokens.handlers,
      ...groupHandlers(now),
      ...oidcHandlers(now),
      [cleanupKind, cleanup.handler],
      [mountDueKind, mountDueHandler({ now, topology: (tx) => tables.current(tx), namespaceSealed })],
    ]),
    log: (level, message, more) => log[level](more, message),
  })

  /** What jobs work on: like requests they follow the epoch, so that none writes into a store that is being replaced. */
  const jobStorage: Storage = {
    kind: storage.kind,
    view: (fn) => lifecycle.barrier.view(fn),
    update: (fn) =>
      lifecycle.barrier.update(async (tx) => {
        await tables.current(tx)
        return await fn(tx)
      }),
    close: () => lifecycle.barrier.close(),
  }
  const nodes = nodeRegister({
    storage,
    facts: {
      name: facts.nodeName,
      hostname: facts.hostname,
      apiAddress: facts.apiAddress,
      clusterAddress: facts.clusterAddress,
      version: facts.apiVersion,
      cofferVersion: facts.cofferVersion,
    },
    now,
    warn: (message, cause) => log.warn({ cause: String(cause) }, message),
  })

  const openAudit = async (): Promise<void> => {
    const pkcs8 = await lifecycle.barrier.update(async (tx) => {
      const entry = await tx.get(auditKeyPath)
      if (entry) return entry.value
      const made = auditSigner().exportPrivate()
      tx.put(auditKeyPath, made)
      return made
    })
    // A declared device keeps its salt over restarts although it has no record.
    declared = options.declaredDevices.map((device) => ({
      ...device,
      salt: createHmac('sha256', pkcs8).update(`salt/${device.path}`).digest('hex'),
    }))
    room = auditBroker({
      now,
      signer: auditSigner(pkcs8),
      logger: log,
      meter: (path) => deviceMeter(...instruments.device(path)),
      anchors: {
        load: async (device) =>
          (await lifecycle.barrier.view((tx) => auditAnchors(device).all(tx))).map(({ value }) => value),
        save: (device, anchor) =>
          lifecycle.barrier.update(async (tx) => auditAnchors(device).put(tx, anchor.chain, anchor)),
        remove: (device, chain) => lifecycle.barrier.update(async (tx) => auditAnchors(device).delete(tx, chain)),
      },
    })
  }
  let clusterName = facts.clusterName
  let wasOpen = false
  let endLooking = (): void => undefined
  const lifecycle = createLifecycle({
    storage,
    meter: instruments.barrier,
    staticKeys: options.staticKeys,
    peers: options.peers,
    now,
    ports: {
      async createRootToken(tx, why) {
        if (why === 'init') namespaces.fill(tx, 'root', now())
        return (await tokens.create(tx, rootTokenSpec({ id: 'root', uuid: 'root', path: '' }, now()))).token
      },
      moveEpoch: (tx) => moveEpoch(tx, 'mounts'),
      epoch: { key: epochKey, restart: (tx) => restartEpoch(tx, now()) },
      async onUnseal() {
        const began = performance.now()
        wasOpen = true
        storeId = (await lifecycle.status()).storeId
        await openAudit()
        await lifecycle.barrier.view((tx) => tables.current(tx))
        jobs.start(jobStorage)
        clusterName ||= clusterNameOf(facts, storeId)
        traffic.open()
        nodes.setActive(now())
        instruments.postUnseal.since(began)
        log.info('unsealed')
      },
      async onSeal() {
        const began = performance.now()
        nodes.setActive(undefined)
        await traffic.close(sealGraceMs)
        await jobs.stop()
        await room?.close()
        room = undefined
        tables.clear()
        sessions.clear()
        policies.clear()
        tokens.clear()
        instruments.preSeal.since(began)
        log.info('sealed')
      },
      onNamespaceSeal: () => tables.clear(),
      warn: (message, cause) => log.warn({ cause: String(cause) }, message),
    },
  })

  const aclOfToken = async (tx: Reader, token: string, at: number) =>
    token === '' ? undefined : (await sessions.of(tx, await tables.current(tx), token, at))?.acl
  const system = systemEngine({
    lifecycle,
    mounts,
    namespaces,
    policies,
    wrapping,
    nodes,
    sharedStore: storage.shared ?? false,
    facts,
    declaredDevices: options.declaredDevices,
    allowApiAudit: options.allowApiAudit,
    allowAuditPrefix: options.allowAuditPrefix,
    rawStorage: options.rawStorage,
    acls: {
      byToken: aclOfToken,
      async byAccessor(tx, accessor, at, namespaceUuid) {
        const topology = await tables.current(tx)
        const found = await tokens.findByAccessor(tx, accessor, namespaceUuid, topology, at)
        return found && (await sessions.ofFound(tx, topology, found))?.acl
      },
    },
    aclOf: (tx: Reader, context: Context) => aclOfToken(tx, context.caller.token, context.now),
    auditRoom: () => {
      if (!room) throw new Sealed()
      return room
    },
    health: () => room?.health(),
    olderNodes: options.olderNodes ?? nodes.older,
    printMetrics: metrics.answer,
    namespaceSealChanged: () => tables.clear(),
  })
  const add = (engine: Engine) => engines.set(`${engine.kind}:${engine.type}`, engine)
  add(system)
  add(identityEngine({ identity, tokens, topology: (tx) => tables.current(tx), apiAddress: facts.apiAddress }))
  add(
    tokenEngine({
      store: tokens,
      identity,
      topology: (tx) => tables.current(tx),
      policyExists: (tx, namespaceUuid, name) => policies.exists(tx, namespaceUuid, name),
    }),
  )

  readGauges(metrics.registry, {
    clusterName: () => clusterName,
    sealed: () => lifecycle.sealed,
    inFlight: () => traffic.running,
    topology: () => tables.latest,
    audit: () => room?.health(),
    passwords: sharedPasswords,
  })
  const metricsForAll = openMetrics(metrics.answer)
  const systemVariant = system.variant({})
  /** As storage has it now; while sealed nobody may come from elsewhere. */
  const cors = async () =>
    lifecycle.sealed ? corsOff : (await lifecycle.barrier.view((tx) => tables.current(tx))).settings.cors
  /** Only a few paths of `sys` take bytes; everything else is JSON. */
  const bodyKind: Handler['bodyKind'] = (method, path) => {
    const at = path.indexOf('sys/')
    if (at < 0 || (method !== 'POST' && method !== 'PUT')) return 'json'
    return systemVariant.routes.match(path.slice(at + 4))?.value.byVerb.write?.rawBody ?? 'json'
  }
  const handle = requestPipeline({
    storage: lifecycle.barrier,
    tables,
    sessions,
    audit,
    traffic,
    now,
    meter: instruments.requests,
    grants: tokenGrants({ tokens, identity, wrapping }),
    inCidrs,
    spendUse,
    endToken: (tx, found, at) => tokens.endUse(tx, found, at),
    help: (p) => ({
      raw: {
        body: JSON.stringify(
          helpFor(
            {
              path: p.mount?.facts.path ?? '',
              engine: p.mount?.engine ?? system,
              variant: p.mount?.variant ?? systemVariant,
            },
            p.below,
            facts.apiVersion,
          ),
        ),
        contentType: 'application/json',
      },
    }),
    indexOf: (revision) => stateIndex(storeId, revision),
    lifecycle(request) {
      if (!request.path.startsWith('sys/') || request.verb === 'help') return undefined
      if (request.listener.openMetrics && request.path === 'sys/metrics' && request.verb === 'read')
        return metricsForAll
      try {
        const found = findOperation(systemVariant, request.verb as OperationVerb, request.path.slice(4))
        return found.operation.lifecycle ? found : undefined
      } catch (error) {
        if (!(error instanceof ApiError)) throw error
        // A path that is for everybody tells everybody which methods it has, sealed or not.
        const verbs = systemVariant.routes.match(request.path.slice(4))?.value.byVerb ?? {}
        if (error.status === 405 && Object.values(verbs).every(({ lifecycle }) => lifecycle)) throw error
        return undefined
      }
    },
    isSealedError: (error) => error instanceof Sealed,
    namespaceSealed,
    log: (level, message, more) => log[level](more, message),
  })

  return {
    lifecycle,
    engines: [...engines.values()],
    handler: { handle, cors, bodyKind },
    reopenAudit: async () => await room?.reopen(),
    async unsealItself() {
      if ((await lifecycle.autoUnseal()) || options.staticKeys.length === 0) return
      const warn = (message: string, cause: unknown) => log.warn({ cause: String(cause) }, message)
      const ports = { autoUnseal: lifecycle.autoUnseal, wasOpen: () => wasOpen, warn }
      endLooking = keepUnsealing({ ...ports, everyMs: options.lookForKeysMs ?? lookForKeysMs })
    },
    join: () => nodes.start(),
    async close() {
      endLooking()
      await nodes.stop()
      await jobs.stop()
      await room?.close()
      await lifecycle.close()
      metrics.close()
    },
  }
}

/** Metrics without a `telemetry` stanza. */
function unconfiguredMetrics(log: Log): NonNullable<AssemblyOptions['metrics']> {
  const room = metricsRoom(plainMetrics, (facts, message) => log.warn(facts, message))
  return { room, instruments: instrumentsOf(room) }
}
