// TLS listeners: versions, groups, client certificates, reload without a break, refusal of files that do not fit.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { ListenerTls } from './limits.ts'
import { startListeners } from './listener.ts'
import { ask, openWire, requestText, startRecorder } from './testing.ts'
import { type TestCertificate, testCertificate } from './testing-certificate.ts'

let folder: string
const server = testCertificate('server-1')
const ca = testCertificate('client-ca')
const middle = testCertificate('client-middle', ca, true)
const client = testCertificate('client', middle)
const stranger = testCertificate('stranger')
const file = (name: string): string => join(folder, name)
const put = async (name: string, { cert, key }: TestCertificate): Promise<void> => {
  await writeFile(file(`${name}.pem`), cert)
  await writeFile(file(`${name}.key`), key)
}
const base = (): ListenerTls => ({ certFile: file('server.pem'), keyFile: file('server.key') })
const anybody: ConnectionOptions = { rejectUnauthorized: false }

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-tls-'))
  await put('server', server)
  await writeFile(file('ca.pem'), ca.cert)
})
after(() => rm(folder, { recursive: true }))

test('TLS listeners speak 1.3 with the hybrid group first, and 1.2; answers carry HSTS', async (t) => {
  const http = await startRecorder({ tls: base() })
  t.after(() => http.server.close(0))
  assert.match(http.server.addresses[0]?.url ?? '', /^https:/)
  for (const [options, protocol] of [
    [{ ecdhCurve: 'X25519MLKEM768' }, 'TLSv1.3'],
    [{ ecdhCurve: 'X25519' }, 'TLSv1.3'],
    [{ ecdhCurve: 'P-256' }, 'TLSv1.3'],
    [{ maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
  ] as const) {
    const wire = await openWire(http, { ...anybody, ...options })
    assert.equal((wire.socket as TLSSocket).getProtocol(), protocol)
    await wire.send(requestText('LIST', '/v1/a'))
    const { status, headers } = await wire.answer()
    assert.deepEqual([status, headers['strict-transport-security']], [200, 'max-age=31536000; includeSubDomains'])
    assert.equal(http.requests.at(-1)?.listener.tls, true)
    wire.destroy()
  }
  await assert.rejects(openWire(http, { ...anybody, ecdhCurve: 'X448' }))
  await assert.rejects(
    openWire(http, { ...anybody, maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }),
  )
})

test('the server takes the hybrid group from every client that has it, also from one that would rather not', async (t) => {
  const http = await startRecorder({ tls: base() })
  t.after(() => http.server.close(0))
  // Clients send a share for the first of their groups only: for another one the server must ask.
  for (const [ecdhCurve, chosen] of [
    ['X25519MLKEM768:X25519', 'X25519MLKEM768'],
    ['X25519:X25519MLKEM768', 'X25519MLKEM768'],
    ['P-256:X25519:X25519MLKEM768', 'X25519MLKEM768'],
    ['X25519:P-256', 'X25519'],
    ['P-384:P-256', 'secp384r1'],
  ] as const) {
    await http.server.reload()
    const wire = await openWire(http, { ...anybody, ecdhCurve })
    assert.equal(((wire.socket as TLSSocket).getEphemeralKeyInfo() as { name: string }).name, chosen, ecdhCurve)
    await wire.send(requestText('GET', '/v1/a'))
    assert.equal((await wire.answer()).status, 200)
    wire.destroy()
  }
})

test('minimum version, maximum version and cipher suites', async (t) => {
  const modern = await startRecorder({ tls: { ...base(), minVersion: 'tls13' } })
  const old = await startRecorder({
    tls: {
      ...base(),
      maxVersion: 'tls12',
      cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'TLS_AES_128_GCM_SHA256'],
    },
  })
  const ancient = await startRecorder({ tls: { ...base(), minVersion: 'tls10' } })
  t.after(() => Promise.all([modern, old, ancient].map((http) => http.server.close(0))))
  await assert.rejects(openWire(modern, { ...anybody, maxVersion: 'TLSv1.2' }))
  const wire = await openWire(old, anybody)
  assert.deepEqual((wire.socket as TLSSocket).getCipher().name, 'ECDHE-ECDSA-AES256-GCM-SHA384')
  wire.destroy()
  await assert.rejects(openWire(old, { ...anybody, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }))
  const first = await openWire(ancient, {
    ...anybody,
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1',
    ciphers: 'ALL:@SECLEVEL=0',
  })
  assert.equal((first.socket as TLSSocket).getProtocol(), 'TLSv1')
  first.destroy()
})

test('client certificates are asked for and handed on, not demanded', async (t) => {
  const http = await startRecorder({ tls: base() })
  t.after(() => http.server.close(0))
  await ask(http, 'GET', '/v1/a', {}, undefined, anybody)
  assert.equal(http.requests.at(-1)?.peerCertificate, undefined)
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const wire = await openWire(http, { ...anybody, maxVersion, cert: client.cert + middle.cert, key: client.key })
    for (const path of ['/v1/a', '/v1/b']) {
      await wire.send(requestText('GET', path))
      assert.equal((await wire.answer()).status, 200)
      const peer = http.requests.at(-1)?.peerCertificate
      assert.deepEqual(
        peer?.chain.map((der) => Buffer.from(der).toString('hex')),
        [client.raw.toString('hex'), middle.raw.toString('hex')],
      )
      assert.match(peer?.serial ?? '', /^[0-9A-F]{16}$/)
    }
    wire.destroy()
  }
})

