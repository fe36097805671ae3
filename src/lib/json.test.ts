import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRawNumber, JsonError, JsonText, numberOf, parseJson, parseJsonObject, printJson } from './json.ts'

test('numbers survive to the last digit', () => {
  for (const text of [
    '9223372036854775807',
    '18446744073709551616',
    '123456789012345678901234567890',
    '1.0',
    '0.10',
    '1e400',
    '-0',
    '1E5',
    '3.141592653589793238462643',
  ])
    for (const whole of [text, `[${text}]`, `{"a":{"b":[1,${text}]}}`])
      assert.equal(JSON.stringify(parseJson(whole)), whole)
  assert.equal(numberOf(parseJson('1.50')), 1.5)
  assert.ok(isRawNumber(parseJson('1.50')))
  assert.equal(parseJson('42'), 42)
})

test('keys like __proto__ are plain data', () => {
  const value = parseJsonObject('{"__proto__":{"admin":true},"constructor":1,"n":1.0}')
  assert.equal(({} as { admin?: boolean }).admin, undefined)
  assert.deepEqual(Object.keys(value), ['__proto__', 'constructor', 'n'])
  assert.equal(JSON.stringify(value), '{"__proto__":{"admin":true},"constructor":1,"n":1.0}')
})

test('malformed texts and limits are told, without a word of the text', () => {
  for (const text of ['', '{', '{"a":}', '[1,]', 'nul', '"\\x"', `{"secret${String.fromCharCode(1)}":1}`])
    assert.throws(
      () => parseJson(text),
      (error: Error) => error instanceof JsonError && !error.message.includes('secret'),
    )
  assert.throws(() => parseJsonObject('[1]'), /must be an object/)
  assert.throws(() => parseJson('['.repeat(400) + ']'.repeat(400)), /nested deeper than 300/)
  assert.throws(() => parseJson(`[${'[],'.repeat(1_000_001)}[]]`), /more than 1000000 values/)
  assert.equal((parseJson(`[${'1,'.repeat(400)}1]`) as unknown[]).length, 401)
  const limits = { depthMax: 10, stringsMax: 200, stringLengthMax: 300 }
  assert.throws(() => parseJson(JSON.stringify(Array(201).fill('x')), limits), /more than 200 strings/)
  assert.throws(() => parseJson(JSON.stringify(['y'.repeat(301)]), limits), /more than 300 characters/)
  assert.ok(parseJson(JSON.stringify([`${'\\"['.repeat(40)}`]), limits))
})

test('halves of surrogate pairs become U+FFFD', () => {
  assert.deepEqual(parseJson('{"\\ud800k":["\\uDFFFx",{"a":"\\ud83d\\ude00"}],"n":1.0}'), {
    '\ufffdk': ['\ufffdx', { a: '😀' }],
    n: parseJson('1.0'),
  })
})

test('texts are spliced as they are', () => {
  const text = new JsonText('{"b":1.0,"a":[]}')
  assert.equal(printJson(text), text.text)
  assert.equal(printJson({ data: text, none: undefined, 'x"': 1 }), '{"data":{"b":1.0,"a":[]},"x\\"":1}')
  assert.equal(JSON.stringify({ deep: { data: text } }), '{"deep":{"data":{"b":1.0,"a":[]}}}')
})
