// The token endpoint: a client gives a code, or its own credentials, and gets tokens. No token of this server is needed to ask.
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { type Operation, path, type Reply, str, type WriteContext } from '../../sdk/index.ts'
import { here } from '../identity-show.ts'
import { admitted, clientById, scopeClaims, scopesOf } from './admittance.ts'
import { fitsChallenge, sameText, takeCode } from './codes.ts'
import { providerIssuer } from './issuers.ts'
import { answering, jsonReply, type Refusal, refuse } from './raw.ts'
import {
  type AuthorizationCode,
  allowsClient,
  type Client,
  keyStore,
  type OidcPorts,
  type Provider,
  providerStore,
  type SigningKey,
} from './records.ts'
import { hashClaim, signClaims } from './signing.ts'

const askedFields = {
  grant_type: str('"authorization_code" or "client_credentials".').default(''),
  code: str('The code.').default('').sensitive(),
  redirect_uri: str('The very address that the code was asked for with.').default(''),
  code_verifier: str('Verifier of PKCE.').default('').sensitive(),
  scope: str('Scopes of a token for the client itself, separated by spaces; "openid" among them.').default(''),
  client_id: str('Id of the client, unless it is in the Authorization header.').default(''),
  client_secret: str('Secret of the client, unless it is in the Authorization header.').default('').sensitive(),
}

interface Asked {
  readonly name: string
  readonly grant_type: string
  readonly code: string
  readonly redirect_uri: string
  readonly code_verifier: string
  readonly scope: string
  readonly client_id: string
  readonly client_secret: string
}

/** Who exchanges, with whom, and what signs. */
interface Parties {
  readonly client: Client
  readonly provider: Provider
  readonly key: SigningKey
  readonly issuer: string
}

/** Id and secret from a Basic header; both are encoded as in a form before. Source: RFC 6749 2.3.1. */
function basicCredentials(header: unknown): { id: string; secret: string } | undefined {
  if (typeof header !== 'string' || !/^basic /i.test(header)) return undefined
  const text = Buffer.from(header.slice(6).trim(), 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) return undefined
  try {
    const [id, secret] = [text.slice(0, colon), text.slice(colon + 1)].map((part) =>
      decodeURIComponent(part.replaceAll('+', ' ')),
    ) as [string, string]
    return { id, secret }
  } catch {
    return undefined
  }
}

/** The client, if it is who it says; one answer for all that is wrong. */
async function authenticate(asked: Asked, context: WriteContext): Promise<Client> {
  const basic = basicCredentials(context.request.headers['authorization'])
  const { id, secret } = basic ?? { id: asked.client_id, secret: asked.client_secret }
  if (id === '') return refuse('invalid_request', 'client_id parameter is required')
  const client = await clientById(context.tx, here(context), id)
  if (!client || (client.type === 'confidential' && !sameText(client.clientSecret, secret)))
    return refuse('invalid_client', 'client failed to authenticate')
  return client
}

async function partiesOf(ports: OidcPorts, asked: Asked, context: WriteContext): Promise<Parties> {
  const { tx, mount } = context
  const provider = await providerStore.get(tx, here(context), asked.name)
  if (!provider) return refuse('invalid_request', 'provider not found')
  const client = await authenticate(asked, context)
  if (!allowsClient(provider.allowedClientIds, client.clientId))
    return refuse('invalid_client', 'client is not authorized to use the provider')
  const key = await keyStore.get(tx, here(context), client.key)
  if (!key?.pair || !allowsClient(key.allowedClientIds, client.clientId))
    return refuse('invalid_client', 'client is not authorized to use the key')
  const issuer = providerIssuer(ports, mount.namespace, asked.name, provider)
  return { client, provider, key: key.pair.current, issuer }
}

/** What a code was given for, if this client may have it. The code is spent either way. */
async function redeem(asked: Asked, client: Client, context: WriteContext): Promise<AuthorizationCode> {
  if (asked.code === '') return refuse('invalid_request', 'code parameter is required')
  const found = await takeCode(context.tx, here(context), asked.code, context.now)
  if (!found) return refuse('invalid_grant', 'authorization grant is invalid or expired')
  if (found.clientId !== client.clientId)
    return refuse('invalid_grant', 'authorization code was not issued to the client')
  if (found.provider !== asked.name) return refuse('invalid_grant', 'authorization code was not issued by the provider')
  if (asked.redirect_uri === '') return refuse('invalid_request', 'redirect_uri parameter is required')
  if (asked.redirect_uri !== found.redirectUri)
    return refuse('invalid_grant', 'redirect_uri does not match the redirect_uri used in the authorization request')
  return found
}

function checkVerifier({ challenge }: AuthorizationCode, verifier: string, client: Client): void {
  if (!challenge && client.type === 'public') refuse('invalid_request', 'PKCE is required for public clients')
  if (!challenge && verifier !== '') refuse('invalid_request', 'unexpected code_verifier for token exchange')
  if (challenge && verifier === '') refuse('invalid_request', 'expected code_verifier for token exchange')
  if (challenge && !fitsChallenge(verifier, challenge))
    refuse('invalid_grant', 'invalid code_verifier for token exchange')
}

