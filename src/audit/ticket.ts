// What a request waits for: that one device takes its entries. The first device that does settles it; so does the last that cannot.
import { AuditFailed } from './event.ts'

/** The outcome of one `record` call, shared by the devices it was offered to. */
export class Ticket {
  readonly promise: Promise<void>
  readonly deadline: number
  settled = false
  /** Devices that may still take it. */
  waiting = 0
  #resolve!: () => void
  #reject!: (error: AuditFailed) => void
  constructor(deadline: number) {
    this.deadline = deadline
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }
  /** A device took the entries. */
  accept(): void {
    if (this.settled) return
    this.settled = true
    this.#resolve()
  }
  /** A device could not take them; the last one to say so fails the request. */
  refuse(): void {
    this.waiting -= 1
    if (this.waiting <= 0) this.fail('no audit device took the entry')
  }
  fail(message: string): void {
    if (this.settled) return
    this.settled = true
    this.#reject(new AuditFailed(message))
  }
}
