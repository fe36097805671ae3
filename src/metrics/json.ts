// Metrics in Vault's JSON: counters and timers of the interval that ended last (or of the first, while it goes on), gauges as they stand.
// Source: the answer of sys/metrics without a format.
import type { Sample } from '../lib/metrics.ts'
import { intervalMs, type Snapshot } from './registry.ts'

const secondsOf = (ms: number): string =>
  `${new Date(Math.round(ms / 1000) * 1000).toISOString().slice(0, 19).replace('T', ' ')} +0000 UTC`

/** Standard deviation of a sample. */
function deviation({ count, sum, squares }: Sample): number {
  if (count < 2) return 0
  return Math.sqrt(Math.max(0, count * squares - sum * sum) / (count * (count - 1)))
}

const byName = <T extends { readonly Name: string }>(list: T[]): T[] =>
  list.sort((a, b) => (a.Name < b.Name ? -1 : a.Name > b.Name ? 1 : 0))

/** Prints a snapshot as Vault's JSON. */
export function printSummary(snapshot: Snapshot): string {
  const rate = (sum: number): number => sum / (intervalMs / 1000)
  const which = snapshot.first ? 'current' : 'finished'
  const samples = snapshot.timers.flatMap(({ name, labels, timer }) => {
    const sample = timer[which]
    const { count, sum, min, max } = sample
    return count === 0
      ? []
      : {
          Name: name,
          Count: count,
          Rate: rate(sum),
          Sum: sum,
          Min: min,
          Max: max,
          Mean: sum / count,
          Stddev: deviation(sample),
          Labels: labels,
        }
  })
  const counters = snapshot.counters.flatMap(({ name, labels, counter }) => {
    const events = counter[which]
    return events === 0
      ? []
      : {
          Name: name,
          Count: events,
          Rate: rate(events),
          Sum: events,
          Min: 1,
          Max: 1,
          Mean: 1,
          Stddev: 0,
          Labels: labels,
        }
  })
  const gauges = [...snapshot.gauges, ...snapshot.totals].map(({ name, value, labels }) => ({
    Name: name,
    Value: value,
    Labels: labels,
  }))
  return `${JSON.stringify({
    Timestamp: secondsOf(snapshot.intervalBegan),
    Gauges: byName(gauges),
    PrecisionGauges: [],
    Points: [],
    Counters: byName(counters),
    Samples: byName(samples),
  })}\n`
}
