// What http makes of requests: paths, queries, tokens, namespaces, wrapping, bodies, limits; and what it refuses, with which words.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, openWire, type Recorder, requestText, startRecorder, type WireAnswer } from './testing.ts'

let http: Recorder
before(async () => {
  http = await startRecorder({ maxRequestSizeBytes: 100_000, maxRequestJsonDepth: 20, maxRequestJsonStrings: 500 })
})
after(() => http.server.close(0))

const seen = () => http.requests.at(-1)
const errorsOf = ({ body }: WireAnswer): string[] => JSON.parse(body).errors
const refused = async (
  status: number,
  text: RegExp,
  ...request: [string, string, Record<string, string>?, (string | Uint8Array)?]
): Promise<void> => {
  const count = http.requests.length
  const [method, target, headers, body] = request
  const answer = await ask(http, method, target, headers, body)
  assert.equal(answer.status, status, `${method} ${target}: ${answer.body}`)
  assert.match(errorsOf(answer).join(), text)
  assert.equal(http.requests.length, count, 'nothing reaches the handler')
}

test('verbs are told from methods and from the query', async () => {
  const table: [string, string, string][] = [
    ['GET', '/v1/a', 'read'],
    ['GET', '/v1/a?list=true', 'list'],
    ['GET', '/v1/a?list=1', 'list'],
    ['GET', '/v1/a?list=false', 'read'],
    ['GET', '/v1/a?list=', 'read'],
    ['GET', '/v1/a?scan=true&after=b', 'scan'],
    ['GET', '/v1/a?help=1', 'help'],
    ['POST', '/v1/a?help=1', 'help'],
    ['GET', '/v1/a?help=', 'read'],
    ['POST', '/v1/a', 'write'],
    ['PUT', '/v1/a', 'write'],
    ['POST', '/v1/a?list=true', 'write'],
    ['DELETE', '/v1/a', 'delete'],
  ]
  for (const [method, target, verb] of table) {
    await ask(http, method, target)
    assert.deepEqual([target, seen()?.verb, seen()?.method], [target, verb, method])
    for (const key of ['list', 'scan', 'help']) assert.equal(seen()?.query[key], undefined)
  }
  await refused(400, /"list" must be true or false/, 'GET', '/v1/a?list=maybe')
  await refused(400, /exclude each other/, 'GET', '/v1/a?list=true&scan=true')
})

test('HEAD answers as GET, without the body', async () => {
  const get = await ask(http, 'GET', '/v1/abc')
  const head = await ask(http, 'HEAD', '/v1/abc')
  assert.equal(head.status, 200)
  assert.equal(seen()?.verb, 'read')
  assert.equal(Number(head.headers['content-length']), get.body.length + 1)
})

test('PATCH takes merge patches only', async () => {
  await ask(http, 'PATCH', '/v1/a', { 'Content-Type': 'Application/merge-patch+json; charset=utf-8' }, '{"a":null}')
  assert.deepEqual([seen()?.verb, { ...seen()?.body }], ['patch', { a: null }])
  await refused(415, /merge-patch/, 'PATCH', '/v1/a', { 'Content-Type': 'application/json' }, '{}')
  await refused(415, /merge-patch/, 'PATCH', '/v1/a', {}, '{}')
})

test('paths are decoded exactly once', async () => {
  const table: [string, string][] = [
    ['/v1/secret/data/foo', 'secret/data/foo'],
    ['/v1/secret/', 'secret/'],
    ['/v1/', ''],
    ['/v1/a%20b', 'a b'],
    ['/v1/a+b', 'a+b'],
    ['/v1/%2541', '%41'],
    ['/v1/a%2Fb', 'a/b'],
    ['/v1/%C3%A9/%e2%82%ac', 'é/€'],
    ['/v1/a/.b/..c/d.', 'a/.b/..c/d.'],
    ['/v1/a/%F0%9F%94%91', 'a/🔑'],
    ['/v1/a#b', 'a#b'],
    ['/v1/a\\b', 'a\\b'],
    ['http://elsewhere:1/v1/x?y=1', 'x'],
  ]
  for (const [target, path] of table) {
    assert.equal((await ask(http, 'GET', target)).status, 200, target)
    assert.equal(seen()?.path, path)
  }
  // Bytes that came unescaped are taken where they are UTF-8.
  assert.equal((await ask(http, 'GET', `/v1/${Buffer.from('é').toString('latin1')}`)).status, 200)
  assert.equal(seen()?.path, 'é')
  assert.equal((await ask(http, 'GET', '/v1/\xe9')).status, 400)
})

