// A caller of low rank tries to get what is not its own: by paths with two meanings, headers, namespaces, other people's tokens.
// Whatever the spelling, nothing is read, written or listed that the policy did not grant for that very path.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { rawRequest, sendRaw } from '../http/raw.ts'
import { startDev } from '../process.ts'
import { stable, type World, world } from './world.ts'

const secret = 'canary-of-the-abuse-test-7d1f'

let w: World
let low: string
let denying: string

before(async () => {
  w = world(await startDev())
  await w.root('POST', 'sys/mounts/v1', { type: 'kv' })
  await w.root('PUT', 'v1/private/x', { value: secret })
  await w.root('PUT', 'v1/public/x', { value: 'open' })
  await w.root('PUT', 'secret/data/private/x', { data: { value: secret } })
  await w.root('PUT', 'secret/data/public/x', { data: { value: 'open' } })
  const all = '{ capabilities = ["create", "read", "update", "delete", "list", "patch", "scan"] }'
  await w.policy('low', `path "v1/public/*" ${all}\npath "secret/data/public/*" ${all}`)
  await w.policy(
    'denying',
    `path "v1/*" ${all}
path "secret/*" ${all}
path "v1/private/x" { capabilities = ["deny"] }
path "secret/+/private/x" { capabilities = ["deny"] }`,
  )
  low = await w.token(['low'])
  denying = await w.token(['denying'])
})
after(() => w.server.remove())

/** Spellings that some server, some proxy or some storage takes for the private secret of a mount (`below` is its path inside). */
const spellings = (mount: string, below = ''): string[] => {
  const open = `/v1/${mount}/${below}public`
  const shut = `${below}private/x`
  return [
    `${open}/../private/x`,
    `${open}/x/../../private/x`,
    `${open}/%2e%2e/private/x`,
    `${open}/%2E%2E/private/x`,
    `${open}/.%2e/private/x`,
    `${open}/%2e%2e%2fprivate%2fx`,
    `${open}/..%2fprivate%2fx`,
    `${open}%2f..%2fprivate%2fx`,
    `${open}/%252e%252e/private/x`,
    `${open}/..%252fprivate/x`,
    `${open}/..;/private/x`,
    `${open}/..%00/private/x`,
    `${open}/..%5cprivate%5cx`,
    `${open}/..\\private\\x`,
    `${open}/%c0%ae%c0%ae/private/x`,
    `${open}/%ef%bc%8e%ef%bc%8e/private/x`,
    `${open}/./../private/x`,
    `${open}//../private/x`,
    `${open}/%20../private/x`,
    `${open}/x?/../../private/x`,
    `${open}/x#/../../private/x`,
    `/v1/${mount}/${shut}`,
    `/v1//${mount}/${shut}`,
    `//v1/${mount}/${shut}`,
    `/v1/${mount}//${shut}`,
    `/v1/./${mount}/${shut}`,
    `/v1/${mount}/./${shut}`,
    `/v1/${mount}/${shut}/`,
    `/v1/${mount}/${shut}//`,
    `/v1/${mount}/${shut}/.`,
    `/v1/${mount}/${shut}%2f`,
    `/v1/${mount}/${shut}%00`,
    `/v1/${mount}/${shut}%20`,
    `/v1/${mount}/${shut}%09`,
    `/v1/${mount}/${shut}?list=false`,
    `/v1/${mount}/${shut}?help=`,
    `/v1/${mount}/${shut};v=1`,
    `/v1/${mount.toUpperCase()}/${shut}`,
    `/v1/${mount}/${shut.toUpperCase()}`,
    `/V1/${mount}/${shut}`,
    `/v1/${mount}%2f${shut.replaceAll('/', '%2f')}`,
    `/v1%2f${mount}/${shut}`,
    `/%76%31/${mount}/${shut}`,
    `/v1/%73%65${mount}/${shut}`,
    `http://other.example/v1/${mount}/${shut}`,
    `http://other.example/v1/${mount}/${below}public/../private/x`,
    `/v1/sys/../${mount}/${shut}`,
    `/v1/cubbyhole/../${mount}/${shut}`,
    `/v1/root/${mount}/${shut}`,
    `/v1/auth/token/../../${mount}/${shut}`,
    `/v1/${mount}/${below}private/*`,
    `/v1/${mount}/${below}private/+`,
    `/v1/${mount}/${below}private/%2a`,
    `/v1/${mount}/${below}+/x`,
    `/v1/${mount}/${below}*`,
    `/v1/${mount}/${below}%70rivate/%78`,
  ]
}

