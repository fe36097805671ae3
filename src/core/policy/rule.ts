// A rule as requests meet it: what all policies say about one path, merged, with its verdicts made in advance.
// Judges values that clients send, and keeps none of them.
import { isRawNumber, JsonText, numberOf } from '../../lib/json.ts'
import { type Capability, capabilityBits, capabilityNames, type RequestCapability } from './capabilities.ts'
import type { KeysFilter } from './keys-filter.ts'
import type { ParameterLists, PathRule } from './parse.ts'

export interface PolicyOrigin {
  readonly name: string
  readonly namespacePath: string
}

/** Where a rule is written: policy, its namespace, the line, and the path as in the text. */
export interface RuleOrigin {
  readonly policy: string
  readonly namespacePath: string
  readonly line: number
  readonly path: string
}

/** Why a request is let through or refused. */
export type Reason =
  | 'granted'
  | 'root'
  | 'no rule'
  | 'denied by rule'
  | 'capability missing'
  | 'sudo missing'
  | 'wrapping ttl required'
  | 'wrapping ttl out of bounds'
  | 'required parameter missing'
  | 'parameter denied'
  | 'parameter not allowed'
  | 'page limit exceeded'

export interface Verdict {
  readonly allowed: boolean
  /** Policies that grant what was asked for; empty when refused. */
  readonly granting: readonly PolicyOrigin[]
  readonly reason: Reason
  /** The rule that decided (the first one where several were merged), and all that were merged. */
  readonly rule?: RuleOrigin
  readonly rules?: readonly RuleOrigin[]
  /** Largest page of an allowed LIST or SCAN; see `pageLimit`. */
  readonly paginationLimit?: number
  /** Set on an allowed LIST or SCAN whose entries must be judged one by one. */
  readonly keysFilter?: KeysFilter
  /** MFA methods that policies ask for; empty without any. */
  readonly mfaMethods: readonly string[]
}

export interface AclRequest {
  /** Full path, namespace included, without a leading slash. */
  readonly path: string
  readonly capability: RequestCapability
  /** Whether the path needs sudo besides. */
  readonly sudo: boolean
  /** Keys of body and query as sent. */
  readonly parameters: Readonly<Record<string, unknown>> | undefined
  /** Whether the answer will be wrapped, and for how long. */
  readonly wraps: boolean
  readonly wrapTtlSeconds: number
  /** `limit` of a LIST or SCAN as sent; `max` asks for the largest page. */
  readonly limit?: unknown
  /** Milliseconds since 1970. */
  readonly now: number
}

/** One path rule of one policy, ready to be merged with others of the same path. */
export interface Contribution {
  readonly rule: PathRule
  readonly origin: PolicyOrigin
  /** When it ends: its own expiration or its policy's, whichever comes first. */
  readonly expiration: number
}

/** What all policies together say about one path at one time. */
export interface Rule {
  readonly bits: number
  readonly minWrappingTtlSeconds: number
  readonly maxWrappingTtlSeconds: number
  readonly allowedParameters: ParameterLists | undefined
  readonly deniedParameters: ParameterLists | undefined
  readonly requiredParameters: readonly string[]
  readonly paginationLimit: number
  readonly granted: Partial<Record<RequestCapability, Verdict>>
  readonly refused: Partial<Record<Reason, Verdict>>
  readonly base: {
    readonly rule: RuleOrigin
    readonly rules: readonly RuleOrigin[]
    readonly mfaMethods: readonly string[]
  }
}

const none: readonly never[] = []
const parameterBits = capabilityBits.read | capabilityBits.update | capabilityBits.create | capabilityBits.patch

/** Adds lists of values: an empty list, which stands for any value, swallows the others. */
function mergeLists(
  all: readonly Contribution[],
  of: (rule: PathRule) => ParameterLists | undefined,
): ParameterLists | undefined {
  let merged: Map<string, readonly unknown[]> | undefined
  for (const { rule } of all) {
    const lists = of(rule)
    if (!lists || lists.size === 0) continue
    merged ??= new Map()
    for (const [name, values] of lists) {
      const before = merged.get(name)
      const any = values.length === 0 || before?.length === 0
      merged.set(name, any ? none : before ? [...values, ...before] : values)
    }
  }
  return merged
}

