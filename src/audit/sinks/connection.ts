// Connections that sinks send over: a byte stream (TCP, unix socket) or datagrams (UDP), made when needed and made anew when lost.
// Every step has a time limit; what comes back from the other side is thrown away.
import type { Buffer } from 'node:buffer'
import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'

/** Where to connect to. */
export type Address =
  | { readonly network: 'tcp' | 'udp'; readonly host: string; readonly port: number; readonly family: 0 | 4 | 6 }
  | { readonly network: 'unix'; readonly path: string }

/** Sends bytes; after a failure the next call connects anew. Calls never overlap. */
export interface Connection {
  connect(): Promise<void>
  send(bytes: Buffer): Promise<void>
  close(): void
}

const timeoutError = (what: string, ms: number): Error => new Error(`${what} took more than ${ms} ms`)

/** A byte stream. A write is done when the system has all of it. */
export function streamConnection(address: Exclude<Address, { network: 'udp' }>, timeoutMs: number): Connection {
  let socket: Socket | undefined
  const drop = (): void => {
    socket?.destroy()
    socket = undefined
  }
  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const made =
        address.network === 'unix'
          ? connect({ path: address.path })
          : connect({ host: address.host, port: address.port, family: address.family })
      const timer = setTimeout(() => made.destroy(timeoutError('connecting', timeoutMs)), timeoutMs)
      made.once('connect', () => {
        clearTimeout(timer)
        made.resume()
        // An open connection alone must not keep a process from ending.
        made.unref()
        socket = made
        resolve(made)
      })
      made.on('error', reject)
      made.once('close', () => {
        clearTimeout(timer)
        if (socket === made) socket = undefined
        reject(new Error('the connection was closed'))
      })
    })
  return {
    async connect() {
      drop()
      await open()
    },
    async send(bytes) {
      const used = socket ?? (await open())
      try {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(() => reject(timeoutError('writing', timeoutMs)), timeoutMs)
          used.once('close', onClose)
          function onClose(): void {
            clearTimeout(timer)
            reject(new Error('the connection was closed'))
          }
          used.write(bytes, (error) => {
            clearTimeout(timer)
            used.off('close', onClose)
            if (error) reject(error)
            else resolve()
          })
        })
      } catch (error) {
        drop()
        throw error
      }
    },
    close: drop,
  }
}

/** Bytes a UDP datagram can carry over IPv4. */
export const datagramBytesMax = 65_507

/** Datagrams to one address. Sent is not received: UDP gives no more than that. */
export function datagramConnection(
  address: Extract<Address, { network: 'tcp' | 'udp' }>,
  timeoutMs: number,
): Connection {
  let socket: DatagramSocket | undefined
  const drop = (): void => {
    socket?.close()
    socket = undefined
  }
  const open = async (): Promise<DatagramSocket> => {
    const { address: ip, family } = await lookup(address.host, { family: address.family })
    const made = createSocket(family === 6 ? 'udp6' : 'udp4')
    await new Promise<void>((resolve, reject) => {
      made.once('error', reject)
      made.connect(address.port, ip, () => resolve())
    }).catch((error: unknown) => {
      made.close()
      throw error
    })
    // "Connection refused" of an earlier datagram comes as an event: the next send makes a new socket.
    made.on('error', () => {
      if (socket === made) drop()
    })
    made.unref()
    socket = made
    return made
  }
  return {
    async connect() {
      drop()
      await open()
    },
    async send(bytes) {
      const used = socket ?? (await open())
      try {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(() => reject(timeoutError('sending', timeoutMs)), timeoutMs)
          used.send(bytes, (error) => {
            clearTimeout(timer)
            if (error) reject(error)
            else resolve()
          })
        })
      } catch (error) {
        if (socket === used) drop()
        throw error
      }
    },
    close: drop,
  }
}
