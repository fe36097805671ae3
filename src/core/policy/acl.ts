// All policies of a session as one flat structure. Compiled once, then only looked up; the one thing judged anew per request is
// whether a rule has expired.
import { capabilityNames } from './capabilities.ts'
import type { ParsedPolicy, PathRule } from './parse.ts'
import { type AclRequest, judge, type PolicyOrigin, type Rule, type Verdict } from './rule.ts'
import { buildTables, type Entry, findRule, reachesMount, ruleAt, type Slot } from './tables.ts'
import { fillTemplate, type TemplateIdentity } from './template.ts'

export { type AclRequest, type PolicyOrigin, pageLimit, type Reason, type RuleOrigin, type Verdict } from './rule.ts'
export type { TemplateAlias, TemplateGroup, TemplateIdentity } from './template.ts'

/** A policy to compile: `namespacePath` is "" or ends with `/`, and its paths lie below it. */
export interface AclPolicy {
  readonly parsed: ParsedPolicy
  readonly name: string
  readonly namespacePath: string
}

/** Permissions on one path as `sys/internal/ui/resultant-acl` shows them. */
export interface PathPermissions {
  readonly capabilities: readonly string[]
  readonly min_wrapping_ttl?: number
  readonly max_wrapping_ttl?: number
  readonly allowed_parameters?: Readonly<Record<string, readonly unknown[]>>
  readonly denied_parameters?: Readonly<Record<string, readonly unknown[]>>
  readonly required_parameters?: readonly string[]
}
export interface Resultant {
  readonly root: boolean
  readonly exact_paths?: Readonly<Record<string, PathPermissions>>
  readonly glob_paths?: Readonly<Record<string, PathPermissions>>
}

/** Paths are full paths: namespace first, no leading slash. `now` is milliseconds since 1970. */
export interface Acl {
  /** Everything is allowed everywhere. */
  readonly root: boolean
  /** Judges a request; allocates nothing for known rules. */
  decide(request: AclRequest): Verdict
  /** Capabilities on a path in alphabetical order; `["root"]`, or `["deny"]` when there are none. */
  capabilities(fullPath: string, now: number): string[]
  /** Whether anything at or below a mount (`secret/`, `ns1/auth/up/`) is granted. */
  mayReachMount(mountPath: string, now: number): boolean
  /** All exact and prefix rules, for user interfaces. */
  resultant(now: number): Resultant
}

const noRule: Verdict = { allowed: false, granting: [], reason: 'no rule', mfaMethods: [] }

function shown(rule: Rule): PathPermissions {
  const { minWrappingTtlSeconds: min, maxWrappingTtlSeconds: max, allowedParameters, deniedParameters } = rule
  return {
    capabilities: capabilityNames(rule.bits),
    ...(min > 0 && { min_wrapping_ttl: min }),
    ...(max > 0 && { max_wrapping_ttl: max }),
    ...(allowedParameters && { allowed_parameters: Object.fromEntries(allowedParameters) }),
    ...(deniedParameters && { denied_parameters: Object.fromEntries(deniedParameters) }),
    ...(rule.requiredParameters.length > 0 && { required_parameters: rule.requiredParameters }),
  }
}

function shownAll(slots: Iterable<readonly [string, Slot | undefined]>, now: number): Record<string, PathPermissions> {
  const entries: [string, PathPermissions][] = []
  for (const [path, slot] of slots) {
    const rule = slot && ruleAt(slot, now)
    if (rule) entries.push([path, shown(rule)])
  }
  return Object.fromEntries(entries)
}

/** Works out the path of a rule; undefined when its template cannot be filled for this identity. */
function pathOf(rule: PathRule, policy: AclPolicy, identity: TemplateIdentity | undefined): string | undefined {
  if (!rule.template) return rule.path
  const path = fillTemplate(rule.template, identity, policy.namespacePath, policy.parsed.templateRules)
  if (path === undefined || path.includes('+*')) return undefined
  return path.startsWith('/') ? path.slice(1) : path
}

/** Compiles policies into one ACL. Identity templates are filled here, so the ACL of a templated policy holds for `identity` only. */
export function compileAcl(policies: readonly AclPolicy[], identity?: TemplateIdentity | undefined): Acl {
  const entries: Entry[] = []
  for (const policy of policies) {
    const origin: PolicyOrigin = { name: policy.name, namespacePath: policy.namespacePath }
    const policyEnd = policy.parsed.expiration ?? Number.POSITIVE_INFINITY
    for (const rule of policy.parsed.rules) {
      const path = pathOf(rule, policy, identity)
      if (path === undefined) continue
      const expiration = Math.min(rule.expiration ?? Number.POSITIVE_INFINITY, policyEnd)
      entries.push({ path, namespacePath: policy.namespacePath, contribution: { rule, origin, expiration } })
    }
  }
  const tables = buildTables(entries)
  return {
    root: false,
    decide(request) {
      const listing = request.capability === 'list' || request.capability === 'scan'
      const path = listing && !request.path.endsWith('/') ? `${request.path}/` : request.path
      const rule = findRule(tables, path, listing, request.now)
      return rule ? judge(rule, request) : noRule
    },
    capabilities: (fullPath, now) => capabilityNames(findRule(tables, fullPath, true, now)?.bits ?? 0),
    mayReachMount: (mountPath, now) => reachesMount(tables, mountPath, now),
    resultant: (now) => ({
      root: false,
      exact_paths: shownAll(tables.exact, now),
      glob_paths: shownAll(
        tables.groups.map((group) => [group.prefix, group.glob] as const),
        now,
      ),
    }),
  }
}

const rootVerdict: Verdict = {
  allowed: true,
  granting: [{ name: 'root', namespacePath: '' }],
  reason: 'root',
  mfaMethods: [],
}

/** The ACL of the `root` policy of the root namespace. */
export const rootAcl: Acl = {
  root: true,
  decide: () => rootVerdict,
  capabilities: () => ['root'],
  mayReachMount: () => true,
  resultant: () => ({ root: true }),
}
