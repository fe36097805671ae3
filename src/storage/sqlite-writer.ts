// The writer thread: the only place that changes the file. It takes groups of commits, checks what each transaction
// read, applies those that hold, and makes them durable with one fsync. fsync and waiting for locks happen here.
import type { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { sharedSlots } from './sqlite-facts.ts'
import { openFile, sqliteCode, whileBusy } from './sqlite-file.ts'
import { sqliteReader } from './sqlite-reader.ts'
import { Recent } from './sqlite-recent.ts'
import {
  closeMessage,
  digestOf,
  type GroupMessage,
  type Outcome,
  outcomes,
  type Unpacked,
  unpackGroup,
  type WriterData,
  type WriterMessage,
} from './sqlite-wire.ts'

const ioError = 10

/** Results of a group, and the reason where one failed. */
interface Answer {
  readonly results: Outcome[]
  readonly reason: string
}

/** Makes the function that commits a group. It may block as long as another process holds the file. */
function committer(db: DatabaseSync, { shared, busyMs }: WriterData): (commits: readonly Unpacked[]) => Answer {
  const begin = db.prepare('BEGIN IMMEDIATE')
  const commit = db.prepare('COMMIT')
  const put = db.prepare(
    'INSERT INTO entry (key, version, value) VALUES (?, ?, ?) ' +
      'ON CONFLICT (key) DO UPDATE SET version = excluded.version, value = excluded.value',
  )
  const remove = db.prepare('DELETE FROM entry WHERE key = ?')
  const setRevision = db.prepare('UPDATE store SET revision = ?')
  const reader = sqliteReader(db)
  let last = reader.revision()
  const recent = new Recent(last)
  Atomics.store(shared, sharedSlots.ownRevision, BigInt(last))

  const rollBack = (): void => {
    if (db.isTransaction) db.exec('ROLLBACK')
  }
  /** Begins, and notices commits that were not ours. */
  const open = (): void => {
    whileBusy(busyMs, () => begin.run())
    const revision = reader.revision()
    if (revision === last) return
    Atomics.add(shared, sharedSlots.foreign, 1n)
    recent.restart(revision)
    last = revision
  }
  const holds = ({ base, keys, versions, ranges }: Unpacked, revision: number): boolean => {
    if (base === revision) return true
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string
      const version = versions[i] as number
      if (!(recent.holds(key, version, base) ?? reader.version(key) === version)) return false
    }
    return ranges.every((range) => digestOf(reader.found(range)) === range.digest)
  }
  const apply = ({ writeKeys, writeValues }: Unpacked, revision: number): void => {
    for (let i = 0; i < writeKeys.length; i++) {
      const key = writeKeys[i] as string
      const value = writeValues[i]
      if (value === undefined) remove.run(key)
      else put.run(key, revision, value)
      recent.change(key, value === undefined ? 0 : revision, revision)
    }
  }
  return function commitGroup(commits): Answer {
    let committing = false
    try {
      open()
      let revision = last
      const results = commits.map((each) => {
        if (!holds(each, revision)) return outcomes.conflict
        apply(each, ++revision)
        return revision
      })
      if (revision > last) setRevision.run(revision)
      committing = true
      commit.run()
      last = revision
      Atomics.store(shared, sharedSlots.ownRevision, BigInt(revision))
      return { results, reason: '' }
    } catch (error) {
      rollBack()
      recent.restart(last)
      const reason = error instanceof Error ? error.message : 'unknown error'
      // An fsync that fails leaves open what a crash would bring back.
      if (committing && sqliteCode(error) === ioError) return { results: commits.map(() => outcomes.unknown), reason }
      if (commits.length === 1) return { results: [outcomes.failed], reason }
      // One of them may be to blame (too large for the disk): the others need not fail with it.
      const answers = commits.map((each) => commitGroup([each]))
      return { results: answers.flatMap(({ results }) => results), reason }
    }
  }
}

/** Opens the file, says so, and serves the main thread until it says `close`. */
function serve(): void {
  const port = parentPort
  if (port === null) throw new Error('the storage writer runs as a worker thread only')
  const say = (message: WriterMessage): void => port.postMessage(message)
  const data = workerData as WriterData
  let db: DatabaseSync
  try {
    db = openFile(data)
  } catch (error) {
    say({ is: 'refused', reason: error instanceof Error ? error.message : 'unknown error' })
    return
  }
  const commitGroup = committer(db, data)
  port.on('message', (message: GroupMessage | typeof closeMessage) => {
    if (message !== closeMessage) {
      say({ is: 'done', ...commitGroup(unpackGroup(message)) })
      return
    }
    try {
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } finally {
      db.close()
      port.close()
    }
  })
  say({ is: 'ready' })
}

serve()