test('paths that could mean two things are refused', async () => {
  await refused(400, /"\.\." segments/, 'GET', '/v1/a/../b')
  await refused(400, /"\.\." segments/, 'GET', '/v1/..')
  await refused(400, /"\.\." segments/, 'GET', '/v1/a/%2e%2E/b')
  await refused(400, /"\.\." segments/, 'GET', '/v1/a%2f..%2fb')
  await refused(400, /"\.\." segments/, 'GET', '/v1/./a')
  await refused(400, /empty segments/, 'GET', '/v1/a%2F%2Fb')
  await refused(400, /empty segments/, 'GET', '/v1/%2Fa')
  await refused(400, /cannot be printed/, 'GET', '/v1/a%00b')
  await refused(400, /cannot be printed/, 'GET', '/v1/a%0Ab')
  await refused(400, /cannot be printed/, 'GET', '/v1/a%7f')
  await refused(400, /cannot be printed/, 'GET', '/v1/a%C2%85')
  await refused(400, /cannot be printed/, 'GET', '/v1/a%E2%80%8B')
  await refused(400, /not valid UTF-8/, 'GET', '/v1/%ff')
  await refused(400, /not valid UTF-8/, 'GET', '/v1/%C0%AE%C0%AE/')
  await refused(400, /not valid UTF-8/, 'GET', '/v1/%ED%A0%80')
  await refused(400, /malformed percent/, 'GET', '/v1/%')
  await refused(400, /malformed percent/, 'GET', '/v1/%4')
  await refused(400, /malformed percent/, 'GET', '/v1/%zz')
  await refused(414, /longer than/, 'GET', `/v1/${'a'.repeat(20_000)}`)
})

test('doubled slashes are redirected, never collapsed in silence', async () => {
  for (const [target, location] of [
    ['//v1/a', '/v1/a'],
    ['/v1//a///b/?x=//', '/v1/a/b/?x=//'],
    ['//evil.example/v1/a', '/evil.example/v1/a'],
  ] as const) {
    const count = http.requests.length
    const { status, headers } = await ask(http, 'POST', target)
    assert.deepEqual([status, headers['location']], [307, location])
    assert.equal(http.requests.length, count)
  }
  assert.equal((await ask(http, 'GET', '/v1/a?u=http://x//y')).status, 200)
})

test('what is outside of /v1/ is 404', async () => {
  for (const target of ['/', '/ui', '/ui/vault', '/v1', '/v2/a', '/%76%31/a', '/robots.txt'])
    await refused(404, /^$/, 'GET', target)
  assert.equal((await ask(http, 'GET', '*')).status, 400)
})

test('query parameters: the first value of each, decoded, plain data', async () => {
  await ask(http, 'GET', '/v1/a?x=1&x=2&y=a+b%2Bc&empty=&bare&__proto__=p&%C3%A9=%E2%82%AC&&=v')
  const { query } = seen() as { query: Record<string, string> }
  assert.deepEqual(Object.entries(query), [
    ['x', '1'],
    ['y', 'a b+c'],
    ['empty', ''],
    ['bare', ''],
    ['__proto__', 'p'],
    ['é', '€'],
    ['', 'v'],
  ])
  assert.equal(query['constructor'], undefined)
  await ask(http, 'GET', '/v1/a?')
  assert.deepEqual(Object.keys(seen()?.query ?? { no: 1 }), [])
  await refused(400, /query holds a malformed percent/, 'GET', '/v1/a?x=%z')
  await refused(400, /query is not valid UTF-8/, 'GET', '/v1/a?x=%ff')
  await refused(400, /more than 1000/, 'GET', `/v1/a?${'a&'.repeat(1001)}`)
})

test('the token comes from X-Vault-Token, else from a bearer', async () => {
  const table: [Record<string, string>, string | undefined][] = [
    [{ 'X-Vault-Token': 'hvs.a' }, 'hvs.a'],
    [{ Authorization: 'Bearer hvs.b' }, 'hvs.b'],
    [{ 'X-Vault-Token': 'hvs.a', Authorization: 'Bearer hvs.b' }, 'hvs.a'],
    [{ 'X-Vault-Token': '', Authorization: 'Bearer  hvs.b ' }, 'hvs.b'],
    [{ Authorization: 'Basic eDp5' }, undefined],
    [{ Authorization: 'Bearer ' }, undefined],
    [{}, undefined],
  ]
  for (const [headers, token] of table) {
    await ask(http, 'GET', '/v1/a', headers)
    assert.equal(seen()?.token, token)
  }
})

