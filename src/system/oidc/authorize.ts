// The authorization endpoint: somebody who is logged in here lets a client know who they are. The client gets a code for it.
// The answer is a document, not a redirect: the page that asks sends the code on, to an address that was checked here.
import { int, type Operation, path, type ReadContext, type Reply, str, type WriteContext } from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { admitted, clientById, scopesOf } from './admittance.ts'
import { newCode } from './codes.ts'
import { answering, jsonReply, refuse } from './raw.ts'
import {
  type AuthorizationCode,
  allowsClient,
  type Client,
  type OidcPorts,
  type Provider,
  providerStore,
} from './records.ts'
import { redirectAllowed } from './redirects.ts'

const textMax = 2_048

const askedFields = {
  client_id: str('Id of the client.').default(''),
  scope: str('Scopes, separated by spaces; "openid" among them.').default(''),
  redirect_uri: str('Where the code is to be sent; one of those the client is registered with.').default(''),
  response_type: str('"code".').default(''),
  state: str('Comes back with the answer.').default(''),
  nonce: str('Comes back in the id token.').default(''),
  max_age: int('Seconds since the login that is asked for at most.'),
  code_challenge: str('Challenge of PKCE; public clients must send one.'),
  code_challenge_method: str('"S256", or "plain" (which it is when nothing is said).').default(''),
}

interface Asked {
  readonly name: string
  readonly client_id: string
  readonly scope: string
  readonly redirect_uri: string
  readonly response_type: string
  readonly state: string
  readonly nonce: string
  readonly max_age: number | undefined
  readonly code_challenge: string | undefined
  readonly code_challenge_method: string
}

/** The client and the provider, if the one may use the other and may send codes there. */
async function partiesOf(asked: Asked, context: ReadContext): Promise<{ client: Client; provider: Provider }> {
  const { tx } = context
  if (asked.client_id === '') return refuse('invalid_client_id', 'client_id parameter is required')
  const client = await clientById(tx, here(context), asked.client_id)
  if (!client) return refuse('invalid_client_id', 'client with client_id not found')
  if (!client.authorizationCode)
    return refuse('invalid_grant', 'client not allowed to perform authorization code credential flow')
  if (asked.redirect_uri === '') return refuse('invalid_request', 'redirect_uri parameter is required')
  if (!redirectAllowed(asked.redirect_uri, client.redirectUris))
    return refuse('invalid_redirect_uri', 'redirect_uri is not allowed for the client')
  const provider = await providerStore.get(tx, here(context), asked.name)
  if (!provider) return refuse('invalid_request', 'provider not found')
  if (!allowsClient(provider.allowedClientIds, client.clientId))
    return refuse('unauthorized_client', 'client is not authorized to use the provider')
  return { client, provider }
}

/** The challenge that the code will be bound to. */
function challengeOf(asked: Asked, client: Client): AuthorizationCode['challenge'] {
  const { code_challenge: value, code_challenge_method: method } = asked
  if (value === undefined)
    return client.type === 'public' ? refuse('invalid_request', 'PKCE is required for public clients') : undefined
  if (method !== '' && method !== 'plain' && method !== 'S256')
    return refuse('invalid_request', 'invalid code_challenge_method')
  if (!/^[\w.~-]{43,128}$/.test(value)) return refuse('invalid_request', 'invalid code_challenge')
  return { method: method === 'S256' ? 'S256' : 'plain', value }
}

/** When the caller logged in, if the client wants to know; refused when that is too long ago. */
async function authTimeOf(ports: OidcPorts, maxAge: number | undefined, context: ReadContext): Promise<number> {
  if (maxAge === undefined) return 0
  if (maxAge < 1) return refuse('invalid_request', 'max_age must be greater than zero')
  const { tx, caller, now } = context
  const found = await ports.tokens.find(tx, caller.token, await ports.topology(tx), now, { spent: true })
  if (!found) return refuse('access_denied', 'token associated with request not found')
  const { createdTime } = found.record
  if (Math.floor((now - createdTime) / 1000) > maxAge)
    return refuse('max_age_violation', 'active re-authentication is required by max_age')
  return createdTime
}

async function authorize(ports: OidcPorts, asked: Asked, context: WriteContext): Promise<Reply> {
  const { tx, now, caller, request } = context
  const { client, provider } = await partiesOf(asked, context)
  const given = request.body ?? request.query
  if (Object.hasOwn(given, 'request')) refuse('request_not_supported', 'request parameter is not supported')
  if (Object.hasOwn(given, 'request_uri')) refuse('request_uri_not_supported', 'request_uri parameter is not supported')
  const scopes = scopesOf(asked.scope, provider)
  if (!scopes) return refuse('invalid_request', 'scope parameter must contain the "openid" value')
  if (asked.response_type === '') refuse('invalid_request', 'response_type parameter is required')
  if (asked.response_type !== 'code') refuse('unsupported_response_type', 'unsupported response_type value')
  if (asked.nonce.length > textMax) refuse('invalid_request', 'nonce is too long')
  if (caller.entityId === '') refuse('access_denied', 'identity entity must be associated with the request')
  const entity = await ports.identity.get(tx, here(context), caller.entityId)
  if (!entity) return refuse('access_denied', 'identity entity associated with the request not found')
  if (!(await admitted(context, entity, client)))
    refuse('access_denied', 'identity entity not authorized by client assignment')
  const challenge = challengeOf(asked, client)
  const code = newCode(
    tx,
    here(context),
    {
      provider: asked.name,
      clientId: client.clientId,
      entityId: entity.id,
      redirectUri: asked.redirect_uri,
      nonce: asked.nonce,
      scopes,
      authTime: await authTimeOf(ports, asked.max_age, context),
      ...(challenge ? { challenge } : {}),
    },
    now,
  )
  return jsonReply({ code, state: asked.state })
}

/** Makes the operations over the ports. */
export function authorizeOperations(ports: OidcPorts): Operation[] {
  const endpoint = path(
    'oidc/provider/{name}/authorize',
    { name: str('Name of the provider.').required() },
    'The authorization endpoint of a provider.',
  )
  const output = { code: str('Authorization code.').sensitive(), state: str('As it was sent.') }
  const run = (asked: Asked, context: WriteContext): Promise<Reply> =>
    answering(
      () => authorize(ports, asked, context),
      ({ body }) => jsonReply({ ...body, state: asked.state }, 400),
    )
  const summary = 'Get a code for a client, in the name of the caller.'
  return [
    endpoint.issue({ verb: 'read', summary, input: askedFields, output, run }),
    endpoint.issue({ summary, input: askedFields, output, run }),
  ]
}
