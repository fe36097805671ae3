// Makes tokens: draws the text, stores the record under its hash with accessor, parent index and due key, or encrypts a batch token.
// It never decides who may have what: `auth/token`, logins and wrapping do.

import type { RandomBytes } from '../../lib/random.ts'
import type { NamespaceFacts } from '../../sdk/context.ts'
import { invalid } from '../../sdk/errors.ts'
import { encodeRecord } from '../../storage/collection.ts'
import type { Writer } from '../../storage/storage.ts'
import { putDue } from '../due.ts'
import type { TokenKeys } from './keys.ts'
import {
  type AccessFacts,
  dueKinds,
  placeId,
  type TokenRecord,
  tokenAccessors,
  tokenChildren,
  tokenRecords,
  type WrappingFacts,
} from './record.ts'
import { batchTokenText, checkCustomId, newAccessor, newServiceToken } from './text.ts'

/** How deep tokens may be made under tokens: each use of the deepest reads them all. */
export const depthMax = 100

/** A token to be made. What is absent is empty, 0 or false. Policies must be tidy (`tokenPolicies`). */
export interface TokenSpec {
  readonly namespace: NamespaceFacts
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly type?: 'service' | 'batch'
  /** Text chosen by a client; root namespace and service tokens only. */
  readonly id?: string
  /** The token it dies with. */
  readonly parent?: TokenRecord
  readonly policies: readonly string[]
  readonly noDefaultPolicy?: boolean
  readonly path: string
  readonly displayName: string
  readonly meta?: Readonly<Record<string, string>> | null
  readonly entityId?: string
  readonly entityNamespaceUuid?: string
  /** 0: never expires, for root tokens only. */
  readonly ttlSeconds: number
  readonly explicitMaxTtlSeconds?: number
  readonly periodSeconds?: number
  readonly numUses?: number
  readonly renewable?: boolean
  readonly role?: string
  readonly boundCidrs?: readonly string[]
  readonly mountUuid?: string
  readonly internal?: Readonly<Record<string, unknown>>
  readonly access?: AccessFacts
  readonly wrapping?: WrappingFacts
}

export interface MadeToken {
  /** The text: told once, to the client. */
  readonly token: string
  readonly record: TokenRecord
}

const isRoot = (policies: readonly string[]): boolean => policies.length === 1 && policies[0] === 'root'

/** Everything of the record but what the text decides. */
function draft(spec: TokenSpec): Omit<TokenRecord, 'key' | 'accessor'> {
  const { namespace, parent, now, ttlSeconds } = spec
  if (ttlSeconds <= 0 && !isRoot(spec.policies)) throw new Error('only root tokens may live for ever')
  const depth = parent ? parent.depth + 1 : 0
  if (depth > depthMax) throw invalid(`tokens cannot be made under more than ${depthMax} ancestors`)
  const batch = spec.type === 'batch'
  return {
    namespaceUuid: namespace.uuid,
    type: batch ? 'batch' : 'service',
    ...(parent ? { parent: { namespaceUuid: parent.namespaceUuid, key: parent.key } } : {}),
    depth,
    policies: spec.policies,
    noDefaultPolicy: spec.noDefaultPolicy ?? false,
    path: spec.path,
    displayName: spec.displayName,
    meta: spec.meta ?? null,
    entityId: spec.entityId ?? '',
    entityNamespaceUuid: spec.entityId ? (spec.entityNamespaceUuid ?? namespace.uuid) : '',
    createdTime: now,
    creationTtlSeconds: ttlSeconds,
    leaseTtlSeconds: ttlSeconds,
    expireTime: ttlSeconds > 0 ? now + ttlSeconds * 1000 : 0,
    explicitMaxTtlSeconds: batch ? 0 : (spec.explicitMaxTtlSeconds ?? 0),
    periodSeconds: batch ? 0 : (spec.periodSeconds ?? 0),
    numUses: batch ? 0 : (spec.numUses ?? 0),
    initialUses: batch ? 0 : (spec.numUses ?? 0),
    renewable: !batch && ttlSeconds > 0 && (spec.renewable ?? false),
    role: spec.role ?? '',
    boundCidrs: ttlSeconds > 0 ? (spec.boundCidrs ?? []) : [],
    mountUuid: spec.mountUuid ?? '',
    lastRenewalTime: 0,
    ...(spec.internal && !batch ? { internal: spec.internal } : {}),
    ...(spec.access ? { access: spec.access } : {}),
    ...(spec.wrapping ? { wrapping: spec.wrapping } : {}),
  }
}

/** Makes a token in this transaction. Throws 400 for an id that cannot be had and for too many ancestors. */
export async function createToken(
  keys: TokenKeys,
  random: RandomBytes,
  tx: Writer,
  spec: TokenSpec,
): Promise<MadeToken> {
  const record = draft(spec)
  if (record.type === 'batch') {
    if (spec.id) throw invalid('batch tokens cannot have a custom id')
    if (isRoot(spec.policies)) throw invalid('batch tokens cannot be root tokens')
    const whole: TokenRecord = { ...record, key: '', accessor: '' }
    const box = await keys.sealBatch(tx, encodeRecord(whole), spec.now)
    return { token: batchTokenText(box, spec.namespace.id), record: whole }
  }
  if (spec.id) checkCustomId(spec.id)
  if (spec.id && spec.namespace.id !== 'root') throw invalid('token ids can only be chosen in the root namespace')
  const token = spec.id || newServiceToken(random, spec.namespace.id)
  const key = await keys.hashToStore(tx, token)
  const records = tokenRecords(record.namespaceUuid)
  if (spec.id && (await records.has(tx, key))) throw invalid('cannot create a token with a duplicate id')
  const whole: TokenRecord = { ...record, key, accessor: newAccessor(random, spec.namespace.id) }
  records.put(tx, key, whole)
  tokenAccessors(record.namespaceUuid).put(tx, whole.accessor, key)
  if (whole.parent) tokenChildren(whole.parent).put(tx, key, { namespaceUuid: whole.namespaceUuid })
  if (whole.expireTime > 0) putDue(tx, { kind: dueKinds.expiry, id: placeId(whole), at: whole.expireTime })
  return { token, record: whole }
}

/** The root token of a namespace: never expires, may do all. */
export const rootTokenSpec = (namespace: NamespaceFacts, now: number): TokenSpec => ({
  namespace,
  now,
  policies: ['root'],
  path: 'auth/token/root',
  displayName: namespace.id === 'root' ? 'root' : `${namespace.id}_root`,
  ttlSeconds: 0,
})
