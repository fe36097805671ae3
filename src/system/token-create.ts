// How `auth/token/create…` decides what a new token may be: kind, policies, entity, lifetime. Each rule is one function; what is refused is
// told with 400. Source: OpenBao token_store.go handleCreateCommon.
import type { TokenSpec } from '../core/tokens/create.ts'
import { fitsAny, tidyNames, tokenPolicies, unassignable } from '../core/tokens/names.ts'
import type { TokenRecord, TokenRole } from '../core/tokens/record.ts'
import { cleanDisplayName } from '../core/tokens/text.ts'
import { grantTtl, type TtlLimits } from '../core/tokens/ttl.ts'
import type { NamespaceFacts } from '../sdk/context.ts'
import { invalid } from '../sdk/errors.ts'

/** What a client may say about the token it wants, decoded. Durations in seconds; 0 and "" are unset. */
export interface CreateInput {
  readonly id: string
  readonly type: string
  readonly display_name: string
  readonly policies: readonly string[]
  readonly no_default_policy: boolean
  readonly no_parent: boolean
  readonly meta: Readonly<Record<string, string>> | undefined
  readonly ttl: number
  readonly explicit_max_ttl: number
  readonly period: number
  readonly num_uses: number
  readonly renewable: boolean
  readonly entity_alias: string
}

/** Everything the rules look at. */
export interface CreateRequest {
  readonly input: CreateInput
  readonly parent: TokenRecord
  /** The caller has `sudo` on the path called. */
  readonly sudo: boolean
  /** Called as `create-orphan`. */
  readonly orphanPath: boolean
  readonly role: TokenRole | undefined
  /** Path below the mount. */
  readonly path: string
  readonly namespace: NamespaceFacts
  readonly limits: TtlLimits
  /** Id of the entity that `entity_alias` names; "" without one. */
  readonly entityId: string
  readonly now: number
}

/** Refuses callers that may make no tokens at all. */
export function checkParent({ parent, namespace, sudo, input }: CreateRequest): void {
  if (parent.type === 'batch') throw invalid('batch tokens cannot create more tokens')
  if (parent.initialUses > 0) throw invalid('restricted use token cannot generate child tokens')
  if (parent.namespaceUuid === namespace.uuid) return
  if (!sudo) throw invalid('root or sudo privileges required to directly generate a token in a child namespace')
  if (tidyNames(input.policies).includes('root'))
    throw invalid('root tokens may not be created from a parent namespace')
}

/** Service or batch: the role may force it, else the request decides. */
export function kindOf(input: CreateInput, role: TokenRole | undefined): 'service' | 'batch' {
  const forced = role?.tokenType === 'service' || role?.tokenType === 'batch' ? role.tokenType : undefined
  const type = forced ?? (input.type || (role?.tokenType === 'default-batch' ? 'batch' : 'service'))
  if (type !== 'service' && type !== 'batch') throw invalid("invalid 'type' value")
  if (input.num_uses < 0) throw invalid('number of uses cannot be negative')
  if (type === 'service') return type
  if (input.explicit_max_ttl !== 0) throw invalid('batch tokens cannot have "explicit_max_ttl" set')
  if (input.num_uses !== 0) throw invalid('batch tokens cannot have "num_uses" set')
  if (input.period !== 0) throw invalid('batch tokens cannot have "period" set')
  return type
}

const restricts = (role: TokenRole | undefined): role is TokenRole =>
  role !== undefined &&
  [role.allowedPolicies, role.disallowedPolicies, role.allowedPoliciesGlob, role.disallowedPoliciesGlob].some(
    (names) => names.length > 0,
  )

/** Policies under a role that allows or disallows some: disjoint from what the caller has. */
function rolePolicies({ input, parent }: CreateRequest, role: TokenRole): string[] {
  const addDefault =
    !input.no_default_policy &&
    !role.noDefaultPolicy &&
    !role.disallowedPolicies.includes('default') &&
    !fitsAny(role.disallowedPoliciesGlob, 'default')
  let names = input.policies.length > 0 ? tokenPolicies(input.policies, addDefault) : []
  if (role.allowedPolicies.length > 0 || role.allowedPoliciesGlob.length > 0) {
    const allowed = tokenPolicies(role.allowedPolicies, addDefault)
    if (names.length === 0) names = allowed
    for (const name of names)
      if (!allowed.includes(name) && !fitsAny(role.allowedPoliciesGlob, name))
        throw invalid("token policies must be subset of the role's allowed policies")
  } else if (names.length === 0) names = tokenPolicies(parent.policies, addDefault)
  for (const name of names)
    if (role.disallowedPolicies.includes(name) || fitsAny(role.disallowedPoliciesGlob, name))
      throw invalid(`token policy "${name}" is disallowed by this role`)
  return names
}

