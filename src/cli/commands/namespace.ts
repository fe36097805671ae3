// namespace create, list, scan, lookup, patch, delete, lock, unlock, seal, unseal and seal-status.
import { readFile } from 'node:fs/promises'
import type { JsonObject } from '../../lib/json.ts'
import { type Command, type Context, command, oneArg } from '../command.ts'
import { objectOf } from '../data.ts'
import { CliError, orFail, UsageError } from '../errors.ts'
import { bool, list, pairs, str } from '../flags.ts'
import { sanitizePath } from '../go.ts'
import { readPgpKeys } from '../pgp.ts'
import { table, wrap } from '../print.ts'
import { intOf, isWrapped, keysOf, listOf, secretOf, textOf } from '../secret.ts'
import { shareFlags } from './operator.ts'
import { call, run, showSecret, success } from './shared.ts'
import { sealRows } from './status.ts'

const nameOf = (context: { readonly args: readonly string[] }): string => sanitizePath(context.args[0] ?? '')

function showNamespace(context: Pick<Context, 'ui' | 'globals'>, data: JsonObject): number {
  const { ui, globals } = context
  if (globals.field !== '')
    return ui.field(Object.hasOwn(data, globals.field) ? data[globals.field] : undefined, globals.field)
  ui.data(data)
  return 0
}

async function sealText(context: Context<typeof shareFlags & { seal: ReturnType<typeof str> }>): Promise<string> {
  const { flags } = context
  if (flags.seal !== '')
    return readFile(flags.seal, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw new UsageError(`cannot read the seal file ${flags.seal}: ${error.code}`)
    })
  if (flags['key-shares'] === 0 && flags['key-threshold'] === 0) return ''
  return `seal "shamir" {\n    shares = ${flags['key-shares']}\n    threshold = ${flags['key-threshold']}\n}`
}

const create = command({
  words: ['namespace', 'create'],
  synopsis: 'Create a namespace',
  help: '      $ coffer namespace create -custom-metadata=team=web web',
  args: oneArg('PATH'),
  flags: {
    'custom-metadata': pairs('Free key=value metadata; repeatable.'),
    seal: str('File with one seal stanza: the namespace gets keys of its own.', { files: true }),
    ...shareFlags,
  },
  field: true,
  async run(context) {
    const { ui, flags } = context
    const body: JsonObject = { custom_metadata: objectOf(flags['custom-metadata']) }
    const seal = await sealText(context)
    if (seal !== '') body['seal'] = seal
    if (flags['pgp-keys'] !== '') body['pgp_keys'] = readPgpKeys(flags['pgp-keys'])
    const path = `sys/namespaces/${nameOf(context)}`
    const answer = await call(await context.client(), 'Error creating namespace', { method: 'POST', path, body })
    const shares = listOf(answer, 'key_shares')
    if (ui.format !== 'table' || shares.length === 0) return showNamespace(context, answer)
    for (const [i, share] of shares.entries()) ui.out(`Unseal Key ${i + 1}: ${share}`)
    ui.out(
      wrap(
        `\nThe namespace has ${shares.length} key shares and a threshold of ${intOf(answer, 'key_threshold')}. Hand the shares above to different people.\n`,
      ),
    )
    const { key_shares: _shares, key_threshold: _threshold, ...rest } = answer
    return showNamespace(context, rest)
  },
})

const listing = (verb: 'list' | 'scan', synopsis: string): Command =>
  command({
    words: ['namespace', verb],
    synopsis,
    help: `      $ coffer namespace ${verb} -detailed`,
    flags: { detailed: bool('Show ids and metadata too.', { env: 'DETAILED' }) },
    async run(context) {
      const { ui, flags } = context
      const client = await context.client()
      const asked = verb === 'list' ? client.list('sys/namespaces') : client.scan('sys/namespaces')
      const secret = await orFail(`Error ${verb === 'list' ? 'listing' : 'scanning'} namespaces`, asked)
      if (secret && isWrapped(secret)) return showSecret(context, secret)
      if (keysOf(secret) === undefined && ui.format !== 'table') {
        ui.data({})
        return 2
      }
      if (!secret || keysOf(secret) === undefined) throw new CliError(2, 'No namespaces found')
      if (flags.detailed && ui.format !== 'table') ui.data(secret.data?.['key_info'] ?? {})
      else ui.list(secret)
      return 0
    },
  })

const lookup = command({
  words: ['namespace', 'lookup'],
  synopsis: 'Show a namespace',
  help: '      $ coffer namespace lookup web',
  args: oneArg('PATH'),
  field: true,
  async run(context) {
    const secret = await orFail(
      'Error looking up namespace',
      (await context.client()).read(`sys/namespaces/${nameOf(context)}`),
    )
    if (!secret?.data) throw new CliError(2, 'Namespace not found', 'See "coffer namespace list".')
    return showNamespace(context, secret.data)
  },
})

