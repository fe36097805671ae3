// sys/mounts, sys/auth and sys/remount: the mount table as people see it.

import { type MountChange, type Mounts, migrations, requireMount } from '../core/mounts.ts'
import type { Mount, MountConfig, MountRecord, Namespace } from '../core/topology.ts'
import { resolveNamespace } from '../core/topology.ts'
import type { JsonObject } from '../lib/json.ts'
import { compileDecoder } from '../sdk/fields.ts'
import {
  bool,
  type Context,
  duration,
  invalid,
  kvpairs,
  list,
  map,
  missing,
  type Operation,
  path,
  type Reply,
  str,
  type WriteContext,
} from '../sdk/index.ts'
import type { Reader } from '../storage/storage.ts'

type Kind = 'secret' | 'auth'

/** Namespace that a system operation runs in. */
export async function namespaceOf(mounts: Mounts, tx: Reader, context: Context): Promise<Namespace> {
  const namespace = (await mounts.topology(tx)).namespacesByUuid.get(context.mount.namespace.uuid)
  if (!namespace) throw missing('namespace not found')
  return namespace
}

const ttl = (about: string) => str(`${about} "" or "system": the system's own.`)

const settings = {
  default_lease_ttl: ttl('Default lifetime of leases and tokens.'),
  max_lease_ttl: ttl('Longest lifetime of leases and tokens.'),
  force_no_cache: bool('Accepted; Coffer never serves what storage has not proved current.'),
  listing_visibility: str('"unauth" shows the mount to callers without a token, "hidden" or "" does not.'),
  token_type: str('Kind of tokens an auth method gives: default-service, default-batch, service, batch.'),
  audit_non_hmac_request_keys: list('Request keys whose values stand in clear in the audit log.'),
  audit_non_hmac_response_keys: list('Response keys whose values stand in clear in the audit log.'),
  passthrough_request_headers: list('Request headers that the mount is given.'),
  allowed_response_headers: list('Response headers that the mount may set.'),
  user_lockout_config: map('Lockout of users after failed logins.'),
}
const decodeSettings = compileDecoder(settings)
const wholeDuration = compileDecoder({ ttl: duration('') })

const secondsOf = (value: unknown, name: string): number | undefined => {
  if (value === undefined) return undefined
  if (value === '' || value === 'system' || value === '0') return 0
  const into: Record<string, unknown> = {}
  try {
    wholeDuration({ ttl: value as string }, into)
  } catch {
    throw invalid(`field "${name}" is not a duration`)
  }
  return into['ttl'] as number
}

/** Reads settings out of a body; only what it names is in the result. */
function settingsOf(body: Readonly<JsonObject>): Partial<MountConfig> {
  const values: Record<string, unknown> = {}
  decodeSettings(body, values)
  const config: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue
    config[name] = name.endsWith('_lease_ttl') ? secondsOf(value, name) : value
  }
  return config as Partial<MountConfig>
}

/** Optional settings show once they were set. */
const optionalSettings = (config: MountConfig): Record<string, unknown> => {
  const shown: Record<string, unknown> = {}
  if (config.token_type !== undefined) shown['token_type'] = config.token_type
  if (config.listing_visibility) shown['listing_visibility'] = config.listing_visibility
  for (const name of [
    'audit_non_hmac_request_keys',
    'audit_non_hmac_response_keys',
    'passthrough_request_headers',
    'allowed_response_headers',
  ] as const)
    if (config[name] && config[name].length > 0) shown[name] = config[name]
  return shown
}

/** The mounts that every namespace has never had options. */
const optionsOf = ({ record, engine }: Mount) => (engine.singleton ? null : record.options)

/** One mount as `sys/mounts` shows it. */
export const mountInfo = (mount: Mount): Record<string, unknown> => infoOf(mount, mount.record)

