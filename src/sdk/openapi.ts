// OpenAPI 3.0.2 from the declarations: what `sys/internal/specs/openapi` and path-help answer. The same mounts give the same text, always.
import type { Engine, Variant } from './engine.ts'
import type { Field, FieldKind, Fields } from './fields.ts'
import type { Operation, OperationVerb } from './operation.ts'
import { placeholdersOf } from './pattern.ts'

/** A mount to be described: its path with a trailing slash (auth methods with `auth/` before), and what serves it. */
export interface DescribedMount {
  readonly path: string
  readonly engine: Engine
  readonly variant: Variant
}

export interface OpenApiOptions {
  /** Version of the API, as the server reports it. */
  readonly version: string
  /** Puts a parameter in place of the mount's path, for those who generate clients. */
  readonly genericMountPaths?: boolean
}

export interface Schema {
  readonly [key: string]: unknown
}

export interface OpenApiParameter {
  readonly name: string
  readonly in: 'path' | 'query'
  readonly description: string
  readonly required?: boolean
  readonly deprecated?: boolean
  readonly schema: Schema
}

export interface OpenApiOperation {
  readonly summary: string
  readonly description?: string
  readonly operationId: string
  readonly tags: readonly string[]
  readonly parameters?: readonly OpenApiParameter[]
  readonly requestBody?: object
  readonly responses: Readonly<Record<string, object>>
  readonly deprecated?: boolean
}

export interface OpenApiDocument {
  readonly openapi: '3.0.2'
  readonly info: Readonly<Record<string, unknown>>
  readonly paths: Record<string, Record<string, unknown>>
  readonly components: { readonly schemas: Record<string, Schema> }
}

const baseSchemas: Readonly<Record<FieldKind, Schema>> = {
  string: { type: 'string' },
  integer: { type: 'integer' },
  number: { type: 'number', format: 'float' },
  boolean: { type: 'boolean' },
  duration: { type: 'integer', format: 'seconds' },
  list: { type: 'array', items: { type: 'string' } },
  integers: { type: 'array', items: { type: 'integer' } },
  object: { type: 'object', format: 'map' },
  kvpairs: { type: 'object', format: 'kvpairs' },
  any: {},
  time: { type: 'string', format: 'date-time' },
}

const valueSchema = ({ facts }: Field<unknown>): Schema => ({
  ...baseSchemas[facts.kind],
  ...(facts.oneOf ? { enum: facts.oneOf } : {}),
  ...(facts.fallback === undefined ? {} : { default: facts.fallback }),
  ...(facts.nullable ? { nullable: true } : {}),
})

const propertySchema = (field: Field<unknown>): Schema => ({
  ...valueSchema(field),
  description: field.facts.about,
  ...(field.facts.deprecated ? { deprecated: true } : {}),
  ...(field.facts.sensitive ? { 'x-vault-displayAttrs': { sensitive: true } } : {}),
})

/** An object of these fields. A field called `*` stands for all others. */
function objectSchema(fields: Fields): Schema {
  const names = Object.keys(fields).filter((name) => name !== '*')
  const required = names.filter((name) => fields[name]?.facts.required)
  return {
    type: 'object',
    properties: Object.fromEntries(names.sort().map((name) => [name, propertySchema(fields[name] as Field<unknown>)])),
    ...(required.length > 0 ? { required: required.sort() } : {}),
    ...(fields['*'] ? { additionalProperties: true } : {}),
  }
}

const parameter = (place: 'path' | 'query', name: string, field: Field<unknown>): OpenApiParameter => ({
  name,
  in: place,
  description: field.facts.about,
  ...(place === 'path' || field.facts.required ? { required: true } : {}),
  ...(field.facts.deprecated ? { deprecated: true } : {}),
  schema: valueSchema(field),
})

const words = (text: string): string[] => text.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
const hyphenated = (...texts: readonly string[]): string => texts.flatMap(words).join('-').toLowerCase()
const titled = (id: string): string =>
  words(id)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')

