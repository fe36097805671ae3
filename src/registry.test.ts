import assert from 'node:assert/strict'
import { test } from 'node:test'
import { engineAliases, engines } from './registry.ts'
import type { Engine } from './sdk/engine.ts'
import { ApiError } from './sdk/errors.ts'
import { helpFor } from './sdk/help.ts'
import { type DescribedMount, type OpenApiDocument, openApiFor } from './sdk/openapi.ts'
import type { Operation } from './sdk/operation.ts'
import { compilePatterns, placeholdersOf } from './sdk/pattern.ts'

const mountsOf = (engine: Engine): DescribedMount[] =>
  Object.entries(engine.variants).map(([name, variant]) => ({
    path: `${engine.kind === 'auth' ? 'auth/' : ''}${engine.type}${name === 'only' ? '' : name}/`,
    engine,
    variant,
  }))
const mounts = engines.flatMap(mountsOf)

/** What is wrong with the declaration of an operation. */
function faultsOf(operation: Operation): string[] {
  const { pattern, verb, kind, output, input, pathFields } = operation
  const where = `${verb} ${pattern}`
  const answers = kind === 'read' || kind === 'compute' || kind === 'issue'
  const fields = [...Object.entries(input), ...Object.entries(output), ...Object.entries(pathFields)]
  return [
    ...(/\S.*\.$/.test(operation.summary) ? [] : [`${where}: summary`]),
    ...(/\S.*\.$/.test(operation.about) ? [] : [`${where}: about`]),
    ...(answers && !operation.unlisted && Object.keys(output).length === 0 ? [`${where}: output`] : []),
    ...fields.filter(([, field]) => field.facts.about === '').map(([name]) => `${where}: ${name} says nothing`),
    ...(operation.run || operation.stages || operation.lifecycle ? [] : [`${where}: does nothing`]),
    // A body is a secret's: nobody but its declaration says that a field of it is none.
    ...fields
      .filter(([name, { facts }]) => /^password/.test(name) && !facts.sensitive)
      .map(([name]) => `${where}: ${name} is not sensitive`),
  ]
}

test('every operation says what it is for, what it takes and what it gives', () => {
  for (const { variant, path } of mounts) assert.deepEqual(variant.operations.flatMap(faultsOf), [], path)
})

test('the walk finds what is wrong', () => {
  const [operation] = mounts[0]?.variant.operations ?? []
  assert.ok(operation)
  const bad = { ...operation, summary: '', about: 'x', output: {}, run: undefined, stages: undefined }
  assert.deepEqual(faultsOf(bad).length, 4)
})

test('types are unique, aliases lead to engines', () => {
  const names = engines.map(({ kind, type }) => `${kind}:${type}`)
  assert.equal(new Set(names).size, names.length)
  for (const [name, { kind, type, options }] of Object.entries(engineAliases)) {
    assert.ok(!names.includes(`${kind}:${name}`), name)
    const engine = engines.find((one) => one.kind === kind && one.type === type)
    assert.ok(engine?.variant(engine.hooks.options?.(options) ?? options), name)
  }
})

test('patterns lead where they say, whatever their order', () => {
  for (const { variant, path } of mounts) {
    const patterns = [...new Set(variant.operations.map(({ pattern }) => pattern))]
    for (const order of [patterns, [...patterns].reverse()]) {
      const matcher = compilePatterns(order.map((pattern) => [pattern, pattern] as const))
      for (const pattern of patterns) {
        const example = pattern.replace(/\{[a-z_]+\*\}/, 'some/where').replace(/\{[a-z_]+\}/g, 'something')
        assert.equal(matcher.match(example)?.value, pattern, `${path}${example}`)
      }
    }
  }
})

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Checks a document against what OpenAPI 3.0 asks of its structure (paths, parameters, references, ids, schemas). */
function documentFaults(document: OpenApiDocument): string[] {
  const faults: string[] = []
  const ids = new Set<string>()
  const schemas = document.components.schemas
  const used = new Set<string>()
  const types = ['string', 'integer', 'number', 'boolean', 'array', 'object', undefined]
  const schema = (value: unknown, where: string): void => {
    if (!isRecord(value)) return void faults.push(`${where}: no schema`)
    if (typeof value['$ref'] === 'string') {
      const name = value['$ref'].replace('#/components/schemas/', '')
      used.add(name)
      if (!Object.hasOwn(schemas, name)) faults.push(`${where}: ${name} is not there`)
      return
    }
    if (!types.includes(value['type'] as string)) faults.push(`${where}: type`)
    if (value['type'] === 'array') schema(value['items'], `${where}[]`)
    for (const [name, property] of Object.entries((value['properties'] ?? {}) as object))
      schema(property, `${where}.${name}`)
    for (const name of (value['required'] ?? []) as string[])
      if (!isRecord(value['properties']) || !(name in value['properties'])) faults.push(`${where}: requires ${name}`)
  }
  const content = (value: unknown, where: string): void => {
    for (const media of Object.values((isRecord(value) ? (value['content'] ?? {}) : {}) as Record<string, unknown>))
      schema(isRecord(media) ? media['schema'] : undefined, where)
  }
  for (const [path, item] of Object.entries(document.paths)) {
    if (!path.startsWith('/') || path.includes('*') || path.includes('//')) faults.push(`${path}: bad path`)
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1])
    const shared = (item['parameters'] ?? []) as Record<string, unknown>[]
    const declared = shared.filter((one) => one['in'] === 'path' && one['required'] === true).map((one) => one['name'])
    if ([...inPath].sort().join() !== [...declared].sort().join()) faults.push(`${path}: path parameters`)
    for (const method of ['get', 'post', 'patch', 'delete']) {
      const operation = item[method]
      if (!isRecord(operation)) continue
      const where = `${method} ${path}`
      const id = operation['operationId']
      if (typeof id !== 'string' || !/^[a-z0-9-]+$/.test(id) || ids.has(id)) faults.push(`${where}: id ${id}`)
      ids.add(String(id))
      if (!operation['summary'] || !Array.isArray(operation['tags'])) faults.push(`${where}: summary or tags`)
      const parameters = [...shared, ...((operation['parameters'] ?? []) as Record<string, unknown>[])]
      const names = parameters.map((one) => `${one['in']}:${one['name']}`)
      if (new Set(names).size !== names.length) faults.push(`${where}: double parameters`)
      for (const one of parameters) schema(one['schema'], `${where}: ${one['name']}`)
      content(operation['requestBody'], where)
      const responses = operation['responses']
      if (!isRecord(responses) || Object.keys(responses).length === 0) faults.push(`${where}: no responses`)
      for (const response of Object.values(isRecord(responses) ? responses : {})) {
        if (!isRecord(response) || typeof response['description'] !== 'string') faults.push(`${where}: response`)
        content(response, where)
      }
    }
  }
  for (const [name, value] of Object.entries(schemas)) schema(value, name)
  for (const name of Object.keys(schemas)) if (!used.has(name)) faults.push(`${name}: nobody uses it`)
  return faults
}

