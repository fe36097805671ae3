// Flags of mounts and the request bodies they make. Only what was given is sent, so that tuning one thing changes one thing.
import type { JsonObject } from '../../lib/json.ts'
import { objectOf } from '../data.ts'
import { bool, duration, type FlagValues, int, list, maybeBool, pairs, str } from '../flags.ts'
import { formatDuration } from '../go.ts'

/** Settings that can be given when mounting and later. */
export const tuning = {
  description: str('What it is for, in a few words.'),
  'default-lease-ttl': duration('Default life of leases and tokens from here; "system": the server\'s.'),
  'max-lease-ttl': duration('Longest life of leases and tokens from here; "system": the server\'s.'),
  'audit-non-hmac-request-keys': list('Request field that the audit log shows in clear; repeatable.'),
  'audit-non-hmac-response-keys': list('Response field that the audit log shows in clear; repeatable.'),
  'listing-visibility': str('Whether it shows without a login: unauth or hidden.'),
  'passthrough-request-headers': list('Request header that is passed on to it; repeatable.'),
  'allowed-response-headers': list('Response header that it may set; repeatable.'),
  options: pairs('key=value option of the engine; repeatable.'),
  version: int('Version of the engine, where there are several.'),
  'plugin-version': str('Version of the plugin.'),
}
/** Settings of a new mount. */
export const enabling = {
  ...tuning,
  path: str('Where to mount it; its type when not given.'),
  'plugin-name': str('Name of the plugin, for the type "plugin".'),
  local: bool('Keep it on this cluster.'),
  'seal-wrap': bool('Accepted for compatibility.'),
  'external-entropy-access': bool('Accepted for compatibility.'),
  'force-no-cache': bool('Accepted for compatibility.'),
  'token-type': str('Kind of tokens its logins give (auth methods).'),
}
/** Settings of an auth method that can change later. */
export const authTuning = {
  ...tuning,
  'token-type': str('Kind of tokens its logins give: default-service, default-batch, service, batch.'),
  'user-lockout-threshold': int('Failed logins before a user is locked out.'),
  'user-lockout-duration': duration('How long a user stays locked out.'),
  'user-lockout-counter-reset-duration': duration('After what time failed logins are forgotten.'),
  'user-lockout-disable': maybeBool('Turn the lockout off.'),
}

// Members of `config` that are sent only when their flag was given.
const optionalMembers: ReadonlyArray<readonly [string, string]> = [
  ['audit-non-hmac-request-keys', 'audit_non_hmac_request_keys'],
  ['audit-non-hmac-response-keys', 'audit_non_hmac_response_keys'],
  ['listing-visibility', 'listing_visibility'],
  ['passthrough-request-headers', 'passthrough_request_headers'],
  ['allowed-response-headers', 'allowed_response_headers'],
  ['token-type', 'token_type'],
  ['plugin-version', 'plugin_version'],
]

/** Members of `config` whose flags were given. */
export function optionalConfig(flags: Readonly<Record<string, unknown>>, given: ReadonlySet<string>): JsonObject {
  const config: JsonObject = {}
  for (const [flag, member] of optionalMembers)
    if (given.has(flag))
      config[member] = (Array.isArray(flags[flag]) ? [...(flags[flag] as string[])] : flags[flag]) as string
  return config
}

/** The engine's options; null when none was given. */
export function optionsOf(flags: {
  readonly options: ReadonlyMap<string, string>
  readonly version: number
}): JsonObject | null {
  const options = new Map(flags.options)
  if (flags.version > 0) options.set('version', String(flags.version))
  return options.size === 0 ? null : objectOf(options)
}

const ttlText = (ms: number): string => (ms === 0 ? '' : ms < 0 ? 'system' : formatDuration(ms))

/** What a tune request says: only what was given. */
export function tuneBody(flags: FlagValues<typeof tuning>, given: ReadonlySet<string>): JsonObject {
  const body: JsonObject = { ...optionalConfig(flags, given) }
  if (given.has('default-lease-ttl')) body['default_lease_ttl'] = ttlText(flags['default-lease-ttl'])
  if (given.has('max-lease-ttl')) body['max_lease_ttl'] = ttlText(flags['max-lease-ttl'])
  if (given.has('description')) body['description'] = flags.description
  const options = optionsOf(flags)
  if (options) body['options'] = options
  return body
}

/** The lockout part of a tune request of an auth method. */
export function lockoutBody(flags: FlagValues<typeof authTuning>, given: ReadonlySet<string>): JsonObject {
  const lockout: JsonObject = {}
  if (given.has('user-lockout-threshold')) lockout['lockout_threshold'] = String(flags['user-lockout-threshold'])
  if (given.has('user-lockout-duration')) lockout['lockout_duration'] = ttlText(flags['user-lockout-duration'])
  if (given.has('user-lockout-counter-reset-duration'))
    lockout['lockout_counter_reset_duration'] = ttlText(flags['user-lockout-counter-reset-duration'])
  if (flags['user-lockout-disable'] !== undefined) lockout['lockout_disable'] = flags['user-lockout-disable']
  return Object.keys(lockout).length === 0 ? {} : { user_lockout_config: lockout }
}
