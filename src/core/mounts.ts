// Changes to the mount table: enable, tune, move, disable. Each is one transaction that moves the epoch; clearing up what a
// disabled mount held is left to a job.
import { randomBytes, randomUUID } from 'node:crypto'
import type { WriteContext } from '../sdk/context.ts'
import { type Engine, mountPrefix } from '../sdk/engine.ts'
import { ApiError, invalid } from '../sdk/errors.ts'
import { collection } from '../storage/collection.ts'
import { ScopedTransaction } from '../storage/scoped.ts'
import type { Reader, Soon, Writer } from '../storage/storage.ts'
import type { CleanupQueue } from './cleanup.ts'
import { moveEpoch } from './epoch.ts'
import { mountDue } from './mount-due.ts'
import { mountRecords, type Tables } from './tables.ts'
import type { Mount, MountConfig, MountRecord, Namespace, Topology } from './topology.ts'

/** A move of a mount, as `sys/remount/status` tells it. */
export interface Migration {
  readonly source: string
  readonly target: string
  readonly status: 'in-progress' | 'success' | 'failure'
  readonly time: number
}
export const migrations = collection<Migration>('core/migration/')

export interface MountWish {
  readonly path: string
  readonly kind: 'secret' | 'auth'
  readonly type: string
  readonly description: string
  readonly options: Readonly<Record<string, string>>
  readonly config: Partial<MountConfig>
  readonly local: boolean
  readonly sealWrap: boolean
  readonly externalEntropyAccess: boolean
  readonly pluginVersion: string
}

export interface Mounts {
  enable(context: WriteContext, namespace: Namespace, wish: MountWish): Promise<MountRecord>
  /** Changes settings; keys that are absent stay. */
  tune(context: WriteContext, mount: Mount, change: MountChange): Promise<void>
  move(
    context: WriteContext,
    from: { namespace: Namespace; path: string },
    to: { namespace: Namespace; path: string },
  ): Promise<string>
  /** Disables a mount; one that is not there is no error. */
  disable(context: WriteContext, namespace: Namespace, kind: 'secret' | 'auth', path: string): Promise<void>
  /** Writes the mounts that every namespace has. */
  putBuiltin(tx: Writer, namespaceUuid: string, now: number): void
  topology(tx: Reader): Soon<Topology>
}

export interface MountChange {
  readonly description?: string | undefined
  readonly options?: Readonly<Record<string, string>> | undefined
  readonly config: Partial<MountConfig>
}

/** Paths of secrets engines that nothing else may take or change. */
const protectedPaths = ['sys/', 'auth/', 'cubbyhole/', 'identity/', 'audit/']
const pathLengthMax = 1024

