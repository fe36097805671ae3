// login: gets a token, shows it and stores it for the commands that follow.

import { variableName } from '../../lib/environment.ts'
import { isJsonObject, type JsonObject } from '../../lib/json.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, command } from '../command.ts'
import { asTexts } from '../data.ts'
import { CliError, orFail, UsageError } from '../errors.ts'
import { bool, parseBool, str } from '../flags.ts'
import { sanitizePath } from '../go.ts'
import { wrap } from '../print.ts'
import { fieldOf } from '../render.ts'
import { type Secret, secretOf, textOf } from '../secret.ts'
import { storeToken, tokenPath } from '../token-file.ts'
import { type LoginMethod, loginMethods } from './login-methods.ts'
import { showSecret, withSecondFactor } from './shared.ts'

const flags = {
  method: str('How to log in: token, userpass, … (see "coffer auth help METHOD").', { initial: 'token' }),
  path: str('Where the auth method is mounted; its name when not given.'),
  'no-store': bool('Do not store the token.'),
  'no-print': bool('Do not print the token.'),
  'token-only': bool('Print the token alone and do not store it: -field=token -no-store.'),
}
type LoginContext = Context<typeof flags>

const bareSecret = (auth: JsonObject): Secret => ({
  request_id: '',
  lease_id: '',
  lease_duration: 0,
  renewable: false,
  data: null,
  warnings: null,
  auth,
  wrap_info: null,
})

async function byToken(context: LoginContext, client: Client, fields: Map<string, string>): Promise<Secret> {
  const lookup = parseBool(fields.get('lookup') ?? 'true')
  if (lookup === undefined) throw new UsageError('lookup must be true or false')
  if (!fields.has('token') && context.globals['non-interactive'])
    throw new UsageError('no token given, and -non-interactive forbids to ask')
  const token = (fields.get('token') ?? (await context.io.askHidden('Token (will be hidden): '))).trim()
  if (token === '') throw new UsageError('no token given')
  if (!lookup) return bareSecret({ client_token: token })
  client.setToken(token)
  client.stopWrapping()
  const answer = await orFail(
    'Error authenticating: error looking up token',
    client.send({ method: 'GET', path: 'auth/token/lookup-self' }),
  )
  const data = secretOf(answer.body)?.data ?? {}
  const own = Array.isArray(data['policies']) ? data['policies'] : []
  const identity = Array.isArray(data['identity_policies']) ? data['identity_policies'] : null
  return bareSecret({
    client_token: textOf(data, 'id') || token,
    accessor: textOf(data, 'accessor'),
    policies: [...own, ...(identity ?? [])],
    token_policies: own,
    identity_policies: identity,
    metadata: isJsonObject(data['meta']) ? data['meta'] : null,
    orphan: data['orphan'] === true,
    entity_id: textOf(data, 'entity_id'),
    lease_duration: data['ttl'] ?? 0,
    renewable: data['renewable'] === true,
    mfa_requirement: null,
  })
}

async function byMethod(
  context: LoginContext,
  client: Client,
  method: LoginMethod,
  mount: string,
  fields: Map<string, string>,
): Promise<Secret> {
  for (const [name, how] of Object.entries(method.needs))
    if ((fields.get(name) ?? '') === '') throw new UsageError(`${name} is missing: give ${how}`)
  const { asks } = method
  if (asks && !fields.has(asks.field)) {
    if (context.globals['non-interactive'])
      throw new UsageError(`${asks.field} is missing, and -non-interactive forbids to ask`)
    fields.set(asks.field, await context.io.askHidden(asks.label))
  }
  fields.delete('mount')
  const path = `auth/${mount}/${method.path(fields)}`
  const secret = await orFail('Error authenticating', client.write(path, method.body(fields)))
  if (!secret) throw new CliError(2, 'Error authenticating: the server sent an empty answer')
  return secret
}