test('namespace and wrapping headers', async () => {
  await ask(http, 'GET', '/v1/a', { 'X-Vault-Namespace': '/team/a/', 'X-Vault-Request': 'true' })
  assert.deepEqual([seen()?.namespace, seen()?.wrapTtlSeconds, seen()?.wrapFormat], ['team/a', 0, ''])
  for (const [ttl, seconds] of [
    ['60s', 60],
    ['90', 90],
    ['1h30m', 5400],
    ['0', 0],
    ['', 0],
  ] as const) {
    await ask(http, 'GET', '/v1/a', { 'X-Vault-Wrap-TTL': ttl, 'X-Vault-Wrap-Format': 'jwt' })
    assert.deepEqual([seen()?.wrapTtlSeconds, seen()?.wrapFormat], [seconds, 'jwt'])
  }
  await refused(400, /X-Vault-Wrap-TTL/, 'GET', '/v1/a', { 'X-Vault-Wrap-TTL': 'soon' })
  await refused(400, /negative/, 'GET', '/v1/a', { 'X-Vault-Wrap-TTL': '-5s' })
  for (const bad of ['a//b', '../a', 'a/..', 'a b'])
    await refused(400, /X-Vault-Namespace/, 'GET', '/v1/a', { 'X-Vault-Namespace': bad })
})

test('bodies are JSON whatever the Content-Type says', async () => {
  for (const type of ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'nonsense', '']) {
    await ask(http, 'POST', '/v1/a', type ? { 'Content-Type': type } : {}, ' {"a":{"b":[1,"x"]}}')
    assert.equal(JSON.stringify(seen()?.body), '{"a":{"b":[1,"x"]}}', type)
    assert.equal(seen()?.contentType, type)
  }
})

test('numbers survive to the last digit and __proto__ is plain data', async () => {
  const text = '{"big":123456789012345678901234567890,"price":1.10,"__proto__":{"x":1},"constructor":2}'
  await ask(http, 'PUT', '/v1/a', {}, text)
  assert.equal(JSON.stringify(seen()?.body), text)
  assert.equal((seen() as { body: { x?: unknown } }).body.x, undefined)
})

test('forms are read where they are no JSON', async () => {
  const type = { 'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8' }
  await ask(http, 'POST', '/v1/a', type, 'password=s%26t+u&policies=a&policies=b&__proto__=x')
  assert.deepEqual(Object.entries(seen()?.body ?? {}), [
    ['password', 's&t u'],
    ['policies', 'a,b'],
    ['__proto__', 'x'],
  ])
  await refused(400, /malformed percent/, 'POST', '/v1/a', type, 'a=%q')
})

test('an empty body is none', async () => {
  for (const body of [undefined, '', '  \n', 'null']) {
    await ask(http, 'POST', '/v1/a', {}, body)
    assert.equal(seen()?.body, undefined)
    assert.equal(seen()?.rawBody, undefined)
  }
})

test('bodies that are no JSON objects are 400, in words that do not quote them', async () => {
  for (const body of ['{"accessor": ', 'not json at all', '{"a":1}x', "{'a':1}", '\ufeff{}', '{"a":01}'])
    await refused(400, /failed to decode JSON input: malformed JSON/, 'POST', '/v1/a', {}, body)
  for (const body of ['"text"', '[1]', '7', 'true', '12345678901234567890'])
    await refused(400, /must be an object/, 'POST', '/v1/a', {}, body)
  await refused(400, /not valid UTF-8/, 'POST', '/v1/a', {}, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]))
  await refused(400, /deeper than 20/, 'POST', '/v1/a', {}, `{"a":${'['.repeat(300)}${']'.repeat(300)}}`)
  await refused(400, /more than 500 strings/, 'POST', '/v1/a', {}, JSON.stringify({ a: Array(600).fill('s') }))
  const { body } = await ask(http, 'POST', '/v1/a', {}, '{"password":"hunter2')
  assert.doesNotMatch(body, /hunter2/)
})

test('bodies of verbs without one are drained and ignored', async () => {
  for (const method of ['GET', 'DELETE', 'LIST']) {
    const wire = await openWire(http)
    await wire.send(requestText(method, '/v1/a', {}, 'no { json'), requestText('GET', '/v1/b'))
    assert.equal((await wire.answer()).status, 200)
    assert.equal(http.requests.at(-1)?.body, undefined)
    assert.match((await wire.answer()).body, /"path":"b"/)
    wire.destroy()
  }
})

