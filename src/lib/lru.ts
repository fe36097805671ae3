// A bounded map that forgets what was used longest ago.

/** Keeps at most `max` entries. `get` makes an entry young again. */
export class LruMap<K, V> {
  readonly max: number
  private readonly map = new Map<K, V>()
  constructor(max: number) {
    this.max = max
  }
  get size(): number {
    return this.map.size
  }
  get(key: K): V | undefined {
    const value = this.map.get(key)
    if (value === undefined) return undefined
    // Re-inserting on every hit costs more than the hit; near the limit only is soon enough.
    if (this.map.size > this.max / 2) {
      this.map.delete(key)
      this.map.set(key, value)
    }
    return value
  }
  set(key: K, value: V): void {
    this.map.delete(key)
    this.map.set(key, value)
    if (this.map.size > this.max) this.map.delete(this.map.keys().next().value as K)
  }
  delete(key: K): void {
    this.map.delete(key)
  }
  clear(): void {
    this.map.clear()
  }
}
