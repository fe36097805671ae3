// The `auth/token` engine: tokens made, looked up, renewed and revoked by API. Core's token store does it; here is what clients may ask and
// how they are answered. A lookup of another token spends nothing of it, and nobody is told a token's parent.
import { fitsAny } from '../core/tokens/names.ts'
import { type FoundToken, type TokenRecord, type TokenRole, tokenAccessors, tokenRoles } from '../core/tokens/record.ts'
import { authBlock, lookupData } from '../core/tokens/show.ts'
import {
  any,
  bool,
  denied,
  duration,
  type Engine,
  engine,
  int,
  invalid,
  kvpairs,
  list,
  listReply,
  map,
  type Operation,
  path,
  type ReadContext,
  type Reply,
  str,
  time,
  type WriteContext,
} from '../sdk/index.ts'
import {
  accessorField,
  callerToken,
  identityPolicies,
  type TokenPorts,
  tokenByAccessor,
  tokenByText,
  tokenField,
} from './token-access.ts'
import { type CreateInput, decideToken } from './token-create.ts'
import { renewOperations } from './token-renew.ts'
import { roleOperations } from './token-roles.ts'

const createFields = {
  id: str('Text of the token; for callers with sudo, in the root namespace only.').default('').sensitive(),
  type: str('service or batch.').default(''),
  display_name: str('Name that logs show, behind "token-".').default(''),
  policies: list('Policies of the token; without any those of the caller.').default([]),
  no_default_policy: bool('Leaves the default policy out.').default(false),
  no_parent: bool('Makes an orphan; needs sudo.').default(false),
  meta: kvpairs('Key-value pairs kept with the token, for audit and lookups.'),
  ttl: duration('How long the token lives.').default(0).alias('lease'),
  explicit_max_ttl: duration('The token ends after this, whatever is renewed.').default(0),
  period: duration('Makes a periodic token: each renewal gives this. Needs sudo.').default(0),
  num_uses: int('How often the token may be used; 0: without limit.').default(0),
  renewable: bool('Whether the token can be renewed.').default(true),
  entity_alias: str('Name of the entity alias the token is for; with a role that allows it.').default(''),
}

const lookupOutput = {
  id: str('The token; empty when it was looked up by its accessor.').sensitive(),
  accessor: str('Accessor of the token.'),
  policies: list('Policies of the token itself.'),
  identity_policies: list('Policies its entity brings.'),
  external_namespace_policies: any('Policies its entity brings in other namespaces.'),
  path: str('Path that made it.'),
  meta: map('Its key-value pairs.').nullable(),
  display_name: str('Its name in logs.'),
  num_uses: int('Uses that are left; 0: without limit.'),
  orphan: bool('Whether it has no parent.'),
  creation_time: int('When it was made, in unix seconds.'),
  creation_ttl: int('How long it was to live at first.'),
  expire_time: time('When it ends.').nullable(),
  explicit_max_ttl: int('Its own maximum.'),
  ttl: int('Seconds it has left.'),
  period: int('Its period.'),
  role: str('The token role that made it.'),
  entity_id: str('Its entity.'),
  type: str('service or batch.'),
  renewable: bool('Whether it can be renewed.'),
  issue_time: time('When it was made.'),
  last_renewal: time('When it was last renewed.'),
  last_renewal_time: int('The same in unix seconds.'),
  bound_cidrs: list('Addresses it may be used from.'),
  namespace_path: str('Its namespace.'),
}

/** Makes the engine over its ports. */
export function tokenEngine(ports: TokenPorts): Engine {
  return engine({
    type: 'token',
    kind: 'auth',
    summary: 'Tokens: made, looked up, renewed and revoked.',
    scope: 'core',
    singleton: true,
    operations: [
      ...createOperations(ports),
      ...lookupOperations(ports),
      ...renewOperations(ports),
      ...revokeOperations(ports),
      ...roleOperations,
    ],
  })
}

function createOperations(ports: TokenPorts): Operation[] {
  const { store, topology, identity, policyExists } = ports

  /** The entity that `entity_alias` names; made when there is none. "" without the parameter. */
  const entityOf = async (name: string, role: TokenRole | undefined, context: WriteContext): Promise<string> => {
    if (name === '') return ''
    if (!role) throw invalid("'entity_alias' is only allowed in combination with token role")
    const allowed = role.allowedEntityAliases ?? []
    if (!allowed.includes(name.toLowerCase()) && !fitsAny(allowed, name.toLowerCase()))
      throw invalid("invalid 'entity_alias' value")
    const tables = await topology(context.tx)
    const mount = tables.mountsByUuid.get(context.mount.uuid)
    if (!mount) throw invalid('auth token mount accessor not found')
    const entity = await identity.entityForLogin(context.tx, mount.namespace, mount, { name }, context.now)
    if (entity.disabled) throw denied('entity from given entity alias is disabled')
    return entity.id
  }

  const create = async (
    input: CreateInput,
    context: WriteContext,
    how: { readonly orphanPath?: boolean; readonly role?: TokenRole },
  ): Promise<Reply> => {
    const { tx, mount, caller, now, request } = context
    const parent = await callerToken(ports, context)
    if (!parent) throw invalid('parent token lookup failed: no parent found')
    const { role } = how
    const { spec, warnings } = decideToken({
      input,
      parent: parent.record,
      sudo: caller.sudo,
      orphanPath: how.orphanPath ?? false,
      role,
      path: request.path,
      namespace: mount.namespace,
      limits: mount,
      entityId: await entityOf(input.entity_alias, role, context),
      now,
    })
    const { token, record } = await store.create(tx, spec)
    for (const warning of warnings) context.warn(warning)
    for (const name of record.policies)
      if (!(await policyExists(tx, mount.namespace.uuid, name))) context.warn(`Policy "${name}" does not exist`)
    return { auth: authBlock(record, token, { identityPolicies: await identityPolicies(ports, tx, record) }) }
  }

  return [
    path('create', {}, 'Make tokens.').write({
      summary: 'Make a token, a child of the one used.',
      input: createFields,
      output: {},
      run: (input, context) => create(input, context, {}),
    }),
    path('create-orphan', {}, 'Make tokens without a parent.').write({
      summary: 'Make a token that lives on when the one used is revoked.',
      input: createFields,
      output: {},
      run: (input, context) => create(input, context, { orphanPath: true }),
    }),
    path('create/{role_name}', { role_name: str('Name of the role.').required() }, 'Make tokens by a role.').write({
      summary: 'Make a token as a token role says.',
      input: createFields,
      output: {},
      async run(input, context) {
        const role = await tokenRoles(context.mount.namespace.uuid).get(context.tx, input.role_name)
        if (!role) throw invalid('unknown role')
        return await create(input, context, { role })
      },
    }),
  ]
}