test('raw paths get bytes, limited unless the path says otherwise', async () => {
  const bytes = Buffer.from([0, 1, 0xff, 2])
  await ask(http, 'POST', '/v1/raw/a', {}, bytes)
  assert.deepEqual([seen()?.body, Buffer.from(seen()?.rawBody ?? [])], [undefined, bytes])
  await refused(413, /request body too large/, 'POST', '/v1/raw/a', {}, Buffer.alloc(100_001))
})

test('unlimited paths get the body as it comes, longer than the limits of size and time; nobody need read it', async () => {
  const slow = await startRecorder({
    maxRequestSizeBytes: 1000,
    maxRequestDurationSeconds: 1,
    httpReadTimeoutSeconds: 1,
  })
  try {
    let size = 0
    slow.handler.reply = async (request) => {
      for await (const piece of request.rawStream ?? []) size += piece.length
      return { status: 204, body: undefined }
    }
    const wire = await openWire(slow)
    const send = async (method: string, target: string, body?: string) => {
      await wire.send(requestText(method, target, {}, body))
      return (await wire.answer()).status
    }
    wire.socket.write('POST /v1/unlimited/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n')
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      wire.socket.write(Buffer.alloc(1000))
    }
    assert.equal((await wire.answer()).status, 204)
    assert.equal(size, 5000)
    slow.handler.reply = () => ({ status: 403, body: '{"errors":["permission denied"]}' })
    assert.equal(await send('POST', '/v1/unlimited/a', 'x'.repeat(4000)), 403)
    // The connection lives on, and what comes after is under the limits again.
    assert.equal(await send('GET', '/v1/a'), 403)
    assert.equal(await send('POST', '/v1/a', 'x'.repeat(4000)), 413)
    slow.handler.reply = async (request) => {
      for await (const _ of request.rawStream ?? []) break
      return { status: 400, body: '{"errors":["enough"]}' }
    }
    assert.equal((await ask(slow, 'POST', '/v1/unlimited/a', {}, 'x'.repeat(4000))).status, 400)
  } finally {
    await slow.server.close(100)
  }
})

test('a body over the limit is 413, announced or not, and the connection lives on', async () => {
  const wire = await openWire(http)
  const big = JSON.stringify({ a: 'x'.repeat(150_000) })
  const count = http.requests.length
  await wire.send(requestText('POST', '/v1/a', {}, big))
  const first = await wire.answer()
  assert.deepEqual([first.status, first.body], [413, '{"errors":["request body too large"]}'])
  const chunk = `${big.length.toString(16)}\r\n${big}\r\n0\r\n\r\n`
  await wire.send(`POST /v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`)
  assert.equal((await wire.answer()).status, 413)
  assert.equal(http.requests.length, count)
  await wire.send(requestText('POST', '/v1/a', {}, '{"fits":true}'))
  assert.equal((await wire.answer()).status, 200)
  // Exactly the limit fits.
  await wire.send(requestText('POST', '/v1/a', {}, JSON.stringify({ a: 'x'.repeat(100_000 - 8) })))
  assert.equal((await wire.answer()).status, 200)
  wire.destroy()
})

