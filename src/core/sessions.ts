// A session is what a token means right now: its record, namespace, entity, policies compiled to an ACL, and the parts of an audit
// entry that belong to it. Built once, used again only while storage proves that token, entity and policies are unchanged.
import type { AuditAuth } from '../audit/event.ts'
import { LruMap } from '../lib/lru.ts'
import type { Caller } from '../sdk/context.ts'
import type { Reader, Soon } from '../storage/storage.ts'
import type { EntityRecord } from './identity/entities.ts'
import type { Brought, FoundEntity } from './identity/store.ts'
import type { Policies, PolicyNames } from './policies.ts'
import type { Acl } from './policy/acl.ts'
import { isAlive } from './tokens/find.ts'
import type { FoundToken, TokenRecord } from './tokens/record.ts'
import type { Namespace, Topology } from './topology.ts'

export interface Session {
  readonly token: string
  readonly found: FoundToken
  readonly record: TokenRecord
  readonly namespace: Namespace
  readonly entity: EntityRecord | undefined
  readonly acl: Acl
  readonly caller: Caller
  readonly audit: AuditAuth
  /** What this session was made from; expected again at each use. */
  readonly facts: readonly { readonly key: string; readonly version: number }[]
  readonly policyEpoch: number
  readonly topologyEpoch: number
}

/** What sessions need of the rooms around them. */
export interface SessionPorts {
  readonly policies: Policies
  findToken(tx: Reader, token: string, topology: Topology, now: number): Promise<FoundToken | undefined>
  /** The entity a token names, with the facts it was read from. */
  findEntity(tx: Reader, namespaceUuid: string, id: string): Promise<FoundEntity>
  /** Policies (its own and those of its groups) and names an entity brings, with the facts they were read from. */
  entityBrings(tx: Reader, entity: EntityRecord, namespacePath: string): Promise<Brought>
}

export interface Sessions {
  /** The session of a token, or undefined when it is none (unknown, expired, its mount, namespace or entity gone). */
  of(tx: Reader, topology: Topology, token: string, now: number): Soon<Session | undefined>
  /** The session of a token that was found otherwise (by accessor); not kept. */
  ofFound(tx: Reader, topology: Topology, found: FoundToken): Promise<Session | undefined>
  clear(): void
}

const cachedSessions = 20_000

const setOf = ({ record }: Namespace, names: readonly string[]): PolicyNames => ({
  namespaceUuid: record.uuid,
  namespacePath: record.path,
  names,
})

/** Makes the cache of sessions. */
export function sessionCache(ports: SessionPorts): Sessions {
  const cache = new LruMap<string, Session>(cachedSessions)

  const ofFound = async (tx: Reader, topology: Topology, found: FoundToken): Promise<Session | undefined> => {
    const { record, token } = found
    const namespace = topology.namespacesByUuid.get(record.namespaceUuid) as Namespace
    const facts = [...found.facts]
    let entity: EntityRecord | undefined
    let entityTag = ''
    if (record.entityId !== '') {
      const read = await ports.findEntity(tx, record.entityNamespaceUuid, record.entityId)
      facts.push(...read.facts)
      if (!read.entity || read.entity.disabled) return undefined
      entity = read.entity
      entityTag = `${entity.id}@${read.facts.map(({ version }) => version)}`
    }
    // An entity inherited from a parent's namespace brings the policies of that namespace.
    const home = topology.namespacesByUuid.get(record.entityNamespaceUuid)
    // An access token of the OpenID provider has nothing of what its entity may.
    const bringer = record.access ? undefined : entity
    const brought = bringer && (await ports.entityBrings(tx, bringer, home?.record.path ?? ''))
    for (const fact of brought?.facts ?? []) {
      facts.push(fact)
      entityTag += `+${fact.version}`
    }
    const identityPolicies = brought?.policies ?? []
    const names = [...new Set([...record.policies, ...identityPolicies])]
    const sets: PolicyNames[] = [setOf(namespace, record.policies)]
    if (home && identityPolicies.length > 0) sets.push(setOf(home, identityPolicies))
    const acl = await ports.policies.acl(tx, sets, brought?.template, entityTag)
    const tokenType = record.type === 'batch' ? 'batch' : 'service'
    const metadata = record.meta ?? {}
    return {
      token,
      found,
      record,
      namespace,
      entity,
      acl,
      facts,
      policyEpoch: topology.policyEpoch,
      topologyEpoch: topology.epoch,
      caller: {
        token,
        tokenKey: record.type === 'batch' ? '' : record.key,
        accessor: record.accessor,
        displayName: record.displayName,
        entityId: entity?.id ?? '',
        policies: record.policies,
        metadata,
        tokenType,
        namespace: namespace.facts,
        isRoot: acl.root,
        sudo: acl.root,
      },
      audit: {
        clientToken: token,
        accessor: record.accessor,
        displayName: record.displayName,
        policies: [...names].sort(),
        tokenPolicies: record.policies,
        identityPolicies,
        externalNamespacePolicies: {},
        noDefaultPolicy: record.noDefaultPolicy,
        metadata: record.meta,
        entityId: entity?.id ?? '',
        tokenType,
        tokenTtlSeconds: record.creationTtlSeconds,
        tokenIssueTime: new Date(record.createdTime).toISOString(),
      },
    }
  }

  const build = async (tx: Reader, topology: Topology, token: string, now: number): Promise<Session | undefined> => {
    const found = await ports.findToken(tx, token, topology, now)
    const built = found && (await ofFound(tx, topology, found))
    // A use-limited token changes with every use; a session that cannot be used again is not kept.
    if (built && built.record.numUses === 0) {
      await tx.verify()
      cache.set(token, built)
    }
    return built
  }

  return {
    ofFound,
    of(tx, topology, token, now) {
      const known = tx.attempt === 0 ? cache.get(token) : undefined
      if (known?.policyEpoch !== topology.policyEpoch) return build(tx, topology, token, now)
      if (!isAlive(known.found, topology, now)) return undefined
      for (const fact of known.facts) tx.expect(fact.key, fact.version)
      return known
    },
    clear: () => cache.clear(),
  }
}
