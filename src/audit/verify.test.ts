import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import { type Anchor, type CheckpointFacts, startChain } from './chain.ts'
import { formatter } from './format.ts'
import { auditSigner, fingerprintOf, readPublicKeys } from './signer.ts'
import { requestEvent, salt } from './testing.ts'
import { type VerifyOptions, type VerifyReport, verifyLog } from './verify.ts'

const signer = auditSigner()
const other = auditSigner()
const { body } = formatter({ salt, logRaw: false, hmacAccessor: true, elideListResponses: false })
const device = 'audit_file_1'
const begin = Date.parse('2024-05-05T12:00:00Z')
let clock = begin
const entry = (): string => body(requestEvent({ time: ++clock }))

interface Made {
  readonly lines: string[]
  readonly anchor: Anchor
}

/** A chain of some entries with checkpoints in between; `end` closes it. */
function chainOf(entries: number, facts: CheckpointFacts = {}, end: 'stop' | 'open' = 'stop'): Made {
  const chain = startChain(device, signer)
  const first = chain.checkpoint('start', ++clock, facts)
  const lines = [first.line]
  let { anchor } = first
  for (let i = 1; i <= entries; i++) {
    lines.push(chain.line(entry()))
    if (i % 5 !== 0) continue
    const made = chain.checkpoint('periodic', ++clock)
    lines.push(made.line)
    anchor = made.anchor
  }
  if (end === 'stop') {
    const made = chain.checkpoint('stop', ++clock)
    lines.push(made.line)
    anchor = made.anchor
  }
  return { lines, anchor }
}

async function verify(text: string | readonly string[], options: Partial<VerifyOptions> = {}): Promise<VerifyReport> {
  const files = typeof text === 'string' ? [text] : text
  const chunked = (bytes: Buffer) =>
    (async function* () {
      for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700)
    })()
  return verifyLog(
    files.map((content, index) => ({ name: `log.${index}`, chunks: chunked(Buffer.from(content)) })),
    { publicKey: signer.publicKey, ...options },
  )
}

const log = (lines: readonly string[]): string => `${lines.join('\n')}\n`
const without = (lines: readonly string[], ...numbers: number[]): string[] =>
  lines.filter((_line, index) => !numbers.includes(index + 1))

async function expectFinding(
  text: string | readonly string[],
  kind: string,
  line: number,
  options = {},
): Promise<void> {
  const { finding, ok } = await verify(text, options)
  assert.deepEqual({ kind: finding?.kind, line: finding?.line, ok }, { kind, line, ok: false }, JSON.stringify(finding))
}

// Lines 1 start, 2-6 entries, 7 checkpoint, 8-12 entries, 13 checkpoint, 14-16 entries, 17 stop.
const good = chainOf(13)

