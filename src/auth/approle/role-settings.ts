// What can be set on a role: its fields, how they are put over what is stored, and how they are shown. The role's own path and each of
// its sub-paths read and write through here, so that no rule holds for one and not for the other.
import { isCidr } from '../../lib/cidr.ts'
import { formatDuration } from '../../lib/duration.ts'
import { bool, duration, int, invalid, list, type MountFacts, type ValuesOf } from '../../sdk/index.ts'
import {
  mergeTokenParams,
  type OlderName,
  olderTokenParamFields,
  showTokenParams,
  tokenParamFields,
} from '../../sdk/token-params.ts'
import type { RoleRecord } from './role-store.ts'

const older = ['period', 'policies'] as const satisfies readonly OlderName[]

/** Fields of a role that can be written at any time. */
export const settingFields = {
  bind_secret_id: bool('Whether a login needs a secret id besides the role id; true unless said otherwise.'),
  secret_id_bound_cidrs: list('Addresses and ranges that may log in with this role.'),
  secret_id_num_uses: int('How many logins a secret id is good for; 0 is without limit.'),
  secret_id_ttl: duration('Lifetime of secret ids; 0 is without end.'),
  ...tokenParamFields,
  ...olderTokenParamFields(...older),
}

export type RoleSettings = Partial<ValuesOf<typeof settingFields>>

/** Puts what a request says over a role and checks the outcome; throws `invalid` that names the field. */
export function withSettings(role: RoleRecord, input: RoleSettings, mount: MountFacts): RoleRecord {
  const after = {
    ...role,
    bindSecretId: input.bind_secret_id ?? role.bindSecretId,
    secretIdBoundCidrs: input.secret_id_bound_cidrs ?? role.secretIdBoundCidrs,
    secretIdNumUses: input.secret_id_num_uses ?? role.secretIdNumUses,
    secretIdTtlSeconds: input.secret_id_ttl ?? role.secretIdTtlSeconds,
    token: mergeTokenParams(role.token, input, older),
  }
  checkCidrs('secret_id_bound_cidrs', after.secretIdBoundCidrs)
  if (after.secretIdNumUses < 0) throw invalid('field "secret_id_num_uses" cannot be negative')
  if (input.period !== undefined) checkPeriod(after, mount)
  return after
}

/** Refuses a list that holds what is no address or range: 400. */
export function checkCidrs(field: string, ranges: readonly string[]): void {
  if (!ranges.every(isCidr)) throw invalid(`field "${field}" holds what is neither an address nor a range`)
}

/** Refuses a period that the mount would never give. */
export function checkPeriod({ token }: RoleRecord, { maxLeaseTtlSeconds }: MountFacts): void {
  if (token.token_period > maxLeaseTtlSeconds)
    throw invalid(`field "token_period" is greater than the mount's maximum of ${formatDuration(maxLeaseTtlSeconds)}`)
}

const orNull = (ranges: readonly string[]): readonly string[] | null => (ranges.length === 0 ? null : ranges)

/** Shows a role as its own path does. */
export const shownRole = (role: RoleRecord): Record<string, unknown> => ({
  bind_secret_id: role.bindSecretId,
  local_secret_ids: role.localSecretIds,
  secret_id_bound_cidrs: orNull(role.secretIdBoundCidrs),
  secret_id_num_uses: role.secretIdNumUses,
  secret_id_ttl: role.secretIdTtlSeconds,
  ...showTokenParams(role.token),
})

/** Shows some fields of a role as their own paths do: there an empty list of token CIDRs is null too. */
export function shownFields(role: RoleRecord, names: readonly string[]): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...shownRole(role), token_bound_cidrs: orNull(role.token.token_bound_cidrs) }
  return Object.fromEntries(names.filter((name) => name in shown).map((name) => [name, shown[name]]))
}
