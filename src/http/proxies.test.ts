// Proxies in front: PROXY protocol and X-Forwarded-For, believed from those who are named, and from nobody else.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { networkOf, plainAddress } from './addresses.ts'
import type { ListenerConfig } from './limits.ts'
import { readProxyHeader } from './proxy-protocol.ts'
import { ask, openWire, requestText, startRecorder } from './testing.ts'
import { testCertificate } from './testing-certificate.ts'

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
const v2 = (command: number, family: number, body: Buffer): Buffer => {
  const head = Buffer.from([0x20 | command, family, 0, 0])
  head.writeUInt16BE(body.length, 2)
  return Buffer.concat([signature, head, body])
}
const v2four = v2(1, 0x11, Buffer.from('c6336407c000020a12671f90', 'hex'))
const v2six = v2(1, 0x21, Buffer.from(`20010db8000000000000000000000007${'00'.repeat(16)}12671f90`, 'hex'))
const v1 = 'PROXY TCP4 198.51.100.7 192.0.2.10 4711 8080\r\n'

test('PROXY headers are read', () => {
  const read = (bytes: string | Buffer): string => {
    const found = readProxyHeader(Buffer.from(bytes as string))
    if (found.kind !== 'header') return found.kind
    return `${found.source?.address} ${found.source?.port} ${found.length}`
  }
  assert.equal(read(`${v1}GET /`), `198.51.100.7 4711 ${v1.length}`)
  assert.equal(read('PROXY TCP6 2001:db8::7 2001:db8::1 4711 8080\r\n'), '2001:db8::7 4711 46')
  assert.equal(read('PROXY UNKNOWN\r\n'), 'undefined undefined 15')
  assert.equal(read('PROXY UNKNOWN what ever 1 2\r\n'), 'undefined undefined 29')
  assert.equal(read(v2four), '198.51.100.7 4711 28')
  assert.equal(read(v2six), '2001:db8::7 4711 52')
  assert.equal(read(v2(0, 0, Buffer.alloc(0))), 'undefined undefined 16')
  assert.equal(read(v2(1, 0x31, Buffer.alloc(216))), 'undefined undefined 232')
  assert.equal(
    read(
      Buffer.concat([
        v2(1, 0x11, Buffer.concat([v2four.subarray(16), Buffer.from('030001ff', 'hex')])),
        Buffer.from('GET'),
      ]),
    ),
    '198.51.100.7 4711 32',
  )
  for (let cut = 1; cut < v2four.length; cut++) assert.equal(read(v2four.subarray(0, cut)), 'incomplete')
  for (let cut = 1; cut < v1.length; cut++) assert.equal(read(v1.slice(0, cut)), 'incomplete')
  for (const text of ['GET / HTTP/1.1\r\n', 'PUT /', 'PROPFIND', '\r\nGET', '\x16\x03\x01'])
    assert.equal(read(text), 'absent')
  for (const bad of [
    'PROXY TCP4 198.51.100.7 192.0.2.10 4711\r\n',
    'PROXY TCP4 2001:db8::7 192.0.2.10 4711 1\r\n',
    'PROXY TCP4 198.51.100.7 192.0.2.10 70000 1\r\n',
    'PROXY TCP4 198.51.100.7 192.0.2.10 4711 1 9\r\n',
    'PROXY TCP4 198.51.100.999 192.0.2.10 4711 1\r\n',
    'PROXY \r\n',
    `PROXY ${'x'.repeat(200)}`,
    v2(1, 0x11, Buffer.alloc(11)),
    v2(1, 0x21, Buffer.alloc(35)),
    v2(2, 0x11, Buffer.alloc(12)),
    v2(1, 0x11, Buffer.alloc(5000)),
  ])
    assert.equal(read(bad), 'malformed', JSON.stringify(bad))
})

const local = ['127.0.0.0/8']
const elsewhere = ['203.0.113.0/24']

async function proxied(config: Partial<ListenerConfig>, header: string | Buffer, pieces = 1): Promise<string> {
  const http = await startRecorder(config)
  try {
    const wire = await openWire(http)
    const bytes = Buffer.concat([Buffer.from(header as string), requestText('LIST', '/v1/a')])
    const size = Math.ceil(bytes.length / pieces)
    await wire.send(...Array.from({ length: pieces }, (_, i) => bytes.subarray(i * size, (i + 1) * size)))
    const { status } = await wire.answer()
    await wire.send(requestText('POST', '/v1/b', {}, '{"a":1}'))
    assert.equal((await wire.answer()).status, 200)
    wire.destroy()
    const [first, second] = http.requests
    assert.equal(first?.remoteAddress, second?.remoteAddress)
    return `${status} ${first?.remoteAddress} ${first?.remotePort === 4711 ? 4711 : 'own'}`
  } finally {
    await http.server.close(0)
  }
}

