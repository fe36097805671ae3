// kv undelete, destroy, rollback and kv metadata: versions and what is kept beside them. Version 2 engines only.
import { isJsonObject, type JsonObject, type JsonValue, numberOf } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, command, oneArg } from '../command.ts'
import { objectOf } from '../data.ts'
import { CliError, orFail, UsageError } from '../errors.ts'
import { duration, type FlagValues, int, list, maybeBool, pairs } from '../flags.ts'
import { formatDuration } from '../go.ts'
import { headingFor, readEntry, readVersion, showPath, versionsOf } from './kv.ts'
import { apiPath, findPlace, mountFlag } from './kv-path.ts'
import { showSecret, success, writeOrFail } from './shared.ts'

const versionsCommand = (verb: 'undelete' | 'destroy', synopsis: string, help: string): Command =>
  command({
    words: ['kv', verb],
    synopsis,
    help,
    args: oneArg('KEY'),
    flags: { ...mountFlag, versions: list('Versions: numbers with commas between; repeatable.') },
    async run(context) {
      const { flags } = context
      if (flags.versions.length === 0) throw new UsageError(`No versions given: name those to ${verb} with -versions`)
      const client = await context.client()
      const place = await findPlace(client, flags.mount, context.args[0] ?? '')
      if (!place.v2) throw new UsageError(`${verb} is not supported on KV version 1`)
      const path = apiPath(place, verb)
      const body = { versions: versionsOf(flags.versions) }
      const secret = await writeOrFail(context, `Error writing data to ${path}`, client.write(path, body))
      if (!secret) return success(context, `Success! Data written to: ${path}`)
      return showSecret(context, secret)
    },
  })

const rollback = command({
  words: ['kv', 'rollback'],
  synopsis: 'Make an old version current again',
  help: `Writes the data of an old version as a new one; fails when somebody else wrote meanwhile.

      $ coffer kv rollback -mount=secret -version=2 app`,
  args: oneArg('KEY'),
  flags: { ...mountFlag, version: int('Version that should be current again.') },
  field: true,
  async run(context) {
    const { flags } = context
    if (!context.given.has('version')) throw new UsageError('Version flag must be specified')
    if (flags.version <= 0) throw new UsageError(`Invalid value ${flags.version} for the version flag`)
    const client = await context.client()
    const place = await findPlace(client, flags.mount, context.args[0] ?? '')
    if (!place.v2) throw new CliError(2, 'K/V engine mount must be version 2 for rollback support')
    const path = apiPath(place, 'data')
    const current = await currentVersion(client, path)
    const old = await readVersion(client, path, 'rollback', flags.version)
    const body = { data: old.data, options: { cas: current } }
    const secret = await writeOrFail(context, `Error writing data to ${path}`, client.write(path, body))
    if (!secret) return success(context, `Success! Data written to: ${path}`)
    return showSecret(context, secret)
  },
})

/** The number of the newest version, deleted or not: the one a check-and-set must name. */
async function currentVersion(client: Client, path: string): Promise<JsonValue> {
  const { metadata } = await readEntry(client, path)
  if (!isJsonObject(metadata) || numberOf(metadata['version']) === undefined)
    throw new CliError(2, `No value found at ${path}`)
  return metadata['version'] ?? 0
}

async function metadataPlace(context: Context<typeof mountFlag>): Promise<string> {
  const place = await findPlace(await context.client(), context.flags.mount, context.args[0] ?? '')
  if (!place.v2) throw new UsageError('Metadata not supported on KV Version 1')
  return apiPath(place, 'metadata')
}

const metadataGet = command({
  words: ['kv', 'metadata', 'get'],
  synopsis: 'Read the metadata and versions of a secret',
  help: '      $ coffer kv metadata get -mount=secret app',
  args: oneArg('KEY'),
  flags: mountFlag,
  field: true,
  async run(context) {
    const { ui, globals } = context
    const path = await metadataPlace(context)
    const secret = await orFail(`Error reading ${path}`, (await context.client()).read(path))
    if (!secret) throw new CliError(2, `No value found at ${path}`)
    if (globals.field !== '' || secret.wrap_info || ui.format !== 'table') return showSecret(context, secret)
    const { versions, ...rest } = secret.data ?? {}
    if (!isJsonObject(versions)) throw new CliError(2, `No value found at ${path}`)
    showPath(ui, 'Metadata Path', path)
    ui.out(headingFor('Metadata', rest))
    ui.secret({ ...secret, data: rest })
    for (const version of Object.keys(versions)
      .map(Number)
      .sort((a, b) => a - b)) {
      const entry = versions[String(version)]
      if (!isJsonObject(entry)) continue
      ui.out(`\n${headingFor(`Version ${version}`, entry)}`)
      ui.data(entry)
    }
    return 0
  },
})

