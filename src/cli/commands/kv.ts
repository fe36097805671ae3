// kv get, put, patch, delete, list, scan and enable-versioning: the key/value engine in its two versions.
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type ArgsSpec, type Command, type Context, command, oneArg } from '../command.ts'
import { AnswerError, CliError, failed, orFail, UsageError } from '../errors.ts'
import { int, list, str } from '../flags.ts'
import { sanitizePath, sortedKeys, withSlash } from '../go.ts'
import { heading } from '../print.ts'
import { fieldOf, type Ui } from '../render.ts'
import { isWrapped, type Secret } from '../secret.ts'
import { pageFlags, pageOf } from './generic.ts'
import { apiPath, findPlace, mountFlag } from './kv-path.ts'
import { type AnyContext, run, showList, showSecret, success, writeOrFail } from './shared.ts'

const keyAndData: ArgsSpec = { usage: 'KEY [DATA K=V...]', min: 1, max: Number.POSITIVE_INFINITY }

/** Prints where a secret is, as a heading and a line. */
export function showPath(ui: Ui, title: string, path: string): void {
  ui.out(`${heading(title, path.length)}\n${path}\n`)
}

/** The heading above a table of that object: as wide as the table's longest key, its gap and the word "Value". */
export const headingFor = (title: string, object: JsonObject): string =>
  heading(title, Math.max(0, ...sortedKeys(object).map((key) => [...key].length)) + 9)

function showVersioned(ui: Ui, secret: Secret, path: string, v2: boolean): number {
  for (const warning of secret.warnings ?? []) ui.warn(`WARNING! ${warning}`)
  if (v2) showPath(ui, 'Secret Path', path)
  const metadata = secret.data?.['metadata']
  if (v2 && isJsonObject(metadata)) {
    ui.out(headingFor('Metadata', metadata))
    ui.data(metadata)
    ui.out('')
  }
  const data = v2 ? secret.data?.['data'] : secret.data
  if (isJsonObject(data)) {
    ui.out(headingFor('Data', data))
    ui.data(data)
  }
  return 0
}

function versionedField(ui: Ui, secret: Secret, field: string, path: string): number {
  const data = secret.data?.['data']
  if (!isJsonObject(data)) throw new CliError(2, `No data found at ${path}`)
  // "data" is the secret's own field of that name when it has one, otherwise the whole.
  if (field === 'data') return ui.field(data['data'] ?? fieldOf(secret, field), field)
  return ui.field(Object.hasOwn(data, field) ? data[field] : undefined, field)
}

const get = command({
  words: ['kv', 'get'],
  synopsis: 'Read a secret',
  help: `Reads a secret; of a versioned engine the newest version, or the one named by -version.

      $ coffer kv get -mount=secret app
      $ coffer kv get -field=password secret/app`,
  args: oneArg('KEY'),
  flags: { ...mountFlag, version: int('Version to read.') },
  field: true,
  async run(context) {
    const { ui, globals, flags } = context
    const client = await context.client()
    const place = await findPlace(client, flags.mount, context.args[0] ?? '')
    const path = apiPath(place, 'data')
    const query: Array<[string, string]> = place.v2 && flags.version > 0 ? [['version', String(flags.version)]] : []
    const secret = await orFail(`Error reading ${path}`, client.read(path, query))
    if (!secret) throw new CliError(2, `No value found at ${path}`)
    if (globals.field !== '' && !isWrapped(secret))
      return place.v2
        ? versionedField(ui, secret, globals.field, path)
        : ui.field(fieldOf(secret, globals.field), globals.field)
    if (isWrapped(secret) || ui.format !== 'table') return showSecret(context, secret)
    return showVersioned(ui, secret, path, place.v2)
  },
})

/** Prints what a write of a version answered: its path and metadata. */
function showWritten(context: AnyContext, secret: Secret | null, path: string): number {
  const { ui, globals } = context
  if (!secret) return success(context, `Success! Data written to: ${path}`)
  if (globals.field !== '' || isWrapped(secret) || ui.format !== 'table') return showSecret(context, secret)
  for (const warning of secret.warnings ?? []) ui.warn(`WARNING! ${warning}`)
  showPath(ui, 'Secret Path', path)
  ui.out(headingFor('Metadata', secret.data ?? {}))
  ui.data(secret.data ?? {})
  return 0
}

