// secrets and auth: enable, disable, list, tune and move what is mounted. One set of functions over the two families of paths.
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { type Command, type Context, command, oneArg } from '../command.ts'
import { CliError, UsageError } from '../errors.ts'
import { bool } from '../flags.ts'
import { formatDuration, formatValue, sanitizePath, sortedKeys, withSlash } from '../go.ts'
import { table } from '../print.ts'
import { intOf, textOf } from '../secret.ts'
import { loginMethods, tokenHelp } from './login-methods.ts'
import { authTuning, enabling, lockoutBody, optionalConfig, optionsOf, tuneBody, tuning } from './mount-settings.ts'
import { call, run, success } from './shared.ts'

interface Family {
  readonly word: 'secrets' | 'auth'
  readonly noun: string
  readonly base: string
  readonly tuneBase: string
  enabled(type: string, path: string): string
}
const secretsFamily: Family = {
  word: 'secrets',
  noun: 'secrets engine',
  base: 'sys/mounts',
  tuneBase: 'sys/mounts',
  enabled: (type, path) => `Success! Enabled the ${type} secrets engine at: ${path}`,
}
const authFamily: Family = {
  word: 'auth',
  noun: 'auth method',
  base: 'sys/auth',
  tuneBase: 'sys/mounts/auth',
  enabled: (type, path) => `Success! Enabled ${type} auth method at: ${path}`,
}

const enable = (family: Family, example: string): Command =>
  command({
    words: [family.word, 'enable'],
    synopsis: `Mount ${withArticle(family.noun)}`,
    help: example,
    args: oneArg('TYPE'),
    flags: enabling,
    async run(context) {
      const { flags, given } = context
      const asked = (context.args[0] ?? '').trim()
      const type = asked === 'plugin' ? flags['plugin-name'] : asked
      if (type === '') throw new UsageError('the type is missing: for "plugin" give -plugin-name')
      const path = withSlash(sanitizePath(flags.path || type))
      const body: JsonObject = {
        type,
        description: flags.description,
        config: {
          default_lease_ttl: formatDuration(Math.max(0, flags['default-lease-ttl'])),
          max_lease_ttl: formatDuration(Math.max(0, flags['max-lease-ttl'])),
          force_no_cache: flags['force-no-cache'],
          ...optionalConfig(flags, given),
        },
        local: flags.local,
        seal_wrap: flags['seal-wrap'],
        external_entropy_access: flags['external-entropy-access'],
        options: optionsOf(flags),
      }
      const what = family.word === 'auth' ? `Error enabling ${type} auth` : 'Error enabling'
      await run(await context.client(), what, { method: 'POST', path: `${family.base}/${path.slice(0, -1)}`, body })
      return success(context, family.enabled(type, path))
    },
  })

const disable = (family: Family): Command =>
  command({
    words: [family.word, 'disable'],
    synopsis: `Unmount ${withArticle(family.noun)} and delete all it holds`,
    help: `      $ coffer ${family.word} disable PATH`,
    args: oneArg('PATH'),
    async run(context) {
      const path = sanitizePath(context.args[0] ?? '')
      if (path === '') throw new UsageError('the path is empty')
      await run(await context.client(), `Error disabling ${family.noun} at ${path}/`, {
        method: 'DELETE',
        path: `${family.base}/${path}`,
      })
      return success(context, `Success! Disabled the ${family.noun} (if it existed) at: ${path}/`)
    },
  })

const ttlCell = (mount: JsonObject, key: string): string => {
  if (['system', 'cubbyhole', 'ns_system', 'ns_cubbyhole'].includes(textOf(mount, 'type'))) return ''
  const seconds = intOf(isJsonObject(mount['config']) ? mount['config'] : null, key)
  return seconds === 0 ? 'system' : String(seconds)
}

const detailTitles = (family: Family): string[] => [
  ...['Path', 'Plugin', 'Accessor', 'Default TTL', 'Max TTL'],
  family.word === 'auth' ? 'Token Type' : 'Force No Cache',
  ...[
    'Replication',
    'Seal Wrap',
    'External Entropy Access',
    'Options',
    'Description',
    'UUID',
    'Version',
    'Running Version',
    'Running SHA256',
    'Deprecation Status',
  ],
]

const detailRow = (family: Family, path: string, mount: JsonObject): string[] => {
  const config = isJsonObject(mount['config']) ? mount['config'] : null
  return [
    path,
    textOf(mount, 'type'),
    textOf(mount, 'accessor'),
    ttlCell(mount, 'default_lease_ttl'),
    ttlCell(mount, 'max_lease_ttl'),
    family.word === 'auth' ? textOf(config, 'token_type') : String(config?.['force_no_cache'] === true),
    mount['local'] === true ? 'local' : 'replicated',
    String(mount['seal_wrap'] === true),
    String(mount['external_entropy_access'] === true),
    formatValue(mount['options'] ?? {}),
    textOf(mount, 'description'),
    textOf(mount, 'uuid'),
    textOf(mount, 'plugin_version'),
    textOf(mount, 'running_plugin_version'),
    textOf(mount, 'running_sha256'),
    textOf(mount, 'deprecation_status'),
  ]
}

