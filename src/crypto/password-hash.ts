// Stored password hashes: Argon2id as PHC text (RFC 9106), bcrypt as others made it. The work itself is slow: only the worker does it.
import { Buffer } from 'node:buffer'
import { argon2Sync, randomBytes, timingSafeEqual } from 'node:crypto'
import { compareSync } from 'bcryptjs'

/** Bytes a password may have in UTF-8. */
export const passwordBytesMax = 1024

/** Cost of the hashes we make: OWASP's first choice for Argon2id. `memory` in KiB. */
const ours = { memory: 19_456, passes: 2, parallelism: 1 } as const
const saltBytes = 16
const tagBytes = 32

// Work a stored hash may cost at each login. More would let whoever writes a user keep the workers busy for all others.
const memoryMax = 131_072
const passesMax = 10
const parallelismMax = 8
const bcryptCosts = { min: 5, max: 12 } as const

interface Argon2Hash {
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
  readonly salt: Buffer
  readonly tag: Buffer
}

const phc = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/
const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/

function parseArgon2(text: string): Argon2Hash | undefined {
  const found = phc.exec(text)
  if (!found) return undefined
  const [, memory, passes, parallelism, salt = '', tag = ''] = found
  return {
    memory: Number(memory),
    passes: Number(passes),
    parallelism: Number(parallelism),
    salt: Buffer.from(salt, 'base64'),
    tag: Buffer.from(tag, 'base64'),
  }
}

const unpadded = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

const printArgon2 = (salt: Uint8Array, tag: Uint8Array): string =>
  `$argon2id$v=19$m=${ours.memory},t=${ours.passes},p=${ours.parallelism}$${unpadded(salt)}$${unpadded(tag)}`

/** A hash that no password has, with the cost of ours: what a login of an unknown user is checked against. */
export const unmatchedHash = (): string => printArgon2(randomBytes(saltBytes), randomBytes(tagBytes))

/** Says why a hash made elsewhere cannot be kept; undefined when it can. The text never holds the hash. */
export function passwordHashProblem(text: string): string | undefined {
  const cost = bcrypt.exec(text)?.[1]
  if (cost !== undefined) {
    if (Number(cost) < bcryptCosts.min) return `bcrypt cost is too low: at least ${bcryptCosts.min}`
    return Number(cost) > bcryptCosts.max ? `bcrypt cost is too high: at most ${bcryptCosts.max}` : undefined
  }
  const hash = parseArgon2(text)
  if (!hash) return 'is neither a bcrypt nor an argon2id hash'
  const { memory, passes, parallelism, salt, tag } = hash
  if (parallelism < 1 || parallelism > parallelismMax) return `argon2id lanes must be 1 to ${parallelismMax}`
  if (memory < 8 * parallelism || memory > memoryMax) return `argon2id memory must be 8 KiB a lane to ${memoryMax} KiB`
  if (passes < 1 || passes > passesMax) return `argon2id passes must be 1 to ${passesMax}`
  if (salt.length < 8 || salt.length > 64) return 'argon2id salt must have 8 to 64 bytes'
  return tag.length < 16 || tag.length > 64 ? 'argon2id hash must have 16 to 64 bytes' : undefined
}

/** Hashes a password with a fresh salt. Blocks for tens of milliseconds and takes 19 MiB. */
export function hashNow(password: Uint8Array): string {
  const salt = randomBytes(saltBytes)
  return printArgon2(salt, argon2Sync('argon2id', { ...ours, message: password, nonce: salt, tagLength: tagBytes }))
}

/** Compares a password with a stored hash, in a time that does not tell where they differ. Blocks. False for what is no hash. */
export function verifyNow(password: Uint8Array, stored: string): boolean {
  if (passwordHashProblem(stored) !== undefined) return false
  const hash = parseArgon2(stored)
  if (!hash) return compareSync(Buffer.from(password).toString('utf8'), stored)
  const { memory, passes, parallelism, salt, tag } = hash
  const parameters = { memory, passes, parallelism, message: password, nonce: salt, tagLength: tag.length }
  return timingSafeEqual(argon2Sync('argon2id', parameters), tag)
}
