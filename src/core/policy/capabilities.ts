// The words a policy may say, as bits, so that rules of several policies add up in one operation.

/** One bit a capability. `deny` takes everything else away. */
export const capabilityBits = {
  deny: 1,
  create: 2,
  read: 4,
  update: 8,
  delete: 16,
  list: 32,
  sudo: 64,
  patch: 128,
  scan: 256,
  subscribe: 512,
  recover: 1024,
} as const

export type Capability = keyof typeof capabilityBits
/** What a request may need; `sudo` comes besides, `deny` is never needed. */
export type RequestCapability = Exclude<Capability, 'deny' | 'sudo'>

/** Gives the bit of a word as written in a policy; undefined for an unknown word. */
export const capabilityBit = (word: string): number | undefined =>
  Object.hasOwn(capabilityBits, word) ? capabilityBits[word as Capability] : undefined

const sorted = (Object.keys(capabilityBits) as Capability[]).filter((word) => word !== 'deny').sort()

/** Names the bits in alphabetical order, as `sys/capabilities` answers: nothing at all is `["deny"]`. */
export function capabilityNames(bits: number): string[] {
  if (bits === 0 || bits & capabilityBits.deny) return ['deny']
  return sorted.filter((word) => bits & capabilityBits[word])
}

const { create, read, update, delete: remove, list } = capabilityBits
const everyday = create | read | update | remove | list

/** The one-word policies of Vault 0.x and what they stand for. */
export const legacyPolicies: Readonly<Record<string, number>> = {
  deny: capabilityBits.deny,
  read: read | list,
  write: everyday,
  sudo: everyday | capabilityBits.sudo,
}
