// Snapshots of whole servers: a backup taken under writers is one state; a restore is the old store or the new one, also over kill -9; the file shows no
// path; one of another store is refused, and with force comes with its seal.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { coffer, type ServerProcess, startDurable, startShamir } from './process.ts'

const snapshotPath = 'sys/storage/raft/snapshot'

const save = async (server: ServerProcess, token = server.rootToken): Promise<Buffer> => {
  const response = await fetch(`${server.url}/v1/${snapshotPath}`, { headers: { 'x-vault-token': token } })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'application/gzip')
  assert.equal(response.headers.get('content-disposition'), 'attachment')
  return Buffer.from(await response.arrayBuffer())
}

const restore = async (server: ServerProcess, file: Uint8Array, force = false, token = server.rootToken) => {
  const response = await fetch(`${server.url}/v1/${snapshotPath}${force ? '-force' : ''}`, {
    method: 'POST',
    headers: { 'x-vault-token': token },
    body: file as Uint8Array<ArrayBuffer>,
  })
  const text = await response.text()
  return { status: response.status, errors: text === '' ? [] : (JSON.parse(text) as { errors: string[] }).errors }
}

const put = async (server: ServerProcess, name: string, value: string) => {
  const answer = await server.call('POST', `kv/data/${name}`, { data: { value } })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
}
const value = async (server: ServerProcess, name: string): Promise<string | undefined> =>
  (await server.call('GET', `kv/data/${name}`)).body?.data?.data?.value

const mountKv = async (server: ServerProcess) =>
  assert.equal((await server.call('POST', 'sys/mounts/kv', { type: 'kv', options: { version: '2' } })).status, 204)

/** Runs the command line against a server. */
const cli = (server: ServerProcess, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(coffer, args, {
    encoding: 'utf8',
    env: { ...process.env, COFFER_ADDR: server.url, COFFER_TOKEN: server.rootToken },
  })
  return { status, stdout, stderr }
}

