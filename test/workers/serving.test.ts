// Two workers behind one port: every connection is served, by whichever worker it lands on, and what one has done holds for the other.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ServerProcess, startDurable } from '../process.ts'
import {
  type Ask,
  alive,
  allServe,
  asker,
  countOf,
  enough,
  inRow,
  many,
  pidsOf,
  removePool,
  servedBy,
  tellsWorkers,
} from './pool.ts'

let server: ServerProcess
let ask: Ask

before(async () => {
  server = await startDurable({ extra: `workers = 2\n${tellsWorkers}` })
  await allServe(server)
  ask = asker(server)
  assert.equal((await ask('POST', 'sys/mounts/v1', { type: 'kv' })).status, 204)
  assert.equal((await ask('POST', 'sys/mounts/v2', { type: 'kv', options: { version: '2' } })).status, 204)
  assert.equal((await ask('PUT', 'v1/x', { value: 'one' })).status, 204)
  const policy = 'path "v1/*" { capabilities = ["read"] }'
  assert.equal((await ask('PUT', 'sys/policies/acl/reader', { policy })).status, 204)
})
after(() => removePool(server))

const token = async (more: object = {}): Promise<string> =>
  (await ask('POST', 'auth/token/create', { policies: ['reader'], ...more })).body.auth.client_token

test('the ready lines come once, with one process for each worker', () => {
  assert.equal(server.output().match(/listening on/g)?.length, 1)
  const pids = [...pidsOf(server).values()]
  assert.equal(new Set([...pids, server.child.pid]).size, 3)
  assert.ok(pids.every(alive))
})

test('requests over many connections are all answered, by both workers', async () => {
  const before = servedBy(server)
  const answers = await many(200, () => ask('GET', 'v1/x'))
  assert.equal(countOf(answers, 200), 200)
  const served = servedBy(server)
  for (const worker of [1, 2]) {
    const count = (served.get(worker) ?? 0) - (before.get(worker) ?? 0)
    assert.ok(count >= 20, `worker ${worker} served ${count} of 200`)
  }
})

test('what one worker writes, the next request reads from any', async () => {
  for (let round = 0; round < enough; round++) {
    assert.equal((await ask('PUT', 'v1/turn', { value: String(round) })).status, 204)
    assert.equal((await ask('GET', 'v1/turn')).body.data.value, String(round))
  }
})

test('check-and-set has one winner, and no version is lost', async () => {
  for (let version = 0; version < 5; version++) {
    const body = (writer: number) => ({ data: { writer }, options: { cas: version } })
    const answers = await many(40, (index) => ask('PUT', 'v2/data/raced', body(index)))
    assert.deepEqual([countOf(answers, 200), countOf(answers, 400)], [1, 39], `version ${version}`)
  }
  const answers = await many(60, (index) => ask('PUT', 'v2/data/counted', { data: { index } }))
  const versions = answers.map(({ body }) => body.data?.version).sort((a, b) => a - b)
  assert.deepEqual(
    versions,
    Array.from({ length: 60 }, (_, index) => index + 1),
  )
})

test('a token with seven uses has seven over all workers', async () => {
  const limited = await token({ num_uses: 7 })
  const answers = await many(60, () => ask('GET', 'v1/x', undefined, limited))
  assert.deepEqual([countOf(answers, 200), countOf(answers, 403)], [7, 53])
})

test('a revocation that was acknowledged holds for the next request to any worker', async () => {
  for (let round = 0; round < 3; round++) {
    const doomed = await token()
    // Every worker has it in its cache by now.
    assert.equal(countOf(await inRow(enough, () => ask('GET', 'v1/x', undefined, doomed)), 200), enough)
    assert.equal((await ask('POST', 'auth/token/revoke', { token: doomed })).status, 204)
    assert.equal(countOf(await inRow(enough, () => ask('GET', 'v1/x', undefined, doomed)), 403), enough)
  }
})

test('a change of policy holds for the next request to any worker', async () => {
  const caller = await token({ policies: ['changing'] })
  for (const [capability, status] of [
    ['read', 200],
    ['deny', 403],
    ['read', 200],
  ] as const) {
    const policy = `path "v1/x" { capabilities = ["${capability}"] }`
    assert.equal((await ask('PUT', 'sys/policies/acl/changing', { policy })).status, 204)
    assert.equal(countOf(await inRow(enough, () => ask('GET', 'v1/x', undefined, caller)), status), enough)
  }
})

test('logins work on all workers, each with a hasher of its own', async () => {
  assert.equal((await ask('POST', 'sys/auth/userpass', { type: 'userpass' })).status, 204)
  assert.equal((await ask('POST', 'auth/userpass/users/ann', { password: 'correct horse' })).status, 204)
  const answers = await many(12, () => ask('POST', 'auth/userpass/login/ann', { password: 'correct horse' }, ''))
  assert.equal(countOf(answers, 200), 12)
})

test('generate-root and rekey take their shares on any worker', async () => {
  const begun = await ask('PUT', 'sys/generate-root/attempt', {}, '')
  assert.equal(begun.status, 200)
  const answers = await inRow(enough, () => ask('GET', 'sys/generate-root/attempt', undefined, ''))
  assert.ok(answers.every(({ body }) => body.started && body.nonce === begun.body.nonce))
  assert.equal((await ask('DELETE', 'sys/generate-root/attempt', undefined, '')).status, 204)
})
