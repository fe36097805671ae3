// From what a login grants to a token: kind of token, lifetime, policies. It never sees a password or a claim, only the grant.

import type { MountFacts } from '../../sdk/context.ts'
import { invalid } from '../../sdk/errors.ts'
import type { AuthBlock, Grant, TokenParams } from '../../sdk/reply.ts'
import type { Writer } from '../../storage/storage.ts'
import type { EntityRecord } from '../identity/entities.ts'
import type { MadeToken, TokenSpec } from './create.ts'
import { tokenPolicies, unassignable } from './names.ts'
import { authBlock } from './show.ts'
import { grantTtl } from './ttl.ts'

/** A login that went well, and where. */
export interface LoginGrant {
  readonly grant: Grant
  readonly mount: MountFacts
  /** `token_type` of the mount: service and batch are forced on all, the others say what "default" is. */
  readonly mountTokenType: string
  /** Path of the login below its namespace. */
  readonly path: string
  readonly entity: EntityRecord | undefined
  readonly remoteAddress: string
  readonly now: number
}

export interface GrantPorts {
  create(tx: Writer, spec: TokenSpec): Promise<MadeToken>
  /** Policies an entity and its groups bring. */
  entityPolicies(tx: Writer, entity: EntityRecord): Promise<readonly string[]>
}

export interface GrantedToken extends MadeToken {
  readonly auth: AuthBlock
  readonly warnings: readonly string[]
}

/** The kind of token a login gives: the mount may force one; else the role decides, and the mount says what "default" is. */
export function tokenTypeOf(mountType: string, type: TokenParams['type']): 'service' | 'batch' {
  if (mountType === 'service' || mountType === 'batch') return mountType
  if (mountType === 'default-batch') return type === 'service' || type === 'default-service' ? 'service' : 'batch'
  return type === 'batch' || type === 'default-batch' ? 'batch' : 'service'
}

const unmapped = (address: string): string => address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')

/** `auth/team/ldap/` and "ann" make "team-ldap-ann". */
const displayNameOf = (mount: MountFacts, name: string): string =>
  `${mount.path.replace(/^auth\//, '').replaceAll('/', '-')}${name}`.replace(/-$/, '')

/** Makes the token of a login. Throws 400 when the grant holds `root` or a policy that cannot be given. */
export async function grantToken(ports: GrantPorts, tx: Writer, login: LoginGrant): Promise<GrantedToken> {
  const { grant, mount, entity, now } = login
  const { params } = grant
  const policies = tokenPolicies(params.policies, !params.noDefaultPolicy)
  const identityPolicies = entity ? await ports.entityPolicies(tx, entity) : []
  for (const name of [...policies, ...identityPolicies]) {
    if (name === 'root') throw invalid('auth methods cannot create root tokens')
    if (unassignable.includes(name)) throw invalid(`cannot assign policy "${name}"`)
  }
  const ttl = grantTtl(mount, { ...params, now })
  const type = tokenTypeOf(login.mountTokenType, params.type)
  const made = await ports.create(tx, {
    namespace: mount.namespace,
    now,
    type,
    policies,
    noDefaultPolicy: params.noDefaultPolicy,
    path: login.path,
    displayName: displayNameOf(mount, grant.displayName),
    meta: grant.metadata,
    entityId: entity?.id ?? '',
    ttlSeconds: ttl.ttlSeconds,
    explicitMaxTtlSeconds: params.explicitMaxTtlSeconds,
    periodSeconds: params.periodSeconds,
    numUses: params.numUses,
    renewable: grant.renewable ?? true,
    boundCidrs: params.strictlyBindIp ? [unmapped(login.remoteAddress)] : params.boundCidrs,
    mountUuid: mount.uuid,
    ...(grant.internal ? { internal: grant.internal } : {}),
  })
  const auth = authBlock(made.record, made.token, { identityPolicies })
  return { ...made, auth, warnings: ttl.warnings }
}
