// PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): reads the header that a load balancer sends before anything else
// and gives the address of the client behind it. Bytes after the header are put back untouched. Whether the sender is to be
// believed is the caller's decision.
import { isIP, type Socket } from 'node:net'

/** What the bytes at the start of a connection are. */
export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  /** No PROXY header: the bytes belong to what follows. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'malformed' }
  /** `source` is undefined for a header that names nobody (health checks, UNKNOWN, unix sockets). */
  | { readonly kind: 'header'; readonly length: number; readonly source: ProxySource | undefined }

export interface ProxySource {
  readonly address: string
  readonly port: number
}

const signature = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])
const textStart = Buffer.from('PROXY ')
const textLengthMax = 107
// Addresses take 216 bytes at most; the rest are extensions (TLVs), of which nobody sends more than a few hundred bytes.
const binaryLengthMax = 4096

/** Reads the header at the start of `bytes`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAlike(bytes, signature)) return bytes.length < 16 ? { kind: 'incomplete' } : readBinary(bytes)
  if (!startsAlike(bytes, textStart)) return { kind: 'absent' }
  const end = bytes.subarray(0, textLengthMax).indexOf('\r\n')
  if (end >= 0) return readText(bytes.toString('latin1', 0, end), end + 2)
  return bytes.length < textLengthMax ? { kind: 'incomplete' } : { kind: 'malformed' }
}

const startsAlike = (bytes: Buffer, start: Buffer): boolean => {
  const length = Math.min(bytes.length, start.length)
  return length > 0 && bytes.compare(start, 0, length, 0, length) === 0
}

function readText(line: string, length: number): ProxyHeader {
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN '))
    return { kind: 'header', length, source: undefined }
  const [, family, address, , port, , ...more] = line.split(' ')
  const wanted = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : -1
  if (address === undefined || port === undefined || more.length > 0 || line.split(' ').length !== 6)
    return { kind: 'malformed' }
  if (isIP(address) !== wanted || !/^\d{1,5}$/.test(port) || Number(port) > 65_535) return { kind: 'malformed' }
  return { kind: 'header', length, source: { address, port: Number(port) } }
}

function readBinary(bytes: Buffer): ProxyHeader {
  const version = bytes.readUInt8(12) >> 4
  const command = bytes.readUInt8(12) & 0x0f
  const family = bytes.readUInt8(13) >> 4
  const size = bytes.readUInt16BE(14)
  if (version !== 2 || command > 1 || size > binaryLengthMax) return { kind: 'malformed' }
  const length = 16 + size
  if (bytes.length < length) return { kind: 'incomplete' }
  // Command 0 is LOCAL: the proxy speaks for itself. Families other than IPv4 and IPv6 carry no address we can use.
  if (command === 0 || (family !== 1 && family !== 2)) return { kind: 'header', length, source: undefined }
  if (family === 1) {
    if (size < 12) return { kind: 'malformed' }
    const address = [...bytes.subarray(16, 20)].join('.')
    return { kind: 'header', length, source: { address, port: bytes.readUInt16BE(24) } }
  }
  if (size < 36) return { kind: 'malformed' }
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + 2 * i).toString(16))
  return { kind: 'header', length, source: { address: canonicalIPv6(groups.join(':')), port: bytes.readUInt16BE(48) } }
}

const canonicalIPv6 = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1)

/**
 * Waits for the header on a fresh socket, takes it off and gives the source (undefined without one). The rest of the bytes is put back. Gives
 * false after destroying a socket that sent a malformed header, or none within `timeoutMs`.
 */
export function takeProxyHeader(socket: Socket, timeoutMs: number): Promise<ProxySource | undefined | false> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const finish = (result: ProxySource | undefined | false, rest?: Buffer): void => {
      clearTimeout(timer)
      socket.off('readable', onReadable)
      socket.off('close', onClose)
      socket.off('error', onClose)
      if (result === false) {
        socket.on('error', () => {})
        socket.destroy()
      } else if (rest && rest.length > 0) socket.unshift(rest)
      // The stream forgets that it had a reader in the next tick; only then may the next one take it.
      process.nextTick(resolve, result)
    }
    const onClose = (): void => finish(false)
    const onReadable = (): void => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read())
        bytes = Buffer.concat([bytes, chunk as Buffer])
      const found = bytes.length === 0 ? ({ kind: 'incomplete' } as const) : readProxyHeader(bytes)
      if (found.kind === 'absent') finish(undefined, bytes)
      else if (found.kind === 'header') finish(found.source, bytes.subarray(found.length))
      else if (found.kind === 'malformed' || socket.readableEnded) finish(false)
    }
    const timer = setTimeout(onClose, timeoutMs)
    socket.on('readable', onReadable)
    socket.on('close', onClose)
    socket.on('error', onClose)
  })
}
