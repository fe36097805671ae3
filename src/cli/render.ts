// Where output goes and in which format. Results go to standard output, everything else to standard error; on a terminal
// control characters of what a server sent are made visible, so that a secret cannot drive the terminal.

import { variable } from '../lib/environment.ts'
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../lib/json.ts'
import { UsageError } from './errors.ts'
import { formatTime, formatValue, humanSeconds, looksLikeDuration, quoteList, sortedKeys } from './go.ts'
import type { CliIo } from './io.ts'
import { compactJson, type Printable, prettyJson, Struct, struct, table, wrap } from './print.ts'
import { intOf, keysOf, type Secret, textOf } from './secret.ts'

export type Format = 'table' | 'json' | 'yaml' | 'raw'

/** Output of one run. `out` and `error` add a newline; `bare` adds one only on a terminal. */
export interface Ui {
  readonly format: Format
  readonly detailed: boolean
  out(text: string): void
  bare(text: string): void
  warn(text: string): void
  error(text: string): void
  /** Prints a value in the format; a table of keys and values, or of a list. */
  data(value: Printable): void
  /** Prints an answer: the whole envelope in json and yaml, a table of what it says otherwise. */
  secret(secret: Secret | null): void
  /** Prints the keys of a list answer; the whole answer with -detailed. */
  list(secret: Secret): void
  /** Prints one field; 1 and a message when there is none of that name. */
  field(value: JsonValue | undefined, name: string): number
}

const colours = { red: '\u001b[31m', yellow: '\u001b[33m', off: '\u001b[0m' }

const visible = (text: string): string =>
  text.replace(/\r\n|\p{Cc}/gu, (char) =>
    char === '\r\n' || char === '\n' || char === '\t' ? char : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )

/** An answer as Vault's client prints it: fixed order, `auth` and `wrap_info` only when there. */
function secretStruct(secret: Secret): Struct {
  return struct({
    request_id: secret.request_id,
    lease_id: secret.lease_id,
    lease_duration: secret.lease_duration,
    renewable: secret.renewable,
    data: secret.data,
    warnings: secret.warnings,
    auth: secret.auth ? authStruct(secret.auth) : undefined,
    wrap_info: secret.wrap_info ? wrapStruct(secret.wrap_info) : undefined,
  })
}

const authStruct = (auth: JsonObject): Struct =>
  struct({
    client_token: textOf(auth, 'client_token'),
    accessor: textOf(auth, 'accessor'),
    policies: auth['policies'] ?? null,
    token_policies: auth['token_policies'] ?? null,
    identity_policies: auth['identity_policies'] ?? null,
    metadata: auth['metadata'] ?? null,
    orphan: auth['orphan'] === true,
    entity_id: textOf(auth, 'entity_id'),
    lease_duration: auth['lease_duration'] ?? 0,
    renewable: auth['renewable'] === true,
    mfa_requirement: auth['mfa_requirement'] ?? null,
  })

const wrapStruct = (info: JsonObject): Struct =>
  struct({
    token: textOf(info, 'token'),
    accessor: textOf(info, 'accessor'),
    ttl: info['ttl'] ?? 0,
    creation_time: info['creation_time'] ?? null,
    creation_path: textOf(info, 'creation_path'),
    wrapped_accessor: textOf(info, 'wrapped_accessor'),
  })

const dataRows = (data: JsonObject): string[][] =>
  sortedKeys(data).map((key) => {
    const value = data[key] ?? null
    return [key, formatValue(looksLikeDuration(key) ? humanSeconds(value) : value)]
  })

function mfaRows(requirement: JsonObject): string[][] {
  const rows = [['mfa_request_id', textOf(requirement, 'mfa_request_id')]]
  const constraints = (requirement['mfa_constraints'] ?? {}) as JsonObject
  for (const name of sortedKeys(constraints))
    for (const method of ((constraints[name] as JsonObject | null)?.['any'] ?? []) as JsonObject[]) {
      const prefix = `mfa_constraint_${name}_${textOf(method, 'type')}`
      rows.push([`${prefix}_id`, textOf(method, 'id')])
      rows.push([`${prefix}_uses_passcode`, String(method['uses_passcode'] === true)])
      if (textOf(method, 'name') !== '') rows.push([`${prefix}_name`, textOf(method, 'name')])
    }
  return rows
}

