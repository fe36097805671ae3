// What core counts of requests: a few additions to fixed objects for each, and no text. What a request was for is never kept, only the
// mount that served it.
import { AuditFailed } from '../audit/event.ts'
import type { Counter, Timer } from '../lib/metrics.ts'
import type { Progress } from './progress.ts'

/** Times the operations of one mount. */
export interface RouteMeter {
  observe(operation: string, ms: number): void
}

/** Instruments of requests. */
export interface RequestInstruments {
  readonly requests: Timer
  readonly logins: Timer
  readonly logRequest: Timer
  readonly logResponse: Timer
  readonly logRequestFailure: Counter
  readonly logResponseFailure: Counter
  /** Answers by the first figure of their status. */
  readonly responses: readonly Counter[]
}

/** Makes the timers of a mount, each at the first request that needs it. */
export function routeMeter(timerOf: (operation: string) => Timer): RouteMeter {
  const timers: Record<string, Timer> = {}
  return {
    observe(operation, ms) {
      let timer = timers[operation]
      if (!timer) {
        timer = timerOf(operation)
        timers[operation] = timer
      }
      timer.observe(ms)
    },
  }
}

/** Counts a request that was answered. `began` and what it has in `Progress` are readings of `performance.now()`. */
export function countRequest(meter: RequestInstruments, p: Progress, began: number, status: number): void {
  const ended = performance.now()
  meter.responses[(status / 100) | 0]?.add()
  // What needs no keys, or comes while there are none, is no request of the core.
  if (!p.namespace) return
  const { operation } = p.found ?? {}
  ;(operation?.public ? meter.logins : meter.requests).observe(ended - began)
  if (p.handledAt === 0) return
  const audited = ended - p.handledAt
  meter.logResponse.observe(audited)
  // A pure read and a refusal send both entries at once; of all others the request's was timed when it was sent.
  if (!p.requestAudited) meter.logRequest.observe(audited)
  if (p.handlingAt !== 0) p.mount?.routes.observe(p.operation, p.handledAt - p.handlingAt)
}

/** Counts what went wrong, where that is the audit's failure. */
export function countFailure(meter: RequestInstruments, p: Progress, error: unknown): void {
  if (!(error instanceof AuditFailed)) return
  if (p.handledAt === 0 || !p.requestAudited) meter.logRequestFailure.add()
  if (p.handledAt !== 0) meter.logResponseFailure.add()
}
