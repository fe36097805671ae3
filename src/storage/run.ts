// Runs transactions: again while what they read does not hold, and none any more once the store closes.
import { setTimeout as pause } from 'node:timers/promises'
import { type StorageMeter, unreadMeter } from './meter.ts'
import { type Soon, type Storage, StorageClosed, TooMuchContention } from './storage.ts'
import { type Keeper, type Moment, Transaction } from './transaction.ts'

/** How often a transaction is tried. With the pauses below that is a matter of some ten seconds. */
export const attemptsMaxDefault = 1000

/** `view` and `update` over a keeper; `drain` refuses new ones and waits for those under way. */
export interface Runner extends Pick<Storage, 'view' | 'update'> {
  drain(): Promise<void>
}

/** Makes the runner of a keeper's transactions. `attemptsMax` bounds how often one is run before `TooMuchContention`. */
export function runner<At extends Moment>(
  keeper: Keeper<At>,
  attemptsMax = attemptsMaxDefault,
  meter: StorageMeter = unreadMeter(),
): Runner {
  let running = 0
  let draining: PromiseWithResolvers<void> | undefined

  const settle = (): void => {
    if (running === 0) draining?.resolve()
  }
  const run = async <T>(
    fn: (tx: Transaction<At>) => Soon<T>,
    writable: boolean,
    committed?: (revision: number) => void,
  ): Promise<T> => {
    if (draining) throw new StorageClosed('the store is closed')
    running++
    try {
      for (let attempt = 0; attempt < attemptsMax; attempt++) {
        if (attempt > 0) meter.reruns.add()
        if (attempt >= pausesFrom) await backOff(attempt)
        const outcome = await runOnce(keeper, fn, new Transaction(keeper, attempt, writable), meter)
        if (!outcome) continue
        if (outcome.revision > 0) committed?.(outcome.revision)
        return outcome.result
      }
      throw new TooMuchContention(`the transaction was run ${attemptsMax} times, others kept changing what it read`)
    } finally {
      running--
      settle()
    }
  }
  return {
    view: (fn) => run(fn, false),
    update: (fn, committed) => run(fn, true, committed),
    async drain() {
      draining ??= Promise.withResolvers()
      settle()
      await draining.promise
    },
  }
}

/** The first runs follow each other at once; from this one on there are pauses. */
const pausesFrom = 4
const pauseMaxMs = 32

const backOff = (attempt: number): Promise<void> => pause(Math.random() * Math.min(pauseMaxMs, attempt))

/** Runs the function once; undefined when what it read did not hold. Revision 0: nothing was written. */
async function runOnce<T, At extends Moment>(
  keeper: Keeper<At>,
  fn: (tx: Transaction<At>) => Soon<T>,
  tx: Transaction<At>,
  meter: StorageMeter,
): Promise<{ readonly result: T; readonly revision: number } | undefined> {
  let result: T
  try {
    result = await fn(tx)
  } catch (error) {
    tx.end()
    // It may have thrown because it saw parts of two states: only over one state is the error an answer.
    if (tx.doomed || !(await holdsForError(keeper, tx))) return undefined
    throw error
  }
  tx.end()
  if (tx.doomed) return undefined
  if (tx.writes.size > 0) {
    const revision = await commit(keeper, tx, meter)
    return revision > 0 ? { result, revision } : undefined
  }
  return tx.oneState || (await keeper.prove(tx)) ? { result, revision: 0 } : undefined
}

async function commit<At extends Moment>(
  keeper: Keeper<At>,
  tx: Transaction<At>,
  meter: StorageMeter,
): Promise<number> {
  const revision = await meter.commit.time(keeper.commit(tx))
  if (revision === 0) meter.conflicts.add()
  return revision
}

/** Proves what a failed run read; when no proof can be had the error stays as it is. */
async function holdsForError<At extends Moment>(keeper: Keeper<At>, tx: Transaction<At>): Promise<boolean> {
  try {
    return tx.oneState || (await keeper.prove(tx))
  } catch {
    return true
  }
}