const put = command({
  words: ['kv', 'put'],
  synopsis: 'Write a secret',
  help: `Writes a secret whole: fields that are not given are gone in the new version (see "coffer kv patch").

      $ coffer kv put -mount=secret app user=ada password=-
      $ coffer kv put -mount=secret app @app.json`,
  args: keyAndData,
  flags: {
    ...mountFlag,
    cas: int('Write only if this is the current version; 0: only if there is none yet.', { initial: -1 }),
  },
  field: true,
  async run(context) {
    if (context.args.length === 1)
      throw new UsageError('Must supply data', 'Give key=value pairs, @file.json, or - for JSON on standard input.')
    const { flags } = context
    const client = await context.client()
    const data = await context.data(context.args.slice(1))
    const place = await findPlace(client, flags.mount, context.args[0] ?? '')
    const path = apiPath(place, 'data')
    const body: JsonObject = place.v2 ? { data, options: flags.cas > -1 ? { cas: flags.cas } : {} } : data
    return showWritten(
      context,
      await writeOrFail(context, `Error writing data to ${path}`, client.write(path, body)),
      path,
    )
  },
})

interface Version {
  readonly data: JsonObject
  readonly metadata: JsonObject
}

/** Reads the answer at a secret's path, deleted or not; never previewed. Throws `CliError` when there is none. */
export async function readEntry(client: Client, path: string, version?: number): Promise<JsonObject> {
  const query: Array<[string, string]> = version === undefined ? [] : [['version', String(version)]]
  let body: unknown
  try {
    body = (await client.send({ method: 'GET', path, query, quiet: true })).body
  } catch (error) {
    if (!(error instanceof AnswerError) || error.status !== 404) throw failed(`Error doing pre-read at ${path}`, error)
    body = error.body
  }
  const entry = isJsonObject(body) ? body['data'] : undefined
  if (!isJsonObject(entry)) throw new CliError(2, `No value found at ${path}`)
  return entry
}

/** Reads a version that something is to be built on. Throws `CliError` when it is not there, deleted or destroyed. */
export async function readVersion(client: Client, path: string, what: string, version?: number): Promise<Version> {
  const { metadata, data } = await readEntry(client, path, version)
  if (!isJsonObject(metadata))
    throw new CliError(2, `No metadata found at ${path}; ${what} only works on existing data`)
  if (metadata['destroyed'] === true) throw new CliError(2, `The version at ${path} has been destroyed`)
  if (typeof metadata['deletion_time'] === 'string' && metadata['deletion_time'] !== '' && !isJsonObject(data))
    throw new CliError(2, `The version at ${path} has been deleted`, 'Bring it back with "coffer kv undelete".')
  if (!isJsonObject(data)) throw new CliError(2, `No data found at ${path}; ${what} only works on existing data`)
  return { data, metadata }
}

async function readThenWrite(
  context: AnyContext,
  client: Client,
  path: string,
  changes: JsonObject,
): Promise<Secret | null> {
  const { data, metadata } = await readVersion(client, path, 'patch')
  const merged = new Map(Object.entries(data))
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) merged.delete(key)
    else merged.set(key, value)
  }
  const body = { data: Object.fromEntries(merged), options: { cas: metadata['version'] ?? 0 } }
  return writeOrFail(context, `Error writing data to ${path}`, client.write(path, body))
}

async function mergePatch(
  context: AnyContext,
  client: Client,
  path: string,
  body: JsonObject,
  fallback: boolean,
): Promise<Secret | null> {
  try {
    return await client.patch(path, body)
  } catch (error) {
    const status = error instanceof AnswerError ? error.status : 0
    if (!fallback || (status !== 403 && status !== 405))
      return writeOrFail(context, `Error writing data to ${path}`, Promise.reject(error))
    if (status === 403) context.ui.warn(`The policy lacks "patch" on ${path}: reading and writing it whole instead.`)
    return readThenWrite(context, client, path, body['data'] as JsonObject)
  }
}

