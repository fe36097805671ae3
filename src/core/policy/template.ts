// Identity templates in policy paths: `{{identity.entity.name}}` is read once when the policy is parsed and filled in per identity.
// A value that is missing or empty, or that would change what the path means (`*`, `+`, `/`), makes the path match nothing.

/** What templates may name. `namespacePath` of a group is "" or ends with `/`. */
export interface TemplateIdentity {
  readonly entity: {
    readonly id: string
    readonly name: string
    readonly metadata: Readonly<Record<string, string>>
    readonly aliases: readonly TemplateAlias[]
  }
  readonly groups: readonly TemplateGroup[]
}
export interface TemplateAlias {
  readonly id: string
  readonly name: string
  readonly mountAccessor: string
  readonly metadata: Readonly<Record<string, string>>
  readonly customMetadata: Readonly<Record<string, string>>
}
export interface TemplateGroup {
  readonly id: string
  readonly name: string
  readonly namespacePath: string
  readonly metadata: Readonly<Record<string, string>>
}

/** What substituted values may hold. */
export interface TemplateRules {
  readonly allowWildcards: boolean
  readonly allowSlashes: boolean
}

type Lookup = (identity: TemplateIdentity, namespacePath: string) => string | undefined

/** A path with holes: plain texts and lookups in turn. */
export type PathTemplate = readonly (string | Lookup)[]

const own = (record: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

const cut = (text: string): [string, string] | undefined => {
  const dot = text.indexOf('.')
  return dot < 0 ? undefined : [text.slice(0, dot), text.slice(dot + 1)]
}

const nothing: Lookup = () => undefined

function aliasLookup(rest: string): Lookup {
  const parts = cut(rest)
  if (!parts) return nothing
  const [accessor, field] = parts
  const [head, key] = cut(field) ?? [field, undefined]
  return ({ entity }) => {
    const alias = entity.aliases.find((one) => one.mountAccessor === accessor)
    if (!alias) return undefined
    if (key === undefined) return head === 'id' ? alias.id : head === 'name' ? alias.name : undefined
    if (head === 'metadata') return own(alias.metadata, key)
    return head === 'custom_metadata' ? own(alias.customMetadata, key) : undefined
  }
}

function groupLookup(rest: string): Lookup {
  const parts = cut(rest)
  const inner = parts && cut(parts[1])
  if (!parts || !inner || (parts[0] !== 'ids' && parts[0] !== 'names')) return nothing
  const byId = parts[0] === 'ids'
  const [wanted, field] = inner
  const key = field.startsWith('metadata.') ? field.slice('metadata.'.length) : undefined
  return ({ groups }, namespacePath) => {
    // A name is only one within the namespace of the policy; an id is one everywhere.
    const group = groups.find((one) =>
      byId ? one.id === wanted : one.name === wanted && one.namespacePath === namespacePath,
    )
    if (!group) return undefined
    if (key !== undefined) return own(group.metadata, key)
    return field === 'id' ? group.id : field === 'name' ? group.name : undefined
  }
}

function lookup(directive: string): Lookup {
  if (directive.startsWith('identity.groups.')) return groupLookup(directive.slice('identity.groups.'.length))
  if (!directive.startsWith('identity.entity.')) return nothing
  const field = directive.slice('identity.entity.'.length)
  if (field === 'id') return ({ entity }) => entity.id
  if (field === 'name') return ({ entity }) => entity.name
  if (field.startsWith('metadata.')) return ({ entity }) => own(entity.metadata, field.slice('metadata.'.length))
  return field.startsWith('aliases.') ? aliasLookup(field.slice('aliases.'.length)) : nothing
}

/**
 * Reads the templates of a path: undefined when there are none. A directive that names nothing known is kept and matches
 * nothing. Throws `SyntaxError` when the braces do not pair.
 */
export function parseTemplate(path: string): PathTemplate | undefined {
  const [first, ...rest] = path.split('{{')
  if (first === undefined || first.includes('}}')) throw new SyntaxError('unbalanced {{ and }}')
  if (rest.length === 0) return undefined
  const parts: (string | Lookup)[] = [first]
  for (const piece of rest) {
    const [directive, text, more] = piece.split('}}')
    if (directive === undefined || text === undefined || more !== undefined)
      throw new SyntaxError('unbalanced {{ and }}')
    parts.push(lookup(directive.trim()), text)
  }
  return parts
}

/** Fills a template; undefined when a value lacks, is empty or holds what the rules refuse. */
export function fillTemplate(
  template: PathTemplate,
  identity: TemplateIdentity | undefined,
  namespacePath: string,
  rules: TemplateRules,
): string | undefined {
  if (!identity) return undefined
  let path = ''
  for (const part of template) {
    if (typeof part === 'string') {
      path += part
      continue
    }
    const value = part(identity, namespacePath)
    if (value === undefined || value === '') return undefined
    if (!rules.allowWildcards && /[*+]/.test(value)) return undefined
    if (!rules.allowSlashes && value.includes('/')) return undefined
    path += value
  }
  return path
}
