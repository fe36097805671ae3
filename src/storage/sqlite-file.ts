// The store's file: made with mode 0600, marked as Coffer's, checked before it is used. A file that is foreign,
// newer or damaged is refused and never changed.
// Once SQLite has a file open, nothing here may open and close it: that would drop the process's locks on it.
import { chmodSync, closeSync, openSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { StorageUnusable } from './storage.ts'

/** "Coff": tells a store's file from any other SQLite file. */
export const applicationId = 0x436f6666
/** Highest mark known; a file with a higher one is refused. The tables are those of 1; from 2 on the records have that format, which 0.1.0 cannot read. */
export const schemaVersion = 2
const tablesVersion = 1

// TEXT compares by its UTF-8 bytes. The table has a rowid: without one, values of some KiB and more sit in the
// index pages and make every insert and scan several times as dear.
const schema = `
  CREATE TABLE entry (key TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL) STRICT;
  CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
  INSERT INTO store VALUES (1, 0);
  PRAGMA application_id = ${applicationId};
  PRAGMA user_version = ${tablesVersion};`

/** Files up to this size have every page checked at open (some 0.7 ms for each MiB in memory, many times that from a cold disk); larger ones their structure only. */
const quickCheckBytesMax = 32 * 1024 * 1024

const busy = 5
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Returns SQLite's primary result code of an error (5 busy, 11 corrupt, 13 full, 26 not a database …), if it is one. */
export function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === 'number' ? code & 0xff : undefined
}

/** Runs `step` again while another process holds the file, for `busyMs` at most. It blocks: for the writer thread only. */
export function whileBusy<T>(busyMs: number, step: () => T): T {
  const deadline = performance.now() + busyMs
  for (;;) {
    try {
      return step()
    } catch (error) {
      if (sqliteCode(error) !== busy || performance.now() > deadline) throw error
      Atomics.wait(sleeper, 0, 0, 0.2 + Math.random())
    }
  }
}

/** How a file is opened. */
export interface FileOptions {
  readonly path: string
  /** The file may not grow over so many bytes; a commit that would fails as if the disk were full. */
  readonly bytesMax: number | undefined
  /** How long to wait for another process that holds the file. */
  readonly busyMs: number
}

/** Opens the file for writing, making it if need be; throws `StorageUnusable` with the reason. It may block. */
export function openFile({ path, bytesMax, busyMs }: FileOptions): DatabaseSync {
  makeFile(path)
  let db: DatabaseSync | undefined
  try {
    if (statSync(path).size > 0) refuseForeign(path, busyMs)
    const opened = new DatabaseSync(path)
    db = opened
    whileBusy(busyMs, () => prepareFile(opened, path))
    opened.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON')
    opened.exec('PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384')
    whileBusy(busyMs, () => checkFile(opened, path))
    if (bytesMax !== undefined) {
      opened.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(bytesMax / pragma(opened, 'page_size')))}`)
    }
    return opened
  } catch (error) {
    db?.close()
    throw error instanceof StorageUnusable ? error : new StorageUnusable(reason(error, path), { cause: error })
  }
}

/** Opens a second connection to an opened file, for reading alone. */
export function openForReading(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { readOnly: true })
  db.exec('PRAGMA cache_size = -8192')
  return db
}

/** Raises the mark of an opened file; one that is as high already is left alone. It may block for a moment. */
export function raiseMark(path: string, version: number, busyMs: number): void {
  const db = new DatabaseSync(path)
  try {
    db.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON')
    whileBusy(busyMs, () => {
      db.exec('BEGIN IMMEDIATE')
      if (pragma(db, 'user_version') < version) db.exec(`PRAGMA user_version = ${version}`)
      db.exec('COMMIT')
    })
  } finally {
    db.close()
  }
}

/** Says what SQLite's error means for the file; names no value. */
function reason(error: unknown, path: string): string {
  switch (sqliteCode(error)) {
    case 11:
      return `${path} is damaged`
    case 26:
      return `${path} is not a coffer store`
    case busy:
      return `${path} is held by another process`
    default:
      return `${path} cannot be opened: ${error instanceof Error ? error.message : 'unknown error'}`
  }
}

/** Makes an empty file of mode 0600 unless there is one, and takes from others what access to it they have. */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EEXIST') throw new StorageUnusable(`${path} cannot be made: ${code}`, { cause: error })
  }
  for (const file of [path, `${path}-wal`, `${path}-shm`]) restrict(file, file === path)
}

function restrict(file: string, required: boolean): void {
  try {
    const found = statSync(file, { throwIfNoEntry: required })
    if (found === undefined) return
    if (!found.isFile()) throw new StorageUnusable(`${file} is not a regular file`)
    if ((Number(found.mode) & 0o777) !== 0o600) chmodSync(file, 0o600)
  } catch (error) {
    if (error instanceof StorageUnusable) throw error
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' && !required) return
    throw new StorageUnusable(`${file} cannot be made private (mode 0600): ${code}`, { cause: error })
  }
}

const pragma = (db: DatabaseSync, name: string): number =>
  (db.prepare(`PRAGMA ${name}`, { returnArrays: true }).get() as unknown as [number])[0]

const tables = (db: DatabaseSync): string =>
  (db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all() as { name: string }[])
    .map(({ name }) => name)
    .join(' ')

/** Looks at the marks in the file before anything is written to it. Nothing at all in it is as good as new. */
function refuseForeign(path: string, busyMs: number): void {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    whileBusy(busyMs, () => checkMarks(db, path))
  } finally {
    db.close()
  }
}

/** Returns false for a file that is still to be filled; throws for one that is not ours to use. */
function checkMarks(db: DatabaseSync, path: string): boolean {
  const application = pragma(db, 'application_id')
  const version = pragma(db, 'user_version')
  if (application === 0 && version === 0 && tables(db) === '') return false
  if (application !== applicationId) throw new StorageUnusable(`${path} is not a coffer store`)
  if (version > schemaVersion) {
    throw new StorageUnusable(
      `${path} was written by a newer coffer (schema ${version}, this one knows ${schemaVersion}); use that one`,
    )
  }
  if (version < tablesVersion || tables(db) !== 'entry store') throw new StorageUnusable(`${path} is damaged: tables`)
  return true
}

/** Turns the write-ahead log on and makes the tables, once even when several processes open a new file. */
function prepareFile(db: DatabaseSync, path: string): void {
  const { journal_mode: mode } = db.prepare('PRAGMA journal_mode = WAL').get() as { journal_mode: string }
  if (mode !== 'wal') throw new StorageUnusable(`${path} lies on a file system that cannot keep a write-ahead log`)
  db.exec('BEGIN IMMEDIATE')
  try {
    if (!checkMarks(db, path)) db.exec(schema)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

/** Checks that the file's structure is whole, and every page of it where that is quick. */
function checkFile(db: DatabaseSync, path: string): void {
  const revision = (db.prepare('SELECT revision FROM store').get() as { revision?: unknown } | undefined)?.revision
  if (typeof revision !== 'number') throw new StorageUnusable(`${path} is damaged: revision`)
  if (pragma(db, 'page_count') * pragma(db, 'page_size') > quickCheckBytesMax) return
  const [found] = db.prepare('PRAGMA quick_check(1)', { returnArrays: true }).get() as unknown as [string]
  if (found !== 'ok') throw new StorageUnusable(`${path} is damaged: ${found}`)
}
