// The secret of a mount: the key of the hashes under which role ids and secret ids are stored. Made with the mount, it never changes and
// never leaves it; the ids themselves are not stored as keys anywhere.
import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { hmacSha256 } from '../../crypto/hmac.ts'
import { mountState, type ReadContext, type WriteContext } from '../../sdk/index.ts'

const keyPath = 'key'
const keyBytes = 32
const known = mountState<{ current: { readonly key: KeyObject; readonly version: number } | undefined }>(() => ({
  current: undefined,
}))

/** Makes the key, in the transaction that enables the mount. */
export const makeKey = ({ tx }: WriteContext): void => tx.put(keyPath, randomBytes(keyBytes))

async function keyOf({ tx, mount }: Pick<ReadContext, 'tx' | 'mount'>): Promise<KeyObject> {
  const state = known.of(mount)
  if (state.current && tx.attempt === 0) {
    tx.expect(keyPath, state.current.version)
    return state.current.key
  }
  const entry = await tx.get(keyPath)
  if (!entry) throw new Error('the mount has lost the key of its hashes')
  const key = createSecretKey(entry.value)
  state.current = { key, version: entry.version }
  return key
}

type Hashing = Pick<ReadContext, 'tx' | 'mount'>

const hash = async (context: Hashing, text: string): Promise<string> =>
  hmacSha256(await keyOf(context), text).toString('base64url')

/** Gives what a role id is stored under. */
export const roleIdHash = (context: Hashing, roleId: string): Promise<string> => hash(context, `role-id\0${roleId}`)

/** Gives what a secret id of a role is stored under; the same text is another hash in another role. */
export const secretIdHash = (context: Hashing, roleKey: string, secretId: string): Promise<string> =>
  hash(context, `secret-id\0${roleKey}\0${secretId}`)
