// Where a code may be sent. Addresses are compared as they are written, never as some parser reads them: what looks the same to two
// parsers is the same. Only the port of a loopback address is free. Source: RFC 6749 3.1.2, RFC 8252 7.3.
import { invalid } from '../../sdk/errors.ts'

const uriMax = 2_048
const schemesRefused = new Set(['javascript:', 'data:', 'vbscript:', 'blob:', 'file:', 'about:'])
const loopback = /^(https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\]))(?::\d{1,5})?(?=[/?]|$)/

/** Refuses what no client should be registered with. Throws 400. */
export function checkRedirectUri(uri: string): void {
  if (uri.length > uriMax) throw invalid(`redirect_uris: an address is longer than ${uriMax} characters`)
  if (/[\s\p{Cc}\\#]/u.test(uri) || !URL.canParse(uri))
    throw invalid('redirect_uris: each must be an absolute URI without a fragment')
  if (schemesRefused.has(new URL(uri).protocol)) throw invalid('redirect_uris: the scheme cannot be used')
}

const withoutPort = (uri: string): string | undefined => (loopback.test(uri) ? uri.replace(loopback, '$1') : undefined)

/** Whether a code may be sent there. */
export function redirectAllowed(uri: string, allowed: readonly string[]): boolean {
  if (allowed.includes(uri)) return true
  const bare = withoutPort(uri)
  return bare !== undefined && allowed.some((one) => withoutPort(one) === bare)
}
