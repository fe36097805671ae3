// Lists of policy names as tokens and roles keep them: lower case, sorted, each once. Source: Vault's policyutil.

/** Lower case, trimmed, sorted, each once, none empty. */
export const tidyNames = (names: readonly string[]): string[] =>
  [...new Set(names.map((name) => name.trim().toLowerCase()))].filter((name) => name !== '').sort()

/** The policies of a token: tidy; `root` stands alone; `default` is added when asked, unless it is root. */
export function tokenPolicies(names: readonly string[], addDefault: boolean): string[] {
  const tidy = tidyNames(names)
  if (tidy.includes('root')) return ['root']
  return addDefault ? tidyNames([...tidy, 'default']) : tidy
}

/** Whether a name fits one of the patterns, in which `*` stands for anything, also nothing. */
export const fitsAny = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) => fits(pattern, name))

function fits(pattern: string, name: string): boolean {
  const parts = pattern.split('*')
  const first = parts[0] as string
  if (parts.length === 1) return pattern === name
  const last = parts[parts.length - 1] as string
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
  let from = first.length
  const end = name.length - last.length
  for (const part of parts.slice(1, -1)) {
    const at = name.indexOf(part, from)
    if (at < 0 || at + part.length > end) return false
    from = at + part.length
  }
  return true
}

/** Policies no token may be given. */
export const unassignable: readonly string[] = ['response-wrapping']
