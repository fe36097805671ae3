// A node that has the keys of its configuration and finds no store to open yet: it looks again until the store is there. What was sealed
// by hand stays sealed; this ends with the first time the keys were in memory.
import { setTimeout as pause } from 'node:timers/promises'

export interface SelfUnsealPorts {
  /** Tries; true when the keys are in memory. Rejects when the store cannot be read. */
  autoUnseal(): Promise<boolean>
  /** Whether the keys were in memory before, however they came there. */
  wasOpen(): boolean
  warn(message: string, cause: unknown): void
  /** Milliseconds between looks. */
  readonly everyMs: number
}

/** Looks until it opens, in the background; gives the function that ends it. */
export function keepUnsealing({ autoUnseal, wasOpen, warn, everyMs }: SelfUnsealPorts): () => void {
  const over = new AbortController()
  const look = async (): Promise<void> => {
    for (let trouble = false; ; ) {
      await pause(everyMs, undefined, { signal: over.signal, ref: false })
      if (wasOpen()) return
      try {
        if (await autoUnseal()) return
        trouble = false
      } catch (error) {
        if (!trouble) warn('the store cannot be opened yet; it is tried again', error)
        trouble = true
      }
    }
  }
  // Only the end of the wait rejects.
  look().catch(() => undefined)
  return () => over.abort()
}
