// The keys of one seal (the store's, or a namespace's own) while open: loading, refreshing, counting and changing them. Every
// change is one transaction; memory follows the commit, never the other way round.
import { type KeyObject, randomUUID } from 'node:crypto'
import { AuthenticationFailed, generateKey } from '../crypto/aead.ts'
import { OutcomeUnknown, type Reader, type Storage, type Writer } from '../storage/storage.ts'
import type { BarrierWriter, KeySource } from './barrier.ts'
import { Sealed } from './errors.ts'
import { type Keyring, newTerm, type RotateConfig, type Term, unwrapKeyring } from './keyring.ts'
import { type KeyringRecord, type SealRecords, type SlotsRecord, sealRecords, toBytes, toText } from './records.ts'
import { rewrapSlots, unwrapKey, wrapKey } from './slots.ts'

/** How long a process that was unsealed before may still follow a change of the root key. */
const handoverMs = 10 * 60 * 1000
/** Encryptions reserved at once: small for a server that hardly writes, large for a busy one. */
const blocks = [1024, 8192, 65_536]

export interface ScopeOptions {
  /** Where the records lie: the store below the barrier, or (for a namespace) the barrier. */
  readonly storage: Storage
  /** Prefix of the records. */
  readonly prefix: string
  readonly now: () => number
  /** Makes the encrypting writer of a transaction on `storage`. */
  writerOver(tx: Writer): BarrierWriter
  /** Runs in the transaction of every change of the keyring or slots, so that other processes notice. */
  moved?(tx: Writer): void | Promise<void>
  /** Finds the root key without anybody's help (static slots); undefined when there is no way. */
  selfOpen?(record: KeyringRecord, slots: SlotsRecord): KeyObject | undefined
  /** The keys were dropped because this process could not follow a change of the root key. */
  lost?(): void
  warn?(message: string, cause: unknown): void
}

/** What a change works on; what it returns is committed with its writes. */
export interface ChangeContext {
  /** The transaction on the scope's own storage. */
  readonly raw: Writer
  /** The same transaction through the barrier. */
  readonly tx: Writer
  readonly keyring: Keyring
  readonly slots: SlotsRecord
  readonly now: number
  /** Puts a new root key in the place of the old: under every slot, around the keyring, and handed over to running processes. */
  newRoot(keyring: Keyring, slots: SlotsRecord): Promise<{ keyring: Keyring; slots: SlotsRecord }>
}

export interface Change<T> {
  readonly result: T
  readonly keyring?: Keyring
  readonly slots?: SlotsRecord
}

/** Number of encryptions of the active term and since when it is active. */
export interface KeyStatus {
  readonly term: number
  readonly installedAt: number
  readonly encryptions: number
}

