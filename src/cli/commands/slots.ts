// operator seal slots: the ways in which a server can open its root key. Any one of them opens; the last cannot be removed.
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { type Command, command, oneArg } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'
import { str } from '../flags.ts'
import { formatValue } from '../go.ts'
import { readPgpKeys } from '../pgp.ts'
import { table, wrap } from '../print.ts'
import { intOf, listOf, textOf } from '../secret.ts'
import { shareFlags } from './operator.ts'
import { call, run, success } from './shared.ts'

const base = 'sys/x/seal/slots'

const titles = ['Name', 'Kind', 'Shares', 'Key ID', 'Opens', 'Created', 'ID']

const rowOf = (slot: JsonObject): string[] => [
  textOf(slot, 'name'),
  textOf(slot, 'kind'),
  textOf(slot, 'kind') === 'shamir' ? `${intOf(slot, 't')} of ${intOf(slot, 'n')}` : '',
  textOf(slot, 'key_id'),
  slot['opens'] === true ? 'true' : `${formatValue(slot['opens'])} (${textOf(slot, 'reason')})`,
  textOf(slot, 'created'),
  textOf(slot, 'id'),
]

const list = command({
  words: ['operator', 'seal', 'slots', 'list'],
  synopsis: 'List the seal slots and try each',
  help: '      $ coffer operator seal slots list',
  async run(context) {
    const { ui } = context
    const answer = await call(await context.client(), 'Error listing seal slots', { method: 'GET', path: base })
    const slots = (Array.isArray(answer['slots']) ? answer['slots'] : []).filter(isJsonObject)
    if (ui.format === 'table') ui.out(table([titles, ...slots.map(rowOf)]))
    else ui.data(slots)
    return 0
  },
})

const add = command({
  words: ['operator', 'seal', 'slots', 'add'],
  synopsis: 'Add a seal slot on the live server',
  help: `A shamir slot has key shares of its own, printed once. A static slot uses a key of the server's configuration.

      $ coffer operator seal slots add -key-shares=3 -key-threshold=2 people
      $ coffer operator seal slots add -kind=static -key-id=2026 machine`,
  args: oneArg('NAME'),
  flags: {
    kind: str('shamir or static.', { initial: 'shamir', choices: ['shamir', 'static'] }),
    ...shareFlags,
    'key-id': str('Which configured key a static slot uses; the current one when not given.'),
  },
  async run(context) {
    const { ui, flags } = context
    const name = (context.args[0] ?? '').trim()
    const shamir = flags.kind === 'shamir'
    if (shamir && (flags['key-shares'] === 0 || flags['key-threshold'] === 0))
      throw new UsageError('a shamir slot needs -key-shares and -key-threshold')
    const body: JsonObject = shamir
      ? {
          kind: flags.kind,
          name,
          secret_shares: flags['key-shares'],
          secret_threshold: flags['key-threshold'],
          pgp_keys: readPgpKeys(flags['pgp-keys']),
        }
      : { kind: flags.kind, name, key_id: flags['key-id'] }
    const slot = await call(await context.client(), 'Error adding seal slot', { method: 'PUT', path: base, body })
    if (ui.format !== 'table') {
      ui.data(slot)
      return 0
    }
    for (const [i, key] of listOf(slot, 'keys_base64').entries()) ui.out(`Unseal Key ${i + 1}: ${key}`)
    if (shamir) ui.out(wrap('\nHand the shares above to different people, over safe ways: they are not shown again.\n'))
    return success(context, `Success! Added the seal slot: ${name}`)
  },
})

const remove = command({
  words: ['operator', 'seal', 'slots', 'remove'],
  synopsis: 'Remove a seal slot; never the last that opens',
  help: '      $ coffer operator seal slots remove people',
  args: oneArg('NAME | ID'),
  async run(context) {
    const name = (context.args[0] ?? '').trim()
    await run(await context.client(), 'Error removing seal slot', { method: 'DELETE', path: `${base}/${name}` })
    return success(context, `Success! Removed the seal slot: ${name}`)
  },
})

const check = command({
  words: ['operator', 'seal', 'slots', 'check'],
  synopsis: 'Try whether a seal slot opens the root key',
  help: `Exit code 0 when it opens, 2 when it does not.

      $ coffer operator seal slots check people`,
  args: oneArg('NAME | ID'),
  async run(context) {
    const { ui } = context
    const name = (context.args[0] ?? '').trim()
    const slot = await call(await context.client(), 'Error checking seal slot', {
      method: 'GET',
      path: `${base}/${name}`,
    })
    if (ui.format !== 'table') ui.data(slot)
    else if (slot['opens'] === true) ui.out(`Success! The seal slot opens: ${name}`)
    if (slot['opens'] === true) return 0
    throw new CliError(2, `the seal slot ${name} does not open: ${textOf(slot, 'reason')}`)
  },
})

/** Commands for seal slots. */
export const slotCommands: readonly Command[] = [list, add, remove, check]
