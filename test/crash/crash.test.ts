// Writers over HTTP, a server that is killed at random moments, and the question after each start: is everything there that was
// acknowledged, is nothing half there, does the audit log hold together and name every acknowledged request?
// COFFER_CRASH_ROUNDS sets the number of rounds, COFFER_CRASH_SEED repeats a run.
import assert from 'node:assert/strict'
import { createReadStream, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { readPublicKeys } from '../../src/audit/signer.ts'
import { type KnownAnchor, verifyLog } from '../../src/audit/verify.ts'
import { freePort, newFolder, type ServerProcess, spawnServer, startDurable } from '../process.ts'
import { ledger } from './ledger.ts'
import { randomOf } from './random.ts'

const rounds = Number(process.env['COFFER_CRASH_ROUNDS'] ?? 50)
const seed = Number(process.env['COFFER_CRASH_SEED'] ?? Date.now() % 1_000_000)
const writers = 6

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Follows the audit log: what it says of requests that were answered. */
function auditReader(file: string) {
  const ids = new Set<string>()
  const answered = new Map<string, number>()
  let offset = 0
  return {
    ids,
    /** Answers to writes, by path. */
    answered,
    read() {
      const bytes = readFileSync(file)
      const end = bytes.lastIndexOf(0x0a) + 1
      for (const line of bytes.toString('utf8', offset, end).split('\n')) {
        // A write that was cut short stands before the line that closes it.
        const start = line.indexOf('{"time":')
        if (start < 0) continue
        let entry: { type?: string; error?: string; request?: { id: string; path: string; operation: string } }
        try {
          entry = JSON.parse(line.slice(line.lastIndexOf('{"time":')))
        } catch {
          continue
        }
        if (entry.type !== 'response' || !entry.request) continue
        ids.add(entry.request.id)
        if (!entry.error && ['create', 'update', 'delete'].includes(entry.request.operation))
          answered.set(entry.request.path, (answered.get(entry.request.path) ?? 0) + 1)
      }
      offset = end
    },
  }
}

/** The key that signs, and how far the log must reach. */
async function auditFacts(server: ServerProcess) {
  const { status, body } = await server.call('GET', 'sys/x/audit/verification')
  assert.equal(status, 200, JSON.stringify(body))
  const devices = body.data.devices as { accessor: string; anchors: Omit<KnownAnchor, 'device'>[] }[]
  return {
    publicKey: readPublicKeys(body.data.public_key),
    anchors: devices.flatMap(({ accessor, anchors }) => anchors.map((anchor) => ({ ...anchor, device: accessor }))),
  }
}

test(`${rounds} rounds of kill -9 lose nothing that was acknowledged`, { timeout: 900_000 }, async (t) => {
  t.diagnostic(`seed ${seed} (COFFER_CRASH_SEED)`)
  const random = randomOf(seed)
  const folder = newFolder()
  const auditFile = path.join(folder, 'audit.log')
  const extra = `audit "file" "file" {\n  options { file_path = "${auditFile}" }\n}`
  const port = await freePort()
  let server = await startDurable({ folder, port, extra })
  const { rootToken } = server
  const restart = () => startDurable({ folder, port, extra, rootToken })
  try {
    for (const [at, version] of [
      ['one', '1'],
      ['two', '2'],
    ])
      assert.equal((await server.call('POST', `sys/mounts/${at}`, { type: 'kv', options: { version } })).status, 204)
    const book = ledger(random)
    const log = auditReader(auditFile)
    let killedAtStart = 0
    for (let round = 0; round < rounds; round++) {
      let running = true
      const working = Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          while (running) if (!(await book.write(server, writer, round))) return
        }),
      )
      // Told when it is awaited, below.
      working.catch(() => undefined)
      await pause(100 + random.below(500))
      await server.end('SIGKILL')
      running = false
      await working
      if (random.below(4) === 0) {
        // Killed while it starts: whatever opening, unsealing and closing a torn log have done so far, the next start does.
        const child = spawnServer([`-config=${path.join(folder, 'coffer.hcl')}`])
        await pause(random.below(900))
        child.kill('SIGKILL')
        await new Promise((resolve) => child.once('exit', resolve))
        killedAtStart++
      }
      server = await restart()
      await book.check(server, round === rounds - 1)
      log.read()
      for (const id of book.takeRequestIds()) assert.ok(log.ids.has(id), `request ${id} is not in the audit log`)
      for (const [at, count] of book.acknowledgedPaths())
        assert.ok(
          (log.answered.get(at) ?? 0) >= count,
          `${at}: ${count} acknowledged, ${log.answered.get(at)} in the log`,
        )
      const report = await verifyLog(
        [{ name: auditFile, chunks: createReadStream(auditFile) }],
        await auditFacts(server),
      )
      assert.deepEqual(report.finding, undefined, `round ${round}`)
      assert.equal(report.lost, 0)
    }
    await server.end('SIGTERM')
    t.diagnostic(
      `${rounds} rounds, ${killedAtStart} more kills during start, ${book.acknowledged()} acknowledged writes (${book.summary()}), ${log.ids.size} audited answers`,
    )
    assert.ok(book.acknowledged() > rounds * 10, 'too little was written to prove anything')
  } finally {
    await server.remove()
  }
})
