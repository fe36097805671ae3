// The barrier: a Storage whose values are ciphertext below. Keys, versions and ranges pass through as they are. What lies
// under `seal/` in the store below (slots, wrapped keyring, counters) is not reachable through it.
import { SampledTimer, Timer } from '../lib/metrics.ts'
import {
  type Entry,
  type ListOptions,
  type Mark,
  type Reader,
  type Soon,
  type Storage,
  ValueTooLarge,
  valueBytesMax,
  type Writer,
} from '../storage/storage.ts'
import { Sealed, Undecryptable } from './errors.ts'
import { encryptionOverhead, type Keyring, type Term } from './keyring.ts'

/** Prefix of the records that lie in clear below the barrier. */
export const clearPrefix = 'seal/'
/** Prefix below which a namespace may have a keyring of its own: `ns/<uuid>/`. */
export const namespacePrefix = 'ns/'

/** Bytes a value may have above the barrier: what storage takes, less what encryption adds. */
export const plaintextBytesMax = valueBytesMax - encryptionOverhead

/** Where keys come from. `keyring` is undefined while sealed. */
export interface KeySource {
  readonly keyring: Keyring | undefined
  /** Reads the keyring again when storage has a newer one. */
  refresh(): Promise<void>
  /** Reserves encryptions of a term in storage, so that what is owed is counted. */
  reserve(term: Term): Promise<void>
}

/** A writer that encrypts; `settle` must be awaited before its transaction commits. */
export interface BarrierWriter extends Writer {
  /** Has every encryption of this transaction counted in storage. */
  settle(): Promise<void>
}

export interface Barrier extends Storage {
  readonly sealed: boolean
  /** Binds the keys below `ns/<uuid>/` to other keys than the store's. A source without a keyring makes them `Sealed`. */
  attachKeyring(prefix: string, source: KeySource): void
  /** Says that keys of its own exist for this prefix which are not here: everything below is `Sealed` until they are attached. */
  declareKeyring(prefix: string): void
  /** Forgets a binding (the namespace is gone): the prefix is the store's again. */
  detachKeyring(prefix: string): void
  /** Whether the keys for this storage key are in memory. */
  readable(key: string): boolean
  /** Makes an encrypting writer over a transaction of the store below. */
  writerOver(tx: Writer): BarrierWriter
}

/** What the barrier times. */
export interface BarrierMeter {
  readonly get: SampledTimer
  readonly put: Timer
  readonly delete: Timer
  readonly list: Timer
}

const unread: BarrierMeter = {
  get: new SampledTimer(),
  put: new Timer(),
  delete: new Timer(),
  list: new Timer(),
}

interface Sources {
  readonly meter: BarrierMeter
  readonly root: KeySource
  of(key: string): KeySource
  prefixOf(source: KeySource): string | undefined
}

function refuseClear(key: string): void {
  if (key.startsWith(clearPrefix)) throw new Error(`keys under "${clearPrefix}" are not reachable through the barrier`)
}

class BarrierTransaction implements BarrierWriter {
  readonly #tx: Writer
  readonly #sources: Sources
  // Nearly every transaction writes under one term; more are rare.
  #used: { readonly source: KeySource; readonly term: Term }[] | undefined
  // What was decrypted already: a request reads the same record to judge create from update and to do the work.
  readonly #opened = new Map<string, Entry | undefined>()
  // Keys this transaction has written: what is read of them is no committed fact.
  readonly #written = new Set<string>()
  constructor(tx: Writer, sources: Sources) {
    this.#tx = tx
    this.#sources = sources
  }

  get attempt(): number {
    return this.#tx.attempt
  }

  #keys(source: KeySource): Keyring {
    const { keyring } = source
    if (!keyring) throw new Sealed(this.#sources.prefixOf(source))
    return keyring
  }