const patch = command({
  words: ['namespace', 'patch'],
  synopsis: 'Change the metadata of a namespace',
  help: '      $ coffer namespace patch -custom-metadata=team=core -remove-custom-metadata=old web',
  args: oneArg('PATH'),
  flags: {
    'custom-metadata': pairs('Free key=value metadata; repeatable.'),
    'remove-custom-metadata': list('Key to remove from the metadata; repeatable.'),
  },
  field: true,
  async run(context) {
    const { flags } = context
    const removed = flags['remove-custom-metadata'].map((key) => [key, null] as const)
    if (flags['custom-metadata'].size === 0 && removed.length === 0)
      throw new UsageError('Must supply at least one of -custom-metadata or -remove-custom-metadata')
    const body = { custom_metadata: objectOf([...flags['custom-metadata'], ...removed]) }
    const answer = await call(await context.client(), 'Error patching namespace', {
      method: 'PATCH',
      path: `sys/namespaces/${nameOf(context)}`,
      body,
      contentType: 'application/merge-patch+json',
    })
    return showNamespace(context, answer)
  },
})

const remove = command({
  words: ['namespace', 'delete'],
  synopsis: 'Delete a namespace with all in it',
  help: `Refused while it has child namespaces.

      $ coffer namespace delete web`,
  args: oneArg('PATH'),
  async run(context) {
    const path = nameOf(context)
    const client = await context.client()
    const secret = await orFail('Error deleting namespace', client.remove(`sys/namespaces/${path}`))
    if (secret && textOf(secret.data, 'status') === '') context.ui.warn('Requested namespace does not exist')
    else success(context, `Success! Namespace deletion scheduled: ${path}/`)
    return 0
  },
})

const lock = command({
  words: ['namespace', 'lock'],
  synopsis: 'Lock the API of a namespace',
  help: `Locks the namespace in use, or a child of it. Prints the key that unlocks it.

      $ coffer namespace lock web`,
  args: { usage: '[PATH]', min: 0, max: 1 },
  field: true,
  async run(context) {
    const { ui } = context
    const child = nameOf(context)
    const path = child === '' ? 'sys/namespaces/api-lock/lock' : `sys/namespaces/api-lock/lock/${child}`
    const answer = await call(await context.client(), 'Error locking namespace', { method: 'PUT', path })
    if (ui.format !== 'table' || context.globals.field !== '') return showNamespace(context, answer)
    ui.out(`Unlock Key: ${textOf(answer, 'unlock_key')}`)
    ui.out(wrap('\nThe namespace is locked. Keep the key above: without it only a token with sudo can unlock.'))
    return 0
  },
})

const unlock = command({
  words: ['namespace', 'unlock'],
  synopsis: 'Unlock the API of a namespace',
  help: '      $ coffer namespace unlock -unlock-key=KEY web',
  args: { usage: '[PATH]', min: 0, max: 1 },
  async run(context) {
    const child = nameOf(context)
    const path = child === '' ? 'sys/namespaces/api-lock/unlock' : `sys/namespaces/api-lock/unlock/${child}`
    const body = { unlock_key: context.globals['unlock-key'] }
    const secret = secretOf(
      (await orFail('Error unlocking namespace', (await context.client()).send({ method: 'PUT', path, body }))).body,
    )
    const [warning] = secret?.warnings ?? []
    if (warning !== undefined) context.ui.warn(warning)
    else success(context, 'Namespace unlocked successfully!')
    return 0
  },
})

const seal = command({
  words: ['namespace', 'seal'],
  synopsis: 'Seal a namespace that has keys of its own',
  help: '      $ coffer namespace seal web',
  args: oneArg('PATH'),
  async run(context) {
    const path = nameOf(context)
    await run(await context.client(), 'Error sealing', { method: 'PUT', path: `sys/namespaces/${path}/seal` })
    return success(context, `Success! Namespace ${JSON.stringify(path)} is sealed.`)
  },
})

function showSeal(context: Pick<Context, 'ui'>, status: JsonObject): number {
  const { ui } = context
  if (ui.format === 'table') ui.out(table([['Key', 'Value'], ...sealRows(status)]))
  else ui.data(status)
  return 0
}

const sealStatus = command({
  words: ['namespace', 'seal-status'],
  synopsis: 'Show whether a namespace is sealed',
  help: '      $ coffer namespace seal-status web',
  args: oneArg('PATH'),
  async run(context) {
    const path = `sys/namespaces/${nameOf(context)}/seal-status`
    return showSeal(context, await call(await context.client(), 'Error reading seal status', { method: 'GET', path }))
  },
})

const unseal = command({
  words: ['namespace', 'unseal'],
  synopsis: 'Give one key share to unseal a namespace',
  help: '      $ coffer namespace unseal web',
  args: { usage: 'PATH [KEY]', min: 1, max: 2 },
  flags: { reset: bool('Throw away the shares given so far.') },
  async run(context) {
    const given = context.args[1] ?? ''
    const path = `sys/namespaces/${nameOf(context)}/unseal`
    const ask = (): Promise<string> => {
      if (context.globals['non-interactive'])
        throw new UsageError('refusing to ask for the unseal key with -non-interactive')
      return context.io.askHidden('Unseal Key (will be hidden): ')
    }
    const body: JsonObject = context.flags.reset
      ? { reset: true }
      : { key: (given === '-' ? await context.stdin() : given || (await ask())).trim(), reset: false }
    return showSeal(context, await call(await context.client(), 'Error unsealing', { method: 'PUT', path, body }))
  },
})

/** Commands for namespaces. */
export const namespaceCommands: readonly Command[] = [
  create,
  listing('list', 'List the child namespaces'),
  listing('scan', 'List namespaces at every depth'),
  lookup,
  patch,
  remove,
  lock,
  unlock,
  seal,
  sealStatus,
  unseal,
]