const infoOf = (mount: Mount, record: MountRecord): Record<string, unknown> => ({
  accessor: record.accessor,
  config: {
    default_lease_ttl: record.config.default_lease_ttl,
    force_no_cache: record.config.force_no_cache,
    max_lease_ttl: record.config.max_lease_ttl,
    ...optionalSettings(record.config),
    ...(record.config.user_lockout_config ? { user_lockout_config: record.config.user_lockout_config } : {}),
  },
  deprecation_status: 'supported',
  description: record.description,
  external_entropy_access: record.externalEntropyAccess,
  local: record.local,
  options: optionsOf(mount),
  plugin_version: record.pluginVersion,
  running_plugin_version: '',
  running_sha256: '',
  seal_wrap: record.sealWrap,
  type: mount.engine.type,
  uuid: record.uuid,
})

/** What `tune` shows: effective lifetimes. */
const tuneInfo = (mount: Mount): Record<string, unknown> => ({
  default_lease_ttl: mount.facts.defaultLeaseTtlSeconds,
  description: mount.record.description,
  force_no_cache: mount.record.config.force_no_cache,
  max_lease_ttl: mount.facts.maxLeaseTtlSeconds,
  options: optionsOf(mount),
  ...optionalSettings(mount.record.config),
  ...lockoutInfo(mount.record.config.user_lockout_config),
})

