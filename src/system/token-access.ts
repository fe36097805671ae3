// How the operations of `auth/token` come to the token they are about. A caller's own token is found also while this very request is its last use.
import type { Identity } from '../core/identity/store.ts'
import type { FoundToken, TokenRecord } from '../core/tokens/record.ts'
import type { TokenStore } from '../core/tokens/store.ts'
import type { Topology } from '../core/topology.ts'
import { duration, invalid, type ReadContext, str } from '../sdk/index.ts'
import type { Reader, Soon } from '../storage/storage.ts'

/** What the engine needs of core. */
export interface TokenPorts {
  readonly store: TokenStore
  readonly identity: Identity
  topology(tx: Reader): Soon<Topology>
  /** Whether a policy of that name would have an effect; what does not exist is warned of. */
  policyExists(tx: Reader, namespaceUuid: string, name: string): Promise<boolean>
}

/** Names a token by its text. */
export const tokenField = { token: str('The token.').default('').sensitive() }
/** Names a token by its accessor. */
export const accessorField = { accessor: str('Accessor of the token.').default('') }
/** What a renewal asks for. */
export const incrementField = { increment: duration('How long the token is to live from now on.').default(0) }

/** The caller's token, also when this request is its last use. */
export async function callerToken(
  { store, topology }: TokenPorts,
  context: ReadContext,
): Promise<FoundToken | undefined> {
  const { caller, tx, now } = context
  const tables = await topology(tx)
  if (caller.tokenType === 'batch') return await store.find(tx, caller.token, tables, now)
  const place = { namespaceUuid: caller.namespace.uuid, key: caller.tokenKey }
  return await store.findByPlace(tx, place, tables, now, { spent: true })
}

/** A token by its text; the caller's own also when this is its last use. */
export async function tokenByText(
  ports: TokenPorts,
  text: string,
  context: ReadContext,
): Promise<FoundToken | undefined> {
  if (text === context.caller.token) return await callerToken(ports, context)
  return await ports.store.find(context.tx, text, await ports.topology(context.tx), context.now)
}

/** A token by its accessor, in the namespace of the request; throws 400 without one. */
export const tokenByAccessor = async (
  { store, topology }: TokenPorts,
  accessor: string,
  { tx, mount, now }: ReadContext,
): Promise<FoundToken | undefined> => {
  if (accessor === '') throw invalid('missing accessor')
  return await store.findByAccessor(tx, accessor, mount.namespace.uuid, await topology(tx), now)
}

/** Policies the entity of a token brings. */
export async function identityPolicies(
  { identity }: TokenPorts,
  tx: Reader,
  record: TokenRecord,
): Promise<readonly string[]> {
  if (record.entityId === '' || record.access) return []
  const { entity } = await identity.find(tx, record.entityNamespaceUuid, record.entityId)
  return entity ? await identity.policiesOf(tx, entity) : []
}
