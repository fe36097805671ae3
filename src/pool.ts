// A server of several processes, seen from its supervisor: addresses are looked at before there are workers, process id file and log
// rotation are its own. It loads none of the rooms that serve.
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { ConfigText } from './config/load.ts'
import type { ServerConfig } from './config/server-config.ts'
import { bind } from './http/bind.ts'
import type { Log } from './log.ts'
import type { Serving } from './workers/protocol.ts'
import { type Supervisor, supervise } from './workers/supervisor.ts'

export interface PoolOptions {
  readonly config: ServerConfig
  readonly texts: readonly ConfigText[]
  readonly count: number
  readonly log: Log
  /** Called when the first worker is being started: from then on there is something to stop. */
  begun(supervisor: Pick<Supervisor, 'stop' | 'kill' | 'reload'>): void
  /** Called once, when all workers serve. */
  serving(facts: Serving): void
}

/** How often the supervisor looks at the log file that all write. */
const logLookMs = 1000

/** Sees that nobody else listens on these addresses, removes socket files left behind, and gives the ports (0 has become a real one). */
async function clearAddresses(listeners: ServerConfig['listeners']): Promise<(number | undefined)[]> {
  // Who comes in this moment is sent away, as nobody is there yet; waiting for him would be waiting for ever.
  const servers = listeners.map(() => createServer().on('connection', (socket) => socket.destroy()))
  const ports: (number | undefined)[] = []
  try {
    for (const [index, listener] of listeners.entries())
      ports.push((await bind(servers[index] as (typeof servers)[number], listener, !listener.tls.disable)).port)
    return ports
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

function writePid(file: string): void {
  writeFileSync(file, `${process.pid}\n`)
  // The supervisor's umask may be that of its sockets.
  chmodSync(file, 0o644)
}

/** Runs the supervisor of a server until `ended`; rejects with `StartFailed` when a worker cannot start. Resolves with whether all ended in order. */
export async function runSupervisor({ config, texts, count, log, begun, serving }: PoolOptions): Promise<boolean> {
  const ports = await clearAddresses(config.listeners)
  const strictUmask = config.listeners.some((listener) => listener.type === 'unix' && listener.socketMode)
  const supervisor = supervise({ place: { count, ports, texts }, strictUmask, log })
  begun(supervisor)
  let inOrder = false
  const looking = setInterval(() => {
    if (log.rotate()) supervisor.reopenLogs()
  }, logLookMs).unref()
  try {
    const facts = await supervisor.serving
    if (facts) {
      if (config.pidFile) writePid(config.pidFile)
      serving(facts)
    }
  } catch (error) {
    supervisor.stop()
    throw error
  } finally {
    // Also after a failure: nobody is left behind.
    inOrder = await supervisor.ended
    clearInterval(looking)
    if (config.pidFile) rmSync(config.pidFile, { force: true })
  }
  return inOrder
}
