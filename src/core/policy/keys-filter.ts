// `list_scan_response_keys_filter_path`: which path decides whether an entry of a LIST answer is shown. A small part of the
// template language that Vault uses: `.path`, `.key`, literals, and pipes into replace, lowercase, uppercase. No code runs.

/** Gives the path on which an entry is judged (read for a key, list for a folder); paths without the namespace. */
export type KeysFilter = (path: string, key: string) => string

type Step = (text: string) => string

// Longer than any path; the pattern below looks at a template of this length at most twice per character pair.
const templateLengthMax = 1024

const action = /\{\{-?\s*((?:[^"`}]|"(?:[^"\\\n]|\\.)*"|`[^`]*`)*?)\s*-?\}\}/gy
const words = /\s*(?:(\|)|"((?:[^"\\]|\\.)*)"|`([^`]*)`|([^\s|"`]+))/gy

function tokens(text: string): string[][] {
  const stages: string[][] = [[]]
  words.lastIndex = 0
  while (words.lastIndex < text.length) {
    const found = words.exec(text)
    if (!found) throw new SyntaxError('cannot read the template')
    const [, pipe, quoted, raw, word] = found
    if (pipe) stages.push([])
    else stages.at(-1)?.push(word ?? `"${raw ?? JSON.parse(`"${quoted}"`)}`)
  }
  return stages
}

const literal = (word: string | undefined): string => {
  if (!word?.startsWith('"')) throw new SyntaxError('the template function needs quoted text')
  return word.slice(1)
}

function step(stage: readonly string[]): Step {
  const [name, ...args] = stage
  if (name === 'lowercase' && args.length === 0) return (text) => text.toLowerCase()
  if (name === 'uppercase' && args.length === 0) return (text) => text.toUpperCase()
  if (name === 'replace' && args.length === 2) {
    const [from, to] = [literal(args[0]), literal(args[1])]
    if (from === '') throw new SyntaxError('replace needs a text to look for')
    return (text) => text.replaceAll(from, () => to)
  }
  throw new SyntaxError('unknown template function; known are replace "a" "b", lowercase, uppercase')
}

function piece(text: string): KeysFilter {
  const [source, ...stages] = tokens(text)
  const steps = stages.map(step)
  const [word, ...extra] = source ?? []
  if (word === undefined || extra.length > 0) throw new SyntaxError('a template names .path, .key or a quoted text')
  const apply = (value: string): string => steps.reduce((result, one) => one(result), value)
  if (word === '.path') return (path) => apply(path)
  if (word === '.key') return (_path, key) => apply(key)
  const fixed = apply(literal(word))
  return () => fixed
}

/** Compiles a filter template. Throws `SyntaxError` for what is no template, or one in which `.key` decides nothing. */
export function compileKeysFilter(template: string): KeysFilter {
  if (template.length > templateLengthMax) throw new SyntaxError(`longer than ${templateLengthMax} characters`)
  const pieces: KeysFilter[] = []
  let at = 0
  while (at < template.length) {
    const open = template.indexOf('{{', at)
    const text = template.slice(at, open < 0 ? template.length : open)
    if (text !== '') pieces.push(() => text)
    if (open < 0) break
    action.lastIndex = open
    const found = action.exec(template)
    if (!found) throw new SyntaxError('unbalanced {{ and }} in the template')
    pieces.push(piece(found[1] as string))
    at = action.lastIndex
  }
  // A LIST may come without the slash that its path has by nature; a key appended to that would name another path.
  const filter: KeysFilter = (path, key) => {
    const folder = path.endsWith('/') ? path : `${path}/`
    return pieces.map((one) => one(folder, key)).join('')
  }
  if (filter('p/', 'one') === filter('p/', 'two')) throw new SyntaxError('the template must use {{ .key }}')
  return filter
}
