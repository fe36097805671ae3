// What every pair of nodes over one store must do: act on each change that the other one has acknowledged, in every request that is sent
// later. Nothing here knows which store it is, or whether the nodes are cores in one process or processes of their own.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Loose } from '../inside.ts'

export interface Reply {
  readonly status: number
  readonly body: Loose
}

export interface Asked {
  /** Root's unless given. */
  readonly token?: string
  readonly namespace?: string
  readonly headers?: Record<string, string>
}

/** A node, as a client sees it. */
export interface Peer {
  ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object, more?: Asked): Promise<Reply>
  /** Whether a browser may call from this origin. */
  allows(origin: string): Promise<boolean>
}

export interface Pair {
  readonly peers: readonly [Peer, Peer]
  close(): Promise<void>
}

/** Requests that are sent together right after a change was acknowledged: each of them must see it. */
const together = 8
/** Each change is made by one and then by the other. */
const rounds = 4

/** Registers the suite over a pair of nodes that `open` gives. */
export function consistencyContract(name: string, open: () => Promise<Pair>): void {
  describe(`consistency: ${name}`, { timeout: 300_000 }, () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'coffer-consistency-'))
    let pair: Pair
    before(async () => {
      pair = await open()
      const [one] = pair.peers
      await done(one, 'POST', 'sys/mounts/v1', { type: 'kv' })
      await done(one, 'POST', 'sys/mounts/v2', { type: 'kv', options: { version: '2' } })
      await done(one, 'POST', 'v1/x', { value: 'x' })
      await done(one, 'POST', 'sys/policies/acl/reader', { policy: 'path "v1/*" { capabilities = ["read"] }' })
      await done(one, 'POST', 'sys/auth/userpass', { type: 'userpass' })
      await done(one, 'POST', 'auth/userpass/users/ann', { password: 'first', token_policies: 'reader' })
    })
    after(async () => {
      await pair.close()
      rmSync(folder, { recursive: true, force: true })
    })
    const done = async (peer: Peer, method: 'GET' | 'POST' | 'DELETE', at: string, body?: object, more?: Asked) => {
      const reply = await peer.ask(method, at, body, more)
      assert.ok(reply.status < 300, `${method} ${at}: ${reply.status} ${JSON.stringify(reply.body)}`)
      return reply.body
    }
    const all = <T>(run: (index: number) => Promise<T>): Promise<T[]> =>
      Promise.all(Array.from({ length: together }, (_, index) => run(index)))
    /** Every one of the next requests has this status. */
    const expect = async (peer: Peer, status: number, at: string, more?: Asked): Promise<void> => {
      const replies = await all(() => peer.ask('GET', at, undefined, more))
      assert.deepEqual(
        replies.map((reply) => reply.status),
        replies.map(() => status),
        `GET ${at}: ${JSON.stringify(replies.find((reply) => reply.status !== status)?.body)}`,
      )
    }
    /** One test: the change goes from one node to the other, and back. */
    const change = (what: string, run: (from: Peer, to: Peer, round: number) => Promise<void>): void => {
      test(what, async () => {
        const [one, two] = pair.peers
        for (let round = 0; round < rounds; round++) await (round % 2 ? run(two, one, round) : run(one, two, round))
      })
    }
    const newToken = async (peer: Peer, more: object = {}): Promise<Loose> =>
      (await done(peer, 'POST', 'auth/token/create', { policies: ['reader'], ...more }))['auth']
    const login = async (peer: Peer, password: string): Promise<Reply> =>
      peer.ask('POST', 'auth/userpass/login/ann', { password }, { token: '' })

    change('a token that is revoked, by itself, its accessor or its parent', async (from, to) => {
      const ways: ((auth: Loose, parent: Loose) => Promise<unknown>)[] = [
        (auth) => done(from, 'POST', 'auth/token/revoke', { token: auth['client_token'] }),
        (auth) => done(from, 'POST', 'auth/token/revoke-accessor', { accessor: auth['accessor'] }),
        (auth) => done(from, 'POST', 'auth/token/revoke-self', {}, { token: auth['client_token'] }),
        (_, parent) => done(from, 'POST', 'auth/token/revoke', { token: parent['client_token'] }),
      ]
      for (const revoke of ways) {
        const parent = await newToken(from, { policies: ['reader', 'root'] })
        const auth = (await done(from, 'POST', 'auth/token/create', {}, { token: parent['client_token'] }))['auth']
        const token = auth.client_token as string
        await expect(to, 200, 'v1/x', { token })
        await revoke(auth, parent)
        await expect(to, 403, 'v1/x', { token })
      }
    })

    change('a policy that is written, narrowed and deleted', async (from, to, round) => {
      const name = `changing-${round}`
      const { client_token: token } = await newToken(from, { policies: [name] })
      await expect(to, 403, 'v1/x', { token })
      await done(from, 'POST', `sys/policies/acl/${name}`, { policy: 'path "v1/x" { capabilities = ["read"] }' })
      await expect(to, 200, 'v1/x', { token })
      await done(from, 'POST', `sys/policies/acl/${name}`, { policy: 'path "v1/x" { capabilities = ["deny"] }' })
      await expect(to, 403, 'v1/x', { token })
      await done(from, 'POST', `sys/policies/acl/${name}`, { policy: 'path "v1/x" { capabilities = ["read"] }' })
      await expect(to, 200, 'v1/x', { token })
      await done(from, 'DELETE', `sys/policies/acl/${name}`)
      await expect(to, 403, 'v1/x', { token })
    })

    change('a mount that is enabled, tuned, moved and disabled', async (from, to, round) => {
      await expect(to, 404, 'new/x')
      await done(from, 'POST', 'sys/mounts/new', { type: 'kv' })
      await done(to, 'POST', 'new/x', { value: '1' })
      await done(from, 'POST', 'sys/mounts/new/tune', { description: `round ${round}` })
      assert.equal((await done(to, 'GET', 'sys/mounts/new'))['data'].description, `round ${round}`)
      await done(from, 'POST', 'sys/remount', { from: 'new', to: 'moved' })
      await expect(to, 200, 'moved/x')
      await expect(to, 404, 'new/x')
      await done(from, 'DELETE', 'sys/mounts/moved')
      await expect(to, 404, 'moved/x')
    })

    change('an auth method that is enabled and disabled, with the tokens it gave', async (from, to) => {
      await done(from, 'POST', 'sys/auth/other', { type: 'userpass' })
      await done(to, 'POST', 'auth/other/users/ben', { password: 'pw', token_policies: 'reader' })
      const { auth } = (await from.ask('POST', 'auth/other/login/ben', { password: 'pw' }, { token: '' })).body
      await expect(to, 200, 'v1/x', { token: auth.client_token })
      await done(from, 'DELETE', 'sys/auth/other')
      await expect(to, 403, 'v1/x', { token: auth.client_token })
    })

    change('a password', async (from, to, round) => {
      await done(from, 'POST', 'auth/userpass/users/ann/password', { password: `pw-${round}` })
      assert.equal((await login(to, `pw-${round}`)).status, 200)
      await done(from, 'POST', 'auth/userpass/users/ann/password', { password: 'other' })
      assert.equal((await login(to, `pw-${round}`)).status, 400)
      assert.equal((await login(to, 'other')).status, 200)
    })

    change('a new key term', async (from, to, round) => {
      const before = (await done(to, 'GET', 'sys/key-status'))['data'].term
      await done(from, 'POST', 'sys/rotate', {})
      await done(from, 'POST', 'v1/rotated', { value: String(round) })
      const replies = await all(() => done(to, 'GET', 'v1/rotated'))
      for (const reply of replies) assert.equal(reply['data'].value, String(round))
      assert.equal((await done(to, 'GET', 'sys/key-status'))['data'].term, before + 1)
    })

    change('a new root key', async (from, to) => {
      await done(from, 'POST', 'sys/rotate/root', {})
      await done(from, 'POST', 'v1/rotated', { value: 'root' })
      await expect(to, 200, 'v1/rotated')
      await done(to, 'POST', 'v1/rotated', { value: 'back' })
    })

    change('a secret that is written, changed and deleted', async (from, to, round) => {
      for (const version of [1, 2]) {
        await done(from, 'POST', `v2/data/s${round}`, { data: { version }, options: { cas: version - 1 } })
        const replies = await all(() => done(to, 'GET', `v2/data/s${round}`))
        for (const reply of replies) assert.equal(reply['data'].data.version, version)
      }
      await done(from, 'DELETE', `v2/data/s${round}`)
      await expect(to, 404, `v2/data/s${round}`)
      await done(from, 'POST', `v2/undelete/s${round}`, { versions: [2] })
      await expect(to, 200, `v2/data/s${round}`)
      await done(from, 'DELETE', `v2/metadata/s${round}`)
      await expect(to, 404, `v2/metadata/s${round}`)
    })

    change('an answer that was unwrapped', async (from, to) => {
      const wrapped = await from.ask('GET', 'v1/x', undefined, { headers: { 'x-vault-wrap-ttl': '60' } })
      const { token } = wrapped.body['wrap_info']
      await done(to, 'POST', 'sys/wrapping/lookup', { token })
      await done(from, 'POST', 'sys/wrapping/unwrap', { token })
      for (const reply of await all(() => to.ask('POST', 'sys/wrapping/unwrap', { token })))
        assert.equal(reply.status, 400)
    })

    change('an entity that is disabled, enabled and deleted', async (from, to, round) => {
      await done(from, 'POST', 'auth/userpass/users/ann/password', { password: `e-${round}` })
      const { auth } = (await login(from, `e-${round}`)).body
      const more = { token: auth.client_token as string }
      await expect(to, 200, 'v1/x', more)
      const entity = `identity/entity/id/${auth.entity_id}`
      await done(from, 'POST', entity, { disabled: true })
      await expect(to, 403, 'v1/x', more)
      await done(from, 'POST', entity, { disabled: false })
      await expect(to, 200, 'v1/x', more)
      await done(from, 'DELETE', entity)
      await expect(to, 403, 'v1/x', more)
    })

    change('a namespace that is created, locked, unlocked and deleted', async (from, to, round) => {
      const namespace = `team${round}`
      const more = { namespace }
      await expect(to, 404, 'sys/mounts', more)
      await done(from, 'POST', `sys/namespaces/${namespace}`, {})
      await expect(to, 200, 'sys/mounts', more)
      const lock = (await done(from, 'POST', `sys/namespaces/api-lock/lock/${namespace}`, {}))['data']
      await expect(to, 503, 'sys/mounts', more)
      await done(from, 'POST', `sys/namespaces/api-lock/unlock/${namespace}`, { unlock_key: lock.unlock_key })
      await expect(to, 200, 'sys/mounts', more)
      await done(from, 'DELETE', `sys/namespaces/${namespace}`)
      await expect(to, 404, 'sys/mounts', more)
    })

    change('a namespace that is sealed; each node is unsealed with its shares', async (from, to, round) => {
      const namespace = `safe${round}`
      const at = `sys/namespaces/${namespace}`
      const made = await done(from, 'POST', at, { seal: 'seal "shamir" { shares = 1 threshold = 1 }' })
      const [key] = made['data'].key_shares
      await expect(to, 503, 'sys/mounts', { namespace })
      await done(to, 'POST', `${at}/unseal`, { key })
      await done(from, 'POST', 'sys/mounts/kv', { type: 'kv' }, { namespace })
      await done(from, 'POST', 'kv/x', { value: 'safe' }, { namespace })
      for (let times = 0; times < 2; times++) {
        await expect(to, 200, 'kv/x', { namespace })
        await done(from, 'POST', `${at}/seal`, {})
        await expect(to, 503, 'kv/x', { namespace })
        await done(from, 'POST', `${at}/unseal`, { key })
        await expect(from, 200, 'kv/x', { namespace })
        await expect(to, 503, 'kv/x', { namespace })
        await done(to, 'POST', `${at}/unseal`, { key })
      }
      await done(from, 'DELETE', at)
      await expect(to, 404, 'kv/x', { namespace })
    })

    change('an audit device that is enabled and disabled, and a header it writes', async (from, to, round) => {
      const file = path.join(folder, `audit-${round}.log`)
      const lines = (marker: string): string[] =>
        readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line.includes(marker))
      const send = (marker: string) =>
        all((index) => to.ask('GET', `v1/${marker}-${index}`, undefined, { headers: { 'x-trace': `trace-${marker}` } }))
      await done(from, 'POST', `sys/audit/round${round}`, { type: 'file', options: { file_path: file } })
      await send('recorded')
      assert.equal(lines('v1/recorded-').length, 2 * together, 'question and answer of each')
      await done(from, 'POST', 'sys/config/auditing/request-headers/X-Trace', { hmac: false })
      await send('headed')
      assert.equal(lines('trace-headed').length, 2 * together)
      await done(from, 'DELETE', 'sys/config/auditing/request-headers/X-Trace')
      await send('bare')
      assert.deepEqual([lines('trace-bare').length, lines('v1/bare-').length], [0, 2 * together])
      await done(from, 'DELETE', `sys/audit/round${round}`)
      await send('unrecorded')
      assert.equal(lines('v1/unrecorded-').length, 0)
    })

    change('the origins that browsers may call from', async (from, to, round) => {
      const origin = `https://ui${round}.example.com`
      assert.equal(await to.allows(origin), false)
      await done(from, 'POST', 'sys/config/cors', { allowed_origins: [origin] })
      assert.deepEqual(new Set(await all(() => to.allows(origin))), new Set([true]))
      await done(from, 'DELETE', 'sys/config/cors')
      assert.deepEqual(new Set(await all(() => to.allows(origin))), new Set([false]))
    })
  })
}
