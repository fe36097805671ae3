// Whom a client may sign in, and what it is told of them.
import type { EntityRecord } from '../../core/identity/entities.ts'
import { groupsOf } from '../../core/identity/group-tree.ts'
import type { GroupRecord } from '../../core/identity/groups.ts'
import type { ReadContext } from '../../sdk/index.ts'
import type { Reader } from '../../storage/storage.ts'
import { here } from '../identity-show.ts'
import { claimsOf } from './claims.ts'
import { refuse } from './raw.ts'
import {
  allowAll,
  assignmentStore,
  type Client,
  clientIds,
  clients,
  openidScope,
  type Provider,
  scopes,
} from './records.ts'

/** Somebody with all their groups. */
export interface Person {
  readonly entity: EntityRecord
  readonly groups: readonly GroupRecord[]
}

/** Finds a client by its id. */
export async function clientById(tx: Reader, namespaceUuid: string, id: string): Promise<Client | undefined> {
  // Anything else cannot be the id of a client, and need not become a key.
  const name = /^[A-Za-z0-9]{1,64}$/.test(id) ? await clientIds(namespaceUuid).get(tx, id) : undefined
  return name === undefined ? undefined : await clients(namespaceUuid).get(tx, name)
}

/** Gives the entity with its groups if a client may sign it in; undefined when it may not, or when the entity is disabled. */
export async function admitted(
  context: ReadContext,
  entity: EntityRecord,
  client: Client,
): Promise<Person | undefined> {
  if (entity.disabled) return undefined
  const { direct, inherited } = await groupsOf(context.tx, entity)
  const person = { entity, groups: [...direct, ...inherited] }
  if (client.assignments.includes(allowAll)) return person
  const groupIds = new Set(person.groups.map(({ id }) => id))
  for (const name of client.assignments) {
    const assignment = await assignmentStore.get(context.tx, here(context), name)
    if (assignment?.entityIds.includes(entity.id)) return person
    if (assignment?.groupIds.some((id) => groupIds.has(id))) return person
  }
  return undefined
}

/** Reads a `scope` parameter: the scopes that the provider knows, `openid` apart. Undefined: `openid` is not among them. */
export function scopesOf(scope: string, provider: Provider): string[] | undefined {
  const asked = new Set(scope.split(' ').filter((name) => name !== ''))
  if (!asked.has(openidScope)) return undefined
  return [...asked].filter((name) => name !== openidScope && provider.scopesSupported.includes(name)).sort()
}

/** Makes the claims of scopes. Throws a `Refusal` when two scopes make the same claim. */
export async function scopeClaims(
  context: ReadContext,
  names: readonly string[],
  person: Person | undefined,
): Promise<Record<string, unknown>> {
  const claims = new Map<string, { scope: string; value: unknown }>()
  for (const name of names) {
    const scope = await scopes(here(context)).get(context.tx, name)
    const made = (scope && claimsOf(scope.template, person, context.now)) ?? {}
    for (const [claim, value] of Object.entries(made)) {
      const other = claims.get(claim)
      if (other)
        refuse(
          'invalid_request',
          `found scopes with conflicting top-level claim: claim "${claim}" in scopes "${name}", "${other.scope}"`,
        )
      claims.set(claim, { scope: name, value })
    }
  }
  return Object.fromEntries([...claims].map(([claim, { value }]) => [claim, value]))
}
