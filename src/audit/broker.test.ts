import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ApiError } from '../sdk/errors.ts'
import { type AuditRoom, auditBroker } from './broker.ts'
import { AuditFailed } from './event.ts'
import type { AuditLimits } from './limits.ts'
import { auditSigner } from './signer.ts'
import {
  fileDevice,
  folder,
  memoryAnchors,
  memoryLogger,
  pair,
  requestEvent,
  salt,
  until,
  verifyFiles,
} from './testing.ts'

const signer = auditSigner()

interface World {
  readonly broker: AuditRoom
  readonly anchors: ReturnType<typeof memoryAnchors>
  readonly logger: ReturnType<typeof memoryLogger>
}

function world(limits: Partial<AuditLimits> = {}, anchors = memoryAnchors()): World {
  const logger = memoryLogger()
  const broker = auditBroker({ now: Date.now, signer, anchors, logger, limits: { lookMs: 0, ...limits } })
  return { broker, anchors, logger }
}

const linesOf = async (file: string): Promise<Record<string, unknown>[]> =>
  (await readFile(file, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('broker', () => {
  test('without devices everything is accepted and nothing is enabled', async () => {
    const { broker } = world()
    assert.equal(broker.enabled, false)
    await broker.record(pair())
    assert.deepEqual(broker.health(), { ok: true, devices: [] })
  })

  test('writes entries in order, chained and signed, with mode 0600', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker, anchors } = world()
    await broker.sync([fileDevice(file)])
    assert.equal(broker.enabled, true)
    await Promise.all(Array.from({ length: 50 }, () => broker.record(pair())))
    await broker.close()
    assert.equal((await stat(file)).mode & 0o7777, 0o600)
    const lines = await linesOf(file)
    assert.equal(lines.length, 102)
    assert.deepEqual(
      lines.map(({ type }) => type),
      ['checkpoint', ...Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 'request' : 'response')), 'checkpoint'],
    )
    assert.ok(!(await readFile(file, 'utf8')).includes('canary-secret'))
    const report = await verifyFiles([file], { publicKey: signer.publicKey, anchors: anchors.all('audit_file_1234') })
    assert.equal(report.finding, undefined)
    assert.equal(report.unsigned, 0)
    assert.deepEqual(
      report.chains.map(({ first, last, signed, closed }) => ({ first, last, signed, closed })),
      [{ first: 1, last: 102, signed: 102, closed: true }],
    )
    await assert.rejects(broker.record(pair()), AuditFailed)
  })

  test('writes a checkpoint after so many lines and after some time, and anchors it', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker, anchors } = world({ checkpointLines: 10, checkpointMs: 50 })
    await broker.sync([fileDevice(file)])
    for (let i = 0; i < 6; i++) await broker.record(pair())
    await until(() => (anchors.all('audit_file_1234')[0]?.seq ?? 0) >= 12)
    await broker.record([requestEvent()])
    await until(async () => (await linesOf(file)).at(-1)?.['type'] === 'checkpoint')
    await broker.close()
    const report = await verifyFiles([file], { publicKey: signer.publicKey })
    assert.equal(report.finding, undefined)
    // Two by their number of lines, one by time, one at the end; a slow machine adds more by time.
    assert.ok(report.checkpoints >= 4, `${report.checkpoints} checkpoints`)
  })

  test('a restart links to the chain before it, and closes a torn line', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker, anchors } = world()
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await until(() => anchors.all('audit_file_1234').length === 1)
    // The process dies in the middle of a write: nothing is closed.
    await writeFile(file, '{"time":"2024-01-01T00:00:00.000000000Z","type":"req', { flag: 'a' })
    const second = world({}, anchors)
    await second.broker.sync([fileDevice(file)])
    await second.broker.record(pair())
    await second.broker.close()
    const report = await verifyFiles([file], { publicKey: signer.publicKey, anchors: anchors.all('audit_file_1234') })
    assert.equal(report.finding, undefined)
    assert.equal(report.chains.length, 2)
    assert.match(report.notes.join('\n'), /vouches for a line/)
    const start = (await readFile(file, 'utf8')).split('\n').find((line) => line.includes('"torn"'))
    const { checkpoint } = JSON.parse(start ?? '{}') as { checkpoint: { previous: { chain: string; seq: number }[] } }
    assert.deepEqual(
      checkpoint.previous.map(({ chain, seq }) => ({ chain, seq })),
      [{ chain: report.chains[0]?.chain, seq: 3 }],
    )
    await broker.close()
  })

  test('two brokers append to one file', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const [a, b] = [world({ checkpointLines: 20 }), world({ checkpointLines: 20 })]
    await Promise.all([a, b].map(({ broker }) => broker.sync([fileDevice(file)])))
    for (let i = 0; i < 100; i++) await Promise.all([a.broker.record(pair()), b.broker.record(pair())])
    await Promise.all([a.broker.close(), b.broker.close()])
    const report = await verifyFiles([file], { publicKey: signer.publicKey })
    assert.equal(report.finding, undefined)
    assert.equal(report.chains.length, 2)
    assert.ok(report.lines >= 404)
  })

  test('rotation: the old file ends and the new one begins with a checkpoint; each verifies alone and both in order', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker, anchors } = world()
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await rename(file, `${file}.1`)
    await broker.reopen()
    await broker.record(pair())
    await broker.close()
    const key = { publicKey: signer.publicKey }
    for (const files of [[`${file}.1`], [file], [`${file}.1`, file]])
      assert.equal((await verifyFiles(files, key)).finding, undefined)
    assert.equal((await linesOf(`${file}.1`)).at(-1)?.['type'], 'checkpoint')
    assert.equal((await linesOf(file))[0]?.['type'], 'checkpoint')
    assert.deepEqual(broker.health().devices[0]?.warning, '')
    const events = (await linesOf(file)).map((line) => (line['checkpoint'] as { event: string } | undefined)?.event)
    assert.deepEqual(events, ['reopen', undefined, undefined, 'stop'])
    const cut = await verifyFiles([`${file}.1`], { ...key, anchors: anchors.all('audit_file_1234') })
    assert.equal(cut.finding?.kind, 'cut')
  })

  test('opening anew without rotation does not begin a file', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker } = world()
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await broker.reopen()
    await broker.record(pair())
    await broker.close()
    const lines = (await readFile(file, 'utf8')).split('\n')
    assert.ok(!lines.some((line) => line.includes('"event":"reopen"')))
    await writeFile(file, lines.slice(4).join('\n'))
    assert.equal((await verifyFiles([file], { publicKey: signer.publicKey })).finding?.kind, 'missing')
  })

  test('a deleted file is made anew with a checkpoint and a warning', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker, logger } = world({ checkpointMs: 50 })
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await rm(file)
    // Noticed without any request.
    await until(() => broker.health().devices[0]?.warning !== '')
    await broker.record(pair())
    assert.match(broker.health().devices[0]?.warning ?? '', /deleted/)
    assert.equal(broker.health().ok, true)
    assert.ok(logger.lines.some((line) => line.includes('deleted')))
    await broker.reopen()
    assert.equal(broker.health().devices[0]?.warning, '')
    await broker.close()
    const report = await verifyFiles([file], { publicKey: signer.publicKey })
    assert.equal(report.finding, undefined)
    assert.match(report.notes.join('\n'), /made anew/)
  })

  test('a replaced and an emptied file are noticed', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker } = world()
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await writeFile(`${file}.new`, '')
    await rename(`${file}.new`, file)
    await broker.record(pair())
    assert.match(broker.health().devices[0]?.warning ?? '', /replaced/)
    await broker.record(pair())
    await writeFile(file, '')
    await broker.record(pair())
    assert.match(broker.health().devices[0]?.warning ?? '', /emptied/)
    await broker.close()
    assert.equal((await verifyFiles([file], { publicKey: signer.publicKey })).finding, undefined)
  })

  test('an entry that no device takes is refused, health says so, and it recovers by itself', async (t) => {
    const dir = join(await folder(t), 'missing')
    const { broker } = world({ retryMs: 20 })
    const file = join(dir, 'audit.log')
    await broker.sync([fileDevice(file)])
    await assert.rejects(broker.record(pair()), AuditFailed)
    assert.equal(broker.health().ok, false)
    assert.match(broker.health().devices[0]?.warning ?? '', /ENOENT/)
    execFileSync('mkdir', [dir])
    await until(() =>
      broker.record(pair()).then(
        () => true,
        () => false,
      ),
    )
    assert.equal(broker.health().ok, true)
    await broker.close()
    assert.equal((await verifyFiles([file], { publicKey: signer.publicKey })).finding, undefined)
  })

  test('a stuck device delays nobody and says what it lost when it is back', async (t) => {
    const dir = await folder(t)
    const file = join(dir, 'audit.log')
    const sockets: Socket[] = []
    const got: Uint8Array[] = []
    // Accepts connections and reads nothing.
    const server = createServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const { port } = server.address() as { port: number }
    const { broker } = world({ queueEntriesMax: 100 })
    const stuck = {
      ...fileDevice(file),
      path: 'socket/',
      type: 'socket',
      accessor: 'audit_socket_1',
      options: { address: `127.0.0.1:${port}`, write_timeout: '30s' },
    }
    await broker.sync([stuck, fileDevice(file)])
    const big = 'x'.repeat(64 * 1024)
    const event = (): ReturnType<typeof requestEvent> => requestEvent({ error: big })
    for (let i = 0; i < 300; i++) await broker.record([event()])
    const lost = broker.health().devices[0]?.lost ?? 0
    assert.ok(lost > 0, 'nothing was lost: the peer was not stuck')
    for (const socket of sockets) {
      socket.on('data', (data) => got.push(Buffer.from(data as Buffer)))
      socket.resume()
    }
    await until(async () => {
      await broker.record([requestEvent()])
      return Buffer.concat(got).includes('"type":"lost"')
    })
    assert.equal(broker.health().devices[1]?.lost, 0)
    await broker.close()
    await until(() => Buffer.concat(got).includes('"event":"stop"'))
    await writeFile(join(dir, 'received.log'), Buffer.concat(got))
    const report = await verifyFiles([join(dir, 'received.log')], { publicKey: signer.publicKey })
    assert.equal(report.finding, undefined)
    assert.equal(report.lost, broker.health().devices[0]?.lost)
    assert.equal((await verifyFiles([file], { publicKey: signer.publicKey })).finding, undefined)
  })

  test('when every queue is full a request waits, and fails after its time', async (t) => {
    const sockets: Socket[] = []
    const server = createServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const { port } = server.address() as { port: number }
    const { broker } = world({ queueEntriesMax: 10, recordMs: 300, closeMs: 50 })
    const options = { address: `127.0.0.1:${port}`, write_timeout: '30s' }
    await broker.sync([{ ...fileDevice(''), type: 'socket', options }])
    const big = 'x'.repeat(1024 * 1024)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, () => broker.record([requestEvent({ error: big })])),
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    assert.ok(refused.length > 0)
    assert.ok(refused.every((outcome) => outcome.status === 'rejected' && outcome.reason instanceof AuditFailed))
    assert.ok((broker.health().devices[0]?.lost ?? 0) > 0)
    await broker.close()
  })

  test('enabling writes a test entry, and refuses with a reason what does not work', async (t) => {
    const dir = await folder(t)
    const file = join(dir, 'audit.log')
    const { broker } = world()
    await broker.open(fileDevice(file))
    assert.equal(broker.enabled, false)
    assert.equal(broker.hash('file/', 'x'), undefined)
    await broker.sync([fileDevice(file)])
    const lines = (await linesOf(file)) as unknown as { type: string; request?: { path: string } }[]
    assert.deepEqual(
      lines.map(({ type, request }) => request?.path ?? type),
      ['checkpoint', 'sys/audit/test'],
    )
    const refusals: [string, Record<string, string>, RegExp][] = [
      ['file', {}, /file_path is required/],
      ['file', { file_path: join(dir, 'no', 'such', 'folder') }, /ENOENT/],
      ['file', { file_path: dir }, /not a regular file/],
      ['none', {}, /unknown audit device type/],
      ['file', { file_path: file, mode: '0700' }, /executable/],
      ['socket', { address: '127.0.0.1:1' }, /ECONNREFUSED/],
    ]
    for (const [type, options, message] of refusals)
      await assert.rejects(broker.open({ ...fileDevice(''), path: 'other/', type, options }), (error: unknown) => {
        assert.ok(error instanceof ApiError, String(error))
        assert.equal(error.status, 400)
        assert.match(error.message, message)
        return true
      })
    await broker.close()
  })

  test('sync opens, keeps and closes devices; hash is that of the device', async (t) => {
    const dir = await folder(t)
    const { broker } = world()
    const one = fileDevice(join(dir, 'one.log'))
    const two = fileDevice(join(dir, 'two.log'), { path: 'two/', accessor: 'audit_file_2', salt: 'cd'.repeat(32) })
    await broker.sync([one, two])
    await broker.record(pair())
    assert.notEqual(broker.hash('file/', 'hello'), broker.hash('two', 'hello'))
    assert.equal(broker.hash('file', 'hello'), broker.hash('file/', 'hello'))
    assert.match(broker.hash('file', 'hello') ?? '', /^hmac-sha256:[0-9a-f]{64}$/)
    await broker.sync([{ ...two, description: 'another word' }])
    await broker.record(pair())
    assert.equal(broker.hash('file/', 'hello'), undefined)
    await broker.close()
    assert.equal((await linesOf(one.options['file_path'] ?? '')).length, 4)
    assert.equal((await linesOf(two.options['file_path'] ?? '')).length, 6)
  })

  test('a device whose record cannot be used fails requests instead of leaving them unaudited', async () => {
    const { broker } = world({ closeMs: 50 })
    await broker.sync([{ ...fileDevice(''), options: {} }])
    assert.equal(broker.enabled, true)
    assert.equal(broker.health().ok, false)
    await assert.rejects(broker.record(pair()), AuditFailed)
    await broker.close()
  })

  test('the configured headers are written, hashed where asked', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker } = world()
    await broker.sync([fileDevice(file)])
    broker.setHeaders({ 'x-one': { hmac: true }, 'x-two': { hmac: false } })
    const base = requestEvent()
    const headers = { 'x-one': 'secret', 'x-two': ['a', 'b'], 'x-three': 'no' }
    await broker.record([{ ...base, request: { ...base.request, headers } }])
    const line = (await linesOf(file)).at(-1) as unknown as { request: { headers: unknown } }
    assert.deepEqual(line.request.headers, { 'x-one': [broker.hash('file', 'secret')], 'x-two': ['a', 'b'] })
    await broker.close()
  })

  test('mode 0000 leaves the mode of a file as it is', async (t) => {
    const file = join(await folder(t), 'audit.log')
    await writeFile(file, '')
    await chmod(file, 0o640)
    const { broker } = world()
    await broker.sync([fileDevice(file, { options: { file_path: file, mode: '0000' } })])
    await broker.record(pair())
    assert.equal((await stat(file)).mode & 0o7777, 0o640)
    await broker.sync([fileDevice(file, { options: { file_path: file, mode: '0660' } })])
    await broker.record(pair())
    assert.equal((await stat(file)).mode & 0o7777, 0o660)
    await broker.close()
  })

  test('anchors of ended chains are forgotten once a later chain refers to them', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const anchors = memoryAnchors()
    for (let i = 0; i < 4; i++) {
      const { broker } = world({}, anchors)
      await broker.sync([fileDevice(file)])
      await broker.record(pair())
      await broker.close()
    }
    assert.equal(anchors.all('audit_file_1234').length, 1)
    const options = { publicKey: signer.publicKey, anchors: anchors.all('audit_file_1234') }
    assert.equal((await verifyFiles([file], options)).finding, undefined)
  })

  test('two nodes with one device write logs of their own: each verifies alone, and a cut one is found', async (t) => {
    const files = [join(await folder(t), 'audit.log'), join(await folder(t), 'audit.log')]
    const anchors = memoryAnchors()
    for (let round = 0; round < 3; round++) {
      const nodes = files.map(() => world({}, anchors).broker)
      for (const [at, broker] of nodes.entries()) await broker.sync([fileDevice(files[at] as string)])
      for (let i = 0; i < 5; i++) for (const broker of nodes) await broker.record(pair())
      for (const broker of nodes) await broker.close()
    }
    const options = { publicKey: signer.publicKey, anchors: anchors.all('audit_file_1234') }
    assert.equal(options.anchors.length, 2)
    for (const file of files) assert.equal((await verifyFiles([file], options)).finding, undefined)
    const [file = ''] = files
    const lines = (await readFile(file, 'utf8')).split('\n')
    await writeFile(file, `${lines.slice(0, lines.length - 3).join('\n')}\n`)
    assert.equal((await verifyFiles([file], options)).finding?.kind, 'cut')
    // The last chain of the file taken out whole.
    const start = lines.findLastIndex((line) => line.includes('"event":"start"'))
    await writeFile(file, `${lines.slice(0, start).join('\n')}\n`)
    assert.equal((await verifyFiles([file], options)).finding?.kind, 'cut')
  })

  test('storage that takes no anchors is a warning, not a failure', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const anchors = { ...memoryAnchors(), save: () => Promise.reject(new Error('storage is away')) }
    const broker = auditBroker({ now: Date.now, signer, anchors, logger: memoryLogger() })
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await until(() => /not anchored: storage is away/.test(broker.health().devices[0]?.warning ?? ''))
    assert.equal(broker.health().ok, true)
    await broker.close()
  })

  test('the salt is not in the log', async (t) => {
    const file = join(await folder(t), 'audit.log')
    const { broker } = world()
    await broker.sync([fileDevice(file)])
    await broker.record(pair())
    await broker.close()
    assert.ok(!(await readFile(file, 'utf8')).includes(salt))
  })
})
