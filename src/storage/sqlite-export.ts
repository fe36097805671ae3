// The main thread's end of an export: asks its thread for one page after the other, no faster than they are taken. A reading that stays open
// keeps the write-ahead log from being cut, so the thread ends with the iteration, however that ends.
import { Worker } from 'node:worker_threads'
import { type Entry, type ExportOptions, StorageClosed, StorageError } from './storage.ts'

/** Entries as they travel between threads: the values lie one after the other in `values`. */
export interface ExportPage {
  readonly keys: readonly string[]
  readonly versions: readonly number[]
  readonly lengths: readonly number[]
  readonly values: Uint8Array
}

/** What the thread answers when it is asked for a page. */
export type ExportMessage =
  | { readonly is: 'page'; readonly page: ExportPage }
  | { readonly is: 'end' }
  | { readonly is: 'failed'; readonly reason: string }

// The extension is the one this file has: `.ts` in the source tree, `.js` in a built package.
const script = new URL(`./sqlite-export-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

/** Exports of one file. */
export interface Exports {
  run(options?: ExportOptions): AsyncIterable<readonly Entry[]>
  /** Ends those under way. */
  close(): Promise<void>
}

/** Makes the exports of an opened file. */
export function sqliteExports(path: string): Exports {
  const workers = new Set<Worker>()
  let closed = false
  return {
    async *run({ after } = {}) {
      if (closed) throw new StorageClosed('the store is closed')
      const worker = new Worker(script, { workerData: { path, after }, name: 'storage-export', execArgv: [] })
      workers.add(worker)
      try {
        for (;;) {
          if (closed) throw new StorageClosed('the store is closed')
          const message = await nextMessage(worker)
          if (message.is === 'failed') throw new StorageError(`reading the store failed: ${message.reason}`)
          if (message.is === 'end') return
          yield entriesOf(message.page)
        }
      } finally {
        workers.delete(worker)
        await worker.terminate()
      }
    },
    async close() {
      closed = true
      await Promise.all([...workers].map((worker) => worker.terminate()))
    },
  }
}

function nextMessage(worker: Worker): Promise<ExportMessage> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: ExportMessage): void => settle(() => resolve(message))
    const onError = (cause: unknown): void =>
      settle(() => reject(new StorageError('reading the store failed', { cause })))
    const onExit = (): void => settle(() => reject(new StorageClosed('the export was ended')))
    const settle = (act: () => void): void => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      act()
    }
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    worker.postMessage('next')
  })
}

function entriesOf({ keys, versions, lengths, values }: ExportPage): Entry[] {
  let at = 0
  return keys.map((key, i) => {
    const end = at + (lengths[i] as number)
    const value = values.subarray(at, end)
    at = end
    return { key, version: versions[i] as number, value }
  })
}
