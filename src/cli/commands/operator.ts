// operator init, unseal, seal, rotate, key-status, step-down and members.
import type { JsonObject } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, command } from '../command.ts'
import { UsageError } from '../errors.ts'
import { bool, type FlagValues, int, str } from '../flags.ts'
import { formatTime } from '../go.ts'
import { readPgpKeys } from '../pgp.ts'
import { columns, struct, table, wrap } from '../print.ts'
import type { Ui } from '../render.ts'
import { intOf, listOf, textOf } from '../secret.ts'
import { call, run, success } from './shared.ts'
import { showSealStatus } from './status.ts'

/** Flags that say how a key is split. */
export const shareFlags = {
  'key-shares': int('Into how many shares the key is split.', { aliases: ['n'] }),
  'key-threshold': int('How many shares it takes to open.', { aliases: ['t'] }),
  'pgp-keys': str('Files with public PGP keys, comma-separated: one share is encrypted for each.', { files: true }),
}

const initFlags = {
  status: bool('Only say whether the server is initialized: exit code 0 yes, 2 no, 1 error.'),
  ...shareFlags,
  'root-token-pgp-key': str('File with the public PGP key that the root token is encrypted for.', { files: true }),
  'recovery-shares': int('Into how many shares the recovery key is split (servers that unseal themselves).', {
    initial: 5,
  }),
  'recovery-threshold': int('How many shares of the recovery key it takes.', { initial: 3 }),
  'recovery-pgp-keys': str('Like -pgp-keys, for the recovery shares.', { files: true }),
}

function initBody(flags: FlagValues<typeof initFlags>, recovers: boolean): JsonObject {
  return {
    secret_shares: flags['key-shares'] || (recovers ? 0 : 5),
    secret_threshold: flags['key-threshold'] || (recovers ? 0 : 3),
    pgp_keys: flags['pgp-keys'] === '' ? null : readPgpKeys(flags['pgp-keys']),
    recovery_shares: recovers ? flags['recovery-shares'] : 0,
    recovery_threshold: recovers ? flags['recovery-threshold'] : 0,
    recovery_pgp_keys: flags['recovery-pgp-keys'] === '' ? null : readPgpKeys(flags['recovery-pgp-keys']),
    root_token_pgp_key: readPgpKeys(flags['root-token-pgp-key'])[0] ?? '',
  }
}

const preferred = (answer: JsonObject, name: string): string[] => {
  const hex = listOf(answer, name)
  const base64 = listOf(answer, `${name}_base64`)
  return base64.length === hex.length ? base64 : hex
}

function showInit(ui: Ui, answer: JsonObject, body: JsonObject): void {
  const keys = preferred(answer, 'keys')
  const recovery = preferred(answer, 'recovery_keys')
  for (const [i, key] of keys.entries()) ui.out(`Unseal Key ${i + 1}: ${key}`)
  for (const [i, key] of recovery.entries()) ui.out(`Recovery Key ${i + 1}: ${key}`)
  ui.out(`\nInitial Root Token: ${textOf(answer, 'root_token')}\n`)
  const [shares, threshold] = [intOf(body, 'secret_shares'), intOf(body, 'secret_threshold')]
  if (keys.length === 0) ui.out('Success! The server is initialized')
  else
    ui.out(
      wrap(
        `The server is initialized with ${shares} key shares and a key threshold of ${threshold}. Hand the shares above to different people, over safe ways. After every seal or restart it takes ${threshold} of them to unseal the server.\n\nThe server keeps no copy of the key: without ${threshold} shares everything in it is lost. With them, new shares can be made at any time: see "coffer operator rekey".`,
      ),
    )
  if (recovery.length > 0)
    ui.out(
      wrap(
        `\nThe recovery key has ${intOf(body, 'recovery_shares')} shares and a threshold of ${intOf(body, 'recovery_threshold')}. Hand the shares above to different people, over safe ways.`,
      ),
    )
}

async function initStatus(ui: Ui, client: Client): Promise<number> {
  const answer = await call(client, 'Error checking init status', { method: 'GET', path: 'sys/init' }, 1)
  const initialized = answer['initialized'] === true
  if (ui.format === 'table') ui.out(initialized ? 'Vault is initialized' : 'Vault is not initialized')
  else ui.data({ initialized })
  return initialized ? 0 : 2
}

const init = command({
  words: ['operator', 'init'],
  synopsis: 'Initialize a server: make its keys and the first root token',
  help: `      $ coffer operator init
      $ coffer operator init -key-shares=3 -key-threshold=2
      $ coffer operator init -pgp-keys=ada.asc,ben.asc,cyd.asc -key-shares=3 -key-threshold=2`,
  flags: initFlags,
  async run(context) {
    const { ui, flags } = context
    const client = await context.client()
    if (flags.status) return initStatus(ui, client)
    const seal = await call(client, 'Error asking for the seal status', {
      method: 'GET',
      path: 'sys/seal-status',
      quiet: true,
    })
    const body = initBody(flags, seal['recovery_seal'] === true)
    const answer = await call(client, 'Error initializing', { method: 'PUT', path: 'sys/init', body })
    if (ui.format === 'table') {
      showInit(ui, answer, body)
      return 0
    }
    const keys = listOf(answer, 'keys')
    ui.data(
      struct({
        unseal_keys_b64: listOf(answer, 'keys_base64'),
        unseal_keys_hex: keys,
        unseal_shares: keys.length === 0 ? 1 : intOf(body, 'secret_shares'),
        unseal_threshold: keys.length === 0 ? 1 : intOf(body, 'secret_threshold'),
        recovery_keys_b64: listOf(answer, 'recovery_keys_base64'),
        recovery_keys_hex: listOf(answer, 'recovery_keys'),
        recovery_keys_shares: intOf(body, 'recovery_shares'),
        recovery_keys_threshold: intOf(body, 'recovery_threshold'),
        root_token: textOf(answer, 'root_token'),
      }),
    )
    return 0
  },
})

