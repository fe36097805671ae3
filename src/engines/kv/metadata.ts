// KV version 2: what is known of a secret besides its data: versions, settings, metadata that users give it; and the lists.
import { Buffer } from 'node:buffer'
import { formatDuration } from '../../lib/duration.ts'
import { isRawNumber, type JsonObject, type JsonValue } from '../../lib/json.ts'
import type { ReadContext, WriteContext } from '../../sdk/index.ts'
import { bool, duration, int, invalid, kvpairs, list, listReply, map, missing, path, str } from '../../sdk/index.ts'
import { pageFields, pageOptions } from '../../sdk/page.ts'
import { folderOf, readablePath, writablePath } from '../../sdk/texts.ts'
import { checkedMaxVersions } from './config.ts'
import {
  type ConfigRecord,
  decodeSecret,
  firstKept,
  newSecret,
  readSecretAndConfig,
  type SecretRecord,
  secrets,
  timeText,
  versionId,
  versionTexts,
} from './records.ts'
import { rootReply } from './wrong-path.ts'

const pathField = { path: str('Where the secret or folder lies below the mount.').required() }
const metadata = path('metadata/{path*}', pathField, 'What is known of a secret besides its data, and its settings.')
const detailed = path('detailed-metadata/{path*}', pathField, 'Lists that tell the metadata of each secret.')

const customKeysMax = 64
const customKeyBytesMax = 128
const customValueBytesMax = 512
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u

/** Checks metadata that a user gives; throws `invalid` that names the first bad key. */
function checkedCustom(custom: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const fail = (what: string): never => {
    throw invalid(`custom_metadata validation failed: ${what}`)
  }
  if (Object.keys(custom).length > customKeysMax) fail(`more than ${customKeysMax} keys`)
  for (const [key, value] of Object.entries(custom)) {
    if (!printable.test(key)) fail('a key contains unprintable characters')
    const keyBytes = Buffer.byteLength(key)
    if (keyBytes === 0 || keyBytes > customKeyBytesMax) fail(`a key must have 1 to ${customKeyBytesMax} bytes`)
    const valueBytes = Buffer.byteLength(value)
    if (valueBytes === 0 || valueBytes > customValueBytesMax)
      fail(`the value of "${key}" must have 1 to ${customValueBytesMax} bytes`)
    if (!printable.test(value)) fail(`the value of "${key}" contains unprintable characters`)
  }
  return custom
}

const textOfMember = (key: string, value: JsonValue | undefined): string => {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (isRawNumber(value)) return value.rawJSON
  throw invalid(`custom_metadata validation failed: the value of "${key.slice(0, customKeyBytesMax)}" is not a string`)
}

/** Puts members over what is there; with `patch`, null takes one away. */
function customOf(before: Readonly<Record<string, string>>, wanted: JsonObject, patch: boolean) {
  const merged: Record<string, string> = Object.assign(Object.create(null), before)
  for (const [key, value] of Object.entries(wanted)) {
    if (patch && value === null) delete merged[key]
    else merged[key] = textOfMember(key, value)
  }
  return checkedCustom(merged)
}

/** What clients read of a secret. */
function metadataOf(secret: SecretRecord) {
  const versions: Record<string, object> = {}
  for (const [index, [createdMs, deletionMs, destroyed]] of secret.rows.entries())
    versions[firstKept(secret) + index] = {
      created_time: timeText(createdMs),
      deletion_time: timeText(deletionMs),
      destroyed: destroyed === 1,
    }
  return {
    cas_required: secret.casRequired ?? false,
    created_time: timeText(secret.createdMs),
    current_metadata_version: secret.metadataVersion ?? 0,
    current_version: secret.current,
    custom_metadata: secret.custom ?? null,
    delete_version_after: formatDuration(secret.deleteAfterSeconds ?? 0),
    max_versions: secret.maxVersions ?? 0,
    metadata_cas_required: secret.metadataCasRequired ?? false,
    oldest_version: secret.oldest,
    updated_time: timeText(secret.updatedMs),
    versions,
  }
}

