// From a reply to what the client reads: Vault's envelope, status codes, error bodies. Pure functions.
import { JsonText, printJson } from '../lib/json.ts'
import type { ApiError } from '../sdk/errors.ts'
import type { AuthBlock, Reply, WrapInfo } from '../sdk/reply.ts'
import type { ClientResponse } from './exchange.ts'

const emptyErrors = '{"errors":[]}\n'

/** Prints the answer to an error. */
export function errorResponse(error: ApiError): ClientResponse {
  const body = error.errors.length === 0 ? emptyErrors : `{"errors":${JSON.stringify(error.errors)}}\n`
  return error.headers ? { status: error.status, body, headers: error.headers } : { status: error.status, body }
}

/** The `auth` block as clients read it. */
export const authJson = (auth: AuthBlock): Record<string, unknown> => ({
  client_token: auth.client_token,
  accessor: auth.accessor,
  policies: auth.policies,
  token_policies: auth.token_policies,
  ...(auth.identity_policies && auth.identity_policies.length > 0 ? { identity_policies: auth.identity_policies } : {}),
  metadata: auth.metadata,
  lease_duration: auth.lease_duration,
  renewable: auth.renewable,
  entity_id: auth.entity_id,
  token_type: auth.token_type,
  orphan: auth.orphan,
  mfa_requirement: null,
  num_uses: auth.num_uses,
})

/** Parts of an answer, as they are wrapped, audited and printed. */
export interface Envelope {
  readonly requestId: string
  readonly data: object | JsonText | null
  readonly leaseSeconds: number
  readonly auth: AuthBlock | undefined
  readonly wrapInfo: WrapInfo | undefined
  readonly warnings: readonly string[]
  readonly flat: boolean
}

const jsonOrNull = (value: unknown): string => (value === undefined ? 'null' : JSON.stringify(value))

/** Prints the whole envelope, nulls included. */
export function printEnvelope(envelope: Envelope): string {
  const data = envelope.data === null ? 'null' : printJson(envelope.data)
  const flat = envelope.flat && data.length > 2 && data !== 'null' ? `${data.slice(1, -1)},` : ''
  const warnings = envelope.warnings.length === 0 ? 'null' : JSON.stringify(envelope.warnings)
  const auth = envelope.auth ? JSON.stringify(authJson(envelope.auth)) : 'null'
  return `{${flat}"request_id":"${envelope.requestId}","lease_id":"","renewable":false,"lease_duration":${envelope.leaseSeconds},"data":${data},"wrap_info":${jsonOrNull(envelope.wrapInfo)},"warnings":${warnings},"auth":${auth}}\n`
}

/** Makes the envelope of a reply. */
export const envelopeOf = (requestId: string, reply: Reply, warnings: readonly string[]): Envelope => ({
  requestId,
  data: reply.data ?? null,
  leaseSeconds: reply.leaseSeconds ?? 0,
  auth: reply.auth,
  wrapInfo: reply.wrapInfo,
  warnings: reply.warnings ? [...reply.warnings, ...warnings] : warnings,
  flat: reply.flat ?? false,
})

const isEmptyList = (reply: Reply): boolean => {
  const { data } = reply
  return (
    reply.list === true && !!data && !(data instanceof JsonText) && (data as { keys?: unknown[] }).keys?.length === 0
  )
}

/** Whether an answer holds nothing a client could want wrapped: 204 and 404. */
export const isEmpty = (reply: Reply | undefined): boolean =>
  !reply ||
  isEmptyList(reply) ||
  (!reply.data && !reply.auth && !reply.raw && !reply.stream && !reply.unwrapped && !reply.wrapInfo)

/** Prints a reply with status and headers: 404 for an absent read or an empty list, 204 for a write without result. */
export function responseOf(verb: string, reply: Reply | undefined, envelope: Envelope | undefined): ClientResponse {
  const reads = verb === 'read' || verb === 'list' || verb === 'scan'
  if (!reply || !envelope) return reads ? { status: 404, body: emptyErrors } : { status: 204, body: undefined }
  const headers = reply.headers ? { headers: reply.headers } : {}
  if (reply.raw) {
    return { status: reply.status ?? 200, body: reply.raw.body, contentType: reply.raw.contentType, ...headers }
  }
  if (reply.stream) {
    const { pieces: stream, contentType } = reply.stream
    return { status: reply.status ?? 200, body: undefined, stream, contentType, ...headers }
  }
  if (reply.unwrapped) return { status: 200, body: reply.unwrapped.text, ...headers }
  const bare = !reply.data && !reply.auth && !envelope.wrapInfo
  if (isEmptyList(reply) && envelope.warnings.length === 0) return { status: 404, body: emptyErrors, ...headers }
  if (bare && reply.status === undefined && envelope.warnings.length === 0) {
    return reads ? { status: 404, body: emptyErrors, ...headers } : { status: 204, body: undefined, ...headers }
  }
  const status = reply.status ?? 200
  if (status === 204) return { status, body: undefined, ...headers }
  if (status === 404 && bare && envelope.warnings.length === 0) return { status, body: emptyErrors, ...headers }
  return { status, body: printEnvelope(envelope), ...headers }
}
