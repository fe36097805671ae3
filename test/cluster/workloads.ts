// Clients that work on all nodes at once and write down what they saw. Each workload is a loop that runs until it is told to stop, then
// brings what it has under way to an end, and gives the contradictions that the checkers find in its history.
import { setTimeout as pause } from 'node:timers/promises'
import { type Random, randomOf } from '../crash/random.ts'
import {
  checkLimit,
  checkRegister,
  checkRevoke,
  checkSwitch,
  type Flip,
  type RegisterOp,
  type Span,
  type Use,
} from './history.ts'
import type { Ask, Nodes, Reply } from './nodes.ts'

export interface Client {
  readonly nodes: Nodes
  readonly random: Random
  stopped(): boolean
  /** Counts an operation by what it was and what came of it. */
  count(name: string, reply: Reply): Reply
}

export type Workload = (client: Client) => Promise<string[]>

const anywhere = (client: Client, name: string, ask: Omit<Ask, 'token'> & { token?: string }): Promise<Reply> =>
  client.nodes
    .ask(client.random.below(client.nodes.count), { token: client.nodes.rootToken, ...ask })
    .then((reply) => client.count(name, reply))

/** Asks on one node after the other until it is done. */
async function surely(client: Client, name: string, ask: Omit<Ask, 'token'>): Promise<Reply> {
  for (;;) {
    const reply = await anywhere(client, name, ask)
    if (reply.outcome === 'ok') return reply
    if (reply.outcome === 'no') throw new Error(`${name}: ${reply.status} ${JSON.stringify(reply.body)}`)
    await pause(50)
  }
}

let made = 0
const fresh = (name: string): string => `${name}-${++made}`

/** Several writers of one register with check-and-set, each of which reads, then replaces what it has read. */
export const registers: Workload = async (client) => {
  const wrong: string[] = []
  while (!client.stopped()) {
    const name = fresh('register')
    const ops: RegisterOp[] = []
    const path = `kv2/data/${name}`
    const writer = async (id: number): Promise<void> => {
      for (let round = 0; round < 12 && !client.stopped(); round++) {
        const read = await anywhere(client, 'register read', { method: 'GET', path })
        if (read.outcome !== 'ok' && read.status !== 404) continue
        const version = read.body?.data?.metadata?.version ?? 0
        const { start, end } = read
        ops.push({ kind: 'read', start, end, version, value: read.body?.data?.data?.v ?? '' })
        const value = `${name}/${id}/${round}`
        const body = { options: { cas: version }, data: { v: value } }
        const reply = await anywhere(client, 'register write', { method: 'POST', path, body })
        const made = reply.outcome === 'ok' ? { version: reply.body.data.version } : {}
        ops.push({
          kind: 'write',
          start: reply.start,
          end: reply.end,
          cas: version,
          value,
          outcome: reply.outcome,
          ...made,
        })
      }
    }
    await Promise.all([0, 1, 2, 3, 4].map(writer))
    const last = await surely(client, 'register read', { method: 'GET', path }).catch(() => undefined)
    if (last) {
      const { metadata, data } = last.body.data
      ops.push({ kind: 'read', start: last.start, end: last.end, version: metadata.version, value: data.v })
    }
    wrong.push(...checkRegister(name, ops))
  }
  return wrong
}

/** Tries something on all nodes at once until it is refused everywhere. */
async function useUp(client: Client, name: string, ask: Ask): Promise<Use[]> {
  const uses: Use[] = []
  const user = async (): Promise<void> => {
    for (let refused = 0; refused < 2; ) {
      const reply = await anywhere(client, name, ask)
      uses.push(reply)
      if (reply.outcome === 'no') refused++
      if (reply.outcome === 'none' || reply.outcome === 'unknown') await pause(20)
    }
  }
  await Promise.all(Array.from({ length: 4 }, user))
  return uses
}

/** Tokens that may be used a few times, used by everybody at once. */
export const limitedTokens: Workload = async (client) => {
  const wrong: string[] = []
  while (!client.stopped()) {
    const limit = 1 + client.random.below(6)
    const body = { num_uses: limit, policies: ['default'], ttl: '1h' }
    const { body: answer } = await surely(client, 'token create', { method: 'POST', path: 'auth/token/create', body })
    const token: string = answer.auth.client_token
    const uses = await useUp(client, 'limited use', { token, method: 'GET', path: 'auth/token/lookup-self' })
    wrong.push(...checkLimit(fresh('limited token'), limit, uses))
  }
  return wrong
}

