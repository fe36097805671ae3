// Listeners: sockets, TLS, timeouts, reload and graceful stop around the one way that requests take (server.ts).
// Nothing here looks into a request.
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Handler } from '../core/exchange.ts'
import { networkOf, plainAddress } from './addresses.ts'
import { type BoundAddress, bind } from './bind.ts'
import { isPatient } from './body.ts'
import { connectionOf } from './connection.ts'
import { type Encoder, encoderFor, errorResponse } from './encode.ts'
import { Flights } from './flights.ts'
import { forwardingOf } from './forwarded.ts'
import { headersMax, type ListenerConfig, type ListenerLimits, limitsOf } from './limits.ts'
import { verbShim } from './list-method.ts'
import { metricsGate } from './metrics-gate.ts'
import { type ProxySource, takeProxyHeader } from './proxy-protocol.ts'
import { type HttpSink, type Outside, type Site, serve } from './server.ts'
import { secureContextOf, tlsServerOptions } from './tls.ts'

export type { BoundAddress } from './bind.ts'
export type { HttpSink, Outside, OutsideRequest } from './server.ts'

export interface HttpOptions {
  readonly log: HttpSink
  /** Answers what is not below `/v1/`; without it (or when it gives undefined) that is 404. */
  readonly outside?: Outside | undefined
  /** Several processes accept on these listeners. */
  readonly shared?: boolean | undefined
}

/** Running listeners. */
export interface HttpServer {
  readonly addresses: readonly BoundAddress[]
  /**
   * Reads certificates and keys again; connections go on. A listener whose files cannot be used keeps the old ones; then rejects with an Error that
   * names each, after all were tried.
   */
  reload(): Promise<void>
  /** Stops accepting, lets requests under way finish for at most `graceMs`, then ends what is left. */
  close(graceMs: number): Promise<void>
}

interface Running {
  readonly bound: BoundAddress
  reload(): Promise<void>
  close(graceMs: number): Promise<void>
}

/** Starts all listeners, or none: rejects with an Error that names the address and what is wrong. */
export async function startListeners(
  configs: readonly ListenerConfig[],
  handler: Handler,
  options: HttpOptions,
): Promise<HttpServer> {
  const running: Running[] = []
  try {
    for (const config of configs) running.push(await startListener(config, handler, options))
  } catch (error) {
    await Promise.all(running.map((listener) => listener.close(0)))
    throw error
  }
  return {
    addresses: running.map((listener) => listener.bound),
    async reload() {
      const failures: string[] = []
      for (const listener of running) {
        try {
          await listener.reload()
        } catch (error) {
          const reason = error instanceof Error ? error.message : 'unknown error'
          options.log.error({ address: listener.bound.address, reason }, 'listener keeps its old certificate')
          failures.push(`${listener.bound.address}: ${reason}`)
        }
      }
      if (failures.length > 0) throw new Error(`reload failed for ${failures.join('; ')}`)
    },
    async close(graceMs) {
      await Promise.all(running.map((listener) => listener.close(graceMs)))
    },
  }
}

