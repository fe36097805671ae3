// Connections that are shared: a bounded number, opened when needed, dropped together when the server has changed its
// role or gone. Waiting for one is bounded; what was sent is never sent again here.
import { setTimeout as pause } from 'node:timers/promises'
import { type Connection, type ConnectSettings, connect } from './postgres-connect.ts'
import { ConnectionLost, readOnly, tell } from './postgres-failure.ts'
import type { Call, Row } from './postgres-wire.ts'
import { StorageError } from './storage.ts'

/** Settings of a pool. */
export interface PoolSettings extends ConnectSettings {
  readonly connectionsMax: number
  /** Connections kept while nothing is to be done. */
  readonly idleMax: number
  /** How long a transaction waits for a connection, the time of a failover included. */
  readonly waitMs: number
}

interface Waiter {
  readonly until: number
  readonly resolve: (connection: Connection) => void
  readonly reject: (error: StorageError) => void
}

const pauseMinMs = 50
const pauseMaxMs = 1000

/** Connections to one database. */
export class Pool {
  readonly settings: PoolSettings
  #idle: Connection[] = []
  /** Connections open or being opened. */
  #count = 0
  #opening = 0
  #generation = 0
  readonly #generations = new WeakMap<Connection, number>()
  #waiters: Waiter[] = []
  #host = 0
  #closed = false
  readonly #onTrouble: (message: string) => void
  #troubled = false

  constructor(settings: PoolSettings, onTrouble: (message: string) => void = () => {}) {
    this.settings = settings
    this.#onTrouble = onTrouble
  }

  /** Gives a connection; rejects with `StorageError` when none can be had in time. It must be released. */
  acquire(): Promise<Connection> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return Promise.resolve(idle)
    return new Promise((resolve, reject) => {
      this.#waiters.push({ until: performance.now() + this.settings.waitMs, resolve, reject })
      this.#open()
    })
  }

  /** Runs calls on a connection. What fails is not tried again; afterwards the pool knows what the error says of its connections. */
  async run(calls: readonly Call[]): Promise<Row[]> {
    const connection = await this.acquire()
    return this.runOn(connection, calls)
  }

  /** Runs calls on a connection that was acquired, and releases it. */
  async runOn(connection: Connection, calls: readonly Call[]): Promise<Row[]> {
    try {
      return await connection.run(calls)
    } catch (error) {
      if (error instanceof ConnectionLost || readOnly(error)) this.dropAll(connection, error)
      throw error
    } finally {
      this.release(connection)
    }
  }

  release(connection: Connection): void {
    if (connection.lost || this.#closed || this.#generations.get(connection) !== this.#generation) {
      this.#discard(connection)
      return
    }
    const waiter = this.#waiters.shift()
    if (waiter) waiter.resolve(connection)
    else if (this.#idle.length < this.settings.idleMax) this.#idle.push(connection)
    else this.#discard(connection)
  }

  /** Gives up every connection opened so far: idle ones now, others when they are released. */
  dropAll(cause: Connection, error: unknown): void {
    if (this.#generations.get(cause) !== this.#generation) return
    this.#generation++
    this.#report(`connections to the database are dropped: ${tell(error)}`)
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new StorageError('the store is closed'))
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
  }

  #report(message: string): void {
    this.#troubled = true
    this.#onTrouble(message)
  }

  #discard(connection: Connection): void {
    this.#count--
    connection.close()
    if (this.#waiters.length > 0) this.#open()
  }

  /** Opens connections while more are waited for than are being opened. */
  #open(): void {
    while (!this.#closed && this.#count < this.settings.connectionsMax && this.#opening < this.#waiters.length) {
      this.#count++
      this.#opening++
      this.#openOne().finally(() => {
        this.#opening--
        if (this.#waiters.length > 0) this.#open()
      })
    }
  }

  async #openOne(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const generation = this.#generation
      try {
        const { connection, at } = await connect(this.settings, this.#host)
        this.#host = at
        this.#generations.set(connection, generation)
        connection.onLost = () => this.#lostIdle(connection)
        if (this.#troubled) this.#onTrouble('the database is reached again')
        this.#troubled = false
        this.release(connection)
        return
      } catch (error) {
        if (tries === 0) this.#report(tell(error))
        // Others may be better off: no host is preferred after a failure.
        this.#host = (this.#host + 1) % this.settings.address.hosts.length
        if (this.#giveUp(error)) {
          this.#count--
          return
        }
        await pause(Math.random() * Math.min(pauseMaxMs, pauseMinMs * 2 ** Math.min(tries, 8)))
      }
    }
  }

  /** Refuses those who have waited long enough; true when nobody is left for whom to go on. */
  #giveUp(error: unknown): boolean {
    const now = performance.now()
    const late = this.#waiters.filter(({ until }) => until <= now || this.#closed)
    this.#waiters = this.#waiters.filter((waiter) => !late.includes(waiter))
    const refusal = error instanceof StorageError ? error : new StorageError(tell(error))
    for (const { reject } of late) reject(refusal)
    return this.#waiters.length < this.#opening
  }

  #lostIdle(connection: Connection): void {
    const at = this.#idle.indexOf(connection)
    if (at < 0) return
    this.#idle.splice(at, 1)
    this.#discard(connection)
  }
}
