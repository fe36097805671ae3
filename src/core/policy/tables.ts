// Rules sorted for looking up: an exact map, and literal prefixes that carry the wildcard rules beginning there. The best rule
// is found without trying all: https://openbao.org/docs/concepts/policies, "priority matching".
import { capabilityBits } from './capabilities.ts'
import { type Contribution, mergeRule, type Rule } from './rule.ts'
import { compareWildcards, matchesBelow, matchesWildcard, readWildcard, type Wildcard } from './wildcard.ts'

/** All that is said about one path. What holds is worked out at the first use, and again when an expiration passes. */
export interface Slot {
  readonly said: Contribution[]
  rule: Rule | undefined
  from: number
  until: number
}

/** Wildcard rules that share the text before their first wildcard, best first; a `*` right there stands between the others. */
export interface Group {
  readonly prefix: string
  readonly before: WildcardSlot[]
  glob: Slot | undefined
  readonly after: WildcardSlot[]
  /** Index of the longest other group whose prefix begins this one's; -1 for none. */
  parent: number
}
export interface WildcardSlot {
  readonly wildcard: Wildcard
  readonly slot: Slot
}

/** What holds at a time; undefined when all that was said has expired. */
export function ruleAt(slot: Slot, now: number): Rule | undefined {
  if (now >= slot.from && now < slot.until) return slot.rule
  let from = Number.NEGATIVE_INFINITY
  let until = Number.POSITIVE_INFINITY
  const alive = slot.said.filter(({ expiration }) => {
    if (expiration > now) until = Math.min(until, expiration)
    else from = Math.max(from, expiration)
    return expiration > now
  })
  const [first, ...rest] = alive
  slot.rule = first && mergeRule([first, ...rest])
  slot.from = from
  slot.until = until
  return slot.rule
}

/** One rule to be sorted in: its path below its namespace, templates filled. */
export interface Entry {
  readonly path: string
  readonly namespacePath: string
  readonly contribution: Contribution
}

export interface Tables {
  readonly exact: Map<string, Slot>
  /** Sorted by prefix. */
  readonly groups: Group[]
}

const newSlot = (contribution: Contribution): Slot => ({
  said: [contribution],
  rule: undefined,
  from: Number.POSITIVE_INFINITY,
  until: Number.NEGATIVE_INFINITY,
})

/** Sorts rules into tables. */
export function buildTables(entries: Iterable<Entry>): Tables {
  const exact = new Map<string, Slot>()
  const groups = new Map<string, Group>()
  const wildcards = new Map<string, Slot>()
  const groupOf = (prefix: string): Group => {
    const known = groups.get(prefix)
    if (known) return known
    const group: Group = { prefix, before: [], glob: undefined, after: [], parent: -1 }
    groups.set(prefix, group)
    return group
  }
  for (const { path, namespacePath, contribution } of entries) {
    const wildcard = readWildcard(path, namespacePath)
    const full = namespacePath + path
    const group = wildcard ? groupOf(wildcard.key) : path.endsWith('*') ? groupOf(full.slice(0, -1)) : undefined
    const known = wildcard ? wildcards.get(full) : group ? group.glob : exact.get(full)
    if (known) {
      known.said.push(contribution)
      continue
    }
    const slot = newSlot(contribution)
    if (wildcard && group) {
      wildcards.set(full, slot)
      ;(wildcard.prefix ? group.after : group.before).push({ wildcard, slot })
    } else if (group) group.glob = slot
    else exact.set(full, slot)
  }
  return { exact, groups: linked([...groups.values()]) }
}

/** Sorts groups by prefix, their rules by rank, and ties each to the longest group that begins it. */
function linked(groups: Group[]): Group[] {
  const byRank = (a: WildcardSlot, b: WildcardSlot): number => compareWildcards(a.wildcard, b.wildcard)
  groups.sort((a, b) => (a.prefix < b.prefix ? -1 : 1))
  const open: number[] = []
  groups.forEach((group, index) => {
    group.before.sort(byRank)
    group.after.sort(byRank)
    while (open.length > 0 && !group.prefix.startsWith((groups[open.at(-1) as number] as Group).prefix)) open.pop()
    group.parent = open.at(-1) ?? -1
    open.push(index)
  })
  return groups
}

/** Index of the last group whose prefix sorts at or before the path; every prefix of the path is it or one of its parents. */
function lastBefore(groups: readonly Group[], path: string): number {
  let low = 0
  let high = groups.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((groups[middle] as Group).prefix <= path) low = middle + 1
    else high = middle
  }
  return low - 1
}

function firstMatch(slots: readonly WildcardSlot[], path: string, now: number): Rule | undefined {
  for (const { wildcard, slot } of slots) {
    if (!matchesWildcard(wildcard, path)) continue
    const rule = ruleAt(slot, now)
    if (rule) return rule
  }
  return undefined
}

/** The best rule with a wildcard. The longest text before the first wildcard decides, so groups are met from long to short. */
function wildcardRule(groups: readonly Group[], path: string, now: number): Rule | undefined {
  let index = lastBefore(groups, path)
  if (index < 0) return undefined
  const nearest = (groups[index] as Group).prefix
  let shared = 0
  const most = Math.min(nearest.length, path.length)
  while (shared < most && nearest.charCodeAt(shared) === path.charCodeAt(shared)) shared++
  for (; index >= 0; index = (groups[index] as Group).parent) {
    const group = groups[index] as Group
    if (group.prefix.length > shared) continue
    const rule =
      firstMatch(group.before, path, now) ??
      (group.glob && ruleAt(group.glob, now)) ??
      firstMatch(group.after, path, now)
    if (rule) return rule
  }
  return undefined
}

/** Finds the one rule that decides on a path; a LIST or SCAN also without its trailing slash. */
export function findRule({ exact, groups }: Tables, path: string, listing: boolean, now: number): Rule | undefined {
  const bare = listing && path.endsWith('/') ? path.slice(0, -1) : undefined
  let slot = exact.get(path)
  let rule = slot && ruleAt(slot, now)
  if (rule) return rule
  if (bare !== undefined) {
    slot = exact.get(bare)
    rule = slot && ruleAt(slot, now)
    if (rule) return rule
  }
  if (groups.length === 0) return undefined
  return wildcardRule(groups, path, now) ?? (bare === undefined ? undefined : wildcardRule(groups, bare, now))
}

const grants = (slot: Slot | undefined, now: number): boolean => {
  const bits = (slot && ruleAt(slot, now)?.bits) ?? 0
  return bits > 0 && !(bits & capabilityBits.deny)
}

/** Whether anything at or below a mount is granted. */
export function reachesMount(tables: Tables, mount: string, now: number): boolean {
  const direct = findRule(tables, mount, true, now)?.bits ?? 0
  if (direct > 0 && !(direct & capabilityBits.deny)) return true
  for (const [path, slot] of tables.exact) if (path.startsWith(mount) && grants(slot, now)) return true
  return tables.groups.some(
    ({ prefix, before, glob, after }) =>
      (prefix.startsWith(mount) && grants(glob, now)) ||
      [...before, ...after].some(({ wildcard, slot }) => matchesBelow(wildcard, mount) && grants(slot, now)),
  )
}
