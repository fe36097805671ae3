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
  first = await startDurable()
  // The same store behind another port: the configuration of the first is in its memory by now.
  second = await startDurable({ folder: first.folder, rootToken: first.rootToken })
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

test('a policy that is changed on one holds for the next request on the other', async () => {
  const token = await one.token(['changing'])
  for (let round = 0; round < 10; round++) {
    const [from, to] = round % 2 ? [one, two] : [two, one]
    await from.policy('changing', 'path "v1/x" { capabilities = ["read"] }')
    assert.equal((await to.as(token, 'GET', 'v1/x')).status, 200, `round ${round}`)
    await to.policy('changing', 'path "v1/x" { capabilities = ["deny"] }')
    assert.equal((await from.as(token, 'GET', 'v1/x')).status, 403, `round ${round}`)
  }
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

test('a token that is revoked on one is dead on the other', async () => {
  for (let round = 0; round < 10; round++) {
    const [from, to] = round % 2 ? [one, two] : [two, one]
    const token = await from.token(['reader'])
    assert.equal((await to.as(token, 'GET', 'v1/x')).status, 200)
    await from.root('POST', 'auth/token/revoke', { token })
    assert.equal((await to.as(token, 'GET', 'v1/x')).status, 403)
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

test('a new term of the keyring made by one is known to the other', async () => {
  await one.root('PUT', 'sys/rotate')
  await one.root('PUT', 'v1/rotated', { value: 'new term' })
  assert.equal((await two.root('GET', 'v1/rotated')).body.data.value, 'new term')
  assert.equal((await two.root('GET', 'sys/key-status')).body.data.term, 2)
  await two.root('PUT', 'v1/rotated', { value: 'from two' })
  assert.equal((await one.root('GET', 'v1/rotated')).body.data.value, 'from two')
})

test('one that dies leaves the other working', async () => {
  await first.end('SIGKILL')
  await two.root('PUT', 'v1/alone', { value: 'still here' })
  assert.equal((await two.root('GET', 'v1/alone')).body.data.value, 'still here')
})
