import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { readFile, rename, rm } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { folder } from '../testing.ts'
import { type SinkHarness, sinkContract } from './contract.ts'
import { fileSink } from './file.ts'
import { httpSink } from './http.ts'
import { SinkError } from './sink.ts'
import { socketSink } from './socket.ts'
import { discardSink } from './stream.ts'
import { syslogHead, syslogSink } from './syslog.ts'

const linesOf = (text: string): string[] => text.split('\n').slice(0, -1)

/** A server that keeps what it reads. */
async function listener(t: TestContext, where: { path: string } | { port: number }) {
  const sockets = new Set<Socket>()
  const chunks: Buffer[] = []
  const serve = (at: object): Promise<Server> =>
    new Promise((resolve) => {
      const server = createServer((socket) => {
        sockets.add(socket)
        socket.on('data', (data) => chunks.push(Buffer.from(data as Buffer)))
        socket.on('error', () => {})
        socket.on('close', () => sockets.delete(socket))
      })
      server.listen({ ...at, host: '127.0.0.1' }, () => resolve(server))
    })
  let server = await serve(where)
  const at = 'path' in where ? where : { port: (server.address() as AddressInfo).port }
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  t.after(stop)
  return {
    at,
    text: () => Buffer.concat(chunks).toString(),
    stop,
    async start() {
      server = await serve(at)
    },
  }
}

sinkContract('file', async (t): Promise<SinkHarness> => {
  const dir = await folder(t)
  const path = join(dir, 'sub.log')
  let away = false
  const { write, ...io } = await import('node:fs')
  const failing = ((...args: Parameters<typeof write>) => {
    const done = args.at(-1) as unknown as (error: Error) => void
    if (away) setImmediate(() => done(Object.assign(new Error('no space left'), { code: 'ENOSPC' })))
    else write(...args)
  }) as unknown as typeof write
  return {
    sink: fileSink({ kind: 'file', path, mode: 0o600 }, { ...io, write: failing }),
    received: async () => linesOf(await readFile(path, 'utf8')),
    breakIt: async () => {
      away = true
    },
    mend: async () => {
      away = false
    },
    tells: true,
  }
})

for (const network of ['tcp', 'unix'] as const)
  sinkContract(network, async (t): Promise<SinkHarness> => {
    const server = await listener(t, network === 'tcp' ? { port: 0 } : { path: join(await folder(t), 's') })
    const address =
      'port' in server.at
        ? ({ network: 'tcp', host: '127.0.0.1', port: server.at.port, family: 0 } as const)
        : ({ network: 'unix', path: server.at.path } as const)
    return {
      sink: socketSink({ kind: 'socket', address, timeoutMs: 1000 }),
      received: async () => linesOf(server.text()),
      breakIt: server.stop,
      mend: server.start,
      tells: true,
    }
  })

sinkContract('udp', async (t): Promise<SinkHarness> => {
  const got: string[] = []
  const open = (port: number) =>
    new Promise<ReturnType<typeof createSocket>>((resolve) => {
      const made = createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024 })
      made.on('message', (data) => got.push(data.toString().replace(/\n$/, '')))
      made.bind(port, '127.0.0.1', () => resolve(made))
    })
  let socket = await open(0)
  const { port } = socket.address()
  t.after(() => socket.close())
  return {
    sink: socketSink({
      kind: 'socket',
      address: { network: 'udp', host: '127.0.0.1', port, family: 4 },
      timeoutMs: 1000,
    }),
    received: async () => got,
    breakIt: async () => void (await new Promise<void>((resolve) => socket.close(resolve))),
    mend: async () => {
      socket = await open(port)
    },
    tells: false,
  }
})

sinkContract('http', async (t): Promise<SinkHarness> => {
  const bodies: string[] = []
  let status = 204
  const server = createHttpServer((request, answer) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      assert.equal(request.headers['content-type'], 'application/x-ndjson')
      assert.equal(request.headers['x-key'], 'k')
      if (status === 204) bodies.push(Buffer.concat(chunks).toString())
      answer.writeHead(status).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    sink: httpSink({
      kind: 'http',
      url: `http://127.0.0.1:${port}/audit`,
      headers: { 'X-Key': ['k'] },
      timeoutMs: 1000,
    }),
    received: async () => linesOf(bodies.join('')),
    breakIt: async () => {
      status = 302
    },
    mend: async () => {
      status = 204
    },
    tells: true,
  }
})

