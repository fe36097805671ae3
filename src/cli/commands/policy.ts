// policy write, read, list, delete and fmt.
import { readFile, writeFile } from 'node:fs/promises'
import { formatHcl } from '../../lib/hcl-format.ts'
import { type Command, command, oneArg } from '../command.ts'
import { CliError, orFail, UsageError } from '../errors.ts'
import { formatValue } from '../go.ts'
import type { CliIo } from '../io.ts'
import { keysOf, textOf } from '../secret.ts'
import { run, success } from './shared.ts'

const nameOf = (text: string | undefined): string => (text ?? '').trim().toLowerCase()

/** Expands `~/` in front of a path. */
const expand = (io: CliIo, path: string): string => (path.startsWith('~/') ? io.home + path.slice(1) : path)

async function readPolicy(io: CliIo, path: string): Promise<string> {
  try {
    return await readFile(expand(io, path), 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read the policy file ${path}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

const write = command({
  words: ['policy', 'write'],
  synopsis: 'Write a policy from a file',
  help: `"-" as the file reads the policy from standard input.

      $ coffer policy write app app.hcl
      $ coffer policy write app - < app.hcl`,
  args: { usage: 'NAME FILE', min: 2, max: 2, complete: 'files' },
  async run(context) {
    const [given = '', file = ''] = context.args
    const name = nameOf(given)
    const policy = file.trim() === '-' ? await context.stdin() : await readPolicy(context.io, file.trim())
    const client = await context.client()
    await run(client, 'Error uploading policy', { method: 'PUT', path: `sys/policies/acl/${name}`, body: { policy } })
    if (name !== given)
      context.ui.warn(`The policy name was changed from ${JSON.stringify(given)} to ${JSON.stringify(name)}`)
    return success(context, `Success! Uploaded policy: ${name}`)
  },
})

const read = command({
  words: ['policy', 'read'],
  synopsis: 'Print a policy',
  help: '      $ coffer policy read app',
  args: oneArg('NAME'),
  async run(context) {
    const { ui } = context
    const name = nameOf(context.args[0])
    const secret = await orFail(
      `Error reading policy named ${name}`,
      (await context.client()).read(`sys/policies/acl/${name}`),
    )
    const policy = textOf(secret?.data, 'policy') || textOf(secret?.data, 'rules')
    if (policy === '') throw new CliError(2, `No policy named: ${name}`, 'See "coffer policy list".')
    if (ui.format === 'table') ui.out(policy.trim())
    else ui.data({ policy })
    return 0
  },
})

const list = command({
  words: ['policy', 'list'],
  synopsis: 'List the policies',
  help: '      $ coffer policy list',
  async run(context) {
    const { ui } = context
    const secret = await orFail('Error listing policies', (await context.client()).list('sys/policies/acl'))
    const keys = keysOf(secret) ?? []
    if (ui.format !== 'table') ui.data(keys)
    else for (const key of keys) ui.out(formatValue(key))
    return 0
  },
})

const remove = command({
  words: ['policy', 'delete'],
  synopsis: 'Delete a policy',
  help: '      $ coffer policy delete app',
  args: oneArg('NAME'),
  async run(context) {
    const name = nameOf(context.args[0])
    await run(await context.client(), `Error deleting ${name}`, { method: 'DELETE', path: `sys/policies/acl/${name}` })
    return success(context, `Success! Deleted policy: ${name}`)
  },
})

const fmt = command({
  words: ['policy', 'fmt'],
  synopsis: 'Format a policy file in place',
  help: '      $ coffer policy fmt app.hcl',
  args: oneArg('FILE', 'files'),
  online: false,
  async run(context) {
    const path = expand(context.io, (context.args[0] ?? '').trim())
    const text = await readPolicy(context.io, path)
    let formatted: string
    try {
      formatted = formatHcl(text)
    } catch (error) {
      throw new UsageError(`${path}: ${(error as Error).message}`)
    }
    if (formatted !== text)
      await writeFile(path, formatted).catch((error: NodeJS.ErrnoException) => {
        throw new UsageError(`cannot write ${path}: ${error.code}`)
      })
    return success(context, `Success! Formatted policy: ${path}`)
  },
})

/** Commands for policies. */
export const policyCommands: readonly Command[] = [write, read, list, remove, fmt]
