// The embedded store: one SQLite file, read on the main thread without blocking, written by one thread in groups.
// No reading is held open across an await, so no reader ever holds up a checkpoint or another process.
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { type StorageMeter, unreadMeter } from './meter.ts'
import { runner } from './run.ts'
import { sqliteExports } from './sqlite-export.ts'
import { Facts, type FileMoment } from './sqlite-facts.ts'
import { openForReading, raiseMark, sqliteCode } from './sqlite-file.ts'
import { startWriter, type Writer } from './sqlite-group.ts'
import { type SqliteReader, sqliteReader } from './sqlite-reader.ts'
import { type Storage, StorageError, StorageUnusable } from './storage.ts'
import { type Keeper, type RangeQuery, sameFound, type Transaction } from './transaction.ts'

/** Where the store lies, and its bounds. */
export type SqliteOptions = ({ readonly path: string } | { readonly folder: string }) & {
  /** The file may not grow over so many bytes; commits over it are refused with `StorageError`. Absent: the disk is the bound. */
  readonly bytesMax?: number
  /** How long a commit waits for other processes that hold the file. */
  readonly busyMs?: number
  /** How often one transaction is run before `TooMuchContention`. */
  readonly attemptsMax?: number
  readonly meter?: StorageMeter | undefined
}

/** An open SQLite store. */
export interface SqliteStorage extends Storage {
  readonly path: string
  /** Rows the readings of this process's main thread have visited, for tests of how a reading goes about it. */
  rowsVisited(): number
}

/** Name of the file in a `folder`. */
export const fileName = 'coffer.db'
const busyMsDefault = 60_000
/** On the main thread: others' commits are short. */
const markBusyMs = 2000

/**
 * Opens a store, making its file (mode 0600; a `folder` with mode 0700) if need be. Rejects with `StorageUnusable`
 * when the file is foreign, newer, damaged or out of reach. Several processes may have one file open at once.
 */
export async function sqliteStorage(options: SqliteOptions): Promise<SqliteStorage> {
  const path = pathOf(options)
  const { bytesMax, busyMs = busyMsDefault, meter = unreadMeter() } = options
  const writer = await startWriter({ path, bytesMax, busyMs, groups: meter.groups })
  let db: DatabaseSync
  let keeper: SqliteKeeper
  try {
    db = openForReading(path)
    keeper = sqliteKeeper(db, writer)
  } catch (error) {
    await writer.close()
    throw new StorageUnusable(`${path} cannot be read`, { cause: error })
  }
  const { view, update, drain } = runner(keeper, options.attemptsMax, meter)
  const exports = sqliteExports(path)
  const mark = db.prepare('PRAGMA user_version', { returnArrays: true })
  const markOf = (): number => (mark.get() as unknown as [number])[0]
  let closed: Promise<void> | undefined
  return {
    kind: 'sqlite',
    path,
    view,
    update,
    export: exports.run,
    async markFormat(format) {
      if (format > markOf()) raiseMark(path, format, markBusyMs)
    },
    close() {
      closed ??= Promise.all([drain(), exports.close()]).then(() => {
        db.close()
        return writer.close()
      })
      return closed
    },
    rowsVisited: () => keeper.reader.visited,
  }
}

function pathOf(options: SqliteOptions): string {
  if ('path' in options) return resolve(options.path)
  try {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new StorageUnusable(`${options.folder} cannot be made: ${code}`, { cause: error })
  }
  return resolve(join(options.folder, fileName))
}

const busy = 5
const busyTriesMax = 1000

/** What SQLite threw, as storage throws it. */
function failure(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const damaged = sqliteCode(error) === 11 || sqliteCode(error) === 26
  const text = error instanceof Error ? error.message : 'unknown error'
  return new StorageError(damaged ? "the store's file is damaged" : `reading the store failed: ${text}`, {
    cause: error,
  })
}

