// What goes wrong on the way to PostgreSQL, sorted: what is certain not to have happened, what is unknown, what calls for
// other connections. Messages name the server's code, and never a statement, a parameter or a password.
import { StorageError, ValueTooLarge } from './storage.ts'

/** The server's code (SQLSTATE) or the system's (ECONNREFUSED). */
export const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : ''
}

/** The connection is gone: what was sent over it and not answered may or may not have happened. */
export class ConnectionLost extends Error {
  override name = 'ConnectionLost'
  /** True when it was given up because no answer came: the same question would wait as long again. */
  readonly silent: boolean
  constructor(message: string, silent = false) {
    super(message)
    this.silent = silent
  }
}

/** True when it is the server that speaks, not the driver about the connection. */
export const fromServer = (error: Error): boolean => 'severity' in error && /^[0-9A-Z]{5}$/.test(codeOf(error))

/** True when the server takes no writes (any more): it is a standby, or made read-only. */
export const readOnly = (error: unknown): boolean => codeOf(error) === '25006'

/** True when the server asks for the transaction to be run again. */
export const serverConflict = (error: unknown): boolean => codeOf(error) === '40001' || codeOf(error) === '40P01'

/** True when a lock or the statement took too long: not the fault of one of several. */
export const waitedTooLong = (error: unknown): boolean => codeOf(error) === '55P03' || codeOf(error) === '57014'

const known: Readonly<Record<string, string>> = {
  '28P01': 'the password is wrong',
  '28000': 'the server does not let this user in',
  '3D000': 'there is no such database',
  '42501': 'the user lacks a permission',
  '42P01': 'a table is missing',
  '53100': "the server's disk is full",
  '53200': 'the server is out of memory',
  '53300': 'the server has no connection left',
  '55P03': 'another transaction held a lock for too long',
  '57014': 'the statement was cancelled or took too long',
  '57P03': 'the server is starting, stopping or recovering',
  '25006': 'the server takes no writes',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ETIMEDOUT: 'timed out',
  ENOTFOUND: 'there is no such host',
  ENOENT: 'there is no such socket',
}

/** Tells an operator what happened, with the code. */
export function tell(error: unknown): string {
  const code = codeOf(error)
  if (error instanceof StorageError || error instanceof ConnectionLost) return error.message
  const words = Object.hasOwn(known, code) ? known[code] : undefined
  if (words !== undefined) return `${words} (${code})`
  if (code !== '') return `error ${code}`
  if (error instanceof TypeError || error instanceof RangeError) return `unexpected ${error.name}`
  const message = String((error as Error | undefined)?.message)
  // What the driver says itself; its other texts are not taken over.
  return message.startsWith('SASL') ? 'the server and the password do not agree' : 'the connection was lost'
}

/** What the server refused, as storage throws it. The cause is left out: the driver's error may show data. */
export function failure(error: unknown, what: string): StorageError {
  if (error instanceof StorageError) return error
  // program_limit_exceeded: an index row that is too long, or a value over what the server can hold.
  if (codeOf(error) === '54000') return new ValueTooLarge('a key or value is over what the database can hold')
  return new StorageError(`${what}: ${tell(error)}`)
}