const leastOf = (all: readonly Contribution[], of: (rule: PathRule) => number): number =>
  all.reduce((least, { rule }) => (of(rule) > 0 && (least === 0 || of(rule) < least) ? of(rule) : least), 0)

/** Merges what several policies say about one path: capabilities add up, deny wins, the least of each bound counts. */
export function mergeRule(all: readonly [Contribution, ...Contribution[]]): Rule {
  const denying = all.find(({ rule }) => rule.capabilities & capabilityBits.deny)
  const bits = denying ? capabilityBits.deny : all.reduce((sum, { rule }) => sum | rule.capabilities, 0)
  const origins = all.map(
    ({ rule, origin }): RuleOrigin => ({
      policy: origin.name,
      namespacePath: origin.namespacePath,
      line: rule.line,
      path: rule.path,
    }),
  )
  const base = {
    rule: origins[denying ? all.indexOf(denying) : 0] as RuleOrigin,
    rules: origins,
    mfaMethods: [...new Set(all.flatMap(({ rule }) => rule.mfaMethods))],
  }
  const paginationLimit = leastOf(all, (rule) => rule.paginationLimit)
  const keysFilter = all.find(({ rule }) => rule.keysFilter)?.rule.keysFilter
  const granted: Partial<Record<RequestCapability, Verdict>> = {}
  for (const word of capabilityNames(bits) as Capability[]) {
    if (word === 'deny' || word === 'sudo') continue
    const from = all.filter(({ rule }) => rule.capabilities & capabilityBits[word])
    const listing = word === 'list' || word === 'scan'
    granted[word] = {
      ...base,
      allowed: true,
      reason: 'granted',
      rule: origins[all.indexOf(from[0] as Contribution)] as RuleOrigin,
      granting: [...new Set(from.map(({ origin }) => origin))],
      ...(listing && paginationLimit > 0 && { paginationLimit }),
      ...(listing && keysFilter && { keysFilter }),
    }
  }
  return {
    bits,
    minWrappingTtlSeconds: leastOf(all, (rule) => rule.minWrappingTtlSeconds),
    maxWrappingTtlSeconds: leastOf(all, (rule) => rule.maxWrappingTtlSeconds),
    allowedParameters: mergeLists(all, (rule) => rule.allowedParameters),
    deniedParameters: mergeLists(all, (rule) => rule.deniedParameters),
    requiredParameters: [...new Set(all.flatMap(({ rule }) => rule.requiredParameters))],
    paginationLimit,
    granted,
    refused: {},
    base,
  }
}

/** A text against a listed one: `*` at either end stands for anything there. */
function textMatches(pattern: string, value: string): boolean {
  if (pattern.length < 2) return pattern === value
  const open = pattern.startsWith('*')
  const shut = pattern.endsWith('*')
  if (open && shut) return value.includes(pattern.slice(1, -1))
  if (open) return value.endsWith(pattern.slice(1))
  return shut ? value.startsWith(pattern.slice(0, -1)) : value === pattern
}

function same(listed: unknown, sent: unknown): boolean {
  if (sent instanceof JsonText) return same(listed, sent.parse())
  if (typeof listed === 'string') return typeof sent === 'string' && textMatches(listed, sent)
  if (typeof listed === 'number') return numberOf(sent) === listed
  if (Array.isArray(listed))
    return Array.isArray(sent) && listed.length === sent.length && listed.every((one, i) => same(one, sent[i]))
  if (typeof listed === 'object' && listed !== null) {
    if (typeof sent !== 'object' || sent === null || Array.isArray(sent) || isRawNumber(sent)) return false
    const keys = Object.keys(listed)
    return (
      keys.length === Object.keys(sent).length &&
      keys.every((key) => Object.hasOwn(sent, key) && same((listed as never)[key], (sent as never)[key]))
    )
  }
  return listed === sent
}

