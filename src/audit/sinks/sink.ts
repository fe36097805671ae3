// What carries lines to where they are kept. A sink knows nothing of events or chains; it may be slow or fail, and must never block.
import type { Link, Torn } from '../chain.ts'

/** What a sink found where it starts to write. */
export interface Found {
  /** The last whole line that is there, when it is one of ours. */
  readonly tail?: Link
  /** A piece of a line without its end; the sink has closed it with a line break. */
  readonly torn?: Torn
  /** Whether it is still the place that was open before, with all that was written there. */
  readonly same?: boolean
}

/** Why a write failed, and how many lines, from the first on, were taken all the same. */
export class SinkError extends Error {
  override name = 'SinkError'
  readonly taken: number
  /** A piece of the next line that was written and will be closed before anything else is. */
  readonly torn: Torn | undefined
  constructor(cause: unknown, taken = 0, torn?: Torn) {
    super(reason(cause), { cause })
    this.taken = taken
    this.torn = torn
  }
}

/** What can happen to a file while it is open. */
export type Moved = 'deleted' | 'replaced' | 'emptied'

/** Where lines go. Calls never overlap, but `sync` may run beside `write`. Every call but `close` may be tried again after a failure. */
export interface Sink {
  /** Bytes one line may have; a longer one can never be taken. */
  readonly lineBytesMax: number
  /** Gets ready to write. Called first, and again only after it failed. */
  open(): Promise<Found>
  /** Writes lines (without line breaks) in order. Resolves when the system has taken all; rejects with `SinkError`. */
  write(lines: readonly string[]): Promise<void>
  /** Makes durable what was written before the call, where the sink can. */
  sync(): Promise<void>
  /** Tells whether the place has been taken away (deleted, replaced, emptied) since it was opened; undefined when all is well. */
  moved(): Promise<Moved | undefined>
  /** Opens the place anew (rotation, reconnect). */
  reopen(): Promise<Found>
  /** Lets go of everything; never rejects. */
  close(): Promise<void>
}

/** Says in a few words why something failed: the system's error code where there is one. */
export function reason(error: unknown): string {
  if (error instanceof Error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== undefined && !error.message.includes(code) ? `${code}: ${error.message}` : error.message
  }
  return String(error)
}
