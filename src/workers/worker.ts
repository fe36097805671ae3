// A worker's side of the channel to its supervisor. When the supervisor is gone the worker stops: nobody may hold a port whom nobody watches.
import cluster from 'node:cluster'
import { type Peers, type SealState, wipe } from '../barrier/peers.ts'
import { channel, Gone, type Wire } from './channel.ts'
import type { Failure, Place, Serving, SupervisorCalls } from './protocol.ts'

/** Whether this process is a worker of a supervisor. */
export const isWorker = cluster.isWorker && process.send !== undefined

/** What the supervisor asks of the server in this process, once there is one. */
export interface WorkerServer {
  follow(state: SealState): Promise<void>
  shared(): Promise<readonly SealState[]>
  reload(): Promise<void>
  reopenLog(): void
}

export interface WorkerPost {
  readonly place: Place
  readonly peers: Peers
  /** Gives the supervisor somebody to call. Before that there are no keys here to be shared. */
  attend(server: WorkerServer): void
  serving(facts: Serving): void
  /** Says why the worker could not start; resolves when the supervisor knows. */
  failed(failure: Failure): Promise<void>
  /** Resolves when the worker is to stop: it was told to, got SIGTERM, or its supervisor is gone. */
  readonly stop: Promise<void>
}

/** Reports to the supervisor and learns the place of this worker. */
export async function takePost(): Promise<WorkerPost> {
  const stop = Promise.withResolvers<void>()
  const attended = Promise.withResolvers<WorkerServer>()
  const to = channel<SupervisorCalls>(process as Wire, {
    async follow(state: SealState) {
      try {
        await (await attended.promise).follow(state)
      } finally {
        wipe(state)
      }
    },
    async shared() {
      const states = await (await attended.promise).shared()
      // By then the answer has been written.
      setImmediate(() => states.forEach(wipe))
      return states
    },
    reload: async () => (await attended.promise).reload(),
    reopenLog: async () => (await attended.promise).reopenLog(),
    stop: () => stop.resolve(),
  })
  cluster.worker?.on('disconnect', () => {
    // Without this node ends the process at once; requests under way may finish.
    if (cluster.worker) cluster.worker.exitedAfterDisconnect = true
    to.close()
    stop.resolve()
  })
  // A signal to the whole group (Ctrl-C, systemd) reaches the supervisor too, which tells what is to be done. SIGTERM alone is a wish.
  process.on('SIGTERM', () => stop.resolve())
  process.on('SIGINT', () => undefined)
  process.on('SIGHUP', () => undefined)

  const peers: Peers = {
    async inTurn(step) {
      await to.call('turn', undefined)
      try {
        return await step()
      } finally {
        to.call('endTurn', undefined).catch(ignoreGone)
      }
    },
    tell: (state) => to.call('tell', state).catch(ignoreGone),
    ask: () => to.call('ask', undefined),
  }
  return {
    place: await to.call('place', undefined),
    peers,
    attend: attended.resolve,
    serving: (facts) => void to.call('serving', facts).catch(ignoreGone),
    failed: (failure) => to.call('failed', failure).catch(ignoreGone),
    stop: stop.promise,
  }
}

/** Whoever has nobody to tell has told all there are. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof Gone)) throw error
}
