// The HTTP client of the commands: methods as they are (LIST and SCAN too), retries, one redirect, timeouts, numbers kept to
// the last digit. It must never print or log a header, and in preview mode never send anything.
import { Agent, request as httpRequest } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import { isJsonObject, JsonError, type JsonObject, type JsonValue, parseJson } from '../lib/json.ts'
import { AnswerError, ConnectError, Preview, UsageError } from './errors.ts'
import { answerHint, connectHint } from './hints.ts'
import type { CliIo } from './io.ts'
import { curlString, type PreviewRequest, policyString } from './preview.ts'
import { type Secret, saysSomething, secretOf } from './secret.ts'
import { type Settings, tlsOptions } from './settings.ts'
import { type Transfer, textStart, transferred } from './transfer.ts'

export type Query = ReadonlyArray<readonly [string, string]>

/** One call. `path` is below /v1/ and not encoded. `quiet`: a look-up on the way, never previewed and never wrapped. */
export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly query?: Query
  readonly body?: JsonObject
  readonly contentType?: string
  readonly quiet?: boolean
  /** Leaves the namespace header out (seal status is asked of the server, not of a namespace). */
  readonly root?: boolean
}

/** An answer below 400. `body` is parsed when it is JSON, undefined when there is none. */
export interface Answer {
  readonly status: number
  readonly text: string
  readonly body: JsonValue | undefined
}

/** Where a page of a list begins and how long it may be. */
export interface Page {
  readonly after: string
  readonly limit: number
}

/** Calls a server. All methods throw `AnswerError`, `ConnectError` or, in preview mode, `Preview`. */
export interface Client {
  readonly address: string
  token(): string
  setToken(token: string): void
  /** Stops asking for wrapped answers (login looks at its own). */
  stopWrapping(): void
  send(request: ApiRequest): Promise<Answer>
  /** null: nothing there (404 without data or warnings). */
  read(path: string, query?: Query): Promise<Secret | null>
  list(path: string, page?: Page): Promise<Secret | null>
  scan(path: string, page?: Page): Promise<Secret | null>
  remove(path: string, query?: Query): Promise<Secret | null>
  /** PUT, which is POST to the server; null: no body came. */
  write(path: string, body: JsonObject): Promise<Secret | null>
  patch(path: string, body: JsonObject): Promise<Secret | null>
  /** Sends or fetches bytes of any length, without a limit of time or another try; gives the body of the answer. */
  transfer(call: Transfer): Promise<Readable>
}

const answerBytesMax = 256 * 1024 * 1024
const answerLimits = { depthMax: 1000, stringsMax: 20_000_000, stringLengthMax: answerBytesMax }
const retryAfterMsMax = 30_000

interface RawAnswer {
  readonly status: number
  readonly text: string
  readonly location: string
  readonly retryAfter: string
  readonly namespace: string
}

/** Encodes a path as Go's client does: what is special in a URL path is escaped, slashes are kept. */
export const encodePath = (path: string): string =>
  path
    .split('/')
    .map((segment) =>
      encodeURIComponent(segment)
        .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
        .replace(/%(24|26|2B|2C|3A|3B|3D|40)/g, (text) => decodeURIComponent(text)),
    )
    .join('/')

function urlOf(settings: Settings, request: ApiRequest): URL {
  // A URL would resolve them, and the request would go elsewhere than it says.
  if (request.path.split('/').some((segment) => segment === '.' || segment === '..'))
    throw new UsageError(`The path "${request.path}" holds "." or "..".`)
  const base = settings.address.pathname.replace(/\/+$/, '')
  const url = new URL(settings.address.origin)
  url.pathname = `${base}/v1/${encodePath(request.path)}`
  for (const [key, value] of request.query ?? []) url.searchParams.append(key, value)
  return url
}

function headersOf(
  settings: Settings,
  request: ApiRequest,
  state: { token: string; wrapping: boolean },
): Array<[string, string]> {
  const headers: Array<[string, string]> = [['X-Vault-Request', 'true']]
  if (state.token !== '') headers.push(['X-Vault-Token', state.token])
  if (settings.namespace !== '' && !request.root) headers.push(['X-Vault-Namespace', settings.namespace])
  const wrapDefault = request.path === 'sys/wrapping/wrap' && request.method === 'PUT' ? '5m' : ''
  const wrapTtl = settings.wrapTtl || wrapDefault
  if (wrapTtl !== '' && state.wrapping && !request.quiet) headers.push(['X-Vault-Wrap-TTL', wrapTtl])
  for (const credential of settings.mfa) headers.push(['X-Vault-MFA', credential])
  if (settings.policyOverride) headers.push(['X-Vault-Policy-Override', 'true'])
  for (const [name, value] of settings.headers) headers.push([name, value])
  if (request.body !== undefined) headers.push(['Content-Type', request.contentType ?? 'application/json'])
  return headers
}

