// Path patterns of operations: `config`, `roles/{name}`, `data/{path*}`, `mounts/{path*}/tune`. Ranked by segment, never by the order of
// registration: a literal beats `{name}`, which beats `{path*}` with something after it, which beats `{path*}`. A true tie is refused at start.

interface Node<T> {
  readonly literals: Map<string, Node<T>>
  one: { name: string; node: Node<T> } | undefined
  /** `{path*}`, by what must follow it ("" for nothing); longest first. */
  rests: { name: string; suffix: string; value: T }[]
  value: T | undefined
}

/** Where a path led: the value put there and what the placeholders caught. */
export interface Match<T> {
  readonly value: T
  readonly params: Readonly<Record<string, string>>
}

export interface Matcher<T> {
  /** Finds the best pattern for a path without a leading slash; one trailing slash is ignored unless a `{path*}` takes it. */
  match(path: string): Match<T> | undefined
}

const emptyNode = <T>(): Node<T> => ({ literals: new Map(), one: undefined, rests: [], value: undefined })
const placeholder = /^\{([a-z_]+)(\*?)\}$/

/** Names of the placeholders of a pattern, in order. */
export const placeholdersOf = (pattern: string): string[] =>
  pattern.split('/').flatMap((segment) => placeholder.exec(segment)?.[1] ?? [])

function insert<T>(root: Node<T>, pattern: string, value: T): void {
  let node = root
  const segments = pattern === '' ? [] : pattern.split('/')
  for (const [index, segment] of segments.entries()) {
    const found = placeholder.exec(segment)
    if (!found) {
      if (segment.includes('{')) throw new Error(`pattern "${pattern}": bad placeholder "${segment}"`)
      const next = node.literals.get(segment) ?? emptyNode<T>()
      node.literals.set(segment, next)
      node = next
    } else if (found[2] === '*') {
      const after = segments.slice(index + 1)
      if (after.some((text) => text.includes('{')))
        throw new Error(`pattern "${pattern}": only words may follow {${found[1]}*}`)
      const suffix = after.length === 0 ? '' : `/${after.join('/')}`
      if (node.rests.some((rest) => rest.suffix === suffix)) throw new Error(`pattern "${pattern}" is declared twice`)
      node.rests.push({ name: found[1] as string, suffix, value })
      node.rests.sort((a, b) => b.suffix.length - a.suffix.length)
      return
    } else {
      const name = found[1] as string
      if (node.one && node.one.name !== name)
        throw new Error(`pattern "${pattern}": {${name}} stands where {${node.one.name}} stands already`)
      node.one ??= { name, node: emptyNode() }
      node = node.one.node
    }
  }
  if (node.value !== undefined) throw new Error(`pattern "${pattern}" is declared twice`)
  node.value = value
}

function walk<T>(node: Node<T>, path: string, from: number, caught: [string, string][]): T | undefined {
  if (from >= path.length) {
    if (node.value !== undefined) return node.value
    return takeRest(node, '', caught)
  }
  const slash = path.indexOf('/', from)
  const end = slash < 0 ? path.length : slash
  const segment = path.slice(from, end)
  const next = slash < 0 ? path.length : slash + 1
  const literal = node.literals.get(segment)
  const depth = caught.length
  if (literal) {
    const hit = walk(literal, path, next, caught)
    if (hit !== undefined) return hit
    caught.length = depth
  }
  if (node.one && segment !== '') {
    caught.push([node.one.name, segment])
    const hit = walk(node.one.node, path, next, caught)
    if (hit !== undefined) return hit
    caught.length = depth
  }
  return takeRest(node, path.slice(from), caught)
}

function takeRest<T>(node: Node<T>, text: string, caught: [string, string][]): T | undefined {
  for (const { name, suffix, value } of node.rests) {
    if (suffix !== '' && !(text.endsWith(suffix) && text.length > suffix.length)) continue
    caught.push([name, suffix === '' ? text : text.slice(0, -suffix.length)])
    return value
  }
  return undefined
}

/** Compiles patterns into a matcher; throws on a pattern declared twice or not well-formed. */
export function compilePatterns<T>(patterns: Iterable<readonly [pattern: string, value: T]>): Matcher<T> {
  const root = emptyNode<T>()
  for (const [pattern, value] of patterns) insert(root, pattern, value)
  return {
    match(path) {
      const caught: [string, string][] = []
      const value = walk(root, path, 0, caught)
      if (value === undefined) return undefined
      const params: Record<string, string> = Object.create(null)
      for (const [name, text] of caught) params[name] = text
      return { value, params }
    },
  }
}