/** Checks and completes a mount path: "a/b" becomes "a/b/". Throws 400. */
export function mountPathOf(wanted: string, kind: 'secret' | 'auth'): string {
  const path = `${wanted.replace(/^\/+|\/+$/g, '')}/`
  if (path === '/') throw invalid('missing mount path')
  if (path.length > pathLengthMax) throw invalid(`mount path is longer than ${pathLengthMax} characters`)
  if (/(^|\/)\.{1,2}\/|\/\/|[*+]|\p{Cc}|^\s|\s\//u.test(path)) throw invalid('mount path is not a valid path')
  if (kind === 'secret' && protectedPaths.some((reserved) => path.startsWith(reserved)))
    throw invalid(`cannot mount "${path}"`)
  if (kind === 'auth' && path.startsWith('token/')) throw invalid('token credential backend cannot be instantiated')
  return path
}

const pointOf = (kind: 'secret' | 'auth', path: string): string => (kind === 'auth' ? `auth/${path}` : path)

/** Refuses a path that a mount or a namespace has, or that lies above or below one. */
function refuseTaken(topology: Topology, namespace: Namespace, point: string): void {
  for (const taken of namespace.mounts.keys()) {
    if (taken === point) throw invalid(`path is already in use at ${point}`)
    if (taken.startsWith(point) || point.startsWith(taken)) throw invalid(`existing mount at ${taken}`)
  }
  const full = namespace.record.path + point
  for (const path of topology.namespaces.keys())
    if (path !== '' && path.length > namespace.record.path.length && (path.startsWith(full) || full.startsWith(path)))
      throw invalid(`existing namespace at ${path}`)
}

/** Checks settings against each other; `config` is what the mount is to have. Throws 400. */
function checkConfig(config: MountConfig, tables: Tables, kind: 'secret' | 'auth'): void {
  const { defaultLeaseTtlSeconds, maxLeaseTtlSeconds } = tables.lifetimes({ config } as MountRecord)
  const wanted = config.default_lease_ttl
  if (wanted > maxLeaseTtlSeconds || defaultLeaseTtlSeconds > maxLeaseTtlSeconds)
    throw invalid(`given default lease TTL of ${wanted} s is greater than the max lease TTL of ${maxLeaseTtlSeconds} s`)
  if (config.listing_visibility && !['unauth', 'hidden'].includes(config.listing_visibility))
    throw invalid('listing_visibility must be "unauth" or "hidden"')
  if (config.token_type === undefined) return
  if (kind !== 'auth') throw invalid('token_type can only be set for auth methods')
  if (!['default-service', 'default-batch', 'service', 'batch'].includes(config.token_type))
    throw invalid('token_type must be one of: default-service, default-batch, service, batch')
}

const accessorOf = (kind: 'secret' | 'auth', type: string): string =>
  `${kind === 'auth' ? 'auth_' : ''}${type}_${randomBytes(4).toString('hex')}`

const builtin: readonly { kind: 'secret' | 'auth'; type: string; path: string; description: string }[] = [
  {
    kind: 'secret',
    type: 'system',
    path: 'sys/',
    description: 'system endpoints used for control, policy and debugging',
  },
  { kind: 'secret', type: 'identity', path: 'identity/', description: 'identity store' },
  { kind: 'secret', type: 'cubbyhole', path: 'cubbyhole/', description: 'per-token private secret storage' },
  { kind: 'auth', type: 'token', path: 'token/', description: 'token based credentials' },
]

/** Makes the part of core that changes mounts. `aliases` are old or convenient type names with the options they stand for. */
export function mountTable(ports: {
  readonly tables: Tables
  readonly engines: ReadonlyMap<string, Engine>
  readonly aliases: Readonly<
    Record<string, { readonly type: string; readonly options: Readonly<Record<string, string>> }>
  >
  readonly cleanup: CleanupQueue
}): Mounts {
  const { tables, engines, aliases, cleanup } = ports

  const findEngine = (wish: MountWish): { engine: Engine; options: Record<string, string> } => {
    const alias = wish.kind === 'secret' ? aliases[wish.type] : undefined
    const type = alias?.type ?? wish.type
    const found = engines.get(`${wish.kind}:${type}`)
    if (wish.type === '') throw invalid('backend type must be specified as a string')
    if (!found) throw invalid(`plugin not found in the catalog: ${JSON.stringify(wish.type.slice(0, 100))}`)
    if (found.singleton) throw invalid(`mount type of "${type}" is not mountable`)
    const wanted = { ...alias?.options, ...wish.options }
    return { engine: found, options: found.hooks.options?.(wanted) ?? wanted }
  }

  const hookContext = (context: WriteContext, record: MountRecord, namespace: Namespace): WriteContext => {
    const facts = {
      ...context.mount,
      uuid: record.uuid,
      path: pointOf(record.kind, record.path),
      type: record.type,
      kind: record.kind,
      accessor: record.accessor,
      options: record.options,
      namespace: namespace.facts,
      states: new Map(),
      ...tables.lifetimes(record),
    }
    const tx = new ScopedTransaction(context.tx, mountPrefix(facts))
    return { ...context, mount: facts, tx, due: mountDue(context.tx, facts) }
  }

  return {
    topology: (tx) => tables.current(tx),
    putBuiltin(tx, namespaceUuid, now) {
      for (const { kind, type, path, description } of builtin) {
        const uuid = randomUUID()
        mountRecords(namespaceUuid).put(tx, uuid, {
          uuid,
          path,
          kind,
          type,
          description,
          accessor: accessorOf(kind, type),
          options: {},
          config: {
            default_lease_ttl: 0,
            max_lease_ttl: 0,
            force_no_cache: false,
            ...(kind === 'auth' ? { token_type: 'default-service' } : {}),
          },
          local: type === 'cubbyhole',
          sealWrap: false,
          externalEntropyAccess: false,
          pluginVersion: '',
          createdTime: now,
        })
      }
    },
    async enable(context, namespace, wish) {
      const path = mountPathOf(wish.path, wish.kind)
      const { engine, options } = findEngine(wish)
      refuseTaken(await tables.current(context.tx), namespace, pointOf(wish.kind, path))
      const config: MountConfig = {
        default_lease_ttl: 0,
        max_lease_ttl: 0,
        force_no_cache: false,
        ...(wish.kind === 'auth' ? { token_type: 'default-service' } : {}),
        ...wish.config,
      }
      checkConfig(config, tables, wish.kind)
      const record: MountRecord = {
        uuid: randomUUID(),
        path,
        kind: wish.kind,
        type: engine.type,
        accessor: accessorOf(wish.kind, engine.type),
        description: wish.description,
        options,
        config,
        local: wish.local,
        sealWrap: wish.sealWrap,
        externalEntropyAccess: wish.externalEntropyAccess,
        pluginVersion: wish.pluginVersion,
        createdTime: context.now,
      }
      mountRecords(namespace.record.uuid).put(context.tx, record.uuid, record)
      await moveEpoch(context.tx, 'mounts')
      await engine.hooks.enabled?.(hookContext(context, record, namespace))
      return record
    },
    async tune(context, mount, change) {
      const { record, namespace } = mount
      const config = { ...record.config, ...change.config }
      checkConfig(config, tables, record.kind)
      const wanted = change.options ? { ...record.options, ...change.options } : record.options
      const options = change.options ? (mount.engine.hooks.options?.(wanted) ?? wanted) : wanted
      const next: MountRecord = { ...record, config, options, description: change.description ?? record.description }
      mountRecords(namespace.record.uuid).put(context.tx, record.uuid, next)
      await moveEpoch(context.tx, 'mounts')
      if (change.options) await mount.engine.hooks.retuned?.(hookContext(context, next, namespace), record.options)
    },
    async move(context, from, to) {
      const topology = await tables.current(context.tx)
      const mount = mountAt(from.namespace, from.path)
      if (!mount) throw invalid(`no matching mount at "${from.path}"`)
      if (mount.engine.singleton) throw invalid(`cannot remount "${from.path}"`)
      const { kind } = mount.record
      const isAuth = to.path.replace(/^\/+/, '').startsWith('auth/')
      if (isAuth !== (kind === 'auth'))
        throw invalid(
          kind === 'auth'
            ? 'cannot remount auth mount to non-auth mount'
            : 'cannot remount non-auth mount to auth mount',
        )
      if (from.namespace !== to.namespace) throw invalid('a mount can only be moved within its namespace')
      const target = mountPathOf(isAuth ? to.path.replace(/^\/*auth\//, '') : to.path, kind)
      if (target === mount.record.path) throw invalid('source and target are the same')
      refuseTaken(topology, to.namespace, pointOf(kind, target))
      mountRecords(from.namespace.record.uuid).put(context.tx, mount.record.uuid, { ...mount.record, path: target })
      await moveEpoch(context.tx, 'mounts')
      const id = randomUUID()
      migrations.put(context.tx, id, {
        source: from.namespace.record.path + pointOf(kind, mount.record.path),
        target: to.namespace.record.path + pointOf(kind, target),
        status: 'success',
        time: context.now,
      })
      return id
    },
    async disable({ tx, now }, namespace, kind, path) {
      const wanted = `${path.replace(/^\/+|\/+$/g, '')}/`
      const mount = namespace.mounts.get(pointOf(kind, wanted))
      if (mount?.engine.singleton || (kind === 'secret' && protectedPaths.includes(wanted)))
        throw invalid(kind === 'auth' ? 'token credential backend cannot be disabled' : `cannot unmount "${wanted}"`)
      if (!mount) return
      mountRecords(namespace.record.uuid).delete(tx, mount.record.uuid)
      cleanup.add(tx, { kind: 'mount', namespaceUuid: namespace.record.uuid, mountUuid: mount.record.uuid }, now)
      await moveEpoch(tx, 'mounts')
    },
  }
}

/** Finds a mount by the path people write: with or without slashes, auth methods with `auth/` in front. */
export const mountAt = (namespace: Namespace, path: string): Mount | undefined =>
  namespace.mounts.get(`${path.replace(/^\/+|\/+$/g, '')}/`)

/** The same, or 400 as Vault answers it. */
export function requireMount(namespace: Namespace, kind: 'secret' | 'auth', path: string): Mount {
  const name = `${path.replace(/^\/+|\/+$/g, '')}/`
  const mount = mountAt(namespace, pointOf(kind, name))
  if (!mount)
    throw new ApiError(400, kind === 'auth' ? `No auth engine at ${name}` : `No secret engine mount at ${name}`)
  return mount
}
