// A transaction seen through a prefix: what an engine gets. It cannot name a key outside its own mount.
import type { Entry, ListOptions, Mark, Reader, Writer } from './storage.ts'

/** Makes a view of `tx` in which every key is below `prefix`. */
export function scopedWriter(tx: Writer, prefix: string): Writer {
  const local = (entry: Entry | undefined): Entry | undefined =>
    entry && { key: entry.key.slice(prefix.length), value: entry.value, version: entry.version }
  return {
    get attempt() {
      return tx.attempt
    },
    get: async (key) => local(await tx.get(prefix + key)),
    getMany: async (keys) => (await tx.getMany(keys.map((key) => prefix + key))).map(local),
    list: (below: string, options?: ListOptions) => tx.list(prefix + below, options),
    scan: (below: string, options?: ListOptions) => tx.scan(prefix + below, options),
    entries: async (below, options) =>
      (await tx.entries(prefix + below, options)).map((entry) => local(entry) as Entry),
    expect: (key, version) => tx.expect(prefix + key, version),
    verify: () => tx.verify(),
    put: (key, value) => tx.put(prefix + key, value),
    delete: (key) => tx.delete(prefix + key),
    mark: (): Mark => tx.mark(),
    rollback: (mark) => tx.rollback(mark),
  }
}

/** The reading half of `scopedWriter`. */
export const scopedReader = (tx: Reader, prefix: string): Reader => scopedWriter(tx as Writer, prefix)
