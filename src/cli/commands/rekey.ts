// operator rekey and rotate-keys: new unseal or recovery shares. The same dialogue over two families of paths: sys/rekey, which
// needs no token, and sys/rotate, which does.
import type { JsonObject } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, command } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'
import { bool, int, str } from '../flags.ts'
import { readPgpKeys } from '../pgp.ts'
import { type Struct, struct, table, wrap } from '../print.ts'
import type { Ui } from '../render.ts'
import { intOf, listOf, textOf } from '../secret.ts'
import { shareOf } from './operator.ts'
import { call, run, success } from './shared.ts'

interface Family {
  readonly word: string
  readonly noun: string
  paths(target: 'barrier' | 'recovery'): { readonly base: string; readonly backup: string }
}

const rekeyFamily: Family = {
  word: 'rekey',
  noun: 'rekey',
  paths: (target) =>
    target === 'barrier'
      ? { base: 'sys/rekey', backup: 'sys/rekey/backup' }
      : { base: 'sys/rekey-recovery-key', backup: 'sys/rekey/recovery-key-backup' },
}
const rotateFamily: Family = {
  word: 'rotate-keys',
  noun: 'rotation',
  paths: (target) => {
    const base = target === 'barrier' ? 'sys/rotate/root' : 'sys/rotate/recovery'
    return { base, backup: `${base}/backup` }
  },
}

const flags = {
  init: bool('Begin.'),
  status: bool('Print how far it is.'),
  cancel: bool('Give up; shares given so far are forgotten.'),
  verify: bool('With -init: the new shares only count once they were given back. Otherwise: act on that verification.'),
  target: str('What to make new: barrier (unseal keys) or recovery.', {
    initial: 'barrier',
    choices: ['barrier', 'recovery', 'hsm'],
  }),
  'key-shares': int('Into how many shares the new key is split.', { aliases: ['n'], initial: 5 }),
  'key-threshold': int('How many of them it takes.', { aliases: ['t'], initial: 3 }),
  'pgp-keys': str('Files with public PGP keys, comma-separated: one share is encrypted for each.', { files: true }),
  nonce: str('Nonce of the attempt; needed with every share that is given as an argument.'),
  backup: bool('Keep a copy of the PGP-encrypted shares in the server.'),
  'backup-retrieve': bool('Print the copy of the encrypted shares.'),
  'backup-delete': bool('Delete the copy of the encrypted shares.'),
}
type RekeyContext = Context<typeof flags>

interface Attempt {
  readonly context: RekeyContext
  readonly client: Client
  readonly family: Family
  readonly recovery: boolean
  readonly base: string
  readonly backup: string
}

const statusStruct = (status: JsonObject): Struct =>
  struct({
    nonce: textOf(status, 'nonce'),
    started: status['started'] === true,
    t: intOf(status, 't'),
    n: intOf(status, 'n'),
    progress: intOf(status, 'progress'),
    required: intOf(status, 'required'),
    pgp_fingerprints: status['pgp_fingerprints'] ?? null,
    backup: status['backup'] === true,
    verification_required: status['verification_required'] === true,
    verification_nonce: textOf(status, 'verification_nonce'),
  })

function showStatus(ui: Ui, status: JsonObject): number {
  if (ui.format !== 'table') {
    ui.data(statusStruct(status))
    return 0
  }
  const started = status['started'] === true
  const [progress, required] = [intOf(status, 'progress'), intOf(status, 'required')]
  const rows = [
    ['Key', 'Value'],
    ['Nonce', textOf(status, 'nonce')],
    ['Started', String(started)],
  ]
  if (started) {
    rows.push(['Progress', `${progress}/${required}${progress === required ? ' (verification in progress)' : ''}`])
    if (intOf(status, 'n') > 0) rows.push(['New Shares', String(intOf(status, 'n'))])
    if (intOf(status, 't') > 0) rows.push(['New Threshold', String(intOf(status, 't'))])
    rows.push(['Verification Required', String(status['verification_required'] === true)])
    if (textOf(status, 'verification_nonce') !== '')
      rows.push(['Verification Nonce', textOf(status, 'verification_nonce')])
  }
  const fingerprints = listOf(status, 'pgp_fingerprints')
  if (fingerprints.length > 0)
    rows.push(['PGP Fingerprints', `[${fingerprints.join(' ')}]`], ['Backup', String(status['backup'] === true)])
  ui.out(table(rows))
  return 0
}

