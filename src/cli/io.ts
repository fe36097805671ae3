// What the command line knows of the outside: streams, environment, terminal, clock. Commands reach the process only through
// this, so tests run every command in-process. It must never echo what is typed at a hidden prompt.
import { homedir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { UsageError } from './errors.ts'

/** The outside of one run: `sleep` is the clock, `askHidden` reads one line without echo (label goes to standard error). */
export interface CliIo {
  readonly stdin: AsyncIterable<Uint8Array | string>
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly stdinIsTty: boolean
  readonly stdoutIsTty: boolean
  readonly stderrIsTty: boolean
  sleep(ms: number): Promise<void>
  askHidden(label: string): Promise<string>
}

// What a caller may pipe in: a body is at most 32 MiB, JSON quoting may double it.
const stdinBytesMax = 64 * 1024 * 1024
const hiddenLineMax = 64 * 1024

/** Reads all of standard input as UTF-8; throws `UsageError` over 64 MiB. */
export async function readAll(io: CliIo): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of io.stdin) {
    const buffer = typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk)
    bytes += buffer.length
    if (bytes > stdinBytesMax) throw new UsageError(`standard input is larger than ${stdinBytesMax} bytes`)
    chunks.push(buffer)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Reads a line from a terminal in raw mode: nothing is echoed, backspace works, ^C gives up with `UsageError`. */
function readHiddenLine(stdin: NodeJS.ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = ''
    const finish = (done: () => void): void => {
      stdin.off('data', take)
      stdin.setRawMode(false)
      stdin.pause()
      done()
    }
    const take = (chunk: Buffer | string): void => {
      for (const char of chunk.toString()) {
        if (char === '\r' || char === '\n' || char === '\x04') {
          finish(() => resolve(line))
          return
        }
        if (char === '\x03') {
          finish(() => reject(new UsageError('interrupted')))
          return
        }
        if (char === '\x7f' || char === '\b') line = [...line].slice(0, -1).join('')
        else if (char === '\x15') line = ''
        else if (line.length < hiddenLineMax) line += char
      }
    }
    stdin.setRawMode(true)
    stdin.setEncoding('utf8')
    stdin.on('data', take)
    stdin.resume()
  })
}

/** Gives the real process; a closed pipe on standard output ends the output quietly (`coffer list … | head`). */
export function processIo(): CliIo {
  const { stdin, stdout, stderr, env } = process
  for (const stream of [stdout, stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  return {
    stdin,
    stdout,
    stderr,
    env,
    home: env['HOME'] || homedir(),
    stdinIsTty: stdin.isTTY === true,
    stdoutIsTty: stdout.isTTY === true,
    stderrIsTty: stderr.isTTY === true,
    sleep: (ms) => delay(ms),
    async askHidden(label) {
      if (stdin.isTTY !== true)
        throw new UsageError(
          'cannot ask for a secret: standard input is no terminal',
          'Give the value as the argument "-" to read it from standard input.',
        )
      stderr.write(label)
      try {
        return await readHiddenLine(stdin)
      } finally {
        stderr.write('\n')
      }
    },
  }
}