/** Takes a login out of its wrapping, as deep as it is wrapped; gives the answer as it is when it may not be unwrapped. */
async function unwrapped(client: Client, secret: Secret, mayUnwrap: boolean): Promise<Secret> {
  if (secret.auth || !secret.wrap_info || !mayUnwrap) return secret
  client.stopWrapping()
  client.setToken(textOf(secret.wrap_info, 'token'))
  const inner = await orFail('Error extracting token', client.write('sys/wrapping/unwrap', {}))
  if (!inner) throw new CliError(2, 'Error extracting token: the server sent an empty answer')
  return unwrapped(client, inner, mayUnwrap)
}

async function keepToken(context: LoginContext, secret: Secret, token: string): Promise<void> {
  const { ui, io } = context
  try {
    await storeToken(io, token)
  } catch (error) {
    ui.secret(secret)
    throw new CliError(
      2,
      `Error storing token in ${tokenPath(io)}: ${(error as NodeJS.ErrnoException).code}`,
      'The login worked: the token is shown above.',
    )
  }
  const variable = variableName(io.env, 'TOKEN')
  if (variable !== undefined)
    ui.warn(
      wrap(`WARNING! ${variable} is set and goes before the stored token: unset it to use the token of this login.\n`),
    )
}

async function finish(context: LoginContext, secret: Secret, fieldName: string, store: boolean): Promise<number> {
  const { ui, flags: given } = context
  if (!secret.auth && secret.wrap_info && !store) {
    if (given['token-only']) return ui.field(fieldOf(secret, 'wrapping_token'), 'wrapping_token')
    return showSecret(context, secret)
  }
  const token = textOf(secret.auth, 'client_token')
  if (!secret.auth || token === '')
    throw new CliError(2, 'the server answered without a token: is that path an auth method?')
  if (store) await keepToken(context, secret, token)
  else if (!given['token-only'])
    ui.warn(wrap('The token was not stored. Set COFFER_TOKEN to the token below to use it.\n'))
  if (given['no-print']) return 0
  if (fieldName !== '') return ui.field(fieldOf(secret, fieldName), fieldName)
  if (ui.format === 'table' && store)
    ui.out(
      wrap(
        'Success! You are now authenticated. The token below is stored: the commands that follow use it by themselves.\n',
      ),
    )
  ui.secret(secret)
  return 0
}

const login = command({
  words: ['login'],
  synopsis: 'Log in',
  help: `Gets a token and stores it in ~/.vault-token, where other tools look for it too.

      $ coffer login
      $ coffer login -method=userpass username=ada
      $ coffer login -method=userpass -path=staff username=ada password=-

  What a method needs is in "coffer auth help METHOD".`,
  args: { usage: '[TOKEN | K=V...]', min: 0, max: Number.POSITIVE_INFINITY },
  flags,
  field: true,
  async run(context) {
    const store = !context.flags['no-store'] && !context.flags['token-only']
    if (context.flags['no-store'] && context.flags['no-print'])
      throw new UsageError('-no-store and -no-print cannot be used together')
    const name = sanitizePath(context.flags.method) || 'token'
    const method = Object.hasOwn(loginMethods, name) ? loginMethods[name] : undefined
    if (name !== 'token' && !method)
      throw new UsageError(
        `unknown auth method: ${name}`,
        `Known here: token, ${Object.keys(loginMethods).join(', ')}. Others log in with "coffer write auth/PATH/login …".`,
      )
    const [first, ...rest] = context.args
    const args =
      name === 'token' && first !== undefined && !first.includes('=') ? [`token=${first}`, ...rest] : context.args
    const fields = asTexts(await context.data(args))
    const client = await context.clientWithoutToken()
    const mount = sanitizePath(fields.get('mount') ?? (context.flags.path || name))
    const answer = method
      ? await byMethod(context, client, method, mount, fields)
      : await byToken(context, client, fields)
    const checked = await withSecondFactor(context, client, answer)
    if (isJsonObject(checked.auth?.['mfa_requirement'])) return showSecret(context, checked)
    const secret = await unwrapped(client, checked, store)
    return finish(context, secret, context.flags['token-only'] ? 'token' : context.globals.field, store)
  },
})

/** The login command. */
export const loginCommands: readonly Command[] = [login]
