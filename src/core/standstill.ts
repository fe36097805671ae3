// How long records have stood still, told by their versions and the observer's own clock. No clock of another machine is asked, so
// that a wrong one neither buries the living nor keeps the dead.

export interface Standstill {
  /** Milliseconds since this process first saw the record at this version; 0 at the first sight. */
  ms(id: string, version: number): number
  /** Forgets all other records. */
  keep(ids: readonly string[]): void
}

/** Begins to watch. `clock` gives milliseconds that only go forward. */
export function standstill(clock: () => number): Standstill {
  const seen = new Map<string, { readonly version: number; readonly since: number }>()
  return {
    ms(id, version) {
      const known = seen.get(id)
      if (known?.version === version) return clock() - known.since
      seen.set(id, { version, since: clock() })
      return 0
    },
    keep(ids) {
      if (seen.size <= ids.length) return
      const wanted = new Set(ids)
      for (const id of seen.keys()) if (!wanted.has(id)) seen.delete(id)
    },
  }
}
