// Two processes write to one file and are killed at any moment, again and again: the log still verifies, and what was accepted is there.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Anchor } from './chain.ts'
import { auditSigner } from './signer.ts'
import { folder, verifyFiles } from './testing.ts'

const rounds = 6

interface Writer {
  readonly child: ChildProcess
  /** Resolves when entries have been accepted. */
  readonly writes: Promise<void>
}

const here = (name: string): string => JSON.stringify(fileURLToPath(new URL(name, import.meta.url)))

/** A process that audits without end and prints the ids that were accepted. */
const code = `
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { auditBroker } from ${here('./broker.ts')}
import { auditSigner } from ${here('./signer.ts')}
import { fileDevice, memoryLogger, pair } from ${here('./testing.ts')}
const [file, dir, key] = process.argv.slice(-3)
const anchors = {
  load: async () => Promise.all((await readdir(dir)).filter((name) => name.endsWith('.json'))
    .map(async (name) => JSON.parse(await readFile(dir + '/' + name, 'utf8')))),
  save: async (_device, anchor) => {
    const path = dir + '/' + anchor.chain
    await writeFile(path + '.' + process.pid, JSON.stringify(anchor))
    await rename(path + '.' + process.pid, path + '.json')
  },
  remove: (_device, chain) => rm(dir + '/' + chain + '.json', { force: true }),
}
const signer = auditSigner(Buffer.from(key, 'base64'))
const limits = { checkpointLines: 50, checkpointMs: 30 }
const broker = auditBroker({ now: Date.now, signer, anchors, logger: memoryLogger(), limits })
await broker.sync([fileDevice(file)])
for (;;) {
  const events = Array.from({ length: 8 }, pair)
  await Promise.all(events.map((two) => broker.record(two)))
  process.stdout.write(events.map(([first]) => first.request.id + '\\n').join(''))
  await new Promise((resolve) => setTimeout(resolve, 1))
}`

test('a log written by processes that are killed verifies and holds what was accepted', async (t) => {
  const dir = await folder(t)
  const file = join(dir, 'audit.log')
  const anchorDir = join(dir, 'anchors')
  await mkdir(anchorDir)
  const script = join(dir, 'writer.ts')
  await writeFile(script, code)
  const signer = auditSigner()
  const key = signer.exportPrivate().toString('base64')
  const accepted: string[] = []
  const start = (): Writer => {
    const child = spawn(process.execPath, [script, file, anchorDir, key], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    const writes = new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString()
        resolve()
      })
      child.once('close', resolve)
    })
    child.on('close', () => accepted.push(...text.split('\n').slice(0, -1)))
    return { child, writes }
  }
  /** Kills a process at some moment after it has begun to write. */
  const kill = async ({ child, writes }: Writer): Promise<void> => {
    await writes
    await delay(Math.random() * 150)
    const closed = new Promise((resolve) => child.once('close', resolve))
    assert.ok(child.kill('SIGKILL'), 'the writer ended by itself')
    await closed
  }
  let [one, two] = [start(), start()]
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      await kill(one)
      one = start()
    } else {
      await kill(two)
      two = start()
    }
  }
  await Promise.all([kill(one), kill(two)])
  const names = (await readdir(anchorDir)).filter((name) => name.endsWith('.json'))
  const anchors = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(anchorDir, name), 'utf8')) as Anchor),
  )
  const report = await verifyFiles([file], { publicKey: signer.publicKey, anchors })
  assert.equal(report.finding, undefined)
  assert.ok(report.chains.length > rounds / 2 && accepted.length > 8 * rounds)
  const text = await readFile(file, 'utf8')
  const written = new Set(Array.from(text.matchAll(/"request":\{"id":"([^"]+)"/g), ([, id]) => id))
  const missing = accepted.filter((id) => !written.has(id))
  assert.deepEqual(missing, [])
})
