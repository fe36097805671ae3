// What supervisor and worker say to each other. Keys and shares travel as bytes, which both sides zero; nothing of it is logged.
import type { SealState } from '../barrier/peers.ts'
import type { ConfigText } from '../config/load.ts'
import type { BoundAddress } from '../http/bind.ts'

/** What a worker is told first. */
export interface Place {
  /** 1 … `count`; whoever takes the place of a dead worker has its number. */
  readonly number: number
  readonly count: number
  /** Ports of the listeners, in their order; a configured port 0 has become a real one. */
  readonly ports: readonly (number | undefined)[]
  /** The configuration as it was when the supervisor began: a worker that begins later is like the others. */
  readonly texts: readonly ConfigText[]
}

/** What a worker says when it serves. */
export interface Serving {
  readonly addresses: readonly BoundAddress[]
  readonly seal: 'unsealed' | 'sealed' | 'not initialised'
}

/** Why a worker could not start. */
export interface Failure {
  readonly message: string
  readonly hint: string | undefined
}

/** What the supervisor lets a worker call. */
export type SupervisorCalls = {
  /** The first call: where the worker stands. */
  place(value: undefined): Place
  serving(value: Serving): void
  failed(value: Failure): void
  /** Resolves when it is this worker's turn; `endTurn` gives it on. */
  turn(value: undefined): Promise<void>
  endTurn(value: undefined): void
  /** Resolves when all other workers have followed. In turn. */
  tell(value: SealState): Promise<void>
  /** The seals of another worker; undefined when there is none. In turn. From then on this one is told. */
  ask(value: undefined): Promise<readonly SealState[] | undefined>
}

/** What a worker lets the supervisor call. */
export type WorkerCalls = {
  follow(value: SealState): Promise<void>
  shared(value: undefined): Promise<readonly SealState[]>
  /** SIGHUP. */
  reload(value: undefined): Promise<void>
  reopenLog(value: undefined): void
  stop(value: undefined): void
}
