// JSON texts under a prefix, kept to the byte: what KV and the cubbyhole store. Nothing here parses what a client put in.
import { Buffer } from 'node:buffer'
import { type JsonObject, JsonText } from '../lib/json.ts'
import type { ListOptions, Reader, Writer } from '../storage/storage.ts'
import { invalid } from './errors.ts'

/** UTF-8 bytes a path below a mount may have where it becomes a storage key. Leaves room for prefixes within storage's limit. */
export const pathBytesMax = 2048

/** JSON texts below a prefix that ends in `/`. */
export interface Texts {
  readonly prefix: string
  key(id: string): string
  get(tx: Reader, id: string): Promise<JsonText | undefined>
  has(tx: Reader, id: string): Promise<boolean>
  put(tx: Writer, id: string, text: JsonText): void
  delete(tx: Writer, id: string): void
  list(tx: Reader, below: string, options?: ListOptions): Promise<string[]>
  scan(tx: Reader, below: string, options?: ListOptions): Promise<string[]>
}

/** Prints an object once; numbers that a double cannot carry stay as they came. */
export const textOf = (value: JsonObject): JsonText => new JsonText(JSON.stringify(value))

const bytesToText = (bytes: Uint8Array): JsonText =>
  new JsonText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))

/** Makes the texts below `prefix`; throws when the prefix does not end in `/`. */
export function texts(prefix: string): Texts {
  if (!prefix.endsWith('/')) throw new Error(`prefix "${prefix}" must end in /`)
  return {
    prefix,
    key: (id) => prefix + id,
    async get(tx, id) {
      const entry = await tx.get(prefix + id)
      return entry && bytesToText(entry.value)
    },
    has: async (tx, id) => (await tx.get(prefix + id)) !== undefined,
    put: (tx, id, text) => tx.put(prefix + id, Buffer.from(text.text, 'utf8')),
    delete: (tx, id) => tx.delete(prefix + id),
    list: (tx, below, options) => tx.list(prefix + below, options),
    scan: (tx, below, options) => tx.scan(prefix + below, options),
  }
}

/** Checks a path that is to become a key; throws `invalid` for "", a trailing slash and what is too long. */
export function writablePath(path: string): string {
  if (path === '') throw invalid('missing path')
  if (path.endsWith('/')) throw invalid("cannot write to a path ending in '/'")
  return readablePath(path)
}

/** Checks only the length of a path, for reads; throws `invalid`. */
export function readablePath(path: string): string {
  if (Buffer.byteLength(path) > pathBytesMax) throw invalid(`path is longer than ${pathBytesMax} bytes`)
  return path
}

/** Makes a path name a folder: "" or with a trailing slash. */
export const folderOf = (path: string): string =>
  path === '' || path.endsWith('/') ? readablePath(path) : `${readablePath(path)}/`
