import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type LogOptions, openLog } from './log.ts'

function withFolder(run: (folder: string) => void): void {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-log-'))
  try {
    run(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const toFile = (file: string, more: Partial<LogOptions> = {}) =>
  openLog({ level: 'info', format: 'json', file, ...more })

test('a folder gets coffer.log, for its owner alone; levels are kept', () =>
  withFolder((folder) => {
    const log = toFile(folder)
    log.info({ requestId: 'r1' }, 'hello')
    log.debug('not this')
    const file = path.join(folder, 'coffer.log')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    assert.equal(lines.length, 1)
    assert.equal(JSON.parse(lines[0] as string).requestId, 'r1')
  }))

test('a file over its size is rotated, and only so many old ones are kept', () =>
  withFolder((folder) => {
    const file = path.join(folder, 'a.log')
    const log = toFile(file, { rotateBytes: 200, rotateMaxFiles: 2 })
    for (let i = 0; i < 40; i++) log.info({ i }, 'a line of some length to fill the file')
    const names = readdirSync(folder)
    assert.ok(names.length >= 2 && names.length <= 3, names.join())
    for (const name of names) assert.ok(statSync(path.join(folder, name)).size <= 200, name)
    assert.match(readFileSync(file, 'utf8'), /"i":39/)
  }))

test('rotation loses no line, however fast it goes', () =>
  withFolder((folder) => {
    const log = toFile(path.join(folder, 'a.log'), { rotateBytes: 100 })
    for (let i = 0; i < 60; i++) log.info({ i }, 'a line of some length')
    const all = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'))
    assert.equal(all.join('').trim().split('\n').length, 60)
  }))

test('reopen follows a file that was moved away', () =>
  withFolder((folder) => {
    const file = path.join(folder, 'a.log')
    const log = toFile(file)
    log.info('one')
    renameSync(file, `${file}.1`)
    log.reopen()
    log.info('two')
    assert.match(readFileSync(`${file}.1`, 'utf8'), /one/)
    assert.match(readFileSync(file, 'utf8'), /two/)
  }))

test('facts with the names of secrets are cut out', () =>
  withFolder((folder) => {
    const file = path.join(folder, 'a.log')
    const log = toFile(file, { format: 'standard' })
    log.info({ token: 'canary', inner: { password: 'canary' }, path: 'kv/a' }, 'text')
    const text = readFileSync(file, 'utf8')
    assert.ok(!text.includes('canary'), text)
    assert.match(text, /\[INFO\] text .*path=kv\/a/)
  }))

test('a file that several processes write is rotated by one of them, when it looks', () =>
  withFolder((folder) => {
    const file = path.join(folder, 'a.log')
    const keeper = toFile(file, { rotateBytes: 200, shared: true })
    const worker = toFile(file, { worker: 3 })
    for (let i = 0; i < 5; i++) {
      keeper.info({ i }, 'from the one that rotates')
      worker.info({ i }, 'from the other one')
    }
    assert.deepEqual(readdirSync(folder), ['a.log'])
    assert.equal(keeper.rotate(), true)
    assert.equal(keeper.rotate(), false)
    worker.reopen()
    worker.info('after the rotation')
    assert.match(readFileSync(file, 'utf8'), /^\{"level":30,"time":\d+,"worker":3,"msg":"after the rotation"\}\n$/)
    const old = readdirSync(folder).find((name) => name !== 'a.log') as string
    assert.equal(readFileSync(path.join(folder, old), 'utf8').trim().split('\n').length, 10)
  }))
