// Two server processes over one store: what one has taken away, the other no longer gives; what may happen once happens once on both.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Answer, type ServerProcess, startDurable } from '../process.ts'
import { type World, world } from './world.ts'

const many = 40

let one: World
let two: World
let first: ServerProcess
let second: ServerProcess

before(async () => {
  first = await startDurable({ extra: 'node_name = "one"\napi_addr = "http://one.example.com:8200"' })
  // The same store behind another port: the configuration of the first is in its memory by now.
  second = await startDurable({ folder: first.folder, rootToken: first.rootToken, extra: 'node_name = "two"' })
  one = world(first)
  two = world(second)
  await one.root('POST', 'sys/mounts/v1', { type: 'kv' })
  await one.root('POST', 'sys/mounts/v2', { type: 'kv', options: { version: '2' } })
  await one.root('PUT', 'v1/x', { value: 'one' })
  await one.policy('reader', 'path "v1/*" { capabilities = ["read"] }')
})
after(async () => {
  await second.end('SIGKILL')
  await first.remove()
})

const both = (count: number, run: (w: World, index: number) => Promise<Answer>): Promise<Answer[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => run(index % 2 ? one : two, index)))
const count = (answers: readonly Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length

test('what one writes, mounts and grants, the other serves at once', async () => {
  for (let round = 0; round < 20; round++) {
    const [from, to] = round % 2 ? [one, two] : [two, one]
    await from.root('PUT', 'v1/turn', { value: String(round) })
    assert.equal((await to.root('GET', 'v1/turn')).body.data.value, String(round))
  }
  await one.root('POST', 'sys/mounts/new', { type: 'kv' })
  await two.root('PUT', 'new/x', { value: 'there' })
  const token = await one.token(['reader'])
  assert.equal((await two.as(token, 'GET', 'v1/x')).status, 200)
  await two.root('DELETE', 'sys/mounts/new')
  assert.equal((await one.as(first.rootToken, 'GET', 'new/x')).status, 404)
})

test('a group that is changed on one holds for the next request on the other', async () => {
  await one.policy('grouped', 'path "v1/x" { capabilities = ["read"] }')
  await one.root('POST', 'sys/auth/people', { type: 'userpass' })
  await one.root('POST', 'auth/people/users/ann', { password: 'pw-ann-1' })
  const { body } = await one.as('', 'POST', 'auth/people/login/ann', { password: 'pw-ann-1' })
  const { client_token: token, entity_id: entity } = body.auth
  await one.root('POST', 'identity/group/name/g', { policies: ['grouped'] })
  for (let round = 0; round < 10; round++) {
    const [from, to] = round % 2 ? [one, two] : [two, one]
    await from.root('POST', 'identity/group/name/g', { member_entity_ids: [entity], policies: ['grouped'] })
    assert.equal((await to.as(token, 'GET', 'v1/x')).status, 200, `round ${round}`)
    const taken = round < 5 ? { member_entity_ids: [] } : { policies: [] }
    await to.root('POST', 'identity/group/name/g', taken)
    assert.equal((await from.as(token, 'GET', 'v1/x')).status, 403, `round ${round}`)
  }
})

test('an authorization code is good once on both together', async () => {
  await one.root('POST', 'sys/auth/apps', { type: 'userpass' })
  await one.root('POST', 'auth/apps/users/ann', { password: 'pw-ann-1' })
  const { body } = await one.as('', 'POST', 'auth/apps/login/ann', { password: 'pw-ann-1' })
  const redirect = 'https://app.example.com/cb'
  await two.root('POST', 'identity/oidc/client/app', { redirect_uris: redirect, assignments: 'allow_all' })
  const { client_id, client_secret } = (await one.root('GET', 'identity/oidc/client/app')).body.data
  const provider = 'identity/oidc/provider/default'
  for (let round = 0; round < 5; round++) {
    const asked = { client_id, redirect_uri: redirect, response_type: 'code', scope: 'openid' }
    const { code } = (await one.as(body.auth.client_token, 'POST', `${provider}/authorize`, asked)).body
    const exchange = { grant_type: 'authorization_code', redirect_uri: redirect, code, client_id, client_secret }
    const answers = await both(8, (w) => w.as('', 'POST', `${provider}/token`, exchange))
    assert.deepEqual([count(answers, 200), count(answers, 400)], [1, 7], `round ${round}`)
  }
})

test('a token with seven uses has seven on both together', async () => {
  const token = await one.token(['reader'], { num_uses: 7 })
  const answers = await both(many, (w) => w.as(token, 'GET', 'v1/x'))
  assert.deepEqual([count(answers, 200), count(answers, 403)], [7, many - 7])
})

test('a wrapping token is unwrapped on one of them', async () => {
  for (let round = 0; round < 3; round++) {
    const wrapped = await one.root('GET', 'v1/x', undefined, { 'x-vault-wrap-ttl': '60' })
    const { token } = wrapped.body.wrap_info
    const answers = await both(many, (w) =>
      w.as('', 'POST', 'sys/wrapping/unwrap', undefined, { authorization: `Bearer ${token}` }),
    )
    assert.equal(count(answers, 200), 1)
  }
})

test('check-and-set has one winner, and no version is lost without it', async () => {
  for (let version = 0; version < 3; version++) {
    const answers = await both(many, (w, index) =>
      w.as(first.rootToken, 'PUT', 'v2/data/raced', { data: { writer: index }, options: { cas: version } }),
    )
    assert.deepEqual([count(answers, 200), count(answers, 400)], [1, many - 1], `version ${version}`)
  }
  const answers = await both(many, (w, index) =>
    w.as(first.rootToken, 'PUT', 'v2/data/counted', { data: { writer: index } }),
  )
  const versions = answers.map((answer) => answer.body.data?.version).sort((a, b) => a - b)
  assert.deepEqual(
    versions,
    Array.from({ length: many }, (_, index) => index + 1),
  )
})

test('an answer that has written says where, for any node and any form of asking', async () => {
  const index = async (w: World, method: string, path: string, body?: unknown): Promise<string | null> =>
    (await w.root(method, path, body)).headers.get('x-vault-index')
  const revisions: number[] = []
  for (const w of [one, two, one]) {
    const text = Buffer.from((await index(w, 'PUT', 'v1/indexed', { value: 'x' })) ?? '', 'base64').toString()
    const [, cluster, local, replicated] = /^v1:([0-9a-f-]{36}):(\d+):(\d+):$/.exec(text) ?? []
    assert.equal(cluster, (await w.root('GET', 'sys/seal-status')).body.cluster_id)
    assert.equal(local, replicated)
    revisions.push(Number(local))
  }
  assert.deepEqual(
    revisions,
    [...new Set(revisions)].sort((a, b) => a - b),
    'it grows',
  )
  assert.equal(await index(one, 'GET', 'v1/indexed'), null)
  const once = await one.token(['reader'], { num_uses: 3 })
  const use = await two.as(once, 'GET', 'v1/x')
  assert.ok(use.headers.get('x-vault-index'), 'a use is written')
  const known = (await index(one, 'PUT', 'v1/indexed', { value: 'y' })) as string
  for (const sent of [known, `${known}, ${known}`, 'nonsense', Buffer.from('v1:other:1:2:').toString('base64')])
    for (const inconsistent of ['fail', 'forward-active-node', '']) {
      const headers = { 'x-vault-index': sent, 'x-vault-inconsistent': inconsistent, 'x-vault-forward': 'active-node' }
      assert.equal((await two.root('GET', 'v1/indexed', undefined, headers)).body.data.value, 'y')
    }
})

interface NodeRow {
  readonly node_name: string
  readonly state: string
  readonly active_node: boolean
  readonly api_address: string
  readonly pid: number
  readonly last_echo: string
}
const nodesOf = async (w: World): Promise<Record<string, NodeRow>> => {
  const { body } = await w.root('GET', 'sys/ha-status')
  assert.deepEqual(body.nodes, body.data.nodes, 'where clients look for it')
  return Object.fromEntries((body.nodes as NodeRow[]).map((node) => [node.node_name, node]))
}

test('each lists both, with address, process and a fresh sign of life', async () => {
  for (const w of [one, two]) {
    const nodes = await nodesOf(w)
    assert.deepEqual(Object.keys(nodes).sort(), ['one', 'two'])
    assert.deepEqual(
      [nodes['one']?.pid, nodes['two']?.pid, nodes['one']?.api_address],
      [first.child.pid, second.child.pid, 'http://one.example.com:8200'],
    )
    for (const node of Object.values(nodes)) {
      assert.deepEqual([node.state, node.active_node], ['active', true])
      assert.ok(Math.abs(Date.now() - Date.parse(node.last_echo)) < 15_000)
    }
  }
  await one.root('PUT', 'sys/seal')
  assert.equal((await nodesOf(two))['one']?.state, 'sealed')
})

/** Waits until the second node tells this of another one. */
async function untilState(name: string, state: string, ms: number): Promise<void> {
  for (const limit = Date.now() + ms; (await nodesOf(two))[name]?.state !== state; ) {
    assert.ok(Date.now() < limit, `${name} does not get ${state}`)
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

test('one that ends signs off; one that dies is silent after 15 seconds, and the other goes on', async () => {
  const third = await startDurable({ folder: first.folder, rootToken: first.rootToken, extra: 'node_name = "three"' })
  await untilState('three', 'active', 5_000)
  await third.end('SIGTERM')
  assert.equal((await nodesOf(two))['three'], undefined)
  await first.end('SIGKILL')
  await two.root('PUT', 'v1/alone', { value: 'still here' })
  assert.equal((await two.root('GET', 'v1/alone')).body.data.value, 'still here')
  await untilState('one', 'silent', 30_000)
  assert.equal((await nodesOf(two))['one']?.active_node, false)
  assert.equal((await nodesOf(two))['two']?.state, 'active')
})