test('PROXY headers from authorized addresses give the address of the client', async () => {
  const allow = { proxyProtocolBehavior: 'allow_authorized', proxyProtocolAuthorizedAddrs: local } as const
  for (const config of [
    { proxyProtocolBehavior: 'use_always' } as const,
    allow,
    { ...allow, proxyProtocolBehavior: 'deny_unauthorized' } as const,
  ]) {
    assert.equal(await proxied(config, v1), '200 198.51.100.7 4711')
    assert.equal(await proxied(config, v2four), '200 198.51.100.7 4711')
    assert.equal(await proxied(config, v2six), '200 2001:db8::7 4711')
    assert.equal(await proxied(config, v2four, 12), '200 198.51.100.7 4711')
    assert.equal(await proxied(config, v1, 20), '200 198.51.100.7 4711')
    assert.equal(await proxied(config, v2(0, 0, Buffer.alloc(0))), '200 127.0.0.1 own')
    assert.equal(await proxied(config, ''), '200 127.0.0.1 own')
  }
})

test('PROXY headers from others are not believed', async () => {
  const allow = { proxyProtocolBehavior: 'allow_authorized', proxyProtocolAuthorizedAddrs: elsewhere } as const
  assert.equal(await proxied(allow, v1), '200 127.0.0.1 own')
  assert.equal(await proxied(allow, v2four), '200 127.0.0.1 own')
  await assert.rejects(proxied({ ...allow, proxyProtocolBehavior: 'deny_unauthorized' }, v1), /ended/)
  await assert.rejects(proxied({ ...allow, proxyProtocolBehavior: 'deny_unauthorized' }, ''), /ended/)
  // Without the setting a header is no HTTP.
  await assert.rejects(proxied({}, v1))
  // A second header is no HTTP either.
  await assert.rejects(proxied({ proxyProtocolBehavior: 'use_always' }, v1 + v1))
  await assert.rejects(
    startRecorder({ proxyProtocolBehavior: 'allow_authorized' }),
    /proxy_protocol_authorized_addrs is missing/,
  )
  await assert.rejects(
    startRecorder({ ...allow, proxyProtocolAuthorizedAddrs: ['10.0.0.0/99'] }),
    /"10.0.0.0\/99" is neither/,
  )
})

test('malformed, endless and missing PROXY headers end the connection', async (t) => {
  const http = await startRecorder({ proxyProtocolBehavior: 'use_always', httpReadHeaderTimeoutSeconds: 0.2 })
  t.after(() => http.server.close(0))
  for (const bytes of [
    'PROXY TCP4 nonsense\r\n',
    `PROXY ${'x'.repeat(200)}`,
    v2(3, 0x11, Buffer.alloc(12)),
    'PROXY TCP4',
    '',
  ]) {
    const wire = await openWire(http)
    await wire.send(bytes)
    await wire.closed()
  }
  const gone = await openWire(http)
  await gone.send('PROXY ')
  gone.destroy()
  assert.equal(http.requests.length, 0)
  assert.equal((await ask(http, 'GET', '/v1/a')).status, 200)
})

test('PROXY headers stand before TLS', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-proxy-'))
  const { cert, key } = testCertificate('localhost')
  await writeFile(join(folder, 'c.pem'), cert)
  await writeFile(join(folder, 'k.pem'), key)
  const http = await startRecorder({
    tls: { certFile: join(folder, 'c.pem'), keyFile: join(folder, 'k.pem') },
    proxyProtocolBehavior: 'deny_unauthorized',
    proxyProtocolAuthorizedAddrs: local,
  })
  t.after(async () => {
    await http.server.close(0)
    await rm(folder, { recursive: true })
  })
  for (const header of [v2four, Buffer.from(v1), Buffer.alloc(0)]) {
    const raw = connect(http.port, '127.0.0.1')
    if (header.length > 0) raw.write(header)
    const secure = connectTls({ socket: raw, rejectUnauthorized: false })
    const text = await new Promise<string>((resolve, reject) => {
      secure.on('secureConnect', () => secure.write(requestText('LIST', '/v1/a')))
      secure.on('data', (piece) => resolve(String(piece)))
      secure.on('error', reject)
    })
    assert.match(text, /^HTTP\/1\.1 200/)
    assert.equal(http.requests.at(-1)?.remoteAddress, header.length > 0 ? '198.51.100.7' : '127.0.0.1')
    assert.equal(http.requests.at(-1)?.verb, 'list')
    secure.destroy()
  }
})

