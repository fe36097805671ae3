// The main thread's end of the writer thread: gathers the commits of one tick into a group, sends one group at a
// time, and answers each commit. It never blocks; a writer that dies leaves no commit unanswered.
import { Worker } from 'node:worker_threads'
import { Counter } from '../lib/metrics.ts'
import { type Facts, sharedWith } from './sqlite-facts.ts'
import { type Commit, closeMessage, outcomes, packGroup, type WriterData, type WriterMessage } from './sqlite-wire.ts'
import { OutcomeUnknown, StorageClosed, StorageError, StorageUnusable } from './storage.ts'
import type { Transaction } from './transaction.ts'

/** A group is closed when its values have so many bytes; one commit may have more. */
const groupBytesMax = 64 * 1024 * 1024

interface Waiting extends Commit {
  readonly bytes: number
  readonly resolve: (revision: number) => void
  readonly reject: (error: StorageError) => void
}

/** Sends commits to the writer thread. */
export interface Writer {
  /** Memory the thread tells its progress in; for `Facts`. */
  readonly shared: BigInt64Array
  /** Says what the main thread knows of the file; before the first commit. */
  attach(facts: Facts): void
  /** Resolves with the revision when durable, 0 when what was read has changed; rejects with a `StorageError`. `base` as in `Commit`. */
  commit(tx: Transaction, base: number): Promise<number>
  /** Ends the thread after its last checkpoint. All commits must have been answered. */
  close(): Promise<void>
}

/** How the writer thread is started; `script` is for tests. */
export type WriterOptions = Omit<WriterData, 'shared'> & {
  readonly script?: URL
  /** Counts the groups sent. */
  readonly groups?: Counter
}

// The extension is the one this file has: `.ts` in the source tree, `.js` in a built package.
const writerScript = new URL(`./sqlite-writer${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/** Starts the writer thread; rejects with `StorageUnusable` when it refuses the file. */
export async function startWriter(options: WriterOptions): Promise<Writer> {
  const { script = writerScript, groups = new Counter(), ...file } = options
  const shared = sharedWith()
  const thread = new WriterThread(
    () => new Worker(script, { workerData: { ...file, shared }, name: 'storage-writer', execArgv: [] }),
    groups,
  )
  await thread.started
  return {
    shared,
    attach: (facts) => thread.attach(facts),
    commit: (tx, base) => thread.commit(tx, base),
    close: () => thread.close(),
  }
}

class WriterThread {
  started: Promise<void>
  #worker!: Worker
  #facts: Facts | undefined
  #queue: Waiting[] = []
  #sent: Waiting[] = []
  #ready = false
  #scheduled = false
  #closing = false
  #dead: StorageError | undefined
  readonly #spawn: () => Worker
  readonly #groups: Counter

  constructor(spawn: () => Worker, groups: Counter) {
    this.#spawn = spawn
    this.#groups = groups
    this.started = this.#start()
  }

  attach(facts: Facts): void {
    this.#facts = facts
  }

  commit(tx: Transaction, base: number): Promise<number> {
    if (this.#dead) return Promise.reject(this.#dead)
    return new Promise((resolve, reject) => {
      let bytes = 0
      for (const value of tx.writes.values()) bytes += value?.byteLength ?? 0
      this.#queue.push({ tx, base, bytes, resolve, reject })
      this.#schedule()
    })
  }

  async close(): Promise<void> {
    this.#closing = true
    if (this.#dead) return
    const worker = this.#worker
    worker.ref()
    await new Promise<void>((resolve) => {
      worker.once('exit', () => resolve())
      worker.postMessage(closeMessage)
    })
  }

  /** Starts a thread; it keeps the process alive only while it has something to do. */
  #start(): Promise<void> {
    const worker = this.#spawn()
    this.#worker = worker
    return new Promise((resolve, reject) => {
      let refused: StorageError | undefined
      worker.on('message', (message: WriterMessage) => {
        if (message.is === 'done') return this.#answer(message.results, message.reason)
        if (message.is === 'refused') {
          refused = new StorageUnusable(message.reason)
          return
        }
        this.#ready = true
        worker.unref()
        this.#schedule()
        resolve()
      })
      let cause: unknown
      worker.on('error', (error) => {
        cause = error
      })
      worker.on('exit', () => {
        const wasReady = this.#ready
        this.#ready = false
        if (this.#closing) return
        if (wasReady) return this.#restart(cause)
        reject(refused ?? new StorageUnusable('the storage writer could not be started', { cause }))
      })
    })
  }

  /** After a crash: what was sent may be committed or not; what was not sent goes to a new thread. */
  #restart(cause: unknown): void {
    const lost = this.#sent
    this.#sent = []
    for (const { reject } of lost) {
      reject(new OutcomeUnknown('the storage writer stopped during the commit', { cause }))
    }
    this.#facts?.settle(0)
    this.#facts?.forget()
    this.#start().catch((error: unknown) => {
      this.#dead = new StorageClosed('the storage writer stopped and could not be started again', { cause: error })
      for (const { reject } of this.#queue.splice(0)) reject(this.#dead)
    })
  }

  /** Commits asked for while this turn of the event loop handles its input go together. */
  #schedule(): void {
    if (this.#scheduled || !this.#ready || this.#sent.length > 0 || this.#queue.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      if (this.#ready && this.#sent.length === 0) this.#send()
    })
  }

  #send(): void {
    let count = 0
    for (let bytes = 0; count < this.#queue.length; count++) {
      bytes += (this.#queue[count] as Waiting).bytes
      if (count > 0 && bytes > groupBytesMax) break
    }
    if (count === 0) return
    const group = this.#queue.splice(0, count)
    this.#sent = group
    this.#groups.add()
    for (const { tx } of group) this.#facts?.touch(tx.writes.keys())
    const message = packGroup(group)
    this.#worker.ref()
    this.#worker.postMessage(message, [message.bytes.buffer])
  }

  #answer(results: readonly number[], reason: string): void {
    const group = this.#sent
    this.#sent = []
    this.#worker.unref()
    this.#facts?.settle(results.reduce((highest, result) => Math.max(highest, result), 0))
    for (const [i, { resolve, reject }] of group.entries()) {
      const result = results[i] ?? outcomes.unknown
      if (result > 0) resolve(result)
      else if (result === outcomes.conflict) resolve(0)
      else if (result === outcomes.failed) reject(new StorageError(`the commit failed: ${reason}`))
      else reject(new OutcomeUnknown(`it is not known whether the commit was made: ${reason}`))
    }
    this.#schedule()
  }
}
