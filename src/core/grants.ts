// What core makes of an answer: a token for a login's grant, a wrapping token for an answer that is to be wrapped.
import { denied, invalid } from '../sdk/errors.ts'
import type { Reply, WrapInfo } from '../sdk/reply.ts'
import type { Writer } from '../storage/storage.ts'
import type { Identity } from './identity/index.ts'
import type { Progress } from './progress.ts'
import type { TokenStore } from './tokens/store.ts'
import type { Wrapping } from './wrapping.ts'

export interface Grants {
  /** Turns a grant into a token; the reply carries its `auth` block. */
  login(tx: Writer, p: Progress, reply: Reply): Promise<Reply>
  /** Keeps an answer under a new wrapping token. */
  wrap(tx: Writer, p: Progress, text: string, ttlSeconds: number, accessor: string | undefined): Promise<WrapInfo>
}

/** Makes the part of the pipeline that hands out tokens. */
export function tokenGrants(ports: {
  readonly tokens: TokenStore
  readonly identity: Identity
  readonly wrapping: Wrapping
}): Grants {
  const { tokens, identity, wrapping } = ports
  return {
    async login(tx, p, reply) {
      const { grant, ...rest } = reply
      const mount = p.mount
      if (!grant || !mount) throw new Error('no grant')
      if (grant.params.policies.includes('root')) throw invalid('auth methods cannot create root tokens')
      const known = grant.alias && (await identity.entityForLogin(tx, p.namespace, mount, grant.alias, p.now))
      if (known?.disabled) throw denied()
      const groups = { mountAccessor: mount.record.accessor, names: grant.groupAliases ?? [] }
      const entity = known && (await identity.refreshGroups(tx, known, groups))
      const made = await tokens.createFromGrant(tx, {
        grant,
        mount: mount.facts,
        mountTokenType: mount.record.config.token_type ?? 'default-service',
        path: p.path,
        entity,
        now: p.now,
        remoteAddress: p.request.remoteAddress,
      })
      return { ...rest, auth: made.auth, warnings: [...(rest.warnings ?? []), ...made.warnings] }
    },
    wrap: (tx, p, text, ttlSeconds, accessor) =>
      wrapping.wrap(tx, { namespace: p.namespace.facts, text, ttlSeconds, path: p.path, accessor, now: p.now }),
  }
}
