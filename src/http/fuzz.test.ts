// Malformed input at the edge: whatever comes, the server answers or hangs up; it neither crashes nor hangs nor says 500, and the handler
// sees only what keeps its promises. Seeded: a failure names the case that makes it again.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import type { ClientRequest } from '../core/exchange.ts'
import { ask, type Recorder, startRecorder } from './testing.ts'

const cases = 1500
const budgetMs = 6000
const seed = 20_260_726

/** mulberry32: small, seeded, good enough to be unpleasant. */
function randomFrom(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

type Random = () => number
const below = (random: Random, n: number): number => Math.floor(random() * n)
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T
const randomBytes = (random: Random, n: number): Buffer =>
  Buffer.from(Array.from({ length: n }, () => below(random, 256)))

const methods = [
  ...Array<string>(8).fill('POST'),
  ...Array<string>(4).fill('GET'),
  ...Array<string>(4).fill('LIST'),
  'GET',
  'LIST',
  'SCAN',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'LINK',
  'FOO',
  'LISTS',
  'LIS',
  'list',
  'CONNECT',
  'TRACE',
  'UNLIST',
  'M-SCAN',
  'PRI',
  'DESCRIBE',
  '',
  'G\u0000T',
  'A'.repeat(60),
]
const pieces = [
  'a',
  'secret',
  'data',
  '..',
  '.',
  '',
  '%2f',
  '%2F..%2f',
  '%2e%2e',
  '%00',
  '%',
  '%zz',
  '%c0%ae',
  '%ff',
  'é',
  '\\',
  '%E2%80%8B',
  'x'.repeat(300),
  '?',
  '??list=true',
  '#',
  ';',
  '//',
  '+',
  '%25%32%65',
  '\u0001',
  ' ',
  '\t',
  '*',
  '__proto__',
  '%F0%9F%94%91',
]
const queries = [
  '',
  '',
  '?',
  '?list=true',
  '?list=x',
  '?scan=1&list=1',
  '?help=1',
  '?a=%',
  '?__proto__=x',
  '?=&&==',
  '?%ff=%ff',
  `?${'a=b&'.repeat(50)}`,
]
const headerLines = [
  'X-Vault-Token: t',
  'X-Vault-Token:',
  'X-Vault-Namespace: ../a',
  'X-Vault-Namespace: a/b/',
  'X-Vault-Wrap-TTL: 60s',
  'X-Vault-Wrap-TTL: 1e999',
  'X-Vault-Wrap-TTL: -1',
  'Authorization: Bearer',
  'Authorization: Bearer x',
  'Expect: 100-continue',
  'Expect: tea',
  'Connection: close',
  'Connection: upgrade',
  'Upgrade: websocket',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip',
  'Content-Length: 5',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Content-Type: application/x-www-form-urlencoded',
  'Content-Type: application/merge-patch+json',
  'Origin: null',
  'X-Forwarded-For: 1.1.1.1',
  'Bad Header: x',
  ': x',
  ' folded',
  'X: \u0000',
  `X-Big: ${'y'.repeat(9000)}`,
  'Host: b',
  '__proto__: x',
  'constructor: y',
]
const bodies = [
  '',
  '{}',
  '{"a":1}',
  '{"a":',
  '[1]',
  'null',
  '"x"',
  '{"__proto__":{"a":1}}',
  `{"a":${'['.repeat(5000)}`,
  `${'{"a":'.repeat(400)}1${'}'.repeat(400)}`,
  '{"a":1e999999}',
  `{"n":${'9'.repeat(3000)}}`,
  '{"a":"\\ud800"}',
  'a=b&c=%',
  '\ufeff{}',
  '{"a":1}{"b":2}',
  JSON.stringify(Array(3000).fill('s')),
  `{"a":"${'x'.repeat(70_000)}"}`,
]
const chunkings = [
  '5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n',
  'zz\r\n',
  '5\r\nab',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  '1;ext=x\r\n{\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n',
]

function oneRequest(random: Random): Buffer {
  const method = pick(random, methods)
  const path =
    random() < 0.9
      ? `/v1/${Array.from({ length: below(random, 5) }, () => (random() < 0.8 ? 'a' : pick(random, pieces))).join('/')}`
      : pick(random, ['/', '/ui/x', '/v2/a', 'http://h/v1/a', ...pieces])
  const lines = Array.from({ length: random() < 0.6 ? 0 : below(random, 3) }, () => pick(random, headerLines))
  if (random() < 0.97) lines.unshift('Host: a')
  let body: string | Buffer = ''
  if (random() < 0.5) {
    body = random() < 0.2 ? randomBytes(random, below(random, 200)) : pick(random, bodies)
    const length = Buffer.byteLength(body) + (random() < 0.07 ? below(random, 20) - 10 : 0)
    if (random() < 0.8) lines.push(`Content-Length: ${length}`)
    else {
      lines.push('Transfer-Encoding: chunked')
      body = pick(random, chunkings)
    }
  }
  const version = random() < 0.93 ? 'HTTP/1.1' : pick(random, ['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.', ''])
  const head = `${method} ${path}${pick(random, queries)} ${version}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
  return Buffer.concat([Buffer.from(head, random() < 0.5 ? 'utf8' : 'latin1'), Buffer.from(body as string)])
}

function input(random: Random): Buffer {
  if (random() < 0.1) return randomBytes(random, 1 + below(random, 400))
  let bytes = Buffer.concat(Array.from({ length: 1 + below(random, 4) }, () => oneRequest(random)))
  if (random() < 0.1) bytes = bytes.subarray(0, below(random, bytes.length))
  if (random() < 0.1) {
    bytes = Buffer.from(bytes)
    for (let i = below(random, 6); i >= 0 && bytes.length > 0; i--)
      bytes[below(random, bytes.length)] = below(random, 256)
  }
  return bytes
}

let http: Recorder
before(async () => {
  http = await startRecorder({
    maxRequestSizeBytes: 65_536,
    maxHeaderBytes: 16_384,
    maxRequestJsonDepth: 100,
    maxRequestJsonStrings: 1000,
  })
  http.cors = { enabled: true, allowedOrigins: ['null'], allowedHeaders: [], allowCredentials: false }
})
after(() => http.server.close(0))

/** Sends the bytes in a few packets, closes its side, and gives all that came back; rejects when the server does not hang up. */
function exchange(bytes: Buffer, random: Random): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: http.port, host: '127.0.0.1', allowHalfOpen: true })
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error('the server neither answered nor hung up'))
    }, 4000)
    socket.on('data', (piece) => {
      text += piece.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(text)
    })
    const cuts =
      random() < 0.5
        ? []
        : Array.from({ length: below(random, 3) + 1 }, () => below(random, bytes.length + 1)).sort((a, b) => a - b)
    const write = async (): Promise<void> => {
      let start = 0
      for (const cut of [...cuts, bytes.length]) {
        if (cut > start) socket.write(bytes.subarray(start, cut))
        start = cut
        if (cuts.length > 0) await new Promise((next) => setImmediate(next))
      }
      socket.end()
    }
    socket.on('connect', () => void write())
  })
}

function checkPromises(request: ClientRequest): void {
  const { path, namespace, method, verb, query, wrapTtlSeconds, body } = request
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  assert.doesNotMatch(path, /[\u0000-\u001f\u007f-\u009f]/)
  assert.ok(!path.startsWith('/') && !path.includes('//'))
  assert.ok(path.split('/').every((segment) => segment !== '.' && segment !== '..'))
  assert.doesNotMatch(namespace, /^\/|\/$|\.\./)
  assert.ok(['read', 'list', 'scan', 'write', 'patch', 'delete', 'help'].includes(verb))
  assert.ok(['GET', 'HEAD', 'LIST', 'SCAN', 'POST', 'PUT', 'PATCH', 'DELETE'].includes(method), method)
  assert.ok(wrapTtlSeconds >= 0 && Number.isFinite(wrapTtlSeconds))
  for (const key of ['list', 'scan', 'help']) assert.ok(!Object.hasOwn(query, key))
  assert.ok(body === undefined || (typeof body === 'object' && body !== null && !Array.isArray(body)))
}

test(`${cases} pieces of unpleasant input: no crash, no 500, no hang`, async (t) => {
  const crashes: string[] = []
  const onCrash = (error: Error): void => {
    crashes.push(error.stack ?? error.message)
  }
  process.on('uncaughtException', onCrash)
  t.after(() => process.off('uncaughtException', onCrash))
  const end = performance.now() + budgetMs
  const statuses = new Map<string, number>()
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < cases && performance.now() < end) {
      const number = next++
      const random = randomFrom(seed + number)
      const bytes = input(random)
      const shown = `case ${number}: ${JSON.stringify(bytes.toString('latin1').slice(0, 300))}`
      const text = await exchange(bytes, random).catch((error: Error) => assert.fail(`${error.message}, ${shown}`))
      for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        statuses.set(status as string, (statuses.get(status as string) ?? 0) + 1)
        assert.ok(Number(status) < 500, `${status}, ${shown}`)
      }
      assert.deepEqual(crashes, [], shown)
      for (const request of http.requests.splice(0)) checkPromises(request)
    }
  }
  await Promise.all(Array.from({ length: 8 }, worker))
  assert.ok(next > 100, `only ${next} cases in time`)
  // The input is worth its name: much was refused in many ways, and some of it was good.
  for (const status of ['200', '307', '400', '404', '405', '413', '415'])
    assert.ok(statuses.has(status), `never ${status}`)
  assert.deepEqual(http.logged, [])
  assert.equal((await ask(http, 'LIST', '/v1/still/here')).status, 200)
})
