// The workers of a server are one machine to those who unseal it: shares land on any of them, all open and all seal, and a worker that is
// started anew learns from the others.
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { freePort, newFolder, type ServerProcess, startDurable, startShamir } from '../process.ts'
import { type Ask, allServe, asker, countOf, enough, inRow, many, pidsOf, removePool, until } from './pool.ts'

const servers: ServerProcess[] = []
after(async () => {
  for (const server of servers) await removePool(server)
})

interface Sealed {
  readonly server: ServerProcess
  readonly ask: Ask
  readonly keys: readonly string[]
  readonly root: string
}

/** A server with Shamir's seal, 3 of 5, initialised and sealed. */
async function sealedServer(): Promise<Sealed> {
  const server = await startShamir({ args: ['-workers=2'] })
  servers.push(server)
  await allServe(server)
  const init = await asker(server)('PUT', 'sys/init', { secret_shares: 5, secret_threshold: 3 })
  assert.equal(init.status, 200)
  const { keys, root_token: root } = init.body
  return { server, ask: asker(server, root), keys, root }
}

/** What seal-status says, asked so often that both workers have answered: each different answer once. */
const statuses = async (ask: Ask, at = 'sys/seal-status'): Promise<string[]> => {
  const answers = await inRow(enough, () => ask('GET', at))
  const said = answers.map(({ body }) => body.data ?? body)
  return [...new Set(said.map(({ sealed, progress, nonce }) => JSON.stringify({ sealed, progress, nonce })))]
}
const state = (sealed: boolean, progress: number, nonce: string) => [JSON.stringify({ sealed, progress, nonce })]

/** Kills a worker and waits until another process has its place. */
async function restart(server: ServerProcess, number: number): Promise<void> {
  const pid = pidsOf(server).get(number) as number
  process.kill(pid, 'SIGKILL')
  await until(server, 'the worker serves again', () => pidsOf(server).get(number) !== pid)
}

