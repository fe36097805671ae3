// What happens when processes of a server with workers die: a worker, its supervisor, or one that cannot start.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { after, test } from 'node:test'
import { coffer, freePort, newFolder, type ServerProcess, startDurable, writeConfig } from '../process.ts'
import {
  type Ask,
  alive,
  allServe,
  asker,
  countOf,
  enough,
  inRow,
  many,
  pidsOf,
  removePool,
  until,
  verifyAudit,
} from './pool.ts'

const servers: ServerProcess[] = []
after(async () => {
  for (const server of servers) await removePool(server)
})
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Two workers with one audit file. */
async function audited(): Promise<{ server: ServerProcess; ask: Ask; log: string }> {
  const folder = newFolder()
  const log = path.join(folder, 'audit.log')
  const extra = `workers = 2\naudit "file" "file" {\n  options { file_path = "${log}" }\n}\n`
  const server = await startDurable({ folder, extra })
  servers.push(server)
  await allServe(server)
  return { server, ask: asker(server), log }
}

test('a worker that is killed under load takes nothing along: the others go on, a new one serves', {
  timeout: 120_000,
}, async () => {
  const { server, ask, log } = await audited()
  assert.equal((await ask('POST', 'sys/mounts/v2', { type: 'kv', options: { version: '2' } })).status, 204)
  const acknowledged = new Map<string, number>()
  const ids: string[] = []
  let running = true
  let cut = 0
  let refused = 0
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const at = `v2/data/${writer}`
    while (running) {
      const answer = await ask('PUT', at, { data: { value: 'x' } }).catch(() => undefined)
      if (answer?.status === 200) {
        acknowledged.set(at, answer.body.data.version)
        ids.push(answer.body.request_id)
      } else if (answer) refused++
      else cut++
    }
  })
  try {
    for (const number of [1, 2, 1]) {
      await pause(700)
      const pid = pidsOf(server).get(number) as number
      const before = ids.length
      process.kill(pid, 'SIGKILL')
      await until(server, 'the other worker goes on meanwhile', () => ids.length > before + 8)
      await until(server, 'a new worker serves', () => pidsOf(server).get(number) !== pid)
    }
    await pause(500)
  } finally {
    running = false
    await Promise.all(writers)
  }
  // A killed worker answers nobody; what it had accepted is cut, a few connections at most.
  assert.equal(refused, 0)
  assert.ok(cut <= 3 * 8, `${cut} cut`)
  for (const [at, version] of acknowledged) {
    const found = await ask('GET', at)
    assert.ok(found.body.data.metadata.version >= version, `${at}: ${version} was acknowledged`)
  }
  // Both serve, unsealed, and the log holds: chains of five processes in one file, three of them torn off.
  assert.equal(countOf(await many(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
  const text = readFileSync(log, 'utf8')
  for (const id of ids) assert.ok(text.includes(id), `request ${id} is not in the audit log`)
  await pause(3500)
  const { report, anchors } = await verifyAudit(ask, [log])
  assert.equal(report.finding, undefined)
  assert.equal(report.lost, 0)
  assert.equal(report.chains.length, 5)
  assert.ok(anchors.length >= 2, 'both workers keep their anchors')
  assert.equal(await server.end('SIGTERM'), 0)
})

test('a supervisor that is killed leaves no worker behind, and its port is free', async () => {
  const { server } = await audited()
  const pids = [...pidsOf(server).values()]
  await server.end('SIGKILL')
  await until(server, 'the workers end by themselves', () => !pids.some(alive))
  const { folder, rootToken } = server
  const port = Number(new URL(server.url).port)
  const again = await startDurable({ folder, port, rootToken, args: ['-workers=2'] })
  servers.push(again)
  await allServe(again)
  const ask = asker(again)
  assert.equal(countOf(await many(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
})

test('SIGTERM to one worker is a restart, not an end', async () => {
  const { server, ask } = await audited()
  const pid = pidsOf(server).get(2) as number
  // What somebody writes for the next start does not concern a worker that takes the place of another.
  writeFileSync(path.join(server.folder, 'coffer.hcl'), 'half a config {')
  process.kill(pid, 'SIGTERM')
  await until(server, 'a new worker serves', () => pidsOf(server).get(2) !== pid)
  assert.equal(countOf(await inRow(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
})

/** Runs `coffer server` until it ends by itself. */
function ends(args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(coffer, ['server', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      text += piece
    })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, text })))
}

test('what keeps a server from starting is told once, with an exit code', async (t) => {
  const folder = newFolder()
  const taken = createServer().listen(0, '127.0.0.1')
  t.after(() => taken.close())
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as { port: number }
  const inUse = await ends([`-config=${writeConfig(folder, port)}`, '-workers=2'])
  assert.deepEqual(inUse, { code: 1, text: `cannot listen on 127.0.0.1:${port}: EADDRINUSE\n` })

  // One that only a worker finds: the store is no store.
  const file = writeConfig(folder, await freePort(), { extra: 'workers = 3' })
  writeFileSync(path.join(folder, 'coffer.db'), 'something else entirely')
  const noStore = await ends([`-config=${file}`])
  assert.equal(noStore.code, 1)
  assert.match(noStore.text, /coffer\.db is not a coffer store/)
  assert.equal(noStore.text.match(/not a coffer store/g)?.length, 1)

  const other = path.join(folder, 'inmem.hcl')
  writeFileSync(other, 'storage "inmem" {}\nlistener "tcp" {\n  tls_disable = true\n}\nworkers = "auto"\n')
  const inMemory = await ends([`-config=${other}`])
  assert.equal(inMemory.code, 1)
  assert.match(inMemory.text, /storage "inmem" lies in the memory of one process/)
  assert.equal((await ends([`-config=${file}`, '-workers=none'])).code, 1)
  assert.match((await ends(['-dev', '-workers=2'])).text, /-workers does not go with -dev/)
})

test('two servers never share a port by mistake', async () => {
  const { server } = await audited()
  const port = Number(new URL(server.url).port)
  const file = writeConfig(newFolder(), port)
  for (const workers of ['1', '2']) {
    const second = await ends([`-config=${file}`, `-workers=${workers}`])
    assert.deepEqual(second, { code: 1, text: `cannot listen on 127.0.0.1:${port}: EADDRINUSE\n` })
  }
})
