// Events become lines in Vault's audit format, hashed under one device's salt. A body is a line without its last brace: the chain
// goes there. Two bodies are made per request, so what belongs to a token or a mount is put together once and found by identity.
import { hash as digest } from 'node:crypto'
import { type DataStyle, elideList, printValue } from './data.ts'
import type { AuditAuth, AuditEvent, AuditMount, AuditRequest, AuditResponse, AuditWrapInfo } from './event.ts'
import { type Hasher, saltHasher } from './salt.ts'
import { formatTime } from './time.ts'

/** How a device writes its entries. Source: the options every Vault audit device takes. */
export interface FormatOptions {
  readonly salt: string
  readonly logRaw: boolean
  readonly hmacAccessor: boolean
  readonly elideListResponses: boolean
}

/** Which request headers are written, by lower-case name, and whether hashed. Source: sys/config/auditing/request-headers. */
export type AuditedHeaders = Readonly<Record<string, { readonly hmac: boolean }>>

/** Makes the bodies of one device. */
export interface Formatter {
  /** Gives the body of the event: JSON without its closing brace. Throws only for data that JSON cannot hold. */
  body(event: AuditEvent): string
  /** Hashes as this device does, whatever `log_raw` says (sys/audit-hash). */
  readonly hash: Hasher
  setHeaders(headers: AuditedHeaders): void
}

const quote = (text: string): string => JSON.stringify(text)
const text = (name: string, value: string): string => (value === '' ? '' : `,"${name}":${quote(value)}`)
const count = (name: string, value: number): string => (value === 0 ? '' : `,"${name}":${Math.trunc(value)}`)
const names = (name: string, list: readonly string[]): string =>
  list.length === 0 ? '' : `,"${name}":${JSON.stringify(list)}`
const record = (name: string, value: Readonly<Record<string, unknown>> | null): string => {
  if (value === null) return ''
  for (const key in value) if (Object.hasOwn(value, key)) return `,"${name}":${JSON.stringify(value)}`
  return ''
}
/** Members without the comma in front, in braces. Not for long ones in the hot path: cutting a string copies what was put together. */
const object = (members: string): string => `{${members.slice(1)}}`

const noResponse: AuditResponse = {
  data: undefined,
  auth: undefined,
  secret: undefined,
  wrapInfo: undefined,
  warnings: [],
  redirect: '',
  list: false,
}

interface MountParts {
  /** Members of the request part, each with a comma in front. */
  readonly request: string
  /** The beginning of the response part: a brace and members, or a brace alone. */
  readonly response: string
}
const mountParts = new WeakMap<AuditMount, MountParts>()

/** What entries say of a mount; the same for all devices. */
function partsOfMount(mount: AuditMount): MountParts {
  const known = mountParts.get(mount)
  if (known) return known
  const place =
    text('mount_point', mount.point) + text('mount_type', mount.type) + text('mount_accessor', mount.accessor)
  const kind = text('mount_class', mount.class)
  const parts = {
    request: place + text('mount_running_version', mount.runningVersion) + kind,
    response: `{${(place + text('mount_running_plugin_version', mount.runningVersion) + kind).slice(1)}`,
  }
  mountParts.set(mount, parts)
  return parts
}

interface AuthParts {
  /** Members of the request part that repeat the caller's handles, each with a comma in front. */
  readonly token: string
  readonly accessor: string
  /** The auth part up to `policy_results`: a brace and members. "" when there is nothing before. */
  readonly before: string
  /** Members behind, each with a comma in front. */
  readonly behind: string
  clientNamespace: string
  clientId: string
}

/** Who the caller is to someone who counts clients: the entity, else a digest of policies and namespace, as Vault makes it. */
function clientId(auth: AuditAuth, parts: AuthParts, namespaceId: string): string {
  if (parts.clientNamespace === namespaceId) return parts.clientId
  const input = `${[...auth.tokenPolicies].sort().join('\x7f')}\0${namespaceId}`
  const id = auth.entityId !== '' || auth.clientToken === '' ? auth.entityId : digest('sha256', input, 'base64')
  parts.clientNamespace = namespaceId
  parts.clientId = text('client_id', id)
  return parts.clientId
}

const joined = ({ before, behind }: AuthParts, results: string): string =>
  before === '' ? object(results + behind) : `${before}${results}${behind}}`

