// A file opened for appending, shared with other processes if need be: whole lines per write, never a half line continued later. It
// follows no path into anything but a regular file, and notices when the file is taken away.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { close, constants, fchmod, fstat, fsync, open, stat, write } from 'node:fs'
import { open as openHandle } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Torn } from '../chain.ts'
import { type Found, type Sink, SinkError } from './sink.ts'
import { readTail } from './tail.ts'

export interface FileTarget {
  readonly kind: 'file'
  readonly path: string
  /** Permission bits the file gets; undefined keeps what it has (0600 for a new one). */
  readonly mode: number | undefined
}

/** The calls a file is written with: those of node:fs. */
export interface FileIo {
  readonly open: typeof open
  readonly write: typeof write
  readonly fsync: typeof fsync
  readonly fstat: typeof fstat
  readonly stat: typeof stat
  readonly fchmod: typeof fchmod
  readonly close: typeof close
}

export const nodeFileIo: FileIo = { open, write, fsync, fstat, stat, fchmod, close }

// Another process may be in the middle of a write when the tail is read: look twice before calling a piece of a line torn.
const tornAgainMs = 30
const newFileMode = 0o600
const openFlags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

type Done<T> = (error: NodeJS.ErrnoException | null, value?: T) => void
const promised = <T>(call: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value as T))))

interface Opened {
  readonly fd: number
  readonly dev: bigint
  readonly ino: bigint
  size: bigint
}

async function readEnd(path: string): Promise<Found> {
  let handle: Awaited<ReturnType<typeof openHandle>>
  try {
    handle = await openHandle(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    // Write-only for us (mode 0200): the chain starts without a look back.
    return {}
  }
  try {
    const { size } = await handle.stat()
    const found = await readTail(handle, size)
    if (!found.torn) return found
    await delay(tornAgainMs)
    const again = await handle.stat()
    return again.size === size ? found : await readTail(handle, again.size)
  } finally {
    await handle.close()
  }
}

/** Counts the whole lines in the first `bytes` bytes, and the piece behind them. */
function takenOf(lines: readonly string[], front: number, bytes: number): { taken: number; rest: number } {
  let end = front
  for (let taken = 0; taken < lines.length; taken++) {
    const next = end + Buffer.byteLength(lines[taken] ?? '') + 1
    if (next > bytes) return { taken, rest: Math.max(0, bytes - end) }
    end = next
  }
  return { taken: lines.length, rest: 0 }
}

/** Writes to a regular file; its directory must exist. `open` rejects naming the path when it cannot be used. */
export function fileSink(target: FileTarget, io: FileIo = nodeFileIo): Sink {
  let opened: Opened | undefined
  // What stands at the end is no whole line: the next write begins with a line break.
  let broken = false

  const release = (): void => {
    const fd = opened?.fd
    opened = undefined
    if (fd !== undefined) io.close(fd, () => {})
  }

  const openFile = async (): Promise<Found> => {
    const before = await promised<{ isFile(): boolean }>((done) => io.stat(target.path, done)).catch(() => undefined)
    // Asked before opening: opening a device or a pipe has effects of its own.
    if (before && !before.isFile()) throw new Error(`${target.path} is not a regular file`)
    const fd = await promised<number>((done) => io.open(target.path, openFlags, target.mode ?? newFileMode, done))
    try {
      const facts = await promised<{ isFile(): boolean; dev: bigint; ino: bigint; mode: bigint; size: bigint }>(
        (done) => io.fstat(fd, { bigint: true }, done),
      )
      if (!facts.isFile()) throw new Error(`${target.path} is not a regular file`)
      if (target.mode !== undefined && Number(facts.mode & 0o7777n) !== target.mode)
        await promised<void>((done) => io.fchmod(fd, target.mode ?? newFileMode, done))
      const found = facts.size === 0n ? {} : await readEnd(target.path)
      const same =
        opened !== undefined && opened.ino === facts.ino && opened.dev === facts.dev && facts.size >= opened.size
      release()
      opened = { fd, dev: facts.dev, ino: facts.ino, size: facts.size }
      broken = found.torn !== undefined
      return { ...found, same }
    } catch (error) {
      io.close(fd, () => {})
      throw error
    }
  }

  return {
    lineBytesMax: Number.POSITIVE_INFINITY,
    async open() {
      try {
        return await openFile()
      } catch (error) {
        throw new SinkError(error)
      }
    },
    async write(lines) {
      if (!opened) throw new SinkError(new Error(`${target.path} is not open`))
      const { fd } = opened
      const front = broken ? 1 : 0
      const bytes = Buffer.from(`${broken ? '\n' : ''}${lines.join('\n')}\n`)
      let written: number
      try {
        written = await promised<number>((done) => io.write(fd, bytes, 0, bytes.length, null, done))
      } catch (error) {
        throw new SinkError(error)
      }
      if (written === bytes.length) {
        broken = false
        return
      }
      // The rest is not written behind it: another process may have come between. The line is written again, whole.
      const { taken, rest } = takenOf(lines, front, written)
      broken = rest > 0 || written < front
      const torn: Torn | undefined =
        rest === 0
          ? undefined
          : {
              bytes: rest,
              sha256: createHash('sha256')
                .update(bytes.subarray(written - rest, written))
                .digest('hex'),
            }
      throw new SinkError(new Error(`${target.path}: only a part was written`), taken, torn)
    },
    async sync() {
      const fd = opened?.fd
      if (fd !== undefined) await promised<void>((done) => io.fsync(fd, done))
    },
    async moved() {
      if (!opened) return undefined
      const was = opened
      try {
        const facts = await promised<{ dev: bigint; ino: bigint; size: bigint }>((done) =>
          io.stat(target.path, { bigint: true }, done),
        )
        if (facts.ino !== was.ino || facts.dev !== was.dev) return 'replaced'
        if (facts.size < was.size) return 'emptied'
        was.size = facts.size
        return undefined
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'deleted'
        throw new SinkError(error)
      }
    },
    async reopen() {
      try {
        return await openFile()
      } catch (error) {
        throw new SinkError(error)
      }
    },
    async close() {
      release()
    },
  }
}