test('client certificates can be demanded and verified, or not asked for', async (t) => {
  const strict = await startRecorder({
    tls: { ...base(), requireAndVerifyClientCert: true, clientCaFile: file('ca.pem') },
  })
  const none = await startRecorder({ tls: { ...base(), disableClientCerts: true } })
  t.after(() => Promise.all([strict, none].map((http) => http.server.close(0))))
  const get = (http: typeof strict, options: ConnectionOptions) =>
    ask(http, 'GET', '/v1/a', {}, undefined, { ...anybody, ...options })
  assert.equal((await get(strict, { cert: client.cert + middle.cert, key: client.key })).status, 200)
  await assert.rejects(get(strict, {}))
  await assert.rejects(get(strict, { cert: stranger.cert, key: stranger.key }))
  assert.equal(strict.requests.length, 1)
  assert.equal((await get(none, { cert: client.cert, key: client.key })).status, 200)
  assert.equal(none.requests.at(-1)?.peerCertificate, undefined)
})

test('a reload takes new files for new connections; a failed one keeps the old, says so, and shows no key', async (t) => {
  const http = await startRecorder({ tls: base() })
  t.after(() => http.server.close(0))
  const commonName = async (): Promise<string> => {
    const wire = await openWire(http, anybody)
    const { CN } = (wire.socket as TLSSocket).getPeerCertificate().subject
    wire.destroy()
    return String(CN)
  }
  const lasting = await openWire(http, anybody)
  assert.equal(await commonName(), 'server-1')
  const next = testCertificate('server-2')
  await put('server', next)
  assert.equal(await commonName(), 'server-1')
  await http.server.reload()
  assert.equal(await commonName(), 'server-2')
  await lasting.send(requestText('LIST', '/v1/a'))
  assert.equal((await lasting.answer()).status, 200)
  lasting.destroy()
  for (const [name, text] of [
    ['server.pem', 'nonsense'],
    ['server.key', stranger.key],
    ['server.key', 'nonsense'],
  ] as const) {
    await put('server', next)
    await writeFile(file(name), text)
    await assert.rejects(http.server.reload(), (error: Error) => {
      assert.match(error.message, /reload failed for 127\.0\.0\.1:\d+: tls_/)
      assert.doesNotMatch(error.message, /PRIVATE|nonsense/)
      return true
    })
    assert.equal(await commonName(), 'server-2')
  }
  await rm(file('server.pem'))
  await assert.rejects(http.server.reload(), /tls_cert_file: cannot read .*ENOENT/)
  assert.equal(await commonName(), 'server-2')
  assert.equal(http.logged.length, 4)
  await put('server', server)
  await http.server.reload()
  assert.equal(await commonName(), 'server-1')
})

test('settings that cannot be are refused at start, by the name of their key', async () => {
  const handler = (await startRecorder()) as unknown as Awaited<ReturnType<typeof startRecorder>>
  await handler.server.close(0)
  const start = (tls: ListenerTls) =>
    startListeners([{ type: 'tcp', address: '127.0.0.1:0', tls }], handler.handler, {
      log: { warn: () => {}, error: () => {} },
    })
  await assert.rejects(start({}), /tls_cert_file is missing/)
  await assert.rejects(start({ certFile: file('server.pem') }), /tls_key_file is missing/)
  await assert.rejects(start({ ...base(), minVersion: 'ssl3' }), /tls_min_version: "ssl3"/)
  await assert.rejects(start({ ...base(), minVersion: 'tls13', maxVersion: 'tls12' }), /tls_max_version/)
  await assert.rejects(start({ ...base(), cipherSuites: ['rot13!'] }), /tls_cipher_suites: "rot13!"/)
  await assert.rejects(
    start({ ...base(), disableClientCerts: true, requireAndVerifyClientCert: true }),
    /mutually exclusive/,
  )
})

test('plain HTTP on a TLS listener does no harm', async (t) => {
  const http = await startRecorder({ tls: base() })
  t.after(() => http.server.close(0))
  const wire = await openWire(http)
  await wire.send(requestText('GET', '/v1/a'))
  await wire.closed()
  assert.equal((await ask(http, 'GET', '/v1/a', {}, undefined, anybody)).status, 200)
  assert.equal(http.requests.length, 1)
})
