// What the process says of itself: memory, garbage collection, event loop, processor time. Read when asked for.
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks'
import type { Registry } from './registry.ts'

/** Milliseconds between looks at the event loop. */
const resolutionMs = 20
const nsPerMs = 1e6

/** Puts the metrics of the process into a registry; gives what ends the watching. */
export function watchProcess(registry: Registry): () => void {
  const pauses = registry.timer('gcPause')
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) pauses.observe(entry.duration)
  })
  observer.observe({ entryTypes: ['gc'] })
  const delays = monitorEventLoopDelay({ resolution: resolutionMs })
  delays.enable()
  let loop = { mean: 0, p99: 0, max: 0 }
  let use = performance.eventLoopUtilization()
  let utilization = 0
  registry.onInterval(() => {
    // Each delay holds the pause between two looks as well.
    const over = (ns: number): number => (delays.count === 0 ? 0 : Math.max(0, ns / nsPerMs - resolutionMs))
    loop = { mean: over(delays.mean), p99: over(delays.percentile(99)), max: over(delays.max) }
    delays.reset()
    const next = performance.eventLoopUtilization()
    utilization = performance.eventLoopUtilization(next, use).utilization
    use = next
  })
  registry.read('allocBytes', () => {
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  })
  registry.read('sysBytes', () => process.memoryUsage.rss())
  registry.read('gcPauseTotal', () => Math.round(pauses.sum * nsPerMs))
  registry.read('gcRuns', () => pauses.count)
  registry.read('loopMean', () => loop.mean)
  registry.read('loopP99', () => loop.p99)
  registry.read('loopMax', () => loop.max)
  registry.read('loopUse', () => utilization)
  registry.read('cpu', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry.read('started', () => [
    { value: Math.round(performance.timeOrigin / 1000), labels: { pid: String(process.pid) } },
  ])
  return () => {
    observer.disconnect()
    delays.disable()
  }
}
