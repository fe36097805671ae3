// One request from node:http to its answer, top to bottom: who sends it, what is asked, the body, core, the answer. A mistake of the client
// is answered here and never reaches core; a bug is answered with 500 and logged, never described.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ClientResponse, Handler, ListenerFacts } from '../core/exchange.ts'
import { ApiError, invalid } from '../sdk/errors.ts'
import { checkAnnouncedLength, drainBody, drainedBytesMax, hasBody, parseBody, readBody, streamBody } from './body.ts'
import { type CorsAnswer, judgeOrigin } from './cors.ts'
import { type Connection, type Draft, draftOf, takesBody } from './decode.ts'
import { type Encoder, errorResponse } from './encode.ts'
import type { Flights } from './flights.ts'
import type { Forwarding } from './forwarded.ts'
import { headersMax, type ListenerLimits } from './limits.ts'
import { isStandIn, type VerbShim } from './list-method.ts'
import type { MetricsGate } from './metrics-gate.ts'
import { isApiTarget, originForm, readTarget, withoutDoubledSlashes } from './target.ts'

/** Where http says what the operator should know; pino fits. */
export interface HttpSink {
  warn(facts: Readonly<Record<string, unknown>>, message: string): void
  error(facts: Readonly<Record<string, unknown>>, message: string): void
}

/** A request outside of `/v1/` (the user interface). */
export interface OutsideRequest {
  readonly method: string
  /** As sent, with its query; not decoded. */
  readonly target: string
  readonly headers: IncomingHttpHeaders
}

/** Answers requests outside of `/v1/`; undefined is 404. */
export type Outside = (request: OutsideRequest) => ClientResponse | undefined | Promise<ClientResponse | undefined>

/** All that serving a request of one listener takes; made once at start. */
export interface Site {
  readonly handler: Handler
  readonly limits: ListenerLimits
  readonly encoder: Encoder
  readonly forwarding: Forwarding | undefined
  readonly facts: ListenerFacts
  readonly shim: VerbShim
  readonly flights: Flights
  readonly log: HttpSink
  readonly outside: Outside | undefined
  /** What may be had here, where that is not everything. */
  readonly metricsGate: MetricsGate | undefined
  readonly requireRequestHeader: boolean
  /** Makes what is known of a connection; called at its first request. */
  connect(socket: Socket): Connection
  /** Set when the server stops: each answer is then the last of its connection. */
  closing: boolean
}

const connectionKey = Symbol('connection')
interface KnownSocket extends Socket {
  [connectionKey]?: Connection
}

type Extra = Readonly<Record<string, string>> | undefined

/** Answers one request. `expects`: the client waits for "100 Continue" before it sends the body. Never rejects. */
export async function serve(site: Site, req: IncomingMessage, res: ServerResponse, expects: boolean): Promise<void> {
  const flight = site.flights.start(() => {
    const seconds = site.limits.requestMs / 1000
    const late = errorResponse(504, [`request was not answered within ${seconds} seconds`])
    deliver(site, req, res, late, undefined, !req.complete)
  })
  let extra: Extra
  let response: ClientResponse | undefined
  try {
    const sent = req.method as string
    const method = isStandIn(sent) ? site.shim.verbOf(req) : sent
    checkHeaders(site, req)
    const cors = req.headers.origin === undefined ? undefined : await crossOrigin(site, req, method)
    extra = cors?.headers
    const draft = cors?.response ?? read(site, req, method)
    if ('id' in draft) {
      const streams = streamInto(site, req, res, draft, expects)
      if (streams) site.flights.release(flight)
      const whole =
        streams || !takesBody(draft.verb) || !hasBody(req) || (await readInto(site, req, res, draft, expects))
      // The client is gone, or has its 504.
      if (!whole || flight.done) return
      response = await site.handler.handle(draft)
    } else response = 'status' in draft ? draft : ((await site.outside?.(draft)) ?? errorResponse(404, []))
  } catch (error) {
    response = mistake(site, error)
  } finally {
    if (!site.flights.end(flight) && response) {
      await dropStream(response)
      response = undefined
    }
  }
  if (response) await deliver(site, req, res, response, extra, expects && !req.complete)
}

function checkHeaders(site: Site, req: IncomingMessage): void {
  const { headers } = req
  if (req.rawHeaders.length > 2 * headersMax) throw new ApiError(431, `request has more than ${headersMax} headers`)
  if (headers.host === undefined && req.httpVersion === '1.1') throw invalid('missing Host header')
  if (site.requireRequestHeader && headers['x-vault-request'] !== 'true')
    throw new ApiError(412, 'missing X-Vault-Request header')
}

