// KV version 2: the names in a secret without the values. No value may slip through: what is no object with members becomes null.
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { int, map, path, str } from '../../sdk/index.ts'
import { readablePath } from '../../sdk/texts.ts'
import { isReadable, readText, rowOf, secrets, versionFacts } from './records.ts'
import { rootReply } from './wrong-path.ts'

/** Gives the object with every leaf null; names below `depth` levels (0: no limit) are left out. */
export function namesOnly(value: JsonObject, depth: number, level = 1): JsonObject {
  const names: JsonObject = Object.create(null)
  for (const [key, member] of Object.entries(value)) {
    const opens = isJsonObject(member) && Object.keys(member).length > 0 && (depth === 0 || level < depth)
    names[key] = opens ? namesOnly(member, depth, level + 1) : null
  }
  return names
}

export const readSubkeys = path(
  'subkeys/{path*}',
  { path: str('Where the secret lies below the mount.').required() },
  'The names in a secret, without the values.',
).read({
  summary: 'Read the structure of a secret: its keys, with null for every value.',
  input: {
    version: int('Version to read; 0 is the current one.').default(0),
    depth: int('How many levels to show; 0 shows all.').default(0),
  },
  output: {
    subkeys: map('The keys; null when the version is deleted or destroyed.').nullable(),
    metadata: map('When the version was written, and whether it is gone.'),
  },
  async run({ path, version, depth }, { tx, now }) {
    if (path === '') return rootReply
    const secret = await secrets.get(tx, readablePath(path))
    if (!secret) return undefined
    const number = version > 0 ? version : secret.current
    const row = rowOf(secret, number)
    if (!row) return undefined
    const metadata = versionFacts(secret, number, row)
    if (!isReadable(row, now)) return { status: 404, data: { metadata, subkeys: null } }
    const value = (await readText(tx, path, secret, number)).parse()
    if (!isJsonObject(value)) throw new Error('kv: a version has no data')
    return { data: { metadata, subkeys: namesOnly(value, depth) } }
  },
})