const lockoutInfo = (config: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> =>
  config
    ? Object.fromEntries(
        Object.entries(config).map(([name, value]) => [`user_lockout_${name.replace(/^lockout_/, '')}`, value]),
      )
    : {}

const tableReply = (namespace: Namespace, kind: Kind): Reply => {
  const data: Record<string, unknown> = {}
  for (const mount of [...namespace.mounts.values()].sort((a, b) => (a.facts.path < b.facts.path ? -1 : 1)))
    if (mount.record.kind === kind) data[mount.record.path] = mountInfo(mount)
  return { data, flat: true }
}

const enableInput = {
  type: str('Type of the engine or method ("kv", "userpass" …).').default(''),
  description: str('What it is for.').default(''),
  config: map('Settings, as tune takes them.').default({}),
  options: kvpairs('Options of the type (`version` of kv).').default({}),
  plugin_name: str('Older name of `type`.').default('').deprecated(),
  plugin_version: str('Accepted; engines are built in.').default(''),
  local: bool('Accepted.').default(false),
  seal_wrap: bool('Accepted; everything is encrypted.').default(false),
  external_entropy_access: bool('Accepted.').default(false),
}
const output = { accessor: str('Accessor.'), config: map('Settings.'), type: str('Type.'), uuid: str('UUID.') }

/** Operations of one family: `mounts` (secrets engines) or `auth`. */
function family(mounts: Mounts, prefix: 'mounts' | 'auth'): Operation[] {
  const kind: Kind = prefix === 'auth' ? 'auth' : 'secret'
  const sudo = kind === 'auth'
  const what = kind === 'auth' ? 'auth method' : 'secrets engine'
  const root = path(prefix, {}, `All ${what}s of the namespace.`)
  const one = path(`${prefix}/{path*}`, { path: str('Where it is mounted.').required() }, `One ${what}.`)
  const tune = path(
    `${prefix}/{path*}/tune`,
    { path: str('Where it is mounted.').required() },
    `Settings of one ${what}.`,
  )
  const find = async (tx: Reader, context: Context, at: string): Promise<Mount> => {
    const namespace = await namespaceOf(mounts, tx, context)
    // `sys/mounts/auth/x` is the auth method x, as clients ask for it.
    return kind === 'secret' && at.startsWith('auth/')
      ? requireMount(namespace, 'auth', at.slice(5))
      : requireMount(namespace, kind, at)
  }
  const tuneWith = async (context: WriteContext, at: string, body: JsonObject): Promise<undefined> => {
    const mount = await find(context.tx, context, at)
    const values: Record<string, unknown> = {}
    compileTune(body, values)
    const change: MountChange = {
      description: values['description'] as string | undefined,
      options: values['options'] as Record<string, string> | undefined,
      config: settingsOf(body),
    }
    await mounts.tune(context, mount, change)
    return undefined
  }
  return [
    root.read({
      summary: `List the enabled ${what}s.`,
      output: { path: map('One entry a mount, by path.') },
      run: async (_, context) => tableReply(await namespaceOf(mounts, context.tx, context), kind),
    }),
    one.read({
      summary: `Read the configuration of a ${what}.`,
      sudo,
      output,
      run: async (input, context) => ({ data: mountInfo(await find(context.tx, context, input.path)), flat: true }),
    }),
    one.write({
      summary: `Enable a ${what}.`,
      sudo,
      input: enableInput,
      async run(input, context) {
        await mounts.enable(context, await namespaceOf(mounts, context.tx, context), {
          path: input.path,
          kind,
          type: input.type || input.plugin_name,
          description: input.description,
          options: input.options,
          config: settingsOf(input.config),
          local: input.local,
          sealWrap: input.seal_wrap,
          externalEntropyAccess: input.external_entropy_access,
          pluginVersion: input.plugin_version,
        })
        return undefined
      },
    }),
    one.delete({
      summary: `Disable a ${what} and delete all it holds.`,
      sudo,
      async run(input, context) {
        await mounts.disable(context, await namespaceOf(mounts, context.tx, context), kind, input.path)
        return undefined
      },
    }),
    tune.read({
      summary: `Read the settings of a ${what}.`,
      sudo,
      output: {
        default_lease_ttl: duration('Effective default lifetime.'),
        max_lease_ttl: duration('Effective longest lifetime.'),
      },
      run: async (input, context) => ({ data: tuneInfo(await find(context.tx, context, input.path)), flat: true }),
    }),
    tune.write({
      summary: `Change the settings of a ${what}.`,
      sudo,
      input: {
        ...settings,
        description: str('What it is for.'),
        options: kvpairs('Options of the type.'),
        plugin_version: str('Accepted.'),
      },
      run: (input, context) => tuneWith(context, input.path, context.request.body ?? {}),
    }),
  ]
}

const compileTune = compileDecoder({ description: str(''), options: kvpairs('') })

/** Operations on the mount table. */
export function mountOperations(mounts: Mounts): Operation[] {
  const remount = path('remount', {}, 'Moves a mount to another path.')
  const status = path(
    'remount/status/{migration_id}',
    { migration_id: str('Id that the move answered.').required() },
    'Status of a move.',
  )
  return [
    ...family(mounts, 'mounts'),
    ...family(mounts, 'auth'),
    remount.write({
      summary: 'Move a mount; the move is done when this is answered.',
      sudo: true,
      input: { from: str('Path of the mount.').default(''), to: str('Path it is to have.').default('') },
      output: { migration_id: str('Id to ask the status with.') },
      async run({ from, to }, context) {
        if (from === '') throw invalid('missing from')
        if (to === '') throw invalid('missing to')
        const topology = await mounts.topology(context.tx)
        const own = context.mount.namespace.path.replace(/\/$/, '')
        const source = resolveNamespace(topology, own, from.replace(/^\/+/, ''))
        const target = resolveNamespace(topology, own, to.replace(/^\/+/, ''))
        if (!source || !target) throw invalid('no such namespace')
        const id = await mounts.move(context, source, target)
        context.warn('The mount has been moved. Its status can be read with the migration id.')
        return { data: { migration_id: id }, flat: true }
      },
    }),
    status.read({
      summary: 'Read the status of a move.',
      output: { migration_id: str('Id of the move.'), migration_info: map('Source, target and status.') },
      async run({ migration_id }, { tx }) {
        const found = await migrations.get(tx, migration_id)
        if (!found) return undefined
        const info = { source_mount: found.source, status: found.status, target_mount: found.target }
        return { data: { migration_id, migration_info: info } }
      },
    }),
  ]
}
