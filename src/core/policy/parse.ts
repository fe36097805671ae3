// Policy text (HCL or JSON) to rules, once when it is written or loaded. Everything a rule says is checked here; nothing is
// parsed while requests are served. Errors name line and column.
import { parseDurationSeconds } from '../../lib/duration.ts'
import {
  blocksOf,
  type HclBlock,
  HclError,
  type HclItem,
  type HclValue,
  type Position,
  parseHcl,
  plainValue,
} from '../../lib/hcl.ts'
import { capabilityBit, capabilityBits, legacyPolicies } from './capabilities.ts'
import { compileKeysFilter, type KeysFilter } from './keys-filter.ts'
import { type PathTemplate, parseTemplate, type TemplateRules } from './template.ts'

/** What is wrong with a policy's text; `message` starts with "line L, column C: ". */
export class PolicyError extends Error {
  override name = 'PolicyError'
  readonly line: number
  readonly column: number
  constructor(problem: string, at: Position) {
    super(`line ${at.line}, column ${at.column}: ${problem}`)
    this.line = at.line
    this.column = at.column
  }
}

/** Lower-case parameter names and the values listed for each; an empty list stands for any value. */
export type ParameterLists = ReadonlyMap<string, readonly unknown[]>

/** One `path "…" {}` of a policy. Times in milliseconds, wrapping bounds in seconds with 0 for none. */
export interface PathRule {
  /** As written, without a leading slash and without the namespace. */
  readonly path: string
  readonly template: PathTemplate | undefined
  /** Name of the policy, and where the rule stands in its text. */
  readonly policy: string
  readonly line: number
  readonly column: number
  readonly comment: string | undefined
  /** Bits of `capabilityBits`; `deny` stands alone. */
  readonly capabilities: number
  readonly allowedParameters: ParameterLists | undefined
  readonly deniedParameters: ParameterLists | undefined
  readonly requiredParameters: readonly string[]
  readonly minWrappingTtlSeconds: number
  readonly maxWrappingTtlSeconds: number
  readonly mfaMethods: readonly string[]
  /** Largest page of a LIST or SCAN; 0 is any. */
  readonly paginationLimit: number
  readonly keysFilter: KeysFilter | undefined
  readonly expiration: number | undefined
}

export interface ParsedPolicy {
  readonly rules: readonly PathRule[]
  /** Whether any path names the identity: then an ACL holds for one identity only. */
  readonly templated: boolean
  readonly templateRules: TemplateRules
  /** When the whole policy ends (milliseconds); what is said at the policy's record, not in its text. */
  readonly expiration: number | undefined
}

export interface PolicyOptions {
  readonly allowWildcardsInTemplates?: boolean | undefined
  readonly allowSlashesInTemplates?: boolean | undefined
  readonly expiration?: number | undefined
}

const fail = (problem: string, at: Position): never => {
  throw new PolicyError(problem, at)
}

type Attributes = ReadonlyMap<string, HclItem>

const text = (name: string, value: HclValue): string =>
  value.kind === 'string' ? value.value : fail(`${name} must be a text`, value)

const texts = (name: string, value: HclValue): string[] =>
  value.kind === 'list'
    ? value.items.map((one) => text(`an entry of ${name}`, one))
    : fail(`${name} must be a list of texts`, value)

function seconds(name: string, value: HclValue): number {
  const given = value.kind === 'number' ? value.value : text(name, value)
  const parsed = parseDurationSeconds(given)
  return parsed === undefined || parsed < 0 ? fail(`${name} must be a duration such as "90s" or "1h"`, value) : parsed
}

function count(name: string, value: HclValue): number {
  const number = value.kind === 'number' ? value.value : value.kind === 'string' ? Number(value.value) : Number.NaN
  return Number.isSafeInteger(number) && number >= 0 ? number : fail(`${name} must be a whole number`, value)
}

const timestamp = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

/** RFC 3339, or seconds since 1970 as text or number. */
function time(name: string, value: HclValue): number | undefined {
  const given = value.kind === 'number' ? value.text : text(name, value)
  if (given === '') return undefined
  const parsed = /^-?\d{1,12}$/.test(given)
    ? Number(given) * 1000
    : timestamp.test(given)
      ? Date.parse(given)
      : Number.NaN
  return Number.isNaN(parsed) ? fail(`${name} must be a time such as "2030-01-31T00:00:00Z"`, value) : parsed
}

function parameters(name: string, value: HclValue): ParameterLists {
  const lists = new Map<string, readonly unknown[]>()
  const objects = value.kind === 'list' ? value.items : [value]
  for (const object of objects) {
    if (object.kind !== 'object') return fail(`${name} must be an object of lists`, object)
    for (const item of object.items) {
      const key = item.keys[0].value.toLowerCase()
      if (item.value.kind !== 'list' || item.keys.length > 1)
        return fail(`${name}: the values of "${key}" must be a list`, item.value)
      lists.set(key, [...(lists.get(key) ?? []), ...item.value.items.map(plainValue)])
    }
  }
  return lists
}

const ruleKeys = new Set([
  'comment',
  'policy',
  'capabilities',
  'allowed_parameters',
  'denied_parameters',
  'required_parameters',
  'min_wrapping_ttl',
  'max_wrapping_ttl',
  'mfa_methods',
  'pagination_limit',
  'expiration',
  'list_scan_response_keys_filter_path',
])

