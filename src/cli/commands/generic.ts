// read, write, patch, list, scan, delete: any path of the API.

import type { Page } from '../client.ts'
import { type ArgsSpec, type Command, command, oneArg } from '../command.ts'
import { asQuery } from '../data.ts'
import { AnswerError, CliError, orFail, UsageError } from '../errors.ts'
import { bool, int, str } from '../flags.ts'
import { sanitizePath } from '../go.ts'
import { isWrapped } from '../secret.ts'
import { showList, showSecret, success, withSecondFactor, writeOrFail } from './shared.ts'

const pathAndData: ArgsSpec = { usage: 'PATH [DATA K=V...]', min: 1, max: Number.POSITIVE_INFINITY }

/** Flags that page a listing. */
export const pageFlags = {
  after: str('Begin behind this key, where the path pages its answers.'),
  limit: int('At most so many keys, where the path pages its answers.', { initial: -1 }),
  detailed: bool('Show what the server knows of each key.', { env: 'DETAILED' }),
}

/** Gives the page that the flags ask for; undefined when they ask for none, because not every path knows the parameters. */
export const pageOf = (flags: { readonly after: string; readonly limit: number }): Page | undefined =>
  flags.after === '' && flags.limit <= 0 ? undefined : { after: flags.after, limit: flags.limit }

const read = command({
  words: ['read'],
  synopsis: 'Read data and secrets',
  help: `Reads a path: a secret, a configuration, new credentials.

      $ coffer read secret/app
      $ coffer read -field=password database/creds/readonly

  K=V pairs become query parameters.`,
  args: pathAndData,
  field: true,
  raw: true,
  async run(context) {
    const client = await context.client()
    const path = sanitizePath(context.args[0] ?? '')
    const query = asQuery(await context.data(context.args.slice(1)))
    if (context.ui.format === 'raw') {
      try {
        context.ui.bare((await client.send({ method: 'GET', path, query })).text)
        return 0
      } catch (error) {
        if (error instanceof AnswerError && error.status === 404) throw new CliError(2, `No value found at ${path}`)
        await orFail(`Error reading ${path}`, Promise.reject(error))
      }
    }
    const secret = await orFail(`Error reading ${path}`, client.read(path, query))
    if (!secret) throw new CliError(2, `No value found at ${path}`)
    return showSecret(context, secret)
  },
})

const writing = {
  force: bool('Go ahead without any data.', { aliases: ['f'] }),
}

const write = command({
  words: ['write'],
  synopsis: 'Write data, configuration and secrets',
  help: `Writes key=value pairs to a path. "key=@file" takes the value from a file, "key=-" from standard input; "@file.json" and "-"
  take a whole JSON object.

      $ coffer write auth/userpass/users/ada password=- policies=dev
      $ coffer write -f transit/keys/orders`,
  args: pathAndData,
  flags: writing,
  field: true,
  async run(context) {
    if (context.args.length === 1 && !context.flags.force) throw new UsageError('Must supply data or use -force')
    const path = sanitizePath(context.args[0] ?? '')
    const data = await context.data(context.args.slice(1))
    const client = await context.client()
    const secret = await writeOrFail(context, `Error writing data to ${path}`, client.write(path, data))
    if (!secret) return success(context, `Success! Data written to: ${path}`)
    return showSecret(context, await withSecondFactor(context, client, secret))
  },
})

const patch = command({
  words: ['patch'],
  synopsis: 'Change some fields of data, configuration and secrets',
  help: `Changes only the fields given (JSON merge patch); a null in a JSON file removes a field.

      $ coffer patch pki/roles/web allow_localhost=false`,
  args: pathAndData,
  flags: writing,
  field: true,
  async run(context) {
    if (context.args.length === 1 && !context.flags.force) throw new UsageError('Must supply data or use -force')
    const path = sanitizePath(context.args[0] ?? '')
    const data = await context.data(context.args.slice(1))
    const client = await context.client()
    const secret = await writeOrFail(context, `Error writing data to ${path}`, client.patch(path, data))
    if (!secret) return success(context, `Success! Data written to: ${path}`)
    return showSecret(context, secret)
  },
})

const remove = command({
  words: ['delete'],
  synopsis: 'Delete secrets and configuration',
  help: `Deletes what is at a path; what that means is decided by the engine mounted there. K=V pairs become query parameters.

      $ coffer delete auth/userpass/users/ada`,
  args: pathAndData,
  field: true,
  async run(context) {
    const client = await context.client()
    const path = sanitizePath(context.args[0] ?? '')
    const query = asQuery(await context.data(context.args.slice(1)))
    const secret = await writeOrFail(context, `Error deleting ${path}`, client.remove(path, query))
    if (!secret) return success(context, `Success! Data deleted (if it existed) at: ${path}`)
    return showSecret(context, secret)
  },
})

const listing = (verb: 'list' | 'scan', synopsis: string, help: string): Command =>
  command({
    words: [verb],
    synopsis,
    help,
    args: oneArg('PATH'),
    flags: pageFlags,
    async run(context) {
      const client = await context.client()
      const path = sanitizePath(context.args[0] ?? '')
      const asked =
        verb === 'list' ? client.list(path, pageOf(context.flags)) : client.scan(path, pageOf(context.flags))
      const secret = await orFail(`Error ${verb === 'list' ? 'listing' : 'scanning'} ${path}`, asked)
      if (secret && isWrapped(secret)) return showSecret(context, secret)
      return showList(context, secret, path)
    },
  })

/** The commands for any path. */
export const genericCommands: readonly Command[] = [
  read,
  write,
  patch,
  remove,
  listing(
    'list',
    'List keys',
    `Lists the keys below a path; folders end with a slash.

      $ coffer list auth/userpass/users
      $ coffer list -after=m -limit=100 secret/metadata`,
  ),
  listing(
    'scan',
    'List keys at every depth',
    `Lists the keys below a path with those in its folders.

      $ coffer scan secret/metadata`,
  ),
]
