// Relays what workers share of their seals: one at a time has the turn, what it tells reaches all others before it goes on. Nothing is
// kept here; a worker that does not follow in time is ended, since what it holds is not what the others hold.
import { type SealState, wipe } from '../barrier/peers.ts'

/** A worker as the relay sees it. */
export interface Member {
  follow(state: SealState): Promise<void>
  shared(): Promise<readonly SealState[]>
  /** Ends the worker at once. */
  kill(why: string): void
}

export interface Relay {
  /** Resolves when it is the member's turn. */
  turn(member: Member): Promise<void>
  endTurn(member: Member): void
  /** Resolves when all other members have followed or have ended. */
  tell(from: Member, state: SealState): Promise<void>
  /** The seals of another member, one that is unsealed if there is one. The asker is told from now on. */
  ask(from: Member): Promise<readonly SealState[] | undefined>
  /** The member has ended. */
  leave(member: Member): void
}

/** Sealing may take two seconds for requests under way and five for the audit log. */
const followMsMax = 20_000

/** Makes the relay. `followMs` is how long a member may take to follow. */
export function relay(followMs = followMsMax): Relay {
  const members = new Set<Member>()
  let holder: Member | undefined
  let waiting: { readonly member: Member; readonly go: () => void }[] = []

  const next = (): void => {
    const first = waiting.shift()
    holder = first?.member
    first?.go()
  }
  const follow = async (member: Member, state: SealState): Promise<void> => {
    const late = setTimeout(() => member.kill('it did not follow in time'), followMs)
    try {
      await member.follow(state)
    } catch {
      member.kill('it could not follow')
    } finally {
      clearTimeout(late)
    }
  }
  const isOpen = (states: readonly SealState[]): boolean =>
    states.some(({ namespace, root }) => namespace === '' && root)

  return {
    turn: (member) =>
      new Promise((go) => {
        waiting.push({ member, go })
        if (!holder) next()
      }),
    endTurn(member) {
      if (holder === member) next()
    },
    async tell(from, state) {
      await Promise.all([...members].filter((member) => member !== from).map((member) => follow(member, state)))
      wipe(state)
    },
    async ask(from) {
      let found: readonly SealState[] | undefined
      for (const member of members) {
        if (member === from || (found && isOpen(found))) continue
        const states = await member.shared().catch(() => undefined)
        if (!states) continue
        found?.forEach(wipe)
        found = states
      }
      members.add(from)
      return found
    },
    leave(member) {
      members.delete(member)
      waiting = waiting.filter((one) => one.member !== member)
      if (holder === member) next()
    },
  }
}
