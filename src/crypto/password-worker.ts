// The thread that hashes passwords, one after the other and at a lower priority than all that answers requests.
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import { hashNow, verifyNow } from './password-hash.ts'

/** A job: without `stored` the password is hashed, else compared with it. */
export interface PasswordJob {
  readonly password: Uint8Array
  readonly stored: string | undefined
}
/** What came of it. An error's message never holds a password. */
export type PasswordOutcome = { readonly result: string | boolean } | { readonly error: string }

const niceness = 10

/** Lowers this thread alone: on Linux a thread id counts as a process for priorities. Elsewhere nothing is lowered. */
function stepBack(): void {
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    if (thread > 0) setPriority(thread, niceness)
  } catch {
    // A system without /proc, or one that forbids it: slower neighbours, nothing worse.
  }
}

function perform({ password, stored }: PasswordJob): PasswordOutcome {
  try {
    return { result: stored === undefined ? hashNow(password) : verifyNow(password, stored) }
  } catch (error) {
    return { error: error instanceof Error ? error.name : 'unknown error' }
  } finally {
    password.fill(0)
  }
}

if (parentPort) {
  const port = parentPort
  stepBack()
  port.on('message', (job: PasswordJob) => port.postMessage(perform(job)))
}