describe('paths with two meanings', () => {
  for (const [mount, below] of [
    ['v1', ''],
    ['secret', 'data/'],
  ] as const)
    for (const verb of ['GET', 'LIST', 'SCAN', 'HEAD'])
      test(`${verb} of ${mount} never gives the private secret`, async () => {
        for (const who of ['low', 'denying'])
          for (const target of spellings(mount, below)) {
            const answer = await sendRaw(
              w.server.url,
              rawRequest(verb, target, { token: who === 'low' ? low : denying }),
            )
            assert.ok(!answer.text.includes(secret), `${who}: ${verb} ${target} gave the secret`)
            assert.ok(answer.status !== 0 && answer.status < 500, `${verb} ${target}: ${answer.text.slice(0, 200)}`)
          }
      })

  test('writes and deletes never reach it either', async () => {
    for (const [mount, below] of [
      ['v1', ''],
      ['secret', 'data/'],
    ] as const)
      for (const [who, token] of [
        ['low', low],
        ['denying', denying],
      ] as const)
        for (const target of spellings(mount, below))
          for (const [verb, headers] of [
            ['PUT', []],
            ['DELETE', []],
            ['PATCH', ['Content-Type: application/merge-patch+json']],
          ] as const) {
            const body = mount === 'v1' ? '{"value":"overwritten"}' : '{"data":{"value":"overwritten"}}'
            await sendRaw(w.server.url, rawRequest(verb, target, { token, headers, body }))
            const now = await w.root('GET', `${mount}/${below}private/x`)
            const value = mount === 'v1' ? now.body.data.value : now.body.data.data.value
            assert.equal(value, secret, `${who}: ${verb} ${target} changed it`)
          }
    const { body } = await w.root('GET', 'secret/metadata/private/x')
    assert.equal(body.data.current_version, 1)
  })

  test('a token that may only write below public/ has written nowhere else', async () => {
    const { body } = await w.as('root', 'GET', 'v1/?scan=true')
    const keys = body.data.keys as string[]
    // What the denying token wrote under other spellings counts as other paths, which it was granted; those of `low` begin with public/.
    const mark = 'written-by-low'
    for (const target of spellings('v1'))
      await sendRaw(w.server.url, rawRequest('PUT', target, { token: low, body: JSON.stringify({ value: mark }) }))
    const later = (await w.as('root', 'GET', 'v1/?scan=true')).body.data.keys as string[]
    const added = later.filter((key) => !keys.includes(key) && !key.startsWith('public/'))
    assert.deepEqual(added, [])
    for (const key of later.filter((each) => !each.startsWith('public/'))) {
      const { body: found } = await w.as('root', 'GET', `v1/${key.split('/').map(encodeURIComponent).join('/')}`)
      assert.notEqual(found?.data?.value, mark, key)
    }
  })

  test('an exact deny cannot be walked around by a slash at the end', async () => {
    for (const path of [
      'v1/private/x/',
      'secret/data/private/x/',
      'secret/metadata/private/x/',
      'secret/subkeys/private/x/',
    ])
      for (const verb of ['GET', 'DELETE', 'PUT']) {
        const answer = await w.as(
          denying,
          verb,
          path,
          verb === 'PUT' ? { data: { value: 'new' }, value: 'new' } : undefined,
        )
        assert.ok(!JSON.stringify(answer.body).includes(secret), `${verb} ${path}`)
      }
    assert.equal((await w.root('GET', 'v1/private/x')).body.data.value, secret)
    assert.equal((await w.root('GET', 'secret/data/private/x')).body.data.data.value, secret)
  })

  test('a star in a path is a letter, not a pattern', async () => {
    await w.policy(
      'starred',
      'path "v1/st*r/x" { capabilities = ["read"] }\npath "v1/plus/+" { capabilities = ["read"] }',
    )
    const token = await w.token(['starred'])
    await w.root('PUT', 'v1/star/x', { value: secret })
    await w.root('PUT', 'v1/plus/a/b', { value: secret })
    for (const path of ['v1/star/x', 'v1/st%2ar/y', 'v1/plus/a/b', 'v1/plus/a%2fb', 'v1/plus/+/b', 'v1/pl*', 'v1/+/x'])
      assert.equal((await w.as(token, 'GET', path)).status, 403, path)
    for (const path of ['v1/st*r/x', 'v1/st%2ar/x', 'v1/plus/*', 'v1/plus/+'])
      assert.equal((await w.as(token, 'GET', path)).status, 404, path)
  })
})

