// Password hashing off the event loop: a few niced threads with a bounded queue. A flood of logins is refused, it never delays other requests.
import { Buffer } from 'node:buffer'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { PasswordJob, PasswordOutcome } from './password-worker.ts'

export { passwordBytesMax, passwordHashProblem, unmatchedHash } from './password-hash.ts'

/** Hashes and verifies passwords; what an auth method is given. */
export interface PasswordHasher {
  /** Gives an Argon2id PHC text. Rejects with `PasswordQueueFull`. */
  hash(password: string): Promise<string>
  /** Compares with a stored Argon2id or bcrypt hash; false for what is no hash. Rejects with `PasswordQueueFull`. */
  verify(password: string, stored: string): Promise<boolean>
}

export interface PasswordPool extends PasswordHasher {
  /** Bounds the threads from now on: where several processes share a machine, each takes less of it. */
  limitThreads(most: number): void
  /** Passwords that wait for a thread. */
  readonly waiting: number
  /** Passwords hashed, and those refused since too many waited, since the pool was made. */
  readonly done: number
  readonly refused: number
  /** Stops the threads; jobs under way and waiting reject with `PasswordPoolClosed`. */
  close(): Promise<void>
}

/** Too many passwords are waiting: try again later. */
export class PasswordQueueFull extends Error {
  override name = 'PasswordQueueFull'
}
/** The pool was closed. */
export class PasswordPoolClosed extends Error {
  override name = 'PasswordPoolClosed'
}

interface Pending extends PasswordJob {
  resolve(result: string | boolean): void
  reject(error: Error): void
}

interface Thread {
  readonly worker: Worker
  job: Pending | undefined
}

/** Makes a pool. Threads start with the first job and keep no process alive while idle. `queueMax` counts waiting jobs. */
export function passwordPool(options: { readonly threads?: number; readonly queueMax?: number } = {}): PasswordPool {
  const { queueMax = 64 } = options
  let { threads = availableParallelism() > 2 ? 2 : 1 } = options
  const pool: Thread[] = []
  const waiting: Pending[] = []
  let closed = false
  let done = 0
  let refused = 0

  const settle = (thread: Thread, finish: (job: Pending) => void): void => {
    const { job } = thread
    thread.job = undefined
    thread.worker.unref()
    if (job) finish(job)
  }
  const give = (thread: Thread, job: Pending): void => {
    thread.job = job
    thread.worker.ref()
    const message: PasswordJob = { password: job.password, stored: job.stored }
    // Moved, not copied: the thread wipes the only buffer.
    thread.worker.postMessage(message, [job.password.buffer as ArrayBuffer])
  }
  const next = (thread: Thread): void => {
    const job = waiting.shift()
    if (job) give(thread, job)
  }
  const start = (): Thread => {
    const worker = new Worker(new URL('./password-worker.ts', import.meta.url), { env: {}, execArgv: [], stdin: false })
    const thread: Thread = { worker, job: undefined }
    worker.on('message', (outcome: PasswordOutcome) => {
      done++
      settle(thread, (job) => {
        if ('result' in outcome) job.resolve(outcome.result)
        else job.reject(new Error(`password hashing failed: ${outcome.error}`))
      })
      next(thread)
    })
    const gone = (error: Error): void => {
      const index = pool.indexOf(thread)
      if (index >= 0) pool.splice(index, 1)
      settle(thread, (job) => job.reject(error))
      // Whoever waits is not to wait for a thread that died.
      const job = closed || pool.length > 0 ? undefined : waiting.shift()
      if (job) give(start(), job)
    }
    worker.on('error', (cause) => gone(new Error('password hashing thread failed', { cause })))
    worker.on('exit', () =>
      gone(closed ? new PasswordPoolClosed('closed') : new Error('password hashing thread ended')),
    )
    worker.unref()
    pool.push(thread)
    return thread
  }
  const submit = (password: string, stored: string | undefined): Promise<string | boolean> =>
    new Promise((resolve, reject) => {
      if (closed) return reject(new PasswordPoolClosed('closed'))
      const idle = pool.find((thread) => !thread.job) ?? (pool.length < threads ? start() : undefined)
      if (!idle && waiting.length >= queueMax) {
        refused++
        return reject(new PasswordQueueFull('too many passwords are waiting'))
      }
      const text = Buffer.from(password, 'utf8')
      // A buffer of its own: small ones share a slab, which must not be moved away.
      const job: Pending = { password: new Uint8Array(text), stored, resolve, reject }
      text.fill(0)
      if (idle) give(idle, job)
      else waiting.push(job)
    })

  return {
    limitThreads(most) {
      threads = Math.min(threads, most)
    },
    get waiting() {
      return waiting.length
    },
    get done() {
      return done
    },
    get refused() {
      return refused
    },
    hash: async (password) => (await submit(password, undefined)) as string,
    verify: async (password, stored) => (await submit(password, stored)) as boolean,
    async close() {
      closed = true
      for (const job of waiting.splice(0)) {
        job.password.fill(0)
        job.reject(new PasswordPoolClosed('closed'))
      }
      await Promise.all(pool.map(({ worker }) => worker.terminate()))
    },
  }
}

/** The pool of this process, shared by all auth methods so that their work together is bounded. */
export const sharedPasswords: PasswordPool = passwordPool()
