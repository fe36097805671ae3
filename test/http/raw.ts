// Requests as bytes on a socket: what no client library would send. The answer is read by hand, with a limit of time.
import { connect } from 'node:net'

export interface RawAnswer {
  /** Status of the first answer; 0 when none came. */
  readonly status: number
  /** Everything that came, as latin1. */
  readonly text: string
  /** Statuses of all answers on the connection. */
  readonly statuses: readonly number[]
  readonly ms: number
  /** Whether the server ended the connection before the time limit. */
  readonly closed: boolean
}

const statusLine = /HTTP\/1\.1 (\d{3}) /g

/** Sends bytes (chunks one after the other, with a pause between) and reads until the connection ends or the time is over. */
export function sendRaw(
  url: string,
  chunks: string | Buffer | readonly (string | Buffer)[],
  options: { readonly timeoutMs?: number; readonly pauseMs?: number; readonly endAfter?: boolean } = {},
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  const started = performance.now()
  const list = Array.isArray(chunks) ? (chunks as readonly (string | Buffer)[]) : [chunks as string | Buffer]
  return new Promise((resolve) => {
    let text = ''
    let done = false
    const socket = connect(Number(port), hostname)
    const finish = (closed: boolean) => {
      if (done) return
      done = true
      clearTimeout(timer)
      socket.destroy()
      const statuses = [...text.matchAll(statusLine)].map((match) => Number(match[1]))
      resolve({ status: statuses[0] ?? 0, text, statuses, ms: performance.now() - started, closed })
    }
    const timer = setTimeout(() => finish(false), options.timeoutMs ?? 5000)
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => finish(true))
    socket.on('end', () => finish(true))
    socket.on('close', () => finish(true))
    socket.on('connect', async () => {
      for (const chunk of list) {
        if (done) return
        socket.write(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk)
        if (list.length > 1) await new Promise((next) => setTimeout(next, options.pauseMs ?? 5))
      }
      if (options.endAfter) socket.end()
    })
  })
}

/** A request as text that asks for the connection to be ended after the answer. */
export function rawRequest(
  method: string,
  target: string,
  options: { readonly token?: string; readonly headers?: readonly string[]; readonly body?: string } = {},
): string {
  const body = options.body === undefined ? '' : Buffer.from(options.body, 'utf8').toString('latin1')
  return [
    `${method} ${target} HTTP/1.1`,
    'Host: coffer',
    'Connection: close',
    ...(options.token ? [`X-Vault-Token: ${options.token}`] : []),
    ...(options.body === undefined ? [] : [`Content-Length: ${body.length}`]),
    ...(options.headers ?? []),
    '',
    body,
  ].join('\r\n')
}
