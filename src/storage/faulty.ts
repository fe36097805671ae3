// A store that fails on purpose, around a real one: to show that a failure at any call leaves no half write behind.
// For tests of any room; it holds nothing itself.
import { OutcomeUnknown, type Reader, type Soon, type Storage, StorageError, type Writer } from './storage.ts'

/**
 * Where a failure can strike: the readings; `commit`, when the function has ended and nothing is written yet; and
 * `committed`, when all is written and the answer is lost. The last two exist only where something is to be written.
 */
export type FaultPoint = 'get' | 'getMany' | 'list' | 'scan' | 'entries' | 'verify' | 'commit' | 'committed'

/** One call that may fail; `n` counts from 1 over all transactions and runs. */
export interface FaultCall {
  readonly n: number
  readonly point: FaultPoint
}

/** A store with a count of the calls made so far. */
export interface FaultyStorage extends Storage {
  calls(): number
  /** Starts counting anew, with another rule for what fails; none: nothing does. */
  reset(failAt?: number | ((call: FaultCall) => boolean)): void
}

/**
 * Wraps `storage` so that its n-th call, or each call the function picks, fails: `committed` with `OutcomeUnknown`, all
 * others with a `StorageError` before anything was done.
 */
export function faultyStorage(
  storage: Storage,
  options: { readonly failAt?: number | ((call: FaultCall) => boolean) } = {},
): FaultyStorage {
  let n = 0
  let fails = ruleOf(options.failAt)

  const step = (point: FaultPoint): void => {
    n++
    if (!fails({ n, point })) return
    const text = `injected failure at call ${n} (${point})`
    throw point === 'committed' ? new OutcomeUnknown(text) : new StorageError(text)
  }
  return {
    kind: storage.kind,
    view: (fn) => storage.view((tx) => fn(faultyReader(tx, step))),
    async update(fn, committed) {
      let wrote = false
      const result = await storage.update(async (tx) => {
        wrote = false
        const writer = faultyWriter(tx, step, () => {
          wrote = true
        })
        const value = await fn(writer)
        if (wrote) step('commit')
        return value
      }, committed)
      if (wrote) step('committed')
      return result
    },
    ...(storage.export && { export: storage.export }),
    close: () => storage.close(),
    calls: () => n,
    reset(failAt) {
      n = 0
      fails = ruleOf(failAt)
    },
  }
}

function ruleOf(failAt: number | ((call: FaultCall) => boolean) | undefined): (call: FaultCall) => boolean {
  return typeof failAt === 'function' ? failAt : (call) => call.n === failAt
}

function faultyReader(tx: Reader, step: (point: FaultPoint) => void): Reader {
  const at = async <T>(point: FaultPoint, read: () => Soon<T>): Promise<T> => {
    step(point)
    return read()
  }
  return {
    get attempt() {
      return tx.attempt
    },
    get: (key) => at('get', () => tx.get(key)),
    getMany: (keys) => at('getMany', () => tx.getMany(keys)),
    list: (prefix, options) => at('list', () => tx.list(prefix, options)),
    scan: (prefix, options) => at('scan', () => tx.scan(prefix, options)),
    entries: (prefix, options) => at('entries', () => tx.entries(prefix, options)),
    expect: (key, version) => tx.expect(key, version),
    verify: () => at('verify', () => tx.verify()),
  }
}

function faultyWriter(tx: Writer, step: (point: FaultPoint) => void, noteWrite: () => void): Writer {
  const reader = faultyReader(tx, step)
  return {
    get attempt() {
      return tx.attempt
    },
    get: reader.get,
    getMany: reader.getMany,
    list: reader.list,
    scan: reader.scan,
    entries: reader.entries,
    expect: reader.expect,
    verify: reader.verify,
    put(key, value) {
      tx.put(key, value)
      noteWrite()
    },
    delete(key) {
      tx.delete(key)
      noteWrite()
    },
    mark: () => tx.mark(),
    rollback: (mark) => tx.rollback(mark),
  }
}