/** Name of a kind of mount in operation ids: its type, with the version where an engine has several. */
function prefixOf({ engine, variant }: DescribedMount): string {
  const names = Object.keys(engine.variants)
  const name = names.find((key) => engine.variants[key] === variant)
  return names.length > 1 && name !== undefined ? `${engine.type}-v${name}` : engine.type
}

const tags: Readonly<Record<string, string>> = { system: 'system', identity: 'identity' }
const tagOf = ({ type, kind }: Engine): string => tags[type] ?? (kind === 'auth' ? 'auth' : 'secrets')

/** What a piece of a document is being written into. */
interface Writing {
  readonly document: OpenApiDocument
  readonly ids: Set<string>
  readonly mount: DescribedMount
  /** What stands before each pattern: "/secret/", "/{kv_mount_path}/", "/". */
  readonly base: string
  readonly mountParameter: OpenApiParameter | undefined
}

/** Gives an operation an id that no other of the document has: a second mount of a type gets its path into it. */
function uniqueId({ ids, mount }: Writing, operation: Operation): string {
  const plain = hyphenated(prefixOf(mount), operation.kind === 'login' ? 'login' : operation.verb, operation.pattern)
  let id = ids.has(plain) ? hyphenated(plain, 'at', mount.path) : plain
  for (let n = 2; ids.has(id); n++) id = hyphenated(plain, 'at', mount.path, String(n))
  ids.add(id)
  return id
}

const withBody = (operation: Operation): boolean => operation.verb === 'write' || operation.verb === 'patch'
const jsonContent = (name: string) => ({ 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } })

function responsesOf(operation: Operation, id: string, schemas: Record<string, Schema>): Record<string, object> {
  if (Object.keys(operation.output).length > 0) {
    const name = `${titled(id)}Response`
    schemas[name] = objectSchema(operation.output)
    return { 200: { description: 'OK', content: jsonContent(name) } }
  }
  const answers = operation.kind === 'login' || operation.kind === 'issue' || operation.kind === 'read'
  return answers ? { 200: { description: 'OK' } } : { 204: { description: 'empty body' } }
}

function describe(writing: Writing, operation: Operation, extra: readonly OpenApiParameter[]): OpenApiOperation {
  const id = uniqueId(writing, operation)
  const { schemas } = writing.document.components
  const inBody = withBody(operation) && Object.keys(operation.input).length > 0
  if (inBody) schemas[`${titled(id)}Request`] = objectSchema(operation.input)
  const query = withBody(operation)
    ? []
    : Object.entries(operation.input).map(([name, field]) => parameter('query', name, field))
  const seen = new Set(query.map(({ name }) => name))
  const parameters = [...query, ...extra.filter(({ name }) => !seen.has(name))].sort(byName)
  return {
    summary: operation.summary,
    ...(operation.description === '' ? {} : { description: operation.description }),
    operationId: id,
    tags: [tagOf(writing.mount.engine)],
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(inBody ? { requestBody: { required: true, content: jsonContent(`${titled(id)}Request`) } } : {}),
    responses: responsesOf(operation, id, schemas),
    ...(operation.deprecated ? { deprecated: true } : {}),
  }
}

const byName = (a: OpenApiParameter, b: OpenApiParameter): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

/** `list=true` and `scan=true`: how a GET says that it is not a read. */
function modeParameters(byVerb: Partial<Record<OperationVerb, Operation>>): OpenApiParameter[] {
  const modes = (['list', 'scan'] as const).filter((mode) => byVerb[mode])
  const must = !byVerb.read && modes.length === 1
  return modes.map((name) => ({
    name,
    in: 'query',
    description: must ? 'Must be `true`.' : `Give a ${name === 'list' ? 'list' : 'list of all levels'} if \`true\`.`,
    ...(must ? { required: true } : {}),
    schema: { type: 'string', enum: ['true'] },
  }))
}