const matchesAny = (values: readonly unknown[], sent: unknown): boolean =>
  values.length === 0 || values.some((one) => same(one, sent))

/** Gives the reason why the parameters are refused, or undefined. Denied names go before allowed ones. */
function refusedParameters(rule: Rule, parameters: Readonly<Record<string, unknown>> | undefined): Reason | undefined {
  const { requiredParameters, deniedParameters: denied, allowedParameters: allowed } = rule
  for (const name of requiredParameters) {
    // Either spelling will do: as in the policy, or in lower case.
    const there = parameters && (Object.hasOwn(parameters, name) || Object.hasOwn(parameters, name.toLowerCase()))
    if (!there) return 'required parameter missing'
  }
  if (!parameters || (!denied && !allowed)) return undefined
  const names = Object.keys(parameters)
  if (names.length === 0) return undefined
  if (denied) {
    if (denied.has('*')) return 'parameter denied'
    for (const name of names) {
      const values = denied.get(name.toLowerCase())
      if (values && matchesAny(values, parameters[name])) return 'parameter denied'
    }
  }
  if (!allowed) return undefined
  const others = allowed.has('*')
  if (others && allowed.size === 1) return undefined
  for (const name of names) {
    const values = allowed.get(name.toLowerCase())
    if (values ? !matchesAny(values, parameters[name]) : !others) return 'parameter not allowed'
  }
  return undefined
}

function refusedWrapping(rule: Rule, request: AclRequest): Reason | undefined {
  const { minWrappingTtlSeconds: min, maxWrappingTtlSeconds: max } = rule
  if (min === 0 && max === 0) return undefined
  if (!request.wraps) return 'wrapping ttl required'
  const ttl = request.wrapTtlSeconds
  // Bounds of two policies may leave nothing between them.
  const outside = (max > 0 && (ttl > max || max < min)) || ttl < min
  return outside ? 'wrapping ttl out of bounds' : undefined
}

/** Reads a page limit as sent: a whole number, or undefined for anything else. */
const limitNumber = (limit: unknown): number | undefined => {
  const number = typeof limit === 'string' && limit.trim() !== '' ? Number(limit) : numberOf(limit)
  return number !== undefined && Number.isSafeInteger(number) ? number : undefined
}

function refusedPage(rule: Rule, limit: unknown): Reason | undefined {
  if (rule.paginationLimit === 0 || limit === 'max') return undefined
  if (limit === undefined)
    return rule.requiredParameters.some((name) => name.toLowerCase() === 'limit')
      ? 'required parameter missing'
      : undefined
  const number = limitNumber(limit)
  return number === undefined || number < 0 || number > rule.paginationLimit ? 'page limit exceeded' : undefined
}

function refuse(rule: Rule, reason: Reason): Verdict {
  rule.refused[reason] ??= { ...rule.base, allowed: false, granting: none, reason }
  return rule.refused[reason]
}

/** Judges a request by the rule of its path; verdicts are made once per rule and shared. */
export function judge(rule: Rule, request: AclRequest): Verdict {
  const verdict = rule.granted[request.capability]
  if (!verdict) return refuse(rule, rule.bits & capabilityBits.deny ? 'denied by rule' : 'capability missing')
  if (request.sudo && !(rule.bits & capabilityBits.sudo)) return refuse(rule, 'sudo missing')
  const bit = capabilityBits[request.capability]
  const reason =
    refusedWrapping(rule, request) ??
    (bit & parameterBits
      ? refusedParameters(rule, request.parameters)
      : bit & (capabilityBits.list | capabilityBits.scan)
        ? refusedPage(rule, request.limit)
        : undefined)
  return reason ? refuse(rule, reason) : verdict
}

/**
 * Gives the page limit a handler must use for an allowed LIST or SCAN: the one sent, or the policy's largest where none, 0 or
 * `max` was sent; 0 is no limit; undefined leaves what was sent as it is.
 */
export function pageLimit(verdict: Verdict, sent: unknown): number | undefined {
  const most = verdict.paginationLimit
  if (most === undefined) return sent === 'max' ? 0 : undefined
  return limitNumber(sent) || most
}
