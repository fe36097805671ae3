// The room's numbers: how much may wait, how often a chain is signed, how long things may take. One place, given to every device.

/** Limits and intervals of devices and broker; milliseconds, characters, counts. */
export interface AuditLimits {
  /** Entries that may wait for one device. */
  readonly queueEntriesMax: number
  /** Characters that may wait for one device (one entry larger than that is let into an empty queue). */
  readonly queueCharsMax: number
  /** Characters of one write: whole lines up to here, at least one. */
  readonly batchCharsMax: number
  /** Lines after which a checkpoint is written. */
  readonly checkpointLines: number
  /** Time after which lines without a checkpoint get one, and a quiet device looks after its file. */
  readonly checkpointMs: number
  /** How old a look at the file may be when something is written. */
  readonly lookMs: number
  /** First wait before a failed write is tried again; it doubles up to the second. */
  readonly retryMs: number
  readonly retryMsMax: number
  /** Time `record` waits for any device before it says that none took the entry. */
  readonly recordMs: number
  /** Requests that may wait for room while every queue is full. */
  readonly waitingMax: number
  /** Time a device has to open or to write its test entry, and to write what is left when it is closed. */
  readonly openMs: number
  readonly closeMs: number
  /** Anchors of chains that never ended are kept so long, and at most so many of them. */
  readonly anchorAgeMs: number
  readonly anchorsMax: number
}

export const auditLimits: AuditLimits = {
  queueEntriesMax: 16_384,
  queueCharsMax: 32 * 1024 * 1024,
  batchCharsMax: 256 * 1024,
  checkpointLines: 1000,
  checkpointMs: 3000,
  lookMs: 500,
  retryMs: 100,
  retryMsMax: 1000,
  recordMs: 5000,
  waitingMax: 20_000,
  openMs: 5000,
  closeMs: 5000,
  anchorAgeMs: 30 * 24 * 3600 * 1000,
  anchorsMax: 64,
}

/** Where the room writes what an operator should know; a pino logger fits. */
export interface AuditLogger {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}
