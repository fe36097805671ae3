// sys/health, seal-status and the question whether the store is initialised: what a server says of itself to everybody, with keys
// or without. It changes nothing, and is the same in recovery mode.
import type { SealStatus } from '../barrier/seal-status.ts'
import { bool, int, invalid, type Operation, path, type Reply, str } from '../sdk/index.ts'
import { rawJson } from './raw-json.ts'

/** What a server says of itself. */
export interface SealFacts {
  /** API level reported as `version`: plain numbers with dots, never with "ent". */
  readonly apiVersion: string
  /** Coffer's own version. */
  readonly cofferVersion: string
  /** Name of the cluster; "" takes one made from the store's id, the same on every node and after every start. */
  readonly clusterName: string
  readonly hostname: string
  readonly apiAddress: string
  readonly clusterAddress: string
}

/** Whose status is told. */
export interface StatusSource {
  readonly barrier: { readonly kind: string }
  initialized(): Promise<boolean>
  status(): Promise<SealStatus>
}

/** What else health tells: whether audit works, and whether this server only serves repairs. */
export interface StatusExtras {
  healthy(): boolean
  readonly recovery?: boolean
}

/** Gives the name of the cluster: as configured, else made from the id of the store. */
export const clusterNameOf = ({ clusterName }: Pick<SealFacts, 'clusterName'>, storeId: string): string =>
  clusterName || `coffer-cluster-${storeId.slice(0, 8)}`

const clusterOf = (facts: SealFacts, status: SealStatus) =>
  status.sealed
    ? {}
    : {
        cluster_name: clusterNameOf(facts, status.storeId),
        cluster_id: status.storeId,
      }

/** Fields of the seal status. */
export const statusFields = {
  type: str('"shamir" or "static".'),
  initialized: bool('Whether the store was initialised.'),
  sealed: bool('Whether the keys are away.'),
  t: int('Shares needed.'),
  n: int('Shares there are.'),
  progress: int('Shares given so far.'),
  nonce: str('Names the attempt to unseal.'),
  version: str('API level.'),
  coffer_version: str('Version of Coffer.'),
  storage_type: str('Kind of store.'),
  recovery_seal: bool('Whether recovery keys stand in for unseal keys.'),
  cluster_name: str('Name of the cluster, while unsealed.'),
  cluster_id: str('Id of the store, while unsealed.'),
}

/** Status codes of health that the caller may choose, and what they are otherwise. */
const healthCodes = {
  activecode: 200,
  standbycode: 429,
  drsecondarycode: 472,
  performancestandbycode: 473,
  sealedcode: 503,
  uninitcode: 501,
} as const

/** Reads a status code given as text; 400 with an empty list of errors, as Vault has it. */
function codeOf(text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  const code = /^\d{3}$/.test(text) ? Number(text) : 0
  // 1xx are no final answers, and beyond 599 there are none.
  if (code < 200 || code > 599) throw invalid('health status codes are numbers from 200 to 599')
  return code
}

/** Makes the answer of `sys/seal-status`. */
export function sealStatusReply(source: StatusSource, facts: SealFacts, status: SealStatus, recovery = false): Reply {
  return rawJson({
    type: status.type,
    initialized: status.initialized,
    sealed: status.sealed,
    t: status.t,
    n: status.n,
    progress: status.progress,
    nonce: status.nonce,
    version: facts.apiVersion,
    coffer_version: facts.cofferVersion,
    build_date: '',
    migration: false,
    ...clusterOf(facts, status),
    recovery_seal: status.recoverySeal,
    ...(status.recoverySeal && { recovery_seal_type: 'shamir' }),
    storage_type: source.barrier.kind,
    ...(recovery && { recovery_mode: true }),
  })
}

/** Operations that tell the state of the server. */
export function statusOperations(source: StatusSource, facts: SealFacts, extras: StatusExtras): Operation[] {
  const { apiVersion: version, cofferVersion } = facts
  const { recovery = false } = extras
  const init = path('init', {}, 'Initialisation of the store.')
  const status = path('seal-status', {}, 'The seal.')
  const health = path('health', {}, 'Health for load balancers and monitors.')

  const textFields = {
    standbyok: str('Accepted; no node stands by.'),
    perfstandbyok: str('Accepted; no node stands by.'),
    activecode: str('Status for unsealed; 200.'),
    standbycode: str('Accepted; no node stands by.'),
    drsecondarycode: str('Accepted; there are no secondaries.'),
    performancestandbycode: str('Accepted; no node stands by.'),
    sealedcode: str('Status for sealed; 503.'),
    uninitcode: str('Status for not initialised; 501.'),
  }

  return [
    init.lifecycle('read', {
      summary: 'Tell whether the store is initialised.',
      output: { initialized: statusFields.initialized },
      run: async () => rawJson({ initialized: await source.initialized() }),
    }),
    status.lifecycle('read', {
      summary: 'Read the seal status.',
      output: statusFields,
      run: async () => sealStatusReply(source, facts, await source.status(), recovery),
    }),
    health.lifecycle('read', {
      summary: 'Tell by the status code whether the server can serve.',
      input: textFields,
      output: {
        initialized: statusFields.initialized,
        sealed: statusFields.sealed,
        standby: bool('Always false.'),
        server_time_utc: int('Unix seconds.'),
        version: statusFields.version,
      },
      async run(input) {
        for (const name of ['standbyok', 'perfstandbyok'] as const)
          if (input[name] !== undefined && !/^(1|0|t|f|true|false|)$/i.test(input[name]))
            throw invalid(`bad value for ${name} parameter`)
        const code = Object.fromEntries(
          Object.entries(healthCodes).map(([name, otherwise]) => [
            name,
            codeOf(input[name as keyof typeof healthCodes], otherwise),
          ]),
        ) as Record<keyof typeof healthCodes, number>
        const now = await source.status()
        const audited = extras.healthy()
        const body = {
          initialized: now.initialized,
          sealed: now.sealed,
          standby: false,
          performance_standby: false,
          replication_performance_mode: 'disabled',
          replication_dr_mode: 'disabled',
          server_time_utc: Math.floor(Date.now() / 1000),
          version,
          coffer_version: cofferVersion,
          ...clusterOf(facts, now),
          ...(!audited && { audit: 'failing' }),
          ...(recovery && { recovery_mode: true }),
        }
        if (!now.initialized) return rawJson(body, code.uninitcode)
        // In recovery mode nobody is served, whatever is open: load balancers must look elsewhere.
        if (now.sealed || recovery) return rawJson(body, code.sealedcode)
        return rawJson(body, audited ? code.activecode : 500)
      },
    }),
  ]
}
