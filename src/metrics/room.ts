// The metrics of one process: a registry, the clock of its intervals, what is sent and what is answered at sys/metrics.
import { printSummary } from './json.ts'
import { printPrometheus, prometheusType } from './prometheus.ts'
import { metricsPusher, type PushTarget } from './push.ts'
import { intervalMs, metricsRegistry, type NamingOptions, type Registry } from './registry.ts'
import { watchProcess } from './runtime.ts'

export interface MetricsOptions extends NamingOptions {
  /** How long Prometheus is shown what had no news; 0 switches it off. */
  readonly prometheusRetentionMs: number
  readonly targets: readonly PushTarget[]
}

/** The names and bounds that go without a `telemetry` stanza. */
export const plainMetrics: MetricsOptions = {
  prefix: 'vault',
  hostInNames: '',
  labels: {},
  prefixFilter: [],
  filterDefault: true,
  cardinalityMax: 500,
  prometheusRetentionMs: 0,
  targets: [],
}

/** An answer of sys/metrics. */
export interface MetricsAnswer {
  readonly status: number
  readonly body: string
  readonly contentType: string
}

export interface MetricsRoom {
  readonly registry: Registry
  /** Most mounts that have timers of their own. */
  readonly mountsMax: number
  /** Prints the metrics; `format` "" lets the Accept header choose. */
  answer(format: string, accept: string): MetricsAnswer
  /** Ends the clock and closes what metrics are sent by. */
  close(): void
}

/** How requests may ask for Prometheus by their Accept header. Source: OpenBao. */
const asksForPrometheus = (accept: string): boolean =>
  accept.startsWith('application/openmetrics-text') || accept.includes('prometheus/telemetry')

const refusal = (body: string): MetricsAnswer => ({ status: 400, body, contentType: 'text/plain' })

/** Starts the metrics of a process. `warn` is told when they cannot be sent. */
export function metricsRoom(
  options: MetricsOptions,
  warn: (facts: Readonly<Record<string, unknown>>, message: string) => void,
): MetricsRoom {
  const registry = metricsRegistry(options)
  const unwatch = watchProcess(registry)
  const pushers = options.targets.map((target) => metricsPusher(target, warn))
  registry.onInterval(() => {
    if (pushers.length === 0) return
    const snapshot = registry.snapshot()
    for (const pusher of pushers) pusher.push(snapshot)
  })
  const clock = setInterval(() => registry.rotate(), intervalMs).unref()
  return {
    registry,
    mountsMax: options.cardinalityMax,
    answer(format, accept) {
      const wanted = format === '' && asksForPrometheus(accept) ? 'prometheus' : format
      if (wanted === '')
        return { status: 200, body: printSummary(registry.snapshot()), contentType: 'application/json' }
      if (wanted !== 'prometheus') return refusal(`metric response format ${JSON.stringify(wanted)} unknown`)
      if (options.prometheusRetentionMs <= 0) return refusal('prometheus is not enabled')
      const body = printPrometheus(registry.snapshot(), Date.now() - options.prometheusRetentionMs)
      return { status: 200, body, contentType: prometheusType }
    },
    close() {
      clearInterval(clock)
      unwatch()
      for (const pusher of pushers) pusher.close()
    },
  }
}
