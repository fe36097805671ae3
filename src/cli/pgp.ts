// Public PGP keys from files, as the API takes them: base64 of the binary key. Armoured, binary and base64 files all do.
import { readFileSync } from 'node:fs'
import { UsageError } from './errors.ts'

const fileBytesMax = 1024 * 1024

/** Takes the armour off; undefined when the text is not armoured. */
function unarmoured(text: string, path: string): string | undefined {
  const blocks = [
    ...text.matchAll(/-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n([\s\S]*?)-----END PGP PUBLIC KEY BLOCK-----/g),
  ]
  if (blocks.length === 0) return undefined
  if (blocks.length > 1) throw new UsageError(`more than one PGP key in ${path}`)
  const lines = (blocks[0]?.[1] ?? '').split(/\r?\n/)
  // Headers end at an empty line; the checksum line begins with "=".
  const start = lines.findIndex((line) => line.trim() === '')
  const body = lines.slice(start + 1).filter((line) => line !== '' && !line.startsWith('='))
  return Buffer.from(body.join(''), 'base64').toString('base64')
}

function readKey(name: string): string {
  const path = name.startsWith('@') ? name.slice(1) : name
  if (name.startsWith('keybase:'))
    throw new UsageError(
      `PGP keys are read from files only, not from ${name}`,
      'Save the public key to a file and name that.',
    )
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new UsageError(`cannot read the PGP key ${path}: ${(error as NodeJS.ErrnoException).code}`)
  }
  if (bytes.length === 0 || bytes.length > fileBytesMax) throw new UsageError(`${path} is no PGP key`)
  const text = bytes.toString('latin1')
  const armoured = unarmoured(text, path)
  if (armoured !== undefined) return armoured
  const packed = text.replace(/\s+/g, '')
  return /^[A-Za-z0-9+/]+={0,2}$/.test(packed) && packed.length % 4 === 0 ? packed : bytes.toString('base64')
}

/** Reads the keys of a comma-separated list of files, in its order; an empty text is no key. Throws `UsageError`. */
export const readPgpKeys = (names: string): string[] =>
  names
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map(readKey)
