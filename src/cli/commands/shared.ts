// What several commands do alike: print what a write answered, print a list, run the second factor of a login.
import type { JsonObject } from '../../lib/json.ts'
import { isJsonObject, type JsonValue } from '../../lib/json.ts'
import type { ApiRequest, Client } from '../client.ts'
import type { Context } from '../command.ts'
import { AnswerError, CliError, failed, orFail } from '../errors.ts'
import { fieldOf } from '../render.ts'
import { isWrapped, keysOf, payloadOf, type Secret, saysSomething, secretOf, textOf } from '../secret.ts'

/** Any context, whatever its flags. */
export type AnyContext = Pick<Context, 'ui' | 'globals' | 'io'>

/** Prints one field when -field asks for it, otherwise the answer. Gives the exit code. */
export function showSecret({ ui, globals }: AnyContext, secret: Secret): number {
  if (globals.field !== '') return ui.field(fieldOf(secret, globals.field), globals.field)
  ui.secret(secret)
  return 0
}

/** Runs a write; a refusal that carries warnings or data prints them before it ends the command. */
export async function writeOrFail(
  { ui }: AnyContext,
  what: string,
  call: Promise<Secret | null>,
): Promise<Secret | null> {
  try {
    return await call
  } catch (error) {
    if (error instanceof AnswerError && error.status === 404) {
      const secret = secretOf(error.body as JsonValue | undefined)
      if (saysSomething(secret)) ui.secret(secret)
    }
    throw failed(what, error)
  }
}

/** Prints a line in the table format only: other formats are read by programs. */
export function success({ ui }: AnyContext, text: string): number {
  if (ui.format === 'table') ui.out(text)
  return 0
}

/** Prints a list answer, or says that there is nothing: `{}` for programs, a message for people, exit code 2. */
export function showList(context: AnyContext, secret: Secret | null, path: string): number {
  const { ui } = context
  if (secret && isWrapped(secret)) {
    ui.secret(secret)
    return 0
  }
  if (ui.format !== 'table' && keysOf(secret) === undefined) {
    ui.data({})
    return 2
  }
  if (!secret) throw new CliError(2, `No value found at ${path}`)
  if (!secret.data) {
    ui.secret(secret)
    return 0
  }
  if (keysOf(secret) === undefined) throw new CliError(2, `No entries found at ${path}`)
  ui.list(secret)
  return 0
}

/** Sends a request whose answer may lack the envelope and gives its members. */
export async function call(client: Client, what: string, request: ApiRequest, code = 2): Promise<JsonObject> {
  return payloadOf((await orFail(what, client.send(request), code)).body)
}

/** Sends a request whose answer does not matter. */
export async function run(client: Client, what: string, request: ApiRequest): Promise<void> {
  await orFail(what, client.send(request))
}

const mfaNotice =
  'This login needs a second factor. Finish it with a request to sys/mfa/validate that names the mfa_request_id below.'

/**
 * Looks whether a login waits for a second factor. One method and a terminal: asks and validates, and gives the final answer.
 * Otherwise says what to do and gives the answer as it is.
 */
export async function withSecondFactor(context: AnyContext, client: Client, secret: Secret): Promise<Secret> {
  const requirement = secret.auth?.['mfa_requirement']
  if (!isJsonObject(requirement)) return secret
  const { ui, globals, io } = context
  const constraints = isJsonObject(requirement['mfa_constraints']) ? Object.values(requirement['mfa_constraints']) : []
  const first = constraints.length === 1 && isJsonObject(constraints[0]) ? constraints[0]['any'] : undefined
  const method = Array.isArray(first) && first.length === 1 && isJsonObject(first[0]) ? first[0] : undefined
  if (!method || globals['non-interactive'] || !io.stdinIsTty) {
    ui.warn(`${mfaNotice}\n`)
    return secret
  }
  const id = textOf(method, 'id')
  const passcode =
    method['uses_passcode'] === true
      ? await io.askHidden(`Passcode of the ${textOf(method, 'type')} method ${id} (will be hidden): `)
      : ''
  if (passcode === '') ui.warn('Waiting for the second factor to be confirmed on your device.')
  const body = { mfa_request_id: textOf(requirement, 'mfa_request_id'), mfa_payload: { [id]: [passcode] } }
  const validated = await orFail('Error validating the second factor', client.write('sys/mfa/validate', body))
  return validated ?? secret
}
