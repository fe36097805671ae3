// Init, unseal, seal, rekey, rotate and generate-root of a running server against Vault's documented API: both families of paths,
// shares that are wrong, repeated or of another store, recovery keys, health, and what a restart keeps.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { type OpenApi, targetsOf } from './http/wrong-values.ts'
import { type Answer, type ServerProcess, startDurable, startShamir } from './process.ts'

const none = { 'x-vault-token': '' }
const as = (token: string) => ({ 'x-vault-token': token })

/** A server with shares, asked without a token unless one is given. */
async function shamir(shares = 5, threshold = 3, listener = '') {
  const server = await startShamir({ listener })
  const init = await server.call('PUT', 'sys/init', { secret_shares: shares, secret_threshold: threshold })
  assert.equal(init.status, 200, JSON.stringify(init.body))
  const keys = init.body.keys as string[]
  const root = init.body.root_token as string
  const unseal = async (with_: readonly string[] = keys, target = server): Promise<Answer> => {
    let last: Answer | undefined
    for (const key of with_.slice(0, threshold)) last = await target.call('PUT', 'sys/unseal', { key }, none)
    return last as Answer
  }
  return { server, init, keys, root, unseal }
}

const errorsOf = (answer: Answer): string => (answer.body?.errors ?? []).join(' ')
/** Undoes what generate-root does: XOR with the one-time password. */
const decode = (encoded: string, otp: string): string => {
  const bytes = Buffer.from(encoded, 'base64')
  return Buffer.from(bytes.map((byte, i) => byte ^ otp.charCodeAt(i))).toString('latin1')
}

describe('a new server', () => {
  let server: ServerProcess
  before(async () => {
    server = await startShamir()
  })
  after(() => server.remove())

  test('says that it is not initialised', async () => {
    assert.deepEqual((await server.call('GET', 'sys/init')).body, { initialized: false })
    const health = await server.call('GET', 'sys/health')
    assert.equal(health.status, 501)
    assert.deepEqual([health.body.initialized, health.body.sealed, health.body.standby], [false, true, false])
    assert.match(health.body.version, /^\d+\.\d+\.\d+$/)
    assert.equal(typeof health.body.server_time_utc, 'number')
    const status = (await server.call('GET', 'sys/seal-status')).body
    assert.deepEqual([status.initialized, status.sealed, status.t, status.n, status.progress], [false, true, 0, 0, 0])
    assert.equal((await server.call('GET', 'sys/health?uninitcode=299')).status, 299)
    assert.equal((await server.call('HEAD', 'sys/health')).status, 501)
    assert.equal((await server.call('GET', 'secret/data/x', undefined, as('x'))).status, 503)
    assert.equal((await server.call('PUT', 'sys/unseal', { key: 'ab'.repeat(33) })).status, 400)
  })

  test('refuses what cannot be cut into shares', async () => {
    for (const body of [
      {},
      { secret_shares: 0, secret_threshold: 0 },
      { secret_shares: 2, secret_threshold: 3 },
      { secret_shares: 3, secret_threshold: 1 },
      { secret_shares: 256, secret_threshold: 2 },
      { secret_shares: -1, secret_threshold: -1 },
      { secret_shares: 'x', secret_threshold: 2 },
      { secret_shares: 3, secret_threshold: 2, pgp_keys: ['AAAA'] },
      { secret_shares: 1, secret_threshold: 1, pgp_keys: ['no key'] },
      { secret_shares: 1, secret_threshold: 1, root_token_pgp_key: 'no key' },
    ]) {
      const answer = await server.call('PUT', 'sys/init', body)
      assert.equal(answer.status, 400, `${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`)
    }
    assert.deepEqual((await server.call('GET', 'sys/init')).body, { initialized: false })
  })

  test('is initialised once, by one of many', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => server.call('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 })),
    )
    const made = answers.filter(({ status }) => status === 200)
    assert.equal(made.length, 1)
    for (const other of answers) if (other !== made[0]) assert.equal(other.status, 400)
    const { body } = made[0] as Answer
    assert.deepEqual(Object.keys(body).sort(), ['keys', 'keys_base64', 'root_token'])
    assert.equal(Buffer.from(body.keys[0], 'hex').toString('base64'), body.keys_base64[0])
    assert.match(body.root_token, /^hvs\.[A-Za-z0-9]{24}$/)
    assert.equal((await server.call('PUT', 'sys/unseal', { key: body.keys_base64[0] })).body.sealed, false)
    assert.equal((await server.call('GET', 'auth/token/lookup-self', undefined, as(body.root_token))).status, 200)
    assert.equal((await server.call('PUT', 'sys/init', { secret_shares: 1, secret_threshold: 1 })).status, 400)
  })
})

