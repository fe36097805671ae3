import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { storageContract } from './contract.ts'
import { bytes, read, text, write } from './contract-kit.ts'
import { fileName, sqliteStorage } from './sqlite.ts'
import { applicationId, schemaVersion } from './sqlite-file.ts'
import { type Storage, StorageClosed, StorageError, StorageUnusable, type Writer } from './storage.ts'

const root = mkdtempSync(join(tmpdir(), 'coffer-storage-'))
after(() => rmSync(root, { recursive: true, force: true }))
const newFolder = (): string => mkdtempSync(join(root, 'store-'))

storageContract('sqlite', async (options) => {
  const folder = newFolder()
  const storage = await sqliteStorage({ folder, ...options })
  const open: Storage[] = [storage]
  return {
    storage,
    visited: () => storage.rowsVisited(),
    async reopen() {
      await Promise.all(open.map((each) => each.close()))
      const again = await sqliteStorage({ folder, ...options })
      open.push(again)
      return again
    },
    async close() {
      await Promise.all(open.map((each) => each.close()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
})

describe('two openings of one file', () => {
  /** Each has a connection and a writer of its own, so that each is another process to the other. */
  const both = async (run: (one: Storage, two: Storage) => Promise<void>): Promise<void> => {
    const folder = newFolder()
    const [one, two] = await Promise.all([sqliteStorage({ folder }), sqliteStorage({ folder })])
    await run(one, two)
    await Promise.all([one.close(), two.close()])
  }

  test('a fact known to one ends when the other commits', () =>
    both(async (one, two) => {
      for (let round = 0; round < 20; round++) {
        await write(round % 2 ? one : two, { a: `${round}`, b: 'x' })
        for (const storage of [one, two]) {
          const version = (await storage.view((tx) => tx.get('a')))?.version ?? 0
          for (let again = 0; again < 2; again++) {
            assert.equal(
              await storage.view(async (tx) => {
                tx.expect('a', version)
                return tx.attempt
              }),
              0,
            )
          }
          await write(storage, { own: `${round}` })
          await write(storage === one ? two : one, { a: 'changed' })
          await write(storage, { own: 'again' })
          for (const kind of round % 4 < 2 ? (['view', 'update'] as const) : (['update', 'view'] as const)) {
            const attempt = await storage[kind](async (tx) => {
              if (tx.attempt === 0) tx.expect('a', version)
              if (kind === 'update') (tx as Writer).put('c', bytes('1'))
              return tx.attempt
            })
            assert.equal(attempt, 1)
          }
        }
      }
    }))

  test('counters and sums hold between them', () =>
    both(async (one, two) => {
      const add = (storage: Storage, key: string): Promise<void> =>
        storage.update(async (tx) => {
          const entry = await tx.get(key)
          tx.put(key, bytes(`${Number(text(entry?.value ?? bytes('0'))) + 1}`))
          tx.put(`log/${key}/${entry === undefined ? 1 : Number(text(entry.value)) + 1}`, bytes('x'))
        })
      let over = false
      const watch = async (storage: Storage): Promise<void> => {
        while (!over) {
          const [count, logged] = await storage.view(async (tx) => {
            const entry = await tx.get('n')
            await pause(0)
            return [entry === undefined ? 0 : Number(text(entry.value)), (await tx.scan('log/n/')).length]
          })
          assert.equal(count, logged)
        }
      }
      const watching = Promise.all([watch(one), watch(two)])
      const adders = [one, two, one, two].map(async (storage) => {
        for (let i = 0; i < 25; i++) await add(storage, 'n')
      })
      await Promise.all(adders).finally(() => {
        over = true
      })
      await watching
      assert.equal(await read(one, 'n'), '100')
      assert.equal(await read(two, 'n'), '100')
    }))
})

describe('the file', () => {
  const mode = (path: string): number => statSync(path).mode & 0o777

  test('is 0600 in a folder of 0700, with its log, whatever the umask, and is made so again', async () => {
    const folder = join(newFolder(), 'deep', 'er')
    const before = process.umask(0)
    const storage = await sqliteStorage({ folder }).finally(() => process.umask(before))
    await write(storage, { a: '1' })
    assert.equal(mode(folder), 0o700)
    for (const suffix of ['', '-wal', '-shm']) assert.equal(mode(storage.path + suffix), 0o600, suffix)
    await storage.close()
    chmodSync(storage.path, 0o644)
    const again = await sqliteStorage({ path: storage.path })
    assert.equal(mode(storage.path), 0o600)
    assert.equal(await read(again, 'a'), '1')
    await again.close()
  })

  test('tells whose it is, and who may open it: a mark that is raised and never lowered', async () => {
    const storage = await sqliteStorage({ folder: newFolder() })
    const marks = (): unknown[] => {
      const db = new DatabaseSync(storage.path, { readOnly: true })
      const found = ['application_id', 'user_version'].map(
        (name) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0],
      )
      db.close()
      return found
    }
    assert.deepEqual(marks(), [applicationId, 1])
    await write(storage, { a: '1' })
    for (const format of [1, schemaVersion, 1]) await storage.markFormat?.(format)
    assert.deepEqual(marks(), [applicationId, schemaVersion])
    await write(storage, { a: '2' })
    assert.equal(await read(storage, 'a'), '2')
    await storage.close()
    const again = await sqliteStorage({ path: storage.path })
    assert.equal(await read(again, 'a'), '2')
    await again.close()
  })

  /** Opens a file made by `make` in a new folder; it must be refused with the reason, and left as it was. */
  const refused = async (make: (path: string) => void | Promise<void>, reason: RegExp): Promise<void> => {
    const path = join(newFolder(), fileName)
    await make(path)
    const before = readFileSync(path)
    await assert.rejects(sqliteStorage({ path }), (error: unknown) => {
      assert.ok(error instanceof StorageUnusable, String(error))
      assert.match(error.message, reason)
      assert.ok(error.message.includes(path))
      return true
    })
    assert.deepEqual(readFileSync(path), before)
  }
  const sql = (statements: string) => (path: string) => {
    const db = new DatabaseSync(path)
    db.exec(statements)
    db.close()
  }

  /** A sound store with a thousand keys, to be spoilt. */
  const sound = async (path: string): Promise<void> => {
    const storage = await sqliteStorage({ path })
    await write(storage, Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key/${i}`, 'v'.repeat(200)])))
    await storage.close()
  }

  test('is refused when it is foreign', async () => {
    await refused(
      (path) => writeFileSync(path, 'not a database at all, but a text of some length\n'.repeat(40)),
      /not a coffer store/,
    )
    await refused(sql('CREATE TABLE cats (name TEXT)'), /not a coffer store/)
    await refused(sql(`CREATE TABLE entry (x); PRAGMA application_id = 1234`), /not a coffer store/)
    await refused(sql('PRAGMA user_version = 1'), /not a coffer store/)
  })

  test('is refused when it is newer', () =>
    refused(async (path) => {
      await sound(path)
      sql(`PRAGMA user_version = ${schemaVersion + 1}`)(path)
    }, /newer coffer \(schema 3, this one knows 2\)/))

  const damages: Record<string, (path: string) => void> = {
    'a table is missing': sql('DROP TABLE store'),
    'the revision is missing': sql('DELETE FROM store'),
    'it is cut off': (path) => truncateSync(path, 40_000),
    'pages are overwritten': (path) => {
      const content = readFileSync(path)
      content.fill(0xab, 5 * 4096, 12 * 4096)
      writeFileSync(path, content)
    },
    'its header is overwritten': (path) => {
      const content = readFileSync(path)
      content.fill(0, 20, 100)
      writeFileSync(path, content)
    },
  }
  for (const [name, damage] of Object.entries(damages)) {
    test(`is refused when ${name}`, () =>
      refused(async (path) => {
        await sound(path)
        damage(path)
      }, /damaged|not a coffer store/))
  }

  test('is refused where it cannot be', async () => {
    await assert.rejects(sqliteStorage({ path: join(newFolder(), 'none', 'x.db') }), StorageUnusable)
    await assert.rejects(sqliteStorage({ path: newFolder() }), StorageUnusable)
    const file = join(newFolder(), 'file')
    writeFileSync(file, '')
    await assert.rejects(sqliteStorage({ folder: join(file, 'below') }), StorageUnusable)
  })

  test('an empty file is filled, and the log stays bounded', async () => {
    const path = join(newFolder(), fileName)
    writeFileSync(path, '')
    const storage = await sqliteStorage({ path })
    const value = new Uint8Array(100_000)
    for (let round = 0; round < 60; round++) {
      await storage.update(async (tx) => {
        for (let i = 0; i < 10; i++) tx.put(`k/${i}`, value)
      })
      await storage.view((tx) => tx.get('k/1'))
    }
    assert.ok(statSync(`${path}-wal`).size < 40_000_000, `${statSync(`${path}-wal`).size} bytes of log`)
    await storage.close()
    assert.equal(statSync(`${path}-wal`, { throwIfNoEntry: false }), undefined)
  })

  test('a commit the disk has no room for is refused whole; what fits beside it is not', async () => {
    const storage = await sqliteStorage({ folder: newFolder(), bytesMax: 2_000_000 })
    await write(storage, { a: '1' })
    const large = storage.update(async (tx) => {
      tx.put('a', bytes('2'))
      for (let i = 0; i < 10; i++) tx.put(`large/${i}`, new Uint8Array(400_000))
    })
    const small = Promise.all([write(storage, { b: '1' }), write(storage, { c: '1' })])
    await assert.rejects(large, (error: unknown) => error instanceof StorageError && error.name === 'StorageError')
    await small
    assert.deepEqual(await Promise.all(['a', 'b', 'c', 'large/0'].map((key) => read(storage, key))), [
      '1',
      '1',
      '1',
      undefined,
    ])
    const beside = write(storage, { beside: '1' })
    const attempt = await storage.update(async (tx) => {
      assert.equal(text((await tx.get('a'))?.value ?? bytes('')), '1')
      assert.equal(await tx.get('large/0'), undefined)
      tx.put('a', bytes('3'))
      return tx.attempt
    })
    await beside
    assert.equal(attempt, 0, 'what was not written is not taken for written')
    assert.equal(await read(storage, 'a'), '3')
    await storage.close()
  })

  test('a copy of the file and its log, taken at any moment, opens with every acknowledged commit', async () => {
    const storage = await sqliteStorage({ folder: newFolder() })
    for (let i = 0; i < 10; i++) {
      await write(storage, { [`k/${i}`]: '1', last: `${i}` })
      const copy = join(newFolder(), fileName)
      for (const suffix of ['', '-wal']) copyFileSync(storage.path + suffix, copy + suffix)
      const again = await sqliteStorage({ path: copy })
      assert.equal(await read(again, 'last'), `${i}`)
      await again.close()
    }
    await storage.close()
  })
})

describe('several processes', () => {
  const module = new URL('./sqlite.ts', import.meta.url).href
  const start = (
    path: string,
    body: string,
  ): { child: ChildProcess; lines: string[]; ended: Promise<number | null> } => {
    const source = `import { sqliteStorage } from ${JSON.stringify(module)}
      const storage = await sqliteStorage({ path: ${JSON.stringify(path)} })
      const bytes = (text) => new TextEncoder().encode(text)
      const text = (value) => new TextDecoder().decode(value)
      ${body}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    const lines: string[] = []
    child.stdout?.on('data', (chunk) => {
      const parts = (output + chunk).split('\n')
      output = parts.pop() ?? ''
      lines.push(...parts)
    })
    const ended = new Promise<number | null>((resolve) => {
      child.on('close', resolve)
    })
    return { child, lines, ended }
  }

  test('count together, from an empty file on', async () => {
    const path = join(newFolder(), fileName)
    const counting = `
      const add = () => storage.update(async (tx) => {
        const entry = await tx.get('n')
        const n = entry === undefined ? 1 : Number(text(entry.value)) + 1
        if ((await tx.list('log/', { after: String(n).padStart(6, '0') })).length > 0) throw new Error('ahead of the count')
        tx.put('n', bytes(String(n)))
        tx.put('log/' + String(n).padStart(6, '0'), bytes(String(process.pid)))
      })
      await Promise.all([1, 2, 3].map(async () => { for (let i = 0; i < 20; i++) await add() }))
      await storage.close()`
    const children = [1, 2, 3].map(() => start(path, counting))
    for (const { ended } of children) assert.equal(await ended, 0)
    const storage = await sqliteStorage({ path })
    assert.equal(await read(storage, 'n'), '180')
    const log = await storage.view((tx) => tx.entries('log/'))
    assert.equal(log.length, 180)
    assert.equal(new Set(log.map(({ value }) => text(value))).size, 3)
    assert.deepEqual(
      log.map(({ version }) => version),
      Array.from({ length: 180 }, (_, i) => i + 1),
      'one revision for each commit, in order',
    )
    await storage.close()
  })

  test('a process killed in mid-writing loses nothing it was told is written, and leaves no half', async () => {
    const path = join(newFolder(), fileName)
    let known = 0
    for (let round = 0; round < 5; round++) {
      const { child, lines, ended } = start(
        path,
        `import { writeSync } from 'node:fs'
        const client = async (c) => {
          for (let i = 0; ; i++) {
            const id = '${round}-' + c + '-' + i
            await storage.update(async (tx) => {
              tx.put('left/' + id, bytes('x'.repeat(3000)))
              tx.put('right/' + id, bytes(id))
            })
            writeSync(1, id + '\\n')
          }
        }
        for (let c = 0; c < 8; c++) client(c)`,
      )
      while (lines.length < 50 && child.exitCode === null) await pause(5)
      assert.equal(child.exitCode, null)
      await pause(Math.random() * 60)
      child.kill('SIGKILL')
      await ended
      const storage = await sqliteStorage({ path })
      const [left, right] = await storage.view(async (tx) => [await tx.scan('left/'), await tx.scan('right/')])
      assert.deepEqual(left, right)
      const there = new Set(left)
      for (const id of lines) assert.ok(there.has(id), `${id} was acknowledged`)
      assert.ok(there.size >= known + lines.length)
      known = there.size
      await storage.close()
    }
  })

  test('a store nobody closes does not keep its process alive', async () => {
    const { ended } = start(join(newFolder(), fileName), `await storage.update(async (tx) => tx.put('a', bytes('1')))`)
    assert.equal(await ended, 0)
  })

  test('a commit waits for a process that holds the file, and the event loop does not', async () => {
    const storage = await sqliteStorage({ folder: newFolder(), busyMs: 250 })
    await write(storage, { a: '1' })
    const other = new DatabaseSync(storage.path)
    other.exec('BEGIN IMMEDIATE')
    let written = false
    const waiting = write(storage, { a: '2' }).then(() => {
      written = true
    })
    await pause(40)
    assert.equal(written, false)
    assert.equal(await read(storage, 'a'), '1', 'reading goes on')
    other.exec('ROLLBACK')
    await waiting
    other.exec('BEGIN IMMEDIATE')
    await assert.rejects(write(storage, { a: '3' }), StorageError)
    other.exec('ROLLBACK')
    other.close()
    assert.equal(await read(storage, 'a'), '2')
    await storage.close()
    await assert.rejects(read(storage, 'a'), StorageClosed)
  })
})
