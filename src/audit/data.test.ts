import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonText, parseJson } from '../lib/json.ts'
import { elideList, isTimestamp, printValue } from './data.ts'
import { saltHasher } from './salt.ts'
import { salt } from './testing.ts'

const hash = saltHasher(salt)
const hashed = { hash, clearKeys: [] }
const clear = { hash: undefined, clearKeys: [] }

/** The plain way: parse, walk, print. */
const slowly = (text: string, keys: readonly string[] = []): unknown => {
  const walk = (value: unknown, name: string): unknown => {
    if (typeof value === 'string') return keys.includes(name) || isTimestamp(value) ? value : hash(value)
    if (Array.isArray(value)) return value.map((item) => walk(item, name))
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, walk(item, key)]))
    return value
  }
  return walk(JSON.parse(text), '')
}

const texts = [
  '{}',
  '"alone"',
  '[]',
  '{"a":"b"}',
  '{"a" : "b" , "c":["d","e",{"f":"g"}]}',
  '{"quo\\"te":"quo\\"te","back":"\\\\","end":"x\\\\\\""}',
  '{"u":"\\u00e9\\n","é":"é"}',
  '{"n":[1,2.5,-3e2,true,false,null]}',
  '{"created_time":"2024-02-29T10:00:00.123456789Z","deletion_time":""}',
  '{"a":":","b":"{\\"c\\":\\"d\\"}"}',
  `{${Array.from({ length: 300 }, (_, i) => `"k${i}":"v${i}\\\\"`).join(',')}}`,
]

test('JSON text is rewritten to what parsing and walking gives', () => {
  for (const text of texts) {
    const printed = printValue(new JsonText(text), hashed)
    assert.deepEqual(JSON.parse(printed), slowly(text), text)
    assert.deepEqual(JSON.parse(printValue(parseJson(text), hashed)), slowly(text), text)
  }
})

test('line breaks never reach the line', () => {
  const printed = printValue(new JsonText('{\n"a":\r\n"b\\n",\t"n": 1.50}'), hashed)
  assert.ok(!/[\r\n]/.test(printed))
  assert.equal(printed, `{"a":"${hash('b\n')}","n":1.50}`)
})

test('numbers stay to the last digit, other values as they are', () => {
  const text = '{"big":123456789012345678901234567890,"dec":1.10,"s":"x"}'
  for (const value of [new JsonText(text), parseJson(text)])
    assert.equal(printValue(value, hashed), `{"big":123456789012345678901234567890,"dec":1.10,"s":"${hash('x')}"}`)
  assert.equal(
    printValue({ a: undefined, b: null, c: true, d: Number.NaN, e: 12n, f: [undefined], g: new Date(0) }, hashed),
    '{"b":null,"c":true,"d":null,"e":12,"f":[null],"g":"1970-01-01T00:00:00.000Z"}',
  )
  assert.equal(printValue({ a: Uint8Array.of(104, 105) }, hashed), `{"a":"${hash('hi')}"}`)
})

test('keys that are not to be hashed keep their values, also in lists but not in objects below', () => {
  const text = '{"open":"a","list":["b",{"deep":"c","open":"d"}],"shut":"e","__proto__":"f"}'
  for (const value of [new JsonText(text), parseJson(text), { list: parseJson('["b",{"deep":"c","open":"d"}]') }]) {
    const printed = printValue(value, { hash, clearKeys: ['open', 'list'] })
    const want = slowly(value instanceof JsonText ? text : JSON.stringify(value), ['open', 'list'])
    assert.deepEqual(JSON.parse(printed), want)
  }
  assert.ok(printValue(new JsonText(text), hashed).includes(`"__proto__":"${hash('f')}"`))
})

test('raw writes everything in clear', () => {
  assert.equal(printValue({ a: new JsonText('{"b":"c"}'), d: 'e' }, clear), '{"a":{"b":"c"},"d":"e"}')
})

test('knows a time from what only looks like one', () => {
  for (const text of ['2024-02-29T10:00:00Z', '2024-12-31T23:59:59.999999999+02:00']) assert.ok(isTimestamp(text), text)
  for (const text of [
    '2024-02-30T10:00:00Z',
    '2024-13-01T10:00:00Z',
    '2024-01-01T24:00:00Z',
    '2024-01-01 10:00:00Z',
    '2024-01-01T10:00:00',
    '2024-01-01T10:00:00.0123456789Z',
    '2024-01-01T10:00:00Z ',
    'secret-tokenT-xxxxxxxxxxx',
  ])
    assert.ok(!isTimestamp(text), text)
})

test('list answers shrink to counts', () => {
  const data = { keys: ['a', 'b'], key_info: { a: {}, b: {}, c: {} }, other: ['x'] }
  assert.deepEqual({ ...(elideList(data) as object) }, { keys: 2, key_info: 3, other: ['x'] })
  assert.deepEqual({ ...(elideList(new JsonText('{"keys":["a"]}')) as object) }, { keys: 1 })
  assert.deepEqual({ ...(elideList({ keys: new JsonText('["a"]') }) as object) }, { keys: 1 })
  assert.equal(elideList(undefined), undefined)
  assert.deepEqual(data.keys, ['a', 'b'])
})