async function startListener(config: ListenerConfig, handler: Handler, options: HttpOptions): Promise<Running> {
  const limits = limitsOf(config)
  const tls = config.tls?.disable !== true
  const encoder = encoderFor(config, tls)
  const server = await makeServer(config, limits)
  // The address is known once the socket is bound; nobody asks before the first request.
  let address = config.address ?? '127.0.0.1:8200'
  const sources = new WeakMap<object, ProxySource>()
  const site: Site = {
    handler,
    limits,
    encoder,
    forwarding: forwardingOf(config.xForwardedFor),
    facts: {
      get address() {
        return address
      },
      tls,
      disableUnauthedRekey: config.disableUnauthedRekey === true,
      disableUnauthedGenerateRoot: config.disableUnauthedGenerateRoot === true,
      openMetrics: config.telemetry?.unauthenticatedMetricsAccess === true,
    },
    shim: verbShim(server, limits.headerBytesMax),
    flights: new Flights(limits.requestMs),
    log: options.log,
    outside: options.outside,
    metricsGate: metricsGate(config.telemetry),
    requireRequestHeader: config.requireRequestHeader === true,
    connect: (socket) => connectionOf(socket, sources.get((socket as WrappedSocket)._parent ?? socket), site.facts),
    closing: false,
  }
  wire(server, site)
  const sockets = trackSockets(server, tls)
  if (config.proxyProtocolBehavior) takeProxyHeaders(server, config, limits.headerMs, sources, sockets)
  const bound = await bind(server, config, tls, options.shared)
  server.on('error', (error) => options.log.error({ err: error, address }, 'listener failed'))
  address = bound.address
  return {
    bound,
    async reload() {
      if (tls) (server as TlsServer).setSecureContext(await secureContextOf(config.tls ?? {}))
    },
    async close(graceMs) {
      site.closing = true
      await stop(server, sockets, graceMs)
      site.flights.close()
    },
  }
}

/** A socket as node:http and node:tls leave it: the socket below TLS, and the answer that is being written. */
interface WrappedSocket extends Socket {
  readonly _parent?: Socket
  readonly _httpMessage?: (ServerResponse & { readonly req: IncomingMessage }) | null
}

async function makeServer(config: ListenerConfig, limits: ListenerLimits): Promise<Server> {
  const base: ServerOptions = {
    headersTimeout: Math.min(limits.headerMs, limits.readMs),
    requestTimeout: limits.readMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.max(50, Math.min(2000, Math.min(limits.headerMs, limits.readMs) / 4)),
    maxHeaderSize: limits.headerBytesMax,
    requireHostHeader: false,
    insecureHTTPParser: false,
    optimizeEmptyRequests: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 180_000,
  }
  const tls = config.tls ?? {}
  const server =
    tls.disable === true
      ? createServer(base)
      : createTlsServer({ ...base, ...tlsServerOptions(tls, limits.headerMs), ...(await secureContextOf(tls)) })
  server.timeout = limits.writeMs
  // One more than is allowed, so that too many are seen and not cut off unseen.
  server.maxHeadersCount = headersMax + 1
  server.maxRequestsPerSocket = 0
  // A client that closes its side after the request still wants the answer.
  ;(server as Server & { httpAllowHalfOpen: boolean }).httpAllowHalfOpen = true
  return server
}

function wire(server: Server, site: Site): void {
  // After the last answer of a connection node:http goes on reading until the socket is down. What it reads is not answered: it
  // would take the answer's place in a queue that is no more, and bring the process down.
  const alive = (req: IncomingMessage): boolean => !req.socket.writableEnded
  server.on('request', (req, res) => {
    if (alive(req)) serve(site, req, res, false)
  })
  server.on('checkContinue', (req, res) => {
    if (alive(req)) serve(site, req, res, true)
  })
  server.on('checkExpectation', (req: IncomingMessage, res: ServerResponse) => {
    if (alive(req)) site.encoder.send(res, errorResponse(417, ['unsupported Expect header']), undefined, true)
  })
  server.on('connect', (_req: IncomingMessage, socket: Duplex) => finish(socket, site.encoder, 405, []))
  server.on('clientError', (error, socket) => {
    if ((error as NodeJS.ErrnoException).code === 'ERR_HTTP_REQUEST_TIMEOUT' && isPatient(socket)) return
    if (!site.shim.rescue(error, socket)) refuse(error, socket as WrappedSocket, site.encoder)
  })
}

const refusedKey = Symbol('refused')

