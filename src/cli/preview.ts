// What -output-curl-string and -output-policy print instead of a request. The token never stands in it: curl gets it from
// `coffer print token` when it runs.
import type { Settings } from './settings.ts'

/** A request as it would go out. */
export interface PreviewRequest {
  readonly method: string
  readonly url: URL
  /** Below /v1/, not encoded. */
  readonly path: string
  readonly headers: ReadonlyArray<readonly [string, string]>
  readonly body: string | undefined
}

/** Quotes a text for a POSIX shell. */
export const shellQuote = (text: string): string =>
  /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`

/** Spells a request as a curl command on one line. */
export function curlString(request: PreviewRequest, settings: Settings): string {
  const parts = ['curl']
  const { caCert, caPath, clientCert, clientKey } = settings.tlsFiles
  if (settings.tlsSkipVerify) parts.push('--insecure')
  if (request.method !== 'GET') parts.push('-X', request.method)
  if (settings.socketPath !== undefined) parts.push('--unix-socket', shellQuote(settings.socketPath))
  if (caCert !== '') parts.push('--cacert', shellQuote(caCert))
  if (caPath !== '' && caCert === '') parts.push('--capath', shellQuote(caPath))
  if (clientCert !== '') parts.push('--cert', shellQuote(clientCert), '--key', shellQuote(clientKey))
  for (const [name, value] of request.headers)
    parts.push(
      '-H',
      name === 'X-Vault-Token'
        ? '"X-Vault-Token: $(coffer print token)"'
        : `'${`${name}: ${value}`.replaceAll("'", `'"'"'`)}'`,
    )
  if (request.body !== undefined) parts.push('-d', `'${request.body.replaceAll("'", `'"'"'`)}'`)
  parts.push(`'${request.url.href.replaceAll("'", '%27')}'`)
  return parts.join(' ')
}

const capabilitiesOf: Readonly<Record<string, readonly string[]>> = {
  GET: ['read'],
  PUT: ['create', 'update'],
  POST: ['create', 'update'],
  PATCH: ['patch'],
  DELETE: ['delete'],
  LIST: ['list'],
  SCAN: ['scan'],
}

// Paths that need `sudo` besides, as Vault's documentation lists them.
const sudoPaths: readonly RegExp[] = [
  /^auth\/token\/accessors\/?$/,
  /^pki\/root(\/sign-self-issued)?$/,
  /^sys\/audit(\/.+)?$/,
  /^sys\/auth\/.+$/,
  /^sys\/config\/auditing\/request-headers(\/.+)?$/,
  /^sys\/config\/cors$/,
  /^sys\/config\/ui\/headers(\/.*)?$/,
  /^sys\/leases$/,
  /^sys\/leases\/lookup(\/.*)?$/,
  /^sys\/leases\/revoke-(force|prefix)\/.+$/,
  /^sys\/revoke-(force|prefix)\/.+$/,
  /^sys\/plugins\/catalog\/.+$/,
  /^sys\/raw(\/.+)?$/,
  /^sys\/remount$/,
  /^sys\/rotate(\/keyring|\/root)?$/,
  /^sys\/internal\/inspect\/(request|router\/.+)$/,
  /^sys\/seal$/,
  /^sys\/step-down$/,
]

/** Spells the policy that a request needs. A lookup of leases is a write, which needs no sudo. */
export function policyString(request: PreviewRequest): string {
  const capabilities = [...(capabilitiesOf[request.method] ?? ['read'])]
  const listing = request.method === 'LIST' || request.method === 'SCAN'
  const plainLookup = /^sys\/leases\/lookup\/?$/.test(request.path) && !listing
  if (!plainLookup && sudoPaths.some((pattern) => pattern.test(request.path))) capabilities.push('sudo')
  const path = request.path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')
  return `path "${path}" {\n  capabilities = [${capabilities.map((name) => `"${name}"`).join(', ')}]\n}`
}
