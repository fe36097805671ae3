// Short words for tests of the method: a mount with a clock of its own. Never imported by the server.
import assert from 'node:assert/strict'
import type { JsonObject } from '../../lib/json.ts'
import { ApiError, type Grant, type Reply } from '../../sdk/index.ts'
import { type Harness, mountForTest } from '../../sdk/testing.ts'
import { memoryStorage } from '../../storage/memory.ts'
import type { Storage } from '../../storage/storage.ts'
import { approle } from './index.ts'

export const status = (wanted: number) => (error: unknown) => error instanceof ApiError && error.status === wanted
export const data = (reply: Reply | undefined) => reply?.data as Record<string, unknown>

export interface MadeSecretId {
  readonly secret_id: string
  readonly secret_id_accessor: string
  readonly secret_id_num_uses: number
  readonly secret_id_ttl: number
}

/** Everything below the mount and beside it, by key. */
export const keysOf = (storage: Storage): Promise<string[]> => storage.view((tx) => tx.scan(''))

/** What is left when there is no role and no secret id. */
export const bareKeys = (keys: readonly string[]): string[] => keys.filter((key) => !/\/key$/.test(key))

export interface World {
  readonly storage: Storage
  readonly mount: Harness
  now: number
  make(role: string, body?: JsonObject): Promise<MadeSecretId>
  login(roleId: string, secretId?: string): Promise<Grant>
  /** Why a login is refused: status and text. */
  refusal(roleId: string, secretId?: string): Promise<string>
  lookup(role: string, secretId: string): Promise<Record<string, unknown> | undefined>
}

/** Mounts the method over a store. */
export async function mounted(storage: Storage = memoryStorage()): Promise<World> {
  const clock = { now: 1_700_000_000_000 }
  const mount = await mountForTest(approle, storage, { now: () => clock.now })
  const login = async (role_id: string, secret_id?: string): Promise<Grant> => {
    const reply = await mount.write('login', secret_id === undefined ? { role_id } : { role_id, secret_id })
    assert.ok(reply?.grant)
    return reply.grant
  }
  return Object.assign(clock, {
    storage,
    mount,
    make: async (role: string, body: JsonObject = {}) =>
      data(await mount.write(`role/${role}/secret-id`, body)) as unknown as MadeSecretId,
    login,
    async refusal(roleId: string, secretId?: string) {
      const error: unknown = await login(roleId, secretId).catch((error: unknown) => error)
      assert.ok(error instanceof ApiError)
      return `${error.status} ${error.message}`
    },
    lookup: async (role: string, secret_id: string) =>
      data(await mount.write(`role/${role}/secret-id/lookup`, { secret_id })),
  })
}
