// What kinds of devices there are and what may be said of them: one table, from which validation and documentation are read. Options
// come as text, as Vault's API has them; names that no device knows are let through, as Vault does, and named as such.
import { hostname } from 'node:os'
import path from 'node:path'
import { type ApiError, invalid } from '../sdk/errors.ts'
import { lookUpAddress, readDurationMs, readHeaders, readMode, readUrl } from './option-values.ts'
import { type FileTarget, fileSink } from './sinks/file.ts'
import { type HttpTarget, httpSink } from './sinks/http.ts'
import type { Sink } from './sinks/sink.ts'
import { type SocketTarget, socketSink } from './sinks/socket.ts'
import { type DiscardTarget, discardSink, type StreamTarget, streamSink } from './sinks/stream.ts'
import { facilities, type SyslogTarget, syslogSink } from './sinks/syslog.ts'

/** A device as it is enabled: a record of storage, or declared in the server's configuration. */
export interface DeviceConfig {
  /** With a trailing slash: `file/`. */
  readonly path: string
  readonly type: string
  readonly description: string
  readonly options: Readonly<Record<string, string>>
  readonly local: boolean
  /** `audit_<type>_<hex>`: what anchors are kept under. */
  readonly accessor: string
  /** 64 hex digits. */
  readonly salt: string
  /** Whether it stands in the configuration file: only then may `uri` and `headers` be read from files and environment. */
  readonly declared: boolean
}

export type Target = FileTarget | StreamTarget | DiscardTarget | SocketTarget | SyslogTarget | HttpTarget

/** What the options of a device come to. */
export interface DeviceSettings {
  readonly logRaw: boolean
  readonly hmacAccessor: boolean
  readonly elideListResponses: boolean
  readonly prefix: string
  readonly skipTest: boolean
  readonly target: Target
  /** Names of options that no device of this type knows. */
  readonly unknown: readonly string[]
}

type Options = Readonly<Record<string, string>>

interface DeviceType {
  readonly summary: string
  /** Option name -> what it does. */
  readonly options: Readonly<Record<string, string>>
  target(options: Options, declared: boolean): Target
}

const timeouts = { socketMs: 2000, httpMs: 5000 }
const prefixCharsMax = 256
const tagPattern = /^[\x21-\x7e]{1,32}$/

const present = (options: Options, name: string): string | undefined => {
  const value = Object.hasOwn(options, name) ? options[name] : undefined
  return value === undefined || value === '' ? undefined : value
}

/** Reads an option that has an older name as well; both with different values are refused. */
function either(options: Options, name: string, older: string): string {
  const value = present(options, name)
  const old = present(options, older)
  if (value !== undefined && old !== undefined && value !== old)
    throw invalid(`${name} and ${older} are both given: use ${name} alone`)
  const chosen = value ?? old
  if (chosen === undefined) throw invalid(`${name} is required`)
  return chosen
}

function fileTarget(options: Options): Target {
  const path = either(options, 'file_path', 'path')
  const mode = readMode(present(options, 'mode'))
  const name = path.toLowerCase()
  if (name === 'stdout' || path === '/dev/stdout') return { kind: 'stream', name: 'stdout' }
  if (name === 'stderr' || path === '/dev/stderr') return { kind: 'stream', name: 'stderr' }
  if (name === 'discard' || path === '/dev/null') return { kind: 'discard' }
  if (path.includes('\0') || path.length > 4096 || path.endsWith('/'))
    throw invalid('file_path must be the path of a file')
  return { kind: 'file', path, mode }
}

function socketTarget(options: Options): Target {
  const address = present(options, 'address')
  if (address === undefined) throw invalid('address is required')
  return {
    kind: 'socket',
    address: lookUpAddress(present(options, 'socket_type') ?? 'tcp', address, 'socket_type'),
    timeoutMs: readDurationMs('write_timeout', present(options, 'write_timeout'), timeouts.socketMs),
  }
}

function syslogTarget(options: Options): Target {
  const address = present(options, 'address')
  if (address === undefined)
    throw invalid(
      'address is required: host:port or the path of a unix stream socket (a datagram socket such as /dev/log cannot be used)',
    )
  const facility = (present(options, 'facility') ?? 'AUTH').toUpperCase()
  const number = Object.hasOwn(facilities, facility) ? facilities[facility] : undefined
  if (number === undefined) throw invalid('facility is not a syslog facility')
  const tag = present(options, 'tag') ?? 'vault'
  if (!tagPattern.test(tag)) throw invalid('tag must be 1 to 32 printable characters without spaces')
  const rfc = present(options, 'rfc') ?? '5424'
  if (rfc !== '5424' && rfc !== '3164') throw invalid('rfc must be "5424" or "3164"')
  return {
    kind: 'syslog',
    address: lookUpAddress(
      present(options, 'network') ?? (address.startsWith('/') ? 'unix' : 'udp'),
      address,
      'network',
    ),
    timeoutMs: readDurationMs('write_timeout', present(options, 'write_timeout'), timeouts.socketMs),
    facility: number,
    tag,
    rfc: rfc === '5424' ? 5424 : 3164,
  }
}

