// How values look: tables, durations, lists and maps, times, fields; flags and paths.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseJson } from '../lib/json.ts'
import { formatDuration, formatTime, formatValue, humanSeconds, joinPath, parseDurationMs, sanitizePath } from './go.ts'
import { columns, heading, prettyJson, struct, table, wrap } from './print.ts'
import { fieldOf } from './render.ts'
import { secretOf } from './secret.ts'
import { suggestions } from './tree.ts'
import { yamlText } from './yaml.ts'

test('durations are read and printed as Go does', () => {
  const cases: Array<[string, number, string]> = [
    ['90', 90_000, '1m30s'],
    ['1h30m', 5_400_000, '1h30m0s'],
    ['30d', 2_592_000_000, '720h0m0s'],
    ['1.5s', 1500, '1.5s'],
    ['20ms', 20, '20ms'],
    ['-1s', -1000, '-1s'],
    ['0', 0, '0s'],
  ]
  for (const [text, ms, printed] of cases) {
    assert.equal(parseDurationMs(text), ms, text)
    assert.equal(formatDuration(ms), printed, text)
  }
  assert.equal(parseDurationMs('system'), -1000)
  for (const text of ['soon', '1x', '1h 2m', 'h', '1,5s']) assert.equal(parseDurationMs(text), undefined, text)
})

test('seconds are shown for people, and only whole numbers are', () => {
  assert.equal(humanSeconds(2_764_800), '768h')
  assert.equal(humanSeconds(5400), '1h30m')
  assert.equal(humanSeconds(59), '59s')
  assert.equal(humanSeconds(3601), '1h1s')
  assert.equal(humanSeconds(0), '0s')
  assert.equal(humanSeconds('1h'), '1h')
  assert.equal(humanSeconds(null), null)
})

test('values on one line', () => {
  const value = parseJson('{"b":[1,"x",null,true],"a":{"k":12345678901234567890},"10":1,"9":2}')
  assert.equal(formatValue(value), 'map[10:1 9:2 a:map[k:12345678901234567890] b:[1 x <nil> true]]')
})

test('times lose their T and trailing zeros', () => {
  assert.equal(formatTime('2026-01-02T03:04:05.678900Z'), '2026-01-02 03:04:05.6789 +0000 UTC')
  assert.equal(formatTime('2026-01-02T03:04:05+01:00'), '2026-01-02 03:04:05 +0100 +0100')
  assert.equal(formatTime(''), '')
})

test('tables align by characters, trim cells and fill empty ones', () => {
  assert.equal(
    table([
      ['Key', 'Value'],
      ['ü', ' v '],
      ['long', ''],
    ]),
    'Key     Value\n---     -----\nü       v\nlong    n/a',
  )
  assert.equal(
    columns([
      ['a', 'b', 'c'],
      ['aa', 'b'],
    ]),
    'a     b    c\naa    b',
  )
})

test('headings are as wide as what is below, or a little', () => {
  assert.equal(heading('Data', 14), '==== Data ====')
  assert.equal(heading('Metadata', 27), '========= Metadata =========')
  assert.equal(heading('Secret Path', 4), '== Secret Path ==')
})

test('JSON sorts plain objects as text, keeps structs in order, and any key is plain data', () => {
  assert.equal(
    prettyJson(parseJson('{"b":1,"10":[],"9":{},"__proto__":null}')),
    '{\n  "10": [],\n  "9": {},\n  "__proto__": null,\n  "b": 1\n}',
  )
  assert.equal(
    prettyJson(struct({ z: 1, a: [1.5, 'x'], gone: undefined })),
    '{\n  "z": 1,\n  "a": [\n    1.5,\n    "x"\n  ]\n}',
  )
})

test('YAML quotes what would be read as something else', () => {
  assert.equal(
    yamlText(parseJson('{"t":"true","n":"1","list":["a"],"s":"x: y","m":"1\\n2\\n","nil":null,"e":[]}')),
    'e: []\nlist:\n- a\nm: |\n  1\n  2\nn: "1"\nnil: null\ns: "x: y"\nt: "true"',
  )
})

test('fields are found by the names the table shows', () => {
  const login = secretOf(parseJson('{"auth":{"client_token":"t","policies":["p"],"lease_duration":5},"data":null}'))
  assert.ok(login)
  assert.equal(fieldOf(login, 'token'), 't')
  assert.deepEqual(fieldOf(login, 'policies'), ['p'])
  assert.equal(fieldOf(login, 'constructor'), undefined)
  const read = secretOf(parseJson('{"request_id":"r","data":{"x":1}}'))
  assert.ok(read)
  assert.deepEqual(fieldOf(read, 'data'), { x: 1 })
  assert.equal(fieldOf(read, 'toString'), undefined)
  assert.equal(fieldOf(read, 'request_id'), 'r')
})

test('an answer without an envelope counts as data; one of errors alone as nothing', () => {
  assert.deepEqual(secretOf(parseJson('{"sealed":false,"t":1}'))?.data, { sealed: false, t: 1 })
  assert.equal(secretOf(parseJson('{"errors":[]}')), null)
  assert.equal(secretOf(undefined), null)
})

test('paths and line breaks', () => {
  assert.equal(joinPath('secret/', 'data', '/a//b/../c/'), 'secret/data/a/c')
  assert.equal(sanitizePath(' /a/b/ '), 'a/b')
  assert.equal(wrap('aa bb', 2), '  aa bb')
  assert.ok(
    wrap('word '.repeat(40))
      .split('\n')
      .every((line) => line.length <= 78),
  )
})

test('suggestions are near words', () => {
  assert.deepEqual(suggestions('pollicy', ['policy', 'plugin']), ['policy'])
  assert.deepEqual(suggestions('lgoin', ['login']), ['login'])
  assert.deepEqual(suggestions('zzzzzz', ['login', 'list']), [])
})