describe('verify', () => {
  test('a whole log is whole', async () => {
    const report = await verify(log(good.lines), { anchors: [good.anchor] })
    assert.equal(report.finding, undefined)
    assert.equal(report.ok, true)
    assert.equal(report.lines, 17)
    assert.equal(report.checkpoints, 4)
    assert.equal(report.unsigned, 0)
    assert.deepEqual(report.notes, [])
  })

  test('every single byte of every line matters', async () => {
    const lines = good.lines.slice(0, 8)
    for (let number = 1; number <= 7; number++) {
      const line = Buffer.from(lines[number - 1] ?? '')
      for (let at = 0; at < line.length; at += 3) {
        const changed = Buffer.from(line)
        changed[at] = (changed[at] ?? 0) ^ 0x01
        if (changed[at] === 0x0a) continue
        const text = Buffer.concat([
          Buffer.from(log(lines.slice(0, number - 1)).slice(number === 1 ? 1 : 0)),
          changed,
          Buffer.from(`\n${log(good.lines.slice(number))}`),
        ])
        const { finding } = await verifyLog(
          [
            {
              name: 'log',
              chunks: (async function* () {
                yield text
              })(),
            },
          ],
          { publicKey: signer.publicKey },
        )
        assert.equal(finding?.line, number, `line ${number} byte ${at}: ${JSON.stringify(finding)}`)
      }
    }
  })

  test('invalid UTF-8 is not taken for the replacement character', async () => {
    const chain = startChain(device, signer)
    const lines = [chain.checkpoint('start', ++clock).line, chain.line(body(requestEvent({ error: '\ufffd' })))]
    lines.push(chain.checkpoint('stop', ++clock).line)
    const bytes = Buffer.from(log(lines))
    const at = bytes.indexOf(Buffer.from('\ufffd'))
    const changed = Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)])
    const { finding } = await verifyLog(
      [
        {
          name: 'log',
          chunks: (async function* () {
            yield changed
          })(),
        },
      ],
      { publicKey: signer.publicKey },
    )
    assert.equal(finding?.line, 2)
  })

  test('deleted lines are missed', async () => {
    for (const number of [2, 5, 9, 12]) await expectFinding(log(without(good.lines, number)), 'missing', number)
    await expectFinding(log(without(good.lines, 7)), 'missing', 7)
    await expectFinding(log(without(good.lines, 8, 9, 10)), 'missing', 8)
    await expectFinding(log(good.lines.slice(1)), 'missing', 1)
    await expectFinding(log(good.lines.slice(6)), 'missing', 1)
  })

  test('swapped lines are found', async () => {
    const swapped = [...good.lines]
    swapped[8] = good.lines[9] ?? ''
    swapped[9] = good.lines[8] ?? ''
    await expectFinding(log(swapped), 'reordered', 9)
  })

  test('copied lines are found wherever they are put', async () => {
    for (const [from, to] of [
      [3, 3],
      [3, 4],
      [3, 10],
      [3, 17],
      [10, 4],
      [1, 9],
      [7, 12],
    ] as const) {
      const lines = [...good.lines]
      lines.splice(to, 0, good.lines[from - 1] ?? '')
      await expectFinding(log(lines), 'inserted', to + 1)
    }
  })

  test('a forged line with the right number and hash is found by the line after it', async () => {
    for (const at of [4, 7, 12]) {
      const lines = [...good.lines]
      const last = /"id":"([0-9a-f]{16})","seq":(\d+)/.exec(lines[at - 1]?.slice(-300) ?? '')
      const { createHash } = await import('node:crypto')
      const prev = createHash('sha256')
        .update(lines[at - 1] ?? '')
        .digest('hex')
      const forged = `${entry()},"chain":{"id":"${last?.[1]}","seq":${Number(last?.[2]) + 1},"prev":"${prev}"}}`
      lines.splice(at, 0, forged)
      await expectFinding(log(lines), 'inserted', at + 1)
    }
  })

  test('an altered line with a chain made anew behind it is found at the next checkpoint', async () => {
    const forger = startChain(device, signer)
    const id = /"id":"([0-9a-f]{16})","seq"/.exec(good.lines[0]?.slice(-300) ?? '')?.[1] ?? ''
    const { lineHash } = await import('./chain.ts')
    forger.back({ seq: 7, hash: lineHash(good.lines[6] ?? '') })
    const remade = Array.from({ length: 5 }, () => forger.line(entry()).replace(forger.id, id))
    const lines = [...good.lines.slice(0, 7), ...remade, ...good.lines.slice(12)]
    const { finding } = await verify(log(lines))
    assert.equal(finding?.kind, 'altered')
    assert.ok((finding?.line ?? 0) >= 8 && (finding?.line ?? 99) <= 13)
  })

  test('a checkpoint made with another key is forged', async () => {
    const chain = startChain(device, other)
    const start = chain.checkpoint('start', ++clock).line
    await expectFinding(log([...good.lines, start, chain.line(entry())]), 'forged', 18)
    const claims = start.replace(fingerprintOf(other.publicKey), fingerprintOf(signer.publicKey))
    await expectFinding(log([...good.lines, claims]), 'forged', 18)
    const both = { publicKey: [signer.publicKey, other.publicKey] }
    assert.equal((await verify(log([...good.lines, start]), both)).finding, undefined)
  })

  test('a chain without a signed beginning and a line without a chain are put in', async () => {
    const chain = startChain(device, signer)
    await expectFinding(log([...good.lines, chain.line(entry())]), 'inserted', 18)
    await expectFinding(log([...good.lines.slice(0, 3), `${entry()}}`, ...good.lines.slice(3)]), 'altered', 4)
    await expectFinding(log([...good.lines, 'not a line']), 'altered', 18)
  })

  test('a line after the end of its chain is put in', async () => {
    await expectFinding(log([...good.lines, good.lines[4] ?? '']), 'inserted', 18)
  })

  test('a tail that is cut off shows with the anchor, an unsigned tail is counted', async () => {
    const anchors = [good.anchor]
    for (const kept of [16, 13, 8, 1]) {
      const text = log(good.lines.slice(0, kept))
      assert.equal((await verify(text)).finding, undefined)
      await expectFinding(text, 'cut', kept, { anchors })
    }
    await expectFinding('', 'cut', 0, { anchors })
    assert.equal((await verify(log(good.lines.slice(0, 16)))).unsigned, 3)
    const open = chainOf(8, {}, 'open')
    const report = await verify(log(open.lines), { anchors: [open.anchor] })
    assert.equal(report.finding, undefined)
    assert.equal(report.unsigned, 3)
  })

  test('a log that breaks off in the middle of a line says so', async () => {
    const text = log(good.lines.slice(0, 10))
    const report = await verify(text.slice(0, -200))
    assert.equal(report.finding, undefined)
    assert.match(report.notes.join(), /log.0:10: the last line is incomplete/)
    await expectFinding(text.slice(0, -200), 'cut', 9, { anchors: [good.anchor] })
    await expectFinding(`${text.slice(0, -200)}\n${log(good.lines.slice(10))}`, 'altered', 10)
  })

  test('another hash in the anchor is an altered line', async () => {
    await expectFinding(log(good.lines), 'altered', 17, { anchors: [{ ...good.anchor, hash: 'ab'.repeat(32) }] })
  })

  test('a chain cut short before the next one began is missed without an anchor', async () => {
    const next = chainOf(3, { previous: [good.anchor] })
    assert.equal((await verify(log([...good.lines, ...next.lines]))).finding, undefined)
    await expectFinding(log([...good.lines.slice(0, 15), ...next.lines]), 'missing', 15)
  })

  test('a whole chain that was cut out is missed', async () => {
    const second = chainOf(3, { previous: [good.anchor] })
    const third = chainOf(3, { previous: [second.anchor] })
    assert.equal((await verify(log([...good.lines, ...second.lines, ...third.lines]))).finding, undefined)
    await expectFinding(log([...good.lines, ...third.lines]), 'missing', 18)
    await expectFinding(log([...good.lines, ...second.lines]), 'cut', 22, { anchors: [third.anchor] })
    const head = await verify(log([...second.lines, ...third.lines]))
    assert.equal(head.finding, undefined)
    assert.match(head.notes.join(), /earlier file/)
  })

  test('chains may stand between each other, and each is followed', async () => {
    const a = chainOf(9)
    const b = chainOf(9)
    const mixed = a.lines.flatMap((line, index) => [line, b.lines[index] ?? ''])
    assert.equal((await verify(log(mixed))).finding, undefined)
    await expectFinding(log(without(mixed, 8)), 'missing', 9)
  })

  test('prefixes and syslog heads are skipped', async () => {
    const text = log(good.lines.map((line, index) => `<38>1 host coffer ${index} - - @cee: ${line}`))
    assert.equal((await verify(text)).finding, undefined)
  })

  test('files given in order are one log; a gap between them is missed', async () => {
    const chain = startChain(device, signer)
    const one = [chain.checkpoint('start', ++clock).line, chain.line(entry()), chain.checkpoint('rotate', ++clock).line]
    const two = [
      chain.checkpoint('reopen', ++clock).line,
      chain.line(entry()),
      chain.checkpoint('rotate', ++clock).line,
    ]
    const three = [
      chain.checkpoint('reopen', ++clock).line,
      chain.line(entry()),
      chain.checkpoint('stop', ++clock).line,
    ]
    for (const files of [[one, two, three], [two, three], [three]])
      assert.equal((await verify(files.map(log))).finding, undefined)
    const { finding } = await verify([one, three].map(log))
    assert.deepEqual([finding?.kind, finding?.file, finding?.line], ['missing', 'log.1', 1])
  })

  test('a piece of a line is excused only by a checkpoint that vouches for it', async () => {
    const piece = '{"time":"2024-05-05T12:00:00.000000000Z","type":"request","auth":{"client'
    const { createHash } = await import('node:crypto')
    const torn = [{ bytes: piece.length, sha256: createHash('sha256').update(piece).digest('hex') }]
    const next = chainOf(3, { previous: [good.anchor], torn })
    assert.equal((await verify(log([...good.lines, piece, ...next.lines]))).finding, undefined)
    await expectFinding(log([...good.lines, `${piece}x`, ...next.lines]), 'altered', 18)
    // Another process wrote behind the piece: its line is found.
    const joined = [...good.lines]
    joined[4] = piece + joined[4]
    const report = await verify(log(joined))
    assert.equal(report.finding, undefined)
    assert.match(report.notes.join(), /cut short/)
    joined[4] = `{"time":"x"}${good.lines[4]}`
    await expectFinding(log(joined), 'inserted', 5)
  })

  test('keys go out and come back', () => {
    const again = auditSigner(signer.exportPrivate())
    assert.equal(again.fingerprint, signer.fingerprint)
    assert.equal(
      fingerprintOf(readPublicKeys(signer.publicPem() + other.publicPem())[1] ?? signer.publicKey),
      other.fingerprint,
    )
    const der = signer.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    assert.equal(fingerprintOf(readPublicKeys(der)[0] ?? other.publicKey), signer.fingerprint)
    assert.throws(() => readPublicKeys('nothing'))
    assert.throws(() => auditSigner(Buffer.from('nothing')))
  })
})
