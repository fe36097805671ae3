// Moments as text. Answers print several each, so the day is worked out once and the rest by hand.

const dayMs = 86_400_000
const two = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'))

let dayPrinted = Number.NaN
let dayText = ''

/** Prints milliseconds since the epoch as `Date.prototype.toISOString` does: RFC 3339 in UTC with milliseconds. Throws `RangeError` for no moment. */
export function formatMillis(ms: number): string {
  const day = Math.floor(ms / dayMs)
  if (day !== dayPrinted) {
    dayText = new Date(ms).toISOString().slice(0, -13)
    dayPrinted = day
  }
  const inDay = Math.trunc(ms) - day * dayMs
  const seconds = Math.floor(inDay / 1000)
  const minutes = Math.floor(seconds / 60)
  const millis = String(inDay - seconds * 1000).padStart(3, '0')
  return `${dayText}${two[Math.floor(minutes / 60)]}:${two[minutes % 60]}:${two[seconds % 60]}.${millis}Z`
}
