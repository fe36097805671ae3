// Calls between two processes over node's channel: a socket pair, from memory to memory. Whoever calls gets an answer, or is told that
// the other side has gone.

/** What one side lets the other call: each takes one value. */
export type Calls = Readonly<Record<string, (value: never) => unknown>>
type Given<F> = F extends (value: infer V) => unknown ? V : never
type Answer<F> = F extends (value: never) => infer R ? Awaited<R> : never

/** The other side. */
export interface Channel<Theirs extends Calls> {
  /** Rejects with what went wrong there (its text), or with `Gone`. */
  call<K extends keyof Theirs & string>(name: K, value: Given<Theirs[K]>): Promise<Answer<Theirs[K]>>
  /** The other side has ended: whatever is under way rejects with `Gone`. */
  close(): void
}

/** How messages travel: what processes have. */
export interface Wire {
  send(message: object, done: (error: Error | null) => void): unknown
  on(event: 'message', listener: (message: unknown) => void): unknown
}

/** The other side has ended. */
export class Gone extends Error {
  override name = 'Gone'
}

type Message =
  | { readonly call: number; readonly name: string; readonly value: unknown }
  | { readonly answers: number; readonly value: unknown; readonly error: string | undefined }

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Opens a channel; `mine` answers the other side. What `mine` throws is told there by its text. */
export function channel<Theirs extends Calls>(wire: Wire, mine: Calls): Channel<Theirs> {
  const pending = new Map<number, Pending>()
  let last = 0
  let open = true

  const close = (): void => {
    open = false
    for (const { reject } of pending.values()) reject(new Gone('the other process has ended'))
    pending.clear()
  }
  const send = (message: Message): void => {
    if (open) wire.send(message, (error) => error && close())
  }
  const answer = async (id: number, name: string, value: unknown): Promise<void> => {
    try {
      const handler = mine[name]
      if (!handler) throw new Error(`no such call: ${name}`)
      send({ answers: id, value: await handler(value as never), error: undefined })
    } catch (error) {
      send({ answers: id, value: undefined, error: error instanceof Error ? error.message : String(error) })
    }
  }
  wire.on('message', (raw) => {
    const message = raw as Message
    if ('call' in message) {
      void answer(message.call, message.name, message.value)
      return
    }
    const waiting = pending.get(message.answers)
    pending.delete(message.answers)
    if (message.error === undefined) waiting?.resolve(message.value)
    else waiting?.reject(new Error(message.error))
  })
  return {
    close,
    call: (name, value) =>
      new Promise((resolve, reject) => {
        if (!open) return reject(new Gone('the other process has ended'))
        last += 1
        pending.set(last, { resolve: resolve as Pending['resolve'], reject })
        send({ call: last, name, value })
      }),
  }
}
