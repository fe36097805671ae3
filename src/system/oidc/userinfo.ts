// The userinfo endpoint: claims about whoever an access token was given for. It takes access tokens of its provider and no other token;
// those open nothing else.
import { any, type Operation, path, type ReadContext, type Reply, str } from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { admitted, clientById, scopeClaims } from './admittance.ts'
import { answering, jsonReply, type Refusal, refuse } from './raw.ts'
import { allowsClient, type OidcPorts, providerStore } from './records.ts'

/** The token of the request, if it came as RFC 6750 wants it. */
const bearerOf = ({ caller, request }: ReadContext): string | undefined => {
  const header = request.headers['authorization']
  const sent = typeof header === 'string' && header.startsWith('Bearer ') ? header.slice(7).trim() : ''
  return sent !== '' && sent === caller.token ? sent : undefined
}

async function userinfo(ports: OidcPorts, name: string, context: ReadContext): Promise<Reply> {
  const { tx, now } = context
  const provider = await providerStore.get(tx, here(context), name)
  if (!provider) return refuse('invalid_request', 'provider not found')
  const token = bearerOf(context)
  if (token === undefined) return refuse('invalid_token', 'access token must be sent as a Bearer token')
  const found = await ports.tokens.find(tx, token, await ports.topology(tx), now)
  const access = found?.record.access
  // Whatever else the token is: here it is worth nothing.
  if (!found || !access || access.provider !== name || found.record.namespaceUuid !== here(context))
    return refuse('invalid_token', 'access token is malformed, expired or invalid')
  const client = await clientById(tx, here(context), access.clientId)
  if (!client) return refuse('access_denied', 'client not found')
  const entity = await ports.identity.get(tx, here(context), found.record.entityId)
  if (!entity) return refuse('access_denied', 'identity entity associated with the request not found')
  const person = await admitted(context, entity, client)
  if (!person) return refuse('access_denied', 'identity entity not authorized by client assignment')
  if (!allowsClient(provider.allowedClientIds, client.clientId))
    return refuse('access_denied', 'client is not authorized to use the provider')
  const known = access.scopes.filter((scope) => provider.scopesSupported.includes(scope))
  return jsonReply({ ...(await scopeClaims(context, known, person)), sub: entity.id })
}

const statusOf: Readonly<Record<string, number>> = { invalid_request: 400, invalid_token: 401, access_denied: 403 }

/** Source of the header: RFC 6750 3. */
const refusedReply = ({ code, message, body }: Refusal): Reply =>
  jsonReply(
    body,
    statusOf[code] ?? 400,
    code === 'access_denied'
      ? {}
      : {
          'WWW-Authenticate': `Bearer error="${code}",error_description="${message.replace(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'")}"`,
        },
  )

/** Makes the operations over the ports. */
export function userinfoOperations(ports: OidcPorts): Operation[] {
  const endpoint = path(
    'oidc/provider/{name}/userinfo',
    { name: str('Name of the provider.').required() },
    'The userinfo endpoint of a provider.',
  )
  const asked = {
    summary: 'Read the claims about whoever an access token was given for.',
    public: true,
    optionalToken: true,
    output: { sub: str('Id of the entity.'), claims: any('Claims of the scopes the token was given with.') },
    run: ({ name }: { name: string }, context: ReadContext) =>
      answering(() => userinfo(ports, name, context), refusedReply),
  }
  return [endpoint.read(asked), endpoint.compute(asked)]
}
