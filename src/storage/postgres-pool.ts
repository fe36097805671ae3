// Connections that are shared: a bounded number, opened when needed, dropped together when the server has changed its
// role or gone. Waiting for one is bounded; what was sent is never sent again here.
import { setTimeout as pause } from 'node:timers/promises'
import { type Connection, type ConnectSettings, connect, type ExchangeKind } from './postgres-connect.ts'
import { ConnectionLost, readOnly, tell } from './postgres-failure.ts'
import type { Call, Row } from './postgres-wire.ts'
import { StorageClosed, type StorageError, StorageUnavailable, StorageUnusable } from './storage.ts'

/** Settings of a pool. */
export interface PoolSettings extends ConnectSettings {
  readonly connectionsMax: number
  /** Connections kept while nothing is to be done. */
  readonly idleMax: number
  /** How long a transaction waits for a connection, the time of a failover included. */
  readonly waitMs: number
}

interface Waiter {
  readonly timer: NodeJS.Timeout
  readonly resolve: (connection: Connection) => void
  readonly reject: (error: StorageError) => void
}

const pauseMinMs = 50
const pauseMaxMs = 400

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
  /** Why no connection could be had last. */
  #reason: StorageUnavailable | undefined
  #reached = false
  readonly #onTrouble: (message: string) => void
  #welcome: (connection: Connection) => Promise<void> = async () => {}
  #trouble: string | undefined

  constructor(settings: PoolSettings, onTrouble: (message: string) => void = () => {}) {
    this.settings = settings
    this.#onTrouble = onTrouble
  }

  /** From now on each new connection is welcomed before it is used. */
  welcomeWith(welcome: (connection: Connection) => Promise<void>): void {
    this.#welcome = welcome
  }

  /** Tells of trouble, of the same one once. */
  report(message: string): void {
    if (message === this.#trouble) return
    this.#trouble = message
    this.#onTrouble(message)
  }

  /** Gives a connection; rejects with `StorageUnavailable` when none can be had in time. It must be released. */
  acquire(): Promise<Connection> {
    const idle = this.#idle.pop()
    if (idle !== undefined) return Promise.resolve(idle)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((one) => one.timer !== timer)
        reject(this.#reason ?? new StorageUnavailable('no connection to the database came free in time'))
      }, this.settings.waitMs)
      this.#waiters.push({ timer, resolve, reject })
      this.#open()
    })
  }

  /** Runs calls on a connection. What fails is not tried again; afterwards the pool knows what the error says of its connections. */
  async run(calls: readonly Call[], kind: ExchangeKind): Promise<Row[]> {
    const connection = await this.acquire()
    return this.runOn(connection, () => calls, kind)
  }

  /** Runs calls on a connection that was acquired, and releases it, whatever happens. */
  async runOn(connection: Connection, calls: () => readonly Call[], kind: ExchangeKind): Promise<Row[]> {
    try {
      return await connection.run(calls(), kind)
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
    if (waiter) {
      clearTimeout(waiter.timer)
      waiter.resolve(connection)
    } else if (this.#idle.length < this.settings.idleMax) this.#idle.push(connection)
    else this.#discard(connection)
  }

  /** Gives up every connection opened so far: idle ones now, others when they are released. */
  dropAll(cause: Connection, error: unknown): void {
    if (this.#generations.get(cause) !== this.#generation) return
    this.#generation++
    this.report(`connections to the database are dropped: ${tell(error)}`)
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#refuse(new StorageClosed('the store is closed'))
    for (const connection of this.#idle.splice(0)) this.#discard(connection)
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
        await this.#welcome(connection).catch((error: unknown) => {
          connection.close()
          throw error
        })
        this.#host = at
        this.#generations.set(connection, generation)
        connection.onLost = () => this.#lostIdle(connection)
        if (this.#trouble !== undefined) this.#onTrouble('the database is reached again')
        this.#trouble = undefined
        this.#reached = true
        this.#reason = undefined
        this.release(connection)
        return
      } catch (error) {
        this.#reason = new StorageUnavailable(tell(error))
        if (tries === 0) this.report(tell(error))
        // Others may be better off: no host is preferred after a failure.
        this.#host = (this.#host + 1) % this.settings.address.hosts.length
        // What is wrong in the settings does not mend itself; what was right once may be right again.
        if (error instanceof StorageUnusable && !this.#reached) this.#refuse(error)
        if (this.#closed || this.#waiters.length < this.#opening) {
          this.#count--
          return
        }
        await pause(Math.random() * Math.min(pauseMaxMs, pauseMinMs * 2 ** Math.min(tries, 8)))
      }
    }
  }

  #refuse(reason: StorageError): void {
    for (const { timer, reject } of this.#waiters.splice(0)) {
      clearTimeout(timer)
      reject(reason)
    }
  }

  #lostIdle(connection: Connection): void {
    const at = this.#idle.indexOf(connection)
    if (at < 0) return
    this.#idle.splice(at, 1)
    this.#discard(connection)
  }
}