describe('unsealing', () => {
  let s: Awaited<ReturnType<typeof shamir>>
  let other: Awaited<ReturnType<typeof shamir>>
  before(async () => {
    s = await shamir()
    other = await shamir()
  })
  after(async () => {
    await s.server.remove()
    await other.server.remove()
  })
  const give = (key: string, more: object = {}) => s.server.call('PUT', 'sys/unseal', { key, ...more }, none)

  test('health and status of a sealed server', async () => {
    const { server } = s
    for (const [query, status] of [
      ['', 503],
      ['?sealedcode=299', 299],
      ['?standbyok=true', 503],
      ['?uninitcode=299', 503],
      ['?activecode=299', 503],
      ['?sealedcode=x', 400],
    ] as const) {
      const answer = await server.call('GET', `sys/health${query}`)
      assert.equal(answer.status, status, query)
      if (status !== 400) assert.deepEqual([answer.body.initialized, answer.body.sealed], [true, true])
    }
    assert.equal((await server.call('HEAD', 'sys/health')).status, 503)
    const { body } = await server.call('GET', 'sys/seal-status')
    assert.deepEqual(
      [body.type, body.initialized, body.sealed, body.t, body.n, body.progress, body.nonce],
      ['shamir', true, true, 3, 5, 0, ''],
    )
    assert.equal(body.cluster_id, undefined)
  })

  test('paths for everybody say which methods they lack', async () => {
    for (const [method, at] of [
      ['GET', 'sys/unseal'],
      ['POST', 'sys/seal-status'],
      ['POST', 'sys/health'],
      ['DELETE', 'sys/init'],
      ['GET', 'sys/rekey/update'],
    ] as const)
      assert.equal((await s.server.call(method, at, undefined, none)).status, 405, `${method} ${at}`)
  })

  test('a share that is none is refused and changes nothing', async () => {
    for (const key of ['', 'x', 'zz', '00', 'A'.repeat(10_000), 'ä', `${s.keys[0]}00`.slice(0, -1)])
      assert.equal((await give(key)).status, 400, key.slice(0, 20))
    const { body } = await s.server.call('GET', 'sys/seal-status')
    assert.deepEqual([body.progress, body.sealed], [0, true])
  })

  test('progress, nonce, repeated shares and reset', async () => {
    const [first, second, third] = s.keys as [string, string, string]
    const one = (await give(first)).body
    assert.deepEqual([one.sealed, one.t, one.n, one.progress], [true, 3, 5, 1])
    assert.ok(one.nonce.length > 0)
    const again = (await give(Buffer.from(first, 'hex').toString('base64'))).body
    assert.deepEqual([again.progress, again.nonce], [1, one.nonce])
    assert.equal((await give(second)).body.progress, 2)
    const reset = (await s.server.call('PUT', 'sys/unseal', { reset: true }, none)).body
    assert.deepEqual([reset.sealed, reset.progress, reset.nonce], [true, 0, ''])
    await give(second)
    await give(third)
    await give(third)
    assert.equal((await s.server.call('GET', 'sys/seal-status')).body.sealed, true)
    const open = (await give(first)).body
    assert.deepEqual([open.sealed, open.progress, open.t], [false, 0, 3])
    assert.ok(open.cluster_id && open.cluster_name)
    assert.equal((await give(first)).body.sealed, false)
    assert.equal((await s.server.call('GET', 'sys/health')).status, 200)
    assert.equal((await s.server.call('GET', 'sys/health?activecode=204')).status, 204)
    assert.equal((await s.server.call('GET', 'sys/health?sealedcode=299')).status, 200)
  })

  test('the shares of another store, alone or mixed in, do not open it', async () => {
    assert.equal((await s.server.call('PUT', 'sys/seal', undefined, as(s.root))).status, 204)
    for (const keys of [other.keys, [s.keys[0], s.keys[1], other.keys[2]], [s.keys[0], other.keys[1], other.keys[0]]]) {
      const last = await s.unseal(keys as string[])
      assert.equal(last.status, 400, JSON.stringify(last.body))
      const { body } = await s.server.call('GET', 'sys/seal-status')
      assert.deepEqual([body.sealed, body.progress], [true, 0])
    }
    // A wrong try does no harm: the right shares open it, in any order and any choice.
    assert.equal((await s.unseal([s.keys[4], s.keys[2], s.keys[0]] as string[])).body.sealed, false)
    assert.equal((await s.server.call('GET', 'auth/token/lookup-self', undefined, as(other.root))).status, 403)
  })
})

