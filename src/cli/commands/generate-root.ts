// operator generate-root: a new root token from key shares. The one-time password and the decoding never leave this process.
import { randomInt } from 'node:crypto'
import type { JsonObject } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, command } from '../command.ts'
import { AnswerError, CliError, failed, UsageError } from '../errors.ts'
import { bool, str } from '../flags.ts'
import { readPgpKeys } from '../pgp.ts'
import { columns, struct, wrap } from '../print.ts'
import { intOf, payloadOf, textOf } from '../secret.ts'
import { shareOf } from './operator.ts'
import { success } from './shared.ts'

const flags = {
  init: bool('Begin.'),
  status: bool('Print how far it is.'),
  cancel: bool('Give up; shares given so far are forgotten.'),
  decode: str('Encoded token to decode with -otp; "-" reads it from standard input.'),
  otp: str('One-time password: to begin with, or to decode with.'),
  'generate-otp': bool('Print a one-time password for -init.'),
  'pgp-key': str('File with the public PGP key that the token is encrypted for, instead of a one-time password.', {
    files: true,
  }),
  nonce: str('Nonce of the attempt; needed with every share that is given as an argument.'),
  'recovery-token': bool('Make a recovery token instead of a root token, at a server in recovery mode.'),
  'dr-token': bool('Refused: there is no replication.', { hidden: true }),
}
type RootContext = Context<typeof flags>

const otpAlphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
// Length of a root token: "hvs." and 24 characters.
const otpLengthDefault = 28

/** Makes a one-time password of so many base62 characters. */
const makeOtp = (length: number): string =>
  Array.from({ length }, () => otpAlphabet[randomInt(otpAlphabet.length)]).join('')

/** Decodes a token; throws `UsageError` when password and token differ in length. Neither appears in the message. */
export function decodeToken(encoded: string, otp: string): string {
  const bytes = Buffer.from(encoded.trim(), 'base64')
  const key = Buffer.from(otp, 'utf8')
  if (bytes.length === 0) throw new UsageError('the encoded token is not base64')
  if (bytes.length !== key.length)
    throw new UsageError(
      `the encoded token has ${bytes.length} bytes and the one-time password ${key.length}: they do not belong together`,
    )
  return Buffer.from(bytes.map((byte, i) => byte ^ (key[i] ?? 0))).toString('utf8')
}

/** Calls `…/attempt` or `…/update`. The classic path needs no token; where it is turned off, the newer one with a token is asked. */
async function attempt(
  context: RootContext,
  client: Client,
  what: string,
  request: { method: string; step: 'attempt' | 'update'; body?: JsonObject; quiet?: boolean },
): Promise<JsonObject> {
  const recovery = context.flags['recovery-token']
  const bases = recovery
    ? ['sys/generate-recovery-token']
    : client.token() === ''
      ? ['sys/generate-root']
      : ['sys/generate-root', 'sys/generate-root-token']
  const { step, ...rest } = request
  let first: unknown
  for (const base of bases) {
    try {
      return payloadOf((await client.send({ ...rest, path: `${base}/${step}` })).body)
    } catch (error) {
      // What the first path said is what the user asked for; only "turned off" leads to the next.
      first ??= error
      if (error instanceof AnswerError && [403, 404, 405].includes(error.status)) continue
      first = error
      break
    }
  }
  // A server that is not in recovery mode does not know these paths; what it says depends on the token and the seal.
  if (recovery && first instanceof AnswerError && first.status !== 400)
    throw new CliError(
      2,
      `${what}: ${first.message}`,
      'Only a server in recovery mode makes them: "coffer server -recovery".',
    )
  throw failed(what, first)
}