/** Wrapped answers, opened by everybody at once. */
export const unwraps: Workload = async (client) => {
  const wrong: string[] = []
  while (!client.stopped()) {
    const { body } = await surely(client, 'wrap', {
      method: 'POST',
      path: 'sys/wrapping/wrap',
      body: { v: 1 },
      headers: { 'x-vault-wrap-ttl': '10m' },
    })
    const token: string = body.wrap_info.token
    const uses = await useUp(client, 'unwrap', { token, method: 'POST', path: 'sys/wrapping/unwrap' })
    wrong.push(...checkLimit(fresh('wrapped answer'), 1, uses))
  }
  return wrong
}

/** Uses something over and over on all nodes until told to stop. */
function keepUsing(client: Client, name: string, ask: Ask) {
  const uses: Use[] = []
  let over = false
  const user = async (): Promise<void> => {
    while (!over) {
      const reply = await anywhere(client, name, ask)
      uses.push(reply)
      if (reply.outcome === 'none' || reply.outcome === 'unknown') await pause(10)
    }
  }
  const users = Promise.all(Array.from({ length: 4 }, user))
  return {
    uses,
    async stop() {
      over = true
      await users
    },
  }
}

/** Tokens that are used on all nodes while one node revokes them. */
export const revokes: Workload = async (client) => {
  const wrong: string[] = []
  while (!client.stopped()) {
    const body = { policies: ['default'], ttl: '1h' }
    const { body: answer } = await surely(client, 'token create', { method: 'POST', path: 'auth/token/create', body })
    const token: string = answer.auth.client_token
    const using = keepUsing(client, 'revocable use', { token, method: 'GET', path: 'auth/token/lookup-self' })
    await pause(20 + client.random.below(200))
    const revoke = await anywhere(client, 'revoke', { method: 'POST', path: 'auth/token/revoke', body: { token } })
    await pause(100)
    await using.stop()
    // One whose answer was lost may happen at any later time: nothing can be said of it.
    if (revoke.outcome === 'ok') wrong.push(...checkRevoke(fresh('revoked token'), revoke, using.uses))
  }
  return wrong
}

/** A policy that is switched on and off while a token that has it is used on all nodes. */
export const policyFlips: Workload = async (client) => {
  const wrong: string[] = []
  while (!client.stopped()) {
    const name = fresh('flip')
    const flips: Flip[] = []
    const flip = async (on: boolean): Promise<Span | undefined> => {
      const policy = `path "kv1/shared" { capabilities = ["${on ? 'read' : 'deny'}"] }`
      const path = `sys/policies/acl/${name}`
      const reply = await anywhere(client, 'policy flip', { method: 'PUT', path, body: { policy } })
      if (reply.outcome === 'ok') flips.push({ on, start: reply.start, end: reply.end })
      return reply.outcome === 'ok' || reply.outcome === 'none' ? reply : undefined
    }
    const body = { policies: [name], ttl: '1h' }
    const { body: answer } = await surely(client, 'token create', { method: 'POST', path: 'auth/token/create', body })
    const token: string = answer.auth.client_token
    let known = await flip(true)
    const using = keepUsing(client, 'switched use', { token, method: 'GET', path: 'kv1/shared' })
    // After an unknown outcome the policy may change at any time: it is left, and what was seen until then is judged.
    for (let on = false; known && !client.stopped() && flips.length < 20; on = !on) {
      await pause(client.random.below(60))
      known = await flip(on)
    }
    const until = known ? Number.POSITIVE_INFINITY : (flips.at(-1)?.end ?? 0)
    await using.stop()
    wrong.push(
      ...checkSwitch(
        name,
        flips,
        using.uses.filter(({ end }) => end <= until),
      ),
    )
  }
  return wrong
}

/** Runs every workload several times over on the same nodes until `stopped`; gives all contradictions. */
export async function runWorkloads(nodes: Nodes, seed: number, stopped: () => boolean, count: Client['count']) {
  const all: Workload[] = [registers, registers, limitedTokens, unwraps, revokes, policyFlips]
  const runs = all.map((workload, index) => workload({ nodes, random: randomOf(seed + index), stopped, count }))
  return (await Promise.all(runs)).flat()
}
