// Values that are wrong in every way JSON allows, and operations as the server itself lists them, with bodies nearly right.
import type { Random } from '../crash/random.ts'

interface Schema {
  readonly type?: string
  readonly format?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly $ref?: string
}

interface Parameter {
  readonly name: string
  readonly in: string
}

interface Described {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
}

/** The part of `sys/internal/specs/openapi` that is used here. */
export interface OpenApi {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, Described>> & { readonly parameters?: readonly Parameter[] }>
  >
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

/** One operation of the server. */
export interface Target {
  readonly method: string
  /** Below `/v1/`, with `{names}`. */
  readonly path: string
  readonly fields: readonly string[]
  readonly query: readonly string[]
}

const methods = ['get', 'post', 'patch', 'delete']

/** Lists the operations that a document describes. */
export function targetsOf({ paths, components }: OpenApi): Target[] {
  const schemaOf = (schema: Schema | undefined): Schema =>
    schema?.$ref ? (components.schemas[schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)] ?? {}) : (schema ?? {})
  return Object.entries(paths).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const described = (item as Readonly<Record<string, Described | undefined>>)[method]
      if (!described) return []
      const body = Object.values(described.requestBody?.content ?? {})[0]
      return [
        {
          method: method.toUpperCase(),
          path: path.slice(1),
          fields: Object.keys(schemaOf(body?.schema).properties ?? {}),
          query: (described.parameters ?? []).filter((each) => each.in === 'query').map(({ name }) => name),
        },
      ]
    }),
  )
}

const deep = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth)

/** JSON texts (not values: some hold what JavaScript cannot) that a field may be given. */
export const wrongValues: readonly string[] = [
  'null',
  'true',
  'false',
  '0',
  '-1',
  '1',
  '0.5',
  '-0',
  '1e3',
  '1e400',
  '-1e400',
  '9007199254740993',
  '18446744073709551616',
  '-9223372036854775809',
  '123456789012345678901234567890.5',
  '""',
  '" "',
  '"x"',
  '"0"',
  '"-1"',
  '"1h"',
  '"-1h"',
  '"99999999999h"',
  '"1e9"',
  '"NaN"',
  '"true"',
  '"root"',
  '"default"',
  '"kv"',
  '"a,b,,c"',
  '"../../x"',
  '"/"',
  '"a//b/"',
  '"*"',
  '"\\u0000"',
  '"\\ud800"',
  '"\\u202e\\ufeff"',
  '"\\n\\r\\t"',
  '"%s%n{{identity.entity.id}}"',
  '"{}"',
  '"[1,2"',
  '"=="',
  '"AAAA"',
  '"hvs.AAAAAAAAAAAAAAAAAAAAAAAA"',
  '"hvb.AAAAAQ"',
  `"${'x'.repeat(5000)}"`,
  `"${'é'.repeat(3000)}"`,
  '"10.0.0.0/33"',
  '"2020-01-01T00:00:00Z"',
  '"__proto__"',
  '"constructor"',
  '[]',
  '[null]',
  '[[]]',
  '[{}]',
  '["a","a"]',
  '[1,"b",true]',
  '["root"]',
  '[-1,0,99999999999]',
  `[${'"x",'.repeat(999)}"x"]`,
  '{}',
  '{"":""}',
  '{"a":null}',
  '{"a":{"b":[1]}}',
  '{"__proto__":{"x":1},"constructor":1,"toString":2}',
  '{"a":1,"a":2}',
  `{${Array.from({ length: 300 }, (_, i) => `"k${i}":${i}`).join(',')}}`,
  deep(40, '[', ']'),
  `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`,
]

/** Bodies that are no object, or nothing that could be read. */
export const wrongBodies: readonly string[] = [
  '',
  ' ',
  'null',
  '[]',
  '"x"',
  '1',
  '{',
  '}',
  '{}{}',
  '{"a"}',
  '{"a":}',
  "{'a':1}",
  '{"a":1,}',
  '{"a":01}',
  '{"a":.5}',
  '{"a":1e}',
  '{"a":"\\x"}',
  '{"a":"\\ud8"}',
  '{"a":"\u0001"}',
  '\ufeff{}',
  '{}\u0000',
  'a=1&b=2',
  '<xml/>',
  deep(2000, '[', ']'),
  `{"a":${deep(2000, '[', ']')}}`,
  `${'{"a":'.repeat(20_000)}`,
  '['.repeat(100_000),
  `{"a":"${'x'.repeat(300_000)}"}`,
  `{"a":${'9'.repeat(100_000)}}`,
]

/** What the other fields of a body are given, so that the wrong one is reached. */
const rightValues: Readonly<Record<string, string>> = {
  type: '"kv"',
  policy: '"path \\"a\\" { capabilities = [\\"read\\"] }"',
  data: '{"a":"1"}',
  password: '"right"',
  name: '"named"',
  input: '"AAAA"',
  from: '"old"',
  to: '"new"',
  ttl: '"1h"',
  path: '"secret/data/x"',
  paths: '["secret/data/x"]',
  versions: '[1]',
  metadata: '{"a":"1"}',
  policies: '["default"]',
}

/** Texts for `{names}` in a path, as they stand on the wire. */
const pathWords = [
  'x',
  'named',
  'a/b/c',
  'secret',
  'v1',
  'token',
  'userpass',
  'root',
  'default',
  'ann',
  '0',
  '-1',
  'x/',
  '%20',
  '%2a',
  '+',
  '.',
  '..',
  '%2e%2e%2fx',
  'a%2fb',
  '%00',
  '%ff',
  '%',
  '__proto__',
  'constructor',
  '%C3%A9%E2%82%AC',
  '%F0%9F%94%91',
  '%E2%80%AE',
  'UPPER',
  'a:b;c=d,e@f!$&()',
  '00000000-0000-0000-0000-000000000000',
  'y'.repeat(300),
  'z/'.repeat(300),
  'w'.repeat(9000),
]

/** Puts a body together with `field` set to a text of JSON and what makes sense for the others. */
export function bodyWith(target: Target, field: string, value: string, random: Random): string {
  const others = target.fields.filter(
    (name) => name !== field && (rightValues[name] !== undefined || random.below(6) === 0),
  )
  const pairs = others.map((name) => `${JSON.stringify(name)}:${rightValues[name] ?? random.pick(wrongValues)}`)
  return `{${[...pairs, `${JSON.stringify(field)}:${value}`].join(',')}}`
}

/** Fills the names of a path, mostly with what exists. */
export const pathWith = (target: Target, random: Random, calm: boolean): string =>
  target.path.replace(/\{[^}]*\}/g, () => (calm ? random.pick(pathWords.slice(0, 9)) : random.pick(pathWords)))
