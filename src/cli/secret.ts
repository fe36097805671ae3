// The envelope of answers: request_id, lease, data, warnings, auth, wrap_info. Some endpoints answer without it; their
// members count as data, as in Vault's client.
import { isJsonObject, type JsonObject, type JsonValue, numberOf } from '../lib/json.ts'

/** An answer with its envelope; absent parts are null, empty or zero. */
export interface Secret {
  readonly request_id: string
  readonly lease_id: string
  readonly lease_duration: JsonValue
  readonly renewable: boolean
  readonly data: JsonObject | null
  readonly warnings: readonly string[] | null
  readonly auth: JsonObject | null
  readonly wrap_info: JsonObject | null
}

const objectOrNull = (value: JsonValue | undefined): JsonObject | null => (isJsonObject(value) ? value : null)
const textsOf = (value: JsonValue | undefined): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []

const envelope = ['request_id', 'lease_id', 'lease_duration', 'renewable', 'data', 'warnings', 'auth', 'wrap_info']

const isEmpty = (value: JsonValue | undefined): boolean =>
  value === undefined || value === null || value === '' || value === false || numberOf(value) === 0

/** Reads an answer's body; undefined (no body), or nothing but `errors`, is null. */
export function secretOf(body: JsonValue | undefined): Secret | null {
  if (!isJsonObject(body)) return null
  const bare = envelope.every((key) => isEmpty(body[key]))
  const keys = Object.keys(body)
  if (bare && keys.length === 1 && keys[0] === 'errors') return null
  return {
    request_id: typeof body['request_id'] === 'string' ? body['request_id'] : '',
    lease_id: typeof body['lease_id'] === 'string' ? body['lease_id'] : '',
    lease_duration: numberOf(body['lease_duration']) === undefined ? 0 : (body['lease_duration'] ?? 0),
    renewable: body['renewable'] === true,
    data: bare ? (keys.length > 0 ? body : null) : objectOrNull(body['data']),
    warnings: Array.isArray(body['warnings']) ? textsOf(body['warnings']) : null,
    auth: objectOrNull(body['auth']),
    wrap_info: objectOrNull(body['wrap_info']),
  }
}

/** Whether a 404 still says something: warnings or data. */
export const saysSomething = (secret: Secret | null): secret is Secret =>
  secret !== null && ((secret.warnings ?? []).length > 0 || Object.keys(secret.data ?? {}).length > 0)

/** The `keys` of a list answer; undefined when it has none. */
export function keysOf(secret: Secret | null): readonly JsonValue[] | undefined {
  const keys = secret?.data?.['keys']
  return Array.isArray(keys) ? keys : undefined
}

/** Whether the answer is wrapped: there is a wrapping token instead of data. */
export const isWrapped = (secret: Secret | null): boolean =>
  secret?.wrap_info != null && (numberOf(secret.wrap_info['ttl']) ?? 0) !== 0

/** A text member of an object, or an empty text. */
export const textOf = (object: JsonObject | null | undefined, key: string): string => {
  const value = object?.[key]
  return typeof value === 'string' ? value : ''
}

/** A whole number member of an object, or 0. */
export const intOf = (object: JsonObject | null | undefined, key: string): number => numberOf(object?.[key]) ?? 0

/** The texts in a list member of an object, or an empty list. */
export const listOf = (object: JsonObject | null | undefined, key: string): string[] => textsOf(object?.[key])

/** The members below `data` when the answer has an envelope, otherwise the answer itself (init, seal-status, rekey …). */
export function payloadOf(body: JsonValue | undefined): JsonObject {
  if (!isJsonObject(body)) return {}
  const data = body['data']
  return 'request_id' in body && isJsonObject(data) ? data : body
}
