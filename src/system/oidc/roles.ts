// Roles, and the identity tokens they give: who the caller is, signed, for others to verify.
import { groupsOf } from '../../core/identity/group-tree.ts'
import { randomText } from '../../lib/random.ts'
import {
  duration,
  int,
  invalid,
  list,
  listReply,
  type Operation,
  path,
  type ReadContext,
  type Reply,
  str,
  type WriteContext,
} from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { checkedTemplate, claimsOf } from './claims.ts'
import { tokenIssuer } from './issuers.ts'
import { allowsClient, checkOidcName, keyStore, type OidcPorts, type OidcRole, oidcRoles } from './records.ts'
import { keyForUse } from './rotation.ts'
import { signClaims } from './signing.ts'

const clientIdLength = 26

const roleFields = {
  key: str('Named key that signs the tokens; it must exist.'),
  template: str('Claims besides the usual ones: JSON, or JSON in base64, with identity templates.'),
  ttl: duration('Lifetime of the tokens; 24h at first, no longer than the verification_ttl of the key.'),
  client_id: str('Audience of the tokens; made up at first.'),
}

interface RoleInput {
  readonly name: string
  readonly key?: string | undefined
  readonly template?: string | undefined
  readonly ttl?: number | undefined
  readonly client_id?: string | undefined
}

async function saveRole(input: RoleInput, context: WriteContext): Promise<undefined> {
  const { tx, now } = context
  checkOidcName(input.name)
  const before = await oidcRoles(here(context)).get(tx, input.name)
  const keyName = input.key ?? before?.key ?? ''
  if (keyName === '') throw invalid('the key parameter is required')
  if ((input.client_id?.length ?? 0) > 256) throw invalid('client_id is longer than 256 characters')
  const role: OidcRole = {
    key: keyName,
    template: input.template === undefined ? (before?.template ?? '') : checkedTemplate(input.template),
    ttlSeconds: input.ttl ?? before?.ttlSeconds ?? 86_400,
    clientId: input.client_id || before?.clientId || randomText(clientIdLength),
  }
  const key = await keyForUse(tx, here(context), keyName, now)
  if (!key) throw invalid(`cannot find key "${keyName.slice(0, 100)}"`)
  if (role.ttlSeconds > key.verificationTtlSeconds)
    throw invalid("a role's token ttl cannot be longer than the verification_ttl of the key it references")
  oidcRoles(here(context)).put(tx, input.name, role)
  return undefined
}

async function makeToken(ports: OidcPorts, name: string, context: ReadContext): Promise<Reply> {
  const { tx, now, caller, mount } = context
  const role = await oidcRoles(here(context)).get(tx, name)
  if (!role) throw invalid(`role "${name}" not found`)
  const key = await keyStore.get(tx, here(context), role.key)
  if (!key?.pair) throw invalid(`key "${role.key}" not found`)
  if (!allowsClient(key.allowedClientIds, role.clientId))
    throw invalid(`the key "${role.key}" does not list the client ID of the role "${name}" as an allowed client ID`)
  if (caller.entityId === '') throw invalid("no entity associated with the request's token")
  const entity = await ports.identity.get(tx, here(context), caller.entityId)
  if (!entity) throw invalid("the entity of the request's token is not one of this namespace")
  const { direct, inherited } = await groupsOf(tx, entity)
  if (role.ttlSeconds > key.verificationTtlSeconds)
    context.warn('the token lives no longer than the verification_ttl of the key that signs it')
  const ttl = Math.min(role.ttlSeconds, key.verificationTtlSeconds)
  const issuedAt = Math.floor(now / 1000)
  const token = await signClaims(key.pair.current, {
    ...claimsOf(role.template, { entity, groups: [...direct, ...inherited] }, now),
    iss: await tokenIssuer(ports, tx, mount.namespace),
    namespace: mount.namespace.id,
    sub: entity.id,
    aud: role.clientId,
    iat: issuedAt,
    exp: issuedAt + ttl,
  })
  return { data: { client_id: role.clientId, token, ttl } }
}

/** Makes the operations over the ports. */
export function roleOperations(ports: OidcPorts): Operation[] {
  const one = path('oidc/role/{name}', { name: str('Name of the role.').required() }, 'A role of identity tokens.')
  return [
    one.write({
      summary: 'Create or update a role.',
      input: roleFields,
      exists: ({ name }, context) => oidcRoles(here(context)).has(context.tx, name),
      run: saveRole,
    }),
    one.read({
      summary: 'Read a role.',
      output: {
        client_id: str('Audience of the tokens.'),
        key: str('Key that signs them.'),
        template: str('Claims besides the usual ones.'),
        ttl: int('Seconds they live.'),
      },
      async run({ name }, context) {
        const role = await oidcRoles(here(context)).get(context.tx, name)
        return (
          role && {
            data: { client_id: role.clientId, key: role.key, template: role.template, ttl: role.ttlSeconds },
          }
        )
      },
    }),
    one.delete({
      summary: 'Delete a role.',
      run: ({ name }, context) => void oidcRoles(here(context)).delete(context.tx, name),
    }),
    path('oidc/role', {}, 'Roles of identity tokens.').list({
      summary: 'List the roles.',
      output: { keys: list('Names.') },
      run: async (_input, context) => listReply(await oidcRoles(here(context)).list(context.tx)),
    }),
    path('oidc/token/{name}', { name: str('Name of the role.').required() }, 'An identity token.').read({
      summary: 'Make a signed token that says who the caller is.',
      output: {
        client_id: str('Audience of the token.'),
        token: str('The token, a JWT.').sensitive(),
        ttl: int('Seconds it lives.'),
      },
      run: ({ name }, context) => makeToken(ports, name, context),
    }),
  ]
}
