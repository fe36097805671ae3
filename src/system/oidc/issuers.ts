// Who issues: the address that stands in tokens and in what clients discover. It comes from the configuration and never from a request,
// whose Host header anybody can write.

import type { NamespaceFacts } from '../../sdk/context.ts'
import { invalid } from '../../sdk/errors.ts'
import type { Reader } from '../../storage/storage.ts'
import { type OidcPorts, oidcConfig, type Provider } from './records.ts'

/** Where the setting lies. */
export const issuerId = 'issuer'
/** Said whenever an issuer is set. */
export const issuerWarning =
  'If "issuer" is set explicitly, all tokens must be validated against that address. Setting issuer to "" will restore the default behavior of using the api_addr of the server as the issuer.'

/** Refuses an issuer that is more or less than scheme, host and port. */
export function checkIssuer(issuer: string): void {
  if (issuer === '') return
  const bare = /^https?:\/\/[^/?#@\s]+$/.test(issuer) && issuer.length <= 512
  if (!bare || !URL.canParse(issuer))
    throw invalid(
      'invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)',
    )
}

const under = (base: string, { path }: NamespaceFacts): string => `${base}/v1/${path}identity/oidc`

/** The issuer of identity tokens of a namespace. */
export async function tokenIssuer(ports: OidcPorts, tx: Reader, namespace: NamespaceFacts): Promise<string> {
  const set = await oidcConfig(namespace.uuid).get(tx, issuerId)
  return under(set || ports.apiAddress.replace(/\/+$/, ''), namespace)
}

/** The issuer that a provider is. */
export const providerIssuer = (
  ports: OidcPorts,
  namespace: NamespaceFacts,
  name: string,
  { issuer }: Provider,
): string => `${under(issuer || ports.apiAddress.replace(/\/+$/, ''), namespace)}/provider/${name}`