function attributesOf(block: HclBlock, path: string): Attributes {
  const attributes = new Map<string, HclItem>()
  for (const item of block.items) {
    const key = item.keys[0]
    if (!ruleKeys.has(key.value)) fail(`path "${path}": invalid key "${key.value}"`, key)
    if (attributes.has(key.value)) fail(`path "${path}": "${key.value}" is set twice`, key)
    if (item.keys.length > 1) fail(`path "${path}": "${key.value}" takes no label`, key)
    attributes.set(key.value, item)
  }
  return attributes
}

function capabilitiesOf(attributes: Attributes, path: string): number {
  let bits = 0
  const legacy = attributes.get('policy')?.value
  if (legacy) {
    const word = text('policy', legacy)
    if (word !== '' && !Object.hasOwn(legacyPolicies, word)) fail(`path "${path}": invalid policy "${word}"`, legacy)
    bits |= legacyPolicies[word] ?? 0
  }
  const list = attributes.get('capabilities')?.value
  if (list && list.kind !== 'list') fail('capabilities must be a list of texts', list)
  for (const one of list?.kind === 'list' ? list.items : []) {
    const word = text('an entry of capabilities', one)
    bits |= capabilityBit(word) ?? fail(`path "${path}": invalid capability "${word}"`, one)
  }
  return bits & capabilityBits.deny ? capabilityBits.deny : bits
}

function keysFilterOf(attributes: Attributes, capabilities: number): KeysFilter | undefined {
  const value = attributes.get('list_scan_response_keys_filter_path')?.value
  const template = value && text('list_scan_response_keys_filter_path', value)
  if (!value || !template) return undefined
  if (!(capabilities & (capabilityBits.list | capabilityBits.deny)))
    fail('list_scan_response_keys_filter_path needs the list capability on its path', value)
  try {
    return compileKeysFilter(template)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return fail(`list_scan_response_keys_filter_path: ${error.message}`, value)
  }
}

function ruleOf(block: HclBlock, policy: string): PathRule {
  const [label, extra] = block.labels
  if (!label) return fail('a path needs a name: path "secret/data/*" { … }', block)
  if (extra) fail('a path takes one name', extra)
  const written = label.value
  const path = written.startsWith('/') ? written.slice(1) : written
  if (path.includes('+*')) fail(`path "${written}": "+*" is no wildcard; use "+/*" or "*"`, label)
  let template: PathTemplate | undefined
  try {
    template = parseTemplate(path)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    fail(`path "${written}": ${error.message}`, label)
  }
  const attributes = attributesOf(block, written)
  const get = <T>(name: string, read: (name: string, value: HclValue) => T): T | undefined => {
    const item = attributes.get(name)
    return item && item.value.kind !== 'null' ? read(name, item.value) : undefined
  }
  const capabilities = capabilitiesOf(attributes, written)
  const min = get('min_wrapping_ttl', seconds) ?? 0
  const max = get('max_wrapping_ttl', seconds) ?? 0
  const maxItem = attributes.get('max_wrapping_ttl')
  if (maxItem && min > 0 && max > 0 && max < min)
    fail(`path "${written}": max_wrapping_ttl is less than min_wrapping_ttl`, maxItem.value)
  return {
    path,
    template,
    policy,
    line: label.line,
    column: label.column,
    comment: get('comment', text),
    capabilities,
    allowedParameters: get('allowed_parameters', parameters),
    deniedParameters: get('denied_parameters', parameters),
    requiredParameters: get('required_parameters', texts) ?? [],
    minWrappingTtlSeconds: min,
    maxWrappingTtlSeconds: max,
    mfaMethods: get('mfa_methods', texts) ?? [],
    paginationLimit: get('pagination_limit', count) ?? 0,
    keysFilter: keysFilterOf(attributes, capabilities),
    expiration: get('expiration', time),
  }
}

/**
 * Parses a policy in HCL or JSON. `name` is remembered in the rules, for answers that say which policy decided. Throws
 * `PolicyError` with line and column for text that is no HCL, an unknown key, capability or a value of the wrong kind.
 */
export function parsePolicy(source: string, name: string, options: PolicyOptions = {}): ParsedPolicy {
  const rules: PathRule[] = []
  try {
    for (const item of parseHcl(source).items) {
      const key = item.keys[0]
      if (key.value === 'path') {
        // `{"path": {}}` is how programs write a policy without paths.
        for (const block of blocksOf(item, 1))
          if (block.labels.length + block.items.length > 0) rules.push(ruleOf(block, name))
      } else if (key.value !== 'name') fail(`invalid key "${key.value}"; a policy consists of path "…" { … }`, key)
    }
  } catch (error) {
    if (error instanceof HclError) throw new PolicyError(error.problem, error)
    throw error
  }
  return {
    rules,
    templated: rules.some((rule) => rule.template !== undefined),
    templateRules: {
      allowWildcards: options.allowWildcardsInTemplates ?? false,
      allowSlashes: options.allowSlashesInTemplates ?? false,
    },
    expiration: options.expiration,
  }
}
