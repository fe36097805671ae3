// The token kept between commands: ~/.vault-token, which Vault's and OpenBao's tools read too. Always 0600, always replaced
// whole by a rename; it must never be written through a link or appear in a message.
import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { variable } from '../lib/environment.ts'
import { UsageError } from './errors.ts'
import type { CliIo } from './io.ts'

const tokenBytesMax = 64 * 1024

/** Names the token file: COFFER_TOKEN_PATH (or BAO_, VAULT_), otherwise `.vault-token` in the home folder. */
export const tokenPath = (io: CliIo): string => variable(io.env, 'TOKEN_PATH') ?? join(io.home, '.vault-token')

/** Reads the stored token; an empty text when there is none. Throws `UsageError` when the file cannot be read. */
export async function readToken(io: CliIo): Promise<string> {
  try {
    return (await readFile(tokenPath(io), 'utf8')).slice(0, tokenBytesMax).trim()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return ''
    throw new UsageError(
      `cannot read the token file ${tokenPath(io)}: ${code}`,
      'Check who owns it, or set COFFER_TOKEN.',
    )
  }
}

/** Stores a token: a new file 0600 beside the old one, then a rename. Throws the file system's error. */
export async function storeToken(io: CliIo, token: string): Promise<void> {
  const path = tokenPath(io)
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(token)
    await file.close()
    await rename(temporary, path)
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(temporary, { force: true })
    throw error
  }
}
