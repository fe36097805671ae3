// token create, lookup, renew, revoke and capabilities; print token.
import type { JsonObject, JsonValue } from '../../lib/json.ts'
import { type Command, command } from '../command.ts'
import { objectOf } from '../data.ts'
import { orFail, UsageError } from '../errors.ts'
import { bool, duration, int, list, pairs, str } from '../flags.ts'
import { formatDuration } from '../go.ts'
import { secretOf } from '../secret.ts'
import { run, showSecret, success } from './shared.ts'

const createFlags = {
  id: str('The token itself, instead of a random one; needs a root token.'),
  'display-name': str('Name that tells what the token is for; not secret.'),
  ttl: duration('How long it lives.'),
  'explicit-max-ttl': duration('How long it can live at most, renewed or not.'),
  period: duration('Lives on for so long with every renewal, without end.'),
  renewable: bool('Whether it can be renewed.', { initial: true }),
  orphan: bool('Give it no parent: it outlives the token that made it.'),
  'no-default-policy': bool('Leave the policy "default" out.'),
  'use-limit': int('How many requests it is good for; 0: no limit.'),
  role: str('Token role to make it by.'),
  type: str('service or batch.', { initial: 'service' }),
  metadata: pairs('key=value for the audit log; repeatable.'),
  policy: list('Policy of the token; repeatable.'),
  'entity-alias': str('Entity alias it belongs to; only with -role.'),
}

const create = command({
  words: ['token', 'create'],
  synopsis: 'Create a token',
  help: `Makes a child of the token in use, with its policies unless -policy names others.

      $ coffer token create -policy=app -ttl=1h
      $ coffer token create -field=token -type=batch -ttl=20m`,
  flags: createFlags,
  field: true,
  async run(context) {
    const { flags } = context
    const body: JsonObject = {
      ttl: formatDuration(flags.ttl),
      explicit_max_ttl: formatDuration(flags['explicit-max-ttl']),
      period: formatDuration(flags.period),
      display_name: flags['display-name'],
      num_uses: flags['use-limit'],
      renewable: flags.type === 'batch' ? false : flags.renewable,
      type: flags.type,
      entity_alias: flags['entity-alias'],
    }
    if (flags.id !== '') body['id'] = flags.id
    if (flags.policy.length > 0) body['policies'] = [...flags.policy]
    if (flags.metadata.size > 0) body['meta'] = objectOf(flags.metadata)
    if (flags.orphan) body['no_parent'] = true
    if (flags['no-default-policy']) body['no_default_policy'] = true
    const client = await context.client()
    const path = flags.role === '' ? 'auth/token/create' : `auth/token/create/${flags.role}`
    const answer = await orFail('Error creating token', client.send({ method: 'POST', path, body }))
    const secret = secretOf(answer.body)
    return secret ? showSecret(context, secret) : 0
  },
})

const lookup = command({
  words: ['token', 'lookup'],
  synopsis: 'Show what a token is',
  help: `Shows the token in use, or another one.

      $ coffer token lookup
      $ coffer token lookup -accessor ACCESSOR`,
  args: { usage: '[TOKEN | ACCESSOR]', min: 0, max: 1 },
  flags: { accessor: bool('The argument is an accessor.') },
  field: true,
  async run(context) {
    const [token = ''] = context.args
    if (context.flags.accessor && token === '')
      throw new UsageError('Not enough arguments with -accessor (expected 1, got 0)')
    const client = await context.client()
    const request =
      token === ''
        ? ({ method: 'GET', path: 'auth/token/lookup-self' } as const)
        : context.flags.accessor
          ? ({ method: 'POST', path: 'auth/token/lookup-accessor', body: { accessor: token.trim() } } as const)
          : ({ method: 'POST', path: 'auth/token/lookup', body: { token: token.trim() } } as const)
    const secret = secretOf((await orFail('Error looking up token', client.send(request))).body)
    return secret ? showSecret(context, secret) : 0
  },
})

