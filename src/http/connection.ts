// What is known of a connection before its first request: the peer's address (from the socket or a PROXY header) and certificate.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { ListenerFacts, PeerCertificate } from '../core/exchange.ts'
import { plainAddress } from './addresses.ts'
import type { Connection } from './decode.ts'
import type { ProxySource } from './proxy-protocol.ts'

const chainMax = 16

/** Gives the certificate of the peer and what it sent along; undefined without one. Nothing of it is verified. */
export function peerCertificateOf(socket: TLSSocket): PeerCertificate | undefined {
  const leaf = socket.getPeerX509Certificate()
  if (!leaf) return undefined
  const chain: Uint8Array[] = []
  let certificate: typeof leaf | undefined = leaf
  while (certificate && chain.length < chainMax) {
    chain.push(certificate.raw)
    certificate = certificate.issuerCertificate
  }
  return { chain, serial: leaf.serialNumber }
}

/** Puts together what is known of a connection; `source` comes from a PROXY header that is believed. */
export function connectionOf(socket: Socket, source: ProxySource | undefined, listener: ListenerFacts): Connection {
  return {
    remoteAddress: source ? source.address : plainAddress(socket.remoteAddress),
    remotePort: source ? source.port : (socket.remotePort ?? 0),
    peerCertificate: listener.tls ? peerCertificateOf(socket as TLSSocket) : undefined,
    listener,
  }
}