describe('sealing', () => {
  let s: Awaited<ReturnType<typeof shamir>>
  before(async () => {
    s = await shamir(1, 1)
    await s.unseal()
  })
  after(() => s.server.remove())
  /** Paths that work without keys: how else would one come out again. */
  const withoutKeys =
    /^sys\/(health|init|seal-status|unseal|leader|decode-token|(rekey|rekey-recovery-key|generate-root)\/.*)$/

  test('needs sudo on sys/seal', async () => {
    await s.server.call(
      'PUT',
      'sys/policies/acl/weak',
      { policy: 'path "sys/seal" { capabilities = ["update"] }' },
      as(s.root),
    )
    const { body } = await s.server.call('POST', 'auth/token/create', { policies: ['weak'] }, as(s.root))
    for (const token of ['', 'x', body.auth.client_token])
      assert.equal((await s.server.call('PUT', 'sys/seal', undefined, as(token))).status, 403)
    assert.equal((await s.server.call('GET', 'sys/health')).status, 200)
  })

  test('everything but the way out answers 503, to everybody', async () => {
    const root = as(s.root)
    await s.server.call('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } }, root)
    await s.server.call('PUT', 'secret/data/x', { data: { a: '1' } }, root)
    const { body } = await s.server.call('GET', 'sys/internal/specs/openapi', undefined, root)
    const targets = targetsOf(body as OpenApi)
    assert.ok(targets.length > 100)
    assert.equal((await s.server.call('PUT', 'sys/seal', undefined, root)).status, 204)
    for (const { method, path } of targets.filter((target) => !withoutKeys.test(target.path)))
      for (const token of [s.root, '', 'hvs.wrong']) {
        const headers = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {}
        const answer = await s.server.call(method, path.replace(/\{[^}]*\}/g, 'x'), method === 'GET' ? undefined : {}, {
          ...headers,
          ...as(token),
        })
        assert.equal(answer.status, 503, `${method} ${path}: ${JSON.stringify(answer.body)}`)
        assert.equal(errorsOf(answer), 'Vault is sealed')
      }
    for (const path of ['secret/data/x', 'nothing/at/all', 'sys/none', 'sys/internal/ui/mounts/secret/x'])
      assert.equal((await s.server.call('GET', path, undefined, root)).status, 503, path)
    assert.equal((await s.server.call('PUT', 'sys/seal', undefined, root)).status, 503)
    assert.equal((await s.unseal()).body.sealed, false)
    assert.equal((await s.server.call('GET', 'secret/data/x', undefined, root)).body.data.data.a, '1')
  })

  test('requests under way are answered, with what they asked or with 503', async () => {
    const root = as(s.root)
    let sealing: Promise<Answer> | undefined
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        if (i === 30) sealing = s.server.call('PUT', 'sys/seal', undefined, root)
        return await s.server.call(
          i % 3 ? 'GET' : 'PUT',
          'secret/data/x',
          i % 3 ? undefined : { data: { a: '1' } },
          root,
        )
      }),
    )
    assert.equal((await sealing)?.status, 204)
    for (const answer of answers)
      assert.ok([200, 503].includes(answer.status), `${answer.status} ${JSON.stringify(answer.body)}`)
    await s.unseal()
    const twice = await Promise.all(Array.from({ length: 5 }, () => s.server.call('PUT', 'sys/seal', undefined, root)))
    for (const answer of twice)
      assert.ok([204, 503].includes(answer.status), `${answer.status} ${JSON.stringify(answer.body)}`)
    await s.unseal()
  })

  test('a restart keeps the data and comes back sealed', async () => {
    const { server } = s
    await server.call('PUT', 'secret/data/kept', { data: { a: 'kept' } }, as(s.root))
    assert.equal(await server.end('SIGTERM'), 0)
    const again = await startShamir({ folder: server.folder })
    try {
      assert.equal((await again.call('GET', 'sys/health')).status, 503)
      assert.equal((await again.call('GET', 'secret/data/kept', undefined, as(s.root))).status, 503)
      assert.equal((await s.unseal(s.keys, again)).body.sealed, false)
      assert.equal((await again.call('GET', 'secret/data/kept', undefined, as(s.root))).body.data.data.a, 'kept')
    } finally {
      await again.end('SIGKILL')
    }
  })
})