const renew = command({
  words: ['token', 'renew'],
  synopsis: 'Renew a token',
  help: `Renews the token in use, or another one.

      $ coffer token renew
      $ coffer token renew -increment=30m TOKEN`,
  args: { usage: '[TOKEN | ACCESSOR]', min: 0, max: 1 },
  flags: {
    accessor: bool('The argument is an accessor.'),
    increment: duration('How long it should live from now; the server may give less.', { aliases: ['i'] }),
  },
  field: true,
  async run(context) {
    const { flags } = context
    const [token = ''] = context.args
    if (flags.accessor && token === '') throw new UsageError('Not enough arguments with -accessor (expected 1, got 0)')
    const increment = Math.max(0, Math.floor(flags.increment / 1000))
    const client = await context.client()
    const request =
      token === ''
        ? { path: 'auth/token/renew-self', body: { increment } }
        : flags.accessor
          ? { path: 'auth/token/renew-accessor', body: { accessor: token.trim(), increment } }
          : { path: 'auth/token/renew', body: { token: token.trim(), increment } }
    const secret = secretOf((await orFail('Error renewing token', client.send({ method: 'PUT', ...request }))).body)
    return secret ? showSecret(context, secret) : 0
  },
})

const revoke = command({
  words: ['token', 'revoke'],
  synopsis: 'Revoke a token and all that came from it',
  help: `      $ coffer token revoke TOKEN
      $ coffer token revoke -accessor ACCESSOR
      $ coffer token revoke -self
      $ coffer token revoke -mode=path auth/userpass/login`,
  args: { usage: '[TOKEN | ACCESSOR]', min: 0, max: 1 },
  flags: {
    accessor: bool('The argument is an accessor.'),
    self: bool('Revoke the token in use.'),
    mode: str('orphan: only the token, its children live on; path: all tokens that came from that path.', {
      choices: ['', 'orphan', 'path'],
    }),
  },
  async run(context) {
    const { flags, args } = context
    const token = (args[0] ?? '').trim()
    if (flags.self && args.length > 0)
      throw new UsageError(`Too many arguments with -self (expected 0, got ${args.length})`)
    if (!flags.self && args.length < 1) throw new UsageError('Not enough arguments (expected 1 or -self, got 0)')
    if (flags.self && (flags.accessor || flags.mode !== ''))
      throw new UsageError('-self cannot be used with -accessor or -mode')
    if (flags.accessor && flags.mode !== '') throw new UsageError(`-accessor cannot be used with -mode=${flags.mode}`)
    const request = flags.self
      ? { path: 'auth/token/revoke-self' }
      : flags.accessor
        ? { path: 'auth/token/revoke-accessor', body: { accessor: token } }
        : flags.mode === 'orphan'
          ? { path: 'auth/token/revoke-orphan', body: { token } }
          : flags.mode === 'path'
            ? { path: `sys/leases/revoke-prefix/${token}` }
            : { path: 'auth/token/revoke', body: { token } }
    await run(await context.client(), 'Error revoking token', { method: 'PUT', ...request })
    return success(context, 'Success! Revoked token (if it existed)')
  },
})

const capabilities = command({
  words: ['token', 'capabilities'],
  synopsis: 'Show what a token may do at a path',
  help: `      $ coffer token capabilities secret/data/app
      $ coffer token capabilities TOKEN secret/data/app`,
  args: { usage: '[TOKEN | ACCESSOR] PATH', min: 1, max: 2 },
  flags: { accessor: bool('The first argument is an accessor.') },
  async run(context) {
    const { ui, args, flags } = context
    const [first = '', second] = args
    const path = second ?? first
    if (flags.accessor && second === undefined) throw new UsageError('-accessor needs an accessor and a path')
    const request =
      second === undefined
        ? { path: 'sys/capabilities-self', body: { path } }
        : flags.accessor
          ? { path: 'sys/capabilities-accessor', body: { accessor: first, path } }
          : { path: 'sys/capabilities', body: { token: first, path } }
    const client = await context.client()
    const answer = await orFail('Error listing capabilities', client.send({ method: 'POST', ...request }))
    const data = secretOf(answer.body)?.data ?? {}
    const found: JsonValue = (Object.hasOwn(data, path) ? data[path] : data['capabilities']) ?? null
    if (!Array.isArray(found)) throw new UsageError('No capabilities found')
    if (ui.format === 'table') ui.out(found.map(String).sort().join(', '))
    else ui.data(found)
    return 0
  },
})

const print = command({
  words: ['print', 'token'],
  synopsis: 'Print the token that commands use',
  help: 'Prints the token of the environment, otherwise the stored one. "coffer login" stores one.',
  async run(context) {
    context.ui.out((await context.client()).token())
    return 0
  },
})

/** Commands for tokens. */
export const tokenCommands: readonly Command[] = [create, lookup, renew, revoke, capabilities, print]
