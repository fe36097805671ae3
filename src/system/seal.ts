// sys/init, seal-status, unseal, seal, health, leader and their like: what a server says and does about its keys. Most answers
// are raw, without an envelope, since clients read them before there is anything else.
import type { Lifecycle, SealStatus } from '../barrier/lifecycle.ts'
import { bool, int, invalid, list, type Operation, path, type Reply, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { generateRootOperations } from './seal-generate-root.ts'
import { keyringOperations } from './seal-keyring.ts'
import { rekeyOperations } from './seal-rekey.ts'
import { slotOperations } from './seal-slots.ts'

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

const rawJson = (body: object, status?: number): Reply => ({
  raw: { body: `${JSON.stringify(body)}\n`, contentType: 'application/json' },
  ...(status !== undefined && { status }),
})

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

const statusFields = {
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

/** Operations on init, seal, health and keys. `healthy` tells whether audit works; it turns health red. */
export function sealOperations(lifecycle: Lifecycle, facts: SealFacts, healthy: () => boolean): Operation[] {
  const { apiVersion: version, cofferVersion } = facts
  const sealStatus = (status: SealStatus): Reply =>
    rawJson({
      type: status.type,
      initialized: status.initialized,
      sealed: status.sealed,
      t: status.t,
      n: status.n,
      progress: status.progress,
      nonce: status.nonce,
      version,
      coffer_version: cofferVersion,
      build_date: '',
      migration: false,
      ...clusterOf(facts, status),
      recovery_seal: status.recoverySeal,
      ...(status.recoverySeal && { recovery_seal_type: 'shamir' }),
      storage_type: lifecycle.barrier.kind,
    })

  const init = path('init', {}, 'Initialisation of the store.')
  const status = path('seal-status', {}, 'The seal.')
  const unseal = path('unseal', {}, 'Unsealing with key shares.')
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
      run: async () => rawJson({ initialized: await lifecycle.initialized() }),
    }),
    init.lifecycle('write', {
      summary: 'Initialise the store: keys, shares and root token are made, once.',
      input: {
        secret_shares: int('Shares of the unseal key.').default(0),
        secret_threshold: int('Shares that unseal.').default(0),
        pgp_keys: list('PGP public keys (base64), one per share.').default([]),
        recovery_shares: int('Shares of the recovery key, where the store unseals itself.').default(0),
        recovery_threshold: int('Shares that prove the recovery key.').default(0),
        recovery_pgp_keys: list('PGP public keys (base64), one per recovery share.').default([]),
        root_token_pgp_key: str('PGP public key (base64) for the root token.').default(''),
      },
      output: {
        keys: list('Unseal shares, hex.'),
        keys_base64: list('Unseal shares, base64.'),
        recovery_keys: list('Recovery shares, hex.'),
        recovery_keys_base64: list('Recovery shares, base64.'),
        root_token: str('The root token.').sensitive(),
      },
      async run(input) {
        const made = await lifecycle.initialize({
          secret: { shares: input.secret_shares, threshold: input.secret_threshold, pgpKeys: input.pgp_keys },
          recovery: {
            shares: input.recovery_shares,
            threshold: input.recovery_threshold,
            pgpKeys: input.recovery_pgp_keys,
          },
          rootTokenPgpKey: input.root_token_pgp_key,
        })
        return rawJson({
          keys: made.keys.map((key) => key.toString('hex')),
          keys_base64: made.keys.map((key) => key.toString('base64')),
          ...(made.recoveryKeys.length > 0 && {
            recovery_keys: made.recoveryKeys.map((key) => key.toString('hex')),
            recovery_keys_base64: made.recoveryKeys.map((key) => key.toString('base64')),
          }),
          root_token: made.rootToken,
        })
      },
    }),
    status.lifecycle('read', {
      summary: 'Read the seal status.',
      output: statusFields,
      run: async () => sealStatus(await lifecycle.status()),
    }),
    unseal.lifecycle('write', {
      summary: 'Give a share of the unseal key.',
      input: {
        key: str('A share, hex or base64.').sensitive().default(''),
        reset: bool('Forget the shares given so far.').default(false),
        migrate: bool('Seals are changed with sys/x/seal/slots instead; refused.').default(false),
      },
      output: statusFields,
      async run({ key, reset, migrate }) {
        if (migrate) throw invalid("can't perform a seal migration, no migration seal found")
        return sealStatus(await lifecycle.unseal({ key, reset }))
      },
    }),
    path('seal', {}, 'Sealing.').write({
      summary: 'Seal this server: its keys are dropped from memory.',
      sudo: true,
      run(_, context) {
        inRoot(context)
        return { status: 204, finish: () => lifecycle.seal() }
      },
    }),
    path('step-down', {}, 'Giving up leadership.').write({
      summary: 'Accepted; nodes are equal, none leads.',
      sudo: true,
      run: (_, context) => {
        inRoot(context)
        return undefined
      },
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
        const now = await lifecycle.status()
        const audited = healthy()
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
        }
        if (!now.initialized) return rawJson(body, code.uninitcode)
        if (now.sealed) return rawJson(body, code.sealedcode)
        return rawJson(body, audited ? code.activecode : 500)
      },
    }),
    path('leader', {}, 'Leadership.').lifecycle('read', {
      summary: 'Tell who leads: nobody does, nodes are equal.',
      output: { ha_enabled: bool('Always false.') },
      run: () =>
        rawJson({
          ha_enabled: false,
          is_self: false,
          active_time: '0001-01-01T00:00:00Z',
          leader_address: '',
          leader_cluster_address: '',
          performance_standby: false,
          performance_standby_last_remote_wal: 0,
        }),
    }),
    path('ha-status', {}, 'Nodes.').read({
      summary: 'List the nodes this one knows: itself.',
      output: { nodes: list('Nodes.') },
      run: () => ({
        data: {
          nodes: [
            {
              hostname: facts.hostname,
              api_address: facts.apiAddress,
              cluster_address: facts.clusterAddress,
              active_node: true,
              last_echo: null,
              version,
            },
          ],
        },
      }),
    }),
    ...keyringOperations(lifecycle),
    ...rekeyOperations(lifecycle),
    ...generateRootOperations(lifecycle),
    ...slotOperations(lifecycle),
  ]
}
