// docs/metrics.md, printed from the table of metrics.
import { type Declared, metrics } from './table.ts'

const head = `# Metrics

<!-- Printed from src/metrics/table.ts and src/metrics/reference.ts; change it there. -->

\`GET /v1/sys/metrics\` tells what a server has counted. Names, units and formats are Vault's where Vault has the metric; \`coffer.\` begins
what Coffer alone has.

\`\`\`console
$ coffer read -format=json sys/metrics
$ curl -H "X-Vault-Token: $VAULT_TOKEN" "$VAULT_ADDR/v1/sys/metrics?format=prometheus"
\`\`\`

| asked for | answer |
| --- | --- |
| nothing | JSON: gauges as they stand, counters and timers of the last finished ten seconds |
| \`?format=prometheus\`, or \`Accept: application/openmetrics-text\` | the text format of Prometheus 0.0.4. Quantiles are of the last 10 to 20 seconds (at most 7 % off), sums and counts since the start. Needs a [\`telemetry\` stanza](configuration.md#telemetry); else 400 \`prometheus is not enabled\` |
| another format | 400 |

## Who may read them

A token whose policies allow \`read\` on \`sys/metrics\` in the root namespace. While sealed no token is good: 503. A
[listener](configuration.md#telemetry-in-a-listener) may give metrics without a token, also while sealed, and may serve nothing else:

\`\`\`hcl
listener "tcp" {
  address     = "10.0.0.5:9200"
  tls_disable = true
  telemetry {
    metrics_only                   = true
    unauthenticated_metrics_access = true
  }
}

telemetry {
  disable_hostname = true
}
\`\`\`

\`\`\`yaml
scrape_configs:
  - job_name: coffer
    metrics_path: /v1/sys/metrics
    params: { format: [prometheus] }
    static_configs: [{ targets: ["10.0.0.5:9200"] }]
\`\`\`

Metrics name mounts (with their namespaces), audit devices, the host and the cluster. They never hold a path below a mount, a secret, a token, a
policy or the name of a user or entity. Each mount has at most one timer for each operation, and \`maximum_gauge_cardinality\` bounds the mounts;
Vault's usage gauges by policy, auth method and lifetime would need all tokens read, so they are not there.

A development server (\`-dev\`) gives metrics without a token. [grafana-coffer.json](grafana-coffer.json) is a dashboard for Grafana over
Prometheus.

## Sending them

\`statsd_address\` (UDP), \`statsite_address\` (TCP) and \`dogstatsd_addr\` (UDP, labels as tags) receive each finished interval of ten
seconds. A timer arrives as one line for each group of like times, with a sample rate that makes the count exact. What cannot be sent is
dropped; the log says so once.

## Several processes

Each process counts for itself, and a scrape reaches one of them. Where the processes of one server share an address, every metric has the
label \`worker\`, the number of the process that answered (a process that takes the place of another has a new one), so that their series do
not mix; sum over it. Servers of their own behind one address are best scraped one by one. \`coffer.process.start_time_seconds\` has the label
\`pid\`. What is sent to statsd comes from each process, and needs no scrape to reach it.

## All metrics

In Prometheus dots, dashes and slashes are underscores. A timer is a summary in milliseconds; in JSON it is in \`Samples\`, a counter in
\`Counters\`, a gauge and a total in \`Gauges\`. A total only grows and is a counter for Prometheus.
`

const code = (list: readonly string[]): string => list.map((one) => `\`${one}\``).join(', ')

/** Prints the page of all metrics (markdown). */
export function metricsReference(): string {
  const rows = Object.values(metrics).map(
    ({ name, kind, labels, help }: Declared) => `| \`${name}\` | ${kind} | ${code(labels ?? [])} | ${help} |`,
  )
  return `${[head, '| Metric | Kind | Labels | Meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')}\n`
}
