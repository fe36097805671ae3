// HCL 1 as policies and server configurations use it, and JSON in its place: text in, a tree in which each node knows its line.
// Judges only the grammar; what a key means is for those who read the tree. Hostile text ends in an `HclError`, never in a hang.
import { type Comment, HclError, type HclLimits, hclLimits, type Position, scan, type Token } from './hcl-scan.ts'

export { HclError, type HclLimits, hclLimits, type Position } from './hcl-scan.ts'

export interface HclSpan extends Position {
  /** Offsets into the text, and the line the node ends on; for the formatter. */
  readonly start: number
  readonly end: number
  readonly endLine: number
}
export interface HclString extends HclSpan {
  readonly kind: 'string'
  readonly value: string
  readonly heredoc: boolean
}
export interface HclNumber extends HclSpan {
  readonly kind: 'number'
  readonly value: number
  /** As written: a double may not carry all its digits. */
  readonly text: string
}
export interface HclBool extends HclSpan {
  readonly kind: 'bool'
  readonly value: boolean
}
export interface HclNull extends HclSpan {
  readonly kind: 'null'
}
export interface HclList extends HclSpan {
  readonly kind: 'list'
  readonly items: readonly HclValue[]
}
export interface HclObject extends HclSpan {
  readonly kind: 'object'
  readonly items: readonly HclItem[]
}
export type HclValue = HclString | HclNumber | HclBool | HclNull | HclList | HclObject

export interface HclKey extends HclSpan {
  readonly value: string
  readonly quoted: boolean
}
/** `key = value`, or a block `key "label" … { … }`; keys[0] is the name, the rest are labels. */
export interface HclItem extends HclSpan {
  readonly keys: readonly [HclKey, ...HclKey[]]
  readonly value: HclValue
  /** Written without `=`. */
  readonly block: boolean
}
export interface HclFile {
  readonly items: readonly HclItem[]
  readonly comments: readonly Comment[]
  /** The text is JSON: it starts with `{`. */
  readonly json: boolean
}

const octal = /^-?0[0-7]+$/
const numberValue = (text: string): number =>
  octal.test(text) ? Number.parseInt(text, 8) : text.startsWith('-') ? -Number(text.slice(1)) : Number(text)

const names: Partial<Record<Token['kind'], string>> = { end: 'the end of the text', ident: 'a word' }
const nameOf = (token: Token): string =>
  names[token.kind] ?? (token.kind.length === 1 ? `'${token.kind}'` : `a ${token.kind}`)

/**
 * Parses HCL 1, or JSON when the text starts with `{` (as Vault does). Throws `HclError` with line and column for what is
 * no HCL and for a limit exceeded. Duplicate keys are kept in order: what they mean is the reader's decision.
 */
