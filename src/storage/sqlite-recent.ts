// What the writer thread itself has changed lately, so that most checks of what transactions read need no reading of
// the file. It is right only while nobody else commits: the writer calls `restart` when it finds that somebody has.

/** Changes remembered; older ones are forgotten in whole halves. */
const halfMax = 32_768

/** Versions given to keys lately, by this writer alone. */
export class Recent {
  #floor: number
  #young = new Map<string, number>()
  #old = new Map<string, number>()
  #youngFrom: number

  constructor(revision: number) {
    this.#floor = revision
    this.#youngFrom = revision
  }

  /** Forgets all; what happened up to `revision` is not known. */
  restart(revision: number): void {
    this.#young.clear()
    this.#old.clear()
    this.#floor = revision
    this.#youngFrom = revision
  }

  /** Notes that a commit gave `key` this version (0: removed it) in `revision`. */
  change(key: string, version: number, revision: number): void {
    if (this.#young.size >= halfMax) {
      this.#old = this.#young
      this.#young = new Map()
      this.#floor = this.#youngFrom
      // This revision's earlier changes are in the old half.
      this.#youngFrom = revision
    }
    this.#young.set(key, version)
  }

  /**
   * Tells whether a key read at or after revision `base` with `version` still has it; undefined when the changes
   * since then are not all remembered.
   */
  holds(key: string, version: number, base: number): boolean | undefined {
    const changed = this.#young.get(key) ?? this.#old.get(key)
    if (changed !== undefined) return changed === version
    return base >= this.#floor ? true : undefined
  }
}
