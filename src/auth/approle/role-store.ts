// Roles as they are stored: the record under the hash of its role id, so that a login reads it first and alone, and an index by name.
// What a role may be is checked here, whoever writes it.
import { Buffer } from 'node:buffer'
import { LruMap } from '../../lib/lru.ts'
import { invalid, type MountFacts, missing, mountState, type ReadContext, type WriteContext } from '../../sdk/index.ts'
import type { StoredTokenParams } from '../../sdk/token-params.ts'
import { collection, type Versioned } from '../../storage/collection.ts'
import { roleIdHash } from './keys.ts'

/** A role. Times in seconds; 0 is without limit. */
export interface RoleRecord {
  readonly name: string
  /** Drawn at its creation: what its secret ids lie under. A role made anew has another one. */
  readonly key: string
  readonly roleId: string
  readonly bindSecretId: boolean
  readonly localSecretIds: boolean
  readonly secretIdBoundCidrs: readonly string[]
  readonly secretIdNumUses: number
  readonly secretIdTtlSeconds: number
  readonly token: StoredTokenParams
}

const records = collection<RoleRecord>('role-id/')
/** From names to the hashes of role ids. */
export const roleNames = collection<string>('role/')

const nameBytesMax = 512
const namePattern = /^\w(?:[\w.-]*\w)?$/
/** Bytes of a role id: it becomes the name of an alias, and so part of a key. */
const roleIdBytesMax = 1024

/** Gives the name a role is stored under; throws 404 for what can be no role's name, as a path that fits no pattern would. */
export function roleName(name: string): string {
  if (name.length > nameBytesMax || !namePattern.test(name)) throw missing('unsupported path')
  return name.toLowerCase()
}

/** Finds a role by its name. */
export async function findRole({ tx }: Pick<ReadContext, 'tx'>, name: string): Promise<RoleRecord | undefined> {
  const hash = await roleNames.get(tx, roleName(name))
  return hash === undefined ? undefined : await records.get(tx, hash)
}

/** Finds a role by its name; throws 404 without one. */
export async function needRole(context: Pick<ReadContext, 'tx'>, name: string): Promise<RoleRecord> {
  const role = await findRole(context, name)
  if (!role) throw missing('role does not exist')
  return role
}

const cachedRoles = 2_000
const caches = mountState(() => new LruMap<string, Versioned<RoleRecord>>(cachedRoles))

/** Finds the role of a login by its role id. One that was seen before costs no read. */
export async function roleOfLogin(
  context: { readonly tx: ReadContext['tx']; readonly mount: MountFacts },
  roleId: string,
): Promise<RoleRecord | undefined> {
  const { tx, mount } = context
  if (Buffer.byteLength(roleId) > roleIdBytesMax) return undefined
  const hash = await roleIdHash(context, roleId)
  const cache = caches.of(mount)
  const seen = tx.attempt === 0 ? cache.get(hash) : undefined
  if (seen) {
    tx.expect(records.key(hash), seen.version)
    return seen.value
  }
  const found = await records.getVersioned(tx, hash)
  if (found) cache.set(hash, found)
  else cache.delete(hash)
  return found?.value
}

/** Whether something but the role id stands between anybody and a token. */
const isConstrained = (role: RoleRecord): boolean =>
  role.bindSecretId || role.secretIdBoundCidrs.length > 0 || role.token.token_bound_cidrs.length > 0

/** Stores a role; `before` is what it was. Throws `invalid` for a role nobody would need a credential for, and for a role id in use. */
export async function putRole(context: WriteContext, before: RoleRecord | undefined, after: RoleRecord): Promise<void> {
  const { tx } = context
  if (!isConstrained(after)) throw invalid('at least one constraint should be enabled on the role')
  if (after.roleId === '') throw invalid('missing role_id')
  if (Buffer.byteLength(after.roleId) > roleIdBytesMax) throw invalid(`role_id is longer than ${roleIdBytesMax} bytes`)
  const hash = await roleIdHash(context, after.roleId)
  if (before?.roleId !== after.roleId) {
    if (await records.has(tx, hash)) throw invalid('role_id is already in use')
    if (before) records.delete(tx, await roleIdHash(context, before.roleId))
    roleNames.put(tx, after.name, hash)
  }
  records.put(tx, hash, after)
}

/** Takes a role away; its secret ids are the caller's. */
export async function deleteRole(context: WriteContext, role: RoleRecord): Promise<void> {
  records.delete(context.tx, await roleIdHash(context, role.roleId))
  roleNames.delete(context.tx, role.name)
}
