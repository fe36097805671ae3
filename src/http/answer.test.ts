// What goes out: headers, custom headers, CORS, streams, times that run out, bugs behind http.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientResponse } from '../core/exchange.ts'
import { encoderFor } from './encode.ts'
import { ask, openWire, requestText, startRecorder } from './testing.ts'

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

test('an answer carries what it needs and nothing about the server', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  const { status, headers, body } = await ask(http, 'GET', '/v1/a')
  assert.equal(status, 200)
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(Number(headers['content-length']), body.length)
  for (const name of ['server', 'x-powered-by', 'strict-transport-security', 'transfer-encoding'])
    assert.equal(headers[name], undefined)
  http.handler.reply = () => ({ status: 204, body: undefined })
  const none = await ask(http, 'POST', '/v1/a')
  assert.deepEqual(
    [none.status, none.headers['content-type'], none.headers['content-length']],
    [204, undefined, undefined],
  )
  http.handler.reply = () => ({
    status: 200,
    body: Buffer.from([0xff, 0]),
    contentType: 'application/pkix-cert',
    headers: { ETag: '"a"', 'X-Many': ['1', '2'] },
  })
  const raw = await ask(http, 'GET', '/v1/a')
  assert.deepEqual(
    [raw.headers['content-type'], raw.headers['content-length'], raw.headers['etag']],
    ['application/pkix-cert', '2', '"a"'],
  )
  http.handler.reply = () => ({ status: 200, body: '{"a":"é€"}' })
  assert.equal((await ask(http, 'GET', '/v1/a')).body, '{"a":"é€"}')
  http.handler.reply = () => ({ status: 204, body: undefined, index: 'djE6' })
  assert.equal((await ask(http, 'POST', '/v1/a')).headers['x-vault-index'], 'djE6')
  http.handler.reply = () => ({ status: 200, body: '{}', index: 'djE6', headers: { ETag: '"a"' } })
  const indexed = await ask(http, 'POST', '/v1/a')
  assert.deepEqual([indexed.headers['x-vault-index'], indexed.headers['etag']], ['djE6', '"a"'])
  http.handler.reply = () => ({ status: 429, body: undefined })
  assert.equal((await ask(http, 'GET', '/v1/a')).headers['content-length'], '0')
})

test('custom headers by status, class and default', async (t) => {
  const http = await startRecorder({
    customResponseHeaders: {
      default: { 'X-All': 'd', 'X-Pick': 'default', 'Cache-Control': 'private', 'X-Vault-Own': 'never', 'X-Empty': '' },
      '4xx': { 'X-Pick': 'class', 'Content-Security-Policy': ["default-src 'self'", ' '] },
      '404': { 'X-Pick': 'exact' },
    },
  })
  t.after(() => http.server.close(0))
  const picked = async (status: number, extra: Partial<ClientResponse> = {}) => {
    http.handler.reply = () => ({ status, body: '{}', ...extra })
    return (await ask(http, 'GET', '/v1/a')).headers
  }
  const ok = await picked(200)
  assert.deepEqual([ok['x-all'], ok['x-pick'], ok['cache-control']], ['d', 'default', 'private'])
  assert.deepEqual([ok['x-vault-own'], ok['x-empty']], [undefined, undefined])
  const bad = await picked(400)
  assert.deepEqual([bad['x-pick'], bad['content-security-policy']], ['class', "default-src 'self'"])
  assert.equal((await picked(404))['x-pick'], 'exact')
  const own = await picked(404, {
    headers: { 'x-pick': 'handler', 'X-Other': 'h', 'content-length': '99', Connection: 'upgrade' },
  })
  assert.deepEqual([own['x-pick'], own['x-other'], own['content-length']], ['exact', 'h', '2'])
  // Also on what never became a request.
  const wire = await openWire(http)
  await wire.send('garbage\r\n\r\n')
  const { status, headers, body } = await wire.answer()
  assert.deepEqual([status, headers['x-pick'], headers['connection']], [400, 'class', 'close'])
  assert.deepEqual(JSON.parse(body), { errors: ['malformed HTTP request'] })
  await http.server.close(0)
  for (const [headers, text] of [
    [{ '99': {} }, /"99"/],
    [{ '6xx': {} }, /"6xx"/],
    [{ default: { 'bad name': 'x' } }, /malformed/],
    [{ default: { a: 'x\r\ny: z' } }, /malformed/],
  ] as const)
    assert.throws(() => encoderFor({ customResponseHeaders: headers }, false), text)
})

