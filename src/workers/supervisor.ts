// The supervisor: starts the workers of a server, starts anew what has died, passes signals on. It serves no request, opens no store and
// keeps no key. Here and in worker.ts alone processes are made out of node:cluster.
import cluster, { type Worker } from 'node:cluster'
import { wipe } from '../barrier/peers.ts'
import { type Channel, channel, type Wire } from './channel.ts'
import type { Failure, Place, Serving, SupervisorCalls, WorkerCalls } from './protocol.ts'
import { type Member, relay } from './relay.ts'

export interface SupervisorOptions {
  /** What all workers are told. */
  readonly place: Omit<Place, 'number'>
  /** Sockets are made for their owner alone; workers are not bound by it. */
  readonly strictUmask: boolean
  readonly log: {
    info(facts: object, message: string): void
    warn(facts: object, message: string): void
    error(facts: object, message: string): void
  }
}

export interface Supervisor {
  /** Resolves when all workers serve, with undefined when stopped before; rejects with `StartFailed` when one could not start (then the others are being stopped). */
  readonly serving: Promise<Serving | undefined>
  /** Resolves when all have ended, after `stop`: whether each did so in order. */
  readonly ended: Promise<boolean>
  /** Lets requests under way finish. */
  stop(): void
  /** Ends all workers at once. */
  kill(): void
  reload(): void
  reopenLogs(): void
}

/** A server whose workers do not start does not start; `hint` says what to do, if anything is known. */
export class StartFailed extends Error {
  override name = 'StartFailed'
  readonly hint: string | undefined
  constructor({ message, hint }: Failure) {
    super(message)
    this.hint = hint
  }
}

/** Time for requests under way (10 s), the audit log (5 s) and the store. */
const stopMsMax = 25_000
/** A worker that served this long was healthy: the next one is started at once. */
const healthyMs = 10_000
const restartMs = 250
const restartMsMax = 30_000

/** The place of a worker; processes come and go. */
interface Slot {
  readonly number: number
  process: Worker | undefined
  channel: Channel<WorkerCalls> | undefined
  servingSince: number | undefined
  failure: Failure | undefined
  /** Deaths since a worker here was healthy. */
  deaths: number
  restart: NodeJS.Timeout | undefined
}

/** How long to wait before the next worker is started after so many deaths in a row. */
export const restartDelay = (deaths: number): number =>
  deaths <= 1 ? 0 : Math.min(restartMsMax, restartMs * 2 ** Math.min(deaths - 2, 20))

/** Starts the workers of a server: the first one alone, so that what is wrong is told once and a new store is made by one; then all others. */
export function supervise({ place, strictUmask, log }: SupervisorOptions): Supervisor {
  cluster.schedulingPolicy = cluster.SCHED_NONE
  cluster.setupPrimary({ serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const umask = strictUmask ? process.umask(0o177) : undefined
  const seals = relay()
  const slots: Slot[] = Array.from({ length: place.count }, (_, index) => ({
    number: index + 1,
    process: undefined,
    channel: undefined,
    servingSince: undefined,
    failure: undefined,
    deaths: 0,
    restart: undefined,
  }))
  const serving = Promise.withResolvers<Serving | undefined>()
  const ended = Promise.withResolvers<boolean>()
  let phase: 'starting' | 'serving' | 'stopping' = 'starting'
  let orderly = true
  let lastResort: NodeJS.Timeout | undefined

  const each = (act: (slot: Slot) => void): void => {
    for (const slot of slots) if (slot.process) act(slot)
  }
  const stop = (): void => {
    if (phase === 'stopping') return
    phase = 'stopping'
    serving.resolve(undefined)
    for (const { restart } of slots) clearTimeout(restart)
    each(({ channel: to }) => void to?.call('stop', undefined).catch(() => undefined))
    lastResort = setTimeout(kill, stopMsMax)
    endIfEmpty()
  }
  const kill = (): void => each(({ process: worker }) => worker?.process.kill('SIGKILL'))
  const endIfEmpty = (): void => {
    if (slots.some((slot) => slot.process)) return
    clearTimeout(lastResort)
    ended.resolve(orderly)
  }

  const fork = (): Worker => {
    if (umask !== undefined) process.umask(umask)
    const worker = cluster.fork()
    if (umask !== undefined) process.umask(0o177)
    return worker
  }
  const start = (slot: Slot): void => {
    const worker = fork()
    slot.process = worker
    slot.servingSince = undefined
    slot.failure = undefined
    const to = channel<WorkerCalls>(worker as Wire, {
      place: () => ({ ...place, number: slot.number }),
      serving: (facts: Serving) => nowServing(slot, facts),
      failed(failure: Failure) {
        slot.failure = failure
      },
      turn: () => seals.turn(member),
      endTurn: () => seals.endTurn(member),
      tell: (state: Parameters<SupervisorCalls['tell']>[0]) => seals.tell(member, state),
      async ask() {
        const states = await seals.ask(member)
        // By then the answer has been written.
        setImmediate(() => states?.forEach(wipe))
        return states
      },
    })
    const member: Member = {
      follow: (state) => to.call('follow', state),
      shared: () => to.call('shared', undefined),
      kill(why) {
        if (worker.isDead()) return
        log.error({ number: slot.number, pid: worker.process.pid }, `worker is ended: ${why}`)
        worker.process.kill('SIGKILL')
      },
    }
    slot.channel = to
    worker.once('exit', (code: number | null, signal: string | null) => {
      to.close()
      seals.leave(member)
      gone(slot, code, signal)
    })
    worker.on('error', () => undefined)
  }

  const nowServing = (slot: Slot, facts: Serving): void => {
    slot.servingSince = performance.now()
    log.info({ number: slot.number, pid: slot.process?.process.pid }, 'worker serves')
    if (phase !== 'starting') return
    const rest = slots.filter((other) => other.servingSince === undefined)
    if (rest.length === 0) {
      phase = 'serving'
      serving.resolve(facts)
    } else for (const other of rest) if (!other.process) start(other)
  }

  const gone = (slot: Slot, code: number | null, signal: string | null): void => {
    const { servingSince, failure } = slot
    const pid = slot.process?.process.pid
    const how = signal ? `by ${signal}` : `with exit code ${code}`
    slot.process = undefined
    slot.channel = undefined
    if (phase === 'stopping') {
      if (code !== 0) orderly = false
      endIfEmpty()
      return
    }
    if (phase === 'starting') {
      serving.reject(
        new StartFailed(failure ?? { message: `worker ${slot.number} ended ${how} while starting`, hint: undefined }),
      )
      stop()
      return
    }
    slot.deaths = servingSince !== undefined && performance.now() - servingSince >= healthyMs ? 1 : slot.deaths + 1
    const delayMs = restartDelay(slot.deaths)
    const facts = { number: slot.number, pid, ...(failure && { reason: failure.message }), restartInMs: delayMs }
    log.error(facts, `worker ended ${how}`)
    slot.restart = setTimeout(() => start(slot), delayMs)
  }

  start(slots[0] as Slot)
  return {
    serving: serving.promise,
    ended: ended.promise,
    stop,
    kill,
    reload: () => each(({ channel: to }) => void to?.call('reload', undefined).catch(() => undefined)),
    reopenLogs: () => each(({ channel: to }) => void to?.call('reopenLog', undefined).catch(() => undefined)),
  }
}
