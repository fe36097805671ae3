// Requests under way. Sealing stops admission and lets those that run finish for a moment.

export interface Traffic {
  /** Requests under way. */
  readonly running: number
  /** Runs a request unless the gate is closed; throws what `refusal` makes then. */
  pass<T>(run: () => Promise<T>): Promise<T>
  /** Lets requests in: after unseal. */
  open(): void
  /** Lets nobody in any more; resolves when all are out, or after so many milliseconds. */
  close(graceMs: number): Promise<void>
}

/** Makes the gate; it is closed until `open`. */
export function trafficGate(refusal: () => Error): Traffic {
  let running = 0
  let admits = false
  let empty: PromiseWithResolvers<void> | undefined
  return {
    get running() {
      return running
    },
    async pass(run) {
      if (!admits) throw refusal()
      running++
      try {
        return await run()
      } finally {
        running--
        if (running === 0) empty?.resolve()
      }
    },
    open() {
      admits = true
    },
    async close(graceMs) {
      admits = false
      if (running === 0) return
      empty = Promise.withResolvers()
      const timer = setTimeout(empty.resolve, graceMs)
      await empty.promise
      clearTimeout(timer)
      empty = undefined
    },
  }
}
