// Renewal by `auth/token`: a token made there under its own terms or its role's, a login's token under those its method gives now.
import { type FoundToken, type TokenRecord, tokenRoles } from '../core/tokens/record.ts'
import { authBlock } from '../core/tokens/show.ts'
import { checkRenewable, type RenewalTerms, renewToken } from '../core/tokens/use.ts'
import type { Mount } from '../core/topology.ts'
import { invalid, mountPrefix, type Operation, path, type Reply, type WriteContext } from '../sdk/index.ts'
import { ScopedTransaction } from '../storage/scoped.ts'
import type { Reader } from '../storage/storage.ts'
import {
  accessorField,
  identityPolicies,
  incrementField,
  type TokenPorts,
  tokenByAccessor,
  tokenByText,
  tokenField,
} from './token-access.ts'

/** Makes the operations over the ports. */
export function renewOperations(ports: TokenPorts): Operation[] {
  /** Terms of a token that `auth/token` made: its own, or those its role has now. */
  const ownTerms = async (record: TokenRecord, tx: Reader): Promise<RenewalTerms> => {
    const none = { ttlSeconds: record.leaseTtlSeconds, maxTtlSeconds: 0 }
    if (record.role === '')
      return { ...none, periodSeconds: record.periodSeconds, explicitMaxTtlSeconds: record.explicitMaxTtlSeconds }
    const role = await tokenRoles(record.namespaceUuid).get(tx, record.role)
    if (!role) throw invalid(`original token role "${record.role}" could not be found, not renewing`)
    return { ...none, periodSeconds: role.periodSeconds, explicitMaxTtlSeconds: role.explicitMaxTtlSeconds }
  }

  const refreshGroups = async (record: TokenRecord, mount: Mount, names: readonly string[], { tx }: WriteContext) => {
    const { entity } = await ports.identity.find(tx, record.entityNamespaceUuid, record.entityId)
    if (entity) await ports.identity.refreshGroups(tx, entity, { mountAccessor: mount.record.accessor, names })
  }

  /** Terms of a login's token, as its method has them now, and the limits of the mount. */
  const loginTerms = async (record: TokenRecord, context: WriteContext) => {
    const mount = (await ports.topology(context.tx)).mountsByUuid.get(record.mountUuid)
    if (!mount?.engine.renew) throw invalid('tokens of this login method cannot be renewed')
    const tx = new ScopedTransaction(context.tx, mountPrefix(mount.facts))
    const granted = { internal: record.internal ?? {}, policies: record.policies }
    const params = await mount.engine.renew(granted, { ...context, tx, mount: mount.facts })
    if (params.groupAliases) await refreshGroups(record, mount, params.groupAliases, context)
    const { ttlSeconds, maxTtlSeconds, periodSeconds } = params
    return {
      limits: mount.facts,
      terms: { ttlSeconds, maxTtlSeconds, periodSeconds, explicitMaxTtlSeconds: record.explicitMaxTtlSeconds },
    }
  }

  const renew = async (found: FoundToken, shown: string, increment: number, context: WriteContext): Promise<Reply> => {
    const { record } = found
    if (record.namespaceUuid !== context.mount.namespace.uuid) throw invalid('cannot renew a token across namespaces')
    checkRenewable(record)
    const { limits, terms } =
      record.mountUuid === ''
        ? { limits: context.mount, terms: await ownTerms(record, context.tx) }
        : await loginTerms(record, context)
    const asked = { incrementSeconds: increment, now: context.now }
    const renewed = renewToken(context.tx, record, limits, terms, asked)
    for (const warning of renewed.warnings) context.warn(warning)
    const policies = await identityPolicies(ports, context.tx, record)
    return { auth: authBlock(renewed.record, shown, { identityPolicies: policies, orphan: found.orphan }) }
  }

  const byText = async (token: string, increment: number, context: WriteContext): Promise<Reply> => {
    if (token === '') throw invalid('missing token ID')
    const found = await tokenByText(ports, token, context)
    if (!found) throw invalid('token not found')
    return await renew(found, token, increment, context)
  }

  return [
    path('renew', {}, 'Renew a token.').write({
      summary: 'Renew a token.',
      input: { ...tokenField, ...incrementField },
      output: {},
      run: ({ token, increment }, context) => byText(token, increment, context),
    }),
    path('renew-self', {}, 'Renew the token used.').write({
      summary: 'Renew the token used.',
      input: incrementField,
      output: {},
      run: ({ increment }, context) => byText(context.caller.token, increment, context),
    }),
    path('renew-accessor', {}, 'Renew a token by its accessor.').write({
      summary: 'Renew a token by its accessor; the token itself is not told.',
      input: { ...accessorField, ...incrementField },
      output: {},
      async run({ accessor, increment }, context) {
        const found = await tokenByAccessor(ports, accessor, context)
        if (!found) throw invalid('invalid accessor')
        return await renew(found, '', increment, context)
      },
    }),
  ]
}
