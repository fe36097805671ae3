// The token store: everything that can happen to a token, over a transaction that the caller opened, so that a request and all it does to
// tokens commit as one. It holds keys in memory and nothing else; `clear` drops them at seal.
import { randomBytes } from 'node:crypto'
import { Timer } from '../../lib/metrics.ts'
import type { RandomBytes } from '../../lib/random.ts'
import type { Reader, Writer } from '../../storage/storage.ts'
import type { EntityRecord } from '../identity/entities.ts'
import type { DueHandler } from '../jobs.ts'
import type { Topology } from '../topology.ts'
import { createToken, type MadeToken, type TokenSpec } from './create.ts'
import { type FindOptions, findByAccessor, findByPlace, findToken } from './find.ts'
import { type GrantedToken, grantToken, type LoginGrant } from './grant.ts'
import { type TokenKeys, tokenKeys } from './keys.ts'
import { dueKinds, type FoundToken, type TokenPlace } from './record.ts'
import { type GrantingMount, type OnRevoke, revocation } from './revoke.ts'
import { startTidy, tidyHandler } from './tidy.ts'

/** What the token store times. */
export interface TokenMeter {
  readonly create: Timer
  readonly lookup: Timer
  readonly revoke: Timer
  readonly revokeTree: Timer
}

export interface TokenStoreOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly random?: RandomBytes
  /** Policies an entity and its groups bring; absent: its own. */
  readonly entityPolicies?: (tx: Reader, entity: EntityRecord) => Promise<readonly string[]>
  /** Deletes what else hangs on a token, in the transaction that takes it away. It may run several times. */
  readonly onRevoke?: OnRevoke
  readonly meter?: TokenMeter
}

export interface TokenStore {
  /** Finds a living token by its text. Undefined: unknown, expired, spent, revoked, or what it hangs on is gone. */
  find(
    tx: Reader,
    token: string,
    topology: Topology,
    now?: number,
    options?: FindOptions,
  ): Promise<FoundToken | undefined>
  /** Finds a living token by where it is stored. */
  findByPlace(
    tx: Reader,
    place: TokenPlace,
    topology: Topology,
    now?: number,
    options?: FindOptions,
  ): Promise<FoundToken | undefined>
  /** Finds a living token by its accessor, in one namespace. */
  findByAccessor(
    tx: Reader,
    accessor: string,
    namespaceUuid: string,
    topology: Topology,
    now?: number,
  ): Promise<FoundToken | undefined>
  /** Makes a token. Throws 400 for a chosen id that cannot be had. */
  create(tx: Writer, spec: TokenSpec): Promise<MadeToken>
  /** Makes the token of a login. Throws 400 for policies a login may not give. */
  createFromGrant(tx: Writer, login: LoginGrant): Promise<GrantedToken>
  /** Revokes a token and all below it. */
  revokeTree(tx: Writer, place: TokenPlace, now?: number): Promise<void>
  /** Revokes a token; its children become orphans. */
  revokeOrphan(tx: Writer, place: TokenPlace, now?: number): Promise<void>
  /** Ends a token whose last use was spent: call it after the handler, in the same transaction or, for stages, in one of its own. */
  endUse(tx: Writer, found: FoundToken, now?: number): Promise<void>
  /** Asks for a tidy of a namespace; false when one waits or runs already. */
  startTidy(tx: Writer, namespaceUuid: string, now?: number): Promise<boolean>
  /**
   * Clears a batch of the tokens that logins of a mount (gone from the topology: they are dead already) had been granted. Gives the cursor for
   * the next batch, undefined when it was the last.
   */
  clearMount(tx: Writer, mount: GrantingMount, after: string, now?: number): Promise<string | undefined>
  /** Handlers of the due work of tokens, by kind: for the job runner. */
  readonly handlers: ReadonlyMap<string, DueHandler>
  readonly keys: TokenKeys
  /** Drops the keys from memory: at seal. */
  clear(): void
}

const unreadMeter = (): TokenMeter => ({
  create: new Timer(),
  lookup: new Timer(),
  revoke: new Timer(),
  revokeTree: new Timer(),
})

/** Makes the token store of one process. */
export function tokenStore(options: TokenStoreOptions): TokenStore {
  const random = options.random ?? randomBytes
  const { now: clock } = options
  const keys = tokenKeys(random)
  const ends = revocation(options.onRevoke ?? (() => {}))
  const meter = options.meter ?? unreadMeter()
  const create = (tx: Writer, spec: TokenSpec): Promise<MadeToken> =>
    meter.create.time(createToken(keys, random, tx, spec))
  const entityPolicies = options.entityPolicies ?? (async (_tx: Reader, entity: EntityRecord) => entity.policies)
  return {
    find: (tx, token, topology, now = clock(), how) =>
      meter.lookup.time(findToken(keys, tx, token, topology, now, how)),
    findByPlace: (tx, place, topology, now = clock(), how) => findByPlace(tx, place, topology, now, how),
    findByAccessor: (tx, accessor, namespaceUuid, topology, now = clock()) =>
      findByAccessor(tx, accessor, namespaceUuid, topology, now),
    create,
    createFromGrant: (tx, login) => grantToken({ create, entityPolicies }, tx, login),
    revokeTree: (tx, place, now = clock()) => meter.revokeTree.time(ends.revokeTree(tx, place, now)),
    revokeOrphan: (tx, place, now = clock()) => meter.revoke.time(ends.revokeOrphan(tx, place, now)),
    endUse: (tx, { record }, now = clock()) => ends.revokeTree(tx, record, now),
    startTidy: (tx, namespaceUuid, now = clock()) => startTidy(tx, namespaceUuid, now),
    clearMount: (tx, mount, after, now = clock()) => ends.clearMount(tx, mount, after, now),
    handlers: new Map([...ends.handlers, [dueKinds.tidy, tidyHandler(ends)]]),
    keys,
    clear: () => keys.clear(),
  }
}
