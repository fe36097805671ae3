// audit verify: whether an audit log is whole. Works without a server when the public key is given; the log's lines are never printed.
import { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createGunzip } from 'node:zlib'
import { readPublicKeys } from '../../audit/signer.ts'
import { type KnownAnchor, type LogInput, type VerifyReport, verifyLog } from '../../audit/verify.ts'
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../lib/json.ts'
import { type Command, type Context, command } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'
import { str } from '../flags.ts'
import type { Ui } from '../render.ts'
import { call } from './shared.ts'

const brokenCode = 2
const factsPath = 'sys/x/audit/verification'

type Outside = Pick<Context, 'io' | 'args'>

interface Facts {
  readonly keys: readonly KeyObject[]
  readonly anchors: readonly KnownAnchor[]
}

async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read ${what} ${path}: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`)
  }
}

function keysOf(text: string, from: string): readonly KeyObject[] {
  try {
    return readPublicKeys(text)
  } catch {
    throw new UsageError(`${from} holds no Ed25519 public key (PEM, or base64 of the DER)`)
  }
}

const hex64 = /^[0-9a-f]{64}$/

function anchorOf(value: JsonValue, device: string | undefined): KnownAnchor {
  const { chain, seq, hash, time, place } = isJsonObject(value) ? value : ({} as JsonObject)
  if (typeof chain !== 'string' || typeof seq !== 'number' || typeof hash !== 'string' || !hex64.test(hash))
    throw new UsageError('an anchor must have chain, seq, hash and time')
  if (typeof time !== 'string') throw new UsageError('an anchor must have chain, seq, hash and time')
  const where = typeof place === 'string' ? { place } : {}
  return { chain, seq, hash, time, ...where, ...(device === undefined ? {} : { device }) }
}

/** Reads anchors: one, a list of them, or what the server answers. `only` picks a device by its path. */
function anchorsOf(value: JsonValue, only: string): readonly KnownAnchor[] {
  if (Array.isArray(value)) return value.map((item) => anchorOf(item, undefined))
  if (!isJsonObject(value)) throw new UsageError('anchors must be a JSON object or list')
  const data = isJsonObject(value['data']) ? value['data'] : value
  const devices = data['devices']
  if (!Array.isArray(devices)) return [anchorOf(value, undefined)]
  const chosen = devices.filter(isJsonObject).filter(({ path }) => only === '' || path === only)
  if (only !== '' && chosen.length === 0) throw new UsageError(`there are no anchors of a device ${only}`)
  return chosen.flatMap(({ accessor, anchors }) =>
    (Array.isArray(anchors) ? anchors : []).map((item) =>
      anchorOf(item, only === '' && typeof accessor === 'string' ? accessor : undefined),
    ),
  )
}

function parseAnchors(text: string, from: string): JsonValue {
  try {
    return parseJson(text)
  } catch {
    throw new UsageError(`${from} is no JSON`)
  }
}

async function factsOf(
  context: Pick<Context, 'client'>,
  flags: { key: string; anchors: string; device: string },
): Promise<Facts> {
  const device = flags.device === '' || flags.device.endsWith('/') ? flags.device : `${flags.device}/`
  const given =
    flags.anchors === '' ? undefined : parseAnchors(await readText(flags.anchors, 'the anchors'), flags.anchors)
  if (flags.key !== '')
    return {
      keys: keysOf(await readText(flags.key, 'the public key'), flags.key),
      anchors: given === undefined ? [] : anchorsOf(given, device),
    }
  const answer = await call(await context.client(), 'Error reading the audit key', { method: 'GET', path: factsPath })
  const data = isJsonObject(answer['data']) ? answer['data'] : answer
  const key = data['public_key']
  return { keys: keysOf(typeof key === 'string' ? key : '', 'the answer'), anchors: anchorsOf(given ?? data, device) }
}

function inputOf(context: Outside, name: string): LogInput {
  if (name !== '-') {
    const file = createReadStream(name, { highWaterMark: 1024 * 1024 })
    if (!name.endsWith('.gz')) return { name, chunks: file }
    const plain = createGunzip()
    file.on('error', (error) => plain.destroy(error))
    return { name, chunks: file.pipe(plain) }
  }
  const { stdin } = context.io
  const chunks = (async function* () {
    for await (const chunk of stdin) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
  })()
  return { name: 'standard input', chunks }
}

const many = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`

function printReport(ui: Ui, report: VerifyReport, anchored: boolean): void {
  const { finding } = report
  for (const note of report.notes) ui.warn(`Note: ${note}`)
  if (finding) {
    const said = finding.kind === 'cut' ? 'the log was cut off' : finding.kind
    ui.error(`${finding.file}: line ${finding.line}: ${said}: ${finding.reason}`)
    return
  }
  ui.out(
    `Success! ${many(report.lines, 'line')} hold together: ${many(report.chains.length, 'chain')}, ${many(report.checkpoints, 'checkpoint')}.`,
  )
  if (report.unsigned > 0)
    ui.out(`${many(report.unsigned, 'line')} after the last checkpoint: chained but not yet signed.`)
  if (report.lost > 0) ui.out(`The device says that it could not take ${many(report.lost, 'entry', 'entries')}.`)
  if (!anchored) ui.warn('Without anchors nobody can tell whether the end was cut off (-anchors, or ask the server).')
}

const reportData = (report: VerifyReport): JsonObject => ({
  ok: report.ok,
  finding: report.finding ? { ...report.finding } : null,
  lines: report.lines,
  checkpoints: report.checkpoints,
  unsigned: report.unsigned,
  lost: report.lost,
  chains: report.chains.map(({ lastLine, ...chain }) => ({ ...chain, last_line: { ...lastLine } })),
  notes: [...report.notes],
})

/** Verifies audit logs; exit code 2 when something is wrong with them. */
export const auditVerify: Command = command({
  words: ['audit', 'verify'],
  synopsis: 'Verify that an audit log is whole',
  help: `Finds the first line that was altered, removed, put in or moved. Give rotated files
in order, the oldest first; "-" is standard input, .gz files are unpacked.

      $ coffer audit verify -public-key=audit-key.pem /var/log/coffer/audit.log.1 /var/log/coffer/audit.log

Without -public-key the server is asked for the key and for the anchors, which tell
whether the end was cut off. Exit code 2: something is wrong with the log.`,
  args: { usage: 'FILE...', min: 1, max: Number.POSITIVE_INFINITY, complete: 'files' },
  flags: {
    'public-key': str('File with the public key that checkpoints are signed with (PEM).', { files: true }),
    anchors: str('File with anchors (JSON), as the server gives them.', { files: true }),
    device: str('Path of the device whose anchors the log must reach.'),
  },
  async run(context) {
    const { flags, ui } = context
    const { keys, anchors } = await factsOf(context, {
      key: flags['public-key'],
      anchors: flags.anchors,
      device: flags.device,
    })
    let report: VerifyReport
    try {
      report = await verifyLog(lazily(context), { publicKey: keys, anchors })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === undefined) throw error
      throw new CliError(1, `cannot read the log: ${(error as Error).message}`)
    }
    if (ui.format === 'table') printReport(ui, report, anchors.length > 0)
    else ui.data(reportData(report))
    return report.ok ? 0 : brokenCode
  },
})

/** Opens each file when its turn comes. */
function* lazily(context: Outside): Generator<LogInput> {
  for (const name of context.args) yield inputOf(context, name)
}