function showVerification(ui: Ui, status: JsonObject): number {
  if (ui.format !== 'table')
    ui.data(
      struct({
        nonce: textOf(status, 'nonce'),
        started: status['started'] === true,
        t: intOf(status, 't'),
        n: intOf(status, 'n'),
        progress: intOf(status, 'progress'),
      }),
    )
  else
    ui.out(
      table([
        ['Key', 'Value'],
        ['Started', String(status['started'] === true)],
        ['New Shares', String(intOf(status, 'n'))],
        ['New Threshold', String(intOf(status, 't'))],
        ['Verification Nonce', textOf(status, 'nonce')],
        ['Verification Progress', `${intOf(status, 'progress')}/${intOf(status, 't')}`],
      ]),
    )
  return 0
}

async function readStatus(attempt: Attempt, verify: boolean, quiet = false): Promise<JsonObject> {
  const { client, family, base } = attempt
  return call(client, `Error reading ${family.noun} status`, {
    method: 'GET',
    path: `${base}/${verify ? 'verify' : 'init'}`,
    quiet,
  })
}

async function begin(attempt: Attempt): Promise<number> {
  const { context, client, family, base } = attempt
  const { ui, flags: given } = context
  const keys = readPgpKeys(given['pgp-keys'])
  const status = await call(client, `Error initializing ${family.noun}`, {
    method: 'PUT',
    path: `${base}/init`,
    body: {
      secret_shares: given['key-shares'],
      secret_threshold: given['key-threshold'],
      pgp_keys: given['pgp-keys'] === '' ? null : keys,
      backup: given.backup,
      require_verification: given.verify,
    },
  })
  if (status['complete'] === true) return showKeys(attempt, status, status)
  if (ui.format === 'table' && keys.length === 0)
    ui.warn(
      wrap(
        'WARNING! The new shares will be shown once, and nowhere else. To be safe against losing them, cancel and begin again with -pgp-keys and -backup.\n',
      ),
    )
  if (ui.format === 'table' && keys.length > 0 && !given.backup)
    ui.warn(wrap('WARNING! The encrypted shares will be shown once. With -backup the server keeps a copy of them.\n'))
  return showStatus(ui, status)
}

async function showKeys(attempt: Attempt, status: JsonObject, answer: JsonObject): Promise<number> {
  const { context, recovery, family } = attempt
  const { ui } = context
  if (ui.format !== 'table') {
    ui.data(answer)
    return 0
  }
  const hex = listOf(answer, 'keys')
  const base64 = listOf(answer, 'keys_base64')
  const keys = base64.length === hex.length ? base64 : hex
  const fingerprints = listOf(answer, 'pgp_fingerprints')
  for (const [i, key] of keys.entries())
    ui.out(
      fingerprints[i] === undefined
        ? `Key ${i + 1}: ${key}`
        : `Key ${i + 1} fingerprint: ${fingerprints[i]}; value: ${key}`,
    )
  if (keys.length === 0) {
    ui.out('The root key is new; the shares stay as they are.')
    return 0
  }
  if (textOf(answer, 'nonce') !== '') ui.out(`\nOperation nonce: ${textOf(answer, 'nonce')}`)
  const [shares, threshold, kind] = [intOf(status, 'n'), intOf(status, 't'), recovery ? 'recovery' : 'unseal']
  if (status['verification_required'] !== true) {
    ui.out(
      wrap(
        `\nThe ${kind} key now has ${shares} shares and a threshold of ${threshold}. Hand the shares above to different people; the old ones are worth nothing.`,
      ),
    )
    return 0
  }
  ui.out(wrap(`\nThe new ${kind} key has ${shares} shares and a threshold of ${threshold}. It is NOT in force yet.`))
  ui.warn(
    wrap(
      `\nKeep the old shares until ${threshold} of the new ones were given back with "coffer operator ${family.word} -verify". Cancelling or sealing before that throws the new shares away.\n`,
    ),
  )
  return showVerification(ui, await readStatus(attempt, true))
}