const patch = command({
  words: ['kv', 'patch'],
  synopsis: 'Change some fields of a secret',
  help: `Makes a new version in which only the fields given differ. Tries HTTP PATCH first and falls back to reading and writing when the
  policy does not allow it; -method=patch or -method=rw takes one of them only.

      $ coffer kv patch -mount=secret app password=-
      $ coffer kv patch -mount=secret -remove-data=old app`,
  args: keyAndData,
  flags: {
    ...mountFlag,
    cas: int('Change only if this is the current version.'),
    method: str('How to do it: patch or rw.', { choices: ['patch', 'rw'] }),
    'remove-data': list('Field to remove; repeatable.'),
  },
  field: true,
  async run(context) {
    const { flags } = context
    if (context.args.length === 1 && flags['remove-data'].length === 0) throw new UsageError('Must supply data')
    const client = await context.client()
    const given = Object.entries(await context.data(context.args.slice(1)))
    const data: JsonObject = Object.fromEntries([...given, ...flags['remove-data'].map((key) => [key, null] as const)])
    const place = await findPlace(client, flags.mount, context.args[0] ?? '')
    if (!place.v2) throw new CliError(2, 'K/V engine mount must be version 2 for patch support')
    const path = apiPath(place, 'data')
    const body: JsonObject = { data, options: flags.cas > 0 ? { cas: flags.cas } : {} }
    const secret =
      flags.method === 'rw'
        ? await readThenWrite(context, client, path, data)
        : await mergePatch(context, client, path, body, flags.method === '')
    return showWritten(context, secret, path)
  },
})

const remove = command({
  words: ['kv', 'delete'],
  synopsis: 'Delete the newest or named versions',
  help: `Deletes the newest version, or those of -versions. Deleted versions can come back with "coffer kv undelete" until they are destroyed.

      $ coffer kv delete -mount=secret app
      $ coffer kv delete -mount=secret -versions=3,4 app`,
  args: oneArg('KEY'),
  flags: { ...mountFlag, versions: list('Versions to delete: numbers with commas between; repeatable.') },
  field: true,
  async run(context) {
    const { flags } = context
    const client = await context.client()
    const place = await findPlace(client, flags.mount, context.args[0] ?? '')
    const path = apiPath(place, 'data')
    const call =
      place.v2 && flags.versions.length > 0
        ? client.write(apiPath(place, 'delete'), { versions: versionsOf(flags.versions) })
        : client.remove(path)
    const secret = await writeOrFail(context, `Error deleting ${path}`, call)
    if (!secret) return success(context, `Success! Data deleted (if it existed) at: ${path}`)
    return showSecret(context, secret)
  },
})

/** Splits versions written with commas. */
export const versionsOf = (texts: readonly string[]): string[] =>
  texts
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '')

const listing = (verb: 'list' | 'scan', synopsis: string): Command =>
  command({
    words: ['kv', verb],
    synopsis,
    help: `      $ coffer kv ${verb} secret/teams
      $ coffer kv ${verb} -mount=secret`,
    args: { usage: '[PATH]', min: 0, max: 1 },
    flags: { ...mountFlag, ...pageFlags },
    async run(context: Context<typeof mountFlag & typeof pageFlags>) {
      const { flags, args } = context
      if (args.length === 0 && flags.mount === '') throw new UsageError('Not enough arguments (expected 1, got 0)')
      const client = await context.client()
      const place = await findPlace(client, flags.mount, args[0] ?? '')
      const path = apiPath(place, 'metadata')
      const page = pageOf(flags)
      const asked = verb === 'list' ? client.list(path, page) : client.scan(path, page)
      const secret = await orFail(`Error ${verb === 'list' ? 'listing' : 'scanning'} ${path}`, asked)
      return showList(context, secret, path)
    },
  })

const enableVersioning = command({
  words: ['kv', 'enable-versioning'],
  synopsis: 'Turn a version 1 engine into version 2',
  help: '      $ coffer kv enable-versioning secret',
  args: oneArg('MOUNT'),
  async run(context) {
    const client = await context.client()
    const mount = withSlash(sanitizePath(context.args[0] ?? ''))
    await run(client, `Error tuning secrets engine ${mount}`, {
      method: 'POST',
      path: `sys/mounts/${mount}tune`,
      body: { options: { version: '2' } },
    })
    return success(context, `Success! Tuned the secrets engine at: ${mount}`)
  },
})

/** kv commands for secrets themselves. */
export const kvCommands: readonly Command[] = [
  get,
  put,
  patch,
  remove,
  listing('list', 'List secrets'),
  listing('scan', 'List secrets at every depth'),
  enableVersioning,
]
