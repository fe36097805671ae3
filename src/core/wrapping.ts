// Response wrapping: an answer kept under a token of its own that opens it once.
import { JsonText } from '../lib/json.ts'
import type { NamespaceFacts } from '../sdk/context.ts'
import { invalid } from '../sdk/errors.ts'
import type { WrapInfo } from '../sdk/reply.ts'
import { collection } from '../storage/collection.ts'
import type { Reader, Writer } from '../storage/storage.ts'
import { wrappingPolicyName } from './policies.ts'
import type { FoundToken, TokenRecord } from './tokens/record.ts'
import type { Topology } from './topology.ts'

/** A wrapped answer, at `ns/<namespace uuid>/wrapped/<token hash>`. */
interface Wrapped {
  /** The envelope as the client would have read it. */
  readonly text: string
  readonly creationPath: string
  readonly creationTime: number
  readonly ttlSeconds: number
  readonly wrappedAccessor?: string
}

const wrappedAnswers = (namespaceUuid: string) => collection<Wrapped>(`ns/${namespaceUuid}/wrapped/`)
const noSuch = () => invalid('wrapping token is not valid or does not exist')
/** Seconds a wrapped answer may wait. */
const ttlSecondsMax = 2_764_800 * 12

export interface WrappingPorts {
  find(tx: Reader, token: string, topology: Topology): Promise<FoundToken | undefined>
  create(
    tx: Writer,
    wish: {
      readonly namespace: NamespaceFacts
      readonly ttlSeconds: number
      readonly path: string
      readonly now: number
      readonly policies: readonly string[]
    },
  ): Promise<{ token: string; record: TokenRecord }>
  revoke(tx: Writer, record: TokenRecord, now: number): Promise<void>
}

export interface Wrapping {
  wrap(
    tx: Writer,
    wish: {
      readonly namespace: NamespaceFacts
      readonly text: string
      readonly ttlSeconds: number
      readonly path: string
      readonly accessor: string | undefined
      readonly now: number
    },
  ): Promise<WrapInfo>
  lookup(
    tx: Reader,
    topology: Topology,
    token: string,
    now: number,
  ): Promise<{ creation_path: string; creation_time: string; creation_ttl: number }>
  /** Opens a wrapped answer; the token is dead when the transaction commits. */
  unwrap(tx: Writer, topology: Topology, token: string, now: number): Promise<JsonText>
  rewrap(tx: Writer, topology: Topology, token: string, now: number): Promise<WrapInfo>
  /** What hangs on a token goes with it. */
  forget(tx: Writer, record: TokenRecord): void
}

/** Makes the part of core that wraps. */
export function responseWrapping(ports: WrappingPorts): Wrapping {
  const find = async (tx: Reader, topology: Topology, token: string, now: number) => {
    const found = token === '' ? undefined : await ports.find(tx, token, topology)
    if (!found?.record.policies.includes(wrappingPolicyName)) throw noSuch()
    if (found.record.expireTime !== 0 && found.record.expireTime <= now) throw noSuch()
    const wrapped = await wrappedAnswers(found.record.namespaceUuid).get(tx, found.record.key)
    if (!wrapped) throw noSuch()
    return { record: found.record, wrapped }
  }
  const wrapping: Wrapping = {
    async wrap(tx, { namespace, text, ttlSeconds, path, accessor, now }) {
      if (ttlSeconds > ttlSecondsMax) throw invalid(`wrapping TTL is over ${ttlSecondsMax} seconds`)
      const { token, record } = await ports.create(tx, {
        namespace,
        ttlSeconds,
        path,
        now,
        policies: [wrappingPolicyName],
      })
      wrappedAnswers(namespace.uuid).put(tx, record.key, {
        text,
        creationPath: path,
        creationTime: now,
        ttlSeconds,
        ...(accessor ? { wrappedAccessor: accessor } : {}),
      })
      return {
        token,
        accessor: record.accessor,
        ttl: ttlSeconds,
        creation_time: new Date(now).toISOString(),
        creation_path: path,
        ...(accessor ? { wrapped_accessor: accessor } : {}),
      }
    },
    async lookup(tx, topology, token, now) {
      const { wrapped } = await find(tx, topology, token, now)
      return {
        creation_path: wrapped.creationPath,
        creation_time: new Date(wrapped.creationTime).toISOString(),
        creation_ttl: wrapped.ttlSeconds,
      }
    },
    async unwrap(tx, topology, token, now) {
      const { record, wrapped } = await find(tx, topology, token, now)
      await ports.revoke(tx, record, now)
      wrappedAnswers(record.namespaceUuid).delete(tx, record.key)
      return new JsonText(wrapped.text)
    },
    async rewrap(tx, topology, token, now) {
      const { record, wrapped } = await find(tx, topology, token, now)
      const namespace = topology.namespacesByUuid.get(record.namespaceUuid)
      if (!namespace) throw noSuch()
      await ports.revoke(tx, record, now)
      wrappedAnswers(record.namespaceUuid).delete(tx, record.key)
      const { text, ttlSeconds, creationPath, wrappedAccessor } = wrapped
      return await wrapping.wrap(tx, {
        namespace: namespace.facts,
        text,
        ttlSeconds,
        path: creationPath,
        accessor: wrappedAccessor,
        now,
      })
    },
    forget: (tx, record) => wrappedAnswers(record.namespaceUuid).delete(tx, record.key),
  }
  return wrapping
}
