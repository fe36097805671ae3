// From the `telemetry` stanza to the metrics of a process.
import { hostPort } from './config/keys.ts'
import type { TelemetrySettings } from './config/server-config.ts'
import type { PushTarget } from './metrics/push.ts'
import type { MetricsOptions } from './metrics/room.ts'

/** Gives how metrics are named, kept and sent. `worker` numbers this process where one server has several. */
export function metricsOptionsOf(telemetry: TelemetrySettings, hostname: string, worker?: number): MetricsOptions {
  const { statsdAddress, statsiteAddress, dogstatsdAddr, enableHostnameLabel } = telemetry
  const targets = [
    targetOf('statsite', statsiteAddress, []),
    targetOf('statsd', statsdAddress, []),
    targetOf('dogstatsd', dogstatsdAddr, telemetry.dogstatsdTags),
  ].filter((target) => target !== undefined)
  const prometheus = telemetry.prometheusRetentionTimeSeconds > 0
  // Vault's rule: with one receiver alone the host is known, and its name would only make names of metrics differ.
  const named = !telemetry.disableHostname && !enableHostnameLabel && targets.length + (prometheus ? 1 : 0) > 1
  return {
    prefix: telemetry.metricsPrefix || 'vault',
    hostInNames: named ? hostname : '',
    labels: { ...(enableHostnameLabel && { host: hostname }), ...(worker !== undefined && { worker: String(worker) }) },
    prefixFilter: telemetry.prefixFilter,
    filterDefault: telemetry.filterDefault,
    cardinalityMax: telemetry.maximumGaugeCardinality || 500,
    prometheusRetentionMs: telemetry.prometheusRetentionTimeSeconds * 1000,
    targets,
  }
}

function targetOf(kind: PushTarget['kind'], address: string, tags: readonly string[]): PushTarget | undefined {
  const at = hostPort(address)
  return at && { kind, ...at, tags }
}
