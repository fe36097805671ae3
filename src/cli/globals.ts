// Flags that every command has, declared once. Where a flag has an environment variable, `env` is its name behind COFFER_, BAO_, VAULT_.
import { bool, duration, type FlagTable, type FlagValues, list, pairs, str } from './flags.ts'

/** How output looks; known to every command. */
export const outputFlags = {
  format: str('Print as table, json, yaml (yml) or pretty (the same as table); "raw" is for "coffer read".', {
    env: 'FORMAT',
    choices: ['table', 'json', 'yaml', 'yml', 'pretty', 'raw'],
  }),
  'log-level': str('Accepted for compatibility; a client command writes no log.', { env: 'LOG_LEVEL', hidden: true }),
} satisfies FlagTable

/** Prints one field; only for commands whose answer has fields. */
export const fieldFlags = {
  field: str('Print only the value of this field: no newline behind it unless standard output is a terminal.'),
} satisfies FlagTable

/** How to reach a server and what to say to it. */
export const httpFlags = {
  address: str('Address of the server: http://, https:// or unix://. Default http://127.0.0.1:8200.', { env: 'ADDR' }),
  'agent-address': str('Address of a local agent to ask instead of the server.', { env: 'AGENT_ADDR' }),
  'ca-cert': str('File with the PEM certificate of the CA that signed the server certificate.', {
    env: 'CACERT',
    files: true,
  }),
  'ca-path': str('Folder with PEM certificates of CAs.', { env: 'CAPATH', files: true }),
  'client-cert': str('File with the PEM certificate to show to the server.', { env: 'CLIENT_CERT', files: true }),
  'client-key': str('File with the PEM private key of -client-cert.', { env: 'CLIENT_KEY', files: true }),
  'tls-server-name': str('Host name to expect in the server certificate.', { env: 'TLS_SERVER_NAME' }),
  'tls-skip-verify': bool('Do not check the server certificate. Only for tests.', { env: 'SKIP_VERIFY' }),
  'disable-redirects': bool('Do not follow a redirect.', { env: 'DISABLE_REDIRECTS' }),
  namespace: str('Namespace to work in; -ns is short for it.', { env: 'NAMESPACE', aliases: ['ns'] }),
  'wrap-ttl': duration('Ask the server to wrap the answer in a single-use token that lives so long.', {
    env: 'WRAP_TTL',
  }),
  header: pairs('Header to send with every request; repeatable. Names that begin with X-Vault- are refused.'),
  mfa: list('MFA credentials (method[:key[=value]]) for the X-Vault-MFA header; repeatable.', { env: 'MFA' }),
  'non-interactive': bool('Never ask on the terminal and never read standard input.'),
  'unlock-key': str('Key that unlocks a locked namespace.'),
  'policy-override': bool('Ask to override a soft-mandatory policy; accepted for compatibility.'),
  'output-curl-string': bool('Print the request as a curl command instead of sending it.'),
  'output-policy': bool('Print the policy that the request needs instead of sending it.'),
} satisfies FlagTable

const all = { ...outputFlags, ...fieldFlags, ...httpFlags }

/** Values of all global flags. */
export type GlobalFlags = FlagValues<typeof all>

/** Flags that may stand behind arguments too, because people put them there. */
export const anywhereFlags: readonly string[] = ['format', 'output-curl-string', 'output-policy', 'detailed']

/** Every global flag, for parsing what stands before the command words. */
export const globalFlags: FlagTable = all
