// Addresses: lists of trusted networks from the configuration, and the forms in which the operating system prints an address.
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Takes the IPv4 address out of an IPv4-mapped one ("::ffff:10.0.0.1"), and a zone ("%eth0") off. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return ''
  const mapped = address.startsWith('::ffff:') && isIP(address.slice(7)) === 4
  const zone = address.indexOf('%')
  return mapped ? address.slice(7) : zone < 0 ? address : address.slice(0, zone)
}

/** Says whether an address lies in one of the networks; false for what is no address (a unix socket has none). */
export type Network = (address: string) => boolean

/** Compiles a list of CIDRs and single addresses; throws an Error naming `key` and the entry that is neither. */
export function networkOf(list: readonly string[], key: string): Network {
  const ranges = list.map((entry) => {
    try {
      const text = entry.trim()
      const [address, bits] = text.includes('/') ? ipaddr.parseCIDR(text) : [ipaddr.parse(text), -1]
      return { address, bits: bits < 0 ? (address.kind() === 'ipv4' ? 32 : 128) : bits }
    } catch {
      throw new Error(`${key}: "${entry}" is neither an address nor a CIDR`)
    }
  })
  return (text) => {
    if (isIP(text) === 0) return false
    const address = ipaddr.process(text)
    return ranges.some((range) => range.address.kind() === address.kind() && address.match(range.address, range.bits))
  }
}
