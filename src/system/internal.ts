// sys/internal/*: what command lines and user interfaces ask to find their way.
import type { Mounts } from '../core/mounts.ts'
import type { Acl } from '../core/policy/acl.ts'
import { findMount, type Mount, type Namespace, resolveNamespace } from '../core/topology.ts'
import { LruMap } from '../lib/lru.ts'
import { bool, type Context, denied, list, listReply, map, type Operation, path, str } from '../sdk/index.ts'
import { openApiFor } from '../sdk/openapi.ts'
import type { Reader } from '../storage/storage.ts'
import { mountInfo, namespaceOf } from './mounts.ts'

export interface InternalPorts {
  readonly mounts: Mounts
  /** The ACL of the caller; undefined without a good token. */
  aclOf(tx: Reader, context: Context): Promise<Acl | undefined>
  readonly version: string
}

const visible = (mount: Mount): boolean => mount.record.config.listing_visibility === 'unauth'

const shortInfo = (mount: Mount, known: boolean): Record<string, unknown> => {
  const { description, options, type, ...rest } = mountInfo(mount)
  return known ? { ...rest, description, options, type } : { description, options, type }
}

/** Operations below `sys/internal`. */
export function internalOperations({ mounts, aclOf, version }: InternalPorts): Operation[] {
  const reachable = (acl: Acl | undefined, namespace: Namespace, mount: Mount, now: number): boolean =>
    acl?.mayReachMount(namespace.record.path + mount.facts.path, now) ?? false

  const allMounts = path('internal/ui/mounts', {}, 'Mounts that the caller may see.').read({
    summary: 'List the mounts that are visible to everybody, and those the caller can reach.',
    optionalToken: true,
    public: true,
    output: { secret: map('Secrets engines by path.'), auth: map('Auth methods by path.') },
    async run(_, context) {
      const namespace = await namespaceOf(mounts, context.tx, context)
      const acl = await aclOf(context.tx, context)
      const data: { secret: Record<string, unknown>; auth: Record<string, unknown> } = { auth: {}, secret: {} }
      for (const mount of namespace.mounts.values()) {
        const may = reachable(acl, namespace, mount, context.now)
        if (visible(mount) || may) data[mount.record.kind][mount.record.path] = shortInfo(mount, may)
      }
      return { data }
    },
  })

  const oneMount = path(
    'internal/ui/mounts/{path*}',
    { path: str('A path of a secret or of an auth method.').required() },
    'The mount that serves a path.',
  ).read({
    summary: 'Tell which mount serves a path.',
    optionalToken: true,
    public: true,
    output: { path: str('Path of the mount.'), type: str('Type of the engine.'), options: map('Its options.') },
    async run(input, context) {
      const topology = await mounts.topology(context.tx)
      const resolved = resolveNamespace(topology, context.mount.namespace.path.replace(/\/$/, ''), input.path)
      const found = resolved && findMount(resolved.namespace, resolved.path)
      const acl = await aclOf(context.tx, context)
      if (!resolved || !found || !reachable(acl, resolved.namespace, found.mount, context.now))
        throw denied(
          'preflight capability check returned 403, please ensure client\'s policies grant access to path "' +
            input.path +
            '"',
        )
      return { data: { ...shortInfo(found.mount, true), path: found.mount.facts.path } }
    },
  })

  const resultant = path('internal/ui/resultant-acl', {}, 'What the caller may do.').read({
    summary: 'Read all rules that the policies of the caller come to.',
    output: {
      root: bool('Everything is allowed.'),
      exact_paths: map('Rules by path.'),
      glob_paths: map('Rules by prefix.'),
    },
    async run(_, context) {
      const acl = await aclOf(context.tx, context)
      if (!acl) throw denied()
      return { data: acl.resultant(context.now) }
    },
  })

  const namespaces = path('internal/ui/namespaces', {}, 'Namespaces below this one.').read({
    summary: "List the namespaces right below the caller's that its policies reach.",
    public: true,
    optionalToken: true,
    output: { keys: list('Paths.') },
    async run(_, context) {
      const topology = await mounts.topology(context.tx)
      const acl = await aclOf(context.tx, context)
      const own = context.mount.namespace.path
      const keys = [...topology.namespaces.keys()]
        .filter((one) => one !== own && one.startsWith(own) && acl?.mayReachMount(one, context.now))
        .map((one) => one.slice(own.length))
        .sort()
      return listReply(keys)
    },
  })

  const printed = new LruMap<string, string>(16)
  const specOf = async (tx: Reader, context: Context, generic: boolean) => {
    const namespace = await namespaceOf(mounts, tx, context)
    const acl = await aclOf(tx, context)
    const shown = [...namespace.mounts.values()].filter(
      (mount) => mount.engine.singleton || visible(mount) || reachable(acl, namespace, mount, context.now),
    )
    // Printing it costs milliseconds and anybody may ask: what was printed for the same mounts is given again.
    const key = JSON.stringify([generic, shown.map(({ record }) => [record.uuid, record.path, record.options])])
    let body = printed.get(key)
    if (body === undefined) {
      const described = shown.map((mount) => ({ path: mount.facts.path, engine: mount.engine, variant: mount.variant }))
      body = JSON.stringify(openApiFor(described, { version, genericMountPaths: generic }))
      printed.set(key, body)
    }
    return { raw: { body, contentType: 'application/json' } }
  }

  const spec = path('internal/specs/openapi', {}, 'OpenAPI document of the paths the caller can see.')
  const specInput = {
    generic_mount_paths: bool('Names mounts by a placeholder.').default(false),
    context: str('Accepted.'),
  }
  return [
    allMounts,
    oneMount,
    resultant,
    namespaces,
    spec.read({
      summary: 'Read the OpenAPI document.',
      public: true,
      optionalToken: true,
      input: specInput,
      output: { openapi: str('Version of OpenAPI.') },
      run: ({ generic_mount_paths }, c) => specOf(c.tx, c, generic_mount_paths),
    }),
    spec.compute({
      summary: 'Read the OpenAPI document.',
      public: true,
      optionalToken: true,
      input: specInput,
      output: { openapi: str('Version of OpenAPI.') },
      run: ({ generic_mount_paths }, c) => specOf(c.tx, c, generic_mount_paths),
    }),
  ]
}
