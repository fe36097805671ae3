// All instruments of a process under their names, and the clock that ends their intervals. What is only known when asked for is read then.
import { Counter, SampledTimer, Timer } from '../lib/metrics.ts'
import { nameFilter } from './filter.ts'
import { type Declared, type MetricId, metrics } from './table.ts'

/** How metrics are named, filtered and bounded: the `telemetry` stanza. */
export interface NamingOptions {
  /** Takes the place of "vault" in names. */
  readonly prefix: string
  /** Stands in the names of gauges; "" for none. */
  readonly hostInNames: string
  /** Labels of every metric: the host, the worker. */
  readonly labels: Readonly<Record<string, string>>
  readonly prefixFilter: readonly string[]
  readonly filterDefault: boolean
  /** Most mounts that have timers of their own. */
  readonly cardinalityMax: number
}

/** What is read of a gauge or total when asked for. */
export interface Reading {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

type Named = { readonly name: string; readonly declared: Declared; readonly labels: Readonly<Record<string, string>> }
export type TimerSeries = Named & { readonly timer: Timer; news: number }
export type CounterSeries = Named & { readonly counter: Counter; news: number }
export type GaugeSeries = Named & { readonly value: number }

/** All metrics that are shown, as they stand. `news` is when something was last counted. */
export interface Snapshot {
  /** When the interval that ended last began, or the one that goes on if it is the first. */
  readonly intervalBegan: number
  readonly first: boolean
  readonly timers: readonly TimerSeries[]
  readonly counters: readonly CounterSeries[]
  readonly gauges: readonly GaugeSeries[]
  readonly totals: readonly GaugeSeries[]
}

/** Milliseconds of an interval. */
export const intervalMs = 10_000

/** Gives a name as Prometheus takes it. */
export const promName = (name: string): string => name.replace(/[^a-zA-Z0-9_:]/g, '_').replace(/^(?=\d)/, '_')

export interface Registry {
  timer(id: MetricId, parts?: Readonly<Record<string, string>>): Timer
  sampled(id: MetricId): SampledTimer
  counter(id: MetricId): Counter
  /** Has a gauge or total read by this function whenever metrics are asked for. */
  read(id: MetricId, read: () => readonly Reading[] | number | undefined): void
  snapshot(): Snapshot
  /** Ends the interval: called every `intervalMs`. */
  rotate(): void
  /** Calls this after each interval. */
  onInterval(done: () => void): void
}

/** Makes an empty registry. `now` gives milliseconds since the epoch. */
export function metricsRegistry(options: NamingOptions, now: () => number = Date.now): Registry {
  const shown = nameFilter(options.prefixFilter, options.filterDefault)
  const timers = new Map<string, TimerSeries>()
  const counters = new Map<string, CounterSeries>()
  const readers: { readonly id: MetricId; readonly read: () => readonly Reading[] | number | undefined }[] = []
  const listeners: (() => void)[] = []
  let began = now()
  let ended = began

  const nameOf = ({ name, kind }: Declared, parts: Readonly<Record<string, string>>): string => {
    const filled = name.replace(/<(\w+)>/g, (_, part: string) => parts[part] ?? '')
    const dot = filled.indexOf('.')
    const family = filled.startsWith('vault.') ? options.prefix : filled.slice(0, dot)
    const host = kind === 'gauge' && options.hostInNames !== '' ? [options.hostInNames] : []
    return [family, ...host, filled.slice(dot + 1)].join('.')
  }
  /** What Prometheus would call by one name is one series: two of a name are an error there. */
  const keep = <T extends Timer>(id: MetricId, parts: Readonly<Record<string, string>>, make: () => T): T => {
    const declared: Declared = metrics[id]
    const name = nameOf(declared, parts)
    const key = promName(name)
    const known = timers.get(key)
    if (known) return known.timer as T
    const timer = make()
    timers.set(key, { name, declared, labels: options.labels, timer, news: 0 })
    return timer
  }
  const readAll = (kind: 'gauge' | 'total'): GaugeSeries[] =>
    readers.flatMap(({ id, read }) => {
      const declared: Declared = metrics[id]
      const name = nameOf(declared, {})
      if (declared.kind !== kind || !shown(name)) return []
      const found = read()
      const readings = found === undefined ? [] : typeof found === 'number' ? [{ value: found }] : found
      return readings
        .slice(0, options.cardinalityMax)
        .map((reading) => ({ name, declared, labels: { ...reading.labels, ...options.labels }, value: reading.value }))
    })

  return {
    timer: (id, parts = {}) => keep(id, parts, () => new Timer()),
    sampled: (id) => keep(id, {}, () => new SampledTimer()),
    counter(id) {
      const declared: Declared = metrics[id]
      const name = nameOf(declared, {})
      const known = counters.get(name)?.counter
      if (known) return known
      const counter = new Counter()
      counters.set(name, { name, declared, labels: options.labels, counter, news: 0 })
      return counter
    },
    read: (id, read) => void readers.push({ id, read }),
    snapshot: () => ({
      intervalBegan: began,
      first: began === ended,
      timers: [...timers.values()].filter(({ name }) => shown(name)),
      counters: [...counters.values()].filter(({ name }) => shown(name)),
      gauges: readAll('gauge'),
      totals: readAll('total'),
    }),
    rotate() {
      const time = now()
      began = ended
      ended = time
      for (const series of timers.values()) if (series.timer.rotate()) series.news = time
      for (const series of counters.values()) if (series.counter.rotate()) series.news = time
      for (const done of listeners) done()
    },
    onInterval: (done) => void listeners.push(done),
  }
}