const metadataFlags = {
  ...mountFlag,
  'max-versions': int('How many versions to keep; 0 leaves it to the engine.', { initial: -1 }),
  'cas-required': maybeBool('Whether every write must name the current version.'),
  'delete-version-after': duration('Time after which a version is deleted.', { initial: -1 }),
  'custom-metadata': pairs('Free key=value metadata; repeatable.'),
}

function metadataBody(flags: FlagValues<typeof metadataFlags>): JsonObject {
  const body: JsonObject = {}
  if (flags['max-versions'] >= 0) body['max_versions'] = flags['max-versions']
  if (flags['cas-required'] !== undefined) body['cas_required'] = flags['cas-required']
  if (flags['delete-version-after'] >= 0) body['delete_version_after'] = formatDuration(flags['delete-version-after'])
  return body
}

const metadataPut = command({
  words: ['kv', 'metadata', 'put'],
  synopsis: 'Set the metadata of a secret',
  help: '      $ coffer kv metadata put -mount=secret -max-versions=5 -custom-metadata=owner=ada app',
  args: oneArg('KEY'),
  flags: metadataFlags,
  async run(context) {
    const path = await metadataPlace(context)
    const body = metadataBody(context.flags)
    const custom = context.flags['custom-metadata']
    if (custom.size > 0) body['custom_metadata'] = objectOf(custom)
    const secret = await writeOrFail(
      context,
      `Error writing data to ${path}`,
      (await context.client()).write(path, body),
    )
    if (!secret) return success(context, `Success! Data written to: ${path}`)
    return showSecret(context, secret)
  },
})

const metadataPatch = command({
  words: ['kv', 'metadata', 'patch'],
  synopsis: 'Change some metadata of a secret',
  help: '      $ coffer kv metadata patch -mount=secret -remove-custom-metadata=owner app',
  args: oneArg('KEY'),
  flags: { ...metadataFlags, 'remove-custom-metadata': list('Key to remove from the free metadata; repeatable.') },
  async run(context) {
    const { flags } = context
    const path = await metadataPlace(context)
    const removed = flags['remove-custom-metadata'].map((key) => [key, null] as const)
    const body = { ...metadataBody(flags), custom_metadata: objectOf([...flags['custom-metadata'], ...removed]) }
    const secret = await writeOrFail(
      context,
      `Error writing data to ${path}`,
      (await context.client()).patch(path, body),
    )
    if (!secret) return success(context, `Success! Data written to: ${path}`)
    return showSecret(context, secret)
  },
})

const metadataDelete = command({
  words: ['kv', 'metadata', 'delete'],
  synopsis: 'Delete a secret with all versions and metadata, for good',
  help: '      $ coffer kv metadata delete -mount=secret app',
  args: oneArg('KEY'),
  flags: mountFlag,
  async run(context) {
    const path = await metadataPlace(context)
    await writeOrFail(context, `Error deleting ${path}`, (await context.client()).remove(path))
    return success(context, `Success! Data deleted (if it existed) at: ${path}`)
  },
})

/** kv commands for versions and metadata. */
export const kvVersionCommands: readonly Command[] = [
  versionsCommand(
    'undelete',
    'Bring deleted versions back',
    '      $ coffer kv undelete -mount=secret -versions=3 app',
  ),
  versionsCommand(
    'destroy',
    'Remove versions for good',
    `The data of the versions is gone and cannot come back; that they existed stays in the metadata.

      $ coffer kv destroy -mount=secret -versions=3 app`,
  ),
  rollback,
  metadataGet,
  metadataPut,
  metadataPatch,
  metadataDelete,
]