describe('keyring', () => {
  let server: ServerProcess
  before(async () => {
    server = await startDurable()
  })
  after(() => server.remove())

  test('rotation begins a new term; what older terms encrypted stays readable, restart or not', async () => {
    const first = (await server.call('GET', 'sys/key-status')).body
    assert.equal(first.data.term, 1)
    // Older clients read it beside "data".
    assert.deepEqual([first.term, first.install_time], [1, first.data.install_time])
    assert.ok(!Number.isNaN(Date.parse(first.data.install_time)))
    await server.call('POST', 'sys/mounts/v1', { type: 'kv' })
    for (const [i, path] of ['sys/rotate', 'sys/rotate/keyring'].entries()) {
      await server.call('PUT', `v1/in-${i}`, { value: String(i) })
      assert.equal((await server.call('PUT', path)).status, 204)
      assert.equal((await server.call('GET', 'sys/key-status')).body.data.term, i + 2)
    }
    assert.equal((await server.call('PUT', 'sys/rotate/root')).status, 204)
    await server.end()
    const again = await startDurable({ folder: server.folder, rootToken: server.rootToken })
    try {
      for (const i of [0, 1]) assert.equal((await again.call('GET', `v1/in-${i}`)).body.data.value, String(i))
      assert.equal((await again.call('GET', 'sys/key-status')).body.data.term, 3)
      const config = (await again.call('GET', 'sys/rotate/config')).body.data
      assert.equal(config.enabled, true)
      assert.equal((await again.call('PUT', 'sys/rotate/config', { enabled: false, interval: '48h' })).status, 204)
      const changed = (await again.call('GET', 'sys/rotate/keyring/config')).body.data
      assert.deepEqual(
        [changed.enabled, changed.interval, changed.max_operations],
        [false, '48h0m0s', config.max_operations],
      )
      for (const wrong of [{ max_operations: 1 }, { interval: '1s' }, { max_operations: -1 }])
        assert.equal((await again.call('PUT', 'sys/rotate/config', wrong)).status, 400, JSON.stringify(wrong))
    } finally {
      await again.end('SIGKILL')
    }
  })

  test('needs sudo or root', async () => {
    const again = await startDurable({ folder: server.folder, rootToken: server.rootToken })
    try {
      const { body } = await again.call('POST', 'auth/token/create', { policies: ['default'] })
      for (const path of ['sys/rotate', 'sys/rotate/keyring', 'sys/rotate/root'])
        assert.equal((await again.call('PUT', path, undefined, as(body.auth.client_token))).status, 403, path)
    } finally {
      await again.end('SIGKILL')
    }
  })
})

/** The two families that make new shares: the older takes no token and answers raw, the newer takes one and answers in an envelope. */
const rekeys = [
  { name: 'sys/rekey', base: 'sys/rekey', token: false },
  { name: 'sys/rotate/root', base: 'sys/rotate/root', token: true },
] as const

