// Durations as Vault's clients write and read them: Go's notation ("1h30m"), bare seconds, days. Seconds inside, always.

const unitSeconds: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  μs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
}

// A Go duration is a 64-bit count of nanoseconds: about 292 years. What is larger overflows there and is refused here.
const secondsMax = 9_223_372_036
const lengthMax = 64
const whole = /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d))+$/
const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)/g
const bare = /^[+-]?\d+$/

const bounded = (seconds: number): number | undefined =>
  Number.isFinite(seconds) && Math.abs(seconds) <= secondsMax ? seconds : undefined

/**
 * Reads a duration and gives its seconds, fractions kept, negative ones too: a number or a text of digits is seconds, "1h30m", "1.5h", "500ms"
 * are Go durations, "1d" is 24 hours, the empty text is 0 (unset). Gives undefined for anything else and for more than 292 years.
 */
export function parseDurationSeconds(value: string | number): number | undefined {
  if (typeof value === 'number') return bounded(value)
  if (value === '') return 0
  if (value.length > lengthMax) return undefined
  if (bare.test(value)) return bounded(Number(value))
  if (!whole.test(value)) return undefined
  let seconds = 0
  for (const [, amount, unit] of value.matchAll(part))
    seconds += Number(amount) * (unitSeconds[unit as string] as number)
  // Sums of decimal fractions are cleaned to the nanosecond.
  const exact = Math.round(seconds * 1e9) / 1e9
  return bounded(value.startsWith('-') ? -exact : exact)
}

const trimmed = (value: number, digits: number): string => value.toFixed(digits).replace(/\.?0+$/, '')

/** Prints seconds as Go prints a duration: "1h0m0s", "1m30s", "1.5s", "500ms", "0s". The finest part is the nanosecond. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) throw new RangeError('duration must be finite')
  if (seconds < 0) return `-${formatDuration(-seconds)}`
  let total = Math.floor(seconds)
  let nanos = Math.round((seconds - total) * 1e9)
  if (nanos === 1e9) {
    total++
    nanos = 0
  }
  if (total === 0) {
    if (nanos === 0) return '0s'
    if (nanos < 1e3) return `${nanos}ns`
    if (nanos < 1e6) return `${trimmed(nanos / 1e3, 3)}µs`
    return `${trimmed(nanos / 1e6, 6)}ms`
  }
  const hours = Math.floor(total / 3600)
  const minutes = Math.floor((total % 3600) / 60)
  const rest = total % 60
  const tail = nanos === 0 ? `${rest}s` : `${trimmed(rest + nanos / 1e9, 9)}s`
  if (hours > 0) return `${hours}h${minutes}m${tail}`
  return minutes > 0 ? `${minutes}m${tail}` : tail
}
