// How long a token or lease lives: what is asked for, what the mount gives, what the limits leave. Which limit capped it is said.
// Source: OpenBao sdk/framework CalculateTTL. Seconds throughout.
import { formatDuration } from '../../lib/duration.ts'
import { invalid } from '../../sdk/errors.ts'

/** Effective lifetimes of the mount. */
export interface TtlLimits {
  readonly defaultLeaseTtlSeconds: number
  readonly maxLeaseTtlSeconds: number
}

/** What is asked for; 0 or absent: nothing. */
export interface TtlWishes {
  /** Asked for by this renewal. */
  readonly incrementSeconds?: number
  /** Of the role or the request. */
  readonly ttlSeconds?: number
  readonly periodSeconds?: number
  readonly maxTtlSeconds?: number
  readonly explicitMaxTtlSeconds?: number
  /** When it began, ms since the epoch; absent: now. */
  readonly startTime?: number
  readonly now: number
}

export interface GrantedTtl {
  readonly ttlSeconds: number
  readonly warnings: readonly string[]
}

const seconds = (ms: number): number => Math.floor(ms / 1000)

/** Gives the lifetime from now on and says what was capped; throws 400 when the maximum is past. */
export function grantTtl(limits: TtlLimits, wishes: TtlWishes): GrantedTtl {
  const {
    incrementSeconds = 0,
    ttlSeconds = 0,
    periodSeconds = 0,
    maxTtlSeconds = 0,
    explicitMaxTtlSeconds = 0,
  } = wishes
  const warnings: string[] = []
  const bounds = [limits.maxLeaseTtlSeconds, maxTtlSeconds, explicitMaxTtlSeconds].filter((bound) => bound > 0)
  const most = Math.min(...bounds)
  if (!Number.isFinite(most)) throw new Error('a mount must have a maximum lifetime')
  let ttl = incrementSeconds || ttlSeconds || limits.defaultLeaseTtlSeconds
  let lastSeconds: number | undefined = most
  if (periodSeconds > 0) {
    ttl = Math.min(periodSeconds, most)
    if (periodSeconds > most) warnings.push(capped('period', periodSeconds, most))
    lastSeconds = explicitMaxTtlSeconds > 0 ? explicitMaxTtlSeconds : undefined
  }
  if (lastSeconds !== undefined) {
    const left = seconds(wishes.startTime ?? wishes.now) + lastSeconds - seconds(wishes.now)
    if (left <= 0) throw invalid('past the max TTL, cannot renew')
    if (ttl > left) {
      warnings.push(capped('TTL', ttl, left))
      ttl = left
    }
  }
  return { ttlSeconds: ttl, warnings }
}

const capped = (what: 'TTL' | 'period', wanted: number, most: number): string =>
  `${what} of "${formatDuration(wanted)}" exceeded the effective max_ttl of "${formatDuration(most)}"; ${what} value is capped accordingly`