describe('snapshots of a server', () => {
  let server: ServerProcess
  before(async () => {
    server = await startDurable()
    await mountKv(server)
  })
  after(() => server.remove())

  test('what was saved comes back, what came later is gone, and nobody is logged out of the state of then', async () => {
    await put(server, 'team/secret-name', 'before')
    const made = await server.call('POST', 'auth/token/create', { policies: ['default'] })
    const file = await save(server)
    assert.ok(!gunzipSync(file).toString('latin1').includes('secret-name'))
    await put(server, 'team/secret-name', 'after')
    await put(server, 'team/later', 'x')
    await server.call('POST', 'sys/mounts/more', { type: 'kv' })
    const later = await server.call('POST', 'auth/token/create', { policies: ['default'] })
    await server.call('POST', 'auth/token/revoke', { token: made.body.auth.client_token })

    assert.deepEqual(await restore(server, file), { status: 204, errors: [] })
    assert.equal(await value(server, 'team/secret-name'), 'before')
    assert.equal(await value(server, 'team/later'), undefined)
    assert.equal((await server.call('GET', 'sys/mounts/more')).status, 400)
    const lookup = (token: string) =>
      server.call('GET', 'auth/token/lookup-self', undefined, { 'x-vault-token': token })
    assert.equal((await lookup(made.body.auth.client_token)).status, 200)
    assert.equal((await lookup(later.body.auth.client_token)).status, 403)
    // It goes on, over a restart too.
    await put(server, 'team/secret-name', 'again')
    assert.equal(await value(server, 'team/secret-name'), 'again')
    await server.end()
    server = await startDurable({ ...server, port: Number(new URL(server.url).port) })
    assert.equal(await value(server, 'team/secret-name'), 'again')
  })

  test('one taken while others write is one state', async () => {
    await put(server, 'pair/a', '0')
    await put(server, 'pair/b', '0')
    for (let i = 0; i < 300; i++) await put(server, `filler/${i}`, 'x'.repeat(2000))
    let going = true
    const writing = (async () => {
      // a is always written before b: no state has b ahead of a.
      for (let i = 1; going; i++) {
        await put(server, 'pair/a', String(i))
        await put(server, 'pair/b', String(i))
      }
    })()
    const files = [await save(server), await save(server)]
    going = false
    await writing
    for (const file of files) {
      assert.equal((await restore(server, file)).status, 204)
      const [a, b] = [Number(await value(server, 'pair/a')), Number(await value(server, 'pair/b'))]
      assert.ok(a === b || a === b + 1, `${a} ${b}`)
    }
  })

  test('keys that were rotated since are kept', async () => {
    await put(server, 'rotated', 'old')
    const file = await save(server)
    assert.equal((await server.call('POST', 'sys/rotate/root')).status, 204)
    assert.equal((await server.call('POST', 'sys/rotate')).status, 204)
    const { term } = (await server.call('GET', 'sys/key-status')).body.data
    await put(server, 'rotated', 'new')
    assert.equal((await restore(server, file)).status, 204)
    assert.equal(await value(server, 'rotated'), 'old')
    assert.equal((await server.call('GET', 'sys/key-status')).body.data.term, term)
  })

  test('a file that was altered, cut short or is none is refused, and nothing is changed', async () => {
    await put(server, 'kept', 'yes')
    const file = await save(server)
    await put(server, 'kept', 'still')
    const altered = Buffer.from(file)
    altered[Math.floor(file.length / 2)] = (altered[Math.floor(file.length / 2)] as number) ^ 1
    for (const bad of [altered, file.subarray(0, file.length - 100), Buffer.from('no'), Buffer.alloc(0)]) {
      const answer = await restore(server, bad)
      assert.equal(answer.status, 400, answer.errors.join())
      assert.match(answer.errors.join(), /snapshot/)
      assert.equal((await restore(server, bad, true)).status, 400)
    }
    assert.equal(await value(server, 'kept'), 'still')
  })

  test('policy, namespace and wrapping are minded', async () => {
    await server.call('PUT', 'sys/policies/acl/backup', {
      policy: `path "${snapshotPath}" { capabilities = ["read", "update"] }\npath "${snapshotPath}-force" { capabilities = ["update"] }`,
    })
    const made = await server.call('POST', 'auth/token/create', { policies: ['backup'] })
    const token = made.body.auth.client_token as string
    const file = await save(server, token)
    assert.equal((await restore(server, file, false, token)).status, 403, 'needs sudo')
    assert.equal((await restore(server, file, true, token)).status, 403, 'needs sudo')
    assert.equal((await restore(server, file, false, 'none')).status, 403)
    assert.equal((await server.call('POST', 'sys/namespaces/team')).status, 200)
    const inTeam = await server.call('GET', snapshotPath, undefined, { 'x-vault-namespace': 'team' })
    assert.equal(inTeam.status, 400)
    const wrapped = await server.call('GET', snapshotPath, undefined, { 'x-vault-wrap-ttl': '60' })
    assert.equal(wrapped.status, 400)
    const head = await fetch(`${server.url}/v1/${snapshotPath}`, {
      method: 'HEAD',
      headers: { 'x-vault-token': server.rootToken },
    })
    assert.equal(head.status, 200)
  })

  test('curl and the command line save and restore', async () => {
    await put(server, 'cli', 'one')
    const file = path.join(server.folder, 'backup.snap')
    const saved = cli(server, 'operator', 'raft', 'snapshot', 'save', file)
    assert.equal(saved.status, 0, saved.stderr)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const inspected = cli(server, 'operator', 'snapshot', 'inspect', '-format=json', file)
    assert.equal(inspected.status, 0, inspected.stderr)
    const facts = JSON.parse(inspected.stdout)
    assert.equal(facts.storage_type, 'sqlite')
    assert.equal(facts.storage_format, 2)
    assert.ok(facts.entries > 10)
    await put(server, 'cli', 'two')
    const restored = cli(server, 'operator', 'snapshot', 'restore', file)
    assert.equal(restored.status, 0, restored.stderr)
    assert.equal(await value(server, 'cli'), 'one')
    await put(server, 'cli', 'three')
    const curl = spawnSync('curl', [
      '-sS', '-o', '/dev/null', '-w', '%{http_code}', '-H', `X-Vault-Token: ${server.rootToken}`,
      '--request', 'POST', '--data-binary', `@${file}`, `${server.url}/v1/${snapshotPath}`,
    ], { encoding: 'utf8' }) // biome-ignore format: a command
    if (!curl.error) {
      assert.equal(curl.stdout, '204', curl.stderr)
      assert.equal(await value(server, 'cli'), 'one')
    }
    writeFileSync(file, readFileSync(file).subarray(0, 5000))
    const cut = cli(server, 'operator', 'snapshot', 'inspect', file)
    assert.equal(cut.status, 1)
    assert.match(cut.stderr, /cut short|cannot be read/)
    const refused = cli(server, 'operator', 'snapshot', 'restore', file)
    assert.equal(refused.status, 2)
    assert.match(refused.stderr, /snapshot/)
  })
})

test('a second server of the same store follows a restore', async () => {
  const one = await startDurable()
  const two = await startDurable({ folder: one.folder, rootToken: one.rootToken })
  try {
    await mountKv(one)
    for (let i = 0; i < 50; i++) await put(two, `filler/${i}`, 'x')
    await put(one, 'name', 'before')
    const file = await save(two)
    await put(one, 'name', 'after')
    let wrong: string | undefined
    let going = true
    let seen = 'after'
    const watching = (async () => {
      while (going) {
        const answer = await two.call('GET', 'kv/data/name')
        if (answer.status === 503) continue
        const now = answer.body?.data?.data?.value
        // Once the new state was seen the old one is gone.
        if (now !== 'after' && now !== 'before') wrong = `${answer.status} ${JSON.stringify(answer.body)}`
        if (seen === 'before' && now === 'after') wrong = 'back again'
        seen = now
      }
    })()
    assert.equal((await restore(one, file)).status, 204)
    for (const limit = Date.now() + 20_000; seen !== 'before' && Date.now() < limit; ) await pause(20)
    going = false
    await watching
    assert.equal(wrong, undefined)
    assert.equal(seen, 'before')
    await put(two, 'name', 'two')
    assert.equal(await value(one, 'name'), 'two')
  } finally {
    await two.end('SIGKILL')
    await one.remove()
  }
})

