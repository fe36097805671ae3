// What waits for one device: bodies in order, who waits for them, and how many entries found no room. Bounded by entries and size.
import { lostBody } from './chain.ts'
import type { Ticket } from './ticket.ts'

/** Entries waiting to be chained and written. */
export class EntryQueue {
  readonly #entriesMax: number
  readonly #charsMax: number
  #bodies: string[] = []
  #tickets: (Ticket | undefined)[] = []
  #chars = 0
  #unsaid = 0
  /** Entries that were never taken, since the device was made. */
  lost = 0

  constructor(entriesMax: number, charsMax: number) {
    this.#entriesMax = entriesMax
    this.#charsMax = charsMax
  }

  get length(): number {
    return this.#bodies.length
  }

  /** Whether nothing more may wait. One entry larger than all the room there is may wait alone. */
  get full(): boolean {
    return this.#bodies.length >= this.#entriesMax || this.#chars >= this.#charsMax
  }

  /** Whether entries were lost that the chain does not tell of yet. */
  get owesWord(): boolean {
    return this.#unsaid > 0
  }

  lose(entries: number): void {
    this.lost += entries
    this.#unsaid += entries
  }

  /** Appends the entries of one ticket; the ticket hangs on the last of them. */
  push(bodies: readonly string[], ticket: Ticket | undefined): void {
    for (let i = 0; i < bodies.length; i++) {
      const body = bodies[i] as string
      this.#bodies.push(body)
      this.#tickets.push(i === bodies.length - 1 ? ticket : undefined)
      this.#chars += body.length
    }
    if (ticket && bodies.length > 0) ticket.waiting += 1
  }

  /** Puts the line behind all others that says how many entries were lost. */
  sayLost(ms: number): void {
    const body = lostBody(ms, this.#unsaid)
    this.#unsaid = 0
    this.push([body], undefined)
  }

  /** Gives the first bodies up to so many characters, at least one; they stay in the queue. */
  first(charsMax: number): string[] {
    let chars = 0
    let entries = 0
    while (entries < this.#bodies.length && (entries === 0 || chars < charsMax)) {
      chars += (this.#bodies[entries] as string).length
      entries++
    }
    return this.#bodies.slice(0, entries)
  }

  /** Drops the first entries, which were written, and tells those who wait for them. */
  written(entries: number): void {
    if (entries === 0) return
    for (let i = 0; i < entries; i++) {
      this.#chars -= (this.#bodies[i] as string).length
      this.#tickets[i]?.accept()
    }
    this.#bodies.splice(0, entries)
    this.#tickets.splice(0, entries)
  }

  /** Tells all who wait that the device could not take their entries for now; the entries stay. */
  refuseAll(): void {
    for (let i = 0; i < this.#tickets.length; i++) {
      this.#tickets[i]?.refuse()
      this.#tickets[i] = undefined
    }
  }
}
