// For tests of this room: listeners with a handler that notes what it gets, and a client that speaks bytes. Never used by the server.
import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { ClientRequest, ClientResponse, CorsConfig, Handler } from '../core/exchange.ts'
import type { ListenerConfig } from './limits.ts'
import { type HttpOptions, type HttpServer, startListeners } from './listener.ts'

export const noCors: CorsConfig = { enabled: false, allowedOrigins: [], allowedHeaders: [], allowCredentials: false }

export interface Recorder {
  readonly server: HttpServer
  readonly port: number
  /** What the handler got. */
  readonly requests: ClientRequest[]
  /** What was logged. */
  readonly logged: string[]
  readonly handler: Handler & { reply: (request: ClientRequest) => Promise<ClientResponse> | ClientResponse }
  cors: CorsConfig
}

/** Starts one listener on a free port; answers say what the handler understood. */
export async function startRecorder(
  config: Partial<ListenerConfig> = {},
  options: Partial<HttpOptions> = {},
): Promise<Recorder> {
  const requests: ClientRequest[] = []
  const logged: string[] = []
  const handler: Recorder['handler'] = {
    reply: ({ verb, method, path }) => ({ status: 200, body: JSON.stringify({ verb, method, path }) }),
    async handle(request) {
      requests.push(request)
      return handler.reply(request)
    },
    cors: () => recorder.cors,
    bodyKind: (_method, path) =>
      path.startsWith('raw/') ? 'raw' : path.startsWith('unlimited/') ? 'unlimited' : 'json',
  }
  const note = (facts: unknown, message: string): void => {
    logged.push(`${message} ${JSON.stringify(facts)}`)
  }
  const server = await startListeners(
    [{ type: 'tcp', address: '127.0.0.1:0', tls: { disable: true }, ...config }],
    handler,
    {
      log: { warn: note, error: note },
      ...options,
    },
  )
  const recorder: Recorder = { server, port: server.addresses[0]?.port ?? 0, requests, logged, handler, cors: noCors }
  return recorder
}

/** An answer as it came over the wire. */
export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A client that writes bytes and reads answers. */
export interface WireClient {
  readonly socket: Socket
  /** Writes each piece in a packet of its own. */
  send(...pieces: (string | Uint8Array)[]): Promise<void>
  /** The next answer; `head` for one to a HEAD request. Rejects when the connection ends before it, or after 5 s. */
  answer(head?: boolean): Promise<WireAnswer>
  /** Resolves when the server has ended the connection; rejects after 5 s. */
  closed(): Promise<void>
  destroy(): void
}

const patienceMs = 5000

/** Opens a connection; with `tls` options over TLS. */
export async function openWire(
  where: { port: number } | { path: string },
  tls?: ConnectionOptions,
): Promise<WireClient> {
  const target = 'port' in where ? { ...where, host: '127.0.0.1' } : where
  const socket: Socket = tls ? connectTls({ ...target, ...tls }) : connect({ ...target, allowHalfOpen: true })
  socket.setNoDelay(true)
  let bytes = Buffer.alloc(0)
  let over = false
  let wake: () => void = () => {}
  socket.on('data', (piece) => {
    bytes = Buffer.concat([bytes, piece as Buffer])
    wake()
  })
  const end = (): void => {
    over = true
    wake()
  }
  socket.on('error', end)
  socket.on('end', end)
  socket.on('close', end)
  await new Promise<void>((resolve, reject) => {
    socket.once(tls ? 'secureConnect' : 'connect', () => resolve())
    socket.once('error', reject)
  })
  const wait = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the server said nothing for too long')), patienceMs)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  return {
    socket,
    async send(...pieces) {
      for (const piece of pieces) {
        socket.write(piece)
        if (pieces.length > 1) await new Promise((resolve) => setTimeout(resolve, 8))
      }
    },
    async answer(head = false) {
      for (;;) {
        const found = takeAnswer(bytes, head)
        if (found) {
          bytes = bytes.subarray(found.length)
          return found.answer
        }
        if (over)
          throw new Error(`the connection ended after ${JSON.stringify(bytes.toString('latin1').slice(0, 200))}`)
        await wait()
      }
    },
    async closed() {
      while (!over) await wait()
    },
    destroy: () => socket.destroy(),
  }
}

function takeAnswer(bytes: Buffer, head: boolean): { answer: WireAnswer; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const status = Number(first.split(' ')[1])
  const headers: Record<string, string> = {}
  for (const line of lines)
    headers[line.slice(0, line.indexOf(':')).toLowerCase()] = line.slice(line.indexOf(':') + 1).trim()
  const start = end + 4
  if (status < 200 || status === 204 || head) return { answer: { status, headers, body: '' }, length: start }
  if (headers['transfer-encoding'] === 'chunked') {
    const last = bytes.indexOf('\r\n0\r\n\r\n', start)
    if (last < 0) return undefined
    const body = bytes.toString('utf8', start, last).replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, '')
    return { answer: { status, headers, body }, length: last + 7 }
  }
  const length = start + Number(headers['content-length'] ?? 0)
  if (bytes.length < length) return undefined
  return { answer: { status, headers, body: bytes.toString('utf8', start, length) }, length }
}

/** Prints a request; a body gets its Content-Length. */
export function requestText(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string | Uint8Array,
): Buffer {
  const all: Record<string, string> = { Host: 'localhost', ...headers }
  if (body !== undefined) all['Content-Length'] = String(Buffer.byteLength(body))
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([
    Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1'),
    Buffer.from(body ?? ''),
  ])
}

/** Opens a connection, sends one request and gives the answer. */
export async function ask(
  where: { port: number } | { path: string },
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body?: string | Uint8Array,
  tls?: ConnectionOptions,
): Promise<WireAnswer> {
  const wire = await openWire(where, tls)
  try {
    await wire.send(requestText(method, target, headers, body))
    return await wire.answer(method === 'HEAD')
  } finally {
    wire.destroy()
  }
}
