import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type JsonValue, parseJson } from './json.ts'
import { mergePatch } from './merge-patch.ts'

const print = (value: JsonValue) => JSON.stringify(value)

// RFC 7396, appendix A: original, patch, result.
const vectors: [string, string, string][] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', '{}'],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', 'null', 'null'],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
  ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
]

test('merges as RFC 7396 appendix A does', () => {
  for (const [original, patch, result] of vectors)
    assert.equal(print(mergePatch(parseJson(original), parseJson(patch))), result, `${original} + ${patch}`)
})

test('__proto__ is a key like any other, raw numbers are values', () => {
  const target = parseJson('{"__proto__":{"a":1.0},"n":1.50}')
  const patch = parseJson('{"__proto__":{"polluted":1e400},"n":{"x":2.0}}')
  assert.equal(print(mergePatch(target, patch)), '{"__proto__":{"a":1.0,"polluted":1e400},"n":{"x":2.0}}')
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
  assert.equal(print(mergePatch(parseJson('{"n":1.50}'), parseJson('{"n":null}'))), '{}')
  assert.equal(print(target), '{"__proto__":{"a":1.0},"n":1.50}')
})
