// Many at once: what may happen once happens once, what was taken away is gone for the very next request.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Answer, type ServerProcess, startDev } from '../process.ts'
import { type World, world } from './world.ts'

const many = 50

let server: ServerProcess
let w: World

before(async () => {
  server = await startDev()
  w = world(server)
  await w.root('POST', 'sys/mounts/v1', { type: 'kv' })
  await w.root('PUT', 'v1/x', { value: 'one' })
  await w.root('PUT', 'secret/data/x', { data: { value: 'one' } })
  await w.policy('reader', 'path "v1/*" { capabilities = ["read"] }\npath "secret/data/*" { capabilities = ["read"] }')
  // Connections are opened before the races, so that the requests of one race travel together.
  await at(many, () => w.as('root', 'GET', 'v1/x'))
})
after(() => server.remove())

const at = <T>(count: number, run: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => run(index)))
const count = (answers: readonly Answer[], status: number): number =>
  answers.filter((answer) => answer.status === status).length
const self = async (token: string): Promise<number> => (await w.as(token, 'GET', 'auth/token/lookup-self')).status

describe('exactly so often', () => {
  for (const uses of [1, 7, 30])
    test(`a token with ${uses} uses answers ${uses} of ${many} concurrent requests`, async () => {
      const token = await w.token(['reader'], { num_uses: uses })
      const answers = await at(many, (index) => w.as(token, 'GET', index % 2 ? 'v1/x' : 'secret/data/x'))
      assert.equal(count(answers, 200), uses)
      assert.equal(count(answers, 403), many - uses)
      assert.equal(await self(token), 403)
      const { body } = await w.root('LIST', 'auth/token/accessors')
      assert.ok(Array.isArray(body.data.keys))
    })

  test('denied requests spend uses too, and no request more is answered', async () => {
    const token = await w.token(['reader'], { num_uses: 10 })
    const answers = await at(many, (index) => w.as(token, 'GET', index % 2 ? 'v1/x' : 'sys/mounts'))
    assert.ok(count(answers, 200) <= 10)
    assert.equal(count(answers, 403), many - count(answers, 200))
    assert.equal(await self(token), 403)
  })

  test('a wrapping token is unwrapped by one of many, whichever way it is given', async () => {
    for (let round = 0; round < 4; round++) {
      const wrapped = await w.as('root', 'GET', 'secret/data/x', undefined, { 'x-vault-wrap-ttl': '60' })
      const { token } = wrapped.body.wrap_info
      const answers = await at(many, (index) =>
        index % 2 ? w.as('root', 'POST', 'sys/wrapping/unwrap', { token }) : w.as(token, 'POST', 'sys/wrapping/unwrap'),
      )
      assert.equal(count(answers, 200), 1)
      for (const answer of answers) assert.ok([200, 400, 403].includes(answer.status), String(answer.status))
    }
  })

  test('a wrapping token is either unwrapped or wrapped anew, not both', async () => {
    for (let round = 0; round < 4; round++) {
      const wrapped = await w.as('root', 'GET', 'secret/data/x', undefined, { 'x-vault-wrap-ttl': '60' })
      const { token } = wrapped.body.wrap_info
      const answers = await at(20, (index) =>
        w.as('root', 'POST', `sys/wrapping/${index % 2 ? 'unwrap' : 'rewrap'}`, { token }),
      )
      assert.equal(count(answers, 200), 1)
    }
  })

  test('a secret id with 10 uses lets in 10 of many who log in with it at once', async () => {
    await w.root('POST', 'sys/auth/machines', { type: 'approle' })
    await w.root('POST', 'auth/machines/role/r', { role_id: 'rid', token_policies: 'reader' })
    for (const token_type of ['service', 'batch']) {
      await w.root('POST', 'auth/machines/role/r', { token_type })
      const { secret_id } = (await w.root('POST', 'auth/machines/role/r/secret-id', { num_uses: 10 })).body.data
      const answers = await at(many, () => w.as('', 'POST', 'auth/machines/login', { role_id: 'rid', secret_id }))
      assert.equal(count(answers, 200), 10)
      assert.equal(count(answers, 400), many - 10)
      const tokens = answers.flatMap(({ body }) => body.auth?.client_token ?? [])
      assert.equal(new Set(tokens).size, 10)
      for (const token of tokens) assert.equal((await w.as(token, 'GET', 'v1/x')).status, 200)
    }
  })

  test('check-and-set: one of many writers wins each version', async () => {
    for (let version = 0; version < 5; version++) {
      const answers = await at(many, (index) =>
        w.as('root', 'PUT', 'secret/data/race', { data: { writer: index }, options: { cas: version } }),
      )
      assert.equal(count(answers, 200), 1, `version ${version}`)
      assert.equal(count(answers, 400), many - 1, `version ${version}`)
      const winner = answers.findIndex((answer) => answer.status === 200)
      const { body } = await w.root('GET', 'secret/data/race')
      assert.equal(body.data.data.writer, winner)
      assert.equal(body.data.metadata.version, version + 1)
    }
  })

  test('check-and-set of a policy: one of many wins', async () => {
    const answers = await at(20, (index) =>
      w.as('root', 'PUT', 'sys/policies/acl/raced', {
        policy: `path "v1/${index}" { capabilities = ["read"] }`,
        cas: -1,
      }),
    )
    assert.equal(answers.filter(({ status }) => status < 300).length, 1)
  })

  test('writers without check-and-set lose no version', async () => {
    const answers = await at(many, (index) => w.as('root', 'PUT', 'secret/data/counted', { data: { writer: index } }))
    assert.equal(count(answers, 200), many)
    const versions = answers.map((answer) => answer.body.data.version).sort((a, b) => a - b)
    assert.deepEqual(
      versions,
      Array.from({ length: many }, (_, index) => index + 1),
    )
    const { body } = await w.root('GET', 'secret/metadata/counted')
    assert.equal(body.data.current_version, many)
  })

  test('one of many mounts takes a path', async () => {
    const answers = await at(10, () => w.as('root', 'POST', 'sys/mounts/raced', { type: 'kv' }))
    assert.equal(count(answers, 204), 1)
    assert.equal(count(answers, 400), 9)
  })
})

