// What a client is told when too many passwords are waiting to be hashed. Nothing here knows a password.
import { PasswordPoolClosed, PasswordQueueFull } from '../../crypto/password.ts'
import { unavailable } from '../../sdk/index.ts'

/** Runs password work; a full queue or a server that stops becomes 503. */
export async function hashing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof PasswordQueueFull) throw unavailable('too many logins at once: try again in a moment')
    if (error instanceof PasswordPoolClosed) throw unavailable('the server is stopping')
    throw error
  }
}
