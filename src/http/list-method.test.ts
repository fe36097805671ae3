// LIST and SCAN over real sockets: alone, kept alive, pipelined, split, with bodies, over TLS, among other verbs; and the marker that cannot be forged.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { mendedTarget, refusedVerb } from './list-method.ts'
import { ask, openWire, type Recorder, requestText, startRecorder } from './testing.ts'
import { testCertificate } from './testing-certificate.ts'

let plain: Recorder
let secure: Recorder
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-http-'))
  const { cert, key } = testCertificate('localhost')
  await writeFile(join(folder, 'cert.pem'), cert)
  await writeFile(join(folder, 'key.pem'), key)
  plain = await startRecorder()
  secure = await startRecorder({ tls: { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') } })
})
after(async () => {
  await plain.server.close(0)
  await secure.server.close(0)
  await rm(folder, { recursive: true })
})

const understood = (body: string): string => {
  const { verb, method, path } = JSON.parse(body)
  return `${verb} ${method} ${path}`
}

test('LIST and SCAN are verbs', async () => {
  const list = await ask(plain, 'LIST', '/v1/secret/metadata/')
  assert.equal(list.status, 200)
  assert.equal(understood(list.body), 'list LIST secret/metadata/')
  assert.equal(understood((await ask(plain, 'SCAN', '/v1/a')).body), 'scan SCAN a')
})

test('headers of a LIST reach the handler', async () => {
  await ask(plain, 'LIST', '/v1/a?after=x&limit=3', { 'X-Vault-Token': 'hvs.t', 'X-Vault-Namespace': 'team/' })
  const seen = plain.requests.at(-1)
  assert.equal(seen?.token, 'hvs.t')
  assert.equal(seen?.namespace, 'team')
  assert.deepEqual({ ...seen?.query }, { after: 'x', limit: '3' })
})

for (const kind of ['plain', 'TLS']) {
  const open = () => (kind === 'TLS' ? openWire(secure, { rejectUnauthorized: false }) : openWire(plain))

  test(`one ${kind} connection carries LIST among other verbs, again and again`, async () => {
    const wire = await open()
    for (const verb of ['GET', 'LIST', 'LIST', 'POST', 'SCAN', 'GET', 'LIST', 'DELETE', 'FOO', 'LIST', 'PUT']) {
      await wire.send(requestText(verb, `/v1/k/${verb}`, {}, verb === 'POST' || verb === 'PUT' ? '{"a":1}' : undefined))
      const { status, body } = await wire.answer()
      if (verb === 'FOO') assert.deepEqual([status, body], [405, '{"errors":[]}'])
      else assert.match(understood(body), new RegExp(` ${verb} k/${verb}$`))
    }
    wire.destroy()
  })

  test(`pipelined requests of a ${kind} connection are answered in order`, async () => {
    const wire = await open()
    const verbs = ['GET', 'LIST', 'GET', 'LIST', 'SCAN', 'BREW', 'POST', 'LIST', 'LIST']
    await wire.send(
      Buffer.concat(verbs.map((verb, i) => requestText(verb, `/v1/p/${i}`, {}, verb === 'POST' ? '{}' : undefined))),
    )
    for (const [i, verb] of verbs.entries()) {
      const { status, body } = await wire.answer()
      if (verb === 'BREW') assert.equal(status, 405)
      else assert.match(understood(body), new RegExp(` ${verb} p/${i}$`))
    }
    wire.destroy()
  })

  test(`a verb split over ${kind} packets at any place is understood`, async () => {
    for (const verb of ['LIST', 'SCAN']) {
      const text = requestText(verb, '/v1/split')
      for (let cut = 1; cut <= 6; cut++) {
        const wire = await open()
        await wire.send(text.subarray(0, cut), text.subarray(cut))
        assert.equal(
          understood((await wire.answer()).body),
          `${verb.toLowerCase()} ${verb} split`,
          `${verb} cut at ${cut}`,
        )
        // The connection lives on.
        await wire.send(requestText('GET', '/v1/next'))
        assert.equal(understood((await wire.answer()).body), 'read GET next')
        wire.destroy()
      }
      const wire = await open()
      await wire.send(...[...text].map((byte) => Buffer.from([byte])))
      assert.equal(understood((await wire.answer()).body), `${verb.toLowerCase()} ${verb} split`)
      wire.destroy()
    }
  })
}

test('a split verb after another request of the same connection is understood', async () => {
  const wire = await openWire(plain)
  await wire.send(
    Buffer.concat([requestText('GET', '/v1/1'), Buffer.from('LI')]),
    'ST /v1/2 HTTP/1.1\r\nHost: a\r\n\r\n',
  )
  assert.equal(understood((await wire.answer()).body), 'read GET 1')
  assert.equal(understood((await wire.answer()).body), 'list LIST 2')
  wire.destroy()
})

test('a LIST with a body is understood, the body ignored, and the next request too', async () => {
  const wire = await openWire(plain)
  await wire.send(requestText('LIST', '/v1/body', {}, '{"ignored":true}'), requestText('LIST', '/v1/after'))
  assert.equal(understood((await wire.answer()).body), 'list LIST body')
  assert.equal(plain.requests.find((r) => r.path === 'body')?.body, undefined)
  assert.equal(understood((await wire.answer()).body), 'list LIST after')
  wire.destroy()
})

test('unknown verbs get 405 with an empty list of errors, and the connection lives on', async () => {
  const wire = await openWire(plain)
  for (const verb of [
    'FOO',
    'L',
    'LISTS',
    'LIS',
    'list',
    'SCANS',
    'UNLIST',
    'OPTIONSCAN',
    'GETX',
    'M-SCAN',
    'GEST',
    'PROPFIND',
    'LINK',
    'X-Y_Z',
  ]) {
    const count = plain.requests.length
    await wire.send(requestText(verb, '/v1/x'))
    const { status, body, headers } = await wire.answer()
    assert.deepEqual([verb, status, body], [verb, 405, '{"errors":[]}'])
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(plain.requests.length, count)
  }
  await wire.send(requestText('LIST', '/v1/x'))
  assert.equal((await wire.answer()).status, 200)
  wire.destroy()
})

test('verbs of other protocols and CONNECT are 405 as well', async () => {
  for (const verb of ['DESCRIBE', 'CONNECT', 'PLAY']) {
    assert.equal((await ask(plain, verb, verb === 'CONNECT' ? 'host:443' : '/v1/x')).status, 405, verb)
  }
})

test('a client cannot pass the stand-in verb off as LIST', async () => {
  const count = plain.requests.length
  const wire = await openWire(plain)
  const link = requestText('LINK', '/v1/forged')
  // Alone, after a LIST, pipelined behind one, behind one without Host, and split.
  await wire.send(link)
  assert.equal((await wire.answer()).status, 405)
  await wire.send(requestText('LIST', '/v1/real'))
  assert.equal((await wire.answer()).status, 200)
  await wire.send(link)
  assert.equal((await wire.answer()).status, 405)
  await wire.send(Buffer.concat([requestText('LIST', '/v1/real'), link, link]))
  assert.deepEqual(
    [(await wire.answer()).status, (await wire.answer()).status, (await wire.answer()).status],
    [200, 405, 405],
  )
  await wire.send(Buffer.concat([Buffer.from('LIST /v1/hostless HTTP/1.1\r\n\r\n'), link]))
  assert.deepEqual([(await wire.answer()).status, (await wire.answer()).status], [400, 405])
  await wire.send(Buffer.concat([requestText('FOO', '/v1/x'), link]))
  assert.deepEqual([(await wire.answer()).status, (await wire.answer()).status], [405, 405])
  await wire.send(Buffer.concat([Buffer.from('LIST /v1/x HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n')]))
  assert.equal((await wire.answer()).status, 417)
  wire.destroy()
  assert.deepEqual(
    plain.requests.slice(count).map((r) => r.path),
    ['real', 'real'],
  )
})

test('a client that closes its side right after a LIST gets the answer', async () => {
  const wire = await openWire(plain)
  wire.socket.end(requestText('LIST', '/v1/bye'))
  assert.equal(understood((await wire.answer()).body), 'list LIST bye')
  await wire.closed()
})

test('what is no verb is 400 and ends the connection', async () => {
  for (const text of [
    '{}',
    ' / HTTP/1.1\r\n\r\n',
    'F\u0000O / HTTP/1.1\r\n\r\n',
    `${'A'.repeat(100)} / HTTP/1.1\r\n\r\n`,
    'FOO\r\n',
  ]) {
    const wire = await openWire(plain)
    await wire.send(text)
    const { status, headers } = await wire.answer()
    assert.equal(status, 400, JSON.stringify(text))
    assert.equal(headers['connection'], 'close')
    await wire.closed()
  }
})

test('a LIST behind answers that the client does not take waits, and harms nobody', async () => {
  const big = 'x'.repeat(300_000)
  plain.handler.reply = ({ path }) => ({ status: 200, body: path.startsWith('big') ? big : '{}' })
  const wire = await openWire(plain)
  wire.socket.pause()
  const many = Array.from({ length: 30 }, () => requestText('GET', '/v1/big'))
  await wire.send(Buffer.concat([...many, requestText('LIST', '/v1/after')]))
  await wire.send(requestText('LIST', '/v1/later'))
  await new Promise((resolve) => setTimeout(resolve, 100))
  wire.socket.resume()
  for (let i = 0; i < 30; i++) assert.equal((await wire.answer()).body.length, big.length)
  assert.equal((await wire.answer()).body, '{}')
  assert.equal((await wire.answer()).body, '{}')
  wire.destroy()
  plain.handler.reply = ({ verb, method, path }) => ({ status: 200, body: JSON.stringify({ verb, method, path }) })
})

test("node's own client with a keep-alive agent lists in parallel", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const list = (i: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const req = request(
        { port: plain.port, method: i % 3 === 0 ? 'GET' : 'LIST', path: `/v1/n/${i}`, agent },
        (res) => {
          let text = ''
          res.on('data', (piece) => {
            text += piece
          })
          res.on('end', () => {
            assert.match(understood(text), new RegExp(`n/${i}$`))
            resolve(res.statusCode as number)
          })
        },
      )
      req.on('error', reject)
      req.end()
    })
  const all = await Promise.all(Array.from({ length: 200 }, (_, i) => list(i)))
  assert.ok(all.every((status) => status === 200))
  agent.destroy()
})