  #unsealed(): void {
    this.#keys(this.#sources.root)
  }

  #sourceOf(key: string): KeySource {
    refuseClear(key)
    const source = this.#sources.of(key)
    this.#keys(source)
    return source
  }

  #open(source: KeySource, entry: Entry): Soon<Entry> {
    let value: Uint8Array | undefined
    try {
      value = this.#keys(source).decrypt(entry.key, entry.value)
    } catch (error) {
      if (!(error instanceof Undecryptable)) throw error
    }
    if (value === undefined) return this.#openRefreshed(source, entry)
    return { key: entry.key, value, version: entry.version }
  }

  // Another process has rotated, or put another store in this one's place: the keys are in the stored keyring.
  async #openRefreshed(source: KeySource, entry: Entry): Promise<Entry> {
    await source.refresh()
    const value = this.#keys(source).decrypt(entry.key, entry.value)
    if (value === undefined) throw new Undecryptable(`the value at "${entry.key}" names an unknown key term`)
    return { key: entry.key, value, version: entry.version }
  }

  /** Whether a key was read before; then that reading is asserted again, so that a transaction that cannot succeed ends here as well. */
  #known(key: string): boolean {
    if (!this.#opened.has(key)) return false
    this.#tx.expect(key, this.#opened.get(key)?.version ?? 0)
    return true
  }

  #keep(key: string, entry: Entry | undefined): Entry | undefined {
    if (!this.#written.has(key)) this.#opened.set(key, entry)
    return entry
  }

  #forget(key: string): void {
    this.#written.add(key)
    this.#opened.delete(key)
  }

  get(key: string): Soon<Entry | undefined> {
    const source = this.#sourceOf(key)
    if (this.#known(key)) return this.#opened.get(key)
    const { get } = this.#sources.meter
    const began = get.begin()
    const found = this.#tx.get(key)
    const opened =
      found instanceof Promise
        ? found.then((entry) => this.#openAndKeep(source, key, entry))
        : this.#openAndKeep(source, key, found)
    if (opened instanceof Promise) return opened.finally(() => get.end(began))
    get.end(began)
    return opened
  }

  #openAndKeep(source: KeySource, key: string, entry: Entry | undefined): Soon<Entry | undefined> {
    const opened = entry && this.#open(source, entry)
    return opened instanceof Promise ? opened.then((clear) => this.#keep(key, clear)) : this.#keep(key, opened)
  }

  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    const sources = keys.map((key) => this.#sourceOf(key))
    const wanted = keys.filter((key) => !this.#known(key))
    const found = new Map<string, Entry | undefined>()
    const { get } = this.#sources.meter
    const began = get.begin()
    const entries = wanted.length === 0 ? [] : await this.#tx.getMany(wanted)
    for (const [index, key] of wanted.entries()) {
      const entry = entries[index]
      const source = sources[keys.indexOf(key)] as KeySource
      found.set(key, this.#keep(key, entry && (await this.#open(source, entry))))
    }
    get.end(began)
    return keys.map((key) => (found.has(key) ? found.get(key) : this.#opened.get(key)))
  }

  // Names are not encrypted and a removal needs no key: a namespace that is sealed can still be cleared away.
  async list(prefix: string, options: ListOptions = {}): Promise<string[]> {
    this.#unsealed()
    if (prefix.startsWith(clearPrefix)) return []
    if (!clearPrefix.startsWith(prefix)) return this.#sources.meter.list.time(this.#tx.list(prefix, options))
    const hidden = clearPrefix.slice(prefix.length)
    const { limit } = options
    const names = await this.#tx.list(prefix, limit === undefined ? options : { ...options, limit: limit + 1 })
    return names.filter((name) => name !== hidden).slice(0, limit)
  }

  async scan(prefix: string, options: ListOptions = {}): Promise<string[]> {
    this.#unsealed()
    return visible(
      prefix,
      options,
      (range) => this.#tx.scan(prefix, range),
      (key) => prefix + key,
    )
  }

  async entries(prefix: string, options: ListOptions = {}): Promise<Entry[]> {
    this.#keys(this.#sources.of(prefix))
    const found = await visible(
      prefix,
      options,
      (range) => this.#tx.entries(prefix, range),
      (entry) => entry.key,
    )
    const opened: Entry[] = []
    for (const entry of found) opened.push(await this.#open(this.#sourceOf(entry.key), entry))
    return opened
  }

  expect(key: string, version: number): void {
    this.#sourceOf(key)
    this.#tx.expect(key, version)
  }

  verify(): Promise<void> {
    return this.#tx.verify()
  }

  put(key: string, value: Uint8Array): void {
    const source = this.#sourceOf(key)
    if (value.length > plaintextBytesMax)
      throw new ValueTooLarge(`the value has ${value.length} bytes, the limit is ${plaintextBytesMax}`)
    const keyring = this.#keys(source)
    const term = keyring.parts.active
    if (!this.#used) this.#used = [{ source, term }]
    else if (!this.#used.some((used) => used.term === term)) this.#used.push({ source, term })
    this.#forget(key)
    const began = performance.now()
    this.#tx.put(key, keyring.encrypt(key, value))
    this.#sources.meter.put.since(began)
  }

  delete(key: string): void {
    refuseClear(key)
    this.#unsealed()
    this.#forget(key)
    const began = performance.now()
    this.#tx.delete(key)
    this.#sources.meter.delete.since(began)
  }

  mark(): Mark {
    return this.#tx.mark()
  }

  rollback(mark: Mark): void {
    this.#opened.clear()
    this.#tx.rollback(mark)
  }

  async settle(): Promise<void> {
    if (!this.#used) return
    for (const { source, term } of this.#used) {
      this.#keys(source)
      while (term.remaining < 0) await source.reserve(term)
      // Reserving ahead keeps later writers from waiting. When it fails, one of them will owe, ask again, and see the error.
      if (term.remaining * 4 < term.block && !term.reserving) source.reserve(term).catch(() => undefined)
    }
  }
}

/** Runs a range read so that keys under `seal/` neither show nor count toward the limit. */
async function visible<T>(
  prefix: string,
  options: ListOptions,
  read: (range: ListOptions) => Promise<T[]>,
  keyOf: (item: T) => string,
): Promise<T[]> {
  if (prefix.startsWith(clearPrefix)) return []
  if (!clearPrefix.startsWith(prefix)) return read(options)
  const { limit } = options
  const first = await read(options)
  const shown = first.filter((item) => !keyOf(item).startsWith(clearPrefix))
  if (limit === undefined || shown.length === first.length || first.length < limit) return shown
  // The page was cut inside the hidden range: go on right after it.
  const after = `${clearPrefix.slice(prefix.length)}\u{10ffff}`
  return [...shown, ...(await read({ after, limit: limit - shown.length }))]
}

/** Makes an encrypting writer under given keys: for a store that is just being made. */
export const writerUnder = (tx: Writer, source: KeySource): BarrierWriter =>
  new BarrierTransaction(tx, { root: source, of: () => source, prefixOf: () => undefined, meter: unread })

const nothing: KeySource = { keyring: undefined, refresh: async () => undefined, reserve: async () => undefined }

/** Makes the barrier over a store; `root` holds the keys of everything that no attached keyring claims. */
export function createBarrier(storage: Storage, root: KeySource, meter: BarrierMeter = unread): Barrier {
  const bound = new Map<string, KeySource>()
  const sources: Sources = {
    root,
    meter,
    of(key) {
      if (bound.size === 0 || !key.startsWith(namespacePrefix)) return root
      const end = key.indexOf('/', namespacePrefix.length)
      return (end > 0 && bound.get(key.slice(0, end + 1))) || root
    },
    prefixOf(source) {
      if (source === root || !root.keyring) return undefined
      for (const [prefix, other] of bound) if (other === source) return prefix
      return undefined
    },
  }
  const checked = (prefix: string): string => {
    if (!/^ns\/[^/]+\/$/.test(prefix)) throw new Error(`"${prefix}" cannot have a keyring: it is not ns/<uuid>/`)
    return prefix
  }
  return {
    kind: storage.kind,
    get sealed() {
      return root.keyring === undefined
    },
    async view<T>(fn: (tx: Reader) => Soon<T>): Promise<T> {
      if (!root.keyring) throw new Sealed()
      return storage.view((tx) => fn(new BarrierTransaction(tx as Writer, sources)))
    },
    async update<T>(fn: (tx: Writer) => Soon<T>, committed?: (revision: number) => void): Promise<T> {
      if (!root.keyring) throw new Sealed()
      return storage.update(async (tx) => {
        const writer = new BarrierTransaction(tx, sources)
        const result = await fn(writer)
        await writer.settle()
        return result
      }, committed)
    },
    close: () => storage.close(),
    attachKeyring: (prefix, source) => void bound.set(checked(prefix), source),
    declareKeyring: (prefix) => void (bound.has(checked(prefix)) || bound.set(prefix, nothing)),
    detachKeyring: (prefix) => void bound.delete(prefix),
    readable: (key) => root.keyring !== undefined && sources.of(key).keyring !== undefined,
    writerOver: (tx) => new BarrierTransaction(tx, sources),
  }
}
