// What the main thread knows of the file without reading it: the state it saw last, versions that hold in it, and
// which keys its own commits have touched. A commit of another process ends all of that. It never guesses.
import type { Moment } from './transaction.ts'

/** Slots of the memory shared with the writer thread. */
export const sharedSlots = { ownRevision: 0, foreign: 1 } as const

/** Makes the memory shared with a writer thread: the revision of its last commit, and how often it found others' commits. */
export const sharedWith = (): BigInt64Array => new BigInt64Array(new SharedArrayBuffer(16))

/** Where the file stood, as far as the main thread knew. */
export interface FileMoment extends Moment {
  /** Moves when facts were dropped: another process has committed, or the writer was lost. */
  readonly era: number
  /** Groups from this number on may change what is read from now on. */
  readonly groups: number
}

/** How the main connection tells the state of the file. */
export interface StateReader {
  /** Moves when another connection has committed. */
  counter(): number
  revision(): number
}

/** Keys of one generation of a map; there are two. */
const generationMax = 16_384

/** A map that forgets in whole generations what was not set lately. */
class Generations {
  #young = new Map<string, number>()
  #old = new Map<string, number>()

  get(key: string): number | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  /** Returns true when setting made the map drop its older generation. */
  set(key: string, value: number): boolean {
    const full = this.#young.size >= generationMax
    if (full) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
    return full
  }

  delete(key: string): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
  }
}

/**
 * The main thread's knowledge of the file. All of it holds as of the last `sync`: a later change of a key is either an
 * own commit, announced by `touch`, or one of another process, which the next `sync` notices.
 */
export class Facts {
  #moment: FileMoment = { stamp: 0, floor: 0, era: 0, groups: 1 }
  #counter = -1
  #foreign = 0n
  /** Groups sent to the writer; the last one may be unanswered. */
  #groups = 0
  #underWay = false
  readonly #versions = new Generations()
  /** The last group that touched a key, and the last group whose keys may have been forgotten. */
  readonly #touched = new Generations()
  #touchedUpTo = { young: 0, forgotten: 0 }
  readonly #reader: StateReader
  readonly #shared: BigInt64Array

  constructor(reader: StateReader, shared: BigInt64Array) {
    this.#reader = reader
    this.#shared = shared
  }

  /** Where the file stands as far as is known. */
  get moment(): FileMoment {
    return this.#moment
  }

  /** Looks whether the file's state has moved (2 µs when not), and forgets all when another process had a part in it. */
  sync(): void {
    let counter = this.#reader.counter()
    if (counter === this.#counter) return
    let revision: number
    for (;;) {
      revision = this.#reader.revision()
      const again = this.#reader.counter()
      if (again === counter) break
      counter = again
    }
    // The writer stores its revision after the commit, and the foreign count before that: read the other way round.
    const own = Atomics.load(this.#shared, sharedSlots.ownRevision)
    const foreign = Atomics.load(this.#shared, sharedSlots.foreign)
    if (BigInt(revision) > own || foreign !== this.#foreign) this.forget()
    this.#foreign = foreign
    this.#counter = counter
    const { stamp, floor } = this.#moment
    this.#move({ stamp: stamp + 1, floor: Math.max(floor, revision) })
  }

  /** Returns the version known, 0 for a key known to be absent, undefined for one not known. Right after `sync` only. */
  version(key: string): number | undefined {
    return this.#versions.get(key)
  }

  /** Notes the version a reading found just now. A key with a commit under way is left out. */
  learn(key: string, version: number): void {
    if (!this.#underWay || this.#touched.get(key) !== this.#groups) this.#versions.set(key, version)
  }

  /**
   * Tells whether a key read after `moment` is known not to have changed since. Right after `sync` only; false means
   * that it has to be looked at.
   */
  unchangedSince(moment: FileMoment, key: string): boolean {
    if (moment.era !== this.#moment.era || moment.groups <= this.#touchedUpTo.forgotten) return false
    return (this.#touched.get(key) ?? 0) < moment.groups
  }

  /** Announces that a group which may change these keys is on its way. */
  touch(keys: Iterable<string>): void {
    if (!this.#underWay) {
      this.#underWay = true
      this.#groups++
    }
    for (const key of keys) {
      this.#versions.delete(key)
      if (this.#touched.set(key, this.#groups)) {
        this.#touchedUpTo = { young: this.#groups, forgotten: this.#touchedUpTo.young }
      }
    }
  }

  /** Notes that the group has been answered, and the revision reached with it (0: none is known). */
  settle(revision: number): void {
    this.#underWay = false
    this.#move({ groups: this.#groups + 1, floor: Math.max(this.#moment.floor, revision) })
  }

  /** Drops every fact. */
  forget(): void {
    this.#versions.clear()
    this.#move({ era: this.#moment.era + 1 })
  }

  #move(change: Partial<FileMoment>): void {
    this.#moment = { ...this.#moment, ...change }
  }
}