export function parseHcl(text: string, limits: HclLimits = hclLimits): HclFile {
  if (text.length > limits.lengthMax)
    throw new HclError(`the text is longer than ${limits.lengthMax} characters`, { line: 1, column: 1 })
  const json = /^[\s\ufeff]*\{/.test(text)
  const scanner = scan(text, json)
  let token = scanner.next()
  let count = 0

  const advance = (): Token => {
    const taken = token
    token = scanner.next()
    return taken
  }
  const fail = (problem: string): never => {
    throw new HclError(problem, token)
  }
  const expect = (kind: Token['kind']): Token =>
    token.kind === kind ? advance() : fail(`expected ${kind.length === 1 ? `'${kind}'` : kind}, found ${nameOf(token)}`)
  const atKind = (kind: Token['kind']): boolean => token.kind === kind
  const counted = (): void => {
    if (++count > limits.itemsMax) fail(`more than ${limits.itemsMax} keys and values`)
  }
  const span = (from: Position & { start: number }, last: { end: number; endLine: number }): HclSpan => ({
    line: from.line,
    column: from.column,
    start: from.start,
    end: last.end,
    endLine: last.endLine,
  })

  const value = (depth: number): HclValue => {
    counted()
    if (token.kind === '{') return object(depth, false)
    if (token.kind === '[') return list(depth)
    if (token.kind === 'string' || token.kind === 'heredoc') {
      const taken = advance()
      return { kind: 'string', value: taken.value, heredoc: taken.kind === 'heredoc', ...span(taken, taken) }
    }
    if (token.kind === 'number') {
      const taken = advance()
      return { kind: 'number', value: numberValue(taken.value), text: taken.value, ...span(taken, taken) }
    }
    if (token.kind === 'ident') {
      if (token.value !== 'true' && token.value !== 'false' && token.value !== 'null')
        fail('expected a value, found a bare word; put quotes around it')
      const taken = advance()
      if (taken.value === 'null') return { kind: 'null', ...span(taken, taken) }
      return { kind: 'bool', value: taken.value === 'true', ...span(taken, taken) }
    }
    return fail(`expected a value, found ${nameOf(token)}`)
  }

  const deeper = (depth: number): number =>
    depth >= limits.depthMax ? fail(`nested deeper than ${limits.depthMax}`) : depth + 1

  const list = (depth: number): HclList => {
    const below = deeper(depth)
    const open = advance()
    const items: HclValue[] = []
    while (!atKind(']')) {
      items.push(value(below))
      if (!atKind(',')) break
      advance()
      if (json && atKind(']')) fail('expected a value after the comma')
    }
    return { kind: 'list', items, ...span(open, expect(']')) }
  }

  const object = (depth: number, block: boolean): HclObject => {
    const below = deeper(depth)
    const open = advance()
    const items: HclItem[] = []
    while (!atKind('}')) {
      items.push(item(below, !block))
      if (atKind(',')) {
        advance()
        if (json && atKind('}')) fail('expected a key after the comma')
      } else if (json) break
    }
    return { kind: 'object', items, ...span(open, expect('}')) }
  }

  const key = (): HclKey => {
    if (token.kind !== 'string' && (json || token.kind !== 'ident')) fail(`expected a key, found ${nameOf(token)}`)
    counted()
    const taken = advance()
    return { value: taken.value, quoted: taken.kind === 'string', ...span(taken, taken) }
  }

  const item = (depth: number, colon: boolean): HclItem => {
    const first = key()
    const keys: [HclKey, ...HclKey[]] = [first]
    if (!json) while (token.kind === 'string' || token.kind === 'ident') keys.push(key())
    const block = token.kind === '{' && !json
    if (!block) {
      if (keys.length > 1) fail(`expected '{' after the labels, found ${nameOf(token)}`)
      if (colon && token.kind === ':') advance()
      else if (json) expect(':')
      else if (token.kind === '=') advance()
      else fail(`expected '=' or '{' after the key, found ${nameOf(token)}`)
    }
    const content = block ? object(depth, true) : value(depth)
    return { keys, value: content, block, ...span(first, content) }
  }

  const items: HclItem[] = []
  if (json) {
    items.push(...object(0, false).items)
    if (token.kind !== 'end') fail(`expected the end of the text, found ${nameOf(token)}`)
  } else while (token.kind !== 'end') items.push(item(0, false))
  return { items, comments: scanner.comments, json }
}

/** Turns a node into plain values: objects (last of equal keys wins, `__proto__` is data), arrays, strings, numbers. */
export function plainValue(node: HclValue): unknown {
  if (node.kind === 'list') return node.items.map(plainValue)
  if (node.kind === 'object') return plainObject(node.items)
  return node.kind === 'null' ? null : node.value
}

/** Turns items into one plain object; labels of blocks become nested keys. */
export function plainObject(items: readonly HclItem[]): Record<string, unknown> {
  return Object.fromEntries(
    items.map((one) => [
      one.keys[0].value,
      one.keys.slice(1).reduceRight((inner, label) => ({ [label.value]: inner }), plainValue(one.value)),
    ]),
  )
}

/** One block with its labels, in whichever of the spellings of HCL and JSON it was written. */
export interface HclBlock extends Position {
  readonly labels: readonly HclKey[]
  readonly items: readonly HclItem[]
}

const holdsBlocks = (value: HclValue): boolean =>
  value.kind === 'object' || (value.kind === 'list' && value.items.length > 0 && value.items.every(holdsBlocks))

/**
 * Gives the blocks an item stands for: `name "label" {}`, `name = {}`, `name = [{}, {}]`, JSON `{"name": {"label": {}}}` and
 * lists of these. An object whose members are all objects is taken for labels while fewer than `labelsMax` are known.
 * Throws `HclError` when the item holds anything but objects.
 */
export function blocksOf(item: HclItem, labelsMax: number): HclBlock[] {
  const found: HclBlock[] = []
  const visit = (value: HclValue, labels: readonly HclKey[], place: Position): void => {
    if (value.kind === 'list') {
      for (const one of value.items) visit(one, labels, one)
      return
    }
    if (value.kind !== 'object') throw new HclError(`${item.keys[0].value} must be a block`, value)
    const nested = labels.length < labelsMax && value.items.length > 0 && value.items.every((i) => holdsBlocks(i.value))
    if (nested && !item.block) for (const one of value.items) visit(one.value, [...labels, ...one.keys], one)
    else found.push({ labels, items: value.items, line: place.line, column: place.column })
  }
  visit(item.value, item.keys.slice(1), item)
  return found
}