function policyResults(event: AuditEvent): string {
  if (event.allowed === undefined) return ''
  let granting = ''
  for (const grant of event.granting)
    granting +=
      (granting === '' ? '{' : ',{') +
      `${text('name', grant.name)}${text('namespace_id', grant.namespaceId)},"type":${quote(grant.type)}}`.slice(1)
  const list = granting === '' ? '' : `,"granting_policies":[${granting}]`
  return `,"policy_results":{"allowed":${event.allowed}${list}}`
}

/** Makes the formatter of one device. Throws `TypeError` for a salt that cannot be used. */
export function formatter(options: FormatOptions): Formatter {
  const hash = saltHasher(options.salt)
  const secret: Hasher = options.logRaw ? (value) => value : hash
  const handle: Hasher = options.logRaw || !options.hmacAccessor ? (value) => value : hash
  const plainStyle: DataStyle = { hash: options.logRaw ? undefined : hash, clearKeys: [] }
  const auths = new WeakMap<AuditAuth, AuthParts>()
  // The request part stands in both entries of a request; it is kept as long as the request itself lives.
  const requests = new WeakMap<AuditRequest, string>()
  // What the two entries of one request have in common stands here between them.
  let lastAuth: AuditAuth | undefined
  let lastGranting: AuditEvent['granting'] | undefined
  let lastAllowed: boolean | undefined
  let lastAuthPart = ''
  let lastNamespace: AuditRequest['namespace'] | undefined
  let lastNamespacePart = ''
  let lastAddress = ''
  let lastAddressPart = ''
  let lastRequest: AuditRequest | undefined
  let lastRequestPart = ''
  let headers: readonly (readonly [string, { readonly hmac: boolean }])[] = []

  const hidden = (name: string, value: string, by: Hasher): string =>
    value === '' ? '' : `,"${name}":${quote(by(value))}`
  const styleFor = (clearKeys: readonly string[]): DataStyle =>
    clearKeys.length === 0 ? plainStyle : { hash: plainStyle.hash, clearKeys }

  const partsOfAuth = (auth: AuditAuth): AuthParts => {
    const known = auths.get(auth)
    if (known) return known
    const token = auth.clientToken === '' ? '' : secret(auth.clientToken)
    const accessor = auth.accessor === '' ? '' : handle(auth.accessor)
    const before =
      text('client_token', token) +
      text('accessor', accessor) +
      text('display_name', auth.displayName) +
      names('policies', auth.policies) +
      names('token_policies', auth.tokenPolicies) +
      names('identity_policies', auth.identityPolicies) +
      record('external_namespace_policies', auth.externalNamespacePolicies) +
      (auth.noDefaultPolicy ? ',"no_default_policy":true' : '')
    const parts: AuthParts = {
      token: text('client_token', token),
      accessor: text('client_token_accessor', accessor),
      before: before === '' ? '' : `{${before.slice(1)}`,
      behind:
        record('metadata', auth.metadata) +
        text('entity_id', auth.entityId) +
        text('token_type', auth.tokenType === '' ? 'default' : auth.tokenType) +
        count('token_ttl', auth.tokenTtlSeconds) +
        text('token_issue_time', auth.tokenIssueTime),
      clientNamespace: '\0',
      clientId: '',
    }
    auths.set(auth, parts)
    return parts
  }

  const namespacePart = (namespace: AuditRequest['namespace']): string => {
    if (namespace !== lastNamespace) {
      lastNamespace = namespace
      lastNamespacePart = `,"namespace":${object(text('id', namespace.id) + text('path', namespace.path))}`
    }
    return lastNamespacePart
  }

  const addressPart = (address: string): string => {
    if (address !== lastAddress) {
      lastAddress = address
      lastAddressPart = text('remote_address', address)
    }
    return lastAddressPart
  }

  const headerPart = (request: AuditRequest): string => {
    let out = ''
    for (const [name, { hmac }] of headers) {
      const value = Object.hasOwn(request.headers, name) ? request.headers[name] : undefined
      if (value === undefined) continue
      const list = typeof value === 'string' ? [value] : value
      const shown = hmac ? list.map(hash) : list
      out += `,${quote(name)}:${JSON.stringify(shown)}`
    }
    return out === '' ? '' : `,"headers":${object(out)}`
  }

  const buildRequest = (request: AuditRequest, auth: AuditAuth | undefined): string => {
    const parts = auth && partsOfAuth(auth)
    const { mount, namespace } = request
    const ownToken = auth !== undefined && request.clientToken === auth.clientToken
    const ownAccessor = auth !== undefined && request.clientTokenAccessor === auth.accessor
    const data =
      request.data === undefined || request.data === null
        ? ''
        : `,"data":${printValue(request.data, styleFor(mount?.nonHmacRequestKeys ?? []))}`
    return (
      `{"id":${quote(request.id)}` +
      (auth && parts ? clientId(auth, parts, namespace.id) : '') +
      text('operation', request.operation) +
      (mount ? partsOfMount(mount).request : '') +
      (parts && ownToken ? parts.token : hidden('client_token', request.clientToken, secret)) +
      (parts && ownAccessor ? parts.accessor : hidden('client_token_accessor', request.clientTokenAccessor, handle)) +
      namespacePart(namespace) +
      text('path', request.path) +
      (data === ',"data":{}' ? '' : data) +
      addressPart(request.remoteAddress) +
      count('remote_port', request.remotePort) +
      count('wrap_ttl', request.wrapTtlSeconds) +
      (headers.length === 0 ? '' : headerPart(request)) +
      text('client_certificate_serial_number', request.clientCertificateSerialNumber) +
      '}'
    )
  }

  const requestPart = (event: AuditEvent): string => {
    const { request } = event
    if (request.data === undefined) {
      // Both entries of a read come in one batch; a request with data is never held on to here.
      if (request === lastRequest) return lastRequestPart
      lastRequest = request
      lastRequestPart = buildRequest(request, event.auth)
      return lastRequestPart
    }
    const part = requests.get(request) ?? buildRequest(request, event.auth)
    if (event.type === 'request') requests.set(request, part)
    else requests.delete(request)
    return part
  }

  const wrapPart = (wrap: AuditWrapInfo): string =>
    `,"wrap_info":${object(
      count('ttl', wrap.ttlSeconds) +
        hidden('token', wrap.token, secret) +
        hidden('accessor', wrap.accessor, handle) +
        text('creation_time', wrap.creationTime) +
        text('creation_path', wrap.creationPath) +
        hidden('wrapped_accessor', wrap.wrappedAccessor, handle),
    )}`

  const responsePart = (response: AuditResponse, mount: AuditMount | undefined): string => {
    const shown = response.list && options.elideListResponses ? elideList(response.data) : response.data
    const data =
      shown === undefined || shown === null
        ? ''
        : `,"data":${printValue(shown, styleFor(mount?.nonHmacResponseKeys ?? []))}`
    const place = mount ? partsOfMount(mount).response : '{'
    const rest =
      (response.secret ? `,"secret":${object(text('lease_id', response.secret.leaseId))}` : '') +
      (data === ',"data":{}' ? '' : data) +
      names('warnings', response.warnings) +
      text('redirect', response.redirect) +
      (response.wrapInfo ? wrapPart(response.wrapInfo) : '')
    if (response.auth === undefined && place.length > 1) return `${place}${rest}}`
    const auth = response.auth ? `,"auth":${joined(partsOfAuth(response.auth), '')}` : ''
    return object(`${auth}${place.length > 1 ? `,${place.slice(1)}` : ''}${rest}`)
  }

  const authPart = (event: AuditEvent): string => {
    const { auth, granting, allowed } = event
    if (auth === lastAuth && granting === lastGranting && allowed === lastAllowed) return lastAuthPart
    const parts = auth && partsOfAuth(auth)
    const results = policyResults(event)
    lastAuth = auth
    lastGranting = granting
    lastAllowed = allowed
    lastAuthPart = parts ? joined(parts, results) : object(`${results},"token_type":"default"`)
    return lastAuthPart
  }

  return {
    hash,
    setHeaders(config) {
      headers = Object.entries(config)
    },
    body(event) {
      const { response } = event
      return (
        `{"time":"${formatTime(event.time)}","type":"${event.type}","auth":${authPart(event)},"request":${requestPart(event)}` +
        (event.type === 'response' ? `,"response":${responsePart(response ?? noResponse, event.request.mount)}` : '') +
        (event.error === '' ? '' : `,"error":${quote(event.error)}`)
      )
    },
  }
}
