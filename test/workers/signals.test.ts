// Signals to a server with workers, and all its kinds of listeners: TLS, unix sockets, the PROXY protocol, several at once.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { testCertificate } from '../../src/http/testing-certificate.ts'
import { freePort, newFolder, type ServerProcess, startDurable } from '../process.ts'
import {
  type Ask,
  alive,
  allServe,
  asker,
  countOf,
  enough,
  inRow,
  pidsOf,
  removePool,
  servedBy,
  tellsWorkers,
  until,
  verifyAudit,
} from './pool.ts'

let server: ServerProcess
let ask: Ask
let tlsPort: number
let proxyPort: number
const folder = newFolder()
const at = (name: string) => path.join(folder, name)

const writeCertificate = (name: string): void => {
  const { cert, key } = testCertificate(name)
  writeFileSync(at('tls.crt'), cert)
  writeFileSync(at('tls.key'), key, { mode: 0o600 })
}

before(async () => {
  tlsPort = await freePort()
  proxyPort = await freePort()
  writeCertificate('first')
  const extra = `workers = 2
${tellsWorkers}
pid_file = "${at('pid')}"
listener "tcp" {
  address = "127.0.0.1:${tlsPort}"
  tls_cert_file = "${at('tls.crt')}"
  tls_key_file = "${at('tls.key')}"
}
listener "unix" {
  address = "${at('sock')}"
  socket_mode = "0660"
}
listener "tcp" {
  address = "127.0.0.1:${proxyPort}"
  tls_disable = true
  proxy_protocol_behavior = "use_always"
}
audit "file" "file" {
  options { file_path = "${at('audit.log')}" }
}
`
  server = await startDurable({ folder, extra })
  await allServe(server)
  ask = asker(server)
  assert.equal((await ask('POST', 'sys/mounts/v1', { type: 'kv' })).status, 204)
})
after(() => removePool(server))

/** The name in the certificate of a new connection. */
const certificateName = (): Promise<string> =>
  new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: tlsPort,
      path: '/v1/sys/health',
      agent: false,
      rejectUnauthorized: false,
    }
    const asked = request(options, (response) => {
      const { subject } = (response.socket as TLSSocket).getPeerCertificate()
      response.resume()
      response.once('end', () => resolve(String(subject.CN)))
    })
    asked.once('error', reject)
    asked.end()
  })

test('unix sockets: all workers accept, with the mode that was asked for', async () => {
  assert.equal(statSync(at('sock')).mode & 0o777, 0o660)
  const before = servedBy(server)
  const over = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const asked = plainRequest(
        {
          socketPath: at('sock'),
          path: '/v1/auth/token/lookup-self',
          agent: false,
          headers: { 'x-vault-token': server.rootToken },
        },
        (response) => {
          response.resume()
          response.once('end', () => resolve(response.statusCode ?? 0))
        },
      )
      asked.once('error', reject)
      asked.end()
    })
  for (let round = 0; round < 20; round++) {
    const codes = await Promise.all(Array.from({ length: 20 }, over))
    assert.ok(codes.every((code) => code === 200))
  }
  const served = servedBy(server)
  for (const worker of [1, 2]) assert.ok((served.get(worker) ?? 0) > (before.get(worker) ?? 0), `worker ${worker}`)
})

test('the PROXY protocol: the address of the client is known on all workers', async () => {
  const over = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(proxyPort, '127.0.0.1')
      let text = ''
      socket.on('data', (piece) => {
        text += piece
      })
      socket.once('error', reject)
      socket.once('close', () => resolve(text))
      socket.write(
        `PROXY TCP4 198.51.100.7 192.0.2.10 4711 8080\r\nGET /v1/auth/token/lookup-self HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Vault-Token: ${server.rootToken}\r\n\r\n`,
      )
    })
  for (let index = 0; index < enough; index++) assert.match(await over(), /^HTTP\/1\.1 200/)
  const logged = server
    .output()
    .split('\n')
    .filter((line) => line.includes('remoteAddress=198.51.100.7'))
  assert.deepEqual(new Set(logged.map((line) => /worker=(\d)/.exec(line)?.[1])), new Set(['1', '2']))
})