describe('gone is gone', () => {
  test('revoking a token ends all its children at once', async () => {
    await w.policy(
      'parent',
      'path "auth/token/create" { capabilities = ["create", "update"] }\npath "v1/*" { capabilities = ["read"] }',
    )
    const tree: string[] = [await w.token(['parent'])]
    for (let depth = 0; depth < 3; depth++)
      for (const parent of tree.slice(depth === 0 ? 0 : -2)) {
        const made = await at(2, () => w.as(parent, 'POST', 'auth/token/create', { policies: ['parent'] }))
        tree.push(...made.map((answer) => answer.body.auth.client_token as string))
      }
    const last = tree.at(-1) as string
    const batch = (await w.as(last, 'POST', 'auth/token/create', { policies: ['parent'], type: 'batch' })).body.auth
      .client_token
    assert.equal((await w.as(batch, 'GET', 'v1/x')).status, 200)
    for (const token of tree) assert.equal((await w.as(token, 'GET', 'v1/x')).status, 200)
    await w.root('POST', 'auth/token/revoke', { token: tree[0] })
    for (const token of [...tree, batch]) assert.equal((await w.as(token, 'GET', 'v1/x')).status, 403)
  })

  test('a child that is made while its parent is revoked does not outlive it', async () => {
    for (let round = 0; round < 5; round++) {
      const parent = await w.token(['parent'])
      const children: string[] = []
      const making = at(30, async () => {
        const made = await w.as(parent, 'POST', 'auth/token/create', { policies: ['parent'] })
        if (made.status === 200) children.push(made.body.auth.client_token)
      })
      await w.root('POST', 'auth/token/revoke', { token: parent })
      await making
      for (const child of children) assert.equal(await self(child), 403)
    }
  })

  test('revoking keeps the children of a token that is only revoked as an orphan', async () => {
    const parent = await w.token(['parent'])
    const child = (await w.as(parent, 'POST', 'auth/token/create', {})).body.auth.client_token
    await w.root('POST', 'auth/token/revoke-orphan', { token: parent })
    assert.deepEqual([await self(parent), await self(child)], [403, 200])
  })

  test('a token is not usable in any request that starts after its revocation was answered', async () => {
    const token = await w.token(['reader'])
    let revoked = false
    let late = 0
    const asking = at(10, async () => {
      for (let i = 0; i < 20; i++) {
        const startedAfter = revoked
        const { status } = await w.as(token, 'GET', 'v1/x')
        if (startedAfter && status === 200) late++
      }
    })
    await w.root('POST', 'auth/token/revoke', { token })
    revoked = true
    await asking
    assert.equal(late, 0)
  })

  test('a changed policy holds for the next request', async () => {
    await w.policy('changing', 'path "v1/x" { capabilities = ["read"] }')
    const service = await w.token(['changing'])
    const batch = await w.token(['changing'], { type: 'batch' })
    for (let round = 0; round < 10; round++) {
      for (const token of [service, batch]) assert.equal((await w.as(token, 'GET', 'v1/x')).status, 200)
      await w.policy('changing', 'path "v1/x" { capabilities = ["deny"] }')
      for (const token of [service, batch]) assert.equal((await w.as(token, 'GET', 'v1/x')).status, 403)
      await w.policy('changing', 'path "v1/x" { capabilities = ["read"] }')
    }
    await w.root('DELETE', 'sys/policies/acl/changing')
    for (const token of [service, batch]) assert.equal((await w.as(token, 'GET', 'v1/x')).status, 403)
  })

  test('disabling an auth method ends its tokens, and a new one at that path does not bring them back', async () => {
    const login = async (path: string) => {
      await w.root('POST', `sys/auth/${path}`, { type: 'userpass' })
      await w.root('POST', `auth/${path}/users/ann`, { password: 'right', policies: 'reader' })
      return await w.as('', 'POST', `auth/${path}/login/ann`, { password: 'right' })
    }
    const token = (await login('first')).body.auth.client_token
    const batch = await w
      .root('POST', 'auth/first/users/ann', { token_type: 'batch' })
      .then(() => w.as('', 'POST', 'auth/first/login/ann', { password: 'right' }))
    const batchToken = batch.body.auth.client_token
    for (const each of [token, batchToken]) assert.equal((await w.as(each, 'GET', 'v1/x')).status, 200)
    await w.root('DELETE', 'sys/auth/first')
    for (const each of [token, batchToken]) assert.equal((await w.as(each, 'GET', 'v1/x')).status, 403)
    assert.equal((await login('first')).status, 200)
    for (const each of [token, batchToken]) assert.equal((await w.as(each, 'GET', 'v1/x')).status, 403)
  })

  test('a secrets engine that was disabled leaves nothing for the next one at its path', async () => {
    await w.root('POST', 'sys/mounts/again', { type: 'kv' })
    await w.root('PUT', 'again/x', { value: 'old' })
    await w.root('DELETE', 'sys/mounts/again')
    await w.root('POST', 'sys/mounts/again', { type: 'kv' })
    assert.equal((await w.as('root', 'GET', 'again/x')).status, 404)
    assert.equal((await w.as('root', 'LIST', 'again/')).status, 404)
  })

  test('a deleted namespace takes its tokens, policies and secrets along', async () => {
    const ns = { 'x-vault-namespace': 'gone' }
    await w.root('POST', 'sys/namespaces/gone')
    await w.root('POST', 'sys/mounts/kv', { type: 'kv' }, ns)
    await w.root('PUT', 'kv/x', { value: 'old' }, ns)
    await w.policy('all', 'path "*" { capabilities = ["read", "list"] }', ns)
    const token = (await w.root('POST', 'auth/token/create', { policies: ['all'] }, ns)).body.auth.client_token
    const batch = (await w.root('POST', 'auth/token/create', { policies: ['all'], type: 'batch' }, ns)).body.auth
      .client_token
    assert.equal((await w.as(token, 'GET', 'kv/x', undefined, ns)).status, 200)
    await w.root('DELETE', 'sys/namespaces/gone')
    for (const each of [token, batch]) assert.ok((await w.as(each, 'GET', 'kv/x', undefined, ns)).status >= 400)
    for (let tries = 0; tries < 50; tries++)
      if ((await w.as('root', 'POST', 'sys/namespaces/gone')).status === 200) break
      else await new Promise((resolve) => setTimeout(resolve, 100))
    for (const each of [token, batch])
      assert.equal((await w.as(each, 'GET', 'auth/token/lookup-self', undefined, ns)).status, 403)
    await w.root('POST', 'sys/mounts/kv', { type: 'kv' }, ns)
    assert.equal((await w.as('root', 'GET', 'kv/x', undefined, ns)).status, 404)
    assert.equal((await w.as('root', 'GET', 'sys/policies/acl/all', undefined, ns)).status, 404)
  })

  test('a secret id that was destroyed, or whose role was, lets in no login that starts after the answer', async () => {
    await w.root('POST', 'sys/auth/ending', { type: 'approle' })
    for (const [end, body] of [
      ['POST auth/ending/role/r/secret-id/destroy', { secret_id: 'mine' }],
      ['POST auth/ending/role/r/role-id', { role_id: 'another' }],
      ['DELETE auth/ending/role/r', undefined],
      ['DELETE sys/auth/ending', undefined],
    ] as const) {
      await w.root('POST', 'auth/ending/role/r', { role_id: 'rid', token_type: 'batch' })
      await w.as('root', 'POST', 'auth/ending/role/r/custom-secret-id', { secret_id: 'mine' })
      const login = () => w.as('', 'POST', 'auth/ending/login', { role_id: 'rid', secret_id: 'mine' })
      assert.equal((await login()).status, 200, end)
      let ended = false
      let late = 0
      const asking = at(10, async () => {
        for (let i = 0; i < 10; i++) {
          const startedAfter = ended
          if ((await login()).status === 200 && startedAfter) late++
        }
      })
      const [method = '', path = ''] = end.split(' ')
      await w.root(method, path, body)
      ended = true
      await asking
      assert.equal(late, 0, end)
      assert.ok((await login()).status >= 400, end)
    }
  })

  test('a disabled entity stops its tokens at once', async () => {
    await w.root('POST', 'sys/auth/userpass', { type: 'userpass' })
    await w.root('POST', 'auth/userpass/users/eve', { password: 'right', policies: 'reader' })
    const made = await w.as('', 'POST', 'auth/userpass/login/eve', { password: 'right' })
    const { client_token: token, entity_id: id } = made.body.auth
    assert.equal((await w.as(token, 'GET', 'v1/x')).status, 200)
    await w.root('POST', `identity/entity/id/${id}`, { disabled: true })
    assert.equal((await w.as(token, 'GET', 'v1/x')).status, 403)
  })

  test('an expired token is refused when its time is over, not later', async () => {
    const token = await w.token(['reader'], { ttl: '1s' })
    assert.equal((await w.as(token, 'GET', 'v1/x')).status, 200)
    await new Promise((resolve) => setTimeout(resolve, 1050))
    assert.equal((await w.as(token, 'GET', 'v1/x')).status, 403)
  })
})
