// POSIX ustar archives as streams of entries whose sizes are known: plain files with short names, nothing else. Reading refuses whatever else
// an archive may hold (links, folders, long names), and never takes more memory than one entry and its limit.

const block = 512
const nameBytesMax = 100

/** The archive is cut short or not as it should be; the message names no content. */
export class TarError extends Error {
  override name = 'TarError'
}

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`

function checksum(header: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 32 : (header[i] as number)
  return sum
}

/** Packs one file: header, content, padding. Throws `RangeError` for a name over 100 bytes. */
export function tarEntry(name: string, content: Uint8Array, mtimeSeconds: number): Buffer {
  if (Buffer.byteLength(name) > nameBytesMax) throw new RangeError('the name is too long for a tar header')
  const entry = Buffer.alloc(block + Math.ceil(content.length / block) * block)
  entry.write(name, 0)
  entry.write(octal(0o600, 8), 100)
  entry.write(octal(0, 8), 108)
  entry.write(octal(0, 8), 116)
  entry.write(octal(content.length, 12), 124)
  entry.write(octal(mtimeSeconds, 12), 136)
  entry.write('0', 156)
  entry.write('ustar\x0000', 257)
  entry.write(`${checksum(entry).toString(8).padStart(6, '0')}\0 `, 148)
  entry.set(content, block)
  return entry
}

/** What closes an archive. */
export const tarEnd: Uint8Array = new Uint8Array(2 * block)

interface TarHeader {
  readonly name: string
  readonly size: number
}

const number = (header: Buffer, at: number, length: number): number => {
  const text = header.toString('latin1', at, at + length).replace(/[\0 ]+$/, '')
  if (!/^[0-7]+$/.test(text)) throw new TarError('a header of the archive is malformed')
  return Number.parseInt(text, 8)
}

/** Reads a header; undefined for the block of zeros that closes the archive. */
function headerOf(bytes: Buffer): TarHeader | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined
  if (number(bytes, 148, 8) !== checksum(bytes)) throw new TarError('a header of the archive does not check')
  const type = bytes[156]
  const end = bytes.indexOf(0)
  const name = bytes.toString('utf8', 0, Math.min(end < 0 ? nameBytesMax : end, nameBytesMax))
  if ((type !== 0x30 && type !== 0) || name === '') throw new TarError('the archive holds something that is no file')
  return { name, size: number(bytes, 124, 12) }
}

/** Gives pieces of a stream in the lengths asked for. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>
  #held: Buffer[] = []
  #length = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Takes so many bytes; undefined when the stream ends right before them. */
  async take(length: number): Promise<Buffer | undefined> {
    while (this.#length < length) {
      const { done, value } = await this.#source.next()
      if (done) {
        if (this.#length === 0) return undefined
        throw new TarError('the archive is cut short')
      }
      this.#held.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
      this.#length += value.byteLength
    }
    const whole = this.#held.length === 1 ? (this.#held[0] as Buffer) : Buffer.concat(this.#held, this.#length)
    this.#held = whole.length > length ? [whole.subarray(length)] : []
    this.#length = whole.length - length
    return whole.subarray(0, length)
  }

  async return(): Promise<void> {
    await this.#source.return?.()
  }
}

/**
 * Reads an archive entry by entry, to its very end. `bytesMax` bounds one content. Throws `TarError` for what is no such archive, also when bytes
 * follow its end. Contents belong to the caller.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<{ readonly name: string; readonly content: Buffer }> {
  const pieces = new Pieces(source)
  try {
    for (;;) {
      const bytes = await pieces.take(block)
      if (!bytes) throw new TarError('the archive is cut short')
      const header = headerOf(bytes)
      if (!header) break
      if (header.size > bytesMax) throw new TarError('an entry of the archive is too large')
      const padded = Math.ceil(header.size / block) * block
      const content = padded === 0 ? Buffer.alloc(0) : await pieces.take(padded)
      if (!content) throw new TarError('the archive is cut short')
      yield { name: header.name, content: Buffer.from(content.subarray(0, header.size)) }
    }
    for (let rest = await pieces.take(block); rest; rest = await pieces.take(block))
      if (!rest.every((byte) => byte === 0)) throw new TarError('something follows the end of the archive')
  } finally {
    await pieces.return()
  }
}