test('SIGHUP: all workers take the new certificate and begin the audit log anew', async () => {
  assert.equal(await certificateName(), 'first')
  writeCertificate('second')
  renameSync(at('audit.log'), at('audit.log.1'))
  process.kill(server.child.pid as number, 'SIGHUP')
  const reloads = () => server.output().match(/\[INFO\] reloaded worker=/g)?.length ?? 0
  await until(server, 'both have reloaded', () => reloads() >= 2)
  const names = await inRow(enough, async () => ({
    status: (await certificateName()) === 'second' ? 200 : 0,
    body: null,
    headers: new Headers(),
  }))
  assert.equal(countOf(names, 200), enough)
  assert.equal(countOf(await inRow(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
  const { report } = await verifyAudit(ask, [at('audit.log.1'), at('audit.log')])
  assert.equal(report.finding, undefined)
  assert.equal(report.chains.length, 2)
})

test('a signal to the whole group of processes, as systemd sends it, does no harm', async () => {
  const before = pidsOf(server)
  for (const pid of [server.child.pid as number, ...before.values()]) process.kill(pid, 'SIGHUP')
  assert.equal(countOf(await inRow(enough, () => ask('GET', 'sys/health', undefined, '')), 200), enough)
  assert.deepEqual(pidsOf(server), before)
})

test('no process tells a secret in its arguments or environment', {
  skip: process.platform !== 'linux' && 'reads /proc',
}, () => {
  for (const pid of [server.child.pid as number, ...pidsOf(server).values()])
    for (const file of ['cmdline', 'environ']) {
      const text = readFileSync(`/proc/${pid}/${file}`, 'latin1')
      assert.ok(!text.includes(Buffer.alloc(32, 7).toString('base64')) && !text.includes(server.rootToken))
    }
})

test('SIGTERM: requests under way are answered, nothing is left behind', async () => {
  assert.equal(Number(readFileSync(at('pid'), 'utf8')), server.child.pid)
  const pids = [...pidsOf(server).values()]
  // Bodies that are still being sent when the signal comes, over so many connections that both workers have some.
  const slow = Array.from({ length: 12 }, (_, index) => {
    const { port } = new URL(server.url)
    const options = {
      host: '127.0.0.1',
      port,
      method: 'PUT',
      path: `/v1/v1/slow${index}`,
      agent: false,
      headers: { 'x-vault-token': server.rootToken },
    }
    const answered = Promise.withResolvers<number>()
    const asked = plainRequest(options, (response) => {
      response.resume()
      answered.resolve(response.statusCode ?? 0)
    })
    asked.once('error', answered.reject)
    asked.write('{"value":')
    return { asked, answered: answered.promise }
  })
  await new Promise((resolve) => setTimeout(resolve, 300))
  const ended = server.end('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (const { asked } of slow) asked.end('"whole"}')
  assert.deepEqual(
    await Promise.all(slow.map(({ answered }) => answered)),
    slow.map(() => 204),
  )
  assert.equal(await ended, 0)
  assert.ok(!pids.some(alive))
  for (const name of ['pid', 'sock', 'coffer.db-wal']) assert.ok(!existsSync(at(name)), name)
})

test('a log file is written by all and rotated by one', async (t) => {
  const place = newFolder()
  const logs = path.join(place, 'coffer.log')
  const extra = `workers = 2\n${tellsWorkers}log_file = "${logs}"\nlog_rotate_bytes = 20000\n`
  const other = await startDurable({ folder: place, extra })
  t.after(() => removePool(other))
  await allServe(other)
  const askOther = asker(other)
  const files = () => readdirSync(place).filter((name) => /^coffer.*\.log$/.test(name))
  const told = () => files().flatMap((name) => readFileSync(path.join(place, name), 'utf8').split('\n'))
  let asked = 0
  await until(other, 'the log is rotated', async () => {
    asked += countOf(await inRow(50, () => askOther('GET', 'auth/token/lookup-self')), 200)
    return files().length >= 3
  })
  const requests = told().filter((line) => line.includes('path=auth/token/lookup-self'))
  assert.equal(requests.length, asked, 'no line is lost')
  assert.deepEqual(new Set(requests.map((line) => /worker=(\d)/.exec(line)?.[1])), new Set(['1', '2']))
  for (const name of files()) assert.equal(statSync(path.join(place, name)).mode & 0o777, 0o600, name)
})
