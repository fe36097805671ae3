// A harness for tests of engines: mounts one over a storage, without tokens, policies or HTTP. Never imported by the server.
import type { JsonObject } from '../lib/json.ts'
import { collection } from '../storage/collection.ts'
import { scopedWriter } from '../storage/scoped.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import type { Caller, Due, MountFacts, RequestFacts, WriteContext } from './context.ts'
import { findOperation, inputSource, writeCapability } from './dispatch.ts'
import { type Engine, mountPrefix } from './engine.ts'
import type { OperationVerb } from './operation.ts'
import type { Reply } from './reply.ts'

const root = { id: 'root', uuid: 'root', path: '' }

export interface Harness {
  readonly mount: MountFacts
  read(path: string, query?: Record<string, string>): Promise<Reply | undefined>
  list(path: string, query?: Record<string, string>): Promise<Reply | undefined>
  scan(path: string, query?: Record<string, string>): Promise<Reply | undefined>
  write(path: string, body?: JsonObject): Promise<Reply | undefined>
  patch(path: string, body: JsonObject): Promise<Reply | undefined>
  delete(path: string, query?: Record<string, string>): Promise<Reply | undefined>
  /** "create" or "update": what a write would need. */
  capability(path: string, body?: JsonObject): Promise<string>
  /** Warnings of the last answer. */
  readonly warnings: string[]
  /** Does all work that is due now; gives how often something was done. */
  runDue(): Promise<number>
  /** Changes the options as tune would. */
  retune(options: Record<string, string>): Promise<void>
}

export interface HarnessOptions {
  readonly options?: Record<string, string>
  readonly now?: () => number
  readonly caller?: Partial<Caller>
  readonly defaultLeaseTtlSeconds?: number
  readonly maxLeaseTtlSeconds?: number
  /** Default: the newest. */
  readonly storageFormat?: number
  /** Of a mount that was there before over the same storage. Default: a new one. */
  readonly uuid?: string
}

/** Due work of the one mount, beside its data, by time, kind and id. */
const noted = collection<{ readonly data?: unknown }>('due/')
const dueId = (kind: string, id: string, at: number): string => `${String(at).padStart(15, '0')}/${kind}/${id}`
const dueOf = (tx: Writer): Due => ({
  put: (kind, id, at, data) => noted.put(tx, dueId(kind, id, at), { data }),
  delete: (kind, id, at) => noted.delete(tx, dueId(kind, id, at)),
})

/** Mounts an engine for a test. Rejections are the `ApiError`s a client would see. */
export async function mountForTest(engine: Engine, storage: Storage, settings: HarnessOptions = {}): Promise<Harness> {
  let options = engine.hooks.options?.(settings.options ?? {}) ?? settings.options ?? {}
  const facts = {
    uuid: settings.uuid ?? crypto.randomUUID(),
    path: engine.kind === 'auth' ? `auth/${engine.type}/` : `${engine.type}/`,
    type: engine.type,
    kind: engine.kind,
    accessor: `${engine.type}_00000000`,
    defaultLeaseTtlSeconds: settings.defaultLeaseTtlSeconds ?? 2_764_800,
    maxLeaseTtlSeconds: settings.maxLeaseTtlSeconds ?? 2_764_800,
    namespace: root,
    states: new Map<symbol, unknown>(),
  }
  const warnings: string[] = []
  const mountNow = (): MountFacts => ({ ...facts, options })
  const context = (tx: WriteContext['tx'], request: Partial<RequestFacts>): WriteContext => ({
    now: (settings.now ?? Date.now)(),
    mount: mountNow(),
    tx: scopedWriter(tx, mountPrefix(mountNow())),
    due: dueOf(tx),
    caller: {
      token: 'hvs.test',
      tokenKey: 'test',
      accessor: 'test',
      displayName: 'test',
      entityId: '',
      policies: ['root'],
      metadata: {},
      tokenType: 'service',
      namespace: root,
      isRoot: true,
      sudo: true,
      ...settings.caller,
    },
    request: {
      id: 'test',
      operation: '',
      path: '',
      fullPath: '',
      body: undefined,
      rawBody: undefined,
      query: {},
      remoteAddress: '127.0.0.1',
      wrapTtlSeconds: 0,
      headers: {},
      peerChain: [],
      listener: { disableUnauthedRekey: false, disableUnauthedGenerateRoot: false },
      ...request,
    },
    storageFormat: settings.storageFormat ?? Number.MAX_SAFE_INTEGER,
    warn: (message) => void warnings.push(message),
  })
  const call = async (verb: OperationVerb, path: string, query: Record<string, string>, body?: JsonObject) => {
    warnings.length = 0
    const found = findOperation(engine.variant(options), verb, path)
    const { operation } = found
    const input = operation.decode(found.params, inputSource(verb, query, body))
    const request = { operation: verb === 'write' ? 'update' : verb, path, fullPath: facts.path + path, body, query }
    if (operation.lifecycle) return await operation.lifecycle(input, context(undefined as never, request).request)
    const { stages } = operation
    if (!stages) return await storage.update(async (tx) => await operation.run?.(input, context(tx, request)))
    const prepared = await storage.view(async (tx) => await stages.prepare(input, context(tx as never, request)))
    const done = await stages.act(prepared, input)
    return await storage.update(async (tx) => await stages.commit(done, input, context(tx, request)))
  }
  const runNext = (): Promise<boolean> =>
    storage.update(async (tx) => {
      const first = (await noted.all(tx, '', { limit: 1 }))[0]
      const [time, kind, ...rest] = first?.id.split('/') ?? []
      const now = (settings.now ?? Date.now)()
      if (!first || kind === undefined || Number(time) > now) return false
      const handler = engine.due[kind]
      if (!handler) throw new Error(`no handler for due work of kind "${kind}"`)
      noted.delete(tx, first.id)
      const again = await handler({ id: rest.join('/'), data: first.value.data }, context(tx, {}))
      if (again) dueOf(tx).put(kind, rest.join('/'), again.at, again.data)
      return true
    })
  await storage.update(async (tx) => await engine.hooks.enabled?.(context(tx, {})))
  return {
    async runDue() {
      for (let count = 0; ; count++) if (!(await runNext())) return count
    },
    mount: mountNow(),
    warnings,
    read: (path, query = {}) => call('read', path, query),
    list: (path, query = {}) => call('list', path, query),
    scan: (path, query = {}) => call('scan', path, query),
    write: (path, body = {}) => call('write', path, {}, body),
    patch: (path, body) => call('patch', path, {}, body),
    delete: (path, query = {}) => call('delete', path, query),
    capability: (path, body = {}) =>
      storage.view(async (tx) => {
        const found = findOperation(engine.variant(options), 'write', path)
        return await writeCapability(
          found,
          found.operation.decode(found.params, body),
          context(tx as never, { path, body }),
        )
      }),
    retune: async (wanted) => {
      const before = options
      options = { ...options, ...wanted }
      await storage
        .update(async (tx) => await engine.hooks.retuned?.(context(tx, {}), before))
        .catch((error: unknown) => {
          options = before
          throw error
        })
    },
  }
}
