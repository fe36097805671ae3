// Says what happened to a chain where it broke: from the last good line, the first that does not follow, and a few behind it. A line
// that its successor vouches for (or a signature) is genuine; what stands against a genuine line was altered or put in.
import type { ChainLine, Piece, Place } from './log-lines.ts'

/** What can happen to a log. */
export type FindingKind = 'altered' | 'missing' | 'inserted' | 'reordered' | 'forged' | 'cut'

/** The first thing that is wrong with a log, and where. */
export interface Finding extends Place {
  readonly kind: FindingKind
  readonly reason: string
}

/** A line as far as the chain goes. `signed`: its signature holds. */
export interface Mark extends Place {
  readonly seq: number
  readonly hash: string
  readonly prev: string
  readonly signed: boolean
}

/** Lines behind a break that are looked at. */
export const lookAhead = 32

export const markOf = (line: ChainLine, signed: boolean): Mark => ({
  file: line.file,
  line: line.line,
  seq: line.seq,
  hash: line.hash,
  prev: line.prev,
  signed,
})

const found = (kind: FindingKind, place: Place, reason: string): Finding => ({
  kind,
  file: place.file,
  line: place.line,
  reason,
})

const isBehind = (a: Place, b: Place): boolean => a.file !== b.file || a.line > b.line

/**
 * Names what broke a chain. `last` is its last line in order, `next` the lines of the chain from the first that does not follow, `pieces`
 * what stands in between that is no line at all.
 */
export function explainBreak(last: Mark, next: readonly Mark[], pieces: readonly Piece[]): Finding {
  const broken = next[0] as Mark
  const after = next[1]
  const vouchedFor = (mark: Mark): boolean =>
    mark.signed || next.some((other) => other.seq === mark.seq + 1 && other.prev === mark.hash)

  if (broken.seq === last.seq + 1)
    return vouchedFor(broken) && !last.signed
      ? found('altered', last, `its hash is not the one that line ${broken.line} was chained to`)
      : found('altered', broken, `the hash it gives for the line before it is not that of line ${last.line}`)

  if (broken.prev === last.hash)
    return found('altered', broken, `its number is ${broken.seq} where ${last.seq + 1} follows`)

  if (broken.seq === last.seq && broken.prev === last.prev && broken.hash !== last.hash) {
    const genuine = vouchedFor(broken) || after?.prev !== last.hash
    return genuine && !last.signed
      ? found('inserted', last, `line ${broken.line} has the same number and place in the chain`)
      : found('inserted', broken, `line ${last.line} has the same number and place in the chain`)
  }

  if (broken.seq <= last.seq)
    return found('inserted', broken, `its number ${broken.seq} comes again after number ${last.seq}`)

  const piece = pieces.find((candidate) => isBehind(candidate, last) && isBehind(broken, candidate))
  if (piece && broken.seq === last.seq + 2)
    return found('altered', piece, `it is no line of a chain, and number ${last.seq + 1} is missing`)

  const follower = next.find((mark) => mark.seq === last.seq + 1 && mark.prev === last.hash)
  if (follower) {
    const again = next.some((mark, index) => index > 0 && mark.seq === broken.seq)
    return vouchedFor(broken) && !again
      ? found('reordered', broken, `number ${broken.seq} stands before number ${follower.seq} (line ${follower.line})`)
      : found('inserted', broken, `number ${broken.seq} has no place after number ${last.seq}`)
  }
  const gap = broken.seq - last.seq - 1
  const which = gap === 1 ? `number ${last.seq + 1} is` : `numbers ${last.seq + 1} to ${broken.seq - 1} are`
  return found('missing', broken, `${which} missing before it (the line before is ${last.line})`)
}
