// What clients of several nodes saw, and whether one store alone could have answered so. Pure functions over recorded operations: each
// checker gives the contradictions it found as texts. Times are of one clock, that of the process all clients run in.

/** When an operation was sent and when its outcome was known. Unknown outcomes may take effect at any time after `start`. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** `ok`: it happened. `no`: it was answered with a refusal. `none`: it never reached a server. `unknown`: the answer was lost. */
export type Outcome = 'ok' | 'no' | 'none' | 'unknown'

export interface RegisterWrite extends Span {
  readonly kind: 'write'
  /** The version that had to be current. */
  readonly cas: number
  readonly value: string
  readonly outcome: Outcome
  /** What the answer says: the version made. */
  readonly version?: number
}
export interface RegisterRead extends Span {
  readonly kind: 'read'
  readonly version: number
  readonly value: string
}
export type RegisterOp = RegisterWrite | RegisterRead

/**
 * Checks the history of one register with check-and-set, versions counting from 1. The versions give the order of the writes, so the
 * history is linearizable exactly when the order agrees with the clock and each version has one value.
 */
export function checkRegister(name: string, ops: readonly RegisterOp[]): string[] {
  const wrong: string[] = []
  const made = new Map<number, RegisterWrite>()
  const attempts = ops
    .filter((op) => op.kind === 'write')
    .filter(({ outcome }) => outcome === 'ok' || outcome === 'unknown')
  for (const op of attempts) {
    if (op.outcome !== 'ok') continue
    const version = op.version ?? 0
    if (version !== op.cas + 1) wrong.push(`${name}: a write over version ${op.cas} made version ${version}`)
    if (made.has(version)) wrong.push(`${name}: version ${version} was acknowledged twice: an update was lost`)
    made.set(version, op)
  }
  const values = new Map<number, string>()
  for (const op of ops) {
    if (op.kind !== 'read' || op.version === 0) continue
    const known = values.get(op.version) ?? made.get(op.version)?.value
    if (known !== undefined && known !== op.value) wrong.push(`${name}: version ${op.version} had two values`)
    values.set(op.version, op.value)
    const writer = attempts.find(({ cas, value }) => cas === op.version - 1 && value === op.value)
    if (!writer) wrong.push(`${name}: version ${op.version} was read with a value nobody wrote`)
    else if (writer.start > op.end) wrong.push(`${name}: version ${op.version} was read before it was written`)
  }
  wrong.push(...checkOrder(name, ops))
  for (const op of ops) {
    if (op.kind !== 'write' || op.outcome !== 'no') continue
    if (!attempts.some(({ cas, start }) => cas >= op.cas && start < op.end))
      wrong.push(`${name}: a write over version ${op.cas} was refused although nothing had replaced it`)
  }
  return wrong
}

/** What was seen by the end of one operation is there for every operation that begins later. */
function checkOrder(name: string, ops: readonly RegisterOp[]): string[] {
  const wrong: string[] = []
  const seen = ops
    .filter((op) => op.kind === 'read' || op.outcome === 'ok')
    .map((op) => ({ at: op.end, version: op.version ?? 0 }))
    .sort((a, b) => a.at - b.at)
  const begun = ops.filter((op) => op.kind === 'read' || op.outcome === 'ok').sort((a, b) => a.start - b.start)
  let next = 0
  let least = 0
  for (const op of begun) {
    for (; next < seen.length && (seen[next]?.at ?? 0) < op.start; next++)
      least = Math.max(least, seen[next]?.version ?? 0)
    const base = op.kind === 'read' ? op.version : op.cas
    if (base < least) wrong.push(`${name}: a ${op.kind} stood on version ${base} after version ${least} was known`)
  }
  return wrong
}

export interface Use extends Span {
  readonly outcome: Outcome
}

/** Checks something that may be used `limit` times and was tried until it was refused. */
export function checkLimit(name: string, limit: number, uses: readonly Use[]): string[] {
  const ok = uses.filter(({ outcome }) => outcome === 'ok').length
  const unknown = uses.filter(({ outcome }) => outcome === 'unknown').length
  if (ok > limit) return [`${name}: used ${ok} times, ${limit} were allowed`]
  if (ok + unknown < limit) return [`${name}: used ${ok} times (${unknown} unknown), ${limit} were allowed`]
  return []
}

/** Checks that nothing passes after its revocation was acknowledged, and nothing is refused before it was sent. */
export function checkRevoke(name: string, revoke: Span, uses: readonly Use[]): string[] {
  const wrong: string[] = []
  for (const { start, end, outcome } of uses) {
    if (outcome === 'ok' && start > revoke.end)
      wrong.push(`${name}: passed ${(start - revoke.end).toFixed(1)} ms after its revocation was acknowledged`)
    if (outcome === 'no' && end < revoke.start) wrong.push(`${name}: refused before it was revoked`)
  }
  return wrong
}

/** A change of a switch whose outcome is known. */
export interface Flip extends Span {
  readonly on: boolean
}

/** Checks uses against the switch that allows them; `flips` follow each other, the first sets it. */
export function checkSwitch(name: string, flips: readonly Flip[], uses: readonly Use[]): string[] {
  const wrong: string[] = []
  for (const { start, end, outcome } of uses) {
    if (outcome !== 'ok' && outcome !== 'no') continue
    const before = flips.filter((flip) => flip.end < start).at(-1)
    if (!before) continue
    const during = flips.filter((flip) => flip.end >= start && flip.start <= end)
    const possible = new Set([before, ...during].map(({ on }) => on))
    if (!possible.has(outcome === 'ok'))
      wrong.push(`${name}: ${outcome === 'ok' ? 'passed' : 'refused'} against the switch`)
  }
  return wrong
}
