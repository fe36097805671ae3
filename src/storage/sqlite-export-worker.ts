// The thread that reads a whole file for an export: on a connection of its own, so that neither requests nor commits wait for it, and with
// one reading that stays open, so that all of it is one state. It never writes.
import { parentPort, workerData } from 'node:worker_threads'
import { startOfKeys } from './order.ts'
import type { ExportMessage, ExportPage } from './sqlite-export.ts'
import { openForReading } from './sqlite-file.ts'
import { pageMax } from './storage.ts'

type Row = readonly [key: string, version: number, value: Uint8Array]

/** Gives pages of rows, each with its values in one buffer. */
function* pagesOf(rows: Iterable<Row>): Generator<ExportPage> {
  let page: Row[] = []
  let bytes = 0
  const packed = (): ExportPage => {
    const values = new Uint8Array(bytes)
    let at = 0
    for (const [, , value] of page) {
      values.set(value, at)
      at += value.byteLength
    }
    return {
      keys: page.map(([key]) => key),
      versions: page.map(([, version]) => version),
      lengths: page.map(([, , value]) => value.byteLength),
      values,
    }
  }
  for (const row of rows) {
    page.push(row)
    bytes += row[2].byteLength
    if (page.length < pageMax.entries && bytes < pageMax.bytes) continue
    yield packed()
    page = []
    bytes = 0
  }
  if (page.length > 0) yield packed()
}

/** Answers each message with the next page, then with the end. */
function serve(): void {
  const port = parentPort
  if (port === null) throw new Error('an export runs as a worker thread only')
  const { path, after } = workerData as { path: string; after: string | undefined }
  const say = (message: ExportMessage): void =>
    port.postMessage(message, message.is === 'page' ? [message.page.values.buffer as ArrayBuffer] : [])
  const db = openForReading(path)
  const select = db.prepare('SELECT key, version, value FROM entry WHERE key >= ? ORDER BY key', { returnArrays: true })
  const pages = pagesOf(select.iterate(startOfKeys('', after)) as Iterable<unknown> as Iterable<Row>)
  port.on('message', () => {
    try {
      const { done, value } = pages.next()
      if (!done) return say({ is: 'page', page: value })
      say({ is: 'end' })
    } catch (error) {
      say({ is: 'failed', reason: error instanceof Error ? error.message : 'unknown error' })
    }
    db.close()
    port.close()
  })
}

serve()
