// Standard output and standard error, and the sink that keeps nothing. A pipe that is full delays its own lines and nothing else:
// the write runs off the event loop.
import { Buffer } from 'node:buffer'
import { write } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Sink, SinkError } from './sink.ts'

export interface StreamTarget {
  readonly kind: 'stream'
  readonly name: 'stdout' | 'stderr'
}

export interface DiscardTarget {
  readonly kind: 'discard'
}

const fullPipeMs = 10

const still = {
  lineBytesMax: Number.POSITIVE_INFINITY,
  open: async () => ({}),
  sync: async () => {},
  moved: async () => undefined,
  reopen: async () => ({}),
  close: async () => {},
}

/** Writes to an open descriptor of the process (1 or 2), which it never closes. */
export function streamSink(fd: number): Sink {
  const writeOnce = (bytes: Buffer): Promise<number> =>
    new Promise((resolve, reject) =>
      write(fd, bytes, 0, bytes.length, null, (error, written) => {
        if (!error) resolve(written)
        else if (error.code === 'EAGAIN') resolve(0)
        else reject(error)
      }),
    )
  return {
    ...still,
    async write(lines) {
      let rest = Buffer.from(`${lines.join('\n')}\n`)
      try {
        while (rest.length > 0) {
          const written = await writeOnce(rest)
          rest = rest.subarray(written)
          if (written === 0) await delay(fullPipeMs)
        }
      } catch (error) {
        throw new SinkError(error)
      }
    },
  }
}

/** Takes everything and keeps nothing (`file_path` "discard" or /dev/null). */
export const discardSink = (): Sink => ({ ...still, write: async () => {} })
