// HCL and JSON: what is read, where errors are, that hostile text costs little, and that formatting changes no meaning.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocksOf, HclError, type HclFile, type HclItem, type HclValue, parseHcl, plainObject } from './hcl.ts'
import { formatHcl } from './hcl-format.ts'

const read = (text: string) => plainObject(parseHcl(text).items)
const failsAt = (text: string, line: number, column: number, message: RegExp) =>
  assert.throws(
    () => parseHcl(text),
    (error: unknown) => {
      assert.ok(error instanceof HclError, String(error))
      assert.deepEqual([error.line, error.column], [line, column], error.message)
      assert.match(error.message, message)
      return true
    },
  )

test('attributes, blocks, lists, objects, comments', () => {
  const text = `
# one
// two
/* three
   lines */ name = "x" other = -1.5e2
hex = 0x1f mode = 0755 on = true off = false
list = ["a", 2, [true,], { k = "v" },]
tags = { "a b" = 1, c = 2
  d : 3 }
block "one" "two" { inner { deep = [] } }
"quoted" = 1
dotted.key-name = 2
`
  assert.deepEqual(read(text), {
    name: 'x',
    other: -150,
    hex: 31,
    mode: 493,
    on: true,
    off: false,
    list: ['a', 2, [true], { k: 'v' }],
    tags: { 'a b': 1, c: 2, d: 3 },
    block: { one: { two: { inner: { deep: [] } } } },
    quoted: 1,
    'dotted.key-name': 2,
  })
})

test('strings: escapes, interpolation kept as it is, heredocs', () => {
  assert.deepEqual(read(String.raw`a = "q\"\\\n\t\x41\101é\U0001F600"`), { a: 'q"\\\n\tAAé😀' })
  assert.deepEqual(read(`a = "x $\{f("y")} z"`), { a: `x $\{f("y")} z` })
  assert.deepEqual(read('a = <<EOF\nline "1"\n  line 2\nEOF\nb = 1'), { a: 'line "1"\n  line 2\n', b: 1 })
  assert.deepEqual(read('a = <<-EOF\n    one\n      two\n\n    EOF\nb = 1'), { a: 'one\n  two\n\n', b: 1 })
  assert.deepEqual(read('a = <<EOF\r\none\r\nEOF\r\n'), { a: 'one\n' })
  assert.deepEqual(read('a = <<EOF\nEOF'), { a: '' })
})

test('JSON: the same tree, strictly read', () => {
  assert.deepEqual(read('  {"a": {"b": [1, -2.5e1, null, true]}, "c\\u00e9\\ud83d\\ude00": "\\/"}'), {
    a: { b: [1, -25, null, true] },
    'cé😀': '/',
  })
  for (const bad of [
    '{"a" = 1}',
    '{"a": 1,}',
    '{"a": [1,]}',
    '{a: 1}',
    '{"a": 01}',
    '{"a": 1} x',
    '{"a": "\\x41"}',
    '{',
  ])
    assert.throws(() => parseHcl(bad), HclError, bad)
  assert.throws(() => parseHcl('{"a": 1 /* c */}'), HclError)
})

test('__proto__ is plain data', () => {
  const value = read('__proto__ { polluted = true }')
  assert.equal(Object.getPrototypeOf(value), Object.prototype)
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  assert.deepEqual(Object.keys(value), ['__proto__'])
})

test('errors name line and column', () => {
  failsAt('path "x" { capabilities', 1, 24, /expected '=' or '\{' after the key, found the end of the text/)
  failsAt('a = 1\nb = [1, 2\nc = 3', 3, 1, /expected '\]'/)
  failsAt('a = 1\n  b = bare', 2, 7, /bare word/)
  failsAt('a = "one\ntwo"', 1, 9, /does not end on its line/)
  failsAt('\n/* open', 2, 1, /comment is not closed/)
  failsAt('a = <<EOF\nx\n', 1, 5, /heredoc is not closed/)
  failsAt('a = 10m', 1, 7, /number runs into a word/)
  failsAt('a "b" = 1', 1, 7, /after the labels/)
  failsAt('a = 1 }', 1, 7, /expected a key/)
  failsAt('a = "\\q"', 1, 6, /unknown escape/)
  failsAt('a = \x00', 1, 5, /control character/)
  failsAt('a = /', 1, 5, /unexpected '\/'/)
})

