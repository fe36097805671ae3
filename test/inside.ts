// A whole core inside the test's process, over any store: no listener, no configuration file. For failures that must strike at an exact call.
import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import { type Assembly, assemble } from '../src/assembly.ts'
import type { DeviceConfig } from '../src/audit/options.ts'
import type { Verb } from '../src/core/exchange.ts'
import { parseJsonObject } from '../src/lib/json.ts'
import { openLog } from '../src/log.ts'
import type { Engine } from '../src/sdk/engine.ts'
import type { Storage } from '../src/storage/storage.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
export type Loose = Record<string, any>

export interface Inside {
  readonly assembly: Assembly
  readonly root: string
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

/** Assembles, initialises and unseals a core. */
export async function startInside(
  storage: Storage,
  options: { devices?: DeviceConfig[]; now?: () => number; engines?: readonly Engine[]; apiAddress?: string } = {},
): Promise<Inside> {
  const assembly = assemble({
    storage,
    staticKeys: [{ id: 'test', key: createSecretKey(randomBytes(32)), current: true }],
    log: openLog({ level: 'off', format: 'json' }),
    defaultLeaseTtlSeconds: 2_764_800,
    maxLeaseTtlSeconds: 2_764_800,
    declaredDevices: options.devices ?? [],
    allowApiAudit: true,
    allowAuditPrefix: true,
    facts: {
      apiVersion: '1.21.5',
      cofferVersion: '0.0.0',
      clusterName: '',
      hostname: 'test',
      apiAddress: options.apiAddress ?? '',
      clusterAddress: '',
    },
    ...(options.now ? { now: options.now } : {}),
    ...(options.engines ? { engines: options.engines } : {}),
  })
  const none = { shares: 0, threshold: 0, pgpKeys: [] }
  const { rootToken: root } = await assembly.lifecycle.initialize({
    secret: none,
    recovery: { shares: 1, threshold: 1, pgpKeys: [] },
    rootTokenPgpKey: '',
  })
  return {
    assembly,
    root,
    async call(verb, path, body, more = {}) {
      const response = await assembly.handler.handle({
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
    },
  }
}
