// Path-help: what `?help=1` answers, for a path and for the root of a mount, read from the declarations alone.
import { missing } from './errors.ts'
import type { FieldKind, Fields } from './fields.ts'
import { type DescribedMount, type OpenApiDocument, openApiOf } from './openapi.ts'
import type { Operation, OperationVerb } from './operation.ts'

/** The whole body of the answer: no envelope around it. */
export interface HelpAnswer {
  readonly help: string
  readonly see_also: null
  readonly openapi: OpenApiDocument
}

const methods: Readonly<Record<OperationVerb, string>> = {
  read: 'GET',
  list: 'LIST',
  scan: 'SCAN',
  write: 'POST',
  patch: 'PATCH',
  delete: 'DELETE',
}

const kinds: Readonly<Record<FieldKind, string>> = {
  string: 'string',
  integer: 'int',
  number: 'float',
  boolean: 'bool',
  duration: 'duration (sec)',
  list: 'slice',
  integers: 'int slice',
  object: 'map',
  kvpairs: 'keypair',
  any: 'any',
  time: 'time',
}

const indented = (text: string, spaces: number): string => ' '.repeat(spaces) + text

function parameterLines(operations: readonly Operation[]): string[] {
  const fields: Fields = Object.assign({}, ...operations.map((one) => ({ ...one.input, ...one.pathFields })))
  const names = Object.keys(fields).sort()
  if (names.length === 0) return []
  const lines = names.flatMap((name) => {
    const facts = fields[name]?.facts
    if (!facts) return []
    const marks = `${facts.deprecated ? '(DEPRECATED) ' : ''}${facts.required ? '(required) ' : ''}`
    return [indented(`${name} (${kinds[facts.kind]})`, 4), '', indented(marks + facts.about, 8), '']
  })
  return ['## PARAMETERS', '', ...lines]
}

const operationLines = (operations: readonly Operation[]): string[] =>
  operations.flatMap((one) => {
    const notes = [one.sudo && 'needs sudo', one.public && 'needs no token', one.deprecated && 'deprecated']
    const said = notes.filter((note) => note !== false).join(', ')
    return [
      indented(`${methods[one.verb]}${said === '' ? '' : ` (${said})`}`, 4),
      indented(one.summary, 8),
      ...(one.description === '' ? [] : [indented(one.description, 8)]),
      '',
    ]
  })

const pathHelp = (mount: DescribedMount, path: string, pattern: string, operations: readonly Operation[]): string =>
  [
    `Request:        ${mount.path}${path}`,
    `Matching Route: ${pattern}`,
    '',
    operations[0]?.about ?? '',
    '',
    ...parameterLines(operations),
    '## OPERATIONS',
    '',
    ...operationLines(operations),
  ].join('\n')

function rootHelp({ path, engine }: DescribedMount, operations: readonly Operation[]): string {
  const abouts = new Map(operations.map(({ pattern, about }) => [pattern, about]))
  const lines = [...abouts.keys()]
    .sort()
    .flatMap((pattern) => [indented(pattern, 4), indented(abouts.get(pattern) ?? '', 8), ''])
  return [
    '## DESCRIPTION',
    '',
    engine.summary,
    '',
    '## PATHS',
    '',
    `Ask for help on a path that fits one of these, below ${path}. What you may do there is up to your policies.`,
    '',
    ...lines,
  ].join('\n')
}

/** Answers path-help for a path below a mount; "" is the mount itself. Throws 404 when no pattern fits. */
export function helpFor(mount: DescribedMount, path: string, version: string): HelpAnswer {
  const { variant } = mount
  const listed = variant.operations.filter(({ unlisted }) => !unlisted)
  const route = path === '' ? undefined : variant.routes.match(path)?.value
  if (path !== '' && !route) throw missing('unsupported path')
  const operations = listed.filter(({ pattern }) => pattern === route?.pattern)
  if (!route || operations.length === 0)
    return { help: rootHelp(mount, listed), see_also: null, openapi: openApiOf(mount, listed, version) }
  return {
    help: pathHelp(mount, path, route.pattern, operations),
    see_also: null,
    openapi: openApiOf(mount, operations, version),
  }
}