/** Sends once and reads the whole answer; rejects with the system's error. */
function exchange(
  url: URL,
  settings: Settings,
  agent: Agent,
  call: {
    readonly method: string
    readonly headers: ReadonlyArray<readonly [string, string]>
    readonly body: string | undefined
  },
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const grouped = new Map<string, string[]>()
    for (const [name, value] of call.headers) grouped.set(name, [...(grouped.get(name) ?? []), value])
    if (call.body !== undefined) grouped.set('Content-Length', [String(Buffer.byteLength(call.body))])
    const options = {
      agent,
      method: call.method,
      headers: Object.fromEntries(
        [...grouped].map(([name, values]) => [name, values.length === 1 ? values[0] : values]),
      ),
      signal: AbortSignal.timeout(settings.timeoutMs),
      ...(settings.socketPath !== undefined && { socketPath: settings.socketPath }),
    }
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing = send(url, options, (incoming) => {
      const chunks: Buffer[] = []
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > answerBytesMax) incoming.destroy(new Error(`the answer is larger than ${answerBytesMax} bytes`))
        else chunks.push(chunk)
      })
      incoming.on('error', reject)
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          text: Buffer.concat(chunks).toString('utf8'),
          location: incoming.headers.location ?? '',
          retryAfter: incoming.headers['retry-after'] ?? '',
          namespace: String(incoming.headers['x-vault-namespace'] ?? ''),
        }),
      )
    })
    // Without a body nothing is chunked: LIST and SCAN go out like GET.
    if (call.body === undefined) outgoing.useChunkedEncodingByDefault = false
    outgoing.on('error', reject)
    outgoing.end(call.body)
  })
}

const parseBody = (text: string): JsonValue | undefined =>
  text.trim() === '' ? undefined : parseJson(text, answerLimits)

const isSealedText = (text: string): boolean => /sealed/i.test(text)
const reads: readonly string[] = ['GET', 'LIST', 'SCAN', 'HEAD']

/**
 * Whether a status is worth another try. 501 and "sealed" answer the question; a write is repeated only when the status says
 * that nothing was done, because a 500 may come after the change was kept.
 */
export function isRetried(method: string, status: number, text: string): boolean {
  if (status === 429 || status === 412) return true
  if (status < 500 || status === 501 || (status === 503 && isSealedText(text))) return false
  return status === 503 || reads.includes(method)
}

function connectErrorOf(error: NodeJS.ErrnoException, settings: Settings): ConnectError {
  const timedOut = error.name === 'TimeoutError' || (error.cause as Error | undefined)?.name === 'TimeoutError'
  if (timedOut)
    return new ConnectError(
      `no answer from ${settings.addressText} within ${settings.timeoutMs / 1000} s`,
      'Try again, or wait longer with COFFER_CLIENT_TIMEOUT.',
    )
  const inner = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error
  const code = inner.code ?? error.code ?? ''
  const reason =
    code === 'ECONNREFUSED' ? 'connection refused' : (inner.message || code).replace(/^(getaddrinfo|connect) /, '')
  return new ConnectError(`cannot reach ${settings.addressText}: ${reason}`, connectHint(code))
}