test('every node knows where it stands', () => {
  const item = parseHcl('\n  path "secret/x" {\n    capabilities = ["read",\n      "fly"]\n}').items[0] as HclItem
  assert.deepEqual([item.line, item.column, item.endLine], [2, 3, 5])
  assert.deepEqual([item.keys[1]?.line, item.keys[1]?.column], [2, 8])
  const list = (item.value as Extract<HclValue, { kind: 'object' }>).items[0]?.value
  assert.ok(list?.kind === 'list')
  assert.deepEqual([list.items[1]?.line, list.items[1]?.column], [4, 7])
})

test('blocks: all spellings mean the same', () => {
  const spellings = [
    'path "a" { x = 1 }\npath "b" { x = 2 }',
    'path = { "a" = { x = 1 }, "b" = { x = 2 } }',
    '{"path": {"a": {"x": 1}, "b": {"x": 2}}}',
    '{"path": [{"a": {"x": 1}}, {"b": {"x": 2}}]}',
    '{"path": [{"a": [{"x": 1}], "b": {"x": 2}}]}',
  ]
  for (const text of spellings)
    assert.deepEqual(
      parseHcl(text)
        .items.flatMap((item) => blocksOf(item, 1))
        .map((block) => [block.labels.map((label) => label.value), plainObject(block.items)]),
      [
        [['a'], { x: 1 }],
        [['b'], { x: 2 }],
      ],
      text,
    )
  const typed = blocksOf(parseHcl('{"listener": [{"type": "tcp", "telemetry": {"x": 1}}]}').items[0] as HclItem, 1)
  assert.deepEqual(
    typed.map((block) => block.labels.length),
    [0],
  )
  assert.throws(() => blocksOf(parseHcl('path = "x"').items[0] as HclItem, 1), /line 1, column 8: path must be a block/)
})

test('limits: length, depth, number of items; nothing takes long or overflows', () => {
  assert.throws(() => parseHcl('a = 1 '.repeat(10), { lengthMax: 50, depthMax: 5, itemsMax: 100 }), /longer than 50/)
  assert.throws(() => parseHcl('a = [1,2,3,4]', { lengthMax: 50, depthMax: 5, itemsMax: 4 }), /more than 4/)
  for (const hostile of ['[', '{"a":', 'a {', 'a = [', '"${', '/*', '<<A\n', '"', '{"a":[', '\\', 'x "y" ', '=', ','])
    for (const prefix of ['', 'a = '])
      assert.throws(() => parseHcl(prefix + hostile.repeat(100_000)), HclError, hostile)
  assert.equal(parseHcl('#\n'.repeat(500_000)).items.length, 0)
  assert.deepEqual(read(`a = "${'\\n'.repeat(500_000)}"`), { a: '\n'.repeat(500_000) })
})

const pieces = [
  'path',
  ' ',
  '\n',
  '"',
  '"x"',
  '{',
  '}',
  '[',
  ']',
  '=',
  ':',
  ',',
  '#',
  '//',
  '/*',
  '*/',
  '<<EOF\n',
  '<<-E\n',
  'EOF\n',
  '\nE\n',
  '\\',
  '${',
  '1',
  '-',
  '0x',
  '1.5',
  'true',
  'null',
  '\r\n',
  '\t',
  '\0',
  'é',
  '😀',
  '\ud800',
  'capabilities',
  '"read"',
  '_',
] // prettier-ignore