describe('with key shares', () => {
  test('shares over any connections count together; all open, all seal', async () => {
    const { ask, keys } = await sealedServer()
    const first = await ask('PUT', 'sys/unseal', { key: keys[0] }, '')
    assert.equal(first.body.progress, 1)
    assert.deepEqual(await statuses(ask), state(true, 1, first.body.nonce))
    // The same share again, on whichever worker, counts once.
    for (const answer of await many(10, () => ask('PUT', 'sys/unseal', { key: keys[0] }, '')))
      assert.equal(answer.body.progress, 1)
    assert.equal((await ask('PUT', 'sys/unseal', { reset: true }, '')).body.progress, 0)
    assert.deepEqual(await statuses(ask), state(true, 0, ''))
    // All at once, each over a connection of its own.
    await Promise.all(keys.slice(1, 4).map((key) => ask('PUT', 'sys/unseal', { key }, '')))
    assert.deepEqual(await statuses(ask), state(false, 0, ''))
    assert.equal(countOf(await many(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
    // Sealed is answered when all are.
    assert.equal((await ask('PUT', 'sys/seal')).status, 204)
    assert.deepEqual(await statuses(ask), state(true, 0, ''))
    assert.equal(countOf(await inRow(enough, () => ask('GET', 'auth/token/lookup-self')), 503), enough)
    for (const key of keys.slice(0, 3)) await ask('PUT', 'sys/unseal', { key }, '')
    assert.equal(countOf(await many(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
  })

  test('wrong shares clear the progress everywhere', async () => {
    const { ask, keys } = await sealedServer()
    const wrong = `${'ab'.repeat(32)}07`
    await ask('PUT', 'sys/unseal', { key: keys[0] }, '')
    await ask('PUT', 'sys/unseal', { key: keys[1] }, '')
    assert.equal((await ask('PUT', 'sys/unseal', { key: wrong }, '')).status, 400)
    assert.deepEqual(await statuses(ask), state(true, 0, ''))
  })

  test('a worker that is started anew has the progress, and later the keys, of the others', async () => {
    const { server, ask, keys } = await sealedServer()
    await ask('PUT', 'sys/unseal', { key: keys[0] }, '')
    const second = await ask('PUT', 'sys/unseal', { key: keys[1] }, '')
    for (const number of [1, 2]) await restart(server, number)
    assert.deepEqual(await statuses(ask), state(true, 2, second.body.nonce))
    await ask('PUT', 'sys/unseal', { key: keys[2] }, '')
    for (const number of [1, 2, 1, 2]) await restart(server, number)
    assert.deepEqual(await statuses(ask), state(false, 0, ''))
    assert.equal(countOf(await many(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
    // A new root key does not part them.
    assert.equal((await ask('POST', 'sys/rotate/root')).status, 204)
    await restart(server, 1)
    assert.equal(countOf(await many(enough, () => ask('GET', 'auth/token/lookup-self')), 200), enough)
  })

  test('when all workers end together people are needed again', async () => {
    const { server, ask, keys } = await sealedServer()
    for (const key of keys.slice(0, 3)) await ask('PUT', 'sys/unseal', { key }, '')
    const before = pidsOf(server)
    for (const pid of before.values()) process.kill(pid, 'SIGKILL')
    await until(server, 'both serve again', () =>
      [...pidsOf(server)].every(([number, pid]) => before.get(number) !== pid),
    )
    assert.deepEqual(await statuses(ask), state(true, 0, ''))
  })
})

test('init opens all workers of a server that unseals itself, and a seal by hand outlives a worker', async () => {
  const server = await startDurable({ args: ['-workers=2'] })
  servers.push(server)
  await allServe(server)
  const ask = asker(server)
  assert.equal(countOf(await many(enough, () => ask('GET', 'sys/health', undefined, '')), 200), enough)
  assert.equal((await ask('PUT', 'sys/seal')).status, 204)
  await restart(server, 1)
  await restart(server, 2)
  assert.equal(countOf(await inRow(enough, () => ask('GET', 'sys/health', undefined, '')), 503), enough)
  // Only when none is left is it a start like any other.
  const before = pidsOf(server)
  for (const pid of before.values()) process.kill(pid, 'SIGKILL')
  await until(server, 'both serve again', () =>
    [...pidsOf(server)].every(([number, pid]) => before.get(number) !== pid),
  )
  assert.equal(countOf(await inRow(enough, () => ask('GET', 'sys/health', undefined, '')), 200), enough)
})

test('a namespace with keys of its own opens and seals on all workers', async () => {
  const folder = newFolder()
  const port = await freePort()
  const server = await startDurable({ folder, port, args: ['-workers=2'] })
  servers.push(server)
  await allServe(server)
  const ask = asker(server)
  const made = await ask('POST', 'sys/namespaces/team', { seal: 'seal "shamir" { shares = 3 threshold = 2 }' })
  assert.equal(made.status, 200)
  const shares = made.body.data.key_shares as string[]
  assert.equal((await ask('POST', 'team/sys/mounts/v1', { type: 'kv' })).status, 204)
  assert.equal((await ask('PUT', 'team/v1/x', { value: 'theirs' })).status, 204)
  const readable = async () => countOf(await inRow(enough, () => ask('GET', 'team/v1/x')), 200)
  assert.equal(await readable(), enough)
  await restart(server, 1)
  await restart(server, 2)
  assert.equal(await readable(), enough, 'siblings give the keys of namespaces too')
  assert.equal((await ask('POST', 'sys/namespaces/team/seal')).status, 204)
  assert.equal(await readable(), 0)
  const at = 'sys/namespaces/team/seal-status'
  const first = await ask('POST', 'sys/namespaces/team/unseal', { key: shares[0] })
  assert.deepEqual(await statuses(ask, at), state(true, 1, first.body.data.nonce))
  await ask('POST', 'sys/namespaces/team/unseal', { key: shares[2] })
  assert.deepEqual(await statuses(ask, at), state(false, 0, ''))
  assert.equal(await readable(), enough)
  // Also when the shares are told in a wrapped answer.
  const seal = 'seal "shamir" { shares = 1 threshold = 1 }'
  const wrapped = await ask('POST', 'sys/namespaces/wrapped', { seal }, server.rootToken, { 'x-vault-wrap-ttl': '60' })
  assert.ok(wrapped.body.wrap_info.token)
  assert.equal(countOf(await inRow(enough, () => ask('GET', 'wrapped/sys/mounts')), 200), enough)
})
