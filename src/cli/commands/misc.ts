// unwrap, path-help and plugin list.
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { type Command, command, oneArg } from '../command.ts'
import { orFail, UsageError } from '../errors.ts'
import { bool } from '../flags.ts'
import { sanitizePath } from '../go.ts'
import { compactJson, table } from '../print.ts'
import { keysOf, listOf, textOf } from '../secret.ts'
import { call, showSecret, success } from './shared.ts'

const unwrap = command({
  words: ['unwrap'],
  synopsis: 'Unwrap a wrapped answer',
  help: `The wrapping token works once. Without an argument the token in use is unwrapped; "-" reads the wrapping token from standard input.

      $ coffer unwrap TOKEN`,
  args: { usage: '[TOKEN]', min: 0, max: 1 },
  field: true,
  async run(context) {
    const { ui, globals } = context
    const [given = ''] = context.args
    const token = (given === '-' ? await context.stdin() : given).trim()
    const client = await context.client()
    // With no token of one's own the wrapping token is the caller.
    const asCaller = token === '' || client.token() === '' || token === client.token()
    if (asCaller && token !== '') client.setToken(token)
    if (client.token() === '')
      throw new UsageError('no wrapping token given', 'Give it as the argument, or "-" to read it from standard input.')
    const body: JsonObject = asCaller ? {} : { token }
    const secret = await orFail('Error unwrapping', client.write('sys/wrapping/unwrap', body))
    if (!secret) return success(context, 'Successfully unwrapped. There was no data in the wrapped secret.')
    if (globals.field === '' && keysOf(secret) !== undefined) {
      ui.list(secret)
      return 0
    }
    return showSecret(context, secret)
  },
})

const pathHelp = command({
  words: ['path-help'],
  synopsis: 'Show what a path of the API is for',
  help: `With -format=json the answer is an OpenAPI document.

      $ coffer path-help secret/data/app
      $ coffer path-help sys/mounts`,
  args: oneArg('PATH'),
  async run(context) {
    const { ui } = context
    const path = sanitizePath(context.args[0] ?? '')
    const answer = await call(await context.client(), 'Error retrieving help', {
      method: 'GET',
      path,
      query: [['help', '1']],
    })
    if (ui.format === 'json') ui.out(compactJson(answer['openapi'] ?? {}))
    else if (ui.format === 'yaml') ui.data(answer['openapi'] ?? {})
    else ui.out(textOf(answer, 'help'))
    return 0
  },
})

const pluginTypes = ['auth', 'database', 'secret']

const pluginList = command({
  words: ['plugin', 'list'],
  synopsis: 'List the engines and auth methods that the server knows',
  help: `      $ coffer plugin list
      $ coffer plugin list secret`,
  args: { usage: '[auth | database | secret]', min: 0, max: 1, complete: pluginTypes },
  flags: { detailed: bool('Show the deprecation status too.', { env: 'DETAILED' }) },
  async run(context) {
    const { ui, flags } = context
    const [type] = context.args
    if (type !== undefined && !pluginTypes.includes(type))
      throw new UsageError(`the type must be one of ${pluginTypes.join(', ')}`)
    const answer = await call(await context.client(), 'Error listing available plugins', {
      method: 'GET',
      path: 'sys/plugins/catalog',
    })
    const all = (Array.isArray(answer['detailed']) ? answer['detailed'] : []).filter(isJsonObject)
    const plugins = all.filter((plugin) => type === undefined || textOf(plugin, 'type') === type)
    if (ui.format !== 'table') {
      const types = type === undefined ? pluginTypes : [type]
      ui.data({ ...Object.fromEntries(types.map((name) => [name, listOf(answer, name)])), details: plugins })
      return 0
    }
    const withType = type === undefined || flags.detailed
    const titles = ['Name', ...(withType ? ['Type'] : []), 'Version', ...(flags.detailed ? ['Deprecation Status'] : [])]
    ui.out(
      table([
        titles,
        ...plugins.map((plugin) => [
          textOf(plugin, 'name'),
          ...(withType ? [textOf(plugin, 'type')] : []),
          textOf(plugin, 'version'),
          ...(flags.detailed ? [textOf(plugin, 'deprecation_status')] : []),
        ]),
      ]),
    )
    return 0
  },
})

/** Commands that fit nowhere else. */
export const miscCommands: readonly Command[] = [unwrap, pathHelp, pluginList]