function describePath(writing: Writing, operations: readonly Operation[]): void {
  const [first] = operations
  if (!first) return
  const byVerb: Partial<Record<OperationVerb, Operation>> = {}
  for (const operation of operations) byVerb[operation.verb] = operation
  const parameters = placeholdersOf(first.pattern).map((name) =>
    parameter('path', name, first.pathFields[name] as Field<unknown>),
  )
  if (writing.mountParameter) parameters.push(writing.mountParameter)
  const item: Record<string, unknown> = {
    description: first.about,
    ...(parameters.length > 0 ? { parameters: parameters.sort(byName) } : {}),
    ...(operations.some(({ sudo }) => sudo) ? { 'x-vault-sudo': true } : {}),
    ...(operations.some((operation) => operation.public) ? { 'x-vault-unauthenticated': true } : {}),
    ...(byVerb.write?.exists ? { 'x-vault-createSupported': true } : {}),
  }
  const get = byVerb.read ?? byVerb.list ?? byVerb.scan
  if (get) {
    const others = [byVerb.list, byVerb.scan].flatMap((operation) =>
      operation && operation !== get
        ? Object.entries(operation.input).map(([name, field]) => parameter('query', name, field))
        : [],
    )
    const once = others.filter((one, index) => others.findIndex(({ name }) => name === one.name) === index)
    item['get'] = describe(writing, get, [...modeParameters(byVerb), ...once])
  }
  if (byVerb.write) item['post'] = describe(writing, byVerb.write, [])
  if (byVerb.patch) item['patch'] = describe(writing, byVerb.patch, [])
  if (byVerb.delete) item['delete'] = describe(writing, byVerb.delete, [])
  writing.document.paths[writing.base + first.pattern.replace('*}', '}')] = item
}

const emptyDocument = (version: string): OpenApiDocument => ({
  openapi: '3.0.2',
  info: {
    title: 'Coffer API',
    description: 'All routes are below `/v1/`.',
    version,
    license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
  },
  paths: {},
  components: { schemas: {} },
})

function describeOperations(writing: Writing, operations: readonly Operation[]): void {
  const patterns = new Map<string, Operation[]>()
  for (const operation of operations)
    if (!operation.unlisted) patterns.set(operation.pattern, [...(patterns.get(operation.pattern) ?? []), operation])
  for (const pattern of [...patterns.keys()].sort()) describePath(writing, patterns.get(pattern) ?? [])
}

const sorted = <T>(record: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))

const inOrder = (document: OpenApiDocument): OpenApiDocument => ({
  ...document,
  paths: sorted(document.paths),
  components: { schemas: sorted(document.components.schemas) },
})

/** What stands in place of a mount's path in a document for generators: singletons keep theirs. */
function genericBase({ path, engine }: DescribedMount): { base: string; mountParameter: OpenApiParameter | undefined } {
  if (engine.singleton) return { base: `/${path}`, mountParameter: undefined }
  const inside = engine.kind === 'auth' && path.startsWith('auth/')
  const bare = path.slice(inside ? 'auth/'.length : 0, -1)
  const name = `${words(bare).join('_')}_mount_path`
  const schema = { type: 'string', default: bare }
  return {
    base: `/${inside ? 'auth/' : ''}{${name}}/`,
    mountParameter: { name, in: 'path', description: 'Where the engine is mounted.', required: true, schema },
  }
}

/** Describes mounts (those the caller may see) as one document. Source: `sys/internal/specs/openapi`. */
export function openApiFor(mounts: readonly DescribedMount[], options: OpenApiOptions): OpenApiDocument {
  const document = emptyDocument(options.version)
  const ids = new Set<string>()
  for (const mount of [...mounts].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const place = options.genericMountPaths ? genericBase(mount) : { base: `/${mount.path}`, mountParameter: undefined }
    describeOperations({ document, ids, mount, ...place }, mount.variant.operations)
  }
  return inOrder(document)
}

/** Describes only these operations of a mount, paths relative to it: what path-help answers. */
export function openApiOf(mount: DescribedMount, operations: readonly Operation[], version: string): OpenApiDocument {
  const document = emptyDocument(version)
  describeOperations({ document, ids: new Set(), mount, base: '/', mountParameter: undefined }, operations)
  return inOrder(document)
}
