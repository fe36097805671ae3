// From the text of a token to what it is now. A token is alive while its record is there, its time has not come, the mount that granted it
// and its namespace stand, and all that is true of every ancestor: so killing one record kills the whole tree below it at once.
import { decodeRecord } from '../../storage/collection.ts'
import type { Reader } from '../../storage/storage.ts'
import type { Topology } from '../topology.ts'
import type { TokenKeys } from './keys.ts'
import {
  type Fact,
  type FoundToken,
  type TokenPlace,
  type TokenRecord,
  tokenAccessors,
  tokenRecords,
} from './record.ts'
import { isAccessor, readTokenText } from './text.ts'

export interface FindOptions {
  /** Also a token whose last use is being spent by this very transaction. */
  readonly spent?: boolean
}

/** Whether a token found earlier is still alive, as far as time and topology go; its facts say the rest. */
export function isAlive(found: FoundToken, topology: Topology, now: number): boolean {
  if (found.expireTime !== 0 && found.expireTime <= now) return false
  for (const uuid of found.mountUuids) if (!topology.mountsByUuid.has(uuid)) return false
  for (const uuid of found.namespaceUuids)
    if (topology.namespacesByUuid.get(uuid)?.record.tainted !== false) return false
  return true
}

/** Reads a record by its place, alive or not. */
export async function readToken(
  tx: Reader,
  { namespaceUuid, key }: TokenPlace,
): Promise<{ record: TokenRecord; fact: Fact } | undefined> {
  const path = tokenRecords(namespaceUuid).key(key)
  const entry = await tx.get(path)
  return entry && { record: decodeRecord<TokenRecord>(entry.value), fact: { key: path, version: entry.version } }
}

interface Chain {
  readonly facts: Fact[]
  readonly mountUuids: string[]
  readonly namespaceUuids: string[]
  expireTime: number
  orphan: boolean
}

const earlier = (a: number, b: number): number => (a === 0 ? b : b === 0 ? a : Math.min(a, b))

function link(chain: Chain, record: TokenRecord, fact: Fact): void {
  chain.facts.push(fact)
  if (record.mountUuid !== '') chain.mountUuids.push(record.mountUuid)
  if (!chain.namespaceUuids.includes(record.namespaceUuid)) chain.namespaceUuids.push(record.namespaceUuid)
  chain.expireTime = earlier(chain.expireTime, record.expireTime)
}

/** Walks up to the first orphan. False: an ancestor is dead. */
async function climb(tx: Reader, chain: Chain, record: TokenRecord): Promise<boolean> {
  let below = record
  while (below.parent) {
    const above = await readToken(tx, below.parent)
    if (!above) return false
    if (above.record.left) {
      // Batch tokens cannot be given to anybody else: they go with the parent.
      if (below.type === 'batch') return false
      chain.facts.push(above.fact)
      chain.orphan ||= below === record
      return true
    }
    if (above.record.numUses < 0) return false
    link(chain, above.record, above.fact)
    below = above.record
  }
  chain.orphan ||= below === record
  return true
}

/** Judges a record that was read: the token with what it hangs on, or undefined when it is dead. */
async function judge(
  tx: Reader,
  topology: Topology,
  token: string,
  record: TokenRecord,
  own: Fact,
  now: number,
  options: FindOptions,
): Promise<FoundToken | undefined> {
  if (record.left || (record.numUses < 0 && !options.spent)) return undefined
  if (record.expireTime !== 0 && record.expireTime <= now) return undefined
  const chain: Chain = { facts: [], mountUuids: [], namespaceUuids: [], expireTime: 0, orphan: false }
  link(chain, record, own)
  if (!(await climb(tx, chain, record))) return undefined
  const found: FoundToken = { token, record, ...chain }
  return isAlive(found, topology, now) ? found : undefined
}

/** Finds a token by where it is stored. */
export async function findByPlace(
  tx: Reader,
  place: TokenPlace,
  topology: Topology,
  now: number,
  options: FindOptions = {},
): Promise<FoundToken | undefined> {
  const read = await readToken(tx, place)
  return read && (await judge(tx, topology, '', read.record, read.fact, now, options))
}

/** Finds a token by its accessor, in one namespace only. */
export async function findByAccessor(
  tx: Reader,
  accessor: string,
  namespaceUuid: string,
  topology: Topology,
  now: number,
): Promise<FoundToken | undefined> {
  if (!isAccessor(accessor)) return undefined
  const key = await tokenAccessors(namespaceUuid).get(tx, accessor)
  return key === undefined ? undefined : await findByPlace(tx, { namespaceUuid, key }, topology, now)
}

/** Finds a token by its text; undefined for one that is unknown, expired, spent, or hangs on something gone. */
export async function findToken(
  keys: TokenKeys,
  tx: Reader,
  token: string,
  topology: Topology,
  now: number,
  options: FindOptions = {},
): Promise<FoundToken | undefined> {
  const text = readTokenText(token)
  if (!text) return undefined
  const namespace = text.namespaceId === '' ? topology.root : topology.namespacesById.get(text.namespaceId)
  if (!namespace || (text.namespaceId !== '' && namespace === topology.root)) return undefined
  const namespaceUuid = namespace.record.uuid
  if (text.kind === 'batch') {
    const opened = await keys.openBatch(tx, text.body)
    if (!opened) return undefined
    const record = decodeRecord<TokenRecord>(opened.plain)
    if (record.namespaceUuid !== namespaceUuid) return undefined
    return await judge(tx, topology, token, record, opened.fact, now, options)
  }
  const key = await keys.hash(tx, token)
  if (key === undefined) return undefined
  const read = await readToken(tx, { namespaceUuid, key })
  return read && (await judge(tx, topology, token, read.record, read.fact, now, options))
}
