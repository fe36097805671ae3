// Listeners as such: several of them, unix sockets, graceful stop.
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Handler } from '../core/exchange.ts'
import { startListeners } from './listener.ts'
import { ask, noCors, openWire, requestText, startRecorder } from './testing.ts'

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
const handler: Handler = {
  handle: async ({ listener, remoteAddress }) => ({
    status: 200,
    body: JSON.stringify({ ...listener, remoteAddress }),
  }),
  cors: () => noCors,
  bodyKind: () => 'json',
}
const log = { warn: () => {}, error: () => {} }
const plain = { disable: true }

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-http-'))
})
after(() => rm(folder, { recursive: true }))

test('several listeners serve together, each with its facts', async () => {
  const path = join(folder, 'a.sock')
  const server = await startListeners(
    [
      { type: 'tcp', address: '127.0.0.1:0', tls: plain, disableUnauthedRekey: true },
      { type: 'tcp', address: '[::1]:0', tls: plain },
      { type: 'unix', address: path, tls: plain, socketMode: '0640', disableUnauthedGenerateRoot: true },
    ],
    handler,
    { log },
  )
  const [four, six, unix] = server.addresses
  assert.match(four?.url ?? '', /^http:\/\/127\.0\.0\.1:\d+$/)
  assert.match(six?.url ?? '', /^http:\/\/\[::1\]:\d+$/)
  assert.deepEqual(unix, { type: 'unix', address: path, port: undefined, tls: false, url: `unix://${path}` })
  const first = JSON.parse((await ask({ port: four?.port ?? 0 }, 'GET', '/v1/a')).body)
  assert.deepEqual(first, {
    address: four?.address,
    tls: false,
    disableUnauthedRekey: true,
    disableUnauthedGenerateRoot: false,
    openMetrics: false,
    remoteAddress: '127.0.0.1',
  })
  assert.equal((await stat(path)).mode & 0o777, 0o640)
  const local = JSON.parse((await ask({ path }, 'LIST', '/v1/a')).body)
  assert.deepEqual([local.address, local.remoteAddress, local.disableUnauthedGenerateRoot], [path, '', true])
  await server.close(100)
  await assert.rejects(stat(path), /ENOENT/)
  await assert.rejects(ask({ port: four?.port ?? 0 }, 'GET', '/v1/a'), /ECONNREFUSED/)
})

test('a socket file left behind is replaced, a live one and other files are not', async () => {
  const path = join(folder, 'b.sock')
  const config = { type: 'unix', address: path, tls: plain } as const
  const live = await startListeners([config], handler, { log })
  await assert.rejects(startListeners([config], handler, { log }), /in use/)
  assert.equal((await ask({ path }, 'GET', '/v1/a')).status, 200)
  await live.close(0)
  // A process that was killed leaves its file.
  const { spawnSync } = await import('node:child_process')
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ])
  assert.ok((await stat(path)).isSocket())
  const again = await startListeners([config], handler, { log })
  assert.equal((await ask({ path }, 'GET', '/v1/a')).status, 200)
  await again.close(0)
  await writeFile(path, 'precious')
  await assert.rejects(startListeners([config], handler, { log }), /is no socket/)
})

test('all listeners start or none', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await wait(20)
  const { port } = taken.address() as { port: number }
  const path = join(folder, 'c.sock')
  const configs = [
    { type: 'unix', address: path, tls: plain },
    { type: 'tcp', address: `127.0.0.1:${port}`, tls: plain },
  ] as const
  await assert.rejects(
    startListeners(configs, handler, { log }),
    new RegExp(`cannot listen on 127.0.0.1:${port}: EADDRINUSE`),
  )
  await assert.rejects(stat(path), /ENOENT/)
  taken.close()
  for (const address of ['nonsense', '127.0.0.1', '127.0.0.1:99999', 'a:b:1'])
    await assert.rejects(
      startListeners([{ type: 'tcp', address, tls: plain }], handler, { log }),
      /not host:port/,
      address,
    )
  await assert.rejects(
    startListeners([{ type: 'unix', address: path, tls: plain, socketUser: 'no-such-user-here' }], handler, { log }),
    /socket_user/,
  )
})

test('a stop lets requests under way finish and ends idle connections', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  http.handler.reply = async () => {
    await wait(150)
    return { status: 200, body: '{"whole":true}' }
  }
  const idle = await openWire(http)
  const fresh = connect(http.port, '127.0.0.1')
  const busy = await openWire(http)
  await busy.send(requestText('LIST', '/v1/slow'))
  await wait(40)
  const start = performance.now()
  const closed = http.server.close(5000)
  await idle.closed()
  await assert.rejects(openWire(http), /ECONNREFUSED/)
  const { status, body, headers } = await busy.answer()
  assert.deepEqual([status, body, headers['connection']], [200, '{"whole":true}', 'close'])
  await busy.closed()
  await closed
  assert.ok(performance.now() - start < 2000)
  fresh.destroy()
})

test('a stop sends large answers whole to slow clients', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  const large = 'x'.repeat(8_000_000)
  http.handler.reply = () => ({ status: 200, body: large })
  const slow = await openWire(http)
  slow.socket.pause()
  await slow.send(requestText('GET', '/v1/large'))
  await wait(50)
  const closed = http.server.close(5000)
  await wait(100)
  slow.socket.resume()
  assert.equal((await slow.answer()).body.length, large.length)
  slow.destroy()
  await closed
})

test('a stop waits no longer than it was told', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  http.handler.reply = () => new Promise(() => {})
  const stuck = await openWire(http)
  await stuck.send(requestText('GET', '/v1/never'))
  await wait(30)
  const start = performance.now()
  await http.server.close(150)
  const took = performance.now() - start
  assert.ok(took >= 140 && took < 2000, `${took} ms`)
  await assert.rejects(stuck.answer(), /ended/)
})
