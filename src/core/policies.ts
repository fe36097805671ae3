// The store of ACL policies: records by namespace and name, parsed once per version, compiled into ACLs that sessions share.
import { LruMap } from '../lib/lru.ts'
import { Timer } from '../lib/metrics.ts'
import { collection, decodeRecord } from '../storage/collection.ts'
import type { Reader, Writer } from '../storage/storage.ts'
import { moveEpoch } from './epoch.ts'
import { type Acl, compileAcl, rootAcl, type TemplateIdentity } from './policy/acl.ts'
import { defaultPolicyText, wrappingPolicyText } from './policy/builtin.ts'
import { type ParsedPolicy, parsePolicy } from './policy/parse.ts'

/** A policy as it is stored, at `ns/<namespace uuid>/policy/acl/<name>`. Times in milliseconds. */
export interface PolicyRecord {
  readonly name: string
  readonly policy: string
  /** Counts the writes of this policy, for check-and-set. */
  readonly version: number
  readonly modified: number
  readonly cas_required: boolean
  readonly expiration?: number
  readonly allow_wildcards_in_identity_templates: boolean
  readonly allow_slashes_in_identity_templates: boolean
}

export const policyRecords = (namespaceUuid: string) => collection<PolicyRecord>(`ns/${namespaceUuid}/policy/acl/`)

/** Policies of one namespace that a session is under. */
export interface PolicyNames {
  readonly namespaceUuid: string
  readonly namespacePath: string
  readonly names: readonly string[]
}

interface Loaded {
  readonly version: number
  readonly record: PolicyRecord
  readonly parsed: ParsedPolicy
}

/** The policy of wrapping tokens. It is no record: nobody can read, list or change it. */
export const wrappingPolicyName = 'response-wrapping'
const wrappingPolicy: Loaded = {
  version: 0,
  record: builtin(wrappingPolicyName, wrappingPolicyText, 0),
  parsed: parsePolicy(wrappingPolicyText, wrappingPolicyName),
}

const cachedPolicies = 20_000
const cachedAcls = 2_000

export interface Policies {
  /** Reads one policy; undefined when there is none. `root` and `response-wrapping` have no record. */
  get(tx: Reader, namespaceUuid: string, name: string): Promise<PolicyRecord | undefined>
  /** Whether a policy of that name would have an effect. */
  exists(tx: Reader, namespaceUuid: string, name: string): Promise<boolean>
  /** Writes a policy and moves the epoch. Its text must have been parsed. */
  put(tx: Writer, namespaceUuid: string, record: PolicyRecord): Promise<void>
  delete(tx: Writer, namespaceUuid: string, name: string): Promise<void>
  /** The ACL of a set of policies, with what identity templates may name. One that was compiled before from the same versions is given again. */
  acl(
    tx: Reader,
    sets: readonly PolicyNames[],
    identity: TemplateIdentity | undefined,
    identityTag: string,
  ): Promise<Acl>
  clear(): void
}

/** What the policy store times. */
export interface PolicyMeter {
  readonly get: Timer
  readonly set: Timer
  readonly delete: Timer
}

const unreadMeter = (): PolicyMeter => ({ get: new Timer(), set: new Timer(), delete: new Timer() })

/** Makes the store's cache; it holds nothing that a version does not prove. */
export function policyStore(meter: PolicyMeter = unreadMeter()): Policies {
  const loaded = new LruMap<string, Loaded>(cachedPolicies)
  const acls = new LruMap<string, Acl>(cachedAcls)

  const load = async (tx: Reader, sets: readonly PolicyNames[]): Promise<(Loaded | undefined)[][]> => {
    const keys = sets.flatMap((set) => set.names.map((name) => policyRecords(set.namespaceUuid).key(name)))
    const entries = await tx.getMany(keys)
    let next = 0
    return sets.map((set) =>
      set.names.map((name) => {
        const entry = entries[next++]
        if (name === wrappingPolicyName) return wrappingPolicy
        if (!entry) return undefined
        const known = loaded.get(entry.key)
        if (known?.version === entry.version) return known
        const record = decodeRecord<PolicyRecord>(entry.value)
        const parsed = parsePolicy(record.policy, name, {
          allowWildcardsInTemplates: record.allow_wildcards_in_identity_templates,
          allowSlashesInTemplates: record.allow_slashes_in_identity_templates,
          expiration: record.expiration,
        })
        const fresh = { version: entry.version, record, parsed }
        loaded.set(entry.key, fresh)
        return fresh
      }),
    )
  }

  return {
    get: (tx, namespaceUuid, name) => meter.get.time(policyRecords(namespaceUuid).get(tx, name)),
    async exists(tx, namespaceUuid, name) {
      return name === 'root' || name === wrappingPolicyName || (await policyRecords(namespaceUuid).has(tx, name))
    },
    async put(tx, namespaceUuid, record) {
      policyRecords(namespaceUuid).put(tx, record.name, record)
      await meter.set.time(moveEpoch(tx, 'policies'))
    },
    async delete(tx, namespaceUuid, name) {
      policyRecords(namespaceUuid).delete(tx, name)
      await meter.delete.time(moveEpoch(tx, 'policies'))
    },
    async acl(tx, sets, identity, identityTag) {
      if (sets.some((set) => set.namespaceUuid === 'root' && set.names.includes('root'))) return rootAcl
      const found = await load(tx, sets)
      const tag = sets
        .map((set, i) => `${set.namespaceUuid}:${set.names.map((name, j) => `${name}@${found[i]?.[j]?.version ?? 0}`)}`)
        .join(';')
      const templated = found.some((list) => list.some((one) => one?.parsed.templated))
      const key = templated ? `${tag}|${identityTag}` : tag
      const known = acls.get(key)
      if (known) return known
      const acl = compileAcl(
        sets.flatMap((set, i) =>
          set.names.flatMap((name, j) => {
            const one = found[i]?.[j]
            return one ? [{ parsed: one.parsed, name, namespacePath: set.namespacePath }] : []
          }),
        ),
        identity,
      )
      acls.set(key, acl)
      return acl
    },
    clear() {
      loaded.clear()
      acls.clear()
    },
  }
}

function builtin(name: string, policy: string, now: number): PolicyRecord {
  return {
    name,
    policy,
    version: 1,
    modified: now,
    cas_required: false,
    allow_wildcards_in_identity_templates: false,
    allow_slashes_in_identity_templates: false,
  }
}

/** Writes the policies that every new namespace begins with. */
export function putBuiltinPolicies(tx: Writer, namespaceUuid: string, now: number): void {
  const records = policyRecords(namespaceUuid)
  records.put(tx, 'default', builtin('default', defaultPolicyText, now))
}