async function provide(attempt: Attempt): Promise<number> {
  const { context, client, family, base, recovery } = attempt
  const { ui, flags: given } = context
  const status = await readStatus(attempt, given.verify, true)
  if (status['started'] !== true)
    throw new UsageError(`no ${family.noun} is in progress`, `Begin one with "coffer operator ${family.word} -init".`)
  const asked = (context.args[0] ?? '') === ''
  const nonce = asked ? given.nonce || textOf(status, 'nonce') : given.nonce
  if (nonce === '') throw new UsageError('Missing nonce value: specify it via the -nonce flag')
  if (asked && !context.globals['non-interactive']) ui.warn(`Operation nonce: ${nonce}`)
  const key = await shareOf(context, recovery ? 'Recovery Key' : 'Unseal Key')
  const answer = await call(client, 'Error posting unseal key', {
    method: 'PUT',
    path: `${base}/${given.verify ? 'verify' : 'update'}`,
    body: { key, nonce },
  })
  if (answer['complete'] !== true) {
    const now = await readStatus(attempt, given.verify)
    return given.verify ? showVerification(ui, now) : showStatus(ui, now)
  }
  if (!given.verify) return showKeys(attempt, status, answer)
  if (ui.format !== 'table') ui.data(struct({ nonce: textOf(answer, 'nonce'), complete: true }))
  return success(context, 'Verified: the new keys are in force.')
}

async function keptCopy(attempt: Attempt): Promise<number> {
  const { context, client, backup, family } = attempt
  if (context.flags['backup-delete']) {
    await run(client, `Error deleting backed up keys of the ${family.noun}`, { method: 'DELETE', path: backup })
    return success(context, 'Success! Deleted backed up keys (if they existed)')
  }
  const copy = await call(client, `Error retrieving backed up keys of the ${family.noun}`, {
    method: 'GET',
    path: backup,
  })
  context.ui.data(copy)
  return 0
}

async function cancel(attempt: Attempt): Promise<number> {
  const { context, client, base, family } = attempt
  const path = `${base}/${context.flags.verify ? 'verify' : 'init'}`
  await run(client, `Error canceling ${family.noun}`, { method: 'DELETE', path })
  return success(context, `Success! Canceled ${family.noun} (if it was started)`)
}

const rekeyCommand = (family: Family, synopsis: string, help: string): Command =>
  command({
    words: ['operator', family.word],
    synopsis,
    help,
    args: { usage: '[KEY]', min: 0, max: 1 },
    flags,
    async run(context) {
      const given = context.flags
      const recovery = given.target !== 'barrier'
      const paths = family.paths(recovery ? 'recovery' : 'barrier')
      const chosen = [given.init, given.status, given.cancel, given['backup-retrieve'], given['backup-delete']].filter(
        Boolean,
      )
      if (chosen.length > 1)
        throw new CliError(1, '-init, -status, -cancel, -backup-retrieve and -backup-delete exclude each other')
      const attempt: Attempt = {
        context,
        client: await context.client(),
        family,
        recovery,
        ...paths,
      }
      if (given['backup-retrieve'] || given['backup-delete']) return keptCopy(attempt)
      if (given.cancel) return cancel(attempt)
      if (given.init) return begin(attempt)
      if (!given.status) return provide(attempt)
      const status = await readStatus(attempt, given.verify)
      return given.verify ? showVerification(context.ui, status) : showStatus(context.ui, status)
    },
  })

/** Commands that make new key shares. */
export const rekeyCommands: readonly Command[] = [
  rekeyCommand(
    rekeyFamily,
    'Make new unseal keys',
    `Begin with -init, then give the old shares one by one; the last prints the new ones. Needs no token, but may be turned off in the
  server's configuration: then "coffer operator rotate-keys" does the same with a token.

      $ coffer operator rekey -init -key-shares=3 -key-threshold=2
      $ coffer operator rekey
      $ coffer operator rekey -target=recovery -init`,
  ),
  rekeyCommand(
    rotateFamily,
    'Make new unseal or recovery keys, with a token',
    `Like "coffer operator rekey", over paths that need a token.

      $ coffer operator rotate-keys -init -key-shares=3 -key-threshold=2`,
  ),
]
