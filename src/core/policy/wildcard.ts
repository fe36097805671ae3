// Paths in which `+` stands for one segment. Which of several matching rules wins depends on their text alone, so they are
// ranked when they are compiled and the first match in that order decides.

/** A path with `+`, read. */
export interface Wildcard {
  /** The whole path, namespace included, as written. */
  readonly text: string
  /** Text before the first `+` sign: rules are grouped by it. */
  readonly key: string
  /** Text before the first wildcard segment, then what follows: null is one segment, texts may span several. */
  readonly head: string
  readonly parts: readonly (string | null)[]
  /** It ends in `*`: the last text may go on. */
  readonly prefix: boolean
  readonly wildcards: number
  /** All segments, those of the namespace first; null is a wildcard. */
  readonly segments: readonly (string | null)[]
  /** UTF-8 of the path without a final `*`, for ranking. */
  readonly bytes: Uint8Array
}

/** Reads a path with a `+` at the start of a segment; undefined for a path without. The namespace is taken as it is. */
export function readWildcard(path: string, namespacePath: string): Wildcard | undefined {
  if (path !== '+' && !path.startsWith('+/') && !path.includes('/+')) return undefined
  const prefix = path.endsWith('*')
  const bare = prefix ? path.slice(0, -1) : path
  const segments = bare.split('/')
  const first = segments.indexOf('+')
  const parts: (string | null)[] = []
  for (const segment of first < 0 ? [] : segments.slice(first)) {
    const last = parts.at(-1)
    if (segment === '+') parts.push(null)
    else if (typeof last === 'string') parts[parts.length - 1] = `${last}/${segment}`
    else parts.push(segment)
  }
  const lead = first < 0 ? bare : segments.slice(0, first).join('/') + (first > 0 ? '/' : '')
  return {
    text: namespacePath + path,
    key: namespacePath + path.slice(0, path.indexOf('+')),
    head: namespacePath + lead,
    parts,
    prefix,
    wildcards: segments.filter((segment) => segment === '+').length,
    segments: [
      ...namespacePath.split('/').slice(0, -1),
      ...segments.map((segment) => (segment === '+' ? null : segment)),
    ],
    bytes: Buffer.from(namespacePath + bare),
  }
}

/** Orders two rules of one group and kind, the winner first: fewer `+`, then the longer path, then the later in byte order. */
export function compareWildcards(a: Wildcard, b: Wildcard): number {
  return a.wildcards - b.wildcards || b.bytes.length - a.bytes.length || Buffer.compare(b.bytes, a.bytes)
}

/** Whether a path matches; allocates nothing. */
export function matchesWildcard({ head, parts, prefix }: Wildcard, path: string): boolean {
  if (!path.startsWith(head)) return false
  let at = head.length
  const last = parts.length - 1
  if (last < 0) return prefix || at === path.length
  for (let i = 0; i <= last; i++) {
    const part = parts[i] as string | null
    if (part === null) {
      const slash = path.indexOf('/', at)
      if (i === last) return slash < 0
      if (slash < 0) return false
      at = slash + 1
    } else {
      if (!path.startsWith(part, at)) return false
      at += part.length
      if (i === last) return prefix || at === path.length
      if (path.charCodeAt(at++) !== 0x2f) return false
    }
  }
  return false
}

/** Whether some path below a mount (which ends with `/`) could match. */
export function matchesBelow({ segments, prefix }: Wildcard, mount: string): boolean {
  const wanted = mount.split('/').slice(0, -1)
  for (const [i, want] of wanted.entries()) {
    const segment = segments[i]
    if (segment === undefined) return false
    if (prefix && i === segments.length - 1) return want.startsWith(segment ?? '')
    if (segment !== null && segment !== want) return false
  }
  return segments.length > wanted.length
}