function authRows(auth: JsonObject): string[][] {
  const requirement = auth['mfa_requirement']
  if (requirement !== null && typeof requirement === 'object') return mfaRows(requirement as JsonObject)
  const metadata = (auth['metadata'] ?? {}) as JsonObject
  const seconds = intOf(auth, 'lease_duration')
  return [
    ['token', textOf(auth, 'client_token')],
    ['token_accessor', textOf(auth, 'accessor')],
    ['token_duration', seconds === 0 ? '∞' : formatValue(humanSeconds(seconds))],
    ['token_renewable', String(auth['renewable'] === true)],
    ['token_policies', quoteList(auth['token_policies'])],
    ['identity_policies', quoteList(auth['identity_policies'])],
    ['policies', quoteList(auth['policies'])],
    ...sortedKeys(metadata).map((key) => [`token_meta_${key}`, formatValue(metadata[key])]),
  ]
}

const wrapRows = (info: JsonObject): string[][] => [
  ['wrapping_token:', textOf(info, 'token')],
  ['wrapping_accessor:', textOf(info, 'accessor')],
  ['wrapping_token_ttl:', formatValue(humanSeconds(info['ttl'] ?? 0))],
  ['wrapping_token_creation_time:', formatTime(info['creation_time'])],
  ['wrapping_token_creation_path:', textOf(info, 'creation_path')],
  ...(textOf(info, 'wrapped_accessor') === '' ? [] : [['wrapped_accessor:', textOf(info, 'wrapped_accessor')]]),
]

function leaseRows(secret: Secret): string[][] {
  const seconds = formatValue(secret.lease_duration)
  if (!(Number(seconds) > 0)) return []
  const shown = formatValue(humanSeconds(secret.lease_duration))
  if (secret.lease_id === '') return [['refresh_interval', shown]]
  return [
    ['lease_id', secret.lease_id],
    ['lease_duration', shown],
    ['lease_renewable', String(secret.renewable)],
  ]
}

const secretRows = (secret: Secret): string[][] => [
  ...leaseRows(secret),
  ...(secret.auth ? authRows(secret.auth) : []),
  ...(secret.wrap_info ? wrapRows(secret.wrap_info) : []),
  ...(secret.data ? dataRows(secret.data) : []),
]

/** Rows of a list with the columns that `key_info` has. */
function listRows(keys: readonly string[], info: JsonObject): string[][] {
  const titles = [...new Set(keys.flatMap((key) => Object.keys((info[key] ?? {}) as JsonObject)))].sort()
  const rows = keys.map((key) => {
    const values = (info[key] ?? {}) as JsonObject
    return [
      key,
      ...titles.map((title) => {
        const value = values[title]
        return value === undefined ? 'n/a' : formatValue(looksLikeDuration(title) ? humanSeconds(value) : value)
      }),
    ]
  })
  return [['Keys', ...titles], ...rows]
}

/** What `yaml.ts` exports, given by who loaded it. */
export type YamlPrinter = (value: Printable) => string

const plainTexts = (keys: readonly JsonValue[]): string[] => keys.map((key) => formatValue(key)).sort()

