// For tests: a server that notes what it is asked and gives canned answers, and a run of the command line against it. It listens on
// a real socket and reads HTTP by itself, because node:http refuses the methods LIST and SCAN.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from './command.ts'
import { UsageError } from './errors.ts'
import type { CliIo } from './io.ts'
import { runCli } from './main.ts'

/** What came in: `path` is below /v1/ with its query, as it stood on the wire. */
export interface Recorded {
  readonly method: string
  readonly path: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** A canned answer; `body` is JSON unless it is a text. `close` drops the connection without an answer. */
export interface Canned {
  readonly status?: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly close?: boolean
}

/** Answers by "METHOD path"; a list is given out one by one, the last again and again. What is not there is 404. */
export type Answers = Readonly<Record<string, Canned | readonly Canned[]>>

/** A running recorder; `requests` grows. */
export interface Recorder {
  readonly address: string
  readonly requests: Recorded[]
  /** "METHOD path body" of each request, for comparing. */
  lines(): string[]
  answer(answers: Answers): void
  close(): Promise<void>
}

function splitRequest(bytes: Buffer): { request: Recorded; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = new Map(
    lines.map((line) => {
      const at = line.indexOf(':')
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const
    }),
  )
  const length = Number(headers.get('content-length') ?? 0)
  if (bytes.length < end + 4 + length) return undefined
  const [method = '', target = ''] = first.split(' ')
  const body = bytes.subarray(end + 4, end + 4 + length).toString('utf8')
  return {
    request: { method, path: target.replace(/^\/v1\//, ''), headers, body },
    rest: bytes.subarray(end + 4 + length),
  }
}

function spell(canned: Canned): string {
  const status = canned.status ?? (canned.body === undefined ? 204 : 200)
  const body =
    typeof canned.body === 'string' ? canned.body : canned.body === undefined ? '' : JSON.stringify(canned.body)
  const headers = Object.entries(canned.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} X\r\n${headers.join('')}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
}

/** Starts a recorder on a free port, or on a socket file. */
export async function startRecorder(initial: Answers = {}, socketPath?: string): Promise<Recorder> {
  let answers = initial
  const served = new Map<string, number>()
  const requests: Recorded[] = []
  const sockets = new Set<Socket>()
  const cannedFor = (key: string): Canned => {
    const found = answers[key]
    if (found === undefined) return { status: 404, body: { errors: [] } }
    if (!Array.isArray(found)) return found as Canned
    const turn = served.get(key) ?? 0
    served.set(key, turn + 1)
    return (found[Math.min(turn, found.length - 1)] ?? {}) as Canned
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    let buffered = Buffer.alloc(0)
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk])
      for (let split = splitRequest(buffered); split; split = splitRequest(buffered)) {
        buffered = Buffer.from(split.rest)
        requests.push(split.request)
        const canned = cannedFor(`${split.request.method} ${split.request.path}`)
        if (canned.close) socket.destroy()
        else socket.write(spell(canned))
      }
    })
  })
  await new Promise<void>((resolve) => {
    if (socketPath === undefined) server.listen(0, '127.0.0.1', resolve)
    else server.listen(socketPath, resolve)
  })
  const place = server.address()
  return {
    address: typeof place === 'object' && place ? `http://127.0.0.1:${place.port}` : `unix://${socketPath}`,
    requests,
    lines: () => requests.map(({ method, path, body }) => `${method} ${path}${body === '' ? '' : ` ${body}`}`),
    answer(next) {
      answers = next
      served.clear()
      requests.length = 0
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** How a run differs from the plain one: no terminal, empty input, a token in the environment. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly tty?: boolean
  /** Answers to hidden prompts, in turn. */
  readonly hidden?: readonly string[]
  readonly extra?: readonly Command[]
  readonly home?: string
}

/** What a run gave. `sleeps` are the pauses it asked for; none is really made. */
export interface RunResult {
  readonly code: number
  readonly out: string
  readonly err: string
  readonly sleeps: readonly number[]
  readonly prompts: readonly string[]
}

/** Runs the command line in this process against an address. */
export async function runAt(
  address: string | undefined,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const written = { out: '', err: '' }
  const sleeps: number[] = []
  const prompts: string[] = []
  const hidden = [...(options.hidden ?? [])]
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'coffer-cli-'))
  const io: CliIo = {
    stdin: (async function* () {
      yield options.stdin ?? ''
    })(),
    stdout: { write: (text) => (written.out += text) },
    stderr: { write: (text) => (written.err += text) },
    env: { ...(address !== undefined && { COFFER_ADDR: address }), COFFER_TOKEN: 'hvs.test', ...options.env },
    home,
    stdinIsTty: options.tty ?? false,
    stdoutIsTty: options.tty ?? false,
    stderrIsTty: false,
    async sleep(ms) {
      sleeps.push(ms)
    },
    async askHidden(label) {
      prompts.push(label)
      const answer = hidden.shift()
      if (answer === undefined) throw new UsageError('nobody answers')
      return answer
    },
  }
  try {
    const code = await runCli(argv, io, options.extra ?? [])
    return { code, out: written.out, err: written.err, sleeps, prompts }
  } finally {
    if (options.home === undefined) rmSync(home, { recursive: true, force: true })
  }
}

/** Wraps data in the envelope that servers answer with. */
export const envelope = (data: unknown, more: Readonly<Record<string, unknown>> = {}): Canned => ({
  body: {
    request_id: 'r1',
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data,
    wrap_info: null,
    warnings: null,
    auth: null,
    ...more,
  },
})

/** An answer that says no. */
export const refusal = (status: number, ...errors: string[]): Canned => ({ status, body: { errors } })
