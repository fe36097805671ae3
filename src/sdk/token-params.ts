// The `token_*` parameters that every auth method's roles and users share: taken, kept, shown and turned into what a login grants.
// The older names without `token_` (policies, ttl, …) are taken too and shown again beside the newer ones.
import { inCidrs, isCidr, shortCidr } from '../lib/cidr.ts'
import { denied, invalid } from './errors.ts'
import { bool, duration, type Field, int, list, str } from './fields.ts'
import type { TokenParams } from './reply.ts'

/** Input fields of everything that makes tokens. Source: OpenBao, "Tokens", token_* of auth methods. */
export const tokenParamFields = {
  token_bound_cidrs: list('Addresses and ranges that may log in and use the token.'),
  token_explicit_max_ttl: duration('Lifetime the token can never outlive, whatever its renewals.'),
  token_max_ttl: duration('Lifetime up to which the token can be renewed.'),
  token_no_default_policy: bool('Leave the policy "default" out.'),
  token_num_uses: int('How often the token can be used; 0 is without limit.'),
  token_period: duration('Makes the token periodic: each renewal gives it this long, for ever.'),
  token_policies: list('Policies of the token.'),
  token_strictly_bind_ip: bool('Bind the token to the address that logged in.'),
  token_ttl: duration('Lifetime of the token before its first renewal.'),
  token_type: str('Kind of token: default (as the mount says), service or batch.'),
}

/** What the decoder makes of `tokenParamFields`; undefined where the request does not say. */
export type TokenParamInput = {
  [K in keyof typeof tokenParamFields]?: (typeof tokenParamFields)[K] extends Field<infer T> ? T : never
}

/** Token parameters as a role keeps them. Durations in seconds. `older` holds the older names that were written last. */
export interface StoredTokenParams {
  readonly token_bound_cidrs: readonly string[]
  readonly token_explicit_max_ttl: number
  readonly token_max_ttl: number
  readonly token_no_default_policy: boolean
  readonly token_num_uses: number
  readonly token_period: number
  readonly token_policies: readonly string[]
  readonly token_strictly_bind_ip: boolean
  readonly token_ttl: number
  readonly token_type: 'default' | 'service' | 'batch'
  readonly older?: readonly OlderName[]
}

/** Parameters of a role that never set any. */
export const emptyTokenParams: StoredTokenParams = {
  token_bound_cidrs: [],
  token_explicit_max_ttl: 0,
  token_max_ttl: 0,
  token_no_default_policy: false,
  token_num_uses: 0,
  token_period: 0,
  token_policies: [],
  token_strictly_bind_ip: false,
  token_ttl: 0,
  token_type: 'default',
}

const older = {
  bound_cidrs: 'token_bound_cidrs',
  max_ttl: 'token_max_ttl',
  num_uses: 'token_num_uses',
  period: 'token_period',
  policies: 'token_policies',
  ttl: 'token_ttl',
} as const

/** Names that some methods had before `token_*`. */
export type OlderName = keyof typeof older

/** Input fields of the older names a method still takes. */
export function olderTokenParamFields<N extends OlderName>(
  ...names: readonly N[]
): { [K in N]: (typeof tokenParamFields)[(typeof older)[K]] } {
  const fields: Record<string, Field<unknown>> = {}
  for (const name of names) {
    const field = tokenParamFields[older[name]]
    fields[name] = field.deprecated()
  }
  return fields as never
}

/** Lower-cases policy names, sorts them and drops empty and double ones; "root" stands alone. */
export function cleanPolicies(names: readonly string[]): string[] {
  const clean = names.map((name) => name.trim().toLowerCase()).filter((name) => name !== '')
  return clean.includes('root') ? ['root'] : [...new Set(clean)].sort()
}

const types: Readonly<Record<string, StoredTokenParams['token_type']>> = {
  '': 'default',
  default: 'default',
  service: 'service',
  batch: 'batch',
}

function typeOf(text: string): StoredTokenParams['token_type'] {
  const type = Object.hasOwn(types, text) ? types[text] : undefined
  if (!type) throw invalid('field "token_type" must be one of: default, service, batch')
  return type
}

const emptyValue: Readonly<Record<OlderName, number | readonly string[]>> = {
  bound_cidrs: [],
  max_ttl: 0,
  num_uses: 0,
  period: 0,
  policies: [],
  ttl: 0,
}

const isEmptyValue = (name: OlderName, value: unknown): boolean =>
  Array.isArray(value) ? value.length === 0 : value === emptyValue[name]

