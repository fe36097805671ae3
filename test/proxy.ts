// A TCP proxy for tests that passes, holds back, delays or cuts what goes through it.
import { createConnection, createServer, type Socket } from 'node:net'

/** What becomes of a chunk: it passes, it is swallowed, or the connection is cut instead (`cut`) or behind it (`last`). */
export type Fate = 'pass' | 'swallow' | 'cut' | 'last'

/** A proxy before one port of this machine. */
export interface TcpProxy {
  readonly port: number
  /** Answers "ready for query" of PostgreSQL that have passed. */
  trips(): number
  /** Decides on chunks; none: all pass. */
  fromClient: ((chunk: Buffer) => Fate) | undefined
  fromServer: ((chunk: Buffer) => Fate) | undefined
  /** Milliseconds by which each chunk is late. */
  delayMs: number
  /** False: new connections are cut at once. */
  accepts: boolean
  /** Where it leads to. */
  target: number
  cutAll(): void
  stop(): Promise<void>
}

const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

/** Starts a proxy. */
export async function startProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let trips = 0
  const pipe = (from: Socket, to: Socket, side: 'fromClient' | 'fromServer'): void => {
    const cut = (): void => {
      from.destroy()
      to.destroy()
    }
    from.on('data', (chunk: Buffer) => {
      const fate = proxy[side]?.(chunk) ?? 'pass'
      if (fate === 'cut') return cut()
      if (fate === 'swallow') return
      if (side === 'fromServer')
        for (let at = chunk.indexOf(ready); at >= 0; at = chunk.indexOf(ready, at + ready.length)) trips++
      const send = (): void => {
        to.write(chunk, () => fate === 'last' && cut())
      }
      if (proxy.delayMs > 0) setTimeout(send, proxy.delayMs)
      else send()
    })
    from.on('close', cut).on('error', cut)
    sockets.add(from)
    from.on('close', () => sockets.delete(from))
  }
  const server = createServer((client) => {
    if (!proxy.accepts) {
      client.destroy()
      return
    }
    const upstream = createConnection(proxy.target, '127.0.0.1')
    for (const socket of [client, upstream]) socket.setNoDelay(true)
    pipe(client, upstream, 'fromClient')
    pipe(upstream, client, 'fromServer')
  })
  const proxy: TcpProxy = {
    port: 0,
    trips: () => trips,
    fromClient: undefined,
    fromServer: undefined,
    delayMs: 0,
    accepts: true,
    target,
    cutAll() {
      for (const socket of sockets) socket.destroy()
    },
    async stop() {
      proxy.cutAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(proxy, { port: (server.address() as { port: number }).port })
}
