// A whole core inside the test's process, over any store: no listener, no configuration file. For failures that must strike at an exact call.
import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { type Assembly, assemble } from '../src/assembly.ts'
import type { DeviceConfig } from '../src/audit/options.ts'
import type { StaticKey } from '../src/barrier/slots.ts'
import type { Handler, Verb } from '../src/core/exchange.ts'
import { parseJsonObject } from '../src/lib/json.ts'
import { openLog } from '../src/log.ts'
import type { Engine } from '../src/sdk/engine.ts'
import type { Storage } from '../src/storage/storage.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
export type Loose = Record<string, any>

export interface Inside {
  readonly assembly: Assembly
  readonly root: string
  /** What the store opens with: for a second server over it. */
  readonly staticKeys: readonly StaticKey[]
  readonly recoveryKey: Buffer
  /** Status and parsed body; `raw` is the text. */
  call(
    verb: Verb,
    path: string,
    body?: unknown,
    more?: CallOptions,
  ): Promise<{ status: number; body: Loose; raw: string }>
}

export interface CallOptions {
  readonly token?: string
  readonly namespace?: string
  readonly query?: Record<string, string>
  readonly wrapTtlSeconds?: number
  readonly remoteAddress?: string
  readonly headers?: Record<string, string>
}

export const factsForTest = {
  apiVersion: '1.21.5',
  cofferVersion: '0.0.0',
  clusterName: '',
  hostname: 'test',
  nodeName: 'test',
  apiAddress: '',
  clusterAddress: '',
}

/** Assembles and unseals a core; initialises its store, unless `beside` another core over the same store. */
export async function startInside(
  storage: Storage,
  options: {
    devices?: DeviceConfig[]
    now?: () => number
    beside?: Inside
    olderNodes?: () => Promise<string[]>
    engines?: readonly Engine[]
    apiAddress?: string
  } = {},
): Promise<Inside> {
  const staticKeys = options.beside?.staticKeys ?? [
    { id: 'test', key: createSecretKey(randomBytes(32)), current: true },
  ]
  const assembly = assemble({
    storage,
    staticKeys,
    log: openLog({ level: 'off', format: 'json' }),
    defaultLeaseTtlSeconds: 2_764_800,
    maxLeaseTtlSeconds: 2_764_800,
    declaredDevices: options.devices ?? [],
    allowApiAudit: true,
    allowAuditPrefix: true,
    rawStorage: true,
    facts: { ...factsForTest, apiAddress: options.apiAddress ?? '' },
    ...(options.now ? { now: options.now } : {}),
    ...(options.olderNodes ? { olderNodes: options.olderNodes } : {}),
    ...(options.engines ? { engines: options.engines } : {}),
  })
  const none = { shares: 0, threshold: 0, pgpKeys: [] }
  const initialize = async () => {
    const recovery = { shares: 1, threshold: 1, pgpKeys: [] }
    const made = await assembly.lifecycle.initialize({ secret: none, recovery, rootTokenPgpKey: '' })
    return { root: made.rootToken, recoveryKey: made.recoveryKeys[0] as Buffer }
  }
  const { root, recoveryKey } = options.beside ?? (await initialize())
  await assembly.lifecycle.autoUnseal()
  return {
    assembly,
    root,
    staticKeys,
    recoveryKey,
    call: callerOf(assembly.handler, root),
  }
}

/** Calls a handler as a client would, by default with this token. */
export const callerOf =
  (handler: Handler, root: string): Inside['call'] =>
  async (verb, path, body, more = {}) => {
    const response = await handler.handle({
      id: randomUUID(),
      verb,
      method: verb === 'read' ? 'GET' : verb === 'delete' ? 'DELETE' : verb === 'list' ? 'LIST' : 'POST',
      path,
      namespace: more.namespace ?? '',
      token: more.token === '' ? undefined : (more.token ?? root),
      query: more.query ?? {},
      body: body === undefined ? undefined : parseJsonObject(typeof body === 'string' ? body : JSON.stringify(body)),
      rawBody: undefined,
      contentType: 'application/json',
      headers: more.headers ?? {},
      wrapTtlSeconds: more.wrapTtlSeconds ?? 0,
      wrapFormat: '',
      remoteAddress: more.remoteAddress ?? '127.0.0.1',
      remotePort: 1,
      peerCertificate: undefined,
      listener: { address: '', tls: false, disableUnauthedRekey: false, disableUnauthedGenerateRoot: false },
    })
    const raw = String(response.body ?? '')
    return { status: response.status, raw, body: raw.startsWith('{') ? JSON.parse(raw) : {} }
  }