describe('permission comes before existence', () => {
  const pairs: readonly [method: string, present: string, absent: string, body?: unknown][] = [
    ['GET', 'secret/data/private/x', 'secret/data/private/none'],
    ['GET', 'secret/metadata/private/x', 'secret/metadata/private/none'],
    ['GET', 'secret/subkeys/private/x', 'secret/subkeys/private/none'],
    ['LIST', 'secret/metadata/private', 'secret/metadata/none'],
    ['PUT', 'secret/data/private/x', 'secret/data/private/none', { data: { a: '1' }, options: { cas: 7 } }],
    ['DELETE', 'secret/data/private/x', 'secret/data/private/none'],
    ['GET', 'v1/private/x', 'v1/private/none'],
    ['GET', 'v1/private/x', 'nomount/private/x'],
    ['GET', 'sys/policies/acl/low', 'sys/policies/acl/none'],
    ['DELETE', 'sys/policies/acl/low', 'sys/policies/acl/none'],
    ['GET', 'sys/mounts/secret', 'sys/mounts/none'],
    ['GET', 'sys/mounts/secret/tune', 'sys/mounts/none/tune'],
    ['GET', 'sys/auth/token', 'sys/auth/none'],
    ['DELETE', 'sys/mounts/secret', 'sys/mounts/none'],
    ['GET', 'sys/internal/ui/mounts/hidden', 'sys/internal/ui/mounts/none'],
    ['GET', 'auth/token/roles/here', 'auth/token/roles/none'],
    ['POST', 'auth/token/create/here', 'auth/token/create/none', {}],
    ['GET', 'sys/audit', 'sys/nothing'],
    ['PUT', 'sys/remount', 'sys/unheard-of', { from: 'v1', to: 'v9' }],
    ['GET', 'auth/userpass/users/ann', 'auth/userpass/users/none'],
    ['GET', 'auth/userpass/users/ann', 'auth/nomethod/users/ann'],
    ['GET', 'identity/entity/name/ann', 'identity/entity/name/none'],
  ]

  test('403 says the same of what is there and of what is not', async () => {
    await w.root('POST', 'sys/mounts/hidden', { type: 'kv' })
    await w.root('POST', 'auth/token/roles/here', { allowed_policies: 'low' })
    await w.root('POST', 'sys/auth/userpass', { type: 'userpass' })
    await w.root('POST', 'auth/userpass/users/ann', { password: 'right', policies: 'low' })
    await w.root('POST', 'identity/entity', { name: 'ann' })
    for (const token of [low, '', 'no-such-token', 'hvs.AAAAAAAAAAAAAAAAAAAAAAAA', 'hvb.AAAAAQ'])
      for (const [method, present, absent, body] of pairs) {
        const [here, none] = [await w.as(token, method, present, body), await w.as(token, method, absent, body)]
        assert.equal(here.status, 403, `${method} ${present} as "${token.slice(0, 6)}"`)
        assert.equal(
          stable(none).replaceAll('none', 'hidden'),
          stable(here),
          `${method} ${present} and ${absent} as "${token.slice(0, 6)}"`,
        )
      }
  })

  test('a wrong user and a wrong password get the same answer', async () => {
    const wrong = await w.as('', 'POST', 'auth/userpass/login/ann', { password: 'wrong' })
    const none = await w.as('', 'POST', 'auth/userpass/login/nobody', { password: 'wrong' })
    assert.equal(wrong.status, 400)
    assert.equal(stable(none), stable(wrong))
  })

  test('lists of mounts and policies show what the token may see', async () => {
    const mounts = await w.as(low, 'GET', 'sys/internal/ui/mounts')
    const seen = Object.keys(mounts.body.data.secret ?? {})
    assert.ok(seen.includes('v1/') && !seen.includes('hidden/'), JSON.stringify(seen))
    assert.equal((await w.as(low, 'LIST', 'sys/policies/acl')).status, 403)
    const nobody = await w.as('', 'GET', 'sys/internal/ui/mounts')
    assert.deepEqual(nobody.body?.data?.secret ?? {}, {})
  })
})

