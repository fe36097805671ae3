// The development server: unseals itself, keeps its root token, has a KV store at secret/. With a folder it survives restarts;
// without one it lives in memory.
import { randomBytes, randomUUID } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Assembly } from './assembly.ts'
import type { ClientRequest, Verb } from './core/exchange.ts'
import type { JsonObject } from './lib/json.ts'

export interface DevOptions {
  /** Where data, unseal key and root token are kept; undefined: in memory. */
  readonly folder: string | undefined
  /** Text the root token is to have. */
  readonly rootTokenId: string | undefined
  readonly listenAddress: string
  readonly tls: boolean
  /** Where the certificates of `tls` go; undefined: a new temporary folder. */
  readonly tlsFolder: string | undefined
}

/** Makes a folder for its owner alone. */
export const privateFolder = (folder: string): string => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  return path.resolve(folder)
}

/** Reads the folder's unseal key, or makes one (0600). */
function unsealKey(folder: string | undefined): string {
  if (folder === undefined) return randomBytes(32).toString('base64')
  const file = path.join(privateFolder(folder), 'unseal-key')
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
  return readFileSync(file, 'utf8').trim()
}

/** The configuration of a development server, as HCL. */
export function devConfig(options: DevOptions, certificates: { cert: string; key: string } | undefined): string {
  const text = (value: string) => JSON.stringify(value)
  const store =
    options.folder === undefined
      ? 'storage "inmem" {}'
      : `storage "sqlite" { path = ${text(path.join(path.resolve(options.folder), 'coffer.db'))} }`
  const tls = certificates
    ? `tls_cert_file = ${text(certificates.cert)}\n  tls_key_file = ${text(certificates.key)}`
    : 'tls_disable = true'
  // Everybody's address is nobody's: on this machine it can be reached at the loopback one.
  const address = options.listenAddress.replace(/^(?:0\.0\.0\.0|\[::\])?(?=:\d+$)/, '127.0.0.1')
  return `${store}
api_addr = ${text(`http${certificates ? 's' : ''}://${address}`)}
listener "tcp" {
  address = ${text(options.listenAddress)}
  ${tls}
  telemetry { unauthenticated_metrics_access = true }
}
telemetry { disable_hostname = true }
seal "static" {
  current_key_id = "dev"
  current_key = ${text(unsealKey(options.folder))}
}
`
}

/** Calls the API inside the process, as a client would. Throws what the server answers to a refusal. */
async function call(assembly: Assembly, token: string, verb: Verb, at: string, body?: JsonObject): Promise<JsonObject> {
  const request: ClientRequest = {
    id: randomUUID(),
    verb,
    method: verb === 'read' ? 'GET' : 'POST',
    path: at,
    namespace: '',
    token,
    query: {},
    body,
    rawBody: undefined,
    contentType: 'application/json',
    headers: {},
    wrapTtlSeconds: 0,
    wrapFormat: '',
    remoteAddress: '127.0.0.1',
    remotePort: 0,
    peerCertificate: undefined,
    listener: { address: '', tls: false, disableUnauthedRekey: false, disableUnauthedGenerateRoot: false },
  }
  const response = await assembly.handler.handle(request)
  const text = String(response.body ?? '{}')
  if (response.status >= 300) throw new Error(`development set-up: ${at}: ${response.status} ${text}`)
  return JSON.parse(text) as JsonObject
}

/** Initialises a new store and gives its root token; of an older one the token that was kept. */
export async function devRootToken(assembly: Assembly, options: DevOptions): Promise<string> {
  const file = options.folder && path.join(path.resolve(options.folder), 'root-token')
  if (await assembly.lifecycle.initialized()) {
    if (!file || !existsSync(file))
      throw new Error('this store was not made by a development server: no root token is kept')
    return readFileSync(file, 'utf8').trim()
  }
  const { rootToken: made } = await assembly.lifecycle.initialize({
    secret: { shares: 0, threshold: 0, pgpKeys: [] },
    recovery: { shares: 1, threshold: 1, pgpKeys: [] },
    rootTokenPgpKey: '',
  })
  let token = made
  if (options.rootTokenId) {
    await call(assembly, made, 'write', 'auth/token/create', {
      id: options.rootTokenId,
      policies: ['root'],
      no_parent: true,
      display_name: 'root',
    })
    await call(assembly, made, 'write', 'auth/token/revoke-self')
    token = options.rootTokenId
  }
  await call(assembly, token, 'write', 'sys/mounts/secret', {
    type: 'kv',
    options: { version: '2' },
    description: 'key/value secret storage',
  })
  if (file) {
    writeFileSync(file, `${token}\n`, { mode: 0o600 })
    chmodSync(file, 0o600)
  }
  return token
}
