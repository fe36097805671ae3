// Metrics in the text format of Prometheus 0.0.4: timers are summaries with quantiles of the last ten to twenty seconds.
import { type GaugeSeries, promName, type Snapshot } from './registry.ts'
import type { Declared } from './table.ts'

/** Content type of the text. */
export const prometheusType = 'text/plain; version=0.0.4; charset=utf-8'

const quantiles = [0.5, 0.9, 0.99]

const number = (value: number): string =>
  Number.isFinite(value) ? String(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'

const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }

function labelsText(labels: Readonly<Record<string, string>>, quantile?: number): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${promName(name)}="${value.replace(/[\\"\n]/g, (c) => escapes[c] as string)}"`,
  )
  if (quantile !== undefined) parts.push(`quantile="${quantile}"`)
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

const head = (name: string, { help }: Declared, type: string): string =>
  `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`

/** Prints a snapshot; what had no news since `retainedFrom` (milliseconds since the epoch) is left out, unless it is still zero. */
export function printPrometheus(snapshot: Snapshot, retainedFrom: number): string {
  const blocks = new Map<string, string>()
  const retained = (news: number, live: number): boolean => live > 0 || news === 0 || news >= retainedFrom
  for (const { name, declared, labels, timer, news } of snapshot.timers) {
    if (!retained(news, timer.current.count)) continue
    const own = promName(name)
    let text = head(own, declared, 'summary')
    for (const share of quantiles) text += `${own}${labelsText(labels, share)} ${number(timer.quantile(share))}\n`
    const shown = labelsText(labels)
    blocks.set(own, `${text}${own}_sum${shown} ${number(timer.sum)}\n${own}_count${shown} ${timer.count}\n`)
  }
  for (const { name, declared, labels, counter, news } of snapshot.counters) {
    if (!retained(news, counter.current)) continue
    const own = promName(name)
    blocks.set(own, `${head(own, declared, 'counter')}${own}${labelsText(labels)} ${number(counter.total)}\n`)
  }
  const read = (list: readonly GaugeSeries[], type: 'gauge' | 'counter'): void => {
    for (const { name, declared, labels, value } of list) {
      const own = promName(name)
      const before = blocks.get(own) ?? head(own, declared, type)
      blocks.set(own, `${before}${own}${labelsText(labels)} ${number(value)}\n`)
    }
  }
  read(snapshot.gauges, 'gauge')
  read(snapshot.totals, 'counter')
  return [...blocks.keys()]
    .sort()
    .map((name) => blocks.get(name))
    .join('')
}