test('kill -9 in the middle of a restore leaves the old store or the new one, and the next start finishes it', async () => {
  let server = await startDurable()
  const port = Number(new URL(server.url).port)
  try {
    await mountKv(server)
    for (let i = 0; i < 40; i++) await put(server, `many/${i}`, 'new'.repeat(30_000))
    const file = await save(server)
    for (let i = 0; i < 40; i++) await put(server, `many/${i}`, 'old'.repeat(10))
    await put(server, 'extra', 'old')
    const outcomes = new Set<string>()
    for (const delay of [5, 60, 120, 180, 240, 300, 360, 420, 500]) {
      const answer = restore(server, file).catch(() => undefined)
      await pause(delay)
      await server.end('SIGKILL')
      await answer
      server = await startDurable({ ...server, port })
      const values = new Set<string>()
      for (let i = 0; i < 40; i++) values.add(((await value(server, `many/${i}`)) ?? '').slice(0, 3))
      values.add((await value(server, 'extra')) ? 'old' : 'new')
      assert.equal(values.size, 1, `one state: ${[...values]}`)
      const [state = ''] = values
      outcomes.add(state)
      if (state === 'new') {
        for (let i = 0; i < 40; i++) await put(server, `many/${i}`, 'old'.repeat(10))
        await put(server, 'extra', 'old')
      }
    }
    assert.ok(outcomes.has('old'), 'one was early enough')
    assert.equal((await restore(server, file)).status, 204)
  } finally {
    await server.remove()
  }
})

test('a snapshot of another store needs force, and its own keys afterwards', async () => {
  const old = await startShamir()
  const next = await startShamir()
  try {
    const up = async (server: ServerProcess) => {
      const init = await server.call('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 })
      const key = init.body.keys[0] as string
      await server.call('PUT', 'sys/unseal', { key })
      const token = init.body.root_token as string
      const headers = { 'x-vault-token': token }
      return {
        key,
        server: {
          ...server,
          rootToken: token,
          call: (m: string, p: string, b?: unknown) => server.call(m, p, b, headers),
        } as ServerProcess,
      }
    }
    const a = await up(old)
    const b = await up(next)
    await mountKv(a.server)
    await put(a.server, 'name', 'of the old one')
    await mountKv(b.server)
    await put(b.server, 'name', 'of the next one')
    const file = await save(a.server)
    const refused = await restore(b.server, file)
    assert.equal(refused.status, 400)
    assert.match(refused.errors.join(), /snapshot-force/)
    assert.equal(await value(b.server, 'name'), 'of the next one')

    assert.equal((await restore(b.server, file, true)).status, 204)
    assert.equal((await b.server.call('GET', 'sys/seal-status')).body.sealed, true)
    const wrong = await b.server.call('PUT', 'sys/unseal', { key: b.key })
    assert.equal(wrong.status, 400)
    const unsealed = await b.server.call('PUT', 'sys/unseal', { key: a.key })
    assert.equal(unsealed.body.sealed, false, JSON.stringify(unsealed.body))
    const restored = {
      ...b.server,
      call: (m: string, p: string, body?: unknown) => next.call(m, p, body, { 'x-vault-token': a.server.rootToken }),
    }
    assert.equal(await value(restored as ServerProcess, 'name'), 'of the old one')
    assert.equal((await b.server.call('GET', 'kv/data/name')).status, 403, 'tokens of before are gone')
    await put(restored as ServerProcess, 'name', 'goes on')
    assert.equal(unsealed.body.cluster_id, (await a.server.call('GET', 'sys/seal-status')).body.cluster_id)
  } finally {
    await old.remove()
    await next.remove()
  }
})

test('a forced snapshot that was altered is found out when its keys come, and the old store is back', async () => {
  const old = await startShamir()
  const next = await startDurable()
  try {
    const init = await old.call('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 })
    await old.call('PUT', 'sys/unseal', { key: init.body.keys[0] })
    const file = await save(old, init.body.root_token)
    await mountKv(next)
    await put(next, 'name', 'kept')
    // Altered and the sums made anew, as somebody who wants to harm would.
    const { tampered } = await import('./tamper.ts')
    assert.equal((await restore(next, await tampered(file), true)).status, 204)
    assert.equal((await next.call('GET', 'sys/seal-status')).body.sealed, true)
    const answer = await next.call('PUT', 'sys/unseal', { key: init.body.keys[0] })
    assert.equal(answer.status, 400)
    assert.match(answer.body.errors.join(), /does not authenticate/)
    await next.end()
    const again = await startDurable({ ...next, port: Number(new URL(next.url).port) })
    try {
      assert.equal(await value(again, 'name'), 'kept')
    } finally {
      await again.end()
    }
  } finally {
    await old.remove()
    await next.remove()
  }
})