export const readMetadata = metadata.read({
  summary: 'Read the versions, settings and metadata of a secret.',
  output: {
    cas_required: bool('Whether writes of this secret must name the current version.'),
    created_time: str('When the first version or the metadata was written (RFC 3339).'),
    current_metadata_version: int('How often the metadata was written.'),
    current_version: int('Number of the newest version.'),
    custom_metadata: kvpairs('Metadata that users gave the secret.').nullable(),
    delete_version_after: str('How long a version lives; "0s" for the setting of the mount.'),
    max_versions: int('Versions kept; 0 for the setting of the mount.'),
    metadata_cas_required: bool('Whether writes of the metadata must name its current version.'),
    oldest_version: int('The oldest version kept; 0 before any was dropped.'),
    updated_time: str('When the secret or its metadata was last written (RFC 3339).'),
    versions: map('Times of each version by number.'),
  },
  async run({ path }, { tx }) {
    if (path === '') return rootReply
    const secret = await secrets.get(tx, readablePath(path))
    return secret && { data: metadataOf(secret) }
  },
})

const settings = {
  max_versions: int('Versions to keep; 0 for the setting of the mount.').nullable(),
  cas_required: bool('Refuse writes of this secret that do not name the current version.').nullable(),
  metadata_cas_required: bool('Refuse writes of the metadata that do not name its current version.').nullable(),
  delete_version_after: duration('How long a new version lives; 0 clears the setting.').nullable(),
  custom_metadata: map('Metadata of your own: texts by name, at most 64.').nullable(),
  metadata_cas: int('The metadata version that must be current (0: none may exist).'),
}

/** The settings of a request, decoded. Null is what a patch sends to clear one. */
interface Wanted {
  readonly path: string
  readonly max_versions: number | null | undefined
  readonly cas_required: boolean | null | undefined
  readonly metadata_cas_required: boolean | null | undefined
  readonly delete_version_after: number | null | undefined
  readonly custom_metadata: JsonObject | null | undefined
  readonly metadata_cas: number | undefined
}

const named = [
  'max_versions',
  'cas_required',
  'metadata_cas_required',
  'delete_version_after',
  'custom_metadata',
] as const

function checkMetadataCas(wanted: Wanted, config: ConfigRecord, secret: SecretRecord | undefined): void {
  if (wanted.metadata_cas === undefined) {
    if (config.metadataCasRequired || secret?.metadataCasRequired)
      throw invalid('metadata check-and-set parameter required for this call')
  } else if (!secret && wanted.metadata_cas !== 0) {
    throw invalid('metadata_cas must be 0 when creating new metadata')
  } else if (secret && wanted.metadata_cas !== (secret.metadataVersion ?? 0)) {
    throw invalid('metadata check-and-set parameter does not match the current version')
  }
}

/** Sets what is wanted on a record and counts the write. */
function withSettings(secret: SecretRecord, wanted: Wanted, patch: boolean, now: number): SecretRecord {
  const { custom: _, ...rest } = secret
  const customBefore = secret.custom ?? {}
  const custom =
    wanted.custom_metadata === undefined
      ? customBefore
      : customOf(patch && wanted.custom_metadata ? customBefore : {}, wanted.custom_metadata ?? {}, patch)
  return {
    ...rest,
    updatedMs: now,
    metadataVersion: (secret.metadataVersion ?? 0) + 1,
    ...(wanted.max_versions === undefined ? {} : { maxVersions: checkedMaxVersions(wanted.max_versions ?? 0) }),
    ...(wanted.cas_required === undefined ? {} : { casRequired: wanted.cas_required ?? false }),
    ...(wanted.metadata_cas_required === undefined
      ? {}
      : { metadataCasRequired: wanted.metadata_cas_required ?? false }),
    ...(wanted.delete_version_after === undefined ? {} : { deleteAfterSeconds: wanted.delete_version_after ?? 0 }),
    ...(Object.keys(custom).length === 0 ? {} : { custom }),
  }
}