function show(context: RootContext, status: JsonObject): number {
  const { ui } = context
  if (ui.format !== 'table') {
    ui.data(
      struct({
        nonce: textOf(status, 'nonce'),
        started: status['started'] === true,
        progress: intOf(status, 'progress'),
        required: intOf(status, 'required'),
        complete: status['complete'] === true,
        encoded_token: textOf(status, 'encoded_token'),
        encoded_root_token: textOf(status, 'encoded_root_token'),
        pgp_fingerprint: textOf(status, 'pgp_fingerprint'),
        otp: textOf(status, 'otp'),
        otp_length: intOf(status, 'otp_length'),
      }),
    )
    return 0
  }
  const rows = [
    ['Nonce', textOf(status, 'nonce')],
    ['Started', String(status['started'] === true)],
    ['Progress', `${intOf(status, 'progress')}/${intOf(status, 'required')}`],
    ['Complete', String(status['complete'] === true)],
  ]
  const add = (title: string, value: string): void => {
    if (value !== '') rows.push([title, value])
  }
  add('PGP Fingerprint', textOf(status, 'pgp_fingerprint'))
  if (textOf(status, 'encoded_token') !== '') add('Encoded Token', textOf(status, 'encoded_token'))
  else add('Encoded Root Token', textOf(status, 'encoded_root_token'))
  if (textOf(status, 'otp') !== '')
    ui.warn(wrap('Keep the one-time password (OTP) below: the token that comes out can only be decoded with it.'))
  add('OTP', textOf(status, 'otp'))
  if (intOf(status, 'otp_length') > 0) add('OTP Length', String(intOf(status, 'otp_length')))
  ui.out(columns(rows))
  return 0
}

async function decode(context: RootContext): Promise<number> {
  const { ui, flags: given } = context
  if (given.otp === '') throw new UsageError('Missing otp: use -otp to supply it')
  const encoded = given.decode === '-' ? await context.stdin() : given.decode
  const token = decodeToken(encoded, given.otp)
  if (ui.format === 'table') ui.bare(token)
  else ui.data({ token })
  return 0
}

async function generateOtp(context: RootContext, client: Client): Promise<number> {
  const status = await attempt(context, client, 'Error getting root generation status', {
    method: 'GET',
    step: 'attempt',
    quiet: true,
  })
  const otp = makeOtp(intOf(status, 'otp_length') || otpLengthDefault)
  if (context.ui.format === 'table') context.ui.bare(otp)
  else context.ui.data({ otp, otp_length: otp.length })
  return 0
}

async function provide(context: RootContext, client: Client): Promise<number> {
  const { ui, flags: given } = context
  const status = await attempt(context, client, 'Error getting root generation status', {
    method: 'GET',
    step: 'attempt',
    quiet: true,
  })
  if (status['started'] !== true)
    throw new UsageError('no root generation is in progress', 'Begin one with "coffer operator generate-root -init".')
  const asked = (context.args[0] ?? '') === ''
  const nonce = asked ? given.nonce || textOf(status, 'nonce') : given.nonce
  if (nonce === '') throw new UsageError('Missing nonce value: specify it via the -nonce flag')
  if (asked && !context.globals['non-interactive']) ui.warn(`Operation nonce: ${nonce}`)
  const key = await shareOf(context, 'Unseal Key')
  return show(
    context,
    await attempt(context, client, 'Error posting unseal key', { method: 'PUT', step: 'update', body: { key, nonce } }),
  )
}

const generateRoot = command({
  words: ['operator', 'generate-root'],
  synopsis: 'Make a new root token from key shares',
  help: `Begin with -init, give the shares one by one, then decode what the last one prints with the one-time password.

      $ coffer operator generate-root -init
      $ coffer operator generate-root
      $ coffer operator generate-root -decode=ENCODED -otp=OTP

    With -recovery-token it makes the token of a server that was started with "coffer server -recovery".`,
  args: { usage: '[KEY]', min: 0, max: 1 },
  flags,
  async run(context) {
    const { init, status, cancel, otp } = context.flags
    if (context.flags['dr-token'])
      throw new UsageError(
        '-dr-token belongs to replication, which Coffer does not have',
        'Did you mean -recovery-token?',
      )
    if (context.flags.decode !== '') return decode(context)
    const client = await context.client()
    if (context.flags['generate-otp']) return generateOtp(context, client)
    if (cancel) {
      await attempt(context, client, 'Error canceling root token generation', { method: 'DELETE', step: 'attempt' })
      return success(context, 'Success! Root token generation canceled (if it was started)')
    }
    if (status)
      return show(
        context,
        await attempt(context, client, 'Error getting root generation status', { method: 'GET', step: 'attempt' }),
      )
    if (!init) return provide(context, client)
    const [key = ''] = readPgpKeys(context.flags['pgp-key'])
    if (otp !== '' && key !== '') throw new UsageError('cannot use both -otp and -pgp-key')
    const body = { otp, pgp_key: key }
    return show(
      context,
      await attempt(context, client, 'Error initializing root generation', { method: 'PUT', step: 'attempt', body }),
    )
  },
})

/** The command that makes root tokens. */
export const generateRootCommands: readonly Command[] = [generateRoot]
