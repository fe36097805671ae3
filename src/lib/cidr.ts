// Address ranges that tokens and roles are bound to: "10.0.0.0/8", "::1", "192.0.2.7". Names are never looked up.
import { BlockList, isIP } from 'node:net'

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 4 ? 'ipv4' : 'ipv6')

/** Splits a range into address and prefix length; undefined when it is neither an address nor a range. */
function parse(range: string): { address: string; bits: number } | undefined {
  const slash = range.indexOf('/')
  const address = slash < 0 ? range : range.slice(0, slash)
  const family = isIP(address)
  if (family === 0 || address.includes('%')) return undefined
  const most = family === 4 ? 32 : 128
  if (slash < 0) return { address, bits: most }
  const text = range.slice(slash + 1)
  const bits = Number(text)
  return /^\d{1,3}$/.test(text) && bits <= most ? { address, bits } : undefined
}

/** Whether a text is an address or a range of addresses. */
export const isCidr = (text: string): boolean => parse(text) !== undefined

/** Writes a range of one address as the address alone: "192.0.2.7/32" is "192.0.2.7". */
export const shortCidr = (range: string): string => range.replace(range.includes(':') ? /\/128$/ : /\/32$/, '')

// Lists are made once for each array of ranges; records are immutable, so an array never changes its meaning.
const lists = new WeakMap<readonly string[], BlockList>()

function listOf(ranges: readonly string[]): BlockList {
  let list = lists.get(ranges)
  if (!list) {
    list = new BlockList()
    for (const range of ranges) {
      const parsed = parse(range)
      if (parsed) list.addSubnet(parsed.address, parsed.bits, familyOf(parsed.address))
    }
    lists.set(ranges, list)
  }
  return list
}

/** Whether an address lies in one of the ranges; an IPv4 address in IPv6 clothes counts as IPv4. Never for what is no address. */
export function inCidrs(address: string, ranges: readonly string[]): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
  return isIP(mapped) !== 0 && listOf(ranges).check(mapped, familyOf(mapped))
}

/** Whether each of the ranges lies whole in one of the others, of the same family. Never for what is no range. */
export const cidrsWithin = (inner: readonly string[], outer: readonly string[]): boolean =>
  inner.every((range) => {
    const wanted = parse(range)
    return wanted !== undefined && outer.some((other) => contains(other, wanted))
  })

function contains(range: string, { address, bits }: { readonly address: string; readonly bits: number }): boolean {
  const parsed = parse(range)
  if (!parsed || isIP(parsed.address) !== isIP(address) || parsed.bits > bits) return false
  return listOf([range]).check(address, familyOf(address))
}