/** Reads now; in the rare case that another process bars reading for a moment (recovery), a little later. */
function reading<T>(read: () => T): T | Promise<T> {
  try {
    return read()
  } catch (error) {
    if (sqliteCode(error) === busy) return readingLater(read)
    throw failure(error)
  }
}

async function readingLater<T>(read: () => T): Promise<T> {
  for (let tries = 1; ; tries++) {
    await pause(1 + Math.random() * 4)
    try {
      return read()
    } catch (error) {
      if (sqliteCode(error) !== busy || tries >= busyTriesMax) throw failure(error)
    }
  }
}

type FileTransaction = Transaction<FileMoment>

interface SqliteKeeper extends Keeper<FileMoment> {
  readonly reader: SqliteReader
}

/** Reads, proves and commits for `run.ts`. */
function sqliteKeeper(db: DatabaseSync, writer: Writer): SqliteKeeper {
  const reader = sqliteReader(db)
  // Outside a transaction this moves with every commit of another connection, the writer thread's included.
  const dataVersion = db.prepare('PRAGMA data_version', { returnArrays: true })
  const counter = (): number => (dataVersion.get() as unknown as [number])[0]
  const facts = new Facts({ counter, revision: reader.revision }, writer.shared)
  writer.attach(facts)
  facts.sync()

  const expectedHolds = (key: string, version: number): boolean => {
    const found = reader.version(key)
    facts.learn(key, found)
    return found === version
  }
  /** Tells whether what is expected is all known to hold (true), in part known not to (false), or in part not known. */
  const expectedKnown = (tx: FileTransaction): boolean | undefined => {
    let all: true | undefined = true
    for (const [key, version] of tx.expected) {
      const fact = facts.version(key)
      if (fact === undefined) all = undefined
      else if (fact !== version) return false
    }
    return all
  }
  const every = (versions: ReadonlyMap<string, number>, holds: (key: string, version: number) => boolean): boolean => {
    for (const [key, version] of versions) if (!holds(key, version)) return false
    return true
  }
  /** Reads in one state all that the transaction read and expects. */
  const allHold = (tx: FileTransaction): boolean =>
    reader.snapshot(
      () =>
        every(tx.keys, (key, version) => reader.version(key) === version) &&
        every(tx.expected, expectedHolds) &&
        tx.ranges.every((range) => sameFound(range.found, reader.found(range))),
    )
  const prove = (tx: FileTransaction): boolean => {
    facts.sync()
    const { stamp } = facts.moment
    const expected = expectedKnown(tx)
    if (expected === false) return false
    if (tx.start.stamp === stamp) {
      // Nothing has moved since the first reading: only what the caller expects is left to be shown.
      if (expected) return true
      if (!every(tx.expected, expectedHolds)) return false
      facts.sync()
      if (facts.moment.stamp === stamp) return true
    } else if (expected && tx.ranges.length === 0 && every(tx.keys, (key) => facts.unchangedSince(tx.start, key))) {
      return true
    }
    return allHold(tx)
  }
  /** Shows that what is expected holds at or after the transaction's start, which is what the writer goes by. */
  const expectedHold = (tx: FileTransaction): boolean => {
    if (tx.expected.size === 0) return true
    facts.sync()
    return expectedKnown(tx) ?? every(tx.expected, expectedHolds)
  }
  return {
    reader,
    begin: () => facts.moment,
    get: (key) => reading(() => reader.get(key)),
    getMany(keys) {
      if (keys.length === 1) return reading(() => [reader.get(keys[0] as string)])
      return reading(() => reader.snapshot(() => keys.map(reader.get)))
    },
    names: (query: RangeQuery) => reading(() => reader.snapshot(() => reader.names(query))),
    entries: (query: RangeQuery) => reading(() => reader.entries(query)),
    prove: (tx) => reading(() => prove(tx)),
    async commit(tx) {
      if (!(await reading(() => expectedHold(tx)))) return 0
      return writer.commit(tx, tx.start.floor)
    },
  }
}
