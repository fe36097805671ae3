// X-Forwarded-For: believed only from the proxies that the configuration names, counted from the right.
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { invalid } from '../sdk/errors.ts'
import { networkOf, plainAddress } from './addresses.ts'
import type { ListenerForwarding } from './limits.ts'

/**
 * Gives the address of the client of a request that came from `peer`. Takes the header out when it may not be believed. Throws `ApiError` 400 when
 * the configuration refuses the request.
 */
export type Forwarding = (peer: string, headers: IncomingHttpHeaders) => string

/** Compiles the rules of a listener; undefined when no proxy is trusted. Throws an Error for a malformed list. */
export function forwardingOf(config: ListenerForwarding | undefined): Forwarding | undefined {
  if (!config || config.authorizedAddrs.length === 0) return undefined
  const authorized = networkOf(config.authorizedAddrs, 'x_forwarded_for_authorized_addrs')
  const { hopSkips = 0, rejectNotPresent = true, rejectNotAuthorized = true } = config
  if (!Number.isInteger(hopSkips) || hopSkips < 0) throw new Error('x_forwarded_for_hop_skips must not be negative')
  return (peer, headers) => {
    const header = headers['x-forwarded-for']
    if (header === undefined) {
      if (rejectNotPresent) throw invalid('missing x-forwarded-for header and configured to reject when not present')
      return peer
    }
    if (!authorized(peer)) {
      if (rejectNotAuthorized)
        throw invalid('client address not authorized for x-forwarded-for and configured to reject connection')
      delete headers['x-forwarded-for']
      return peer
    }
    const chain = (typeof header === 'string' ? header : (header as string[]).join(',')).split(',')
    const entry = chain.at(-1 - hopSkips)
    if (entry === undefined)
      throw invalid(`malformed x-forwarded-for header: ${hopSkips} hops to skip in a chain of ${chain.length}`)
    const address = withoutPort(entry.trim())
    if (isIP(address) === 0) throw invalid('malformed x-forwarded-for header: the entry is no address')
    return plainAddress(address)
  }
}

// Some proxies write the port too: "192.0.2.1:4711", "[2001:db8::1]:4711", "[2001:db8::1]".
function withoutPort(entry: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(entry)
  if (bracketed) return bracketed[1] as string
  return entry.split(':').length === 2 ? entry.slice(0, entry.indexOf(':')) : entry
}
