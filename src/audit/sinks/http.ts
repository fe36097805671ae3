// Lines posted to an HTTP server, a batch per request, one line each (newline-delimited JSON). 2xx is accepted; redirects are not followed.
import { Buffer } from 'node:buffer'
import { Agent, request as httpRequest } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import { type Sink, SinkError } from './sink.ts'

export interface HttpTarget {
  readonly kind: 'http'
  readonly url: string
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly timeoutMs: number
}

/** Posts to the URL over one kept connection. A batch whose answer was lost is sent again, so a receiver may see it twice. */
export function httpSink(target: HttpTarget): Sink {
  const url = new URL(target.url)
  const secure = url.protocol === 'https:'
  const newAgent = (): Agent =>
    secure ? new TlsAgent({ keepAlive: true, maxSockets: 1 }) : new Agent({ keepAlive: true, maxSockets: 1 })
  let agent = newAgent()
  const post = (body: Buffer): Promise<void> =>
    new Promise((resolve, reject) => {
      const call = (secure ? httpsRequest : httpRequest)(url, {
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/x-ndjson', 'content-length': body.length, ...target.headers } as Record<
          string,
          string | string[] | number
        >,
      })
      const timer = setTimeout(
        () => call.destroy(new Error(`the server took more than ${target.timeoutMs} ms`)),
        target.timeoutMs,
      )
      call.once('response', (answer) => {
        answer.resume()
        answer.once('error', reject)
        answer.once('close', () => {
          clearTimeout(timer)
          const status = answer.statusCode ?? 0
          if (answer.complete && status >= 200 && status < 300) resolve()
          else reject(new Error(`the server answered with status ${status}`))
        })
      })
      call.once('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      call.end(body)
    })
  return {
    lineBytesMax: Number.POSITIVE_INFINITY,
    open: async () => ({}),
    async write(lines) {
      try {
        await post(Buffer.from(`${lines.join('\n')}\n`))
      } catch (error) {
        throw new SinkError(error)
      }
    },
    sync: async () => {},
    moved: async () => undefined,
    async reopen() {
      agent.destroy()
      agent = newAgent()
      return {}
    },
    async close() {
      agent.destroy()
    },
  }
}
