// Answers on their way out: headers that every answer has, those of the configuration, those of the handler; bodies and streams.
// What is the same for each answer of a status is put together once per listener.
import { type ServerResponse, STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http'
import type { ClientResponse } from '../core/exchange.ts'
import type { ListenerConfig } from './limits.ts'

const hsts = 'max-age=31536000; includeSubDomains'
const classes = ['1xx', '2xx', '3xx', '4xx', '5xx']

/** Puts together the answer to a mistake: `{"errors":[…]}`. */
export const errorResponse = (
  status: number,
  errors: readonly string[],
  headers?: Readonly<Record<string, string>>,
): ClientResponse & { readonly body: string } => ({
  status,
  body: JSON.stringify({ errors }),
  ...(headers ? { headers } : {}),
})

type HeaderTable = ReadonlyMap<string, readonly (readonly [string, string])[]>

/**
 * Reads `custom_response_headers`; throws an Error for a key that is no status, an impossible name or value. Names with `X-Vault-` are
 * left out, as are empty values.
 */
function tableOf(config: ListenerConfig['customResponseHeaders']): HeaderTable {
  const table = new Map<string, [string, string][]>()
  for (const [status, headers] of Object.entries(config ?? {})) {
    if (status !== 'default' && !classes.includes(status) && !/^[1-5]\d\d$/.test(status))
      throw new Error(`custom_response_headers: "${status}" is neither a status nor a class of them`)
    const list: [string, string][] = []
    for (const [name, value] of Object.entries(headers)) {
      const text =
        typeof value === 'string'
          ? value.trim()
          : value
              .map((v) => v.trim())
              .filter(Boolean)
              .join('; ')
      if (text === '' || name.toLowerCase().startsWith('x-vault-')) continue
      try {
        validateHeaderName(name)
        validateHeaderValue(name, text)
      } catch {
        throw new Error(`custom_response_headers: "${status}" has a malformed header`)
      }
      list.push([name, text])
    }
    table.set(status, list)
  }
  return table
}

/** Writes answers for one listener. */
export interface Encoder {
  /**
   * Sends an answer. `extra` are headers for this one (CORS); `last` closes the connection after it. Throws for a header that cannot be sent,
   * before anything is written. Gives a promise only for streams; it never rejects.
   */
  send(
    res: ServerResponse,
    response: ClientResponse,
    extra?: Readonly<Record<string, string>>,
    last?: boolean,
  ): Promise<void> | undefined
  /** Prints an answer with a text body as bytes for a connection whose request could not be read; it is the last one there. */
  print(response: ClientResponse & { readonly body: string }): string
}

/** Makes the encoder of a listener; throws an Error for custom headers that cannot be. */
export function encoderFor(config: Pick<ListenerConfig, 'customResponseHeaders'>, tls: boolean): Encoder {
  const table = tableOf(config.customResponseHeaders)
  // By status: what an answer without headers of its own carries, flat, as node:http takes it fastest.
  const fixed = new Map<number, readonly string[]>()
  const custom = (status: number): Map<string, [string, string]> => {
    const found = new Map<string, [string, string]>()
    for (const key of ['default', `${Math.floor(status / 100)}xx`, String(status)])
      for (const [name, value] of table.get(key) ?? []) found.set(name.toLowerCase(), [name, value])
    return found
  }
  const fixedFor = (status: number): readonly string[] => {
    const headers = custom(status)
    const list = headers.has('cache-control') ? [] : ['Cache-Control', 'no-store']
    if (tls && !headers.has('strict-transport-security')) list.push('Strict-Transport-Security', hsts)
    for (const pair of headers.values()) list.push(...pair)
    fixed.set(status, list)
    return list
  }
  const merged = (response: ClientResponse, extra: Readonly<Record<string, string>> | undefined): string[] => {
    const all = new Map<string, readonly [string, string | readonly string[]]>([
      ['cache-control', ['Cache-Control', 'no-store']],
    ])
    if (tls) all.set('strict-transport-security', ['Strict-Transport-Security', hsts])
    for (const [name, value] of Object.entries(extra ?? {})) all.set(name.toLowerCase(), [name, value])
    for (const [name, value] of Object.entries(response.headers ?? {})) {
      const key = name.toLowerCase()
      // Framing is ours.
      if (key !== 'content-length' && key !== 'transfer-encoding' && key !== 'connection') all.set(key, [name, value])
    }
    for (const [key, pair] of custom(response.status)) all.set(key, pair)
    const list: string[] = []
    for (const [name, value] of all.values())
      for (const one of typeof value === 'string' ? [value] : value) {
        validateHeaderName(name)
        validateHeaderValue(name, one)
        list.push(name, one)
      }
    return list
  }

  return {
    send(res, response, extra, last) {
      const { status, body } = response
      const own = response.headers !== undefined || extra !== undefined
      const list = own ? merged(response, extra) : (fixed.get(status) ?? fixedFor(status)).slice()
      if (response.index !== undefined) list.push('X-Vault-Index', response.index)
      const hasType = own && list.some((name, i) => i % 2 === 0 && name.toLowerCase() === 'content-type')
      if (last) list.push('Connection', 'close')
      if (response.stream) {
        if (!hasType) list.push('Content-Type', response.contentType ?? 'application/json')
        res.writeHead(status, list)
        return pour(res, response.stream)
      }
      if (status === 204 || status === 304 || status < 200) {
        res.writeHead(status, list)
        res.end()
        return
      }
      if (body === undefined) {
        list.push('Content-Length', '0')
        res.writeHead(status, list)
        res.end()
        return
      }
      if (!hasType) list.push('Content-Type', response.contentType ?? 'application/json')
      const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
      list.push('Content-Length', String(bytes))
      res.writeHead(status, list)
      // As many bytes as characters is ASCII, which node:http writes fastest as Latin-1.
      if (typeof body === 'string') res.end(body, bytes === body.length ? 'latin1' : 'utf8')
      else res.end(body)
      return
    },
    print({ status, body }) {
      const list = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))]
      list.push(...(fixed.get(status) ?? fixedFor(status)), 'Connection', 'close', 'Date', new Date().toUTCString())
      let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
      for (let i = 0; i < list.length; i += 2) text += `${list[i]}: ${list[i + 1]}\r\n`
      return `${text}\r\n${body}`
    },
  }
}

/** Sends a stream piece by piece, no faster than the client takes it. Ends the source when the client is gone. */
async function pour(res: ServerResponse, stream: AsyncIterable<string | Uint8Array>): Promise<void> {
  const iterator = stream[Symbol.asyncIterator]()
  let gone = res.destroyed || res.req.method === 'HEAD'
  let wake: () => void = () => {}
  const stop = (): void => {
    gone = true
    wake()
    // A source that waits for its next piece learns of it at once.
    iterator.return?.().catch(() => {})
  }
  const onDrain = (): void => wake()
  res.on('close', stop)
  res.on('drain', onDrain)
  // Silence is no sign of death here.
  res.req.socket.setTimeout(0)
  try {
    res.flushHeaders()
    while (!gone) {
      const { done, value } = await iterator.next()
      if (done || gone) break
      if (!res.write(value)) {
        await new Promise<void>((resolve) => {
          wake = resolve
          if (gone) resolve()
        })
      }
    }
    if (gone) await iterator.return?.()
    res.end()
  } catch {
    // The answer is cut short, and the client sees that it is: no end of the chunks is sent.
    res.destroy()
  } finally {
    res.off('close', stop)
    res.off('drain', onDrain)
  }
}