test('CORS: disallowed origins 403, preflights answered here, allowed origins echoed', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  const origin = { Origin: 'https://ui.example' }
  assert.equal((await ask(http, 'GET', '/v1/a', origin)).headers['access-control-allow-origin'], undefined)
  assert.equal((await ask(http, 'OPTIONS', '/v1/a', origin)).status, 405)
  http.cors = {
    enabled: true,
    allowedOrigins: ['https://ui.example'],
    allowedHeaders: ['X-Custom'],
    allowCredentials: true,
  }
  const count = http.requests.length
  const denied = await ask(http, 'GET', '/v1/a', { Origin: 'https://evil.example' })
  assert.deepEqual([denied.status, denied.body], [403, '{"errors":["origin not allowed"]}'])
  const preflight = await ask(http, 'OPTIONS', '/v1/a', { ...origin, 'Access-Control-Request-Method': 'LIST' })
  assert.equal(preflight.status, 200)
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://ui.example')
  assert.match(preflight.headers['access-control-allow-headers'] ?? '', /X-Vault-Token.*X-Vault-Index.*X-Custom/)
  assert.match(preflight.headers['access-control-allow-methods'] ?? '', /LIST/)
  assert.deepEqual(
    [preflight.headers['access-control-max-age'], preflight.headers['access-control-allow-credentials']],
    ['300', 'true'],
  )
  assert.equal(
    (await ask(http, 'OPTIONS', '/v1/a', { ...origin, 'Access-Control-Request-Method': 'BREW' })).status,
    405,
  )
  assert.equal(
    (await ask(http, 'OPTIONS', '/v1/a', { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'GET' }))
      .status,
    403,
  )
  assert.equal(http.requests.length, count)
  const allowed = await ask(http, 'LIST', '/v1/a', origin)
  assert.deepEqual(
    [allowed.status, allowed.headers['access-control-allow-origin'], allowed.headers['vary']],
    [200, 'https://ui.example', 'Origin'],
  )
  assert.equal(allowed.headers['access-control-expose-headers'], 'X-Vault-Index')
  // Errors too, or a page could not read them.
  assert.equal(
    (await ask(http, 'GET', '/v1/a/../b', origin)).headers['access-control-allow-origin'],
    'https://ui.example',
  )
  assert.equal((await ask(http, 'GET', '/v1/a')).status, 200)
  http.cors = { ...http.cors, allowedOrigins: ['*'] }
  assert.equal((await ask(http, 'GET', '/v1/a', { Origin: 'https://any.example' })).status, 200)
})

test('streams are sent as they come, at the pace of the client, and end with it', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  http.handler.reply = () => ({
    status: 200,
    body: undefined,
    contentType: 'text/plain',
    stream: (async function* () {
      yield 'one\n'
      await wait(5)
      yield Buffer.from('two\n')
    })(),
  })
  const finite = await ask(http, 'GET', '/v1/sys/monitor')
  assert.deepEqual([finite.body, finite.headers['content-type']], ['one\ntwo\n', 'text/plain'])
  const head = await ask(http, 'HEAD', '/v1/sys/monitor')
  assert.deepEqual([head.status, head.body], [200, ''])

  let made = 0
  let ended = false
  http.handler.reply = () => ({
    status: 200,
    body: undefined,
    stream: (async function* () {
      try {
        for (;;) {
          made++
          yield 'x'.repeat(100_000)
        }
      } finally {
        ended = true
      }
    })(),
  })
  const wire = await openWire(http)
  wire.socket.pause()
  await wire.send(requestText('GET', '/v1/sys/monitor'))
  await wait(100)
  const before = made
  await wait(100)
  assert.equal(made, before, 'nothing is made while the client takes nothing')
  assert.ok(made < 200)
  wire.destroy()
  for (let i = 0; i < 100 && !ended; i++) await wait(10)
  assert.ok(ended)

  http.handler.reply = () => ({
    status: 200,
    body: undefined,
    stream: (async function* () {
      yield 'part'
      await wait(5)
      throw new Error('source broke')
    })(),
  })
  await assert.rejects(ask(http, 'GET', '/v1/sys/monitor'), /connection ended/)
})