test('syslog over TCP counts its messages, over UDP sends one each', async (t) => {
  const server = await listener(t, { port: 0 })
  if (!('port' in server.at)) return
  const target = { kind: 'syslog', timeoutMs: 1000, facility: 4, tag: 'coffer', rfc: 5424 } as const
  const sink = syslogSink({
    ...target,
    address: { network: 'tcp', host: '127.0.0.1', port: server.at.port, family: 0 },
  })
  await sink.open()
  await sink.write(['{"é":1}', '{"n":2}'])
  await new Promise((resolve) => setTimeout(resolve, 50))
  await sink.close()
  let rest = Buffer.from(server.text())
  const messages: string[] = []
  while (rest.length > 0) {
    const space = rest.indexOf(' ')
    const bytes = Number(rest.subarray(0, space).toString())
    messages.push(rest.subarray(space + 1, space + 1 + bytes).toString())
    rest = rest.subarray(space + 1 + bytes)
  }
  assert.equal(messages.length, 2)
  assert.match(messages[0] ?? '', /^<38>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ coffer \d+ - - \{"é":1\}$/)
  assert.ok(messages[1]?.endsWith(' {"n":2}'))
})

test('syslog heads of both kinds', () => {
  const at = new Date(2024, 4, 5, 6, 7, 8).getTime()
  assert.equal(
    syslogHead({ facility: 16, tag: 'vault', rfc: 3164 }, at, 'host'),
    `<134>May  5 06:07:08 host vault[${process.pid}]: `,
  )
})

test('a line that no datagram can hold is refused by size', () => {
  const address = { network: 'udp', host: '127.0.0.1', port: 9, family: 4 } as const
  assert.ok(
    syslogSink({ kind: 'syslog', address, timeoutMs: 10, facility: 4, tag: 'x', rfc: 5424 }).lineBytesMax < 65_507,
  )
})

test('a peer that reads nothing fails a write after its time', async (t) => {
  const sockets: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const sink = socketSink({
    kind: 'socket',
    address: { network: 'tcp', host: '127.0.0.1', port, family: 0 },
    timeoutMs: 100,
  })
  await sink.open()
  await assert.rejects(sink.write(['x'.repeat(32 * 1024 * 1024)]), SinkError)
  await sink.close()
})

test('a file that is no file is refused without waiting for it', async (t) => {
  const dir = await folder(t)
  const fifo = join(dir, 'fifo')
  await new Promise((resolve) => spawn('mkfifo', [fifo]).on('close', resolve))
  for (const path of [fifo, dir, '/dev/full', join(dir, 'no', 'file')])
    await assert.rejects(fileSink({ kind: 'file', path, mode: 0o600 }).open(), SinkError, path)
})

test('tells how the file was taken away', async (t) => {
  const path = join(await folder(t), 'a.log')
  const sink = fileSink({ kind: 'file', path, mode: 0o600 })
  await sink.open()
  await sink.write(['one'])
  assert.equal(await sink.moved(), undefined)
  await rename(path, `${path}.1`)
  assert.equal(await sink.moved(), 'deleted')
  await sink.reopen()
  assert.equal(await sink.moved(), undefined)
  await rm(path)
  await rename(`${path}.1`, path)
  assert.equal(await sink.moved(), 'replaced')
  await sink.close()
})

test('standard output is written in whole even when the pipe is slow', async () => {
  const stream = fileURLToPath(new URL('./stream.ts', import.meta.url))
  const code = `import { streamSink } from ${JSON.stringify(stream)}
    const sink = streamSink(1)
    await sink.write(Array.from({ length: 300 }, (_, i) => i + 'x'.repeat(1000)))`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const chunks: Buffer[] = []
  await new Promise((resolve) => setTimeout(resolve, 300))
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  assert.equal(await new Promise((resolve) => child.on('close', resolve)), 0)
  assert.equal(linesOf(Buffer.concat(chunks).toString()).length, 300)
})

test('discard takes everything', async () => {
  const sink = discardSink()
  await sink.open()
  await sink.write(['x'])
  await sink.close()
})
