// The command table as a tree: which words may follow which, what a typo may have meant. All read from the declarations.
import type { Command } from './command.ts'
import type { FlagTable } from './flags.ts'
import { fieldFlags, httpFlags, outputFlags } from './globals.ts'

/** What the groups of commands are for. */
export const groups: Readonly<Record<string, string>> = {
  audit: 'Audit devices and audit logs',
  auth: 'Auth methods: ways to log in',
  kv: 'Key/value secrets',
  'kv metadata': 'Metadata of key/value secrets',
  lease: 'Leases of dynamic secrets',
  namespace: 'Namespaces',
  operator: 'Running a server: keys, seal, checks',
  'operator raft': 'Snapshots, under the name that Vault has for them',
  'operator raft snapshot': 'Save, restore and inspect the whole store',
  'operator seal slots': 'Ways to open the root key',
  'operator snapshot': 'Save, restore and inspect the whole store',
  'operator upgrade': 'The storage format while versions change',
  plugin: 'Engines and auth methods the server knows',
  policy: 'Policies: who may do what',
  print: 'Print what commands use',
  secrets: 'Secrets engines',
  token: 'Tokens',
}

/** A word that may come next. */
export interface Choice {
  readonly word: string
  readonly synopsis: string
}

const startsWith = (words: readonly string[], prefix: readonly string[]): boolean =>
  prefix.every((word, i) => words[i] === word)

/** Lists the words that may follow a prefix, sorted. */
export function childrenOf(commands: readonly Command[], prefix: readonly string[]): Choice[] {
  const found = new Map<string, string>()
  for (const command of commands) {
    const word = command.words[prefix.length]
    if (command.hidden || word === undefined || !startsWith(command.words, prefix)) continue
    const exact = command.words.length === prefix.length + 1
    const group = groups[[...prefix, word].join(' ')]
    if (exact) found.set(word, command.synopsis)
    else if (!found.has(word)) found.set(word, group ?? '')
  }
  return [...found].map(([word, synopsis]) => ({ word, synopsis })).sort((a, b) => (a.word < b.word ? -1 : 1))
}

/** Finds the longest command that the words begin with. */
export function findCommand(commands: readonly Command[], words: readonly string[]): Command | undefined {
  let best: Command | undefined
  for (const command of commands)
    if (startsWith(words, command.words) && command.words.length > (best?.words.length ?? 0)) best = command
  return best
}

/** Gives the longest prefix of the words that is a group or a command. */
export function knownPrefix(commands: readonly Command[], words: readonly string[]): string[] {
  const known: string[] = []
  for (const word of words) {
    if (!commands.some((command) => startsWith(command.words, [...known, word]))) break
    known.push(word)
  }
  return known
}

/** Counts the letters to add, drop, change or swap to make one word of the other. */
function distance(a: string, b: string): number {
  const rows: number[][] = Array.from({ length: a.length + 1 }, (_, i) => [i])
  for (let j = 0; j <= b.length; j++) (rows[0] as number[])[j] = j
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 99
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (same ? 0 : 1))
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(i - 2, j - 2) + 1)
      ;(rows[i] as number[])[j] = best
    }
  return at(a.length, b.length)
}

/** Gives the words that a typo may have meant: those within two letters, nearest first. */
export function suggestions(typed: string, known: readonly string[]): string[] {
  if (typed.length > 40) return []
  const limit = typed.length <= 3 ? 1 : 2
  return known
    .map((word) => ({ word, far: distance(typed, word) }))
    .filter(({ word, far }) => far <= limit || (typed.length >= 3 && word.startsWith(typed)))
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ word }) => word)
}

/** All flags that a command takes: its own go before the global ones of the same name. */
export const flagsOf = (command: Command): FlagTable => ({
  ...(command.online ? httpFlags : {}),
  ...flagsWithoutHttp(command),
})

/** The flags of a command but for those that say how to reach a server. */
export const flagsWithoutHttp = (command: Command): FlagTable => ({
  ...outputFlags,
  ...(command.field ? fieldFlags : {}),
  ...command.flags,
})