test('a body that never ends is cut', async () => {
  const wire = await openWire(http)
  await wire.send('POST /v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
  const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
  let sent = 0
  const pump = setInterval(() => {
    if (wire.socket.writable && sent++ < 400) wire.socket.write(chunk)
  }, 1)
  await wire.closed()
  clearInterval(pump)
  assert.ok(sent < 100, `took ${sent} chunks`)
})

test('chunked bodies are read', async () => {
  const wire = await openWire(http)
  await wire.send(
    'POST /v1/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
    '3\r\n{"a\r\n',
    '4\r\n":1}\r\n',
    '0\r\n\r\n',
  )
  assert.equal((await wire.answer()).status, 200)
  assert.equal(JSON.stringify(seen()?.body), '{"a":1}')
  wire.destroy()
})

test('Expect: 100-continue is answered before the body, or refused before it', async () => {
  const wire = await openWire(http)
  await wire.send('POST /v1/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n')
  assert.equal((await wire.answer()).status, 100)
  await wire.send('{"a":1}')
  assert.equal((await wire.answer()).status, 200)
  assert.equal(JSON.stringify(seen()?.body), '{"a":1}')
  await wire.send('POST /v1/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7000000\r\n\r\n')
  const { status, headers } = await wire.answer()
  assert.deepEqual([status, headers['connection']], [413, 'close'])
  await wire.closed()
})

test('a truncated body reaches nobody', async () => {
  const count = http.requests.length
  for (const end of ['end', 'destroy'] as const) {
    const wire = await openWire(http)
    await wire.send('POST /v1/a HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{"a":1}')
    await new Promise((resolve) => setTimeout(resolve, 20))
    wire.socket[end]()
    await wire.closed()
  }
  assert.equal(http.requests.length, count)
  assert.deepEqual(http.logged, [])
})

test('headers: too many are 431, too large 431, none named Host 400', async () => {
  const many = (length: number) => Object.fromEntries(Array.from({ length }, (_, i) => [`X-H-${i}`, 'v']))
  assert.equal((await ask(http, 'GET', '/v1/a', many(255))).status, 200)
  await refused(431, /more than 256 headers/, 'GET', '/v1/a', many(256))
  await refused(431, /too large/, 'GET', '/v1/a', many(300))
  await refused(431, /too large/, 'GET', '/v1/a', { 'X-Big': 'x'.repeat(70_000) })
  const wire = await openWire(http)
  await wire.send('GET /v1/a HTTP/1.1\r\n\r\n')
  assert.match((await wire.answer()).body, /missing Host/)
  await wire.send('GET /v1/a HTTP/1.0\r\n\r\n')
  assert.equal((await wire.answer()).status, 200)
  wire.destroy()
})

test('requests that two servers may read differently are refused', async () => {
  for (const headers of [
    'Content-Length: 5\r\nTransfer-Encoding: chunked',
    'Content-Length: 5\r\nContent-Length: 6',
    'Transfer-Encoding: chunked, identity',
    'Content-Length: +5',
    'X-A : b',
    'Foo\r\n Bar: x',
  ]) {
    const wire = await openWire(http)
    await wire.send(`POST /v1/a HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n0\r\n\r\n`)
    assert.equal((await wire.answer()).status, 400, headers)
    wire.destroy()
  }
})

test('what cannot be read after a request is refused after its answer', async () => {
  http.handler.reply = async () => {
    await new Promise((resolve) => setTimeout(resolve, 30))
    return { status: 200, body: '{"slow":true}' }
  }
  const wire = await openWire(http)
  await wire.send(Buffer.concat([requestText('GET', '/v1/a'), Buffer.from('\u0001\u0002 garbage\r\n\r\n')]))
  assert.equal((await wire.answer()).body, '{"slow":true}')
  assert.equal((await wire.answer()).status, 400)
  await wire.closed()
  http.handler.reply = ({ verb, method, path }) => ({ status: 200, body: JSON.stringify({ verb, method, path }) })
})

test('request ids are unique UUIDs', async () => {
  await ask(http, 'GET', '/v1/a')
  await ask(http, 'GET', '/v1/a')
  const ids = http.requests.slice(-2).map((r) => r.id)
  assert.notEqual(ids[0], ids[1])
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('X-Vault-Request may be demanded', async () => {
  const strict = await startRecorder({ requireRequestHeader: true })
  assert.equal((await ask(strict, 'GET', '/v1/a')).status, 412)
  assert.equal((await ask(strict, 'GET', '/v1/a', { 'X-Vault-Request': 'true' })).status, 200)
  await strict.server.close(0)
})

test('large bodies under way share one budget; small ones are always taken', async () => {
  const mib = 1024 * 1024
  const roomy = await startRecorder()
  const wires = await Promise.all(Array.from({ length: 4 }, () => openWire(roomy)))
  const head = `POST /v1/large HTTP/1.1\r\nHost: a\r\nContent-Length: ${32 * mib}\r\n\r\n`
  for (const wire of wires) await wire.send(Buffer.concat([Buffer.from(head), Buffer.alloc(31 * mib, ' ')]))
  const large = () => ask(roomy, 'POST', '/v1/large', {}, Buffer.alloc(12 * mib, ' '))
  let refused = await large()
  // What was sent may still be on its way in.
  for (let i = 0; i < 100 && refused.status !== 503; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    refused = await large()
  }
  assert.equal(refused.status, 503)
  assert.match(refused.body, /too many large requests/)
  assert.equal((await ask(roomy, 'POST', '/v1/small', {}, '{"a":1}')).status, 200)
  for (const wire of wires) wire.destroy()
  let answer = await large()
  for (let i = 0; i < 100 && answer.status !== 200; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20))
    answer = await large()
  }
  assert.equal(answer.status, 200)
  await roomy.server.close(0)
})