/** Gives a key share: the argument, standard input for "-", otherwise asked for without echo. */
export async function shareOf(
  context: Pick<Context, 'args' | 'stdin' | 'globals' | 'io'>,
  label: string,
): Promise<string> {
  const [argument = ''] = context.args
  if (argument === '-') return (await context.stdin()).trim()
  if (argument !== '') return argument.trim()
  if (context.globals['non-interactive'])
    throw new UsageError(
      `refusing to ask for the ${label.toLowerCase()} with -non-interactive`,
      'Give "-" as the argument to read it from standard input.',
    )
  return (await context.io.askHidden(`${label} (will be hidden): `)).trim()
}

const unseal = command({
  words: ['operator', 'unseal'],
  synopsis: 'Give one key share to unseal the server',
  help: `Asks for a share without echo, so that it stays out of the shell's history; "-" reads it from standard input.

      $ coffer operator unseal`,
  args: { usage: '[KEY]', min: 0, max: 1 },
  flags: {
    reset: bool('Throw away the shares given so far.'),
    migrate: bool('The share is for a migration of the seal.'),
  },
  async run(context) {
    const { ui, flags } = context
    const client = await context.client()
    const body: JsonObject = flags.reset
      ? { reset: true }
      : { key: await shareOf(context, 'Unseal Key'), reset: false, migrate: flags.migrate }
    const what = flags.reset ? 'Error resetting unseal process' : 'Error unsealing'
    const status = await call(client, what, { method: 'PUT', path: 'sys/unseal', body, root: true })
    await showSealStatus(ui, client, status)
    return 0
  },
})

const seal = command({
  words: ['operator', 'seal'],
  synopsis: 'Seal the server: it forgets its keys and answers nothing until it is unsealed',
  help: '      $ coffer operator seal',
  async run(context) {
    await run(await context.client(), 'Error sealing', { method: 'PUT', path: 'sys/seal' })
    return success(context, 'Success! Vault is sealed.')
  },
})

const keyRows = (status: JsonObject): string[][] => [
  ['Key Term', String(intOf(status, 'term'))],
  ['Install Time', formatTime(status['install_time'])],
  ['Encryption Count', String(intOf(status, 'encryptions'))],
]

async function showKeyStatus(ui: Ui, client: Client): Promise<void> {
  const status = await call(client, 'Error reading key status', { method: 'GET', path: 'sys/key-status' })
  if (ui.format === 'table') ui.out(columns(keyRows(status)))
  else
    ui.data(
      struct({
        term: intOf(status, 'term'),
        install_time: textOf(status, 'install_time'),
        encryptions: intOf(status, 'encryptions'),
      }),
    )
}

const rotate = command({
  words: ['operator', 'rotate'],
  synopsis: 'Make a new encryption key for what is written from now on',
  help: `Adds a key to the keyring; what was written before stays readable. Unseal keys do not change: for those see "coffer operator rekey".

      $ coffer operator rotate`,
  async run(context) {
    const client = await context.client()
    await run(client, 'Error rotating key', { method: 'PUT', path: 'sys/rotate' })
    success(context, 'Success! Rotated key\n')
    await showKeyStatus(context.ui, client)
    return 0
  },
})

const keyStatus = command({
  words: ['operator', 'key-status'],
  synopsis: 'Print the current encryption key term',
  help: '      $ coffer operator key-status',
  async run(context) {
    await showKeyStatus(context.ui, await context.client())
    return 0
  },
})

const stepDown = command({
  words: ['operator', 'step-down'],
  synopsis: 'Ask the active node to step down',
  help: '      $ coffer operator step-down',
  async run(context) {
    const client = await context.client()
    await run(client, 'Error stepping down', { method: 'PUT', path: 'sys/step-down' })
    return success(context, `Success! Stepped down: ${client.address}`)
  },
})

const members = command({
  words: ['operator', 'members'],
  synopsis: 'List the nodes of the cluster',
  help: `Prints the nodes over the store of the server that is asked: their addresses and versions, when each gave its last sign of life by its own clock, and whether it is active, sealed, or silent for 15 seconds.

      $ coffer operator members`,
  async run(context) {
    const { ui } = context
    const answer = await call(await context.client(), 'Error listing members', { method: 'GET', path: 'sys/ha-status' })
    const nodes = (Array.isArray(answer['nodes']) ? answer['nodes'] : []) as JsonObject[]
    if (ui.format !== 'table') ui.data({ nodes })
    else
      ui.out(
        table([
          ['Host Name', 'API Address', 'Cluster Address', 'Active Node', 'Version', 'Last Echo', 'Node Name', 'State'],
          ...nodes.map((node) => [
            textOf(node, 'hostname'),
            textOf(node, 'api_address'),
            textOf(node, 'cluster_address'),
            String(node['active_node'] === true),
            textOf(node, 'version'),
            textOf(node, 'last_echo'),
            textOf(node, 'node_name'),
            textOf(node, 'state'),
          ]),
        ]),
      )
    return 0
  },
})

/** Commands for who runs the server. */
export const operatorCommands: readonly Command[] = [init, unseal, seal, rotate, keyStatus, stepDown, members]