/**
 * Puts what a request says over what is stored and checks the outcome. A newer name beats its older one.
 * Throws `invalid` that names the field. `olderNames` are the ones the method takes.
 */
export function mergeTokenParams(
  stored: StoredTokenParams,
  input: TokenParamInput & { readonly [K in OlderName]?: number | readonly string[] | undefined },
  olderNames: readonly OlderName[] = [],
): StoredTokenParams {
  const shown = new Set(stored.older ?? [])
  const newer: Record<string, unknown> = {}
  for (const name of Object.keys(tokenParamFields) as (keyof TokenParamInput)[])
    if (input[name] !== undefined) newer[name] = input[name]
  for (const name of olderNames) {
    const value = input[name]
    const target = older[name]
    if (newer[target] !== undefined) {
      // Written by its newer name: the older one is shown again only if it was sent along.
      if (value === undefined) shown.delete(name)
      else shown.add(name)
    } else if (value !== undefined) {
      newer[target] = name === 'policies' ? cleanPolicies(value as string[]) : value
      shown.add(name)
    }
  }
  const merged = { ...stored, ...newer } as StoredTokenParams & { token_type: string }
  const names = [...shown].filter((name) => !isEmptyValue(name, merged[older[name]])).sort()
  const { older: _, ...params } = { ...merged, token_type: typeOf(merged.token_type) }
  check(params)
  const tidy = { ...params, token_bound_cidrs: params.token_bound_cidrs.map(shortCidr) }
  return names.length === 0 ? tidy : { ...tidy, older: names }
}

/** Throws `invalid` where parameters contradict each other. */
function check(params: StoredTokenParams): void {
  for (const range of params.token_bound_cidrs)
    if (!isCidr(range)) throw invalid('field "token_bound_cidrs" holds what is neither an address nor a range')
  if (params.token_num_uses < 0) throw invalid('field "token_num_uses" cannot be negative')
  if (params.token_type === 'batch') {
    if (params.token_period !== 0) throw invalid('field "token_type" cannot be batch for periodic tokens')
    if (params.token_num_uses !== 0)
      throw invalid('field "token_type" cannot be batch for tokens with a limited number of uses')
  }
  if (params.token_ttl > 0 && params.token_max_ttl > 0 && params.token_ttl > params.token_max_ttl)
    throw invalid('field "token_ttl" cannot be greater than "token_max_ttl"')
  if (params.token_strictly_bind_ip && params.token_bound_cidrs.length > 0)
    throw invalid('field "token_strictly_bind_ip" cannot be set together with "token_bound_cidrs"')
}

/** Shows stored parameters as an answer has them, older names beside the newer ones where they were used. */
export function showTokenParams(stored: StoredTokenParams): Record<string, unknown> {
  const { older: names, ...params } = stored
  const shown: Record<string, unknown> = { ...params }
  for (const name of names ?? []) shown[name] = params[older[name]]
  return shown
}

/** Output fields of what `showTokenParams` shows. */
export const tokenParamOutput = tokenParamFields

/** Turns stored parameters into what a login from `remoteAddress` grants. */
export const grantedParams = (stored: StoredTokenParams, remoteAddress: string): TokenParams => ({
  ttlSeconds: stored.token_ttl,
  maxTtlSeconds: stored.token_max_ttl,
  explicitMaxTtlSeconds: stored.token_explicit_max_ttl,
  periodSeconds: stored.token_period,
  numUses: stored.token_num_uses,
  boundCidrs: stored.token_strictly_bind_ip ? [remoteAddress] : stored.token_bound_cidrs,
  strictlyBindIp: stored.token_strictly_bind_ip,
  noDefaultPolicy: stored.token_no_default_policy,
  type: stored.token_type,
  policies: stored.token_policies,
})

/** Refuses a login from an address the role is not bound to: 403. */
export function checkBoundCidrs(stored: StoredTokenParams, remoteAddress: string): void {
  if (stored.token_bound_cidrs.length > 0 && !inCidrs(remoteAddress, stored.token_bound_cidrs)) throw denied()
}

/** Whether two lists name the same policies, "default" aside: what a renewal asks before it goes on. */
export function samePolicies(a: readonly string[], b: readonly string[]): boolean {
  const essence = (names: readonly string[]): string =>
    JSON.stringify(cleanPolicies(names).filter((name) => name !== 'default'))
  return essence(a) === essence(b)
}
