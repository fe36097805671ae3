// Listeners that serve metrics alone, or all but metrics. Judged on the decoded path, so that no spelling gets by.
import { ApiError } from '../sdk/errors.ts'
import type { ListenerConfig } from './limits.ts'
import { isApiTarget } from './target.ts'

export interface MetricsGate {
  /** Gives the target to serve: `metrics_path` stands for the usual one. */
  target(target: string): string
  /** Throws `ApiError` unless this path (undefined: outside of the API) may be had here. */
  check(path: string | undefined): void
}

const metricsTarget = '/v1/sys/metrics'

/** Makes the gate; undefined for a listener that serves everything. */
export function metricsGate(config: ListenerConfig['telemetry']): MetricsGate | undefined {
  const { metricsOnly = false, disallowMetrics = false, metricsPath } = config ?? {}
  if (!metricsOnly && !disallowMetrics) return undefined
  return {
    target(target) {
      if (!metricsOnly || !metricsPath || isApiTarget(metricsPath)) return target
      const query = target.indexOf('?')
      const path = query < 0 ? target : target.slice(0, query)
      return path === metricsPath ? metricsTarget + target.slice(path.length) : target
    },
    check(path) {
      const metrics = path === 'sys/metrics' || path === 'sys/metrics/'
      if (disallowMetrics && metrics) throw new ApiError(403, 'metrics endpoint is disabled for this listener')
      if (metricsOnly && !metrics) throw new ApiError(404, 'this listener only serves the metrics endpoint')
    },
  }
}
