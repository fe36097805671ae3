// Cross-origin requests, as Vault answers them: an Origin that is not allowed is 403, a preflight is answered here, the rest goes on.
import type { ClientResponse, CorsConfig } from '../core/exchange.ts'
import { denied, unsupported } from '../sdk/errors.ts'

const methods = ['DELETE', 'GET', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'LIST', 'SCAN']

/** Headers that any allowed origin may send; the configured ones come on top. */
export const corsStandardHeaders: readonly string[] = [
  'Content-Type',
  'Authorization',
  'X-Vault-Token',
  'X-Vault-MFA',
  'X-Vault-No-Request-Forwarding',
  'X-Vault-Wrap-Format',
  'X-Vault-Wrap-TTL',
  'X-Vault-Namespace',
  'X-Vault-Request',
  'X-Requested-With',
  'X-Vault-AWS-IAM-Server-ID',
  'X-Vault-Policy-Override',
  'X-Vault-Index',
  'X-Vault-Inconsistent',
  'X-Vault-Forward',
]

/** Headers for the answer to an allowed origin, or the whole answer of a preflight. */
export interface CorsAnswer {
  readonly headers: Readonly<Record<string, string>>
  readonly response: ClientResponse | undefined
}

/**
 * Judges a request that carries an Origin while CORS is enabled. Throws `ApiError` 403 for an origin that is not allowed and 405 for a
 * preflight that asks for a method nobody serves.
 */
export function judgeOrigin(
  config: CorsConfig,
  origin: string,
  method: string,
  requested: string | undefined,
): CorsAnswer {
  const { allowedOrigins } = config
  const any = allowedOrigins.length === 1 && allowedOrigins[0] === '*'
  if (!any && !allowedOrigins.includes(origin)) throw denied('origin not allowed')
  const headers: Record<string, string> = { 'Access-Control-Allow-Origin': origin, Vary: 'Origin' }
  if (config.allowCredentials) headers['Access-Control-Allow-Credentials'] = 'true'
  if (method !== 'OPTIONS') {
    headers['Access-Control-Expose-Headers'] = 'X-Vault-Index'
    return { headers, response: undefined }
  }
  if (requested === undefined || !methods.includes(requested)) throw unsupported('method not allowed')
  headers['Access-Control-Allow-Methods'] = methods.join(',')
  headers['Access-Control-Allow-Headers'] = [...new Set([...corsStandardHeaders, ...config.allowedHeaders])].join(',')
  headers['Access-Control-Max-Age'] = '300'
  return { headers, response: { status: 200, body: undefined, headers } }
}
