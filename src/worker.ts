// A worker: a whole server over the store that all share, on the same listeners, that seals and unseals together with the others.
import type { ServerConfig } from './config/server-config.ts'
import { sharedPasswords } from './crypto/password.ts'
import type { Log } from './log.ts'
import { type RunningServer, sealStand, startServer } from './server.ts'
import type { WorkerPost } from './workers/worker.ts'

/** Runs a worker until it is told to stop. Rejects when it cannot start, or does not end in order. */
export async function runWorker(post: WorkerPost, config: ServerConfig, log: Log): Promise<void> {
  const { place, peers } = post
  // One niced thread each: as many as there are workers, not twice that.
  sharedPasswords.limitThreads(1)
  const listeners = config.listeners.map((listener, index) => {
    const port = place.ports[index]
    const { address = '127.0.0.1:8200' } = listener
    return port === undefined ? listener : { ...listener, address: address.replace(/\d+$/, String(port)) }
  })
  let running: RunningServer | undefined
  // The process id file is the supervisor's.
  const starting = startServer({ ...config, listeners, pidFile: '' }, log, undefined, {
    peers,
    meet: (lifecycle) =>
      post.attend({
        follow: (state) => lifecycle.follow(state),
        shared: () => lifecycle.shared(),
        reload: async () => running?.reload(),
        reopenLog: () => log.reopen(),
      }),
  })
  const started = await Promise.race([starting, post.stop])
  // Told to stop before it served: whoever called ends the process.
  if (!started) return
  running = started
  post.serving({ addresses: running.http.addresses, seal: await sealStand(started.assembly.lifecycle) })
  await post.stop
  await running.stop()
}
