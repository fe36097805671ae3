// The server's log: pino lines to standard error or a file that rotates. It never gets request data, tokens or keys: callers pass facts
// by name, and names that could hold a secret are cut out here once more.
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import path from 'node:path'
import pino from 'pino'

export interface LogOptions {
  /** trace, debug, info, warn, error, off. */
  readonly level: string
  readonly format: 'standard' | 'json'
  /** A file, or a folder (then `coffer.log` in it); undefined: standard error. */
  readonly file?: string | undefined
  /** Bytes after which a new file is begun; 0: never. */
  readonly rotateBytes?: number
  /** Seconds after which a new file is begun; 0: never. */
  readonly rotateSeconds?: number
  /** Old files kept; 0: all. -1: none. */
  readonly rotateMaxFiles?: number
  /** Several processes write this file: it is rotated by the one that calls `rotate`, and opened anew by all. */
  readonly shared?: boolean
  /** Number of the process among the workers of a server; stands in every line. */
  readonly worker?: number
}

export type Log = pino.Logger & {
  reopen(): void
  /** Begins a new file if it is time to; true when it did. */
  rotate(): boolean
}

const secretNames = ['token', 'clientToken', 'password', 'key', 'secret', 'authorization', 'data', 'body', 'value']
const levels: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
}

interface Sink {
  write(line: string): void
  reopen(): void
  rotate(): boolean
}

/** Appends to a file of mode 0600 and begins a new one when it is too large or too old. */
function rotatingFile(target: string, options: LogOptions): Sink {
  const file = existsSync(target) && statSync(target).isDirectory() ? path.join(target, 'coffer.log') : target
  const open = () => openSync(file, 'a', 0o600)
  let fd = open()
  let bytes = fstatSync(fd).size
  let since = Date.now()
  let rotations = 0
  const prune = () => {
    const keep = options.rotateMaxFiles ?? 0
    if (keep === 0) return
    const { dir, name, ext } = path.parse(file)
    const old = readdirSync(dir || '.')
      .filter((one) => one.startsWith(`${name}-`) && one.endsWith(ext))
      .sort()
    for (const one of old.slice(0, Math.max(0, old.length - Math.max(0, keep)))) unlinkSync(path.join(dir, one))
  }
  const beginAnew = () => {
    const { dir, name, ext } = path.parse(file)
    closeSync(fd)
    // The number keeps apart what is rotated within one millisecond.
    const stamp = `${new Date().toISOString().replace(/[:.]/g, '')}-${String(++rotations).padStart(6, '0')}`
    renameSync(file, path.join(dir, `${name}-${stamp}${ext}`))
    fd = open()
    bytes = 0
    since = Date.now()
    prune()
  }
  const due = (more: number): boolean => {
    const tooLarge = (options.rotateBytes ?? 0) > 0 && bytes + more > (options.rotateBytes ?? 0)
    const tooOld = (options.rotateSeconds ?? 0) > 0 && Date.now() - since > (options.rotateSeconds ?? 0) * 1000
    return bytes > 0 && (tooLarge || tooOld)
  }
  return {
    write(line) {
      if (!options.shared && due(line.length)) beginAnew()
      bytes += writeSync(fd, line)
    },
    rotate() {
      bytes = fstatSync(fd).size
      if (!due(0)) return false
      beginAnew()
      return true
    },
    reopen() {
      closeSync(fd)
      fd = open()
      bytes = fstatSync(fd).size
    },
  }
}

/** One line for people: time, level, text, then the facts as name=value. */
function standardLine(json: string): string {
  const { level, time, msg, ...facts } = JSON.parse(json) as Record<string, unknown> & {
    level: number
    time: number
    msg?: string
  }
  const rest = Object.entries(facts).map(
    ([name, value]) =>
      ` ${name}=${typeof value === 'string' && /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value)}`,
  )
  return `${new Date(time).toISOString()} [${levels[level] ?? level}] ${msg ?? ''}${rest.join('')}\n`
}

/** Opens the log; throws when the file cannot be opened. */
export function openLog(options: LogOptions): Log {
  const sink: Sink = options.file
    ? rotatingFile(options.file, options)
    : { write: (line) => void process.stderr.write(line), reopen() {}, rotate: () => false }
  const stream = { write: (line: string) => sink.write(options.format === 'json' ? line : standardLine(line)) }
  const level = options.level === 'off' ? 'silent' : options.level
  const paths = secretNames.flatMap((name) => [name, `*.${name}`])
  const base = options.worker === undefined ? null : { worker: options.worker }
  const log = pino({ level, base, redact: { paths, censor: '[redacted]' } }, stream)
  return Object.assign(log, { reopen: () => sink.reopen(), rotate: () => sink.rotate() })
}