const listing = (family: Family): Command =>
  command({
    words: [family.word, 'list'],
    synopsis: `List the mounted ${family.noun}s`,
    help: `      $ coffer ${family.word} list -detailed`,
    flags: { detailed: bool('Show TTLs, options and more.', { env: 'DETAILED' }) },
    async run(context) {
      const { ui } = context
      const answer = await call(await context.client(), `Error listing ${family.noun}s`, {
        method: 'GET',
        path: family.base,
      })
      if (ui.format !== 'table') {
        ui.data(answer)
        return 0
      }
      const mounts = sortedKeys(answer).flatMap((path) =>
        isJsonObject(answer[path]) ? [[path, answer[path]] as const] : [],
      )
      const rows = context.flags.detailed
        ? [detailTitles(family), ...mounts.map(([path, mount]) => detailRow(family, path, mount))]
        : [
            ['Path', 'Type', 'Accessor', 'Description', ...(family.word === 'auth' ? ['Version'] : [])],
            ...mounts.map(([path, mount]) => [
              path,
              textOf(mount, 'type'),
              textOf(mount, 'accessor'),
              textOf(mount, 'description'),
              ...(family.word === 'auth' ? [textOf(mount, 'plugin_version')] : []),
            ]),
          ]
      ui.out(table(rows))
      return 0
    },
  })

// A move is done in a moment; the longest pause only matters for mounts with very much in them.
const pollMs = [100, 250, 500, 1000]

const move = (family: Family): Command =>
  command({
    words: [family.word, 'move'],
    synopsis: `Move ${withArticle(family.noun)} to another path`,
    help: `Tokens and leases that came from it are revoked.

      $ coffer ${family.word} move ${family.word === 'auth' ? 'auth/staff auth/people' : 'old new'}`,
    args: { usage: 'SOURCE DESTINATION', min: 2, max: 2 },
    async run(context) {
      const { ui } = context
      const [from, to] = [withSlash(context.args[0] ?? ''), withSlash(context.args[1] ?? '')]
      const client = await context.client()
      const what = `Error moving ${family.noun} ${from} to ${to}`
      const started = await call(client, what, { method: 'POST', path: 'sys/remount', body: { from, to } })
      const id = textOf(started, 'migration_id')
      success(context, `Started moving ${family.noun} ${from} to ${to}, with migration ID ${id}`)
      for (let turn = 0; ; turn++) {
        const answer = await call(client, `Error checking migration status of ${family.noun} ${from} to ${to}`, {
          method: 'GET',
          path: `sys/remount/status/${id}`,
        })
        const status = textOf(isJsonObject(answer['migration_info']) ? answer['migration_info'] : null, 'status')
        if (status === 'success')
          return success(context, `Success! Finished moving ${family.noun} ${from} to ${to}, with migration ID ${id}`)
        if (status === 'failure')
          throw new CliError(
            2,
            `Failure! Error encountered moving ${family.noun} ${from} to ${to}, with migration ID ${id}`,
          )
        if (turn === pollMs.length) ui.warn(`Waiting for the end of the move with migration ID ${id}`)
        await context.io.sleep(pollMs[Math.min(turn, pollMs.length - 1)] ?? 1000)
      }
    },
  })

async function tune(
  context: Pick<Context, 'args' | 'client' | 'ui' | 'globals' | 'io'>,
  family: Family,
  body: JsonObject,
): Promise<number> {
  const path = sanitizePath(context.args[0] ?? '')
  await run(await context.client(), `Error tuning ${family.noun} ${path}/`, {
    method: 'POST',
    path: `${family.tuneBase}/${path}/tune`,
    body,
  })
  return success(context, `Success! Tuned the ${family.noun} at: ${path}/`)
}

const secretsTune = command({
  words: ['secrets', 'tune'],
  synopsis: 'Change settings of a secrets engine',
  help: '      $ coffer secrets tune -max-lease-ttl=24h database',
  args: oneArg('PATH'),
  flags: tuning,
  run: (context) => tune(context, secretsFamily, tuneBody(context.flags, context.given)),
})

const authTune = command({
  words: ['auth', 'tune'],
  synopsis: 'Change settings of an auth method',
  help: '      $ coffer auth tune -listing-visibility=unauth userpass',
  args: oneArg('PATH'),
  flags: authTuning,
  run: (context) =>
    tune(context, authFamily, {
      ...tuneBody(context.flags, context.given),
      ...lockoutBody(context.flags, context.given),
    }),
})

const authHelp = command({
  words: ['auth', 'help'],
  synopsis: 'Show what logging in with a method takes',
  help: `The argument is a method, or the path where one is mounted.

      $ coffer auth help userpass`,
  args: oneArg('METHOD | PATH', ['token', ...Object.keys(loginMethods)]),
  async run(context) {
    const asked = sanitizePath(context.args[0] ?? '')
    const known = (type: string): string | undefined =>
      type === 'token' ? tokenHelp : Object.hasOwn(loginMethods, type) ? loginMethods[type]?.help : undefined
    let text = known(asked)
    if (text === undefined) {
      const mounts = await call(await context.client(), 'Error listing auth methods', {
        method: 'GET',
        path: 'sys/auth',
      })
      const mount = mounts[`${asked}/`]
      if (!isJsonObject(mount))
        throw new UsageError(`No auth method available on the server at ${JSON.stringify(`${asked}/`)}`)
      text = known(textOf(mount, 'type'))
    }
    if (text === undefined)
      throw new CliError(2, `No help for logging in with ${asked}: see "coffer path-help auth/${asked}"`)
    context.ui.out(text)
    return 0
  },
})

const withArticle = (noun: string): string => `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`

/** Commands for secrets engines and auth methods. */
export const mountCommands: readonly Command[] = [
  enable(secretsFamily, '      $ coffer secrets enable -path=secret -version=2 kv'),
  disable(secretsFamily),
  listing(secretsFamily),
  move(secretsFamily),
  secretsTune,
  enable(authFamily, '      $ coffer auth enable -path=staff userpass'),
  disable(authFamily),
  listing(authFamily),
  move(authFamily),
  authTune,
  authHelp,
]
