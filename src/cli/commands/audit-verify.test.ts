import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { auditBroker } from '../../audit/broker.ts'
import { auditSigner } from '../../audit/signer.ts'
import { fileDevice, folder, memoryAnchors, memoryLogger, pair } from '../../audit/testing.ts'
import { type RunOptions, runAt, startRecorder } from '../testing.ts'
import { auditVerify } from './audit-verify.ts'

/** A real log with its key and anchors in a folder. */
async function world(t: TestContext) {
  const dir = await folder(t)
  const signer = auditSigner()
  const file = join(dir, 'audit.log')
  const broker = auditBroker({ now: Date.now, signer, anchors: memoryAnchors(), logger: memoryLogger() })
  await broker.sync([fileDevice(file)])
  for (let i = 0; i < 5; i++) await broker.record(pair())
  await broker.close()
  const { publicKey, devices } = await broker.verification()
  const key = join(dir, 'key.pem')
  const anchors = join(dir, 'anchors.json')
  const answer = { data: { public_key: publicKey, devices } }
  await writeFile(key, publicKey)
  await writeFile(anchors, JSON.stringify(answer))
  const run = (argv: string[], options: RunOptions = {}, address?: string) =>
    runAt(address, ['audit', 'verify', ...argv], { ...options, extra: [auditVerify] })
  return { dir, file, key, anchors, answer, run }
}

test('a whole log, offline with key and anchors', async (t) => {
  const { file, key, anchors, run } = await world(t)
  const whole = await run([`-public-key=${key}`, `-anchors=${anchors}`, file])
  assert.equal(whole.code, 0, whole.err)
  assert.equal(whole.out, 'Success! 12 lines hold together: 1 chain, 2 checkpoints.\n')
  assert.equal(whole.err, '')
  const alone = await run([`-public-key=${key}`, file])
  assert.equal(alone.code, 0)
  assert.match(alone.err, /Without anchors/)
})

test('an altered and a cut log end with 2 and name the line', async (t) => {
  const { dir, file, key, anchors, run } = await world(t)
  const text = await readFile(file, 'utf8')
  const altered = join(dir, 'altered.log')
  await writeFile(altered, text.replace('127.0.0.1', '127.0.0.2'))
  const bad = await run([`-public-key=${key}`, altered])
  assert.equal(bad.code, 2)
  assert.equal(bad.out, '')
  assert.ok(bad.err.includes(`${altered}: line 2: altered: `), bad.err)
  const cut = join(dir, 'cut.log')
  await writeFile(cut, `${text.split('\n').slice(0, 6).join('\n')}\n`)
  const short = await run([`-public-key=${key}`, `-anchors=${anchors}`, '-device=file', cut])
  assert.equal(short.code, 2)
  assert.match(short.err, /cut\.log: line 6: the log was cut off/)
  const open = await run([`-public-key=${key}`, cut])
  assert.match(open.out, /5 lines after the last checkpoint: chained but not yet signed/)
  await writeFile(cut, '')
  assert.equal((await run([`-public-key=${key}`, `-anchors=${anchors}`, '-device=file/', cut])).code, 2)
})

test('asks the server for key and anchors; reads standard input and .gz; prints JSON', async (t) => {
  const { dir, file, answer, run } = await world(t)
  const recorder = await startRecorder({ 'GET sys/x/audit/verification': { body: answer } })
  t.after(recorder.close)
  const packed = join(dir, 'audit.log.1.gz')
  await writeFile(packed, gzipSync(await readFile(file)))
  const unpacked = await run(['-format=json', packed], {}, recorder.address)
  assert.equal(unpacked.code, 0, unpacked.err)
  const report = JSON.parse(unpacked.out) as { ok: boolean; lines: number; chains: { last: number }[] }
  assert.deepEqual([report.ok, report.lines, report.chains[0]?.last], [true, 12, 12])
  const piped = await run(['-'], { stdin: await readFile(file, 'utf8') }, recorder.address)
  assert.equal(piped.code, 0, piped.err)
})

test('a wrong key, file or anchor is a usage error, or a forged line', async (t) => {
  const { dir, file, key, run } = await world(t)
  const other = join(dir, 'other.pem')
  await writeFile(other, auditSigner().publicPem())
  const forged = await run([`-public-key=${other}`, file])
  assert.equal(forged.code, 2)
  assert.match(forged.err, /line 1: forged: it is signed with another key/)
  const wrong: [string[], RegExp][] = [
    [[`-public-key=${file}`, file], /holds no Ed25519 public key/],
    [[`-public-key=${dir}/none`, file], /cannot read the public key/],
    [[`-public-key=${key}`, `${dir}/none`], /cannot read the log/],
    [[`-public-key=${key}`, `-anchors=${key}`, file], /is no JSON/],
    [[`-public-key=${key}`], /./],
  ]
  for (const [argv, message] of wrong) {
    const { code, err } = await run(argv)
    assert.equal(code, 1, err)
    assert.match(err, message)
  }
  await appendFile(file, 'something else\n')
  assert.equal((await run([`-public-key=${key}`, file])).code, 2)
})
