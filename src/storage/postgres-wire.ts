// What travels to PostgreSQL and back: parameters as binary arrays, and several statements as one exchange (one round
// trip, one implicit transaction, committed at its end). It knows nothing of keys' meaning, pools or retries.
import { Buffer } from 'node:buffer'
import type { Connection, Submittable } from 'pg'
import { ConnectionLost, fromServer, tell } from './postgres-failure.ts'

/** Object ids of the parameter types in use. */
export const types = { bytea: 17, int8: 20, int4: 23, bools: 1000, int4s: 1007, byteas: 1001, int8s: 1016 } as const

const elementOf = { bools: 16, int4s: 23, byteas: 17, int8s: 20 } as const
const headBytes = 20

/** Starts an array of one dimension; `bodyBytes` includes the four bytes of length before each element. */
function arrayOf(kind: keyof typeof elementOf, count: number, bodyBytes: number): Buffer {
  const out = Buffer.allocUnsafe((count === 0 ? 12 : headBytes) + bodyBytes)
  out.writeInt32BE(count === 0 ? 0 : 1, 0)
  out.writeInt32BE(1, 4)
  out.writeInt32BE(elementOf[kind], 8)
  if (count === 0) return out
  out.writeInt32BE(count, 12)
  out.writeInt32BE(1, 16)
  return out
}

/** Encodes texts as `bytea[]` of their UTF-8. */
export function textsAsBytes(texts: readonly string[]): Buffer {
  let bytes = 0
  for (const text of texts) bytes += 4 + Buffer.byteLength(text)
  const out = arrayOf('byteas', texts.length, bytes)
  let at = headBytes
  for (const text of texts) {
    const length = out.write(text, at + 4, 'utf8')
    out.writeInt32BE(length, at)
    at += 4 + length
  }
  return out
}

/** Encodes `bytea[]`; undefined is NULL. */
export function bytesArray(values: readonly (Uint8Array | undefined)[]): Buffer {
  let bytes = 0
  for (const value of values) bytes += 4 + (value?.byteLength ?? 0)
  const out = arrayOf('byteas', values.length, bytes)
  let at = headBytes
  for (const value of values) {
    out.writeInt32BE(value === undefined ? -1 : value.byteLength, at)
    at += 4
    if (value === undefined) continue
    out.set(value, at)
    at += value.byteLength
  }
  return out
}

/** Encodes `int8[]` of safe integers. */
export function int8Array(values: readonly number[]): Buffer {
  const out = arrayOf('int8s', values.length, values.length * 12)
  let at = headBytes
  for (const value of values) {
    out.writeInt32BE(8, at)
    out.writeInt32BE(Math.floor(value / 2 ** 32), at + 4)
    out.writeUInt32BE(value % 2 ** 32, at + 8)
    at += 12
  }
  return out
}

/** Encodes `int4[]`. */
export function int4Array(values: ArrayLike<number>): Buffer {
  const out = arrayOf('int4s', values.length, values.length * 8)
  let at = headBytes
  for (let i = 0; i < values.length; i++) {
    out.writeInt32BE(4, at)
    out.writeInt32BE(values[i] as number, at + 4)
    at += 8
  }
  return out
}

/** Encodes `bool[]`. */
export function boolArray(values: readonly boolean[]): Buffer {
  const out = arrayOf('bools', values.length, values.length * 5)
  let at = headBytes
  for (const value of values) {
    out.writeInt32BE(1, at)
    out[at + 4] = value ? 1 : 0
    at += 5
  }
  return out
}

/** Decodes a `bytea` as it comes in text form (`\x…`) into bytes of its own. */
export function bytesOf(field: string): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow((field.length - 2) / 2)
  bytes.write(field.slice(2), 'hex')
  return new Uint8Array(bytes.buffer)
}

/** Decodes a `bytea` in text form that holds UTF-8. */
export const textOf = (field: string): string => Buffer.from(field.slice(2), 'hex').toString('utf8')

/** A statement; `name` is what it is prepared as where that is possible. */
export interface Statement {
  readonly name: string
  readonly text: string
  /** Object ids of the parameters. */
  readonly types: readonly number[]
}

/** A parameter: binary, or text for plain numbers; null is NULL. */
export type Parameter = Buffer | string | null

/** A statement with its parameters. */
export interface Call {
  readonly statement: Statement
  readonly values: readonly Parameter[]
}

/** Columns of a row in text form. */
export type Row = readonly (string | null)[]

/** What an exchange ended with. */
export type ExchangeEnd = (error: Error | undefined, rows: Row[]) => void

/**
 * Sends statements as one implicit transaction and gathers the rows of the last one. `prepared` holds the names this
 * connection has prepared; undefined where none may be (a pooler stands between). Ends once: with the server's error,
 * with `ConnectionLost`, or with rows after the server has said that the transaction is committed.
 */
export class Exchange implements Submittable {
  readonly #calls: readonly Call[]
  readonly #prepared: Set<string> | undefined
  readonly #end: ExchangeEnd
  readonly #parsed: string[] = []
  #at = 0
  #rows: Row[] = []
  #ended = false

  constructor(calls: readonly Call[], prepared: Set<string> | undefined, end: ExchangeEnd) {
    this.#calls = calls
    this.#prepared = prepared
    this.#end = end
  }

  submit(connection: Connection): void {
    connection.stream.cork()
    for (const { statement, values } of this.#calls) {
      const name = this.#prepared ? statement.name : ''
      if (name === '' || !this.#prepared?.has(name)) this.#parse(connection, name, statement)
      connection.bind({ statement: name, values: values as (Buffer | string | null)[] }, true)
      connection.execute(null, true)
    }
    connection.sync()
    connection.stream.uncork()
  }

  #parse(connection: Connection, name: string, { text, types }: Statement): void {
    if (name !== '') {
      // It may be there already: an exchange that failed does not know which of its statements were prepared.
      connection.close({ type: 'S', name }, true)
      this.#parsed.push(name)
    }
    // The types of the driver say string[]; it writes numbers.
    connection.parse({ name, text, types: types as unknown as string[] }, true)
  }

  handleDataRow(message: { readonly fields: Row }): void {
    if (this.#at === this.#calls.length - 1) this.#rows.push(message.fields)
  }

  handleCommandComplete(): void {
    this.#at++
  }

  handleReadyForQuery(): void {
    this.#finish(undefined)
  }

  /**
   * An error of the server is an answer once the server is ready for more: the transaction was rolled back. One that ends the
   * connection may have come after the commit.
   */
  handleError(error: Error, connection: Connection): void {
    const lost = (): void => {
      connection.off('readyForQuery', refused)
      this.#finish(new ConnectionLost(tell(error)))
    }
    const refused = (): void => {
      connection.off('end', lost)
      this.#finish(error)
    }
    if (!fromServer(error)) lost()
    else connection.once('readyForQuery', refused).once('end', lost)
  }

  #finish(error: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    if (error === undefined) for (const name of this.#parsed) this.#prepared?.add(name)
    this.#end(error, this.#rows)
  }
}