/** Makes a client. Files for TLS are read now; nothing is sent before the first call. */
export function makeClient(settings: Settings, token: string, io: CliIo): Client {
  const state = { token, wrapping: true }
  const tls = settings.address.protocol === 'https:' ? tlsOptions(settings) : undefined
  const agent = tls ? new TlsAgent({ keepAlive: false, ...tls }) : new Agent({ keepAlive: false })
  const agentFor = (url: URL): Agent =>
    url.protocol === settings.address.protocol ? agent : new TlsAgent({ keepAlive: false, ...tlsOptions(settings) })

  async function withRetries(url: URL, request: ApiRequest, body: string | undefined): Promise<RawAnswer> {
    for (let attempt = 1; ; attempt++) {
      const last = attempt > settings.retriesMax
      try {
        const headers = headersOf(settings, request, state)
        const answer = await exchange(url, settings, agentFor(url), { method: request.method, headers, body })
        if (last || !isRetried(request.method, answer.status, answer.text)) return answer
        const asked = /^\d+$/.test(answer.retryAfter) ? Math.min(Number(answer.retryAfter) * 1000, retryAfterMsMax) : 0
        await io.sleep(asked || (1000 + Math.random() * 500) * attempt)
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (last || code !== 'ECONNREFUSED') throw connectErrorOf(error as NodeJS.ErrnoException, settings)
        // A refusal is quick, and nothing was sent: a server that is just starting is there within a second.
        await io.sleep((200 + Math.random() * 100) * attempt)
      }
    }
  }

  async function follow(
    url: URL,
    request: ApiRequest,
    body: string | undefined,
  ): Promise<{ answer: RawAnswer; url: URL }> {
    const answer = await withRetries(url, request, body)
    const redirected = [301, 302, 307, 308].includes(answer.status) && answer.location !== '' && settings.followRedirect
    if (!redirected) return { answer, url }
    const target = new URL(answer.location, url)
    if (url.protocol === 'https:' && target.protocol !== 'https:')
      throw new ConnectError('the server redirects from https to http, which is refused', undefined)
    return { answer: await withRetries(target, request, body), url: target }
  }

  async function send(request: ApiRequest): Promise<Answer> {
    const url = urlOf(settings, request)
    const body = request.body === undefined ? undefined : JSON.stringify(request.body)
    if (settings.preview !== undefined && !request.quiet) {
      const headers = headersOf(settings, request, state)
      const shown: PreviewRequest = { method: request.method, url, path: request.path, headers, body }
      throw new Preview(settings.preview === 'curl' ? curlString(shown, settings) : policyString(shown))
    }
    const { answer, url: finalUrl } = await follow(url, request, body)
    if (answer.status < 400) {
      try {
        return { status: answer.status, text: answer.text, body: parseBody(answer.text) }
      } catch (error) {
        // Raw bodies (PEM, metrics) are no JSON; who wants them reads `text`.
        if (error instanceof JsonError) return { status: answer.status, text: answer.text, body: undefined }
        throw error
      }
    }
    throw answerErrorOf(request, finalUrl, answer)
  }

  function answerErrorOf(request: ApiRequest, url: URL, answer: RawAnswer): AnswerError {
    let body: JsonValue | undefined
    try {
      body = parseBody(answer.text)
    } catch {
      body = undefined
    }
    const object = isJsonObject(body) ? body : undefined
    const parsed = object !== undefined
    const list = Array.isArray(object?.['errors']) ? object['errors'] : []
    const errors = parsed ? list.map(String) : [answer.text.slice(0, 4096)]
    return new AnswerError({
      method: request.method,
      url: url.href,
      status: answer.status,
      errors,
      raw: !parsed,
      namespace: answer.namespace === 'root/' ? '' : answer.namespace,
      body,
      hint: answerHint({ status: answer.status, errors, hasToken: state.token !== '' }),
    })
  }

  /** A 404 is "nothing there", unless it carries warnings or data (a deleted version, a wrong path). */
  async function ask(request: ApiRequest): Promise<Secret | null> {
    try {
      return secretOf((await send(request)).body)
    } catch (error) {
      if (!(error instanceof AnswerError) || error.status !== 404) throw error
      const secret = secretOf(error.body as JsonValue | undefined)
      return saysSomething(secret) ? secret : null
    }
  }

  const paged = (page: Page | undefined): Query =>
    page === undefined
      ? []
      : [
          ['after', page.after],
          ['limit', String(page.limit)],
        ]

  return {
    address: settings.addressText,
    token: () => state.token,
    setToken(next) {
      state.token = next
    },
    stopWrapping() {
      state.wrapping = false
    },
    send,
    async transfer(call) {
      const request: ApiRequest = { method: call.method, path: call.path }
      const url = urlOf(settings, request)
      const headers = headersOf(settings, request, { ...state, wrapping: false })
      if (settings.preview !== undefined) {
        const shown: PreviewRequest = { method: call.method, url, path: call.path, headers, body: undefined }
        throw new Preview(settings.preview === 'curl' ? curlString(shown, settings) : policyString(shown))
      }
      const { status, body } = await transferred(url, { settings, agent: agentFor(url), headers }, call).catch(
        (error) => {
          throw connectErrorOf(error as NodeJS.ErrnoException, settings)
        },
      )
      if (status < 300) return body
      const text = await textStart(body)
      throw answerErrorOf(request, url, { status, text, location: '', retryAfter: '', namespace: '' })
    },
    read: (path, query = []) => ask({ method: 'GET', path, query }),
    list: (path, page) => ask({ method: 'LIST', path, query: paged(page) }),
    scan: (path, page) => ask({ method: 'SCAN', path, query: paged(page) }),
    remove: (path, query = []) => ask({ method: 'DELETE', path, query }),
    write: async (path, body) => secretOf((await send({ method: 'PUT', path, body })).body),
    patch: async (path, body) =>
      secretOf((await send({ method: 'PATCH', path, body, contentType: 'application/merge-patch+json' })).body),
  }
}
