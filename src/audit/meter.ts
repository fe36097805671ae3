// What is counted of one device: how long its writes take, for each entry in them. It never sees more of an entry than its kind.
import type { Timer } from '../lib/metrics.ts'
import type { AuditEvent } from './event.ts'

/** Counts the writes of a device. */
export interface DeviceMeter {
  /** Entries were queued. */
  took(events: readonly AuditEvent[]): void
  /** What is queued is about to be written. */
  writing(): void
  /** It is written. */
  wrote(): void
}

/** Makes the meter of a device over the timers of its two kinds of entries. */
export function deviceMeter(requests: Timer, responses: Timer): DeviceMeter {
  const queued = { requests: 0, responses: 0 }
  const under = { requests: 0, responses: 0 }
  let began = 0
  return {
    took(events) {
      for (const { type } of events) {
        if (type === 'request') queued.requests++
        else queued.responses++
      }
    },
    writing() {
      // A write that failed is done again, with what has come meanwhile.
      under.requests += queued.requests
      under.responses += queued.responses
      queued.requests = 0
      queued.responses = 0
      began = performance.now()
    },
    wrote() {
      const ms = performance.now() - began
      if (under.requests > 0) requests.observe(ms, under.requests)
      if (under.responses > 0) responses.observe(ms, under.responses)
      under.requests = 0
      under.responses = 0
    },
  }
}
