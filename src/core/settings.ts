// Settings of the whole server that requests need: audit devices, audited headers, CORS. Loaded with the topology, so that all nodes
// act on a change in their next request.
import type { Anchor } from '../audit/chain.ts'
import type { DeviceConfig } from '../audit/options.ts'
import { collection, decodeRecord, encodeRecord } from '../storage/collection.ts'
import type { Reader, Writer } from '../storage/storage.ts'
import { moveEpoch } from './epoch.ts'
import type { CorsConfig } from './exchange.ts'

/** Audit devices enabled over the API, by path with a trailing slash. */
export const auditDevices = collection<DeviceConfig>('core/audit/device/')
/** Request headers that are audited, by lower-case name. */
export const auditedHeaders = collection<{ readonly hmac: boolean }>('core/audit/header/')
/** Private key (PKCS 8, DER) that audit checkpoints are signed with. */
export const auditKeyPath = 'core/audit/key'
export const auditAnchorPrefix = 'core/audit/anchor/'
/** Last signed positions of the chains of a device, by chain id; `device` is its accessor. */
export const auditAnchors = (device: string) => collection<Anchor>(`${auditAnchorPrefix}${device}/`)
const corsKey = 'core/cors'

export const corsOff: CorsConfig = { enabled: false, allowedOrigins: [], allowedHeaders: [], allowCredentials: false }

export interface Settings {
  /** The format that records may be written in, on all nodes. */
  readonly storageFormat: number
  readonly auditDevices: readonly DeviceConfig[]
  readonly auditHeaders: Readonly<Record<string, { readonly hmac: boolean }>>
  readonly cors: CorsConfig
}

export const noSettings: Settings = { storageFormat: 1, auditDevices: [], auditHeaders: {}, cors: corsOff }

/** Reads all settings; the storage format lies below the barrier and is handed in. */
export async function loadSettings(tx: Reader, storageFormat: number): Promise<Settings> {
  const cors = await tx.get(corsKey)
  return {
    storageFormat,
    auditDevices: (await auditDevices.all(tx)).map(({ value }) => value),
    auditHeaders: Object.fromEntries((await auditedHeaders.all(tx)).map(({ id, value }) => [id, value])),
    cors: cors ? decodeRecord<CorsConfig>(cors.value) : corsOff,
  }
}

/** Writes the CORS configuration. */
export async function putCors(tx: Writer, cors: CorsConfig): Promise<void> {
  tx.put(corsKey, encodeRecord(cors))
  await moveEpoch(tx, 'mounts')
}
