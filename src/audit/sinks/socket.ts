// Lines to a TCP, UDP or unix socket, as Vault's socket device: one line each over a stream, one datagram each over UDP.
import { Buffer } from 'node:buffer'
import { type Address, type Connection, datagramBytesMax, datagramConnection, streamConnection } from './connection.ts'
import { type Sink, SinkError } from './sink.ts'

export interface SocketTarget {
  readonly kind: 'socket'
  readonly address: Address
  /** Time a connect or a write may take. */
  readonly timeoutMs: number
}

/** Makes a sink of a connection and a way to frame lines: as one piece of a stream, or each as a datagram. */
export function connectionSink(
  address: Address,
  timeoutMs: number,
  frame: {
    readonly stream: (line: string) => string
    readonly datagram: (line: string) => string
    readonly bytes: number
  },
): Sink {
  const datagrams = address.network === 'udp'
  const connection: Connection =
    address.network === 'udp' ? datagramConnection(address, timeoutMs) : streamConnection(address, timeoutMs)
  const connect = async (): Promise<Record<string, never>> => {
    try {
      await connection.connect()
      return {}
    } catch (error) {
      throw new SinkError(error)
    }
  }
  return {
    lineBytesMax: datagrams ? datagramBytesMax - frame.bytes : Number.POSITIVE_INFINITY,
    open: connect,
    async write(lines) {
      let taken = 0
      try {
        if (!datagrams) return await connection.send(Buffer.from(lines.map(frame.stream).join('')))
        for (const line of lines) {
          await connection.send(Buffer.from(frame.datagram(line)))
          taken++
        }
      } catch (error) {
        throw new SinkError(error, taken)
      }
    },
    sync: async () => {},
    moved: async () => undefined,
    reopen: connect,
    async close() {
      connection.close()
    },
  }
}

/** Writes lines as they are. A line whose write failed is sent again, so a receiver may see it twice. */
export const socketSink = (target: SocketTarget): Sink =>
  connectionSink(target.address, target.timeoutMs, {
    stream: (line) => `${line}\n`,
    datagram: (line) => `${line}\n`,
    bytes: 1,
  })
