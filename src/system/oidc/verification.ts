// What others need to verify identity tokens: issuer, public keys, and a look-up that tells whether a token is good now.
import { randomInt } from 'node:crypto'
import type { JWK } from 'jose'
import { any, bool, type Operation, path, type ReadContext, type Reply, str } from '../../sdk/index.ts'
import type { Reader } from '../../storage/storage.ts'
import { here } from '../identity-show.ts'
import { checkIssuer, issuerId, issuerWarning, tokenIssuer } from './issuers.ts'
import { jsonReply } from './raw.ts'
import { keyStore, type NamedKey, type OidcPorts, oidcConfig, oidcRoles } from './records.ts'
import { publicKeysOf } from './rotation.ts'
import { algorithmNames, verifiedClaims } from './signing.ts'

/** How long clients may keep what they discovered. */
export const discoveryHeaders = { 'Cache-Control': 'max-age=3600' }

/** How long clients may keep public keys: a random part of the shortest period of the keys, so that they do not all come at once. */
export function keysHeaders(keys: readonly NamedKey[]): Record<string, string> {
  if (keys.length === 0) return {}
  const shortest = Math.min(...keys.map((key) => Math.min(key.rotationPeriodSeconds, key.verificationTtlSeconds)))
  return shortest < 1 ? {} : { 'Cache-Control': `max-age=${randomInt(shortest)}` }
}

/** Keys that some role signs with. */
async function roleKeys(tx: Reader, namespaceUuid: string): Promise<NamedKey[]> {
  const names = new Set((await oidcRoles(namespaceUuid).all(tx)).map(({ value }) => value.key))
  const found = await Promise.all([...names].map((name) => keyStore.get(tx, namespaceUuid, name)))
  return found.filter((key) => key !== undefined)
}

const publicKeys = (keys: readonly NamedKey[], now: number): JWK[] => keys.flatMap((key) => publicKeysOf(key, now))

/** Says what is wrong with a token; undefined when nothing is. */
async function faultOf(
  ports: OidcPorts,
  { token, client_id: clientId }: { readonly token: string; readonly client_id: string },
  context: ReadContext,
): Promise<string | undefined> {
  const { tx, now, mount } = context
  const claims = await verifiedClaims(token, publicKeys(await roleKeys(tx, here(context)), now))
  if (!claims) return 'unable to validate the token signature'
  if (claims['iss'] !== (await tokenIssuer(ports, tx, mount.namespace)))
    return 'error validating claims: invalid issuer claim (iss)'
  if (typeof claims['exp'] !== 'number' || claims['exp'] * 1000 <= now)
    return 'error validating claims: token is expired (exp)'
  if (clientId !== '' && claims['aud'] !== clientId) return 'error validating claims: invalid audience claim (aud)'
  const entity = await ports.identity.get(tx, here(context), String(claims['sub']))
  if (!entity) return 'entity was not found'
  return entity.disabled ? 'entity is disabled' : undefined
}

/** Makes the operations over the ports. */
export function verificationOperations(ports: OidcPorts): Operation[] {
  const config = path('oidc/config', {}, 'Settings of identity tokens.')
  return [
    config.read({
      summary: 'Read the issuer of identity tokens.',
      output: { issuer: str('Scheme, host and port; "": the address of the server.') },
      async run(_input, context): Promise<Reply> {
        const issuer = (await oidcConfig(here(context)).get(context.tx, issuerId)) ?? ''
        if (issuer === '' && ports.apiAddress === '')
          context.warn('Both "issuer" and "api_addr" are empty: nobody can reach the issuer that tokens name.')
        return { data: { issuer } }
      },
    }),
    config.write({
      summary: 'Set the issuer of identity tokens.',
      input: { issuer: str('Scheme, host and port; "": the address of the server.') },
      run({ issuer }, context) {
        if (issuer === undefined) return undefined
        checkIssuer(issuer)
        oidcConfig(here(context)).put(context.tx, issuerId, issuer)
        if (issuer !== '') context.warn(issuerWarning)
        return undefined
      },
    }),
    path('oidc/introspect', {}, 'Whether an identity token is good.').compute({
      summary: 'Verify an identity token: its signature, its time, and that its entity is there and enabled.',
      input: {
        token: str('The token.').default('').sensitive(),
        client_id: str('The audience it must be for.').default(''),
      },
      output: { active: bool('Whether it is good.'), error: str('Why it is not.') },
      async run(input, context) {
        const error = await faultOf(ports, input, context)
        return jsonReply(error === undefined ? { active: true } : { active: false, error })
      },
    }),
    path('oidc/.well-known/openid-configuration', {}, 'Discovery for those who verify identity tokens.').read({
      summary: 'Read where issuer and keys of identity tokens are.',
      public: true,
      output: { issuer: str('The issuer.'), jwks_uri: str('Where the public keys are.') },
      async run(_input, { tx, mount }) {
        const issuer = await tokenIssuer(ports, tx, mount.namespace)
        return jsonReply(
          {
            issuer,
            jwks_uri: `${issuer}/.well-known/keys`,
            response_types_supported: ['id_token'],
            subject_types_supported: ['public'],
            id_token_signing_alg_values_supported: algorithmNames,
          },
          200,
          discoveryHeaders,
        )
      },
    }),
    path('oidc/.well-known/keys', {}, 'Public keys of identity tokens.').read({
      summary: 'Read the public keys of all keys that roles sign with.',
      public: true,
      output: { keys: any('A set of JSON Web Keys.') },
      async run(_input, context) {
        const keys = await roleKeys(context.tx, here(context))
        return jsonReply({ keys: publicKeys(keys, context.now) }, 200, keysHeaders(keys))
      },
    }),
  ]
}
