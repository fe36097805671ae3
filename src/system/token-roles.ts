// Token roles: what `auth/token/create/<role>` allows and forces. An update keeps what it does not name.
import { tidyNames } from '../core/tokens/names.ts'
import { type TokenRole, tokenRoles } from '../core/tokens/record.ts'
import { isCidr, shortCidr } from '../lib/cidr.ts'
import {
  bool,
  duration,
  int,
  invalid,
  list,
  listReply,
  type Operation,
  path,
  type Reply,
  str,
  type WriteContext,
} from '../sdk/index.ts'

const fields = {
  allowed_policies: list('Policies tokens of this role may have; with none named they get all of these.'),
  disallowed_policies: list('Policies tokens of this role may not have.'),
  allowed_policies_glob: list('Patterns with * of policies they may have.'),
  disallowed_policies_glob: list('Patterns with * of policies they may not have.'),
  allowed_entity_aliases: list('Names and patterns with * that entity_alias may have.'),
  orphan: bool('Tokens have no parent.'),
  renewable: bool('Tokens can be renewed; true by default.'),
  path_suffix: str('Ends the path of the tokens, so that they can be revoked by prefix.'),
  token_type: str('service, batch, or default-service and default-batch, which let the request decide.'),
  token_bound_cidrs: list('Addresses the tokens may be used from.'),
  token_explicit_max_ttl: duration('Tokens end after this, whatever is renewed.'),
  token_no_default_policy: bool('Tokens do not get the default policy.'),
  token_num_uses: int('How often a token may be used; 0: without limit.'),
  token_period: duration('Tokens are periodic: each renewal gives this.'),
  period: duration('Older name of token_period.').deprecated(),
  explicit_max_ttl: duration('Older name of token_explicit_max_ttl.').deprecated(),
  bound_cidrs: list('Older name of token_bound_cidrs.').deprecated(),
}

interface RoleInput {
  readonly role_name: string
  readonly allowed_policies?: string[] | undefined
  readonly disallowed_policies?: string[] | undefined
  readonly allowed_policies_glob?: string[] | undefined
  readonly disallowed_policies_glob?: string[] | undefined
  readonly allowed_entity_aliases?: string[] | undefined
  readonly orphan?: boolean | undefined
  readonly renewable?: boolean | undefined
  readonly path_suffix?: string | undefined
  readonly token_type?: string | undefined
  readonly token_bound_cidrs?: string[] | undefined
  readonly token_explicit_max_ttl?: number | undefined
  readonly token_no_default_policy?: boolean | undefined
  readonly token_num_uses?: number | undefined
  readonly token_period?: number | undefined
  readonly period?: number | undefined
  readonly explicit_max_ttl?: number | undefined
  readonly bound_cidrs?: string[] | undefined
}

const fresh = (name: string): TokenRole => ({
  name,
  allowedPolicies: [],
  disallowedPolicies: [],
  allowedPoliciesGlob: [],
  disallowedPoliciesGlob: [],
  orphan: false,
  renewable: true,
  pathSuffix: '',
  tokenType: 'default-service',
  boundCidrs: [],
  explicitMaxTtlSeconds: 0,
  periodSeconds: 0,
  numUses: 0,
  noDefaultPolicy: false,
  olderPeriodSeconds: 0,
  olderExplicitMaxTtlSeconds: 0,
  olderBoundCidrs: [],
})

const tokenTypes: Readonly<Record<string, TokenRole['tokenType']>> = {
  service: 'service',
  batch: 'batch',
  default: 'default-service',
  'default-service': 'default-service',
  'default-batch': 'default-batch',
}

const typeOf = (text: string | undefined, before: TokenRole['tokenType']): TokenRole['tokenType'] => {
  if (text === undefined || text === '') return before
  const type = Object.hasOwn(tokenTypes, text) ? tokenTypes[text] : undefined
  if (!type) throw invalid("invalid 'token_type' value")
  return type
}

function suffixOf(text: string | undefined, before: string): string {
  if (text === undefined) return before
  if (text === '') return ''
  if (!/\w[\w.-]+\w/.test(text) || text.includes('..') || text.length > 512 || /[^\x21-\x7e]/.test(text))
    throw invalid('path_suffix contains invalid characters or is too short')
  return text
}

/** A single address is kept without its full prefix length. */
function cidrsOf(field: string, ranges: readonly string[]): string[] {
  return ranges
    .filter((range) => range !== '')
    .map((range) => {
      if (!isCidr(range)) throw invalid(`${field} holds what is no address and no range of addresses`)
      return shortCidr(range)
    })
}

const names = (given: string[] | undefined, before: readonly string[]): readonly string[] =>
  given ? tidyNames(given) : before

/** Takes a setting under its name or its older one; the older one counts only alone, and is read back. */
function either<T>(
  given: T | undefined,
  older: T | undefined,
  before: { readonly value: T; readonly older: T },
  none: T,
): { readonly value: T; readonly older: T } {
  if (given !== undefined) return { value: given, older: none }
  return older === undefined ? before : { value: older, older }
}

