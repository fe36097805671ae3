// What a workload is: how to prepare it, the load, and the target it must reach.
import type { Load } from './load.ts'

export type Call = (method: string, path: string, body?: unknown) => Promise<{ status: number; body: unknown }>

export interface Workload {
  readonly name: string
  /** Share of the bare server's requests per second to reach at least; 0: no target against it. */
  readonly ofBare: number
  /** How many times OpenBao (raft, file audit, one core) to reach; measured by hand with PEER_URL. */
  readonly timesPeer: number
  prepare(call: Call): Promise<void>
  readonly load: Load
}

/** Body of a typical secret. */
export const secret = { username: 'app', password: 'Pa55word-{n}-0123456789abcdef', host: 'db.internal', port: '5432' }

/** Enables a mount unless it is there. */
export async function enable(call: Call, path: string, version: '1' | '2'): Promise<void> {
  const { status } = await call('POST', `sys/mounts/${path}`, { type: 'kv', options: { version } })
  if (status !== 204 && status !== 200 && status !== 400) throw new Error(`enabling ${path}: ${status}`)
}

/** Writes `count` secrets below a prefix, some at a time. */
export async function fill(call: Call, prefix: string, count: number, body: unknown, from = 0): Promise<void> {
  let next = from
  const worker = async () => {
    while (next < count) {
      const path = `${prefix}${next++}`
      let answer = await call('POST', path, body)
      // A peer's new KV version 2 mount is not ready at once.
      for (let tries = 0; answer.status === 400 && tries < 50; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        answer = await call('POST', path, body)
      }
      if (answer.status >= 300) throw new Error(`writing ${prefix}: ${answer.status}`)
    }
  }
  await Promise.all(Array.from({ length: 32 }, worker))
}
