// Where the server is and how to speak to it: flags first, then the environment, then defaults. Nothing here touches the network.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { variable, variableName } from '../lib/environment.ts'
import { UsageError } from './errors.ts'
import { parseBool } from './flags.ts'
import type { GlobalFlags } from './globals.ts'
import { formatDuration, parseDurationMs } from './go.ts'
import type { CliIo } from './io.ts'

/** All a client needs to know. Files named here were not read yet, but in `tls`. */
export interface Settings {
  readonly address: URL
  /** As the user wrote it, for messages. */
  readonly addressText: string
  readonly socketPath: string | undefined
  readonly namespace: string
  readonly wrapTtl: string
  readonly headers: ReadonlyMap<string, string>
  readonly mfa: readonly string[]
  readonly policyOverride: boolean
  readonly timeoutMs: number
  readonly retriesMax: number
  readonly followRedirect: boolean
  readonly preview: 'curl' | 'policy' | undefined
  readonly tlsFiles: {
    readonly caCert: string
    readonly caPath: string
    readonly clientCert: string
    readonly clientKey: string
  }
  readonly tlsServerName: string
  readonly tlsSkipVerify: boolean
}

// Coffer's development server and Vault's port. Vault's own default is https; a server at home speaks http.
const defaultAddress = 'http://127.0.0.1:8200'
const defaultTimeoutMs = 60_000
const defaultRetries = 2

function envDuration(env: CliIo['env'], name: string): number | undefined {
  const text = variable(env, name)
  if (text === undefined) return undefined
  const ms = parseDurationMs(text)
  if (ms === undefined || ms < 0) throw new UsageError(`${variableName(env, name)} must be a duration such as 60s`)
  return ms
}

function envBool(env: CliIo['env'], name: string): boolean {
  const text = variable(env, name)
  if (text === undefined) return false
  const value = parseBool(text)
  if (value === undefined) throw new UsageError(`${variableName(env, name)} must be true or false`)
  return value
}

function envRetries(env: CliIo['env']): number {
  const text = variable(env, 'MAX_RETRIES')
  if (text === undefined) return defaultRetries
  if (!/^\d{1,3}$/.test(text))
    throw new UsageError(`${variableName(env, 'MAX_RETRIES')} must be a number from 0 to 999`)
  return Number(text)
}

function parseAddress(text: string): { address: URL; socketPath: string | undefined } {
  if (text.startsWith('unix://')) {
    const socketPath = text.slice('unix://'.length)
    if (socketPath === '') throw new UsageError('the address unix:// names no socket file')
    return { address: new URL('http://localhost'), socketPath }
  }
  let address: URL
  try {
    address = new URL(text)
  } catch {
    throw new UsageError(`the address ${JSON.stringify(text)} is no URL`, `Write it like ${defaultAddress}.`)
  }
  if (address.protocol !== 'http:' && address.protocol !== 'https:')
    throw new UsageError(`the address ${JSON.stringify(text)} must begin with http://, https:// or unix://`)
  return { address, socketPath: undefined }
}

/** Spells a namespace as the header wants it: no slash in front, one behind; the root namespace is empty. */
export function canonicalNamespace(text: string): string {
  const trimmed = text.trim().replace(/^\/+|\/+$/g, '')
  return trimmed === '' || trimmed === 'root' ? '' : `${trimmed}/`
}

/** Collects the settings; throws `UsageError` for what cannot be used. */
export function settingsOf(flags: GlobalFlags, given: ReadonlySet<string>, io: CliIo): Settings {
  const { env } = io
  const text = (flag: keyof GlobalFlags & string, name: string): string =>
    given.has(flag) ? String(flags[flag]) : (variable(env, name) ?? '')
  const addressText =
    flags['agent-address'] ||
    (given.has('address') ? flags.address : (variable(env, 'AGENT_ADDR') ?? variable(env, 'ADDR'))) ||
    defaultAddress
  const reserved = [...flags.header.keys()].filter((name) => name.toLowerCase().startsWith('x-vault-'))
  if (reserved.length > 0)
    throw new UsageError(`-header may not set ${reserved.join(', ')}: X-Vault- headers are the command's own`)
  const wrapMs = given.has('wrap-ttl') ? flags['wrap-ttl'] : undefined
  const tlsFiles = {
    caCert: text('ca-cert', 'CACERT'),
    caPath: text('ca-path', 'CAPATH'),
    clientCert: text('client-cert', 'CLIENT_CERT'),
    clientKey: text('client-key', 'CLIENT_KEY'),
  }
  if ((tlsFiles.clientCert === '') !== (tlsFiles.clientKey === ''))
    throw new UsageError('-client-cert and -client-key go together')
  return {
    ...parseAddress(addressText),
    addressText,
    namespace: canonicalNamespace(text('namespace', 'NAMESPACE')),
    wrapTtl: wrapMs === undefined ? (variable(env, 'WRAP_TTL') ?? '') : wrapMs === 0 ? '' : formatDuration(wrapMs),
    headers: flags.header,
    mfa: given.has('mfa') ? flags.mfa : (variable(env, 'MFA')?.split(',') ?? []),
    policyOverride: flags['policy-override'],
    timeoutMs: envDuration(env, 'CLIENT_TIMEOUT') || defaultTimeoutMs,
    retriesMax: envRetries(env),
    followRedirect: !(given.has('disable-redirects') ? flags['disable-redirects'] : envBool(env, 'DISABLE_REDIRECTS')),
    preview: flags['output-curl-string'] ? 'curl' : flags['output-policy'] ? 'policy' : undefined,
    tlsFiles,
    tlsServerName: text('tls-server-name', 'TLS_SERVER_NAME'),
    tlsSkipVerify: given.has('tls-skip-verify') ? flags['tls-skip-verify'] : envBool(env, 'SKIP_VERIFY'),
  }
}

function readPem(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read ${flag} ${path}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** Reads the TLS files into options for `https.request`; -ca-cert goes before -ca-path. Throws `UsageError`. */
export function tlsOptions(settings: Settings): Record<string, unknown> {
  const { caCert, caPath, clientCert, clientKey } = settings.tlsFiles
  const options: Record<string, unknown> = { minVersion: 'TLSv1.2' }
  if (caCert !== '') options['ca'] = readPem('-ca-cert', caCert)
  else if (caPath !== '') {
    let names: string[]
    try {
      names = readdirSync(caPath)
    } catch (error) {
      throw new UsageError(`cannot read -ca-path ${caPath}: ${(error as NodeJS.ErrnoException).code}`)
    }
    options['ca'] = names
      .filter((name) => /\.(pem|crt|cer)$/.test(name))
      .map((name) => readPem('-ca-path', join(caPath, name)))
  }
  if (clientCert !== '') {
    options['cert'] = readPem('-client-cert', clientCert)
    options['key'] = readPem('-client-key', clientKey)
  }
  if (settings.tlsServerName !== '') options['servername'] = settings.tlsServerName
  if (settings.tlsSkipVerify) options['rejectUnauthorized'] = false
  return options
}
