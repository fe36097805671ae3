// Words of HCL 1 and JSON: text in, tokens with their place out. One pass, no backtracking, bounded by the limits given.
// Never quotes the text it reads in an error beyond one character: a configuration may hold secrets.

/** A place in a text: line and column count from 1, a column is one UTF-16 unit. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** What is wrong with an HCL or JSON text, and where; `message` starts with "line L, column C: ". */
export class HclError extends Error {
  override name = 'HclError'
  readonly line: number
  readonly column: number
  /** The message without the place. */
  readonly problem: string
  constructor(problem: string, at: Position) {
    super(`line ${at.line}, column ${at.column}: ${problem}`)
    this.line = at.line
    this.column = at.column
    this.problem = problem
  }
}

/** Bounds of what is read: characters of the text, nesting, and values and keys in all. */
export interface HclLimits {
  readonly lengthMax: number
  readonly depthMax: number
  readonly itemsMax: number
}

/** Enough for any policy or configuration written by people and tools; the parser needs about 200 bytes an item. */
export const hclLimits: HclLimits = { lengthMax: 8 * 1024 * 1024, depthMax: 64, itemsMax: 500_000 }

export type TokenKind = 'ident' | 'string' | 'heredoc' | 'number' | '{' | '}' | '[' | ']' | '=' | ':' | ',' | 'end'

export interface Token extends Position {
  readonly kind: TokenKind
  /** Idents and numbers as written, strings and heredocs unescaped. */
  readonly value: string
  readonly start: number
  readonly end: number
  readonly endLine: number
}

export interface Comment extends Position {
  readonly text: string
  readonly start: number
  readonly endLine: number
}

export interface Scanner {
  next(): Token
  /** Comments passed so far, in order. */
  readonly comments: readonly Comment[]
}

const identStart = /[\p{L}_]/u
const identRest = /[\p{L}\p{Nd}_.-]*/uy
const numberWord = /-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/y
const jsonNumberWord = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const heredocHead = /<<(-?)([\p{L}\p{Nd}_]+)[ \t]*\r?\n/uy
const simpleEscapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  '"': '"',
  '\\': '\\',
  b: '\b',
  f: '\f',
  '/': '/',
  a: '\x07',
  v: '\v',
}
const jsonEscapes = 'nrt"\\bf/'
const hexLengths: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

