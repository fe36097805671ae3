// Templates of claims: JSON in which `{{identity.entity.name}}` and its like stand for values. Each value goes in as JSON, so nothing that
// a name or metadata holds can make further claims.
import { Buffer } from 'node:buffer'
import type { AliasRecord, EntityRecord } from '../../core/identity/entities.ts'
import type { GroupRecord } from '../../core/identity/groups.ts'
import { parseDurationSeconds } from '../../lib/duration.ts'
import { JsonError, type JsonObject, parseJsonObject } from '../../lib/json.ts'
import { invalid } from '../../sdk/errors.ts'

/** Who claims are about. */
export interface Subject {
  readonly entity: Pick<EntityRecord, 'id' | 'name' | 'metadata' | 'aliases'>
  readonly groups: readonly Pick<GroupRecord, 'id' | 'name' | 'metadata'>[]
}

type Pairs = Readonly<Record<string, string>> | null
type Value = string | number | readonly string[] | Pairs
/** Undefined: there is nobody to ask. */
type Lookup = (subject: Subject | undefined, now: number) => Value | undefined

/** Claims that are the server's own to make. */
const reserved: ReadonlySet<string> = new Set([
  'iat',
  'aud',
  'exp',
  'iss',
  'sub',
  'namespace',
  'nonce',
  'auth_time',
  'at_hash',
  'c_hash',
])
const templateMax = 16 * 1024
const filledMax = 1024 * 1024
const limits = { depthMax: 64, stringsMax: 50_000, stringLengthMax: filledMax }

const unknown = () => invalid('template: no value could be found for one of the directives')
const cut = (text: string): [head: string, rest: string | undefined] => {
  const dot = text.indexOf('.')
  return dot < 0 ? [text, undefined] : [text.slice(0, dot), text.slice(dot + 1)]
}
const member = (pairs: Pairs, key: string | undefined): Value =>
  key === undefined ? (pairs ?? {}) : pairs && Object.hasOwn(pairs, key) ? (pairs[key] as string) : ''

function aliasLookup(text: string): Lookup {
  const [accessor, field = ''] = cut(text)
  const [head, key] = cut(field)
  const fields: Record<string, ((alias: AliasRecord) => Value) | undefined> = {
    id: (alias) => alias.id,
    name: (alias) => alias.name,
    metadata: (alias) => member(alias.metadata, key),
    custom_metadata: (alias) => member(alias.customMetadata, key),
  }
  const pick = Object.hasOwn(fields, head) ? fields[head] : undefined
  const mapped = head === 'metadata' || head === 'custom_metadata'
  if (!pick || (key !== undefined && !mapped)) throw unknown()
  return (subject) => {
    if (!subject) return undefined
    const alias = subject.entity.aliases.find((one) => one.mountAccessor === accessor)
    return alias ? pick(alias) : mapped && key === undefined ? {} : ''
  }
}

function entityLookup(text: string): Lookup {
  const [head, key] = cut(text)
  if (text === 'id') return (subject) => subject?.entity.id
  if (text === 'name') return (subject) => subject?.entity.name
  if (head === 'metadata') return (subject) => subject && member(subject.entity.metadata, key)
  if (text === 'groups.names') return (subject) => subject?.groups.map(({ name }) => name)
  if (text === 'groups.ids') return (subject) => subject?.groups.map(({ id }) => id)
  if (head === 'aliases' && key) return aliasLookup(key)
  throw unknown()
}

function groupLookup(text: string): Lookup {
  const [by, rest = ''] = cut(text)
  const [wanted, field = ''] = cut(rest)
  const [head, key] = cut(field)
  if ((by !== 'ids' && by !== 'names') || !['id', 'name', 'metadata'].includes(head)) throw unknown()
  if ((head === 'metadata') !== (key !== undefined)) throw unknown()
  return (subject) => {
    if (!subject) return undefined
    const group = subject.groups.find((one) => (by === 'ids' ? one.id : one.name) === wanted)
    if (!group) return ''
    return head === 'metadata' ? member(group.metadata, key) : head === 'id' ? group.id : group.name
  }
}

function timeLookup(text: string): Lookup {
  if (text === 'now') return (_subject, now) => Math.floor(now / 1000)
  const found = /^now\.(plus|minus)\.(.+)$/.exec(text)
  const seconds = found && parseDurationSeconds(found[2] as string)
  if (seconds === undefined || seconds === null) throw unknown()
  const sign = found?.[1] === 'plus' ? 1 : -1
  return (_subject, now) => Math.floor(now / 1000 + sign * seconds)
}

function lookup(directive: string): Lookup {
  const kinds: [prefix: string, read: (text: string) => Lookup][] = [
    ['identity.entity.', entityLookup],
    ['identity.groups.', groupLookup],
    ['time.', timeLookup],
  ]
  for (const [prefix, read] of kinds) if (directive.startsWith(prefix)) return read(directive.slice(prefix.length))
  throw unknown()
}

/** Splits a template into texts and lookups, in turn. Throws 400. */
function partsOf(template: string): (string | Lookup)[] {
  const [first = '', ...rest] = template.split('{{')
  if (first.includes('}}')) throw invalid('template: unbalanced {{ and }}')
  const parts: (string | Lookup)[] = [first]
  for (const piece of rest) {
    const [directive, text, more] = piece.split('}}')
    if (directive === undefined || text === undefined || more !== undefined)
      throw invalid('template: unbalanced {{ and }}')
    parts.push(lookup(directive.trim()), text)
  }
  return parts
}

/** Fills a template. Undefined when it asks for somebody and there is nobody. Throws 400 for what is no template or no JSON then. */
function filled(template: string, subject: Subject | undefined, now: number): JsonObject | undefined {
  if (template.trim() === '') return {}
  let text = ''
  for (const part of partsOf(template)) {
    const value = typeof part === 'string' ? part : part(subject, now)
    if (value === undefined) return undefined
    text += typeof part === 'string' ? part : JSON.stringify(value)
    if (text.length > filledMax) throw invalid('template: what it makes is too large')
  }
  try {
    return parseJsonObject(text, limits)
  } catch (error) {
    if (error instanceof JsonError) throw invalid(`template: ${error.message}`)
    throw error
  }
}

/** Makes the claims of a template, without those that are the server's own; undefined when it asks for somebody and there is nobody. */
export function claimsOf(template: string, subject: Subject | undefined, now: number): JsonObject | undefined {
  const claims = filled(template, subject, now)
  return claims && Object.fromEntries(Object.entries(claims).filter(([name]) => !reserved.has(name)))
}

const nobody: Subject = { entity: { id: '', name: '', metadata: null, aliases: [] }, groups: [] }

/** Names of the claims a template makes at the top. Throws 400 for what is no template. */
export const topNames = (template: string): string[] => Object.keys(filled(template, nobody, 0) ?? {})

/** Decodes a template (JSON, or JSON in base64) and checks that it makes claims that may be made. Throws 400. */
export function checkedTemplate(given: string): string {
  const base64 = given.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(given)
  const template = base64 ? Buffer.from(given, 'base64').toString('utf8') : given
  if (template.length > templateMax) throw invalid(`template is longer than ${templateMax} characters`)
  for (const name of topNames(template))
    if (reserved.has(name)) throw invalid(`template: top level key "${name}" is one of those that cannot be set`)
  return template
}
