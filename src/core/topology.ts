// The tables that say what exists: namespaces and mounts, with compiled routes. One immutable object per epoch; core swaps it whole.
import type { AuditMount } from '../audit/event.ts'
import type { MountFacts, NamespaceFacts } from '../sdk/context.ts'
import type { Engine, Variant } from '../sdk/engine.ts'
import type { RouteMeter } from './meter.ts'
import type { Settings } from './settings.ts'

/** Tune settings of a mount as its record keeps them; absent = never set. Seconds; 0 = the system's. */
export interface MountConfig {
  readonly default_lease_ttl: number
  readonly max_lease_ttl: number
  readonly force_no_cache: boolean
  readonly token_type?: string
  readonly listing_visibility?: string
  readonly audit_non_hmac_request_keys?: readonly string[]
  readonly audit_non_hmac_response_keys?: readonly string[]
  readonly passthrough_request_headers?: readonly string[]
  readonly allowed_response_headers?: readonly string[]
  readonly user_lockout_config?: Readonly<Record<string, unknown>>
}

/** A mount as it is stored, at `ns/<namespace uuid>/mount/<uuid>`. */
export interface MountRecord {
  readonly uuid: string
  /** With a trailing slash; auth methods without `auth/`. */
  readonly path: string
  readonly kind: 'secret' | 'auth'
  readonly type: string
  readonly accessor: string
  readonly description: string
  readonly options: Readonly<Record<string, string>>
  readonly config: MountConfig
  readonly local: boolean
  readonly sealWrap: boolean
  readonly externalEntropyAccess: boolean
  readonly pluginVersion: string
  readonly createdTime: number
}

/** A mount ready to serve. */
export interface Mount {
  readonly record: MountRecord
  readonly engine: Engine
  readonly variant: Variant
  readonly facts: MountFacts
  readonly audit: AuditMount
  readonly routes: RouteMeter
  readonly namespace: Namespace
}

/** A namespace as it is stored, at `core/namespace/<uuid>`. */
export interface NamespaceRecord {
  readonly uuid: string
  readonly id: string
  /** Full path with a trailing slash; "" is the root. */
  readonly path: string
  readonly customMetadata: Readonly<Record<string, string>>
  /** Being deleted: nothing below it serves; a job clears it. */
  readonly tainted: boolean
  /** Hash of the unlock key while the API of the namespace (and of all below) is locked. */
  readonly lock?: string
  /** Has a seal of its own; the keyring must be attached for it to serve. */
  readonly ownSeal: boolean
}

export interface Namespace {
  readonly record: NamespaceRecord
  readonly facts: NamespaceFacts
  /** Secret mounts by path, auth mounts by `auth/<path>`. */
  readonly mounts: ReadonlyMap<string, Mount>
}

export interface Topology {
  /** Version of the epoch record this was read at. */
  readonly epoch: number
  /** Moves when any policy changes, in any namespace. */
  readonly policyEpoch: number
  readonly settings: Settings
  readonly root: Namespace
  /** By full path with a trailing slash; "" is the root. */
  readonly namespaces: ReadonlyMap<string, Namespace>
  readonly namespacesById: ReadonlyMap<string, Namespace>
  readonly namespacesByUuid: ReadonlyMap<string, Namespace>
  readonly mountsByUuid: ReadonlyMap<string, Mount>
  readonly mountsByAccessor: ReadonlyMap<string, Mount>
}

/** Splits namespaces off the front of a path: the header's first, then as many leading segments as name a child. Undefined: no such namespace. */
export function resolveNamespace(
  topology: Topology,
  header: string,
  path: string,
): { namespace: Namespace; path: string } | undefined {
  let namespace = header === '' ? topology.root : topology.namespaces.get(`${header}/`)
  if (!namespace) return undefined
  let rest = path
  if (topology.namespaces.size === 1) return { namespace, path: rest }
  for (;;) {
    const slash = rest.indexOf('/')
    if (slash <= 0) return { namespace, path: rest }
    const child = topology.namespaces.get(namespace.record.path + rest.slice(0, slash + 1))
    if (!child) return { namespace, path: rest }
    namespace = child
    rest = rest.slice(slash + 1)
  }
}

/** Finds the mount that serves a path. Mounts never nest, so the first beginning that is one is the only one. `a` itself is found for the mount `a/`. */
export function findMount(namespace: Namespace, path: string): { mount: Mount; below: string } | undefined {
  for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
    const mount = namespace.mounts.get(path.slice(0, slash + 1))
    if (mount) return { mount, below: path.slice(slash + 1) }
  }
  const mount = namespace.mounts.get(`${path}/`)
  return mount && { mount, below: '' }
}

/** Path of the namespace above ("a/b/" -> "a/", "a/" -> ""); undefined above the root. */
export const parentPath = (path: string): string | undefined =>
  path === '' ? undefined : path.slice(0, path.lastIndexOf('/', path.length - 2) + 1)

/** The namespace whose own keys a namespace is under: itself, or the nearest above that has a seal of its own; undefined: the store's. */
export function sealAbove(
  topology: { readonly namespaces: ReadonlyMap<string, Pick<Namespace, 'record'>> },
  path: string,
): NamespaceRecord | undefined {
  for (let at: string | undefined = path; at !== undefined; at = parentPath(at)) {
    const record = topology.namespaces.get(at)?.record
    if (record?.ownSeal) return record
  }
  return undefined
}