test('a bug behind http is 500, logged, not described; the next request is served', async (t) => {
  const http = await startRecorder()
  t.after(() => http.server.close(0))
  http.handler.reply = () => {
    throw new Error('secret detail')
  }
  const broken = await ask(http, 'GET', '/v1/a')
  assert.deepEqual([broken.status, broken.body], [500, '{"errors":["internal error"]}'])
  assert.equal(http.logged.length, 1)
  http.handler.reply = () => ({ status: 200, body: '{}', headers: { 'X-Bad': 'a\r\nb: c' } })
  assert.equal((await ask(http, 'GET', '/v1/a')).status, 500)
  http.handler.reply = () => ({ status: 200, body: '{}' })
  assert.equal((await ask(http, 'GET', '/v1/a')).status, 200)
})

test('a request that takes too long is 504, and what comes later is dropped', async (t) => {
  const http = await startRecorder({ maxRequestDurationSeconds: 0.1 })
  t.after(() => http.server.close(0))
  let stopped = false
  http.handler.reply = async ({ path }) => {
    if (path === 'fast') return { status: 200, body: '{}' }
    await wait(300)
    return {
      status: 200,
      body: undefined,
      stream: {
        [Symbol.asyncIterator]: () => ({
          next: async () => ({ done: true, value: undefined }),
          return: async () => {
            stopped = true
            return { done: true, value: undefined }
          },
        }),
      },
    }
  }
  const wire = await openWire(http)
  const start = performance.now()
  await wire.send(requestText('GET', '/v1/slow'))
  const late = await wire.answer()
  assert.equal(late.status, 504)
  assert.match(late.body, /not answered within 0.1 seconds/)
  assert.ok(performance.now() - start < 290)
  await wire.send(requestText('GET', '/v1/fast'))
  assert.equal((await wire.answer()).status, 200)
  for (let i = 0; i < 100 && !stopped; i++) await wait(10)
  assert.ok(stopped, 'the late stream is told that nobody reads it')
  wire.destroy()
  assert.deepEqual(http.logged, [])
})

test('slow headers and slow bodies are 408', async (t) => {
  const http = await startRecorder({ httpReadHeaderTimeoutSeconds: 0.2, httpReadTimeoutSeconds: 0.4 })
  t.after(() => http.server.close(0))
  for (const text of [
    'GET /v1/a HTTP/1.1\r\nHost: a\r\nX-',
    'LIS',
    '',
    'POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{',
  ]) {
    const wire = await openWire(http)
    const start = performance.now()
    await wire.send(text)
    const { status, body } = await wire.answer()
    assert.deepEqual([status, body], [408, '{"errors":["request was not sent in time"]}'], text)
    assert.ok(performance.now() - start > 150)
    await wire.closed()
  }
  // A drop now and then does not help.
  const drip = await openWire(http)
  await drip.send('GET /v1/a HTTP/1.1\r\nHost: a\r\n')
  const timer = setInterval(() => drip.socket.writable && drip.socket.write('X-A: b\r\n'), 30)
  assert.equal((await drip.answer()).status, 408)
  clearInterval(timer)
  drip.destroy()
  assert.equal(http.requests.length, 0)
})

test('an idle connection is closed after its time', async (t) => {
  const http = await startRecorder({ httpIdleTimeoutSeconds: 0.1 })
  t.after(() => http.server.close(0))
  const wire = await openWire(http)
  await wire.send(requestText('GET', '/v1/a'))
  assert.equal((await wire.answer()).status, 200)
  await wire.closed()
})

test('what is outside of /v1/ can be answered by somebody', async (t) => {
  const http = await startRecorder(
    {},
    {
      outside: ({ method, target, headers }) =>
        target.startsWith('/ui')
          ? { status: 200, body: `${method} ${target} ${headers['x-a']}`, contentType: 'text/html' }
          : undefined,
    },
  )
  t.after(() => http.server.close(0))
  assert.equal((await ask(http, 'GET', '/ui/x?y', { 'X-A': 'b' })).body, 'GET /ui/x?y b')
  assert.equal((await ask(http, 'GET', '/other')).status, 404)
})
