// KV version 1: one JSON object a path, kept and given back as it came. It never parses a secret but to look for its `ttl`.

import { parseDurationSeconds } from '../../lib/duration.ts'
import { isJsonObject, type JsonText, numberOf } from '../../lib/json.ts'
import { any, invalid, list, listReply, path, str } from '../../sdk/index.ts'
import { pageFields, pageOptions } from '../../sdk/page.ts'
import { folderOf, readablePath, textOf, texts, writablePath } from '../../sdk/texts.ts'

/** The secrets of a version 1 mount by path. */
export const plainSecrets = texts('secret/')

const secret = path(
  '{path*}',
  { path: str('Where the secret lies below the mount.').required() },
  'Secrets as they are, without versions: what is written replaces what was there.',
)

const keysOutput = { keys: list('Names; folders end in a slash.') }

/** Gives the seconds a secret says it holds: its `ttl` or `lease`, else the mount's default. */
function leaseSeconds(text: JsonText, mountDefault: number): number {
  // Printed by us, so a key stands in the text exactly like this.
  if (!text.text.includes('"ttl":') && !text.text.includes('"lease":')) return mountDefault
  const data = text.parse()
  if (!isJsonObject(data)) return mountDefault
  const wish = Object.hasOwn(data, 'ttl') ? data['ttl'] : Object.hasOwn(data, 'lease') ? data['lease'] : undefined
  if (wish === '') return 0
  const seconds = numberOf(wish) ?? (typeof wish === 'string' ? parseDurationSeconds(wish) : undefined)
  return seconds !== undefined && seconds >= 0 && Number.isFinite(seconds) ? Math.trunc(seconds) : mountDefault
}

export const readSecret = secret.read({
  summary: 'Read a secret.',
  description: 'The lease duration is a hint: what the secret holds under ttl, else the default of the mount.',
  output: { '*': any('Every key as it was written.') },
  async run({ path }, { tx, mount }) {
    const text = await plainSecrets.get(tx, readablePath(path))
    return text && { data: text, leaseSeconds: leaseSeconds(text, mount.defaultLeaseTtlSeconds) }
  },
})

export const writeSecret = secret.write({
  summary: 'Write a secret; the whole body is the secret.',
  exists: ({ path }, { tx }) => plainSecrets.has(tx, path),
  run({ path }, { tx, request }) {
    const id = writablePath(path)
    if (!request.body || Object.keys(request.body).length === 0) throw invalid('missing data fields')
    plainSecrets.put(tx, id, textOf(request.body))
    return undefined
  },
})

export const deleteSecret = secret.delete({
  summary: 'Delete a secret.',
  run({ path }, { tx }) {
    plainSecrets.delete(tx, readablePath(path))
    return undefined
  },
})

export const listSecrets = secret.list({
  summary: 'List the secrets and folders of a folder.',
  input: pageFields,
  output: keysOutput,
  async run(input, context) {
    return listReply(await plainSecrets.list(context.tx, folderOf(input.path), pageOptions(input)))
  },
})

export const scanSecrets = secret.scan({
  summary: 'List all secrets below a folder, at any depth.',
  input: pageFields,
  output: keysOutput,
  async run(input, context) {
    return listReply(await plainSecrets.scan(context.tx, folderOf(input.path), pageOptions(input)))
  },
})

/** The operations of a version 1 mount. */
export const plainOperations = [readSecret, writeSecret, deleteSecret, listSecrets, scanSecrets]
