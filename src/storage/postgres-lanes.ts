// How much travels to PostgreSQL at once: what is asked for in one turn of the event loop goes together, and what comes while every
// lane is taken waits and goes together. It knows nothing of what travels.

export interface LanePorts {
  /** How many may be under way at once. */
  readonly most: number
  /** Whether anything waits. */
  waiting(): boolean
  /** Sends what may go now and resolves when it was answered; false: nothing could go, and only what is under way changes that. */
  fly(): Promise<boolean>
}

/** Makes the lanes; gives the function to call whenever something has come to wait. */
export function lanes({ most, waiting, fly }: LanePorts): () => void {
  let flying = 0
  let scheduled = false
  const free = (): boolean => flying < most && waiting()
  const go = async (): Promise<void> => {
    flying++
    let again = true
    try {
      again = await fly()
    } finally {
      flying--
      if (again) schedule()
    }
  }
  const schedule = (): void => {
    if (scheduled || !free()) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      if (free()) void go()
    })
  }
  return schedule
}