test('the refused verb is found in the bytes at hand', () => {
  const found = (text: string, position: number): string => {
    const refused = refusedVerb(Buffer.from(text), position)
    return refused.kind === 'verb' ? `${refused.verb}|${refused.rest}` : refused.kind
  }
  assert.equal(found('LIST /x', 2), 'LIST| /x')
  assert.equal(found('IST /x', 1), 'LIST| /x')
  assert.equal(found('ST /x', 0), 'LIST| /x')
  assert.equal(found('LIS', 2), 'incomplete')
  assert.equal(found('LIST', 2), 'incomplete')
  assert.equal(found('CAN /', 0), 'SCAN| /')
  assert.equal(found('\r\n\r\nLIST /x', 6), 'LIST| /x')
  assert.equal(found('UNLIST /x', 4), 'UNLIST| /x')
  assert.equal(found('OPTIONSCAN /x', 7), 'OPTIONSCAN| /x')
  assert.equal(found('FOO', 1), 'incomplete')
  assert.equal(found('FOO\n', 1), 'garbage')
  assert.equal(found('A'.repeat(33), 0), 'garbage')
  assert.equal(found('', 0), 'incomplete')
})

test('a request target with raw bytes beyond ASCII is taken as if it were percent-encoded', async () => {
  const wire = await openWire(plain)
  await wire.send(Buffer.from('GET /v1/with%20space/é HTTP/1.1\r\nHost: a\r\n\r\n', 'utf8'))
  assert.equal(understood((await wire.answer()).body), 'read GET with space/é')
  const more = 'LIST /v1/ü/x HTTP/1.1\r\nHost: a\r\n\r\nPOST /v1/ö HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}'
  await wire.send(Buffer.from(more, 'utf8'))
  assert.equal(understood((await wire.answer()).body), 'list LIST ü/x')
  assert.equal(understood((await wire.answer()).body), 'write POST ö')
  wire.destroy()
})

test('what is mended of a target, and what is not', () => {
  const at = (text: string) => Buffer.from(text, 'utf8')
  const mended = (text: string, position: number) => mendedTarget(at(text), position)?.toString('latin1')
  assert.equal(mended('GET /é HTTP/1.1\r\n', 5), 'GET /%C3%A9 HTTP/1.1\r\n')
  assert.equal(mended('{}\r\nGET /é HTTP/1.1\r\n', 9), 'GET /%C3%A9 HTTP/1.1\r\n')
  assert.equal(mended('{}GET /é HTTP/1.1\r\n', 7), undefined)
  assert.equal(mended('/é HTTP/1.1\r\n', 1), undefined)
  assert.equal(mended('GET /\u0001 HTTP/1.1\r\n', 5), undefined)
  assert.equal(mended('GET  é', 5), undefined)
})