for (const { name, base, token } of rekeys)
  describe(`new shares through ${name}`, () => {
    let s: Awaited<ReturnType<typeof shamir>>
    before(async () => {
      s = await shamir()
      await s.unseal()
    })
    after(() => s.server.remove())
    const ask = async (method: string, path: string, body?: unknown) => {
      const answer = await s.server.call(method, `${base}/${path}`, body, token ? as(s.root) : none)
      return { ...answer, data: token && answer.status === 200 ? answer.body.data : answer.body }
    }
    const giveAll = async (keys: readonly string[], nonce: string, count = 3) => {
      let last = await ask('PUT', 'update', { key: keys[0], nonce })
      for (const key of keys.slice(1, count)) last = await ask('PUT', 'update', { key, nonce })
      return last
    }

    test('is refused to whoever lacks what the family asks for', async () => {
      const wrong = await s.server.call(
        'PUT',
        `${base}/init`,
        { secret_shares: 1, secret_threshold: 1 },
        token ? none : as('x'),
      )
      assert.equal(wrong.status === 200, !token, String(wrong.status))
      await ask('DELETE', 'init')
    })

    test('init, status, cancel and wrong numbers', async () => {
      assert.equal((await ask('GET', 'init')).data.started, false)
      for (const body of [
        {},
        { secret_shares: 2, secret_threshold: 3 },
        { secret_shares: 3, secret_threshold: 1 },
        { secret_shares: 300, secret_threshold: 2 },
      ])
        assert.equal((await ask('PUT', 'init', body)).status, 400, JSON.stringify(body))
      const begun = (await ask('PUT', 'init', { secret_shares: 4, secret_threshold: 2 })).data
      assert.deepEqual([begun.started, begun.t, begun.n, begun.progress, begun.required], [true, 2, 4, 0, 3])
      assert.equal((await ask('PUT', 'init', { secret_shares: 4, secret_threshold: 2 })).status, 400)
      assert.equal((await ask('GET', 'init')).data.nonce, begun.nonce)
      assert.equal((await ask('PUT', 'update', { key: s.keys[0], nonce: 'another' })).status, 400)
      assert.equal((await ask('PUT', 'update', { key: 'zz', nonce: begun.nonce })).status, 400)
      assert.equal((await ask('PUT', 'update', { key: s.keys[0], nonce: begun.nonce })).data.progress, 1)
      await ask('PUT', 'update', { key: s.keys[0], nonce: begun.nonce })
      assert.equal((await ask('GET', 'init')).data.progress, 1)
      assert.ok([200, 204].includes((await ask('DELETE', 'init')).status))
      assert.equal((await ask('GET', 'init')).data.started, false)
      assert.equal((await ask('PUT', 'update', { key: s.keys[0], nonce: begun.nonce })).status, 400)
    })

    test('wrong shares change nothing', async () => {
      const { nonce } = (await ask('PUT', 'init', { secret_shares: 1, secret_threshold: 1 })).data
      const strange = ['11', '22', '33'].map((byte) => byte.repeat(33))
      assert.equal((await giveAll([s.keys[0] as string, s.keys[1] as string, strange[2] as string], nonce)).status, 400)
      assert.equal((await ask('GET', 'init')).data.progress, 0)
      await ask('DELETE', 'init')
      await s.server.call('PUT', 'sys/seal', undefined, as(s.root))
      assert.equal((await s.unseal()).body.sealed, false)
    })

    test('the new shares open it, the old ones do not, after a restart too', async () => {
      const { nonce } = (await ask('PUT', 'init', { secret_shares: 4, secret_threshold: 2 })).data
      const done = (await giveAll(s.keys, nonce)).data
      assert.equal(done.complete, true)
      assert.equal(done.keys.length, 4)
      assert.deepEqual(
        done.keys.map((key: string) => Buffer.from(key, 'hex').toString('base64')),
        done.keys_base64,
      )
      assert.equal((await ask('GET', 'init')).data.started, false)
      await s.server.call('PUT', 'sys/seal', undefined, as(s.root))
      const status = (await s.server.call('GET', 'sys/seal-status')).body
      assert.deepEqual([status.t, status.n], [2, 4])
      await s.server.call('PUT', 'sys/unseal', { key: s.keys[0] }, none)
      assert.equal((await s.server.call('PUT', 'sys/unseal', { key: s.keys[1] }, none)).status, 400)
      await s.server.call('PUT', 'sys/unseal', { key: done.keys[3] }, none)
      assert.equal((await s.server.call('PUT', 'sys/unseal', { key: done.keys[1] }, none)).body.sealed, false)
      s.keys.splice(0, 5, ...done.keys)
    })

    test('with verification nothing changes until the new shares are proved', async () => {
      const { nonce } = (
        await ask('PUT', 'init', { secret_shares: 3, secret_threshold: 3, require_verification: true })
      ).data
      const done = (await giveAll(s.keys, nonce, 2)).data
      assert.deepEqual([done.complete, done.verification_required], [true, true])
      const proof = done.verification_nonce as string
      assert.ok(proof)
      assert.equal((await ask('PUT', 'verify', { key: done.keys[0], nonce: 'another' })).status, 400)
      assert.equal((await ask('PUT', 'verify', { key: done.keys[0], nonce: proof })).data.progress, 1)
      assert.equal((await ask('GET', 'verify')).data.progress, 1)
      await s.server.call('PUT', 'sys/seal', undefined, as(s.root))
      for (const key of s.keys.slice(0, 2)) await s.server.call('PUT', 'sys/unseal', { key }, none)
      assert.equal((await s.server.call('GET', 'sys/seal-status')).body.sealed, false, 'the old shares still open it')
      await ask('DELETE', 'init')
      const second = (await ask('PUT', 'init', { secret_shares: 3, secret_threshold: 3, require_verification: true }))
        .data
      const shares = (await giveAll(s.keys, second.nonce, 2)).data
      let last = await ask('PUT', 'verify', { key: shares.keys[0], nonce: shares.verification_nonce })
      for (const key of shares.keys.slice(1))
        last = await ask('PUT', 'verify', { key, nonce: shares.verification_nonce })
      assert.equal(last.data.complete, true, JSON.stringify(last.body))
      await s.server.call('PUT', 'sys/seal', undefined, as(s.root))
      for (const key of shares.keys) await s.server.call('PUT', 'sys/unseal', { key }, none)
      assert.equal((await s.server.call('GET', 'sys/seal-status')).body.sealed, false)
      s.keys.splice(0, 5, ...shares.keys)
    })
  })

