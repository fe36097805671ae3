// Work that one process has begun and does not end, because it is killed or stopped: another takes it over in time, and a late one
// writes nothing. Real processes over one SQLite file, with the terms of the server.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { duePrefix, putDue } from '../../src/core/due.ts'
import { type SqliteStorage, sqliteStorage } from '../../src/storage/sqlite.ts'
import { newFolder } from '../process.ts'

/** What the documentation promises. */
const takeoverMs = 15_000

interface Worker {
  readonly child: ChildProcess
  /** Resolves when it has said the word. */
  said(word: string): Promise<void>
  output(): string
}

let folder: string
let file: string
let store: SqliteStorage
const workers: Worker[] = []

before(async () => {
  folder = newFolder()
  file = path.join(folder, 'jobs.db')
  store = await sqliteStorage({ path: file })
})
after(async () => {
  for (const { child } of workers) child.kill('SIGKILL')
  await store.close()
  rmSync(folder, { recursive: true, force: true })
})

async function worker(name: string, gate?: string): Promise<Worker> {
  const script = path.join(import.meta.dirname, 'jobs-node.ts')
  const args = ['--disable-warning=ExperimentalWarning', script, file, name, ...(gate ? [gate] : [])]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk
  })
  const made: Worker = {
    child,
    output: () => text,
    async said(word) {
      for (const limit = Date.now() + 60_000; !text.includes(`${word} ${name}\n`); await pause(5))
        if (Date.now() > limit) throw new Error(`${name} does not say "${word}": ${text}`)
    },
  }
  workers.push(made)
  await made.said('ready')
  return made
}

const work = (id: string): Promise<void> => store.update(async (tx) => putDue(tx, { kind: 'work', id, at: Date.now() }))
const doneBy = (): Promise<string[]> => store.view((tx) => tx.scan('by/'))

test('what a killed process had begun, another has taken over within 15 seconds', async (t) => {
  const dying = await worker('dying', path.join(folder, 'never'))
  await work('a')
  await dying.said('begins')
  const other = await worker('other')
  await pause(1_500)
  assert.deepEqual(await doneBy(), [], 'one at a time')
  dying.child.kill('SIGKILL')
  const began = performance.now()
  await other.said('begins')
  const took = performance.now() - began
  t.diagnostic(`taken over ${Math.round(took)} ms after the holder was killed`)
  assert.ok(took < takeoverMs, `${took} ms`)
  await other.said('ends')
  for (let i = 0; i < 200 && (await doneBy()).length === 0; i++) await pause(10)
  assert.deepEqual(await doneBy(), ['other/a'])
  other.child.kill('SIGKILL')
})

test('a process that was stopped and goes on after another took over writes nothing', async (t) => {
  const gate = path.join(folder, 'gate')
  const late = await worker('late', gate)
  await work('b')
  await late.said('begins')
  const quick = await worker('quick')
  late.child.kill('SIGSTOP')
  const began = performance.now()
  await quick.said('ends')
  const took = performance.now() - began
  t.diagnostic(`taken over ${Math.round(took)} ms after the holder was stopped`)
  assert.ok(took < takeoverMs, `${took} ms`)
  writeFileSync(gate, '')
  late.child.kill('SIGCONT')
  await late.said('ends')
  await pause(1_000)
  assert.deepEqual(await doneBy(), ['other/a', 'quick/b'])
  assert.deepEqual(await store.view((tx) => tx.scan(duePrefix)), [], 'nothing is done twice')
})
