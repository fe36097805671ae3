// What a store counts of its transactions; made outside, so that storage knows no names of metrics.
import { Counter, Timer } from '../lib/metrics.ts'

export interface StorageMeter {
  /** Commits until they were durable or refused. */
  readonly commit: Timer
  /** Groups of commits that went to disk together. */
  readonly groups: Counter
  /** Commits refused since what they had read had changed. */
  readonly conflicts: Counter
  /** Runs of a transaction's function after the first. */
  readonly reruns: Counter
}

/** Makes instruments that nobody reads. */
export const unreadMeter = (): StorageMeter => ({
  commit: new Timer(),
  groups: new Counter(),
  conflicts: new Counter(),
  reruns: new Counter(),
})