/** Writes settings: for a patch the secret must be there, else it is made. */
async function putSettings(wanted: Wanted, context: WriteContext, patch: boolean): Promise<undefined> {
  // A null outside a patch is as good as absent, as it is for every other field.
  const wishes = patch ? wanted : { ...wanted, ...withoutNulls(wanted) }
  if (named.every((name) => wishes[name] === undefined)) return undefined
  const id = writablePath(wanted.path)
  const { secret, config } = await readSecretAndConfig(context.tx, id)
  if (patch && !secret) throw missing()
  checkMetadataCas(wishes, config, secret)
  for (const [name, required] of [
    ['cas_required', config.casRequired],
    ['metadata_cas_required', config.metadataCasRequired],
  ] as const)
    if (required && wishes[name] === false) context.warn(`"${name}" is set by the mount: false has no effect here`)
  secrets.put(context.tx, id, withSettings(secret ?? newSecret(context.now), wishes, patch, context.now))
  return undefined
}

const withoutNulls = (wanted: Wanted): Partial<Wanted> =>
  Object.fromEntries(named.map((name) => [name, wanted[name] ?? undefined]))

export const writeMetadata = metadata.write({
  summary: 'Write settings and metadata of a secret; what is not sent stays.',
  input: settings,
  exists: ({ path }, { tx }) => secrets.has(tx, path),
  run: (input, context) => putSettings(input, context, false),
})

export const patchMetadata = metadata.patch({
  summary: 'Patch settings and metadata of a secret that exists; null clears.',
  input: settings,
  run: (input, context) => putSettings(input, context, true),
})

export const deleteMetadata = metadata.delete({
  summary: 'Delete a secret with all its versions for good.',
  async run({ path }, { tx }) {
    if (path === '') return rootReply
    const secret = await secrets.get(tx, readablePath(path))
    if (!secret) return undefined
    for (const [index, [, , destroyed]] of secret.rows.entries())
      if (destroyed === 0) versionTexts.delete(tx, versionId(path, firstKept(secret) + index))
    secrets.delete(tx, path)
    return undefined
  },
})

const keysOutput = { keys: list('Names; folders end in a slash.') }
const detailedOutput = { ...keysOutput, key_info: map('Metadata of each secret by its name; folders have none.') }

export const listMetadata = metadata.list({
  summary: 'List the secrets and folders of a folder.',
  input: pageFields,
  output: keysOutput,
  run: async (input, context) => listReply(await secrets.list(context.tx, folderOf(input.path), pageOptions(input))),
})

export const scanMetadata = metadata.scan({
  summary: 'List all secrets below a folder, at any depth.',
  input: pageFields,
  output: keysOutput,
  run: async (input, context) => listReply(await secrets.scan(context.tx, folderOf(input.path), pageOptions(input))),
})

/** Adds to names what is known of each, in one round trip. */
async function withInfo(names: readonly string[], folder: string, { tx }: ReadContext) {
  const entries = await tx.getMany(names.map((name) => secrets.key(folder + name)))
  const info: Record<string, unknown> = Object.create(null)
  for (const [index, name] of names.entries()) {
    const entry = entries[index]
    info[name] = entry ? metadataOf(decodeSecret(entry.value)) : {}
  }
  return listReply(names, info)
}

export const listDetailed = detailed.list({
  summary: 'List the secrets and folders of a folder with the metadata of each.',
  input: pageFields,
  output: detailedOutput,
  async run(input, context) {
    const folder = folderOf(input.path)
    return withInfo(await secrets.list(context.tx, folder, pageOptions(input)), folder, context)
  },
})

export const scanDetailed = detailed.scan({
  summary: 'List all secrets below a folder, at any depth, with the metadata of each.',
  input: pageFields,
  output: detailedOutput,
  async run(input, context) {
    const folder = folderOf(input.path)
    return withInfo(await secrets.scan(context.tx, folder, pageOptions(input)), folder, context)
  },
})

/** Operations on `metadata/` and `detailed-metadata/`. */
export const metadataOperations = [
  readMetadata,
  writeMetadata,
  patchMetadata,
  deleteMetadata,
  listMetadata,
  scanMetadata,
  listDetailed,
  scanDetailed,
]
