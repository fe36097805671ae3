// Providers: each is an OpenID provider of its own, with an issuer, the clients it serves and the scopes it knows.

import { invalid } from '../../sdk/errors.ts'
import {
  any,
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
import { topNames } from './claims.ts'
import { checkIssuer, issuerWarning, providerIssuer } from './issuers.ts'
import { jsonReply } from './raw.ts'
import {
  allowsClient,
  checkList,
  checkOidcName,
  clientIds,
  clients,
  defaultName,
  keyStore,
  type NamedKey,
  type OidcPorts,
  openidScope,
  type Provider,
  providerStore,
  providers,
  scopes,
} from './records.ts'
import { publicKeysOf } from './rotation.ts'
import { algorithmNames } from './signing.ts'
import { discoveryHeaders, keysHeaders } from './verification.ts'

interface ProviderInput {
  readonly name: string
  readonly issuer?: string | undefined
  readonly allowed_client_ids?: string[] | undefined
  readonly scopes_supported?: string[] | undefined
}

async function saveProvider(input: ProviderInput, context: WriteContext): Promise<undefined> {
  const { tx } = context
  checkOidcName(input.name)
  const before = await providerStore.get(tx, here(context), input.name)
  const provider: Provider = {
    issuer: input.issuer ?? before?.issuer ?? '',
    allowedClientIds: [...new Set(input.allowed_client_ids ?? before?.allowedClientIds ?? [])],
    scopesSupported: [...new Set(input.scopes_supported ?? before?.scopesSupported ?? [])],
  }
  checkIssuer(provider.issuer)
  checkList('allowed_client_ids', provider.allowedClientIds)
  checkList('scopes_supported', provider.scopesSupported, 100)
  if (provider.issuer !== '') context.warn(issuerWarning)
  const owners = new Map<string, string>()
  for (const name of provider.scopesSupported) {
    const scope = await scopes(here(context)).get(tx, name)
    if (!scope) throw invalid(`scope "${name.slice(0, 100)}" does not exist`)
    for (const claim of topNames(scope.template)) {
      const other = owners.get(claim)
      if (other !== undefined)
        context.warn(
          `Found scope templates with conflicting top-level keys: "${claim}" in scopes "${name}", "${other}". This may result in an error if the scopes are requested together.`,
        )
      owners.set(claim, name)
    }
  }
  providers(here(context)).put(tx, input.name, provider)
  return undefined
}

/** Named keys of the clients that a provider serves. */
async function keysOf({ tx, mount }: ReadContext, { allowedClientIds }: Provider): Promise<NamedKey[]> {
  const { uuid } = mount.namespace
  const names = allowedClientIds.includes('*')
    ? await clients(uuid).list(tx)
    : await Promise.all(allowedClientIds.map((id) => clientIds(uuid).get(tx, id)))
  const found = await Promise.all(names.map((name) => (name === undefined ? undefined : clients(uuid).get(tx, name))))
  const keyNames = new Set(found.flatMap((client) => (client ? [client.key] : [])))
  const keys = await Promise.all([...keyNames].map((name) => keyStore.get(tx, uuid, name)))
  return keys.filter((key) => key !== undefined)
}

function discovery(issuer: string, provider: Provider): Reply {
  return jsonReply(
    {
      issuer,
      jwks_uri: `${issuer}/.well-known/keys`,
      authorization_endpoint: `${issuer.replace('/v1/', '/ui/vault/')}/authorize`,
      token_endpoint: `${issuer}/token`,
      userinfo_endpoint: `${issuer}/userinfo`,
      request_parameter_supported: false,
      request_uri_parameter_supported: false,
      id_token_signing_alg_values_supported: algorithmNames,
      response_types_supported: ['code'],
      scopes_supported: [...provider.scopesSupported, openidScope],
      claims_supported: [],
      subject_types_supported: ['public'],
      grant_types_supported: ['authorization_code', 'client_credentials'],
      token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
      code_challenge_methods_supported: ['S256', 'plain'],
    },
    200,
    discoveryHeaders,
  )
}

/** Makes the operations over the ports. */
export function providerOperations(ports: OidcPorts): Operation[] {
  const find = ({ tx, mount }: ReadContext, name: string) => providerStore.get(tx, mount.namespace.uuid, name)
  const issuerOf = ({ mount }: ReadContext, name: string, provider: Provider) =>
    providerIssuer(ports, mount.namespace, name, provider)
  const show = (context: ReadContext, name: string, provider: Provider) => ({
    issuer: issuerOf(context, name, provider),
    allowed_client_ids: provider.allowedClientIds,
    scopes_supported: provider.scopesSupported,
  })
  const nameField = { name: str('Name of the provider.').required() }
  const one = path('oidc/provider/{name}', nameField, 'An OpenID provider.')
  const settings = {
    issuer: str('Scheme, host and port; "": the address of the server.'),
    allowed_client_ids: list('Client ids it serves; "*": all.'),
    scopes_supported: list('Scopes it knows besides "openid".'),
  }
  return [
    one.write({
      summary: 'Create or update a provider.',
      input: settings,
      exists: async ({ name }, context) => (await find(context, name)) !== undefined,
      run: saveProvider,
    }),
    one.read({
      summary: 'Read a provider.',
      output: settings,
      async run({ name }, context) {
        const provider = await find(context, name)
        return provider && { data: show(context, name, provider) }
      },
    }),
    one.delete({
      summary: 'Delete a provider.',
      run({ name }, context) {
        if (name === defaultName) throw invalid(`deletion of OIDC provider "${defaultName}" not allowed`)
        providers(here(context)).delete(context.tx, name)
        return undefined
      },
    }),
    path('oidc/provider', {}, 'OpenID providers.').list({
      summary: 'List the providers.',
      input: { allowed_client_id: str('Only those that serve this client.').default('') },
      output: { keys: list('Names.') },
      async run({ allowed_client_id: clientId }, context) {
        const names = await providerStore.names(context.tx, here(context))
        const found = await Promise.all(names.map(async (name) => [name, await find(context, name)] as const))
        const shown = found.flatMap(([name, provider]) =>
          provider && (clientId === '' || allowsClient(provider.allowedClientIds, clientId))
            ? [[name, show(context, name, provider)] as const]
            : [],
        )
        return listReply(
          shown.map(([name]) => name),
          Object.fromEntries(shown),
        )
      },
    }),
    path('oidc/provider/{name}/.well-known/openid-configuration', nameField, 'Discovery of a provider.').read({
      summary: 'Read where the endpoints of a provider are and what it can do.',
      public: true,
      output: { issuer: str('The issuer.') },
      async run({ name }, context) {
        const provider = await find(context, name)
        return provider && discovery(issuerOf(context, name, provider), provider)
      },
    }),
    path('oidc/provider/{name}/.well-known/keys', nameField, 'Public keys of a provider.').read({
      summary: 'Read the public keys of all keys that its clients sign with.',
      public: true,
      output: { keys: any('A set of JSON Web Keys.') },
      async run({ name }, context) {
        const provider = await find(context, name)
        if (!provider) return undefined
        const keys = await keysOf(context, provider)
        const all = keys.flatMap((key) => publicKeysOf(key, context.now))
        return jsonReply({ keys: all }, 200, keysHeaders(keys))
      },
    }),
  ]
}
