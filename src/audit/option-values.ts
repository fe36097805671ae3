// How single option values are spelled: modes, addresses, durations, headers. All throw `ApiError` (400) that names the option and
// never quotes a value that may be secret.
import { readFileSync } from 'node:fs'
import { parseDurationSeconds } from '../lib/duration.ts'
import { isJsonObject, parseJson } from '../lib/json.ts'
import { invalid } from '../sdk/errors.ts'
import type { Address } from './sinks/connection.ts'

const timeoutMsMax = 60_000

/** Reads "2s", "500ms", "1m" or seconds; at most a minute. */
export function readDurationMs(name: string, text: string | undefined, otherwiseMs: number): number {
  if (text === undefined) return otherwiseMs
  const seconds = parseDurationSeconds(text)
  const ms = seconds === undefined ? 0 : Math.round(seconds * 1000)
  if (ms <= 0 || ms > timeoutMsMax) throw invalid(`${name} must be a duration of at most a minute, such as 2s or 500ms`)
  return ms
}

/**
 * Reads octal permission bits: 0600 when not given, undefined for 0 (leave as it is). Executable, set-id and sticky bits are refused:
 * a log that can be run is how an audit device becomes a way in (CVE-2025-6000).
 */
export function readMode(text: string | undefined): number | undefined {
  if (text === undefined) return 0o600
  const match = /^(?:0o)?([0-7]{1,7})$/.exec(text)
  if (!match?.[1]) throw invalid('mode must be octal permission bits such as 0600')
  const mode = Number.parseInt(match[1], 8)
  if (mode === 0) return undefined
  if (mode > 0o777) throw invalid('mode must hold permission bits only')
  if ((mode & 0o111) !== 0) throw invalid('mode must not make the file executable')
  return mode
}

/** Reads an address for a network: `host:port`, `[v6]:port` or a path. `option` is the name of the option that holds the network. */
export function lookUpAddress(network: string, text: string, option: string): Address {
  if (network === 'unix') {
    if (!text.startsWith('/') || text.length > 107) throw invalid('address must be the absolute path of a unix socket')
    return { network: 'unix', path: text }
  }
  const kind = /^(tcp|udp)([46]?)$/.exec(network)
  if (!kind) throw invalid(`${option} must be tcp, udp or unix`)
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const port = match ? Number(match[3]) : 0
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || port < 1 || port > 65535) throw invalid('address must be host:port')
  return {
    network: kind[1] === 'udp' ? 'udp' : 'tcp',
    host,
    port,
    family: kind[2] === '4' ? 4 : kind[2] === '6' ? 6 : 0,
  }
}

/** Replaces `env://NAME` and `file://PATH` by what they name, for devices of the configuration file only. */
function resolved(name: string, text: string, declared: boolean): string {
  if (!text.startsWith('env://') && !text.startsWith('file://')) return text
  // By API this would let a caller read any file and variable of the server.
  if (!declared) throw invalid(`${name} may refer to env:// or file:// only in the configuration file`)
  if (text.startsWith('env://')) {
    const value = process.env[text.slice(6)]
    if (value === undefined) throw invalid(`${name} refers to an environment variable that is not set`)
    return value
  }
  try {
    return readFileSync(text.slice(7), 'utf8').trim()
  } catch {
    throw invalid(`${name} refers to a file that cannot be read`)
  }
}

/** Reads an http or https URL. */
export function readUrl(text: string, declared: boolean): string {
  const url = URL.parse(resolved('uri', text, declared))
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw invalid('uri must be an http or https URL')
  return url.href
}

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/
const headerValue = /^[\t\x20-\x7e\x80-\xff]{0,8192}$/

/** Reads headers from JSON: name -> text or list of texts. */
export function readHeaders(text: string | undefined, declared: boolean): Readonly<Record<string, readonly string[]>> {
  if (text === undefined) return {}
  let value: unknown
  try {
    value = parseJson(text)
  } catch {
    throw invalid('headers must be a JSON object')
  }
  if (!isJsonObject(value)) throw invalid('headers must be a JSON object')
  const out: Record<string, readonly string[]> = {}
  for (const [name, given] of Object.entries(value)) {
    const list = Array.isArray(given) ? given : [given]
    if (!headerName.test(name) || !list.every((item) => typeof item === 'string'))
      throw invalid('headers must map names to texts or lists of texts')
    const values = (list as string[]).map((item) => resolved('headers', item, declared))
    if (!values.every((item) => headerValue.test(item))) throw invalid('headers must hold no control characters')
    out[name] = values
  }
  return out
}
