// Times as lines of a log have them: always of one length, so that they sort as text.

let secondPrinted = Number.NaN
let secondText = ''

/** Prints a time in milliseconds since the epoch as RFC 3339 with nine digits: text that sorts as time does. */
export function formatTime(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (second !== secondPrinted) {
    secondText = new Date(second * 1000).toISOString().slice(0, 19)
    secondPrinted = second
  }
  const micros = Math.floor((ms - second * 1000) * 1000)
  return `${secondText}.${String(micros).padStart(6, '0')}000Z`
}
