// The HTTP client: methods on the wire, retries, redirects, sockets, TLS, numbers, timeouts.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createPlainServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { encodePath, isRetried } from './client.ts'
import { envelope, type Recorder, refusal, runAt, startRecorder } from './testing.ts'

let server: Recorder
const folder = mkdtempSync(join(tmpdir(), 'coffer-client-'))
before(async () => {
  server = await startRecorder()
})
after(async () => {
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

test('LIST and SCAN go out as methods, without a body', async () => {
  server.answer({ 'LIST a': envelope({ keys: ['k'] }), 'SCAN a': envelope({ keys: ['k/l'] }) })
  assert.equal((await runAt(server.address, ['list', 'a/'])).code, 0)
  assert.equal((await runAt(server.address, ['scan', '/a'])).code, 0)
  assert.deepEqual(server.lines(), ['LIST a', 'SCAN a'])
  for (const { headers } of server.requests) {
    assert.equal(headers.get('transfer-encoding'), undefined)
    assert.equal(headers.get('x-vault-request'), 'true')
  }
})

test('paths are escaped as Go escapes them', () => {
  assert.equal(encodePath('a b/c?d#e%f'), 'a%20b/c%3Fd%23e%25f')
  assert.equal(encodePath("k@v=1;x:y,z+&$!'()*ü"), 'k@v=1;x:y,z+&$%21%27%28%29%2A%C3%BC')
})

test('numbers survive to the last digit, in and out', async () => {
  const body = '{"data":{"big":12345678901234567890,"exact":1.10,"exp":1e400},"request_id":"r"}'
  server.answer({ 'GET n': { body }, 'PUT n': {} })
  const { out } = await runAt(server.address, ['read', '-format=json', 'n'])
  for (const text of ['"big": 12345678901234567890', '"exact": 1.10', '"exp": 1e400'])
    assert.ok(out.includes(text), text)
  assert.match((await runAt(server.address, ['read', 'n'])).out, /big +12345678901234567890\n/)
  assert.match(
    (await runAt(server.address, ['read', '-format=yaml', 'n'])).out,
    /big: 12345678901234567890\n {2}exact: 1\.10\n {2}exp: 1e400/,
  )
  assert.equal((await runAt(server.address, ['read', '-field=big', 'n'])).out, '12345678901234567890')
  await runAt(server.address, ['write', 'n', '-'], { stdin: '{"v":12345678901234567890,"__proto__":{"x":1}}' })
  assert.equal(server.requests.at(-1)?.body, '{"v":12345678901234567890,"__proto__":{"x":1}}')
})

test('reads are tried three times on 5xx, with growing pauses; the answer counts in the end', async () => {
  server.answer({ 'GET a': [refusal(500, 'internal error'), refusal(502), envelope({ x: 1 })] })
  const { code, sleeps } = await runAt(server.address, ['read', 'a'])
  assert.equal(code, 0)
  assert.equal(server.requests.length, 3)
  assert.equal(sleeps.length, 2)
  assert.ok((sleeps[0] ?? 0) >= 1000 && (sleeps[1] ?? 0) >= 2000)
  server.answer({ 'GET a': refusal(500, 'internal error') })
  assert.equal((await runAt(server.address, ['read', 'a'])).code, 2)
  assert.equal(server.requests.length, 3)
  server.answer({ 'GET a': refusal(500, 'internal error') })
  await runAt(server.address, ['read', 'a'], { env: { VAULT_MAX_RETRIES: '0' } })
  assert.equal(server.requests.length, 1)
})

test('a write is not repeated after a 500, because it may have been kept', async () => {
  server.answer({ 'PUT a': refusal(500, 'internal error') })
  assert.equal((await runAt(server.address, ['write', 'a', 'k=v'])).code, 2)
  assert.equal(server.requests.length, 1)
})

test('which answers are worth another try', () => {
  assert.ok(isRetried('GET', 500, ''))
  assert.ok(isRetried('PUT', 503, 'try later'))
  assert.ok(isRetried('PUT', 429, ''))
  assert.ok(isRetried('PUT', 412, ''))
  assert.ok(!isRetried('PUT', 500, ''))
  assert.ok(!isRetried('GET', 501, ''))
  assert.ok(!isRetried('GET', 503, '{"errors":["Vault is sealed"]}'))
  assert.ok(!isRetried('GET', 403, ''))
})

test('Retry-After says how long to wait', async () => {
  server.answer({ 'PUT a': [{ status: 429, headers: { 'Retry-After': '3' }, body: { errors: ['slow down'] } }, {}] })
  const { code, sleeps } = await runAt(server.address, ['write', 'a', 'k=v'])
  assert.equal(code, 0)
  assert.deepEqual(sleeps, [3000])
})

test('connection refused: three tries, then which address and what to do', async () => {
  const probe = createServer()
  const port = await new Promise<number>((resolve) => {
    probe.listen(0, '127.0.0.1', () => resolve((probe.address() as { port: number }).port))
  })
  await new Promise((resolve) => probe.close(resolve))
  const { code, err, sleeps } = await runAt(`http://127.0.0.1:${port}`, ['read', 'a'])
  assert.equal(code, 2)
  assert.equal(sleeps.length, 2)
  assert.match(err, new RegExp(`cannot reach http://127\\.0\\.0\\.1:${port}: connection refused`))
  assert.match(err, /Is the server running\?/)
})

test('a dropped connection and an unknown host are told apart', async () => {
  server.answer({ 'GET a': { close: true } })
  assert.match((await runAt(server.address, ['read', 'a'])).err, /The connection was closed/)
  assert.match(
    (await runAt('http://no-such-host.invalid', ['read', 'a'])).err,
    /host name does not resolve|name service did not answer/,
  )
})

test('a server that does not answer is given up after the timeout', async () => {
  const silent = createServer((socket) => socket.on('error', () => undefined))
  const port = await new Promise<number>((resolve) => {
    silent.listen(0, '127.0.0.1', () => resolve((silent.address() as { port: number }).port))
  })
  const { code, err } = await runAt(`http://127.0.0.1:${port}`, ['read', 'a'], {
    env: { COFFER_CLIENT_TIMEOUT: '50ms' },
  })
  silent.close()
  assert.equal(code, 2)
  assert.match(err, /no answer from .* within 0\.05 s/)
})

test('one redirect is followed with method and body, unless turned off', async () => {
  const target = await startRecorder({ 'PUT a': {} })
  server.answer({ 'PUT a': { status: 307, headers: { Location: `${target.address}/v1/a` } } })
  assert.equal((await runAt(server.address, ['write', 'a', 'k=v'])).code, 0)
  assert.deepEqual(target.lines(), ['PUT a {"k":"v"}'])
  await runAt(server.address, ['write', '-disable-redirects', 'a', 'k=v'])
  assert.equal(target.requests.length, 1)
  await target.close()
})

test('unix sockets are addresses', async () => {
  const local = await startRecorder({ 'GET a': envelope({ x: 'y' }) }, join(folder, 's.sock'))
  assert.equal((await runAt(local.address, ['read', '-field=x', 'a'])).out, 'y')
  await local.close()
  assert.match((await runAt(`unix://${join(folder, 'none.sock')}`, ['read', 'a'])).err, /socket file is not there/)
})

test('an answer that is no JSON is shown as it is', async () => {
  server.answer({ 'GET a': { status: 418, body: '<html>teapot</html>' } })
  assert.match((await runAt(server.address, ['read', 'a'])).err, /Code: 418\. Raw Message:\n\n<html>teapot<\/html>/)
})

// A key and certificate for 127.0.0.1, made for this test; valid to 2126.
const certificate = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUKgAwIBAgIUYtWeAbh3zJL4oVGo1blyl9EE6UowCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPY29mZmVyLWNsaS10ZXN0MCAXDTI2MTEyMzA5MTYyNFoYDzIx
MjYxMDMwMDkxNjI0WjAaMRgwFgYDVQQDDA9jb2ZmZXItY2xpLXRlc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQcvb4wwGnFIxZJ9lgUZKPtP3JLAamcRSRhUq4c
clB1MwDYrRvJtn6jqZjdoMbPRCHJX4d7ZkyIgGXC5MpJj8tio2QwYjAdBgNVHQ4E
FgQUOpfoNKB3UlX5bD/968RQ2sguKbswHwYDVR0jBBgwFoAUOpfoNKB3UlX5bD/9
68RQ2sguKbswDwYDVR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqG
SM49BAMCA0gAMEUCIQCfOunhSNz+Q7zuvOx8XAnXmBe3v8u4zTK/u48BLJIQvQIg
LonIhAuKCI4sVo67Z2W6qKzvnfucWVOhqxmrrLmPeXA=
-----END CERTIFICATE-----
`
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgP7dn+qDvMDlMifyU
3slv9g+YTkXAu2R+MoVtBR7QkKahRANCAAQcvb4wwGnFIxZJ9lgUZKPtP3JLAamc
RSRhUq4cclB1MwDYrRvJtn6jqZjdoMbPRCHJX4d7ZkyIgGXC5MpJj8ti
-----END PRIVATE KEY-----
`

test('TLS: the certificate is checked against -ca-cert, and the hints fit', async () => {
  const secure = createTlsServer({ cert: certificate, key }, (_request, response) => response.end('{"data":{"x":"y"}}'))
  const port = await new Promise<number>((resolve) => {
    secure.listen(0, '127.0.0.1', () => resolve((secure.address() as { port: number }).port))
  })
  const address = `https://127.0.0.1:${port}`
  const file = join(folder, 'ca.pem')
  writeFileSync(file, certificate)
  assert.match((await runAt(address, ['read', 'a'])).err, /COFFER_CACERT/)
  assert.equal((await runAt(address, ['read', '-field=x', `-ca-cert=${file}`, 'a'])).out, 'y')
  assert.equal((await runAt(address, ['read', '-field=x', 'a'], { env: { VAULT_CAPATH: folder } })).out, 'y')
  assert.equal((await runAt(address, ['read', '-field=x', '-tls-skip-verify', 'a'])).out, 'y')
  assert.match(
    (await runAt(address, ['read', `-ca-cert=${file}`, '-tls-server-name=other', 'a'])).err,
    /-tls-server-name/,
  )
  assert.equal((await runAt(address, ['read', '-ca-cert=/no/such/file', 'a'])).code, 1)
  const plain = createPlainServer((_request, response) => response.end())
  const plainPort = await new Promise<number>((resolve) => {
    plain.listen(0, '127.0.0.1', () => resolve((plain.address() as { port: number }).port))
  })
  assert.match((await runAt(`https://127.0.0.1:${plainPort}`, ['read', 'a'])).err, /use http:\/\/ in -address/)
  plain.close()
  secure.closeAllConnections()
  secure.close()
})