/** Starts reading `text`; with `json` only what RFC 8259 allows. Throws `HclError` at the first thing that is no word. */
export function scan(text: string, json: boolean): Scanner {
  const comments: Comment[] = []
  let offset = text.charCodeAt(0) === 0xfeff ? 1 : 0
  let line = 1
  let lineStart = offset

  const at = (where: number): Position => ({ line, column: where - lineStart + 1 })
  const fail = (problem: string, where = offset): never => {
    throw new HclError(problem, at(where))
  }
  /** Counts the line ends in [from, to); positions before `to` are lost. */
  const passLines = (from: number, to: number): void => {
    for (let i = text.indexOf('\n', from); i >= 0 && i < to; i = text.indexOf('\n', i + 1)) {
      line++
      lineStart = i + 1
    }
  }

  const comment = (): void => {
    const start = offset
    const place = at(start)
    const long = text.charCodeAt(offset + 1) === 0x2a
    let end = long ? text.indexOf('*/', offset + 2) : text.indexOf('\n', offset)
    if (long && end < 0) fail('the comment is not closed')
    end = end < 0 ? text.length : long ? end + 2 : end
    passLines(start, end)
    offset = end
    comments.push({ ...place, text: text.slice(start, end).trimEnd(), start, endLine: line })
  }

  const skip = (): void => {
    for (; offset < text.length; ) {
      const c = text.charCodeAt(offset)
      if (c === 0x0a) {
        line++
        lineStart = ++offset
      } else if (c === 0x20 || c === 0x09 || c === 0x0d) offset++
      else if (!json && (c === 0x23 || (c === 0x2f && /[/*]/.test(text.charAt(offset + 1))))) comment()
      else return
    }
  }

  const readEscape = (out: string[]): void => {
    const letter = text.charAt(offset + 1)
    const plain = simpleEscapes[letter]
    if (plain !== undefined && (!json || jsonEscapes.includes(letter))) {
      out.push(plain)
      offset += 2
      return
    }
    const digits = hexLengths[letter] ?? 3
    const octal = hexLengths[letter] === undefined
    const word = text.slice(offset + (octal ? 1 : 2), offset + (octal ? 1 : 2) + digits)
    const valid = octal ? /^[0-7]{3}$/.test(word) : word.length === digits && /^[0-9a-fA-F]+$/.test(word)
    if (!valid || (json && letter !== 'u')) fail('unknown escape in the string')
    const code = Number.parseInt(word, octal ? 8 : 16)
    if (code > 0x10ffff || (code > 0x7f && (octal || letter === 'x'))) fail('the escape is no character; use \\u')
    out.push(letter === 'u' ? String.fromCharCode(code) : String.fromCodePoint(code))
    offset += (octal ? 1 : 2) + digits
  }

  const string = (): string => {
    const out: string[] = []
    const opened = at(offset)
    offset++
    // Inside ${…} quotes and line ends belong to the string, and nothing is unescaped.
    let braces = 0
    let from = offset
    for (;;) {
      const c = text.charCodeAt(offset)
      if (Number.isNaN(c)) throw new HclError('the string is not closed', opened)
      if (c === 0) fail('a NUL character')
      if (braces > 0) {
        if (c === 0x0a) {
          line++
          lineStart = offset + 1
        } else if (c === 0x7b) braces++
        else if (c === 0x7d) braces--
        offset++
      } else if (c === 0x22) break
      else if (c === 0x0a || (json && c < 0x20)) fail('the string does not end on its line')
      else if (c === 0x5c) {
        out.push(text.slice(from, offset))
        readEscape(out)
        from = offset
      } else if (!json && c === 0x24 && text.charCodeAt(offset + 1) === 0x7b) {
        braces = 1
        offset += 2
      } else offset++
    }
    out.push(text.slice(from, offset))
    offset++
    return out.join('')
  }

  const heredoc = (): string => {
    const opened = at(offset)
    heredocHead.lastIndex = offset
    const head = heredocHead.exec(text)
    if (!head) return fail('expected <<NAME at the end of the line')
    const name = head[2] as string
    const lines: string[] = []
    line++
    lineStart = offset = heredocHead.lastIndex
    for (;;) {
      if (offset >= text.length) throw new HclError(`the heredoc is not closed by ${name}`, opened)
      const next = text.indexOf('\n', offset)
      const end = next < 0 ? text.length : next
      const content = text.slice(offset, end)
      const trimmed = content.trim()
      if (trimmed === name) {
        offset += content.trimEnd().length
        const indent = content.slice(0, content.indexOf(name))
        const shared = head[1] === '-' && lines.every((one) => one.trim() === '' || one.startsWith(indent))
        const kept = shared ? lines.map((one) => (one.startsWith(indent) ? one.slice(indent.length) : '')) : lines
        return kept.length ? `${kept.join('\n')}\n` : ''
      }
      if (next < 0) throw new HclError(`the heredoc is not closed by ${name}`, opened)
      lines.push(content.endsWith('\r') ? content.slice(0, -1) : content)
      line++
      lineStart = offset = next + 1
    }
  }

  const word = (): [TokenKind, string] => {
    const c = text.charAt(offset)
    if ('{}[],'.includes(c) || c === ':' || (c === '=' && !json)) {
      offset++
      return [c as TokenKind, c]
    }
    if (c === '"') return ['string', string()]
    if (c === '<' && !json) return ['heredoc', heredoc()]
    if (c === '-' || (c >= '0' && c <= '9')) {
      const pattern = json ? jsonNumberWord : numberWord
      pattern.lastIndex = offset
      const found = pattern.exec(text)?.[0]
      if (found === undefined) return fail('expected a number')
      offset += found.length
      if (identStart.test(text.charAt(offset))) fail('a number runs into a word; put quotes around it')
      return ['number', found]
    }
    const first = String.fromCodePoint(text.codePointAt(offset) as number)
    if (identStart.test(first)) {
      identRest.lastIndex = offset + first.length
      const rest = identRest.exec(text)?.[0] ?? ''
      offset += first.length + rest.length
      return ['ident', first + rest]
    }
    const shown = first < ' ' || first === '\x7f' ? 'a control character' : `'${first}'`
    return fail(`unexpected ${shown}`)
  }

  return {
    comments,
    next() {
      skip()
      const start = offset
      const place = at(start)
      if (offset >= text.length) return { ...place, kind: 'end', value: '', start, end: start, endLine: line }
      const [kind, value] = word()
      return { ...place, kind, value, start, end: offset, endLine: line }
    },
  }
}
