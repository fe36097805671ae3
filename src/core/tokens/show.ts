// What clients see of tokens: the `auth` block of creation, login and renewal, and the data of a lookup. The parent is never told: who
// knew it could climb. Source: OpenBao token_store.go handleLookup.
import type { AuthBlock } from '../../sdk/reply.ts'
import type { Topology } from '../topology.ts'
import { tidyNames } from './names.ts'
import type { FoundToken, TokenRecord } from './record.ts'

/** The `auth` block of a token; `token` is "" where its text must not be told. */
export function authBlock(
  record: TokenRecord,
  token: string,
  about: { readonly identityPolicies?: readonly string[]; readonly orphan?: boolean } = {},
): AuthBlock {
  const identityPolicies = tidyNames(about.identityPolicies ?? [])
  return {
    client_token: token,
    accessor: record.accessor,
    policies: tidyNames([...record.policies, ...identityPolicies]),
    token_policies: record.policies,
    ...(identityPolicies.length > 0 ? { identity_policies: identityPolicies } : {}),
    metadata: record.meta,
    lease_duration: record.leaseTtlSeconds,
    renewable: record.renewable,
    entity_id: record.entityId,
    token_type: record.type,
    orphan: about.orphan ?? record.parent === undefined,
    num_uses: record.initialUses,
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()

/** Seconds a token has left, as a lookup shows them. */
const remaining = (record: TokenRecord, now: number): number =>
  record.expireTime === 0 ? 0 : Math.max(0, Math.floor((record.expireTime - Math.round(now / 1000) * 1000) / 1000))

/** The data of a lookup. `id` is the text of the token, or "" when it was looked up by its accessor. */
export function lookupData(
  found: FoundToken,
  about: {
    readonly id: string
    readonly now: number
    readonly topology: Topology
    readonly identityPolicies?: readonly string[]
  },
): Record<string, unknown> {
  const { record } = found
  const { id, now, topology } = about
  const identityPolicies = tidyNames(about.identityPolicies ?? [])
  const namespacePath = topology.namespacesByUuid.get(record.namespaceUuid)?.record.path ?? ''
  return {
    accessor: record.accessor,
    ...(record.boundCidrs.length > 0 ? { bound_cidrs: record.boundCidrs } : {}),
    creation_time: Math.floor(record.createdTime / 1000),
    creation_ttl: record.creationTtlSeconds,
    display_name: record.displayName,
    entity_id: record.entityId,
    expire_time: record.expireTime === 0 ? null : iso(record.expireTime),
    explicit_max_ttl: record.explicitMaxTtlSeconds,
    ...(identityPolicies.length > 0 ? { external_namespace_policies: {}, identity_policies: identityPolicies } : {}),
    id,
    issue_time: iso(record.createdTime),
    ...(record.lastRenewalTime > 0
      ? { last_renewal: iso(record.lastRenewalTime), last_renewal_time: Math.floor(record.lastRenewalTime / 1000) }
      : {}),
    meta: record.meta,
    ...(namespacePath !== '' ? { namespace_path: namespacePath } : {}),
    num_uses: record.numUses,
    orphan: found.orphan,
    path: record.path,
    ...(record.periodSeconds > 0 ? { period: record.periodSeconds } : {}),
    policies: record.policies,
    renewable: record.renewable,
    ...(record.role !== '' ? { role: record.role } : {}),
    ttl: remaining(record, now),
    type: record.type,
  }
}
