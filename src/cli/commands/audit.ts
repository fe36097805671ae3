// audit enable, disable and list: audit devices over the API.
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import { type Command, command, oneArg } from '../command.ts'
import { asTexts, objectOf } from '../data.ts'
import { bool, str } from '../flags.ts'
import { formatValue, sanitizePath, sortedKeys, withSlash } from '../go.ts'
import { table } from '../print.ts'
import { textOf } from '../secret.ts'
import { call, run, success } from './shared.ts'

const enable = command({
  words: ['audit', 'enable'],
  synopsis: 'Enable an audit device',
  help: `K=V pairs are the device's options.

      $ coffer audit enable file file_path=/var/log/coffer/audit.log`,
  args: { usage: 'TYPE [K=V...]', min: 1, max: Number.POSITIVE_INFINITY, complete: ['file', 'syslog', 'socket'] },
  flags: {
    description: str('What it is for, in a few words.'),
    path: str('Name of the device; its type when not given.'),
    local: bool('Keep it on this cluster.'),
  },
  async run(context) {
    const { flags } = context
    const type = (context.args[0] ?? '').trim()
    const path = withSlash(sanitizePath(flags.path || type))
    const options = asTexts(await context.data(context.args.slice(1)))
    const body = { type, description: flags.description, options: objectOf(options), local: flags.local }
    await run(await context.client(), 'Error enabling audit device', {
      method: 'PUT',
      path: `sys/audit/${path.slice(0, -1)}`,
      body,
    })
    return success(context, `Success! Enabled the ${type} audit device at: ${path}`)
  },
})

const disable = command({
  words: ['audit', 'disable'],
  synopsis: 'Disable an audit device',
  help: '      $ coffer audit disable file',
  args: oneArg('PATH'),
  async run(context) {
    const path = sanitizePath(context.args[0] ?? '')
    await run(await context.client(), 'Error disabling audit device', { method: 'DELETE', path: `sys/audit/${path}` })
    return success(context, `Success! Disabled audit device (if it was enabled) at: ${path}/`)
  },
})

const optionsText = (device: JsonObject): string => {
  const options = isJsonObject(device['options']) ? device['options'] : {}
  return sortedKeys(options)
    .map((key) => `${key}=${formatValue(options[key])}`)
    .join(' ')
}

const list = command({
  words: ['audit', 'list'],
  synopsis: 'List the audit devices',
  help: '      $ coffer audit list -detailed',
  flags: { detailed: bool('Show options too.', { env: 'DETAILED' }) },
  async run(context) {
    const { ui, flags } = context
    const answer = await call(await context.client(), 'Error listing audits', { method: 'GET', path: 'sys/audit' })
    if (ui.format !== 'table') {
      ui.data(answer)
      return 0
    }
    const devices = sortedKeys(answer).flatMap((path) =>
      isJsonObject(answer[path]) ? [[path, answer[path]] as const] : [],
    )
    if (devices.length === 0) {
      ui.out('No audit devices are enabled.')
      return 2
    }
    const rows = devices.map(([path, device]) => [
      path,
      textOf(device, 'type'),
      textOf(device, 'description'),
      ...(flags.detailed ? [device['local'] === true ? 'local' : 'replicated', optionsText(device)] : []),
    ])
    ui.out(table([['Path', 'Type', 'Description', ...(flags.detailed ? ['Replication', 'Options'] : [])], ...rows]))
    return 0
  },
})

/** Commands for audit devices; `audit verify` is added by whoever has the verifier. */
export const auditCommands: readonly Command[] = [enable, disable, list]