function changed(before: TokenRole, input: RoleInput, context: WriteContext): TokenRole {
  for (const [name, alias, field] of [
    [input.token_period, input.period, 'period'],
    [input.token_bound_cidrs, input.bound_cidrs, 'bound_cidrs'],
    [input.token_explicit_max_ttl, input.explicit_max_ttl, 'explicit_max_ttl'],
  ])
    if (name !== undefined && alias !== undefined)
      context.warn(`Both 'token_${field}' and deprecated '${field}' value supplied, ignoring the deprecated value`)
  const period = either(
    input.token_period,
    input.period,
    { value: before.periodSeconds, older: before.olderPeriodSeconds },
    0,
  )
  const most = either(
    input.token_explicit_max_ttl,
    input.explicit_max_ttl,
    { value: before.explicitMaxTtlSeconds, older: before.olderExplicitMaxTtlSeconds },
    0,
  )
  const cidrs = either<readonly string[]>(
    input.token_bound_cidrs && cidrsOf('token_bound_cidrs', input.token_bound_cidrs),
    input.bound_cidrs && cidrsOf('bound_cidrs', input.bound_cidrs),
    { value: before.boundCidrs, older: before.olderBoundCidrs },
    [],
  )
  if ((input.token_num_uses ?? 0) < 0) throw invalid("'token_num_uses' cannot be negative")
  return {
    ...before,
    allowedPolicies: names(input.allowed_policies, before.allowedPolicies),
    disallowedPolicies: names(input.disallowed_policies, before.disallowedPolicies),
    allowedPoliciesGlob: names(input.allowed_policies_glob, before.allowedPoliciesGlob),
    disallowedPoliciesGlob: names(input.disallowed_policies_glob, before.disallowedPoliciesGlob),
    ...(input.allowed_entity_aliases ? { allowedEntityAliases: tidyNames(input.allowed_entity_aliases) } : {}),
    orphan: input.orphan ?? before.orphan,
    renewable: input.renewable ?? before.renewable,
    pathSuffix: suffixOf(input.path_suffix, before.pathSuffix),
    tokenType: typeOf(input.token_type, before.tokenType),
    boundCidrs: cidrs.value,
    olderBoundCidrs: cidrs.older,
    explicitMaxTtlSeconds: most.value,
    olderExplicitMaxTtlSeconds: most.older,
    periodSeconds: period.value,
    olderPeriodSeconds: period.older,
    numUses: input.token_num_uses ?? before.numUses,
    noDefaultPolicy: input.token_no_default_policy ?? before.noDefaultPolicy,
  }
}

/** What a batch token cannot be, a role for batch tokens cannot say. */
function checkBatch(role: TokenRole): void {
  if (role.tokenType !== 'batch') return
  const cannot = (what: string) => invalid(`'token_type' cannot be 'batch' when role is set to generate ${what}`)
  if (!role.orphan) throw cannot('non-orphan tokens')
  if (role.periodSeconds !== 0) throw cannot('periodic tokens')
  if (role.renewable) throw cannot('renewable tokens')
  if (role.explicitMaxTtlSeconds !== 0) throw cannot('tokens with an explicit max TTL')
}

const shown = (role: TokenRole): Record<string, unknown> => ({
  allowed_entity_aliases: role.allowedEntityAliases ?? null,
  allowed_policies: role.allowedPolicies,
  allowed_policies_glob: role.allowedPoliciesGlob,
  ...(role.olderBoundCidrs.length > 0 ? { bound_cidrs: role.olderBoundCidrs } : {}),
  disallowed_policies: role.disallowedPolicies,
  disallowed_policies_glob: role.disallowedPoliciesGlob,
  explicit_max_ttl: role.olderExplicitMaxTtlSeconds,
  name: role.name,
  orphan: role.orphan,
  path_suffix: role.pathSuffix,
  period: role.olderPeriodSeconds,
  renewable: role.renewable,
  ...(role.boundCidrs.length > 0 ? { token_bound_cidrs: role.boundCidrs } : {}),
  token_explicit_max_ttl: role.explicitMaxTtlSeconds,
  token_no_default_policy: role.noDefaultPolicy,
  ...(role.numUses > 0 ? { token_num_uses: role.numUses } : {}),
  token_period: role.periodSeconds,
  token_type: role.tokenType,
})

const roleName = /^\w(?:[\w.-]*\w)?$/
const one = path('roles/{role_name}', { role_name: str('Name of the role.').required() }, 'A token role.')

const writeRole = one.write({
  summary: 'Create or update a token role.',
  input: fields,
  output: {},
  exists: ({ role_name }, { tx, mount }) => tokenRoles(mount.namespace.uuid).has(tx, role_name),
  async run(input: RoleInput, context): Promise<Reply | undefined> {
    const { mount, tx } = context
    const { role_name: name } = input
    if (!roleName.test(name) || name.length > 512) throw invalid('role_name has characters that a role cannot have')
    const roles = tokenRoles(mount.namespace.uuid)
    const role = changed((await roles.get(tx, name)) ?? fresh(name), input, context)
    checkBatch(role)
    if (role.explicitMaxTtlSeconds > mount.maxLeaseTtlSeconds)
      context.warn(
        `Given explicit max TTL of ${role.explicitMaxTtlSeconds} is greater than system/mount allowed value of ${mount.maxLeaseTtlSeconds} seconds; the lesser one holds`,
      )
    roles.put(tx, name, role)
    return undefined
  },
})

/** Operations of token roles. */
export const roleOperations: readonly Operation[] = [
  writeRole,
  one.read({
    summary: 'Read a token role.',
    output: { name: str('Name of the role.'), ...fields },
    async run({ role_name }, { tx, mount }) {
      const role = await tokenRoles(mount.namespace.uuid).get(tx, role_name)
      return role && { data: shown(role) }
    },
  }),
  one.delete({
    summary: 'Delete a token role; its tokens live on, but cannot be renewed.',
    run({ role_name }, { tx, mount }) {
      tokenRoles(mount.namespace.uuid).delete(tx, role_name)
      return undefined
    },
  }),
  path('roles', {}, 'Token roles.').list({
    summary: 'List token roles.',
    output: { keys: list('Names of the roles.') },
    run: async (_input, { tx, mount }) => listReply(await tokenRoles(mount.namespace.uuid).list(tx)),
  }),
]
