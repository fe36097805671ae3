// Limits on what clients may put into identities, so that records and keys stay small. Source: OpenBao's identity store.
import { invalid } from '../../sdk/errors.ts'
import { unassignable } from '../tokens/names.ts'

/** Characters a name may have. */
export const nameMax = 1024
const policiesMax = 1_000
const metadataPairsMax = 64
const metadataKeyMax = 128
const metadataValueMax = 512

/** Refuses a name that cannot stand in a key. */
export function checkName(field: string, name: string): void {
  if (name.length > nameMax) throw invalid(`${field} is longer than ${nameMax} characters`)
  if (!name.isWellFormed() || /\p{Cc}/u.test(name)) throw invalid(`${field} has characters that a name cannot have`)
}

/** Refuses policies that cannot be, or more of them than a session should have to read. */
export function checkPolicies(names: readonly string[]): void {
  for (const name of ['root', ...unassignable])
    if (names.includes(name)) throw invalid(`policies cannot contain ${name}`)
  if (names.length > policiesMax) throw invalid(`policies cannot contain more than ${policiesMax} names`)
  if (names.some((name) => name.length > nameMax))
    throw invalid(`policies: a name is longer than ${nameMax} characters`)
}

/** Refuses metadata over the limits, or under reserved keys. */
export function checkMetadata(field: string, metadata: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(metadata)
  if (pairs.length > metadataPairsMax) throw invalid(`${field} cannot contain more than ${metadataPairsMax} pairs`)
  for (const [key, value] of pairs) {
    if (key === '') throw invalid(`${field}: key cannot be blank`)
    if (key.length > metadataKeyMax) throw invalid(`${field}: key is longer than ${metadataKeyMax} characters`)
    if (!/^[a-zA-Z0-9=/+_-]+$/.test(key)) throw invalid(`${field}: key contains invalid characters`)
    if (key.startsWith('vault-')) throw invalid(`${field}: key prefix "vault-" is reserved`)
    if (value.length > metadataValueMax) throw invalid(`${field}: value is longer than ${metadataValueMax} characters`)
  }
}

/** Refuses custom metadata over the limits; keys and values are printable and not empty. */
export function checkCustomMetadata(metadata: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(metadata)
  if (pairs.length > metadataPairsMax)
    throw invalid(`custom_metadata cannot contain more than ${metadataPairsMax} pairs`)
  for (const [key, value] of pairs) {
    if (key === '' || key.length > metadataKeyMax)
      throw invalid(`custom_metadata: a key has 1 to ${metadataKeyMax} characters`)
    if (value === '' || value.length > metadataValueMax)
      throw invalid(`custom_metadata: a value has 1 to ${metadataValueMax} characters`)
    if (/\p{Cc}/u.test(key + value)) throw invalid('custom_metadata: keys and values must be printable')
  }
}
