// Alters a snapshot the way an attacker without its key could: a byte of a piece changed, the sums in clear made to fit.
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { readTar, tarEnd, tarEntry } from '../src/lib/tar.ts'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Gives the altered file. */
export async function tampered(file: Uint8Array): Promise<Buffer> {
  const parts = await Array.fromAsync(readTar(once(gunzipSync(file)), 64 * 1024 * 1024))
  const pieces = parts.filter(({ name }) => name.startsWith('state/'))
  const [first] = pieces
  if (first) first.content[40] = (first.content[40] as number) ^ 1
  const content = (name: string): Buffer => parts.find((part) => part.name === name)?.content ?? Buffer.alloc(0)
  const sums = `${sha256(content('meta.json'))}  meta.json\n${sha256(Buffer.concat(pieces.map((piece) => piece.content)))}  state\n${sha256(content('end.json'))}  end.json\n`
  return gzipSync(
    Buffer.concat([
      ...parts.map((part) => tarEntry(part.name, part.name === 'SHA256SUMS' ? Buffer.from(sums) : part.content, 0)),
      tarEnd,
    ]),
  )
}