test('X-Forwarded-For as the configuration has it', async () => {
  const cases: [Omit<NonNullable<ListenerConfig['xForwardedFor']>, never> | undefined, string | undefined, string][] = [
    [undefined, '198.51.100.7', '200 127.0.0.1'],
    [{ authorizedAddrs: [] }, '198.51.100.7', '200 127.0.0.1'],
    [{ authorizedAddrs: local }, '198.51.100.7', '200 198.51.100.7'],
    [{ authorizedAddrs: ['127.0.0.1'] }, '203.0.113.9, 198.51.100.7', '200 198.51.100.7'],
    [{ authorizedAddrs: local, hopSkips: 1 }, '203.0.113.9 , 198.51.100.7', '200 203.0.113.9'],
    [{ authorizedAddrs: local, hopSkips: 2 }, '203.0.113.9, 198.51.100.7', '400 hops'],
    [{ authorizedAddrs: local }, '2001:db8::7', '200 2001:db8::7'],
    [{ authorizedAddrs: local }, '[2001:db8::7]:99', '200 2001:db8::7'],
    [{ authorizedAddrs: local }, '198.51.100.7:99', '200 198.51.100.7'],
    [{ authorizedAddrs: local }, 'nonsense', '400 no address'],
    [{ authorizedAddrs: local }, '', '400 no address'],
    [{ authorizedAddrs: local }, undefined, '400 missing x-forwarded-for'],
    [{ authorizedAddrs: local, rejectNotPresent: false }, undefined, '200 127.0.0.1'],
    [{ authorizedAddrs: elsewhere }, '198.51.100.7', '400 not authorized'],
    [{ authorizedAddrs: elsewhere, rejectNotAuthorized: false }, '198.51.100.7', '200 127.0.0.1'],
  ]
  for (const [xForwardedFor, header, wanted] of cases) {
    const http = await startRecorder({ xForwardedFor })
    const { status, body } = await ask(http, 'GET', '/v1/a', header === undefined ? {} : { 'X-Forwarded-For': header })
    const seen = http.requests[0]
    const text = status === 200 ? seen?.remoteAddress : JSON.parse(body).errors[0]
    await http.server.close(0)
    assert.equal(status, Number(wanted.slice(0, 3)), `${header}: ${text}`)
    assert.ok(text.includes(wanted.slice(4)), `${wanted}: ${text}`)
    if (status === 200 && xForwardedFor?.rejectNotAuthorized === false)
      assert.equal(seen?.headers['x-forwarded-for'], undefined)
  }
  await assert.rejects(
    startRecorder({ xForwardedFor: { authorizedAddrs: ['all'] } }),
    /x_forwarded_for_authorized_addrs: "all"/,
  )
  await assert.rejects(startRecorder({ xForwardedFor: { authorizedAddrs: local, hopSkips: -1 } }), /hop_skips/)
})

test('several X-Forwarded-For headers are one chain, and the port of the connection is kept', async (t) => {
  const http = await startRecorder({ xForwardedFor: { authorizedAddrs: local } })
  t.after(() => http.server.close(0))
  const wire = await openWire(http)
  await wire.send(
    'GET /v1/a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n',
  )
  assert.equal((await wire.answer()).status, 200)
  const seen = http.requests[0]
  assert.deepEqual([seen?.remoteAddress, seen?.remotePort], ['198.51.100.7', wire.socket.localPort])
  wire.destroy()
})

test('networks and addresses', () => {
  const network = networkOf(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1', '::1'], 'key')
  for (const inside of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::9', '192.0.2.1', '::1'])
    assert.ok(network(inside), inside)
  for (const outside of ['11.0.0.1', '2001:db9::1', '192.0.2.2', '', 'nonsense', '::2'])
    assert.ok(!network(outside), outside)
  assert.equal(plainAddress('::ffff:10.0.0.1'), '10.0.0.1')
  assert.equal(plainAddress('fe80::1%eth0'), 'fe80::1')
  assert.equal(plainAddress('::ffff:a00:1'), '::ffff:a00:1')
  assert.equal(plainAddress(undefined), '')
})