/** The two families that make a root token out of shares. */
const generators = [
  { name: 'sys/generate-root', base: 'sys/generate-root', token: false },
  { name: 'sys/generate-root-token', base: 'sys/generate-root-token', token: true },
] as const

for (const { name, base, token } of generators)
  describe(`a root token through ${name}`, () => {
    let s: Awaited<ReturnType<typeof shamir>>
    before(async () => {
      s = await shamir(3, 2)
      await s.unseal()
    })
    after(() => s.server.remove())
    const ask = async (method: string, path: string, body?: unknown) => {
      const answer = await s.server.call(method, `${base}/${path}`, body, token ? as(s.root) : none)
      return { ...answer, data: token && answer.status === 200 ? answer.body.data : answer.body }
    }

    test('attempt, progress, wrong and repeated shares, the token', async () => {
      if (token) assert.equal((await s.server.call('PUT', `${base}/attempt`, {}, none)).status, 403)
      const idle = (await ask('GET', 'attempt')).data
      assert.deepEqual([idle.started, idle.progress, idle.required, idle.complete], [false, 0, 2, false])
      assert.equal(idle.otp_length, 28)
      for (const body of [
        { otp: 'short' },
        { otp: 'x'.repeat(29) },
        { pgp_key: 'no key' },
        { otp: '', pgp_key: 'AAAA' },
      ])
        assert.equal((await ask('PUT', 'attempt', body)).status, 400, JSON.stringify(body))
      const { otp, nonce, started } = (await ask('PUT', 'attempt', {})).data
      assert.deepEqual([started, otp.length], [true, 28])
      assert.equal((await ask('GET', 'attempt')).data.otp ?? '', '')
      assert.equal((await ask('PUT', 'attempt', {})).status, 400)
      assert.equal((await ask('PUT', 'update', { key: s.keys[0], nonce: 'another' })).status, 400)
      assert.equal((await ask('PUT', 'update', { key: s.keys[0], nonce })).data.progress, 1)
      await ask('PUT', 'update', { key: s.keys[0], nonce })
      assert.equal((await ask('GET', 'attempt')).data.progress, 1)
      assert.equal((await ask('PUT', 'update', { key: '11'.repeat(33), nonce })).status, 400)
      assert.equal((await ask('GET', 'attempt')).data.progress, 0)
      await ask('PUT', 'update', { key: s.keys[2], nonce })
      const done = (await ask('PUT', 'update', { key: s.keys[1], nonce })).data
      assert.equal(done.complete, true)
      const made = decode(done.encoded_token, otp)
      assert.match(made, /^hvs\.[A-Za-z0-9]{24}$/)
      const self = await s.server.call('GET', 'auth/token/lookup-self', undefined, as(made))
      assert.deepEqual(self.body.data.policies, ['root'])
      assert.equal((await ask('GET', 'attempt')).data.started, false)
      const decoded = await s.server.call('PUT', 'sys/decode-token', { encoded_token: done.encoded_token, otp }, none)
      assert.equal(decoded.body.data.token, made)
    })

    test('a chosen one-time password, and cancelling', async () => {
      const otp = 'AbCdEfGhIjKlMnOpQrStUvWxYz01'
      const first = (await ask('PUT', 'attempt', { otp })).data
      assert.ok([200, 204].includes((await ask('DELETE', 'attempt')).status))
      assert.equal((await ask('PUT', 'update', { key: s.keys[0], nonce: first.nonce })).status, 400)
      const { nonce } = (await ask('PUT', 'attempt', { otp })).data
      await ask('PUT', 'update', { key: s.keys[0], nonce })
      const done = (await ask('PUT', 'update', { key: s.keys[1], nonce })).data
      const self = await s.server.call('GET', 'auth/token/lookup-self', undefined, as(decode(done.encoded_token, otp)))
      assert.equal(self.status, 200)
    })
  })