async function crossOrigin(site: Site, { headers }: IncomingMessage, method: string): Promise<CorsAnswer | undefined> {
  const config = await site.handler.cors()
  if (!config.enabled) return undefined
  return judgeOrigin(config, headers.origin as string, method, headers['access-control-request-method'])
}

/** Gives the request for core, body apart; or the answer, when core need not be asked; or a request outside the API. */
function read(site: Site, req: IncomingMessage, method: string): Draft | ClientResponse | OutsideRequest {
  const connection = connectionOf(site, req.socket)
  const { headers } = req
  const peer = connection.remoteAddress
  const remoteAddress = site.forwarding ? site.forwarding(peer, headers) : peer
  const gate = site.metricsGate
  const target = gate ? gate.target(originForm(req.url as string)) : originForm(req.url as string)
  const single = withoutDoubledSlashes(target)
  if (single !== undefined) return { status: 307, body: undefined, headers: { Location: single } }
  if (!isApiTarget(target)) {
    gate?.check(undefined)
    return { method, target, headers }
  }
  const draft = draftOf(req, method, readTarget(target), connection, remoteAddress)
  gate?.check(draft.path)
  return draft
}

function connectionOf(site: Site, socket: KnownSocket): Connection {
  const known = socket[connectionKey]
  if (known) return known
  const connection = site.connect(socket)
  socket[connectionKey] = connection
  return connection
}

/** Hands the body on as a stream where the path takes it so; it is read, and asked for, only if the request is let through. */
function streamInto(site: Site, req: IncomingMessage, res: ServerResponse, draft: Draft, expects: boolean): boolean {
  if (!takesBody(draft.verb) || site.handler.bodyKind(draft.method, draft.path) !== 'unlimited') return false
  draft.rawStream = streamBody(req, () => {
    if (expects) res.writeContinue()
  })
  res.once('finish', () => drainBody(req, drainedBytesMax(site.limits.bodyBytesMax)))
  return true
}

/** Reads the body into the request; false when the client went away before its end. */
async function readInto(
  site: Site,
  req: IncomingMessage,
  res: ServerResponse,
  draft: Draft,
  expects: boolean,
): Promise<boolean> {
  const kind = site.handler.bodyKind(draft.method, draft.path)
  const { bodyBytesMax } = site.limits
  checkAnnouncedLength(req, bodyBytesMax)
  if (expects) res.writeContinue()
  const bytes = await readBody(req, res, bodyBytesMax)
  if (bytes === undefined) return false
  if (kind === 'json') draft.body = parseBody(bytes, draft.contentType, site.limits.json)
  else if (bytes.length > 0) draft.rawBody = bytes
  return true
}

/** Turns what was thrown into an answer; what is no `ApiError` is a bug. */
function mistake(site: Site, error: unknown): ClientResponse {
  if (error instanceof ApiError) return errorResponse(error.status, error.errors, error.headers)
  site.log.error({ err: error }, 'request failed with an internal error')
  return errorResponse(500, ['internal error'])
}

/** Sends an answer; one that cannot be sent (an impossible header) becomes a 500. */
async function deliver(
  site: Site,
  req: IncomingMessage,
  res: ServerResponse,
  response: ClientResponse,
  extra: Extra,
  last: boolean,
): Promise<void> {
  if (res.headersSent || res.destroyed) {
    await dropStream(response)
    return
  }
  const close = last || site.closing || (response.status === 413 && !req.complete && expectsTooMuch(site, req))
  try {
    await site.encoder.send(res, response, extra, close)
  } catch (error) {
    if (res.headersSent) res.destroy()
    else await site.encoder.send(res, mistake(site, error), undefined, close)
  }
}

// A body that is refused is still taken off the wire, so that the client reads the answer and the connection lives on; not any length of it.
const expectsTooMuch = (site: Site, req: IncomingMessage): boolean =>
  Number(req.headers['content-length'] ?? 0) > drainedBytesMax(site.limits.bodyBytesMax)

/** Tells the source of a stream that nobody will read it. Never rejects. */
async function dropStream(response: ClientResponse): Promise<void> {
  try {
    await response.stream?.[Symbol.asyncIterator]().return?.()
  } catch {
    // It ended with an error; it ended.
  }
}