/** Seeded pseudo-random numbers (mulberry32), so that a failure can be repeated. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const bare = (file: HclFile) => JSON.stringify(plainObject(file.items))

test('fuzz: any text is read, or refused with a place; what is read formats to the same meaning', () => {
  let readable = 0
  for (let seed = 1; seed <= 6000; seed++) {
    const next = random(seed)
    const start = next() < 0.3 ? 'path "a" {\n x = [1, # c\n 2]\n' : next() < 0.3 ? '{"a":' : ''
    const text =
      start + Array.from({ length: 1 + next() * 12 }, () => pieces[Math.floor(next() * pieces.length)]).join('')
    let file: HclFile
    try {
      file = parseHcl(text)
    } catch (error) {
      assert.ok(error instanceof HclError, `seed ${seed}: ${error}`)
      assert.ok(error.line >= 1 && error.column >= 1)
      continue
    }
    readable++
    const formatted = formatHcl(text)
    const again = parseHcl(formatted)
    assert.equal(bare(again), bare(file), `seed ${seed}: ${JSON.stringify(text)} -> ${JSON.stringify(formatted)}`)
    assert.equal(again.comments.length, file.comments.length, `seed ${seed}: ${JSON.stringify(text)}`)
    assert.equal(formatHcl(formatted), formatted, `seed ${seed}: ${JSON.stringify(text)}`)
  }
  assert.ok(readable > 100, `only ${readable} texts could be read`)
})

/** Makes a random valid document with comments in all places. */
function document(next: () => number, depth = 0): string {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T
  const note = () => pick(['', '', '', ' # c\n', ' /* c */ ', '\n// c\n', '\n\n'])
  const value = (level: number): string => {
    const kind = next()
    if (level > 2 || kind < 0.4) return pick(['1', '"s"', 'true', '"a b"', '-2.5'])
    if (kind < 0.6)
      return `[${note()}${Array.from({ length: next() * 3 }, () => value(level + 1) + note()).join(`,${note()}`)}]`
    if (kind < 0.7) return pick(['<<EOF\nx y\n EOF\n', '<<-EOF\n  x\n    y\n  EOF\n'])
    return `{${note()}${Array.from({ length: next() * 3 }, () => `${pick(['k', '"q k"', 'long_key'])}${note()}=${note()}${value(level + 1)}`).join(pick([',', '\n']))}${note()}}`
  }
  return Array.from({ length: 1 + next() * 4 }, () => {
    if (depth < 2 && next() < 0.4)
      return `${pick(['path', 'x'])} "l"${note()}{${note()}${document(next, depth + 1)}${note()}}`
    return `${pick(['a', 'longer_name', '"q"'])}${note()}= ${note()}${value(0)}`
  }).join(pick(['\n', ' ', '\n\n', ' # t\n']))
}

test('fuzz: formatting keeps meaning and comments, and formatting twice changes nothing', () => {
  let read = 0
  for (let seed = 1; seed <= 3000; seed++) {
    const text = document(random(seed))
    let file: HclFile
    try {
      file = parseHcl(text)
    } catch {
      continue
    }
    read++
    const formatted = formatHcl(text)
    const again = parseHcl(formatted)
    const where = `seed ${seed}:\n${text}\n->\n${formatted}`
    assert.equal(bare(again), bare(file), where)
    assert.deepEqual(again.comments.length, file.comments.length, where)
    assert.equal(formatHcl(formatted), formatted, where)
  }
  assert.ok(read > 2000, `only ${read} documents could be read`)
})

test('formatting: the canonical shape', () => {
  const text = `# head
path "secret/*" { capabilities=["read","list"] min_wrapping_ttl="1m" # short
  # why
  allowed_parameters={"a"=[],"bcd"=["x","y"]}


  required_parameters = [
"one", # first
  "two"]
}
path "x" {}
// tail`
  assert.equal(
    formatHcl(text),
    `# head
path "secret/*" {
  capabilities     = ["read", "list"]
  min_wrapping_ttl = "1m" # short
  # why
  allowed_parameters = { "a" = [], "bcd" = ["x", "y"] }

  required_parameters = [
    "one", # first
    "two",
  ]
}
path "x" {}
// tail
`,
  )
  assert.equal(formatHcl('{"path": {}}'), '{"path": {}}')
  assert.equal(formatHcl('\n\n'), '')
  assert.throws(() => formatHcl('path {'), HclError)
})
