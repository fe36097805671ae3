// The one way to lay out HCL: two spaces, `=` in line, one empty line at most, comments kept where they stood.
// Never changes what the text means: words are copied as written, and JSON is left alone.
import { type HclItem, type HclObject, type HclValue, parseHcl } from './hcl.ts'
import type { Comment } from './hcl-scan.ts'

interface Printer {
  readonly text: string
  readonly comments: readonly Comment[]
  /** First comment that is not printed yet. */
  nextComment: number
  readonly lines: string[]
  /** Line of the source on which what was printed last ended; 0 at the start of a body. */
  lastLine: number
}

/** A line waiting for its neighbours, so that their `=` can be put under each other. */
interface Row {
  readonly key: string
  readonly value: string
  trailing: string
}

const pad = (depth: number): string => '  '.repeat(depth)
const commentsWithin = (printer: Printer, end: number): boolean =>
  (printer.comments[printer.nextComment]?.start ?? Number.POSITIVE_INFINITY) < end

/** Puts one empty line where the source had one or more, never at the start of a body. */
function gap(printer: Printer, line: number): void {
  if (printer.lastLine > 0 && line > printer.lastLine + 1) printer.lines.push('')
}

/** Prints the comments that start before `end`, each on its own line. */
function ownLineComments(printer: Printer, end: number, depth: number): void {
  while (commentsWithin(printer, end)) {
    const comment = printer.comments[printer.nextComment++] as Comment
    gap(printer, comment.line)
    printer.lines.push(pad(depth) + comment.text)
    printer.lastLine = comment.endLine
  }
}

/** Takes the comments after `from` that stand on `line`; a block comment ends the taking, since text may follow it. */
function trailingComments(printer: Printer, line: number, before: number): string {
  let taken = ''
  while (commentsWithin(printer, before)) {
    const comment = printer.comments[printer.nextComment] as Comment
    if (comment.line !== line || comment.endLine !== line) break
    printer.nextComment++
    taken += ` ${comment.text}`
    if (!comment.text.startsWith('/*')) break
  }
  return taken
}

const source = (printer: Printer, node: { start: number; end: number }): string =>
  printer.text.slice(node.start, node.end)

const keysOf = (printer: Printer, item: HclItem): string => item.keys.map((key) => source(printer, key)).join(' ')

/** Prints a value on one line, or gives undefined where it needs more: a comment inside, a heredoc, or lines of its own. */
function inline(printer: Printer, value: HclValue): string | undefined {
  if (value.kind === 'string' && value.heredoc) return undefined
  if (value.kind !== 'list' && value.kind !== 'object') return source(printer, value)
  if (value.items.length === 0)
    return commentsWithin(printer, value.end) ? undefined : value.kind === 'list' ? '[]' : '{}'
  if (value.line !== value.endLine || commentsWithin(printer, value.end)) return undefined
  if (value.kind === 'list') {
    const items = value.items.map((one) => inline(printer, one))
    return items.includes(undefined) ? undefined : `[${items.join(', ')}]`
  }
  const parts = value.items.map((one) => {
    const content = inline(printer, one.value)
    return content === undefined ? undefined : `${keysOf(printer, one)}${one.block ? ' ' : ' = '}${content}`
  })
  return parts.includes(undefined) ? undefined : `{ ${parts.join(', ')} }`
}

/** Prints a value that takes several lines after `head`; the lines after the first are indented by `depth`. */
function spread(printer: Printer, head: string, value: HclValue, depth: number): void {
  if (value.kind === 'string') {
    // A heredoc as it is: moving its end mark could change its value.
    const [first, ...rest] = source(printer, value).split('\n')
    printer.lines.push(head + first, ...rest)
  } else if (value.kind === 'list') {
    printer.lines.push(`${head}[`)
    listLines(printer, value.items, depth + 1)
    ownLineComments(printer, value.end, depth + 1)
    printer.lines.push(`${pad(depth)}]`)
  } else {
    printer.lines.push(`${head}{`)
    bodyLines(printer, (value as HclObject).items, depth + 1, value.end)
    printer.lines.push(`${pad(depth)}}`)
  }
  printer.lastLine = value.endLine
}

function listLines(printer: Printer, items: readonly HclValue[], depth: number): void {
  printer.lastLine = 0
  items.forEach((one, index) => {
    ownLineComments(printer, one.start, depth)
    gap(printer, one.line)
    const text = inline(printer, one)
    if (text !== undefined) printer.lines.push(pad(depth) + text)
    else spread(printer, pad(depth), one, depth)
    // A heredoc's end mark stands alone: the comma goes below it, and no empty line is kept after that.
    const heredoc = one.kind === 'string' && one.heredoc
    if (heredoc) printer.lines.push(`${pad(depth)},`)
    else printer.lines[printer.lines.length - 1] += ','
    printer.lastLine = heredoc ? Number.POSITIVE_INFINITY : one.endLine
    const before = items[index + 1]?.start ?? Number.POSITIVE_INFINITY
    printer.lines[printer.lines.length - 1] += trailingComments(printer, one.endLine, before)
  })
}

function flush(printer: Printer, rows: Row[], depth: number): void {
  const width = Math.max(0, ...rows.map((row) => row.key.length))
  for (const row of rows) printer.lines.push(`${pad(depth)}${row.key.padEnd(width)} = ${row.value}${row.trailing}`)
  rows.length = 0
}

/** Prints the items of a body and the comments up to `end`. */
function bodyLines(printer: Printer, items: readonly HclItem[], depth: number, end: number): void {
  const rows: Row[] = []
  printer.lastLine = 0
  items.forEach((item, index) => {
    const container = item.value.kind === 'list' || item.value.kind === 'object'
    const hoisted = container ? item.value.start : item.value.end
    if (commentsWithin(printer, hoisted) || item.line > printer.lastLine + 1 || item.block) flush(printer, rows, depth)
    ownLineComments(printer, hoisted, depth)
    gap(printer, item.line)
    const before = items[index + 1]?.start ?? end
    // A block opens up although it stood on one line, unless it is empty.
    const open = item.block && ((item.value as HclObject).items.length > 0 || commentsWithin(printer, item.value.end))
    const text = open ? undefined : inline(printer, item.value)
    const keys = keysOf(printer, item)
    if (text !== undefined && !item.block) {
      rows.push({ key: keys, value: text, trailing: trailingComments(printer, item.endLine, before) })
    } else {
      flush(printer, rows, depth)
      if (text !== undefined) printer.lines.push(`${pad(depth)}${keys} ${text}`)
      else spread(printer, `${pad(depth)}${keys} ${item.block ? '' : '= '}`, item.value, depth)
      const heredoc = item.value.kind === 'string' && item.value.heredoc
      if (!heredoc) printer.lines[printer.lines.length - 1] += trailingComments(printer, item.endLine, before)
    }
    printer.lastLine = item.endLine
  })
  flush(printer, rows, depth)
  ownLineComments(printer, end, depth)
}

/** Lays a text out canonically (`policy fmt`); formatting twice changes nothing more. Throws `HclError`; JSON comes back as it is. */
export function formatHcl(text: string): string {
  const file = parseHcl(text)
  if (file.json) return text
  const printer: Printer = { text, comments: file.comments, nextComment: 0, lines: [], lastLine: 0 }
  bodyLines(printer, file.items, 0, Number.POSITIVE_INFINITY)
  return printer.lines.length ? `${printer.lines.join('\n')}\n` : ''
}
