// What to do next when a call fails. Read by people; no program should match these texts.

/** The next step for an answer that says no; undefined when the answer says enough. */
export function answerHint(answer: {
  readonly status: number
  readonly errors: readonly string[]
  readonly hasToken: boolean
}): string | undefined {
  const text = answer.errors.join(' ').toLowerCase()
  if (answer.status === 503 && text.includes('recovery mode'))
    return 'Start the server without -recovery to have the rest back.'
  if (answer.status === 503 && text.includes('sealed'))
    return 'The server is sealed: give it its keys with "coffer operator unseal", see "coffer status".'
  if (text.includes('not initialized') || text.includes('not yet initialized'))
    return 'The server has no keys yet: make them with "coffer operator init".'
  if (answer.status === 403 && !answer.hasToken)
    return 'No token was sent: log in with "coffer login", or set COFFER_TOKEN.'
  if (answer.status === 403 && text.includes('namespace') && text.includes('lock'))
    return 'Unlock it with "coffer namespace unlock -unlock-key=KEY".'
  if (answer.status === 403)
    return 'The token may have ended, or its policies do not allow this: see "coffer token lookup" and "coffer token capabilities PATH", or log in again with "coffer login".'
  if (text.includes('no handler for route'))
    return 'Nothing is mounted there: see "coffer secrets list" and "coffer auth list".'
  if (text.includes('http request to an https server'))
    return 'The server speaks TLS: use https:// in -address or COFFER_ADDR.'
  if (answer.status === 405) return 'That path has no such operation: see "coffer path-help PATH".'
  if (answer.status === 429) return 'The server limits how often it is asked: try again a little later.'
  return undefined
}

const byCode: Readonly<Record<string, string>> = {
  ECONNREFUSED:
    'Is the server running? Start one with "coffer server -dev", or name another with -address or COFFER_ADDR.',
  ENOENT: 'Is the server running? Its socket file is not there; check the path behind unix://.',
  EACCES: 'This user may not open the socket file.',
  ENOTFOUND: 'That host name does not resolve: check -address or COFFER_ADDR.',
  EAI_AGAIN: 'The name service did not answer: check the network, -address or COFFER_ADDR.',
  ECONNRESET: 'The connection was closed: does the server expect https:// there, or is a proxy between?',
  ETIMEDOUT: 'No answer from that address: check the network, -address or COFFER_ADDR.',
  EPROTO: 'The server may speak plain http there: use http:// in -address or COFFER_ADDR.',
  ERR_SSL_WRONG_VERSION_NUMBER: 'The server speaks plain http there: use http:// in -address or COFFER_ADDR.',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'The server speaks plain http there: use http:// in -address or COFFER_ADDR.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'The certificate is for another name: use that name, or give it with -tls-server-name.',
  CERT_HAS_EXPIRED: 'The server certificate has expired: renew it.',
}
const unknownSigner =
  'The certificate is signed by an authority this machine does not know: name it with -ca-cert or COFFER_CACERT.'
const unknownSignerCodes = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]

/** The next step when no answer came, by the system's error code. */
export const connectHint = (code: string): string | undefined =>
  unknownSignerCodes.includes(code) ? unknownSigner : byCode[code]
