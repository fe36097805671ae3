// A sorted set of keys in runs of bounded length: an insert moves a few hundred slots, whatever the set's size.
import { compareKeys } from './order.ts'

/** Keys a run may have before it is split. */
const runMax = 512

/** Returns how many items of a sorted array lie before the first for which `reached` holds. */
function lowerBound<T>(items: readonly T[], reached: (item: T) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (reached(items[middle] as T)) high = middle
    else low = middle + 1
  }
  return low
}

/** Keys in byte order. Adding one that is there, or removing one that is not, does nothing. */
export class SortedKeys {
  #runs: string[][] = []

  #runOf(key: string): number {
    const behind = lowerBound(this.#runs, (run) => compareKeys(run[0] as string, key) > 0)
    return Math.max(0, behind - 1)
  }

  add(key: string): void {
    const at = this.#runOf(key)
    const run = this.#runs[at]
    if (run === undefined) {
      this.#runs.push([key])
      return
    }
    const slot = lowerBound(run, (item) => compareKeys(item, key) >= 0)
    if (run[slot] === key) return
    run.splice(slot, 0, key)
    if (run.length > runMax) this.#runs.splice(at + 1, 0, run.splice(runMax / 2))
  }

  remove(key: string): void {
    const at = this.#runOf(key)
    const run = this.#runs[at]
    if (run === undefined) return
    const slot = lowerBound(run, (item) => compareKeys(item, key) >= 0)
    if (run[slot] !== key) return
    run.splice(slot, 1)
    if (run.length === 0) this.#runs.splice(at, 1)
  }

  /** Yields the keys at or above `start` in byte order. The set must not change meanwhile. */
  *from(start: string): Generator<string> {
    const first = this.#runOf(start)
    for (let at = first; at < this.#runs.length; at++) {
      const run = this.#runs[at] as string[]
      const slot = at === first ? lowerBound(run, (item) => compareKeys(item, start) >= 0) : 0
      for (let i = slot; i < run.length; i++) yield run[i] as string
    }
  }
}
