// KV version 2: reading, writing, patching and deleting the data of a secret. Data is passed on as text and parsed only to be patched.
import { isJsonObject, JsonError, type JsonObject, type JsonText, numberOf, parseJson } from '../../lib/json.ts'
import { mergePatch } from '../../lib/merge-patch.ts'
import { bool, int, invalid, kvpairs, map, missing, path, type Reply, str, type WriteContext } from '../../sdk/index.ts'
import { readablePath, textOf, writablePath } from '../../sdk/texts.ts'
import {
  type ConfigRecord,
  deletionMsOf,
  isReadable,
  newSecret,
  putNewVersion,
  readSecretAndConfig,
  readText,
  rowOf,
  type SecretRecord,
  secrets,
  textInsideFormat,
  versionFacts,
  versionId,
  versionTexts,
  withRows,
  withVersion,
} from './records.ts'
import { rootReply } from './wrong-path.ts'

const data = path(
  'data/{path*}',
  { path: str('Where the secret lies below the mount.').required() },
  'The data of a secret, version by version.',
)

/** What answers say of a version. */
export const versionOutput = {
  created_time: str('When the version was written (RFC 3339).'),
  custom_metadata: kvpairs('Metadata that users gave the secret.').nullable(),
  deletion_time: str('When the version was or will be deleted (RFC 3339); empty for never.'),
  destroyed: bool('Whether the data is gone for good.'),
  version: int('Number of the version.'),
}

const writeInput = {
  data: map('The secret: any JSON object.').required().sensitive(),
  options: map('Options of the write: `cas` is the number of the version that must be current (0: none may exist).'),
}

/** Text over this length may hold more strings than a body may; only then is a patched secret checked again. */
const checkedFrom = 1_000_000

/** Reads what `cas` asks for; undefined without it. Throws `invalid` when it is no whole number. */
function casOf(options: JsonObject | undefined): number | undefined {
  if (!options || !Object.hasOwn(options, 'cas')) return undefined
  const cas = options['cas']
  if (cas === null || cas === '') return 0
  const number = typeof cas === 'string' && /^[+-]?\d+$/.test(cas) ? Number(cas) : numberOf(cas)
  if (number === undefined || !Number.isInteger(number)) throw invalid('error parsing check-and-set parameter')
  return number
}

/** Refuses a write whose check-and-set does not hold; the texts are what clients match. */
function checkCas(options: JsonObject | undefined, config: ConfigRecord, secret: SecretRecord): void {
  const cas = casOf(options)
  if (cas === undefined) {
    if (config.casRequired || secret.casRequired) throw invalid('check-and-set parameter required for this call')
  } else if (cas !== secret.current) throw invalid('check-and-set parameter did not match the current version')
}

/** Adds a version to a secret and drops the ones that are too many. */
function putVersion(
  path: string,
  secret: SecretRecord,
  config: ConfigRecord,
  text: JsonText,
  { tx, now, storageFormat }: WriteContext,
): Reply {
  const row = [now, deletionMsOf(now, config, secret), 0] as const
  const next = withVersion(secret, row, config.maxVersions)
  putNewVersion(tx, path, next.secret, { text, apart: storageFormat < textInsideFormat })
  for (const version of next.dropped) versionTexts.delete(tx, versionId(path, version))
  return { data: versionFacts(next.secret, next.secret.current, row) }
}

export const readData = data.read({
  summary: 'Read one version of a secret.',
  description: 'A deleted or destroyed version is answered with 404 and its metadata.',
  input: { version: int('Version to read; 0 is the current one.').default(0) },
  output: {
    data: map('The secret; null when the version is deleted or destroyed.').nullable().sensitive(),
    metadata: map('When the version was written, and whether it is gone.'),
  },
  async run({ path, version }, { tx, now }) {
    if (path === '') return rootReply
    const secret = await secrets.get(tx, readablePath(path))
    if (!secret) return undefined
    const number = version > 0 ? version : secret.current
    const row = rowOf(secret, number)
    if (!row) return undefined
    const metadata = versionFacts(secret, number, row)
    if (!isReadable(row, now)) return { status: 404, data: { data: null, metadata } }
    return { data: { data: await readText(tx, path, secret, number), metadata } }
  },
})

export const writeData = data.write({
  summary: 'Write a new version of a secret.',
  input: writeInput,
  output: versionOutput,
  exists: ({ path }, { tx }) => secrets.has(tx, path),
  async run(input, context) {
    const id = writablePath(input.path)
    const { secret = newSecret(context.now), config } = await readSecretAndConfig(context.tx, id)
    checkCas(input.options, config, secret)
    return putVersion(id, secret, config, textOf(input.data), context)
  },
})

/** Applies a patch to the text of a version; throws `invalid` when the outcome is over the limits of a body. */
function patchedText(text: JsonText, patch: JsonObject): JsonText {
  const merged = mergePatch(text.parse(), patch)
  if (!isJsonObject(merged)) throw new Error('kv: a secret is no object')
  const result = textOf(merged)
  if (result.text.length < checkedFrom) return result
  try {
    parseJson(result.text)
  } catch (error) {
    if (error instanceof JsonError) throw invalid(`the patched secret is too large: ${error.message}`)
    throw error
  }
  return result
}

export const patchData = data.patch({
  summary: 'Patch the current version of a secret into a new one.',
  description: 'The data is a JSON merge patch (RFC 7396). The current version must neither be deleted nor destroyed.',
  input: writeInput,
  output: versionOutput,
  async run(input, context) {
    const id = writablePath(input.path)
    const { secret, config } = await readSecretAndConfig(context.tx, id)
    if (!secret) throw missing()
    checkCas(input.options, config, secret)
    const row = rowOf(secret, secret.current)
    if (!row) throw missing()
    if (!isReadable(row, context.now)) return { status: 404, data: versionFacts(secret, secret.current, row) }
    const text = await readText(context.tx, id, secret, secret.current)
    return putVersion(id, secret, config, patchedText(text, input.data), context)
  },
})

export const deleteData = data.delete({
  summary: 'Delete the current version of a secret; it can be undeleted.',
  async run({ path }, { tx, now }) {
    if (path === '') return rootReply
    const secret = await secrets.get(tx, readablePath(path))
    const row = secret && rowOf(secret, secret.current)
    if (!secret || !row || !isReadable(row, now)) return undefined
    secrets.put(
      tx,
      path,
      withRows(secret, [secret.current], ([createdMs]) => [createdMs, now, 0]),
    )
    return undefined
  },
})

/** Operations on `data/`. */
export const dataOperations = [readData, writeData, patchData, deleteData]