/** The open or sealed keys of one seal. */
export class SealScope implements KeySource {
  readonly records: SealRecords
  readonly #options: ScopeOptions
  #keyring: Keyring | undefined
  #version = 0
  #refreshing: Promise<void> | undefined
  #rotating: Promise<void> | undefined
  // Changes of one process go one after the other; those of others are told by the store.
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: ScopeOptions) {
    this.#options = options
    this.records = sealRecords(options.prefix)
  }

  get keyring(): Keyring | undefined {
    return this.#keyring
  }

  get prefix(): string {
    return this.#options.prefix
  }

  get storage(): Storage {
    return this.#options.storage
  }

  get now(): number {
    return this.#options.now()
  }

  #open(): Keyring {
    if (!this.#keyring) throw new Sealed()
    return this.#keyring
  }

  /** Takes the keys into memory: decrypts the stored keyring with its root key. Throws `AuthenticationFailed` when it is not. */
  async load(rootKey: KeyObject, rootId: string): Promise<void> {
    const found = await this.storage.view((tx) => this.records.keyring(tx))
    if (!found || found.value.rootId !== rootId) throw new AuthenticationFailed('the root key is not of this store')
    this.#keyring = unwrapKeyring(rootKey, rootId, toBytes(found.value.box), this.#keyringPlace)
    this.#version = found.version
  }

  /** Takes the keys of a seal that the running transaction is just making. */
  adopt(keyring: Keyring): void {
    this.#keyring = keyring
    this.#version = 0
  }

  /** Drops the keys. What was reserved and not used is lost, unless `release` was called before. */
  drop(): void {
    this.#keyring?.destroy()
    this.#keyring = undefined
    this.#version = 0
  }

  get #keyringPlace(): string {
    return `${this.prefix}keyring`
  }

  /** The record of a keyring, wrapped under its root key. */
  wrap(keyring: Keyring): KeyringRecord {
    return { format: 1, rootId: keyring.parts.rootId, box: toText(keyring.wrap(this.#keyringPlace)) }
  }

  /** Follows the stored keyring when another process changed it. One read when nothing did. Rejects with `Sealed` when it cannot follow. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const before = this.#open()
    const next = await this.storage.view(async (tx) => {
      const found = await this.records.keyring(tx)
      if (!found) return undefined
      return found.version === this.#version
        ? 'same'
        : { ...found, keyring: await this.#follow(tx, found.value, before) }
    })
    if (next === 'same' || this.#keyring !== before) return
    if (!next?.keyring) {
      this.drop()
      this.#options.lost?.()
      throw new Sealed()
    }
    this.#keyring = next.keyring
    this.#version = next.version
  }

  /** Decrypts a newer keyring record, over handovers or static slots when its root key is another; undefined when there is no way. */
  async #follow(tx: Reader, record: KeyringRecord, known: Keyring): Promise<Keyring | undefined> {
    const open = (rootKey: KeyObject) =>
      unwrapKeyring(rootKey, record.rootId, toBytes(record.box), this.#keyringPlace, known)
    let { rootKey, rootId } = known.parts
    if (rootId === record.rootId) return open(rootKey)
    const links = (await this.records.handover(tx))?.links ?? []
    const now = this.now
    for (const link of links) {
      if (link.from !== rootId || link.until < now) continue
      rootKey = unwrapKey(rootKey, link.box, this.#handoverPlace(link.from, link.to))
      rootId = link.to
    }
    if (rootId === record.rootId) return open(rootKey)
    const slots = await this.records.slots(tx)
    const found = slots && this.#options.selfOpen?.(record, slots)
    return found && open(found)
  }

  #handoverPlace(from: string, to: string): string {
    return `${this.prefix}handover ${from} ${to}`
  }

  /**
   * Changes keyring, slots or records in one transaction, then takes the new keys into memory. The function may run several times.
   * Rejects with `Sealed`, and with what the function threw (nothing is changed then).
   */
  change<T>(fn: (context: ChangeContext) => Promise<Change<T>>): Promise<T> {
    const run = this.#queue.then(() => this.#change(fn))
    this.#queue = run.catch(() => undefined)
    return run
  }

  async #change<T>(fn: (context: ChangeContext) => Promise<Change<T>>): Promise<T> {
    let made: { readonly change: Change<T>; readonly record: KeyringRecord | undefined } | undefined
    try {
      await this.storage
        .update(async (raw) => {
          made = await this.#attempt(raw, fn)
        })
        .catch((error) => this.#unlessCommitted(error, made?.record))
      const { change } = made as NonNullable<typeof made>
      // The version stays the old one, so the refresh below (or any later one) reads what was committed.
      if (change.keyring && this.#keyring) this.#keyring = change.keyring
      return change.result
    } finally {
      // Also after an error: a commit whose outcome is unknown may have happened.
      if (this.#keyring)
        await this.refresh().catch((cause) => this.#options.warn?.('cannot read the keyring again', cause))
    }
  }

  async #attempt<T>(raw: Writer, fn: (context: ChangeContext) => Promise<Change<T>>) {
    const held = this.#open()
    const found = await this.records.keyring(raw)
    const slots = await this.records.slots(raw)
    if (!found || !slots) throw new Sealed()
    const keyring = found.version === this.#version ? held : await this.#follow(raw, found.value, held)
    if (!keyring) throw new Sealed()
    const tx = this.#options.writerOver(raw)
    const newRoot: ChangeContext['newRoot'] = (ring, record) => this.#newRoot(raw, ring, record)
    const change = await fn({ raw, tx, keyring, slots, now: this.now, newRoot })
    const record = change.keyring && this.wrap(change.keyring)
    if (record) this.records.putKeyring(raw, record)
    if (change.slots) this.records.putSlots(raw, change.slots)
    if (change.keyring || change.slots) await this.#options.moved?.(tx)
    await tx.settle()
    return { change, record }
  }

  /** Tells whether a commit without an answer happened: new shares must not be lost with it. Throws the error again when not. */
  async #unlessCommitted(error: unknown, record: KeyringRecord | undefined): Promise<void> {
    if (!(error instanceof OutcomeUnknown) || !record || !(await this.committed(record))) throw error
  }

  /** Whether this very keyring record is the stored one. */
  async committed(record: KeyringRecord): Promise<boolean> {
    const found = await this.storage.view((tx) => this.records.keyring(tx))
    return found?.value.box === record.box
  }

  async #newRoot(raw: Writer, keyring: Keyring, slots: SlotsRecord): Promise<{ keyring: Keyring; slots: SlotsRecord }> {
    const { rootKey: old, rootId: oldId, slotKeys } = keyring.parts
    const rootKey = generateKey()
    const rootId = randomUUID()
    const { record, left } = rewrapSlots(this.prefix, slots, slotKeys, rootKey, rootId)
    if (left.length > 0)
      throw new Error(`slot "${left[0]?.name}" has no key in the keyring and cannot follow a new root key`)
    const now = this.now
    const links = ((await this.records.handover(raw))?.links ?? []).filter((link) => link.until >= now)
    const link = {
      from: oldId,
      to: rootId,
      until: now + handoverMs,
      box: wrapKey(old, rootKey, this.#handoverPlace(oldId, rootId)),
    }
    this.records.putHandover(raw, { links: [...links, link] })
    return { keyring: keyring.with({ rootKey, rootId }), slots: record }
  }

  /** Adds a new term that all further writes use. With `ifActive`, only when that term is still the active one. */
  rotate(ifActive?: number): Promise<void> {
    return this.change(async ({ keyring }) => {
      const { terms, active } = keyring.parts
      if (ifActive !== undefined && active.number !== ifActive) return { result: undefined }
      const term = newTerm(active.number + 1, this.now)
      return {
        result: undefined,
        keyring: keyring.with({ terms: new Map([...terms, [term.number, term]]), active: term }),
      }
    })
  }

  /** Sets when terms rotate by themselves. */
  setRotateConfig(config: RotateConfig): Promise<void> {
    return this.change(async ({ keyring }) => ({ result: undefined, keyring: keyring.with({ config }) }))
  }

  // Makes a new term in the background; whoever writes meanwhile uses the old one.
  #rotateSoon(term: number): void {
    this.#rotating ??= this.rotate(term)
      .catch((cause) => this.#options.warn?.('automatic rotation of the encryption key failed', cause))
      .finally(() => {
        this.#rotating = undefined
      })
  }

  reserve(term: Term): Promise<void> {
    term.reserving ??= this.#reserve(term).finally(() => {
      term.reserving = undefined
    })
    return term.reserving
  }

  async #reserve(term: Term): Promise<void> {
    const block = blocks.find((size) => size > term.block) ?? (blocks.at(-1) as number)
    const wanted = block + Math.max(0, -term.remaining)
    const id = String(term.number)
    const total = await this.storage.update(async (tx) => {
      const reserved = ((await this.records.counts.get(tx, id))?.reserved ?? 0) + wanted
      this.records.counts.put(tx, id, { reserved })
      return reserved
    })
    term.remaining += wanted
    term.block = block
    const parts = this.#keyring?.parts
    if (parts?.active === term && parts.config.enabled && total > parts.config.maxOperations)
      this.#rotateSoon(term.number)
  }

  /** Gives back what was reserved and not used; called before sealing, at best effort. */
  async release(): Promise<void> {
    if (!this.#keyring) return
    await this.#rotating
    for (const term of this.#keyring?.parts.terms.values() ?? []) {
      await term.reserving?.catch(() => undefined)
      const unused = term.remaining
      if (unused <= 0) continue
      term.remaining = 0
      await this.storage.update(async (tx) => {
        const reserved = (await this.records.counts.get(tx, String(term.number)))?.reserved ?? 0
        this.records.counts.put(tx, String(term.number), { reserved: Math.max(0, reserved - unused) })
      })
    }
  }

  /** The active term and how often it encrypted: what is reserved in storage less what this process has left. */
  async keyStatus(): Promise<KeyStatus> {
    await this.refresh()
    const { active } = this.#open().parts
    const count = await this.storage.view((tx) => this.records.counts.get(tx, String(active.number)))
    return {
      term: active.number,
      installedAt: active.installedAt,
      encryptions: (count?.reserved ?? 0) - active.remaining,
    }
  }

  /** What a clock does now and then: follows other processes, rotates a term that is too old, clears handovers that are over. */
  async tick(): Promise<void> {
    await this.refresh()
    const { active, config } = this.#open().parts
    const age = this.now - active.installedAt
    if (config.enabled && config.intervalSeconds > 0 && age > config.intervalSeconds * 1000)
      await this.rotate(active.number)
    const over = (links: readonly { until: number }[]) => links.some((link) => link.until < this.now)
    const handover = await this.storage.view((tx) => this.records.handover(tx))
    if (!handover || !over(handover.links)) return
    await this.storage.update(async (tx) => {
      const links = ((await this.records.handover(tx))?.links ?? []).filter((link) => link.until >= this.now)
      this.records.putHandover(tx, links.length > 0 ? { links } : undefined)
    })
  }
}