/** Answers what could not be read as a request, after the answers that are still due on that connection. */
function refuse(error: Error, socket: WrappedSocket & { [refusedKey]?: boolean }, encoder: Encoder): void {
  if (socket[refusedKey]) return
  socket[refusedKey] = true
  const { code, reason } = error as NodeJS.ErrnoException & { reason?: string }
  const write = (): void => {
    const due = socket._httpMessage
    const readable = code?.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT'
    if (!readable || !socket.writable) socket.destroy()
    else if (due?.req.complete) due.once('close', write)
    else if (due?.headersSent || code === 'HPE_INVALID_EOF_STATE') socket.destroy()
    else if (code === 'ERR_HTTP_REQUEST_TIMEOUT') finish(socket, encoder, 408, ['request was not sent in time'])
    else if (code === 'HPE_HEADER_OVERFLOW') finish(socket, encoder, 431, ['request header fields are too large'])
    else if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') finish(socket, encoder, 413, ['chunk extensions are too large'])
    else if (reason?.startsWith('Invalid method for HTTP')) finish(socket, encoder, 405, [])
    else finish(socket, encoder, 400, ['malformed HTTP request'])
  }
  write()
}

// How long a client that was refused may go on sending before the connection is cut: closing at once would take the answer from it.
const lingerMs = 500

function finish(socket: Duplex, encoder: Encoder, status: number, errors: readonly string[]): void {
  socket.on('error', () => {})
  socket.end(encoder.print(errorResponse(status, errors)))
  setTimeout(() => socket.destroy(), lingerMs).unref()
}

interface Sockets {
  /** Connections that carry HTTP. */
  readonly serving: Set<WrappedSocket>
  /** All connections, at the lowest level. */
  readonly all: Set<Socket>
}

function trackSockets(server: Server, tls: boolean): Sockets {
  const sockets: Sockets = { serving: new Set(), all: new Set() }
  const track = (set: Set<Socket>) => (socket: Socket) => {
    set.add(socket)
    socket.once('close', () => set.delete(socket))
  }
  server.on('connection', track(sockets.all))
  server.on(tls ? 'secureConnection' : 'connection', track(sockets.serving))
  if (tls) server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy())
  return sockets
}

/** Puts the reading of PROXY headers in front of whatever takes new connections. */
function takeProxyHeaders(
  server: Server,
  config: ListenerConfig,
  timeoutMs: number,
  sources: WeakMap<object, ProxySource>,
  sockets: Sockets,
): void {
  const { proxyProtocolBehavior: behavior, proxyProtocolAuthorizedAddrs: list = [] } = config
  if (behavior !== 'use_always' && list.length === 0)
    throw new Error(`proxy_protocol_authorized_addrs is missing; proxy_protocol_behavior "${behavior}" needs it`)
  const authorized = networkOf(list, 'proxy_protocol_authorized_addrs')
  const next = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', async (socket: Socket) => {
    const trusted = behavior === 'use_always' || authorized(plainAddress(socket.remoteAddress))
    if (!trusted && behavior === 'deny_unauthorized') {
      socket.on('error', () => {})
      socket.destroy()
      return
    }
    sockets.all.add(socket)
    socket.once('close', () => sockets.all.delete(socket))
    const source = await takeProxyHeader(socket, timeoutMs)
    if (source === false) return
    // A header from elsewhere is taken off and not believed.
    if (source && trusted) sources.set(socket, source)
    for (const listener of next) listener.call(server, socket)
  })
}

const idleCheckMs = 20

/**
 * Stops a server. Its own `close` would cut answers that are written but not yet sent; so idle connections are told from busy ones here: a
 * connection is busy as long as an answer is due or not wholly handed to the system.
 */
async function stop(server: Server, { serving, all }: Sockets, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    NetServer.prototype.close.call(server, () => resolve())
  })
  const endIdle = (): void => {
    for (const socket of serving) if (!socket._httpMessage && socket.writableLength === 0) socket.destroy()
    if (serving.size === 0) for (const socket of all) socket.destroy()
  }
  endIdle()
  const idle = setInterval(endIdle, idleCheckMs)
  const over = setTimeout(() => {
    for (const socket of all) socket.destroy()
  }, graceMs)
  await closed
  clearInterval(idle)
  clearTimeout(over)
  // Ends the timer that watches over slow requests; there is nothing left to close.
  server.close(() => {})
}