describe('the families without a token', () => {
  test('can be switched off in the listener', async () => {
    const s = await shamir(
      1,
      1,
      'disable_unauthed_rekey_endpoints = true\n  disable_unauthed_generate_root_endpoints = true',
    )
    try {
      await s.unseal()
      for (const path of ['sys/rekey/init', 'sys/rekey/verify', 'sys/generate-root/attempt']) {
        const answer = await s.server.call('GET', path, undefined, none)
        assert.ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.status}`)
      }
      assert.equal((await s.server.call('GET', 'sys/rotate/root/init', undefined, as(s.root))).status, 200)
      assert.equal((await s.server.call('GET', 'sys/generate-root-token/attempt', undefined, as(s.root))).status, 200)
    } finally {
      await s.server.remove()
    }
  })
})

describe('a server that unseals itself', () => {
  let server: ServerProcess
  let recovery: string[]
  let root: string
  before(async () => {
    const made = await startDurable({ initialize: false })
    server = made
    const init = await made.call('PUT', 'sys/init', { recovery_shares: 3, recovery_threshold: 2 }, none)
    assert.equal(init.status, 200, JSON.stringify(init.body))
    assert.deepEqual(init.body.keys, [])
    recovery = init.body.recovery_keys
    root = init.body.root_token
    assert.equal(recovery.length, 3)
    assert.deepEqual(
      init.body.recovery_keys_base64,
      recovery.map((key) => Buffer.from(key, 'hex').toString('base64')),
    )
  })
  after(() => server.remove())

  test('is unsealed by init and by a restart, and its status says so', async () => {
    const { body } = await server.call('GET', 'sys/seal-status')
    assert.deepEqual(
      [body.type, body.sealed, body.recovery_seal, body.recovery_seal_type, body.t, body.n],
      ['static', false, true, 'shamir', 2, 3],
    )
    await server.end()
    server = await startDurable({ folder: server.folder, rootToken: root })
    assert.equal((await server.call('GET', 'sys/seal-status')).body.sealed, false)
  })

  test('recovery keys make a root token; they do not unseal', async () => {
    const { nonce, otp } = (await server.call('PUT', 'sys/generate-root/attempt', {}, none)).body
    await server.call('PUT', 'sys/generate-root/update', { key: recovery[0], nonce }, none)
    const done = (await server.call('PUT', 'sys/generate-root/update', { key: recovery[2], nonce }, none)).body
    assert.equal(done.complete, true)
    const self = await server.call('GET', 'auth/token/lookup-self', undefined, as(decode(done.encoded_token, otp)))
    assert.deepEqual(self.body.data.policies, ['root'])
  })

  for (const { base, token } of [
    { base: 'sys/rekey-recovery-key', token: false },
    { base: 'sys/rotate/recovery', token: true },
  ])
    test(`recovery keys are replaced through ${base}`, async () => {
      const headers = token ? as(root) : none
      const data = (answer: Answer) => (token ? answer.body.data : answer.body)
      const { nonce } = data(
        await server.call('PUT', `${base}/init`, { secret_shares: 2, secret_threshold: 2 }, headers),
      )
      await server.call('PUT', `${base}/update`, { key: recovery[0], nonce }, headers)
      const done = data(await server.call('PUT', `${base}/update`, { key: recovery[1], nonce }, headers))
      assert.equal(done.complete, true)
      assert.equal(done.keys.length, 2)
      const attempt = (await server.call('PUT', 'sys/generate-root/attempt', {}, none)).body
      await server.call('PUT', 'sys/generate-root/update', { key: recovery[0], nonce: attempt.nonce }, none)
      const old = await server.call('PUT', 'sys/generate-root/update', { key: recovery[1], nonce: attempt.nonce }, none)
      assert.equal(old.status, 400)
      await server.call('PUT', 'sys/generate-root/update', { key: done.keys[0], nonce: attempt.nonce }, none)
      const made = await server.call(
        'PUT',
        'sys/generate-root/update',
        { key: done.keys[1], nonce: attempt.nonce },
        none,
      )
      assert.equal(made.body.complete, true)
      recovery = done.keys
    })

  test('seal slots: listed with a live check, added, removed, never the last', async () => {
    const slots = async () => (await server.call('GET', 'sys/x/seal/slots', undefined, as(root))).body.data.slots
    const [first] = await slots()
    assert.deepEqual([first.kind, first.opens], ['static', true])
    assert.equal((await server.call('DELETE', `sys/x/seal/slots/${first.id}`, undefined, as(root))).status, 400)
    const added = await server.call(
      'POST',
      'sys/x/seal/slots',
      { kind: 'shamir', name: 'paper', secret_shares: 3, secret_threshold: 2 },
      as(root),
    )
    assert.equal(added.status, 200, JSON.stringify(added.body))
    assert.equal(added.body.data.keys.length, 3)
    assert.equal((await slots()).length, 2)
    assert.equal((await server.call('DELETE', 'sys/x/seal/slots/paper', undefined, as(root))).status, 204)
    assert.equal((await slots()).length, 1)
    const { body } = await server.call('POST', 'auth/token/create', { policies: ['default'] }, as(root))
    assert.equal((await server.call('GET', 'sys/x/seal/slots', undefined, as(body.auth.client_token))).status, 403)
  })

  test('the store of one key is not opened by another', async () => {
    const mark = createHash('sha256').update('another key').digest('base64')
    await server.end()
    const other = await startDurable({ folder: server.folder, rootToken: root, key: mark, wait: false })
    try {
      assert.equal((await other.call('GET', 'sys/health')).status, 503)
      assert.equal((await other.call('GET', 'auth/token/lookup-self', undefined, as(root))).status, 503)
      assert.ok(!other.output().includes(mark))
    } finally {
      await other.end('SIGKILL')
    }
    server = await startDurable({ folder: server.folder, rootToken: root })
    assert.equal((await server.call('GET', 'auth/token/lookup-self', undefined, as(root))).status, 200)
  })
})

test('leader, ha-status and step-down answer as a node among equals', async () => {
  const server = await startDurable()
  try {
    const leader = (await server.call('GET', 'sys/leader', undefined, none)).body
    assert.equal(leader.ha_enabled, false)
    const { data, nodes } = (await server.call('GET', 'sys/ha-status')).body
    assert.equal(nodes[0].active_node, true)
    assert.deepEqual(data.nodes, nodes)
    assert.equal((await server.call('PUT', 'sys/step-down')).status, 204)
    assert.equal((await server.call('PUT', 'sys/step-down', undefined, none)).status, 403)
  } finally {
    await server.remove()
  }
})
