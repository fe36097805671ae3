// Requests under way, oldest first, so that those over their time are found without a timer for each.

/** One request under way. */
export interface Flight {
  readonly startedMs: number
  /** Answered, or given up: whatever comes later is dropped. */
  done: boolean
  /** Called once when the time is over. */
  readonly expire: (() => void) | undefined
  before: Flight | undefined
  after: Flight | undefined
  /** Among those that are watched. */
  watched: boolean
}

/** The requests of one listener. */
export class Flights {
  #first: Flight | undefined
  #last: Flight | undefined
  readonly #limitMs: number
  readonly #timer: NodeJS.Timeout | undefined

  /** `limitMs` 0 is no limit. The clock is looked at a few times per limit, at least each second. */
  constructor(limitMs: number) {
    this.#limitMs = limitMs
    if (limitMs > 0) this.#timer = setInterval(() => this.#sweep(), Math.max(10, Math.min(1000, limitMs / 4))).unref()
  }

  /** Notes a request; `expire` is called when it is still there after the limit. */
  start(expire: () => void): Flight {
    const flight: Flight = {
      startedMs: this.#limitMs > 0 ? performance.now() : 0,
      done: false,
      expire,
      before: this.#last,
      after: undefined,
      watched: true,
    }
    if (this.#last) this.#last.after = flight
    else this.#first = flight
    this.#last = flight
    return flight
  }

  /** Takes a request out; false when that has happened before. */
  end(flight: Flight): boolean {
    if (flight.done) return false
    flight.done = true
    this.release(flight)
    return true
  }

  /** Takes the limit of time from a request. */
  release(flight: Flight): void {
    if (!flight.watched) return
    flight.watched = false
    if (flight.before) flight.before.after = flight.after
    else this.#first = flight.after
    if (flight.after) flight.after.before = flight.before
    else this.#last = flight.before
  }

  #sweep(): void {
    const limit = performance.now() - this.#limitMs
    for (let flight = this.#first; flight && flight.startedMs <= limit; flight = this.#first) {
      this.end(flight)
      flight.expire?.()
    }
  }

  /** Stops the clock. */
  close(): void {
    clearInterval(this.#timer)
  }
}
