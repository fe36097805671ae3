// Failures of the file at every call: no entry that was accepted is missing, and the chain holds.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Device } from './device.ts'
import { AuditFailed } from './event.ts'
import { auditLimits } from './limits.ts'
import { validateDevice } from './options.ts'
import { auditSigner } from './signer.ts'
import { type FileIo, fileSink, nodeFileIo } from './sinks/file.ts'
import {
  fileDevice,
  folder,
  memoryAnchors,
  memoryLogger,
  request,
  requestEvent,
  until,
  verifyFiles,
} from './testing.ts'
import { Ticket } from './ticket.ts'

const signer = auditSigner()
const names = ['open', 'write', 'fsync', 'fstat', 'stat', 'fchmod'] as const
type Done = (error: Error | null, value?: unknown) => void

/** The calls of node:fs, of which some fail; `cut` lets a write write a part and no more. */
function faulty(fails: (call: number) => 'fail' | 'cut' | undefined): { io: FileIo; calls: () => number } {
  let calls = 0
  const io: Record<string, unknown> = { ...nodeFileIo }
  for (const name of names) {
    const real = nodeFileIo[name] as (...args: unknown[]) => void
    io[name] = (...args: unknown[]) => {
      const fault = fails(++calls)
      const done = args.at(-1) as Done
      if (fault === 'cut' && name === 'write' && (args[3] as number) > 20)
        return real(args[0], args[1], args[2], Math.floor((args[3] as number) * 0.7), null, done)
      if (fault === undefined || fault === 'cut') return real(...args)
      setImmediate(() => done(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })))
    }
  }
  return { io: io as unknown as FileIo, calls: () => calls }
}

async function run(
  path: string,
  io: FileIo,
): Promise<{ accepted: string[]; device: Device; anchors: ReturnType<typeof memoryAnchors> }> {
  const config = fileDevice(path)
  const anchors = memoryAnchors()
  const device = new Device(config, validateDevice(config), fileSink({ kind: 'file', path, mode: 0o600 }, io), {
    now: Date.now,
    signer,
    anchors,
    logger: memoryLogger(),
    limits: { ...auditLimits, lookMs: 0, retryMs: 1, retryMsMax: 2, checkpointLines: 3, checkpointMs: 10 },
    onRoom: () => {},
  })
  const accepted: string[] = []
  for (let i = 0; i < 12; i++) {
    const event = requestEvent({ request: request({ id: `entry-${i}` }) })
    const ticket = new Ticket(Date.now() + 5000)
    device.offer([event], ticket)
    await ticket.promise.then(
      () => accepted.push(event.request.id),
      (error: unknown) => assert.ok(error instanceof AuditFailed),
    )
  }
  return { accepted, device, anchors }
}

async function check(
  path: string,
  { accepted, device, anchors }: Awaited<ReturnType<typeof run>>,
  what: string,
): Promise<void> {
  await until(() => device.health().ok)
  await device.close()
  const report = await verifyFiles([path], { publicKey: signer.publicKey, anchors: anchors.all('audit_file_1234') })
  assert.equal(report.finding, undefined, what)
  assert.equal(report.unsigned, 0, what)
  const text = await readFile(path, 'utf8')
  for (const id of accepted) assert.ok(text.includes(`"${id}"`), `${what}: ${id}`)
  // Entries that were refused are tried again: all of them are there once.
  for (let i = 0; i < 12; i++) {
    const whole = text.split('\n').filter((line) => line.includes(`"id":"entry-${i}"`) && line.endsWith('}}'))
    assert.equal(whole.length, 1, `${what}: entry-${i}`)
  }
}

describe('device', () => {
  test('a failure at any one call loses nothing and leaves no gap', async (t) => {
    const dir = await folder(t)
    const clean = faulty(() => undefined)
    await check(join(dir, 'clean.log'), await run(join(dir, 'clean.log'), clean.io), 'clean')
    assert.ok(clean.calls() > 20)
    for (let n = 1; n <= clean.calls(); n++) {
      const path = join(dir, `fail-${n}.log`)
      await check(path, await run(path, faulty((call) => (call === n ? 'fail' : undefined)).io), `fail at ${n}`)
    }
  })

  test('writes that are cut short, once or often, are closed and vouched for', async (t) => {
    const dir = await folder(t)
    for (let n = 1; n <= 40; n += 3) {
      const path = join(dir, `cut-${n}.log`)
      await check(path, await run(path, faulty((call) => (call === n ? 'cut' : undefined)).io), `cut at ${n}`)
    }
    const often = join(dir, 'often.log')
    await check(
      often,
      await run(often, faulty((call) => (call < 40 && call % 5 === 0 ? 'cut' : undefined)).io),
      'often',
    )
  })

  test('a disk that stays full refuses entries at once and takes them all when there is room', async (t) => {
    const path = join(await folder(t), 'full.log')
    let full = true
    const { io } = faulty((call) => (full && call > 4 ? 'fail' : undefined))
    const made = await run(path, io)
    assert.equal(made.accepted.length, 0)
    assert.equal(made.device.health().ok, false)
    assert.match(made.device.health().warning, /ENOSPC/)
    full = false
    await check(path, made, 'full')
  })
})
