// What rooms count and time with: objects of a fixed shape that are made at start and cost a few nanoseconds to write to. Nothing here
// knows of names, labels or formats (src/metrics does), and nothing that a client sent is ever kept.

/** Counts events. */
export class Counter {
  /** Events since the start of the process. */
  total = 0
  #before = 0
  /** Events in the interval that ended last. */
  finished = 0

  add(events = 1): void {
    this.total += events
  }

  /** Events in the interval that goes on. */
  get current(): number {
    return this.total - this.#before
  }

  /** Ends an interval; tells whether anything was counted in it. */
  rotate(): boolean {
    this.finished = this.current
    this.#before = this.total
    return this.finished > 0
  }
}

// Buckets grow with the value: eight for each doubling, from a quarter of a microsecond to nine minutes, so that a value read back is at
// most some 6 % off. Finding one takes two machine instructions and no search.
const unitsPerMs = 4_000
const unitsMax = 2 ** 31 - 1
/** How many buckets a timer has. */
export const bucketCount = 232

/** Gives the bucket of a time in milliseconds. */
export function bucketOf(ms: number): number {
  const units = Math.min(unitsMax, ms * unitsPerMs) | 0
  if (units < 8) return units < 0 ? 0 : units
  const exponent = 31 - Math.clz32(units)
  return ((exponent - 2) << 3) + ((units >> (exponent - 3)) & 7)
}

/** Gives the middle of a bucket in milliseconds. */
export function middleOf(bucket: number): number {
  if (bucket < 8) return (bucket + 0.5) / unitsPerMs
  const width = 2 ** ((bucket >> 3) - 1)
  return ((8 + (bucket & 7)) * width + width / 2) / unitsPerMs
}

/** What was timed within one interval. Milliseconds. */
export class Sample {
  count = 0
  sum = 0
  squares = 0
  min = Number.POSITIVE_INFINITY
  max = 0
  readonly buckets = new Uint32Array(bucketCount)

  clear(): void {
    if (this.count === 0) return
    this.count = 0
    this.sum = 0
    this.squares = 0
    this.min = Number.POSITIVE_INFINITY
    this.max = 0
    this.buckets.fill(0)
  }
}

/** Times events, in milliseconds: their number, sum and distribution. */
export class Timer {
  #current = new Sample()
  #finished = new Sample()
  #count = 0
  #sum = 0

  /** Notes an event; `weight` says how many it stands for. */
  observe(ms: number, weight = 1): void {
    const sample = this.#current
    sample.count += weight
    sample.sum += ms * weight
    sample.squares += ms * ms * weight
    if (ms < sample.min) sample.min = ms
    if (ms > sample.max) sample.max = ms
    ;(sample.buckets[bucketOf(ms)] as number) += weight
  }

  /** Notes an event that began at this reading of `performance.now()`. */
  since(began: number): void {
    this.observe(performance.now() - began)
  }

  /** Times what a promise takes, whatever becomes of it. */
  async time<T>(work: Promise<T>): Promise<T> {
    const began = performance.now()
    try {
      return await work
    } finally {
      this.since(began)
    }
  }

  /** Events since the start of the process, and their sum. */
  get count(): number {
    return this.#count + this.#current.count
  }
  get sum(): number {
    return this.#sum + this.#current.sum
  }

  /** The interval that goes on, and the one that ended last. */
  get current(): Sample {
    return this.#current
  }
  get finished(): Sample {
    return this.#finished
  }

  /** Ends an interval; tells whether anything was timed in it. */
  rotate(): boolean {
    const ended = this.#current
    this.#count += ended.count
    this.#sum += ended.sum
    this.#current = this.#finished
    this.#current.clear()
    this.#finished = ended
    return ended.count > 0
  }

  /** Gives the value below which this share (0 to 1) of the last ten to twenty seconds lies; NaN when there was nothing. */
  quantile(share: number): number {
    const total = this.#current.count + this.#finished.count
    if (total === 0) return Number.NaN
    const wanted = share * total
    let seen = 0
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += (this.#current.buckets[bucket] as number) + (this.#finished.buckets[bucket] as number)
      if (seen >= wanted && seen > 0) return middleOf(bucket)
    }
    return Math.max(this.#current.max, this.#finished.max)
  }
}

const every = 8

/** A timer for what happens many times in each request: reads the clock for one call of eight, which then stands for those since the last. */
export class SampledTimer extends Timer {
  #pending = 0
  #skip = 0

  /** Begins an event; 0 when this one is not timed. */
  begin(): number {
    this.#pending++
    if (this.#skip > 0) {
      this.#skip--
      return 0
    }
    this.#skip = every - 1
    return performance.now()
  }

  /** Ends an event begun with this number. */
  end(began: number): void {
    if (began === 0) return
    this.observe(performance.now() - began, this.#pending)
    this.#pending = 0
  }
}
