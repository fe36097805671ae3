// Authorization codes: kept by their hash for five minutes, each good for one attempt, on any process.
import { createHash, timingSafeEqual } from 'node:crypto'
import { deleteDue, putDue } from '../../core/due.ts'
import type { DueHandler } from '../../core/jobs.ts'
import { randomText } from '../../lib/random.ts'
import type { Writer } from '../../storage/storage.ts'
import { type AuthorizationCode, authorizationCodes } from './records.ts'

const codeLength = 32
const lifetimeMs = 5 * 60_000
const dueKind = 'oidc-code'

const hashOf = (code: string): string => createHash('sha256').update(code).digest('hex')

/** Makes a code for what was asked for. */
export function newCode(
  tx: Writer,
  namespaceUuid: string,
  about: Omit<AuthorizationCode, 'expireTime'>,
  now: number,
): string {
  const code = randomText(codeLength)
  const id = hashOf(code)
  const expireTime = now + lifetimeMs
  authorizationCodes(namespaceUuid).put(tx, id, { ...about, expireTime })
  putDue(tx, { kind: dueKind, id: `${namespaceUuid}/${id}`, at: expireTime })
  return code
}

/** Takes a code: it is gone with this transaction, whatever becomes of the attempt. Undefined when it is unknown, used or too old. */
export async function takeCode(
  tx: Writer,
  namespaceUuid: string,
  code: string,
  now: number,
): Promise<AuthorizationCode | undefined> {
  const id = hashOf(code)
  const found = await authorizationCodes(namespaceUuid).get(tx, id)
  if (!found) return undefined
  authorizationCodes(namespaceUuid).delete(tx, id)
  deleteDue(tx, dueKind, `${namespaceUuid}/${id}`, found.expireTime)
  return found.expireTime > now ? found : undefined
}

/** Whether a verifier is the one that a challenge was made of. Source: RFC 7636 4.6. */
export function fitsChallenge(
  verifier: string,
  { method, value }: NonNullable<AuthorizationCode['challenge']>,
): boolean {
  const made = method === 'plain' ? verifier : createHash('sha256').update(verifier).digest('base64url')
  return sameText(made, value)
}

/** Compares two texts in a time that tells nothing of where they differ. */
export function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}

/** Removes codes that nobody came for: for the job runner. */
export const codeHandlers: ReadonlyMap<string, DueHandler> = new Map([
  [
    dueKind,
    async (tx, entry) => {
      const slash = entry.id.indexOf('/')
      authorizationCodes(entry.id.slice(0, slash)).delete(tx, entry.id.slice(slash + 1))
      return undefined
    },
  ],
])