describe('tokens where they do not belong', () => {
  test('a token in the query, the body, a cookie or the path is none', async () => {
    const places: readonly [method: string, path: string, body?: unknown, headers?: Record<string, string>][] = [
      ['GET', 'secret/data/private/x?token=root'],
      ['GET', 'secret/data/private/x?X-Vault-Token=root'],
      ['GET', 'secret/data/private/x?access_token=root'],
      ['POST', 'auth/token/lookup-self', { token: 'root', client_token: 'root' }],
      ['GET', 'secret/data/private/x', undefined, { cookie: 'token=root; X-Vault-Token=root' }],
      ['GET', 'secret/data/private/x', undefined, { authorization: 'Basic cm9vdDpyb290' }],
      ['GET', 'secret/data/private/x', undefined, { authorization: 'root' }],
      ['GET', 'secret/data/private/x', undefined, { authorization: 'Token root' }],
      ['GET', 'secret/data/private/x', undefined, { 'x-vault-auth': 'root' }],
    ]
    for (const [method, path, body, headers] of places) {
      const answer = await w.as('', method, path, body, headers)
      assert.equal(answer.status, 403, path)
    }
  })

  test('the header of the token is not a list, and the first one does not win quietly', async () => {
    const lines = (...values: string[]) =>
      rawRequest('GET', '/v1/secret/data/private/x', { headers: values.map((value) => `X-Vault-Token: ${value}`) })
    for (const values of [[low, 'root'], [`${low}, root`], [`root, ${low}`], [`${low};root`], ['root\x01'], ['ROOT']]) {
      const answer = await sendRaw(w.server.url, lines(...values))
      assert.ok(!answer.text.includes(secret), values.join(' | '))
    }
  })

  test('a forged marker of the LIST shim, and overriding headers, change no verb', async () => {
    const allowed = await w.token(['denying'])
    for (const verb of ['LINK', 'UNLINK', 'PROPFIND', 'list', 'List', 'LISTS', 'SCANX', 'TRACE', 'CONNECT']) {
      const answer = await sendRaw(w.server.url, rawRequest(verb, '/v1/v1/', { token: allowed }))
      assert.ok(![200, 204].includes(answer.status), `${verb}: ${answer.status}`)
      assert.ok(!answer.text.includes('public/'), verb)
    }
    for (const header of ['X-HTTP-Method-Override: LIST', 'X-Method-Override: LIST', 'X-HTTP-Method: DELETE']) {
      const answer = await sendRaw(
        w.server.url,
        rawRequest('GET', '/v1/v1/public/x', { token: allowed, headers: [header] }),
      )
      assert.equal(answer.status, 200, header)
      assert.ok(
        answer.text.includes('"open"') || answer.text.includes('overwritten') || answer.text.includes('written'),
      )
    }
    // Behind a real LIST on the same connection, the stand-in verb has no marker left to use.
    const list = rawRequest('LIST', '/v1/v1/', { token: allowed }).replace('Connection: close\r\n', '')
    const forged = rawRequest('LINK', '/v1/v1/', { token: allowed })
    const answer = await sendRaw(w.server.url, list + forged)
    assert.deepEqual(answer.statuses, [200, 405])
    assert.deepEqual((await sendRaw(w.server.url, [list, forged])).statuses, [200, 405])
  })

  test('one request cannot be hidden in another', async () => {
    const inner = rawRequest('GET', '/v1/secret/data/private/x', { token: 'root' })
    const smuggled = [
      `POST /v1/v1/public/y HTTP/1.1\r\nHost: a\r\nX-Vault-Token: ${low}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      `POST /v1/v1/public/y HTTP/1.1\r\nHost: a\r\nX-Vault-Token: ${low}\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}${inner}`,
      `POST /v1/v1/public/y HTTP/1.1\r\nHost: a\r\nX-Vault-Token: ${low}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
      `POST /v1/v1/public/y HTTP/1.1\r\nHost: a\r\nX-Vault-Token : ${low}\r\nContent-Length: 2\r\n\r\n{}${inner}`,
      `LIST /v1/v1/ HTTP/1.1\r\nHost: a\r\nX-Vault-Token: ${low}\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    ]
    for (const text of smuggled) {
      const answer = await sendRaw(w.server.url, text, { timeoutMs: 2000 })
      assert.ok(!answer.text.includes(secret), text.slice(0, 120))
      assert.equal(answer.status, 400)
    }
  })
})

describe('namespaces', () => {
  let inside: string
  before(async () => {
    await w.root('POST', 'sys/namespaces/team')
    await w.root('POST', 'sys/mounts/kv', { type: 'kv' }, { 'x-vault-namespace': 'team' })
    await w.root('PUT', 'kv/x', { value: secret }, { 'x-vault-namespace': 'team' })
    await w.root('POST', 'sys/mounts/kv', { type: 'kv' })
    await w.root('PUT', 'kv/x', { value: 'of the root namespace' })
    await w.policy('kv', 'path "kv/*" { capabilities = ["read", "list", "update"] }')
    await w.policy('kv', 'path "kv/*" { capabilities = ["read", "list", "update"] }', { 'x-vault-namespace': 'team' })
    const made = await w.root('POST', 'auth/token/create', { policies: ['kv'] }, { 'x-vault-namespace': 'team' })
    inside = made.body.auth.client_token
  })

  test('a policy of the parent that does not name the child does not hold there', async () => {
    const outside = await w.token(['kv'])
    assert.equal((await w.as(outside, 'GET', 'kv/x')).status, 200)
    for (const header of ['team', 'team/', '/team', '/team/', 'team//', ' team '])
      assert.ok(
        !JSON.stringify((await w.as(outside, 'GET', 'kv/x', undefined, { 'x-vault-namespace': header })).body).includes(
          secret,
        ),
        header,
      )
    for (const path of ['team/kv/x', 'team%2fkv/x', 'kv/../team/kv/x', 'kv/x/../../team/kv/x', 'team//kv/x'])
      assert.ok(!JSON.stringify((await w.as(outside, 'GET', path)).body).includes(secret), path)
    await w.policy('named', 'path "team/kv/x" { capabilities = ["read"] }')
    const named = await w.token(['named'])
    assert.equal((await w.as(named, 'GET', 'team/kv/x')).body.data.value, secret)
    assert.equal((await w.as(named, 'GET', 'kv/x', undefined, { 'x-vault-namespace': 'team' })).body.data.value, secret)
    assert.equal((await w.as(named, 'GET', 'kv/x')).status, 403)
  })

  test('a token of the child reaches nothing of the parent, however it is spelled', async () => {
    assert.equal(
      (await w.as(inside, 'GET', 'kv/x', undefined, { 'x-vault-namespace': 'team' })).body.data.value,
      secret,
    )
    const tries: readonly (readonly [header: string, path: string])[] = [
      ['', 'kv/x'],
      ['root', 'kv/x'],
      ['/', 'kv/x'],
      ['..', 'kv/x'],
      ['team/..', 'kv/x'],
      ['team/../', 'kv/x'],
      ['./', 'kv/x'],
      ['%2e%2e', 'kv/x'],
      ['%', 'kv/x'],
      ['team', '../kv/x'],
      ['team', '%2e%2e/kv/x'],
      ['team', '/kv/x/../../../kv/x'],
      ['tea', 'm/kv/x'],
      ['te', 'am/kv/x'],
      ['TEAM', 'kv/x'],
      ['team\t', 'kv/x'],
      ['team,', 'kv/x'],
    ]
    for (const [header, path] of tries) {
      const answer = await sendRaw(
        w.server.url,
        rawRequest('GET', `/v1/${path}`, { token: inside, headers: [`X-Vault-Namespace: ${header}`] }),
      )
      assert.ok(!answer.text.includes('of the root namespace'), `${header} ${path}`)
      assert.ok(answer.status >= 300 || answer.text.includes(secret), `${header} ${path}: ${answer.text.slice(0, 300)}`)
      assert.ok(!['tea', 'te', 'TEAM', 'team,'].includes(header) || !answer.text.includes(secret), `${header} ${path}`)
    }
    const twice = await sendRaw(
      w.server.url,
      rawRequest('GET', '/v1/kv/x', { token: inside, headers: ['X-Vault-Namespace: team', 'X-Vault-Namespace: '] }),
    )
    assert.ok(!twice.text.includes('of the root namespace'))
  })

  test('a token of the child cannot make a namespace, a policy or a token of the parent', async () => {
    const ns = { 'x-vault-namespace': 'team' }
    await w.policy('everything', 'path "*" { capabilities = ["create","read","update","delete","list","sudo"] }', ns)
    const made = await w.root('POST', 'auth/token/create', { policies: ['everything'] }, ns)
    const strong = made.body.auth.client_token as string
    assert.equal((await w.as(strong, 'GET', 'kv/x', undefined, ns)).status, 200)
    for (const [method, path, body] of [
      ['GET', 'kv/x', undefined],
      ['LIST', 'sys/policies/acl', undefined],
      ['PUT', 'sys/policies/acl/stolen', { policy: '' }],
      ['POST', 'sys/namespaces/second', {}],
      ['POST', 'auth/token/create', { policies: ['root'] }],
      ['GET', 'sys/mounts', undefined],
      ['POST', 'auth/token/lookup', { token: 'root' }],
      ['PUT', 'sys/audit/x', { type: 'file', options: { file_path: 'stdout' } }],
    ] as const)
      assert.equal((await w.as(strong, method, path, body)).status, 403, `${method} ${path}`)
    const self = await w.as(strong, 'POST', 'auth/token/create', { policies: ['root'] }, ns)
    assert.ok(self.status >= 400, JSON.stringify(self.body))
    // Who knows a token may use it anywhere; who knows an accessor only, may use it where the token was made.
    const { accessor } = (await w.as(low, 'GET', 'auth/token/lookup-self')).body.data
    for (const what of ['lookup-accessor', 'renew-accessor'])
      assert.ok((await w.as(strong, 'POST', `auth/token/${what}`, { accessor }, ns)).status >= 400, what)
    await w.as(strong, 'POST', 'auth/token/revoke-accessor', { accessor }, ns)
    const seen = await w.as(strong, 'LIST', 'auth/token/accessors', undefined, ns)
    assert.ok(!(seen.body.data.keys as string[]).includes(accessor))
    assert.equal((await w.as(low, 'GET', 'auth/token/lookup-self')).status, 200)
  })
})

describe('more than one is', () => {
  test('a token cannot give more than it has', async () => {
    await w.policy(
      'maker',
      'path "auth/token/*" { capabilities = ["create", "update"] }\npath "v1/public/*" { capabilities = ["read"] }',
    )
    const maker = await w.token(['maker'])
    const refused: readonly Record<string, unknown>[] = [
      { policies: ['root'] },
      { policies: ['maker', 'low'] },
      { policies: 'maker,root' },
      { policies: ['ROOT'] },
      { policies: [' root'] },
      { id: 'chosen-by-me' },
      { no_parent: true },
      { period: '1h' },
      { entity_alias: 'ann' },
    ]
    for (const body of refused) {
      const answer = await w.as(maker, 'POST', 'auth/token/create', body)
      assert.ok(
        answer.status === 400 || answer.status === 403,
        `${JSON.stringify(body)}: ${answer.status} ${JSON.stringify(answer.body)}`,
      )
    }
    const child = await w.as(maker, 'POST', 'auth/token/create', { policies: ['maker'] })
    assert.equal(child.status, 200)
  })

  test('use-limited and batch tokens make no children', async () => {
    const limited = await w.token(['maker'], { num_uses: 5 })
    assert.ok((await w.as(limited, 'POST', 'auth/token/create', {})).status >= 400)
    const batch = await w.token(['maker'], { type: 'batch' })
    assert.ok((await w.as(batch, 'POST', 'auth/token/create', {})).status >= 400)
    assert.ok((await w.as(batch, 'PUT', 'cubbyhole/x', { a: '1' })).status >= 400)
  })

  test('a batch token that was changed by one letter is none', async () => {
    const batch = await w.token(['low'], { type: 'batch' })
    assert.equal((await w.as(batch, 'GET', 'v1/public/x')).status, 200)
    for (const at of [4, 12, 40, 80, 150, batch.length - 3]) {
      const letter = batch[at] === 'A' ? 'B' : 'A'
      const forged = batch.slice(0, at) + letter + batch.slice(at + 1)
      assert.equal((await w.as(forged, 'GET', 'v1/public/x')).status, 403, String(at))
    }
    assert.equal((await w.as(batch.slice(0, -4), 'GET', 'v1/public/x')).status, 403)
  })
})

describe('cubbyholes', () => {
  test('nobody reads that of another token, and it goes with its token', async () => {
    const [a, b] = [await w.token(['low']), await w.token(['low'])]
    assert.equal((await w.as(a, 'PUT', 'cubbyhole/x', { value: secret })).status, 204)
    assert.equal((await w.as(a, 'GET', 'cubbyhole/x')).body.data.value, secret)
    const accessor = (await w.as(a, 'GET', 'auth/token/lookup-self')).body.data.accessor as string
    for (const token of [b, 'root'])
      for (const path of [
        'cubbyhole/x',
        `cubbyhole/${a}/x`,
        `cubbyhole/${accessor}/x`,
        'cubbyhole/../x',
        'cubbyhole/%2e%2e/x',
        'cubbyhole//x',
      ])
        assert.ok(!JSON.stringify((await w.as(token, 'GET', path)).body).includes(secret), path)
    assert.equal((await w.as(b, 'LIST', 'cubbyhole/')).status, 404)
    await w.root('POST', 'auth/token/revoke', { token: a })
    assert.equal((await w.as(a, 'GET', 'cubbyhole/x')).status, 403)
  })
})

describe('wrapping tokens', () => {
  const wrap = async () => {
    const answer = await w.as('root', 'GET', 'secret/data/private/x', undefined, { 'x-vault-wrap-ttl': '60' })
    assert.ok(!JSON.stringify(answer.body).includes(secret))
    return answer.body.wrap_info.token as string
  }

  test('one is good for unwrap alone, once', async () => {
    const one = await wrap()
    assert.equal((await w.as(low, 'POST', 'sys/wrapping/lookup', { token: one })).status, 200)
    assert.ok(
      JSON.stringify((await w.as('', 'POST', 'sys/wrapping/unwrap', { token: one })).body).includes(secret) ||
        JSON.stringify((await w.as(one, 'POST', 'sys/wrapping/unwrap')).body).includes(secret),
    )
    for (const [token, body] of [
      [one, undefined],
      [low, { token: one }],
      ['root', { token: one }],
    ] as const) {
      const again = await w.as(token, 'POST', 'sys/wrapping/unwrap', body)
      assert.ok(again.status === 400 || again.status === 403, String(again.status))
      assert.ok(!JSON.stringify(again.body).includes(secret))
    }
  })

  test('a wrapping token used elsewhere gives nothing', async () => {
    for (const [method, path, body] of [
      ['GET', 'secret/data/private/x', undefined],
      ['GET', 'cubbyhole/response', undefined],
      ['GET', 'auth/token/lookup-self', undefined],
      ['POST', 'auth/token/create', {}],
      ['POST', 'auth/token/renew-self', {}],
      ['GET', 'sys/mounts', undefined],
    ] as const) {
      const one = await wrap()
      const answer = await w.as(one, method, path, body)
      assert.ok(!JSON.stringify(answer.body).includes(secret) || path === 'cubbyhole/response', path)
      const after = await w.as(one, 'POST', 'sys/wrapping/unwrap')
      const both = [answer, after].filter((each) => JSON.stringify(each.body).includes(secret)).length
      assert.ok(both <= 1, `${path}: the secret came twice`)
    }
  })

  test('an ordinary token is no wrapping token', async () => {
    for (const body of [{ token: low }, { token: 'root' }, { token: 'hvs.none' }, { token: '' }, {}]) {
      const answer = await w.as(low, 'POST', 'sys/wrapping/unwrap', body)
      assert.ok(answer.status >= 400 && answer.status < 500, `${JSON.stringify(body)}: ${answer.status}`)
    }
    assert.equal((await w.as(low, 'GET', 'auth/token/lookup-self')).status, 200)
    assert.equal((await w.as('root', 'GET', 'auth/token/lookup-self')).status, 200)
  })

  test('wrapping asks for nothing less than the answer itself', async () => {
    const answer = await w.as(low, 'GET', 'secret/data/private/x', undefined, { 'x-vault-wrap-ttl': '60' })
    assert.equal(answer.status, 403)
    assert.equal(answer.body.wrap_info, undefined)
  })
})