async function byCode(ports: OidcPorts, asked: Asked, parties: Parties, context: WriteContext): Promise<Reply> {
  const { tx, now, mount, request } = context
  const { client, key, issuer } = parties
  const code = await redeem(asked, client, context)
  const entity = await ports.identity.get(tx, here(context), code.entityId)
  if (!entity) return refuse('invalid_request', 'identity entity associated with the request not found')
  const person = await admitted(context, entity, client)
  if (!person) return refuse('invalid_request', 'identity entity not authorized by client assignment')
  checkVerifier(code, asked.code_verifier, client)
  const claims = await scopeClaims(context, code.scopes, person)
  const ttlSeconds = Math.min(client.accessTokenTtlSeconds, mount.maxLeaseTtlSeconds)
  const access = await ports.tokens.create(tx, {
    namespace: mount.namespace,
    now,
    type: 'batch',
    policies: [],
    noDefaultPolicy: true,
    path: request.fullPath,
    displayName: 'oidc-access-token',
    meta: { oidc_token_type: 'access token' },
    entityId: entity.id,
    ttlSeconds,
    access: { provider: asked.name, clientId: client.clientId, scopes: code.scopes },
  })
  const issuedAt = Math.floor(now / 1000)
  const idToken = await signClaims(key, {
    ...claims,
    iss: issuer,
    namespace: mount.namespace.id,
    sub: entity.id,
    aud: client.clientId,
    iat: issuedAt,
    exp: issuedAt + client.idTokenTtlSeconds,
    ...(code.nonce === '' ? {} : { nonce: code.nonce }),
    ...(code.authTime === 0 ? {} : { auth_time: Math.floor(code.authTime / 1000) }),
    at_hash: hashClaim(key.algorithm, access.token),
    c_hash: hashClaim(key.algorithm, asked.code),
  })
  return tokenReply({ token_type: 'Bearer', access_token: access.token, id_token: idToken, expires_in: ttlSeconds })
}

async function byCredentials(asked: Asked, parties: Parties, context: WriteContext): Promise<Reply> {
  const { client, provider, key, issuer } = parties
  const scopes = scopesOf(asked.scope, provider)
  if (!scopes) return refuse('invalid_request', 'scope parameter must contain the "openid" value')
  const issuedAt = Math.floor(context.now / 1000)
  const token = await signClaims(key, {
    ...(await scopeClaims(context, scopes, undefined)),
    iss: issuer,
    namespace: context.mount.namespace.id,
    sub: client.clientId,
    aud: client.clientId,
    iat: issuedAt,
    exp: issuedAt + client.idTokenTtlSeconds,
    jti: randomUUID(),
  })
  return tokenReply({ token_type: 'Bearer', access_token: token, expires_in: client.idTokenTtlSeconds })
}

async function exchange(ports: OidcPorts, asked: Asked, context: WriteContext): Promise<Reply> {
  const parties = await partiesOf(ports, asked, context)
  const { client } = parties
  const flows: Readonly<Record<string, { allowed: boolean; run: () => Promise<Reply> } | undefined>> = {
    authorization_code: {
      allowed: client.authorizationCode,
      run: () => byCode(ports, asked, parties, context),
    },
    client_credentials: {
      allowed: client.clientCredentials && client.type === 'confidential',
      run: () => byCredentials(asked, parties, context),
    },
  }
  const flow = Object.hasOwn(flows, asked.grant_type) ? flows[asked.grant_type] : undefined
  if (!flow) return refuse('unsupported_grant_type', 'unsupported grant_type or parameter is empty value')
  if (!flow.allowed) return refuse('invalid_grant', 'client is not authorized to use given credentials flow')
  return await flow.run()
}

/** Source of the headers: OpenID Connect Core 1.0, 3.1.3.3; RFC 6749 5.2. */
const tokenHeaders = { 'Cache-Control': 'no-store', Pragma: 'no-cache' }
const tokenReply = (value: Readonly<Record<string, unknown>>): Reply => jsonReply(value, 200, tokenHeaders)
const refusedReply = ({ code, body }: Refusal): Reply =>
  code === 'invalid_client'
    ? jsonReply(body, 401, { ...tokenHeaders, 'WWW-Authenticate': 'Basic' })
    : jsonReply(body, 400, tokenHeaders)

/** Makes the operation over the ports. */
export const exchangeOperation = (ports: OidcPorts): Operation =>
  path(
    'oidc/provider/{name}/token',
    { name: str('Name of the provider.').required() },
    'The token endpoint of a provider.',
  ).issue({
    summary: 'Exchange a code, or the credentials of a client, for tokens.',
    public: true,
    input: askedFields,
    output: {
      token_type: str('"Bearer".'),
      access_token: str('Opens the userinfo endpoint, or says who the client is.').sensitive(),
      id_token: str('Says who signed in; a JWT.').sensitive(),
      expires_in: str('Seconds the access token lives.'),
    },
    run: (asked, context) => answering(() => exchange(ports, asked, context), refusedReply),
  })
