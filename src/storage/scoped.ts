// A transaction seen through a prefix: what an engine gets. It cannot name a key outside its own mount.
import type { Entry, ListOptions, Mark, Reader, Soon, Writer } from './storage.ts'

/** A view of `tx` in which every key is below `prefix`. */
export class ScopedTransaction implements Writer {
  private readonly tx: Writer
  private readonly prefix: string
  constructor(tx: Writer, prefix: string) {
    this.tx = tx
    this.prefix = prefix
  }
  get attempt(): number {
    return this.tx.attempt
  }
  private local(entry: Entry): Entry {
    return { key: entry.key.slice(this.prefix.length), value: entry.value, version: entry.version }
  }
  get(key: string): Soon<Entry | undefined> {
    const found = this.tx.get(this.prefix + key)
    if (found instanceof Promise) return found.then((entry) => entry && this.local(entry))
    return found && this.local(found)
  }
  async getMany(keys: readonly string[]): Promise<(Entry | undefined)[]> {
    const entries = await this.tx.getMany(keys.map((key) => this.prefix + key))
    return entries.map((entry) => entry && this.local(entry))
  }
  list(below: string, options?: ListOptions): Promise<string[]> {
    return this.tx.list(this.prefix + below, options)
  }
  scan(below: string, options?: ListOptions): Promise<string[]> {
    return this.tx.scan(this.prefix + below, options)
  }
  async entries(below: string, options?: ListOptions): Promise<Entry[]> {
    return (await this.tx.entries(this.prefix + below, options)).map((entry) => this.local(entry))
  }
  expect(key: string, version: number): void {
    this.tx.expect(this.prefix + key, version)
  }
  verify(): Promise<void> {
    return this.tx.verify()
  }
  put(key: string, value: Uint8Array): void {
    this.tx.put(this.prefix + key, value)
  }
  delete(key: string): void {
    this.tx.delete(this.prefix + key)
  }
  mark(): Mark {
    return this.tx.mark()
  }
  rollback(mark: Mark): void {
    this.tx.rollback(mark)
  }
}

/** A transaction below a prefix. */
export const scopedWriter = (tx: Writer, prefix: string): Writer => new ScopedTransaction(tx, prefix)
/** The reading half of `scopedWriter`. */
export const scopedReader = (tx: Reader, prefix: string): Reader => new ScopedTransaction(tx as Writer, prefix)