function httpTarget(options: Options, declared: boolean): Target {
  return {
    kind: 'http',
    url: readUrl(either(options, 'uri', 'url'), declared),
    headers: readHeaders(present(options, 'headers'), declared),
    timeoutMs: readDurationMs('write_timeout', present(options, 'write_timeout'), timeouts.httpMs),
  }
}

/** Options every device takes. */
export const commonOptions: Readonly<Record<string, string>> = {
  format: 'Only "json".',
  log_raw: 'Writes values in clear instead of hashed (true or false).',
  hmac_accessor: 'Whether token accessors are hashed (default true).',
  elide_list_responses: 'Writes the number of keys of a list answer instead of the keys.',
  prefix: 'Text in front of every line.',
  skip_test: 'Enables the device without writing a test entry.',
}

/** The kinds of devices: what they are and the options of their own. */
export const deviceTypes: Readonly<Record<string, DeviceType>> = {
  file: {
    summary: 'Appends to a file, or writes to standard output.',
    options: {
      file_path: 'Path of the file, or "stdout", "stderr", "discard".',
      path: 'Older name of file_path.',
      mode: 'Octal permission bits of the file (default 0600); 0000 leaves them as they are.',
    },
    target: fileTarget,
  },
  socket: {
    summary: 'Writes to a TCP, UDP or unix socket.',
    options: {
      address: 'host:port, or the path of a unix socket.',
      socket_type: 'tcp (default), tcp4, tcp6, udp, udp4, udp6 or unix.',
      write_timeout: 'Time a connect or a write may take (default 2s).',
    },
    target: socketTarget,
  },
  syslog: {
    summary: 'Sends syslog messages over UDP, TCP or a unix stream socket.',
    options: {
      address: 'host:port, or the path of a unix stream socket.',
      network: 'udp (default), tcp or unix.',
      facility: 'Syslog facility (default AUTH).',
      tag: 'Name of the program in each message (default "vault").',
      rfc: 'Message format: 5424 (default) or 3164.',
      write_timeout: 'Time a connect or a write may take (default 2s).',
    },
    target: syslogTarget,
  },
  http: {
    summary: 'Posts batches of lines to an HTTP server.',
    options: {
      uri: 'Where to post to.',
      url: 'Another name of uri.',
      headers: 'JSON object: header name -> value or list of values.',
      write_timeout: 'Time a request may take (default 5s).',
    },
    target: httpTarget,
  },
}

const truths = ['1', 't', 'T', 'TRUE', 'true', 'True']
const lies = ['0', 'f', 'F', 'FALSE', 'false', 'False']

function readBool(options: Options, name: string, otherwise: boolean): boolean {
  const value = present(options, name)
  if (value === undefined) return otherwise
  if (truths.includes(value)) return true
  if (lies.includes(value)) return false
  throw invalid(`${name} must be true or false`)
}

function readPrefix(options: Options): string {
  const prefix = present(options, 'prefix') ?? ''
  // A line is found again by its first brace.
  if (/[\r\n{]/.test(prefix)) throw invalid('prefix must not hold a line break or "{"')
  if (prefix.length > prefixCharsMax) throw invalid(`prefix must have at most ${prefixCharsMax} characters`)
  return prefix
}

/**
 * Reads the options of a device and says what they come to. Touches nothing outside. Throws `ApiError` (400) naming the option
 * that is missing or wrong.
 */
export function validateDevice(device: Pick<DeviceConfig, 'type' | 'options' | 'declared'>): DeviceSettings {
  const { options, declared } = device
  const type = Object.hasOwn(deviceTypes, device.type) ? deviceTypes[device.type] : undefined
  if (!type) throw unknownType(device.type)
  const format = present(options, 'format') ?? 'json'
  if (format !== 'json') throw invalid('format must be "json"')
  return {
    logRaw: readBool(options, 'log_raw', false),
    hmacAccessor: readBool(options, 'hmac_accessor', true),
    elideListResponses: readBool(options, 'elide_list_responses', false),
    prefix: readPrefix(options),
    skipTest: readBool(options, 'skip_test', false),
    target: type.target(options, declared),
    unknown: Object.keys(options).filter(
      (name) => !Object.hasOwn(commonOptions, name) && !Object.hasOwn(type.options, name),
    ),
  }
}

const unknownType = (type: string): ApiError =>
  invalid(
    `unknown audit device type ${JSON.stringify(type.slice(0, 64))}: one of ${Object.keys(deviceTypes).join(', ')}`,
  )

/** Names where a target's lines end up: the host, and the file there. Processes with one place share a log. */
export const placeOf = (target: Target): string =>
  target.kind === 'file' ? `${hostname()}:${path.resolve(target.path)}` : hostname()

/** Makes the sink of a target; nothing is opened yet. */
export function sinkOf(target: Target): Sink {
  switch (target.kind) {
    case 'file':
      return fileSink(target)
    case 'stream':
      return streamSink(target.name === 'stdout' ? 1 : 2)
    case 'discard':
      return discardSink()
    case 'socket':
      return socketSink(target)
    case 'syslog':
      return syslogSink(target)
    case 'http':
      return httpSink(target)
  }
}
