// sys/raw: what lies below mounts, policies and tokens, value by value, for repairs. It passes the barrier like everything else, so that
// what lies below it (keyring, slots) cannot be reached; keys of the audit trail are never given out nor changed.
import { Buffer, isUtf8 } from 'node:buffer'
import { clearPrefix } from '../barrier/barrier.ts'
import { Sealed, Undecryptable } from '../barrier/errors.ts'
import { renewEpoch } from '../core/epoch.ts'
import { auditAnchorPrefix, auditKeyPath } from '../core/settings.ts'
import {
  ApiError,
  bool,
  type Context,
  invalid,
  list,
  listReply,
  type Operation,
  path,
  type ReadContext,
  str,
  unavailable,
} from '../sdk/index.ts'
import { pageFields, pageOptions } from '../sdk/page.ts'
import { inRoot } from './in-root.ts'
import { fromBase64 } from './tools.ts'

/** Below the barrier; and what proves the audit trail: who has the key could forge it, who takes an anchor away could cut it. */
const closed = [clearPrefix, auditKeyPath, auditAnchorPrefix]
const isClosed = (key: string): boolean => closed.some((prefix) => key.startsWith(prefix))

/** Throws 400 outside the root namespace and for keys that are closed. */
function admit(context: Context, key: string): void {
  inRoot(context)
  if (isClosed(key)) throw invalid(`cannot access "${key}"`)
}

/** Says what is wrong with a value, or with the keys it needs. */
function explained(error: unknown): never {
  if (error instanceof Sealed && error.prefix !== undefined) throw unavailable('namespace is sealed')
  if (error instanceof Undecryptable) throw new ApiError(500, `the stored value cannot be decrypted: ${error.message}`)
  throw error
}

/** Throws `invalid` for an encoding that there is not; tells whether it is base64. */
function isBase64(encoding: string): boolean {
  if (encoding !== '' && encoding !== 'base64') throw invalid('invalid encoding: it must be base64, or left out')
  return encoding === 'base64'
}

/** Shows stored bytes; bytes that are no text are not bent into one. */
function shown(bytes: Uint8Array, encoding: string): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isBase64(encoding)) return buffer.toString('base64')
  if (!isUtf8(buffer)) throw invalid('the stored value is not text: read it with encoding=base64')
  return buffer.toString('utf8')
}

const encoding = str('base64: the value is given in base64.').default('')
const keyField = { path: str('Key in the store.').required() }
const one = path('raw/{path*}', keyField, 'Stored values, below everything.')
const all = path('raw', {}, 'Keys of the store.')
const keys = { keys: list('Names; folders end in a slash.') }

const readRaw = one.read({
  summary: 'Read a stored value.',
  sudo: true,
  input: { encoding, compressed: bool('Accepted; nothing is stored compressed.').default(true) },
  output: { value: str('The value.').sensitive() },
  async run({ path: key, encoding }, context) {
    admit(context, key)
    isBase64(encoding)
    try {
      const entry = await context.tx.get(key)
      return entry && { data: { value: shown(entry.value, encoding) } }
    } catch (error) {
      return explained(error)
    }
  },
})

const writeRaw = one.write({
  summary: 'Write a stored value.',
  sudo: true,
  input: {
    value: str('The value.').required().sensitive(),
    encoding,
    compression_type: str('Refused unless empty: nothing is stored compressed.').default(''),
  },
  // Tells create from update and nothing else: what is refused is refused after permission was judged.
  async exists({ path: key }, { tx, mount }) {
    if (isClosed(key) || mount.namespace.uuid !== 'root') return true
    try {
      return (await tx.get(key)) !== undefined
    } catch (error) {
      // A damaged value is there too; writing is how it is mended.
      if (error instanceof Undecryptable || error instanceof Sealed) return true
      throw error
    }
  },
  async run({ path: key, value, encoding, compression_type }, context) {
    admit(context, key)
    if (key.endsWith('/')) throw invalid('the path must not end in a slash')
    if (compression_type !== '') throw invalid('invalid compression_type: values are not stored compressed')
    const bytes = isBase64(encoding) ? fromBase64(value, 'value') : Buffer.from(value, 'utf8')
    try {
      context.tx.put(key, bytes)
    } catch (error) {
      explained(error)
    }
    // What processes hold in memory must not outlive a change made below it.
    await renewEpoch(context.tx, context.now)
    return undefined
  },
})

const deleteRaw = one.delete({
  summary: 'Delete a stored value.',
  sudo: true,
  async run({ path: key }, context) {
    admit(context, key)
    context.tx.delete(key)
    await renewEpoch(context.tx, context.now)
    return undefined
  },
})

interface Page {
  readonly after: string
  readonly limit: number
}

async function listed(prefix: string, page: Page, context: ReadContext) {
  admit(context, prefix)
  return listReply(await context.tx.list(prefix, pageOptions(page)))
}

const listRaw = one.list({
  summary: 'List the keys below a prefix.',
  sudo: true,
  input: pageFields,
  output: keys,
  run: ({ path: prefix, ...page }, context) => listed(prefix.endsWith('/') ? prefix : `${prefix}/`, page, context),
})

const listAll = all.list({
  summary: 'List the top of the store.',
  sudo: true,
  input: pageFields,
  output: keys,
  run: (page, context) => listed('', page, context),
})

/** Operations of `sys/raw`, for servers that are told to serve it, and for recovery mode. */
export const rawOperations: readonly Operation[] = [readRaw, writeRaw, deleteRaw, listRaw, listAll]
