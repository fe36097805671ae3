// What the tests of this room share: events as core would send them, anchors in memory, a log in a folder of its own.
import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Anchor, AuditAnchors } from './chain.ts'
import type { AuditAuth, AuditEvent, AuditMount, AuditRequest, AuditResponse } from './event.ts'
import type { AuditLogger } from './limits.ts'
import type { DeviceConfig } from './options.ts'
import { type VerifyOptions, type VerifyReport, verifyLog } from './verify.ts'

export const salt = 'ab'.repeat(32)

export const auth: AuditAuth = {
  clientToken: 'hvs.the-token',
  accessor: 'the-accessor',
  displayName: 'token-"app"',
  policies: ['app', 'default'],
  tokenPolicies: ['default', 'app'],
  identityPolicies: [],
  externalNamespacePolicies: {},
  noDefaultPolicy: false,
  metadata: { team: 'blue' },
  entityId: '',
  tokenType: 'service',
  tokenTtlSeconds: 3600,
  tokenIssueTime: '2024-01-01T00:00:00Z',
}

export const mount: AuditMount = {
  point: 'secret/',
  type: 'kv',
  accessor: 'kv_12345678',
  class: 'secret',
  runningVersion: 'v2',
  nonHmacRequestKeys: [],
  nonHmacResponseKeys: [],
}

export const request = (changes: Partial<AuditRequest> = {}): AuditRequest => ({
  id: randomUUID(),
  operation: 'read',
  mount,
  namespace: { id: 'root', path: '' },
  path: 'secret/data/app',
  data: undefined,
  clientToken: auth.clientToken,
  clientTokenAccessor: auth.accessor,
  remoteAddress: '127.0.0.1',
  remotePort: 4711,
  wrapTtlSeconds: 0,
  headers: {},
  clientCertificateSerialNumber: '',
  ...changes,
})

export const response = (changes: Partial<AuditResponse> = {}): AuditResponse => ({
  data: { password: 'canary-secret' },
  auth: undefined,
  secret: undefined,
  wrapInfo: undefined,
  warnings: [],
  redirect: '',
  list: false,
  ...changes,
})

export const requestEvent = (changes: Partial<AuditEvent> = {}): AuditEvent => ({
  type: 'request',
  time: Date.now(),
  auth,
  granting: [{ name: 'app', namespaceId: 'root', type: 'acl' }],
  allowed: true,
  request: request(),
  response: undefined,
  error: '',
  ...changes,
})

/** The two events of one read. */
export function pair(): AuditEvent[] {
  const first = requestEvent()
  return [first, { ...first, type: 'response', response: response() }]
}

/** Anchors as storage would keep them. */
export function memoryAnchors(): AuditAnchors & { all(device: string): Anchor[] } {
  const kept = new Map<string, Map<string, Anchor>>()
  const of = (device: string): Map<string, Anchor> => {
    const map = kept.get(device) ?? new Map<string, Anchor>()
    kept.set(device, map)
    return map
  }
  return {
    load: async (device) => [...of(device).values()],
    save: async (device, anchor) => void of(device).set(anchor.chain, anchor),
    remove: async (device, chain) => void of(device).delete(chain),
    all: (device) => [...of(device).values()],
  }
}

/** A logger that keeps what it was told. */
export function memoryLogger(): AuditLogger & { readonly lines: string[] } {
  const lines: string[] = []
  const log = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`)
  return { lines, info: log, warn: log, error: log }
}

/** A folder that is gone after the test. */
export async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'audit-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

export const fileDevice = (file: string, changes: Partial<DeviceConfig> = {}): DeviceConfig => ({
  path: 'file/',
  type: 'file',
  description: '',
  options: { file_path: file },
  local: false,
  accessor: 'audit_file_1234',
  salt,
  declared: false,
  ...changes,
})

/** Verifies files in order. */
export const verifyFiles = (files: readonly string[], options: VerifyOptions): Promise<VerifyReport> =>
  verifyLog(
    files.map((name) => ({ name, chunks: createReadStream(name) as AsyncIterable<Uint8Array> })),
    options,
  )

/** Waits until something holds; fails after five seconds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 5000; !(await holds()); ) {
    if (Date.now() > deadline) throw new Error('it did not come to hold in time')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