/** Makes the output of one run. `yaml` must be there when the format is yaml. */
export function makeUi(io: CliIo, options: { format: Format; detailed: boolean; yaml: YamlPrinter | undefined }): Ui {
  const { format, detailed, yaml } = options
  const plain =
    variable(io.env, 'CLI_NO_COLOR') !== undefined || (io.env['NO_COLOR'] ?? '') !== '' || io.env['TERM'] === 'dumb'
  const colour = (name: 'red' | 'yellow', text: string): string =>
    io.stderrIsTty && !plain && format === 'table' ? `${colours[name]}${text}${colours.off}` : text
  const shown = (text: string): string => (io.stdoutIsTty ? visible(text) : text)
  const errorText = (text: string): string => (io.stderrIsTty ? visible(text) : text)
  const out = (text: string): void => {
    io.stdout.write(`${shown(text)}\n`)
  }
  const bare = (text: string): void => {
    io.stdout.write(io.stdoutIsTty ? `${shown(text)}\n` : text)
  }
  const warn = (text: string): void => {
    io.stderr.write(`${colour('yellow', errorText(text))}\n`)
  }
  const printed = (value: Printable): string | undefined =>
    format === 'json' ? prettyJson(value) : format === 'yaml' && yaml ? yaml(value) : undefined
  const warnings = (secret: Secret): void => {
    if ((secret.warnings ?? []).length === 0) return
    warn('WARNING! The following warnings were returned from the server:\n')
    for (const warning of secret.warnings ?? []) warn(`${wrap(`* ${warning}`, 2)}\n`)
  }
  const keyValues = (rows: string[][]): void => {
    if (rows.length > 0) out(table([['Key', 'Value'], ...rows]))
  }
  const data = (value: Printable): void => {
    const text = printed(value)
    if (text !== undefined) out(text)
    else if (Array.isArray(value)) out(table((value as JsonValue[]).map((item) => [formatValue(item)])))
    else if (value instanceof Struct)
      keyValues(value.members.map(([key, item]) => [key, formatValue(parseJson(compactJson(item)))]))
    else if (isJsonObject(value)) keyValues(dataRows(value))
    else out(formatValue(value as JsonValue))
  }
  return {
    format,
    detailed,
    out,
    bare,
    warn,
    error(text) {
      io.stderr.write(`${colour('red', errorText(text))}\n`)
    },
    data,
    secret(secret) {
      if (!secret) return
      const text = printed(secretStruct(secret))
      if (text !== undefined) {
        out(text)
        return
      }
      warnings(secret)
      keyValues(secretRows(secret))
    },
    list(secret) {
      const keys = keysOf(secret) ?? []
      const text = printed(detailed ? secretStruct(secret) : keys)
      if (text !== undefined) {
        out(text)
        return
      }
      warnings(secret)
      const info = detailed ? ((secret.data?.['key_info'] ?? {}) as JsonObject) : {}
      if (keys.length > 0) out(table(listRows(plainTexts(keys), info)))
    },
    field(value, name) {
      if (value === undefined || value === null)
        throw new UsageError(`Field ${JSON.stringify(name)} not present in secret`)
      bare(printed(value) ?? formatValue(value))
      return 0
    },
  }
}

/** Finds a field of an answer by the name the table shows it under; undefined when there is none. */
export function fieldOf(secret: Secret, name: string): JsonValue | undefined {
  const own = (object: JsonObject | null, key: string): JsonValue | undefined =>
    object && Object.hasOwn(object, key) ? object[key] : undefined
  const { auth, wrap_info: info, data } = secret
  if (auth) {
    if (name === 'token') return own(auth, 'client_token')
    const names: Readonly<Record<string, string>> = {
      token_accessor: 'accessor',
      token_duration: 'lease_duration',
      token_renewable: 'renewable',
      token_policies: 'token_policies',
      identity_policies: 'identity_policies',
      policies: 'policies',
    }
    const key = Object.hasOwn(names, name) ? names[name] : undefined
    return key === undefined ? own(data, name) : own(auth, key)
  }
  if (info) {
    const names: Readonly<Record<string, string>> = {
      wrapping_token: 'token',
      wrapping_accessor: 'accessor',
      wrapping_token_ttl: 'ttl',
      wrapping_token_creation_time: 'creation_time',
      wrapping_token_creation_path: 'creation_path',
      wrapped_accessor: 'wrapped_accessor',
    }
    const key = Object.hasOwn(names, name) ? names[name] : undefined
    return key === undefined ? own(data, name) : own(info, key)
  }
  if (name === 'lease_duration' || name === 'refresh_interval') return secret.lease_duration
  if (name === 'lease_id' || name === 'request_id') return secret[name]
  if (name === 'renewable') return secret.renewable
  if (name === 'data') return own(data, 'data') ?? data
  return own(data, name)
}
