// sys/audit, sys/audit-hash, sys/config/auditing and sys/config/cors.
import { randomBytes } from 'node:crypto'
import type { AuditRoom } from '../audit/broker.ts'
import { type DeviceConfig, validateDevice } from '../audit/options.ts'
import { auditSigner } from '../audit/signer.ts'
import { moveEpoch } from '../core/epoch.ts'
import type { Mounts } from '../core/mounts.ts'
import { auditAnchors, auditDevices, auditedHeaders, auditKeyPath, corsOff, putCors } from '../core/settings.ts'
import { bool, invalid, kvpairs, list, map, type Operation, path, stages, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'

export interface AuditPorts {
  /** The audit room while unsealed. */
  room(): AuditRoom
  readonly mounts: Mounts
  /** Devices declared in the server's configuration. */
  readonly declared: readonly DeviceConfig[]
  /** Whether devices may be enabled and disabled over the API (`unsafe_allow_api_audit_creation`). */
  readonly allowApi: boolean
  /** Whether devices enabled over the API may have a `prefix` (`allow_audit_log_prefixing`). */
  readonly allowPrefix: boolean
}

const pathOf = (wanted: string): string => {
  const name = wanted.replace(/^\/+|\/+$/g, '')
  if (name === '') throw invalid('missing path of the audit device')
  if (name.length > 256 || !/^[\w.@-]+(\/[\w.@-]+)*$/.test(name))
    throw invalid('path of the audit device is not a valid path')
  return `${name}/`
}

const shown = ({ path, type, description, options, local }: DeviceConfig) => ({
  description,
  local,
  options,
  path,
  type,
})

/** Operations on audit devices and audited headers. */
export function auditOperations({ room, mounts, declared, allowApi, allowPrefix }: AuditPorts): Operation[] {
  const devicePath = path(
    'audit/{path*}',
    { path: str('Where the device is enabled.').required() },
    'One audit device.',
  )
  const refuseApi = (): void => {
    if (!allowApi)
      throw invalid('audit devices cannot be changed over the API here: declare them in the server configuration')
  }

  const enable = devicePath.write({
    summary: 'Enable an audit device; it is opened and must take a test entry.',
    sudo: true,
    input: {
      type: str('Kind of device: file, socket, syslog, http.').default(''),
      description: str('What it is for.').default(''),
      options: kvpairs('Options of the device.').default({}),
      local: bool('Accepted.').default(false),
    },
    stages: stages({
      async prepare(
        input: { path: string; type: string; description: string; options: Record<string, string>; local: boolean },
        context,
      ) {
        inRoot(context)
        refuseApi()
        const at = pathOf(input.path)
        if (declared.some((device) => device.path === at) || (await auditDevices.has(context.tx, at)))
          throw invalid('path already in use')
        const device: DeviceConfig = {
          path: at,
          type: input.type,
          description: input.description,
          options: input.options,
          local: input.local,
          accessor: `audit_${input.type}_${randomBytes(4).toString('hex')}`,
          salt: randomBytes(32).toString('hex'),
          declared: false,
        }
        if (!allowPrefix && device.options['prefix']) throw invalid('audit log prefixing is not allowed here')
        validateDevice(device)
        return device
      },
      async act(device) {
        await room().open(device)
        return device
      },
      async commit(device, _, context) {
        if (await auditDevices.has(context.tx, device.path)) throw invalid('path already in use')
        auditDevices.put(context.tx, device.path, device)
        await moveEpoch(context.tx, 'mounts')
        return undefined
      },
    }),
  })

  const header = path(
    'config/auditing/request-headers/{header}',
    { header: str('Name of the header.').required() },
    'One audited request header.',
  )
  return [
    path('audit', {}, 'Audit devices.').read({
      summary: 'List the audit devices.',
      sudo: true,
      output: { path: map('Facts by path.') },
      async run(_, context) {
        inRoot(context)
        const stored = (await auditDevices.all(context.tx)).map(({ value }) => value)
        const all = [...declared, ...stored].sort((a, b) => (a.path < b.path ? -1 : 1))
        return { data: Object.fromEntries(all.map((device) => [device.path, shown(device)])), flat: true }
      },
    }),
    enable,
    devicePath.delete({
      summary: 'Disable an audit device.',
      sudo: true,
      async run(input, context) {
        inRoot(context)
        const at = pathOf(input.path)
        if (declared.some((device) => device.path === at))
          throw invalid('this audit device is declared in the server configuration')
        if (!(await auditDevices.has(context.tx, at))) return undefined
        refuseApi()
        auditDevices.delete(context.tx, at)
        await moveEpoch(context.tx, 'mounts')
        return undefined
      },
    }),
    path(
      'audit-hash/{path*}',
      { path: str('Path of the device.').required() },
      'Hashes as an audit device does.',
    ).compute({
      summary: 'Hash a text as the device does, to find it in the log.',
      input: { input: str('The text.').sensitive().required() },
      output: { hash: str('The hash, with its kind in front.') },
      async run(input, context) {
        inRoot(context)
        const at = pathOf(input.path)
        const known = declared.some((device) => device.path === at) || (await auditDevices.has(context.tx, at))
        const hash = known ? room().hash(at, input.input) : undefined
        if (hash === undefined) throw invalid(`unknown audit backend "${at}"`)
        return { data: { hash }, flat: true }
      },
    }),
    path('x/audit/verification', {}, 'What verifying audit logs takes.').read({
      summary: 'Read the public key of the checkpoints and the last signed positions, for `coffer audit verify`.',
      sudo: true,
      output: {
        public_key: str('Ed25519 public key, PEM.'),
        devices: list('Path, accessor and anchors of each device.'),
      },
      async run(_, context) {
        inRoot(context)
        const key = await context.tx.get(auditKeyPath)
        if (!key) return undefined
        const stored = (await auditDevices.all(context.tx)).map(({ value }) => value)
        const devices = []
        for (const { path: at, accessor } of [...declared, ...stored]) {
          const anchors = (await auditAnchors(accessor).all(context.tx)).map(({ value }) => value)
          devices.push({ path: at, accessor, anchors })
        }
        return { data: { public_key: auditSigner(key.value).publicPem(), devices } }
      },
    }),
    path('config/auditing/request-headers', {}, 'Audited request headers.').read({
      summary: 'List the request headers that are audited.',
      sudo: true,
      output: { headers: map('Whether the value is hashed, by name.') },
      async run(_, context) {
        inRoot(context)
        const all = await auditedHeaders.all(context.tx)
        return { data: { headers: Object.fromEntries(all.map(({ id, value }) => [id, value])) }, flat: true }
      },
    }),
    header.read({
      summary: 'Read whether a request header is audited.',
      sudo: true,
      output: { header: map('Whether the value is hashed.') },
      async run(input, context) {
        inRoot(context)
        const name = input.header.toLowerCase()
        const found = await auditedHeaders.get(context.tx, name)
        if (!found) throw invalid('Could not find header in config')
        return { data: { [name]: found }, flat: true }
      },
    }),
    header.write({
      summary: 'Audit a request header.',
      sudo: true,
      input: { hmac: bool('Whether its value is hashed.').default(false) },
      async run(input, context) {
        inRoot(context)
        const { tx } = context
        const name = input.header.toLowerCase()
        if (!/^[!#$%&'*+.^_`|~0-9a-z-]{1,256}$/.test(name)) throw invalid('field "header" is not a header name')
        auditedHeaders.put(tx, name, { hmac: input.hmac })
        await moveEpoch(tx, 'mounts')
        return undefined
      },
    }),
    header.delete({
      summary: 'Audit a request header no longer.',
      sudo: true,
      async run(input, context) {
        inRoot(context)
        const { tx } = context
        auditedHeaders.delete(tx, input.header.toLowerCase())
        await moveEpoch(tx, 'mounts')
        return undefined
      },
    }),
    ...corsOperations(mounts),
  ]
}

function corsOperations(mounts: Mounts): Operation[] {
  const cors = path('config/cors', {}, 'Cross-origin requests of browsers.')
  return [
    cors.read({
      summary: 'Read which origins browsers may call from.',
      sudo: true,
      output: {
        enabled: bool('Whether any may.'),
        allowed_origins: list('Origins.'),
        allowed_headers: list('Headers.'),
      },
      async run(_, context) {
        inRoot(context)
        const { tx } = context
        const { enabled, allowedOrigins, allowedHeaders, allowCredentials } = (await mounts.topology(tx)).settings.cors
        const on = {
          allow_credentials: allowCredentials,
          allowed_headers: allowedHeaders,
          allowed_origins: allowedOrigins,
        }
        return { data: enabled ? { ...on, enabled } : { enabled }, flat: true }
      },
    }),
    cors.write({
      summary: 'Let browsers call from other origins.',
      sudo: true,
      input: {
        enable: bool('Whether to allow it.').default(true),
        allowed_origins: list('Origins, or `*`.').default([]),
        allowed_headers: list('Headers besides those that every client needs.').default([]),
        allow_credentials: bool('Lets browsers send credentials.').default(false),
      },
      async run(input, context) {
        inRoot(context)
        const { tx } = context
        if (input.enable && input.allowed_origins.length === 0)
          throw invalid('at least one origin or the wildcard must be provided')
        if (input.allowed_origins.includes('*') && input.allowed_origins.length > 1)
          throw invalid('the wildcard stands alone')
        await putCors(tx, {
          enabled: input.enable,
          allowedOrigins: input.allowed_origins,
          allowedHeaders: input.allowed_headers,
          allowCredentials: input.allow_credentials,
        })
        return undefined
      },
    }),
    cors.delete({
      summary: 'Let browsers call from other origins no longer.',
      sudo: true,
      async run(_, context) {
        inRoot(context)
        const { tx } = context
        await putCors(tx, corsOff)
        return undefined
      },
    }),
  ]
}