const twice = (): DescribedMount[] => [
  ...mounts,
  ...mounts
    .filter(({ engine }) => !engine.singleton)
    .map((mount) => ({ ...mount, path: mount.path.replace(/\/$/, '-b/deep/') })),
]

test('the OpenAPI document is valid and the same each time, whatever the order of the mounts', () => {
  for (const genericMountPaths of [false, true]) {
    const options = { version: '1.0.0', genericMountPaths }
    const document = openApiFor(twice(), options)
    assert.deepEqual(documentFaults(document), [])
    assert.equal(JSON.stringify(openApiFor(twice().reverse(), options)), JSON.stringify(document))
  }
})

test('the document says what generators ask for', () => {
  const { paths, components } = openApiFor(mounts, { version: '1.0.0' })
  const login = paths['/auth/userpass/login/{username}']
  assert.equal(login?.['x-vault-unauthenticated'], true)
  const user = paths['/auth/userpass/users/{username}']
  assert.equal(user?.['x-vault-createSupported'], true)
  const list = paths['/auth/userpass/users']?.['get'] as { parameters: { name: string; required?: boolean }[] }
  assert.deepEqual(
    list.parameters.filter(({ required }) => required).map(({ name }) => name),
    ['list'],
  )
  const read = paths['/kv2/metadata/{path}']?.['get'] as { parameters: { name: string }[] }
  assert.deepEqual(
    read.parameters.map(({ name }) => name),
    ['after', 'limit', 'list', 'scan'],
  )
  assert.deepEqual(Object.keys(paths['/kv2/data/{path}'] ?? {}).sort(), [
    'delete',
    'description',
    'get',
    'parameters',
    'patch',
    'post',
    'x-vault-createSupported',
  ])
  assert.ok(!Object.hasOwn(paths, '/kv2/{path}'), 'wrong paths are not documented')
  assert.equal(components.schemas['KvV1ReadPathResponse']?.['additionalProperties'], true)
  const generic = openApiFor(mounts, { version: '1.0.0', genericMountPaths: true }).paths
  assert.ok(generic['/auth/{userpass_mount_path}/login/{username}'])
  assert.ok(generic['/{kv2_mount_path}/config'])
  assert.ok(generic['/cubbyhole/{path}'])
})

test('path-help tells of a path, of a mount, and of nothing where nothing is', () => {
  for (const mount of mounts) {
    const root = helpFor(mount, '', '1.0.0')
    assert.equal(root.see_also, null)
    assert.ok(root.help.includes(mount.engine.summary))
    assert.deepEqual(documentFaults(root.openapi), [])
    for (const { pattern, summary, unlisted, input } of mount.variant.operations) {
      if (unlisted) continue
      assert.ok(root.help.includes(pattern))
      if (placeholdersOf(pattern).length > 0 && pattern.startsWith('{')) continue
      const help = helpFor(mount, pattern.replace(/\{[a-z_]+\*?\}/g, 'thing'), '1.0.0')
      assert.ok(help.help.includes(summary))
      for (const name of Object.keys(input)) assert.ok(help.help.includes(`    ${name} (`), name)
      assert.deepEqual(Object.keys(help.openapi.paths), [`/${pattern.replace('*', '')}`])
      assert.deepEqual(documentFaults(help.openapi), [])
    }
  }
  const userpass = mounts.find(({ engine }) => engine.type === 'userpass')
  assert.ok(userpass)
  assert.throws(
    () => helpFor(userpass, 'no/such/path', '1.0.0'),
    (error) => error instanceof ApiError && error.status === 404,
  )
})