/** Policies without such a role: those of the caller or fewer, unless it has sudo. */
function ownPolicies({ input, parent, namespace, sudo }: CreateRequest): string[] {
  const wanted = !input.no_default_policy
  if (namespace.uuid !== parent.namespaceUuid) return tokenPolicies(input.policies, wanted)
  if (input.policies.length === 0) return tokenPolicies(parent.policies, false)
  if (sudo) return tokenPolicies(input.policies, wanted)
  const names = tokenPolicies(input.policies, false)
  const held = tokenPolicies(parent.policies, false)
  if (!names.every((name) => held.includes(name))) throw invalid('child policies must be subset of parent')
  return tokenPolicies(names, wanted && held.includes('default'))
}

/** The policies of the new token, tidy. Throws 400 for what may not be handed on. */
export function policiesOf(request: CreateRequest): string[] {
  const { input, parent, role } = request
  const all = restricts(role) ? rolePolicies(request, role) : ownPolicies(request)
  const names = input.no_default_policy ? all.filter((name) => name !== 'default') : all
  for (const name of names) if (unassignable.includes(name)) throw invalid(`cannot assign policy "${name}"`)
  if (names.includes('root') && !parent.policies.includes('root'))
    throw invalid('root tokens may not be created without parent token being root')
  return names
}

interface Lifetime {
  readonly ttlSeconds: number
  readonly warnings: readonly string[]
}

const lesser = (asked: number, ofRole: number): number =>
  asked === 0 ? ofRole : ofRole === 0 ? asked : Math.min(asked, ofRole)

/** How long it lives; 0: for ever (root). */
function lifetimeOf(request: CreateRequest, policies: readonly string[], kind: 'service' | 'batch'): Lifetime {
  const { input, role, sudo, limits, now, parent } = request
  if (input.period > 0 && !sudo) throw invalid('root or sudo privileges required to create periodic token')
  const ofRole = kind === 'batch' ? undefined : role
  const explicitMaxTtlSeconds = lesser(input.explicit_max_ttl, ofRole?.explicitMaxTtlSeconds ?? 0)
  const periodSeconds = lesser(input.period, ofRole?.periodSeconds ?? 0)
  const warnings: string[] = []
  if (input.explicit_max_ttl > 0 && ofRole && ofRole.explicitMaxTtlSeconds > 0)
    warnings.push(
      `Explicit max TTL specified both during creation call and in role; using the lesser value of ${explicitMaxTtlSeconds} seconds`,
    )
  if (input.period > 0 && ofRole && ofRole.periodSeconds > 0)
    warnings.push(
      `Period specified both during creation call and in role; using the lesser value of ${periodSeconds} seconds`,
    )
  const root = policies.includes('root')
  if (root && periodSeconds === 0 && input.ttl === 0) {
    if (explicitMaxTtlSeconds === 0 && parent.creationTtlSeconds !== 0)
      throw invalid('expiring root tokens cannot create non-expiring root tokens')
    return { ttlSeconds: explicitMaxTtlSeconds, warnings }
  }
  const granted = grantTtl(limits, { ttlSeconds: input.ttl, periodSeconds, explicitMaxTtlSeconds, now })
  return { ttlSeconds: granted.ttlSeconds, warnings: [...warnings, ...granted.warnings] }
}

/** Whether the new token stands alone. */
function isOrphan({ input, role, sudo, orphanPath }: CreateRequest): boolean {
  if (role) return role.orphan
  if (input.no_parent && !sudo) throw invalid('root or sudo privileges required to create orphan token')
  return input.no_parent || orphanPath
}

const usesOf = ({ num_uses: asked }: CreateInput, role: TokenRole | undefined): number =>
  lesser(asked, role?.numUses ?? 0)

/** The token as all rules together allow it, and what the client is to be warned of. */
export function decideToken(request: CreateRequest): {
  readonly spec: TokenSpec
  readonly warnings: readonly string[]
} {
  const { input, role, parent, namespace, now } = request
  checkParent(request)
  const kind = kindOf(input, role)
  if (input.id !== '' && !request.sudo) throw invalid('root or sudo privileges required to specify token id')
  const policies = policiesOf(request)
  const orphan = isOrphan(request)
  const lifetime = lifetimeOf(request, policies, kind)
  const inherits = !orphan && request.entityId === ''
  const path = `auth/token/${request.path}${role?.pathSuffix ? `/${role.pathSuffix}` : ''}`
  const entityId = inherits ? parent.entityId : request.entityId
  const spec: TokenSpec = {
    namespace,
    now,
    type: kind,
    ...(input.id === '' ? {} : { id: input.id }),
    ...(orphan ? {} : { parent }),
    policies,
    noDefaultPolicy: input.no_default_policy,
    path,
    displayName: input.display_name === '' ? 'token' : cleanDisplayName(`token-${input.display_name}`),
    meta: input.meta ?? null,
    entityId,
    entityNamespaceUuid: inherits ? parent.entityNamespaceUuid : namespace.uuid,
    ttlSeconds: lifetime.ttlSeconds,
    explicitMaxTtlSeconds: input.explicit_max_ttl,
    periodSeconds: input.period,
    numUses: kind === 'batch' ? 0 : usesOf(input, role),
    renewable: input.renewable && (role?.renewable ?? true),
    role: role?.name ?? '',
    boundCidrs: role ? role.boundCidrs : inherits ? parent.boundCidrs : [],
  }
  return { spec, warnings: lifetime.warnings }
}