function lookupOperations(ports: TokenPorts): Operation[] {
  const show = async (found: FoundToken, id: string, { tx, now }: ReadContext): Promise<Reply> => ({
    data: lookupData(found, {
      id,
      now,
      topology: await ports.topology(tx),
      identityPolicies: await identityPolicies(ports, tx, found.record),
    }),
  })
  const byText = async (text: string, context: ReadContext): Promise<Reply> => {
    const token = text === '' ? context.caller.token : text
    const found = await tokenByText(ports, token, context)
    if (!found) throw denied('bad token')
    return await show(found, token, context)
  }
  const lookup = path('lookup', {}, 'Look up a token.')
  const self = path('lookup-self', {}, 'Look up the token used.')
  return [
    lookup.read({
      summary: 'Look up the token used.',
      output: lookupOutput,
      run: (_input, context) => byText('', context),
    }),
    lookup.compute({
      summary: 'Look up a token; without one the token used.',
      input: tokenField,
      output: lookupOutput,
      run: ({ token }, context) => byText(token, context),
    }),
    self.read({
      summary: 'Look up the token used.',
      output: lookupOutput,
      run: (_input, context) => byText('', context),
    }),
    self.compute({
      summary: 'Look up the token used.',
      output: lookupOutput,
      run: (_input, context) => byText('', context),
    }),
    path('lookup-accessor', {}, 'Look up a token by its accessor.').compute({
      summary: 'Look up a token by its accessor; the token itself is not told.',
      input: accessorField,
      output: lookupOutput,
      async run({ accessor }, context) {
        const found = await tokenByAccessor(ports, accessor, context)
        if (!found) throw invalid('invalid accessor')
        return await show(found, '', context)
      },
    }),
    path('accessors', {}, 'Accessors of all tokens.').list({
      summary: 'List the accessors of the tokens of this namespace.',
      sudo: true,
      output: { keys: list('Accessors.') },
      run: async (_input, { tx, mount }) => listReply(await tokenAccessors(mount.namespace.uuid).list(tx)),
    }),
  ]
}

function revokeOperations(ports: TokenPorts): Operation[] {
  const { store } = ports
  const revocable = (found: FoundToken): TokenRecord => {
    if (found.record.type === 'batch') throw invalid('batch tokens cannot be revoked')
    return found.record
  }
  const revoke = async (token: string, context: WriteContext): Promise<undefined> => {
    const found = await tokenByText(ports, token, context)
    if (found) await store.revokeTree(context.tx, revocable(found), context.now)
  }
  return [
    path('revoke', {}, 'Revoke a token.').write({
      summary: 'Revoke a token and all below it.',
      input: tokenField,
      async run({ token }, context) {
        if (token === '') throw invalid('missing token ID')
        return await revoke(token, context)
      },
    }),
    path('revoke-self', {}, 'Revoke the token used.').write({
      summary: 'Revoke the token used and all below it.',
      run: (_input, context) => revoke(context.caller.token, context),
    }),
    path('revoke-accessor', {}, 'Revoke a token by its accessor.').write({
      summary: 'Revoke a token by its accessor, and all below it.',
      input: accessorField,
      async run({ accessor }, context) {
        const found = await tokenByAccessor(ports, accessor, context)
        if (found) await store.revokeTree(context.tx, revocable(found), context.now)
        else context.warn('No token found with this accessor')
        return undefined
      },
    }),
    path('revoke-orphan', {}, 'Revoke a token alone.').write({
      summary: 'Revoke a token; its children become orphans. Needs sudo.',
      input: tokenField,
      async run({ token }, context) {
        if (token === '') throw invalid('missing token ID')
        if (!context.caller.sudo) throw invalid('root or sudo privileges required to revoke and orphan')
        const found = await tokenByText(ports, token, context)
        if (!found) throw invalid('token to revoke not found')
        await store.revokeOrphan(context.tx, revocable(found), context.now)
        return undefined
      },
    }),
    path('tidy', {}, 'Clear up after tokens.').write({
      summary: 'Clear what is left of dead tokens, in the background.',
      output: {},
      async run(_input, { tx, mount, now, warn }) {
        if (await store.startTidy(tx, mount.namespace.uuid, now))
          warn('Tidy operation successfully started. What it finds is told in the log of the server.')
        else warn('Tidy operation already in progress.')
        return { status: 202 }
      },
    }),
  ]
}
