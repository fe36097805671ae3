// Malformed input to a whole server: every operation it lists with every kind of wrong value, bytes that are no HTTP, policies and
// configurations that are none. Nothing crashes it, nothing hangs it, nothing is answered with a 500.
// COFFER_FUZZ_SEED repeats a run, COFFER_FUZZ_SECONDS bounds the walk over the operations.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ConfigError } from '../../src/config/keys.ts'
import { parseConfig } from '../../src/config/load.ts'
import { randomOf } from '../crash/random.ts'
import { type ServerProcess, startDev } from '../process.ts'
import { rawRequest, sendRaw } from './raw.ts'
import { bodyWith, type OpenApi, pathWith, type Target, targetsOf, wrongBodies, wrongValues } from './wrong-values.ts'

const seed = Number(process.env['COFFER_FUZZ_SEED'] ?? Date.now() % 1_000_000)
const walkSeconds = Number(process.env['COFFER_FUZZ_SECONDS'] ?? 22)
const answerMs = 5000
const random = randomOf(seed)

let server: ServerProcess
const started: ServerProcess[] = []

/** A server with one of everything, and an audit file that has to print whatever comes. */
async function furnish(): Promise<void> {
  server = await startDev()
  started.push(server)
  const setup: readonly (readonly [path: string, body: unknown])[] = [
    ['sys/audit/file', { type: 'file', options: { file_path: path.join(server.folder, 'audit.log') } }],
    ['sys/audit/raw', { type: 'file', options: { file_path: path.join(server.folder, 'raw.log'), log_raw: 'true' } }],
    ['sys/mounts/v1', { type: 'kv' }],
    ['sys/auth/userpass', { type: 'userpass' }],
    ['auth/userpass/users/ann', { password: 'right' }],
    ['secret/data/x', { data: { a: '1', b: { c: 2 } } }],
    ['v1/x', { a: '1' }],
    ['sys/namespaces/named', {}],
    ['sys/policies/acl/named', { policy: 'path "a" { capabilities = ["read"] }' }],
    ['auth/token/roles/named', { allowed_policies: 'default' }],
    ['identity/entity', { name: 'named' }],
  ]
  for (const [at, body] of setup) {
    const { status, body: answer } = await server.call('POST', at, body)
    assert.ok(status < 300, `${at}: ${status} ${JSON.stringify(answer)}`)
  }
}

before(async () => {
  await furnish()
})
after(async () => {
  for (const each of started) await each.remove()
})

/** What went wrong, with the request that does it again. */
const findings = new Map<string, string>()
const note = (what: string, request: string): void => {
  // One finding of a kind is enough to mend it.
  const kind = what + request.split('\n')[0]?.replace(/[?{].*/, '')
  if (findings.size < 60) findings.set(kind, `${what}\n    ${request.slice(0, 600)}`)
}
const reportFindings = (): void => {
  const list = [...findings.values()]
  findings.clear()
  assert.equal(list.length, 0, `seed ${seed}:\n  ${list.join('\n  ')}`)
}

/** Errors that are no fault of the server: sealed, locked, not initialised. */
const honest = (status: number, text: string): boolean => status === 503 && /sealed|locked/.test(text)

async function ask(
  method: string,
  at: string,
  body: string | undefined,
  headers: Record<string, string>,
): Promise<number> {
  const shown = `${method} /v1/${at}\n    ${JSON.stringify(headers)}\n    ${body ?? ''}`
  try {
    const response = await fetch(`${server.url}/v1/${at}`, {
      method,
      headers: { 'x-vault-token': 'root', ...headers },
      ...(body !== undefined && method !== 'GET' ? { body } : {}),
      redirect: 'manual',
      signal: AbortSignal.timeout(answerMs),
    })
    const text = await response.text()
    if (response.status >= 500 && !honest(response.status, text) && !at.startsWith('sys/health'))
      note(`${response.status} ${text.slice(0, 200)}`, shown)
    return response.status
  } catch (error) {
    note(
      error instanceof Error && error.name === 'TimeoutError'
        ? 'no answer'
        : `broken: ${error} ${(error as Error).cause}`,
      shown,
    )
    return 0
  }
}

/** Whether the server still is as it was furnished; operations under test may have revoked, disabled, locked or sealed. */
async function intact(): Promise<boolean> {
  const checks = [
    'auth/token/lookup-self',
    'secret/config',
    'v1/x',
    'auth/userpass/users/ann',
    'identity/entity/name/named',
  ]
  for (const at of checks) if ((await server.call('GET', at).catch(() => undefined))?.status !== 200) return false
  return true
}

/** Ends a server that an operation has (rightly) broken; one that died by itself is a finding. */
async function renew(after: string): Promise<void> {
  if (server.child.exitCode !== null || server.child.signalCode !== null)
    note(`the server ended: ${server.output().slice(-800)}`, after)
  checkAudit()
  await server.end('SIGKILL')
  await furnish()
}

/** All that was audited is JSON, one object a line. */
function checkAudit(): void {
  for (const name of ['audit.log', 'raw.log']) {
    const lines = readFileSync(path.join(server.folder, name), 'utf8').split('\n')
    lines.pop()
    for (const line of lines)
      try {
        assert.equal(typeof JSON.parse(line), 'object')
      } catch {
        note('an audit line that is no JSON', `${name}: ${line.slice(0, 300)}`)
      }
  }
}

const headersFor = (target: Target): Record<string, string> => ({
  ...(target.method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {}),
  ...(random.below(30) === 0
    ? { 'x-vault-wrap-ttl': random.pick(['1', '60s', '0', '-1', 'x', '99999999999999']) }
    : {}),
  ...(random.below(30) === 0 ? { 'x-vault-namespace': random.pick(['named', 'named/', '..', 'none', '/', 'é%']) } : {}),
  ...(random.below(40) === 0 ? { 'x-vault-token': random.pick(['', 'x', 'hvb.x', 'hvs.x', 'a'.repeat(3000)]) } : {}),
})

/** The requests of one operation: each field with each wrong value, wrong bodies, odd paths and queries. */
function* requestsFor(target: Target): Generator<[at: string, body: string | undefined]> {
  const value = (): string => encodeURIComponent(random.pick(wrongValues).slice(0, 200).replace(/^"|"$/g, ''))
  for (const field of target.fields)
    for (const wrong of wrongValues) yield [pathWith(target, random, true), bodyWith(target, field, wrong, random)]
  if (target.method !== 'GET' && target.method !== 'DELETE')
    for (const body of wrongBodies) yield [pathWith(target, random, true), body]
  for (let i = 0; i < 40; i++) {
    const names = [...target.query, 'list', 'scan', 'help', 'after', 'limit', 'version', 'x']
    const query = random.below(2) ? '' : `?${random.pick(names)}=${value()}&${random.pick(names)}=${value()}`
    const field = random.pick(target.fields)
    yield [
      pathWith(target, random, false) + query,
      field === undefined ? undefined : bodyWith(target, field, random.pick(wrongValues), random),
    ]
  }
}

test('every operation takes every kind of wrong value', { timeout: 300_000 }, async (t) => {
  t.diagnostic(`seed ${seed} (COFFER_FUZZ_SEED)`)
  const { body } = await server.call('GET', 'sys/internal/specs/openapi')
  const targets = targetsOf(body as OpenApi)
  assert.ok(targets.length > 100, `${targets.length} operations`)
  const last = (target: Target) => Number(/^sys\/(seal|step-down|init|unseal)$/.test(target.path))
  const order = targets
    .map((target) => ({ target, at: last(target) * 2 ** 32 + random.below(2 ** 31) }))
    .sort((a, b) => a.at - b.at)
  const until = Date.now() + walkSeconds * 1000
  let asked = 0
  let walked = 0
  for (const { target } of order) {
    // Everybody gets a turn: what is left of the time is shared by those that still wait.
    const turn = Date.now() + Math.max(50, (until - Date.now()) / (order.length - walked))
    walked++
    const work = random.shuffle([...requestsFor(target)])[Symbol.iterator]()
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (const [at, text] of work) {
          asked++
          await ask(target.method, at, text, headersFor(target))
          if (Date.now() > turn) return
        }
      }),
    )
    if (!(await intact())) await renew(`${target.method} ${target.path}`)
  }
  checkAudit()
  t.diagnostic(`${asked} requests to ${targets.length} operations`)
  reportFindings()
  assert.ok(await intact())
})

describe('bytes that are no request', () => {
  const line = (text: string) => `${text}\r\nHost: a\r\nX-Vault-Token: root\r\nConnection: close\r\n\r\n`
  const post = (headers: string, body: string) =>
    `POST /v1/secret/data/x HTTP/1.1\r\nHost: a\r\nX-Vault-Token: root\r\nConnection: close\r\n${headers}\r\n\r\n${body}`
  const cases: Readonly<Record<string, string | Buffer | readonly (string | Buffer)[]>> = {
    nothing: '',
    'a line end': '\r\n\r\n',
    'no version': line('GET /v1/sys/health'),
    'version 0.9': line('GET /v1/sys/health HTTP/0.9'),
    'version 9.9': line('GET /v1/sys/health HTTP/9.9'),
    'HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a TLS hello': Buffer.from('16030100a5010000a10303', 'hex'),
    'zero bytes': Buffer.alloc(2000),
    ones: Buffer.alloc(2000, 0xff),
    'a NUL in the path': line('GET /v1/sys/\0health HTTP/1.1'),
    'a NUL in a header': rawRequest('GET', '/v1/sys/health', { headers: ['X-A: \0'] }),
    'a lone CR': rawRequest('GET', '/v1/sys/health', { headers: ['X-A: \rX-B: 1'] }),
    'no path': line('GET  HTTP/1.1'),
    'a star': line('GET * HTTP/1.1'),
    'OPTIONS *': line('OPTIONS * HTTP/1.1'),
    CONNECT: line('CONNECT a:443 HTTP/1.1'),
    TRACE: line('TRACE /v1/sys/health HTTP/1.1'),
    'an unknown verb': line('FROBNICATE /v1/secret/data/x HTTP/1.1'),
    'a long verb': line(`${'A'.repeat(5000)} /v1/secret/data/x HTTP/1.1`),
    'LIST in pieces': [
      'L',
      'I',
      'S',
      'T',
      ' /v1/secret/metadata/ HTTP/1.1\r\nHost: a\r\nConnec',
      'tion: close\r\nX-Vault-Token: root\r\n\r\n',
    ],
    'LIST cut short': 'LIST /v1/secret',
    'no host': 'GET /v1/sys/health HTTP/1.1\r\nConnection: close\r\n\r\n',
    'a long path': line(`GET /v1/${'a'.repeat(20_000)} HTTP/1.1`),
    'a very long path': line(`GET /v1/${'a'.repeat(200_000)} HTTP/1.1`),
    'many segments': line(`GET /v1/secret/data/${'a/'.repeat(7000)} HTTP/1.1`),
    'a long query': line(`GET /v1/sys/health?${'a=1&'.repeat(3000)} HTTP/1.1`),
    'a huge header': rawRequest('GET', '/v1/sys/health', { headers: [`X-A: ${'a'.repeat(1_000_000)}`] }),
    'many headers': rawRequest('GET', '/v1/sys/health', {
      headers: Array.from({ length: 3000 }, (_, i) => `X-${i}: 1`),
    }),
    'a header without an end': [
      'GET /v1/sys/health HTTP/1.1\r\n',
      ...Array.from({ length: 40 }, () => `X-A: ${'a'.repeat(4000)}\r\n`),
    ],
    'a bad content length': post('Content-Length: -1', ''),
    'a content length of letters': post('Content-Length: x', '{}'),
    'a content length beyond all': post('Content-Length: 99999999999999999999', '{}'),
    'a body that is too long': post('Content-Length: 40000000', '{'),
    'two lengths': post('Content-Length: 2\r\nContent-Length: 2', '{}'),
    'a truncated body': post('Content-Length: 100', '{"data":{"a":'),
    'a bad chunk': post('Transfer-Encoding: chunked', 'zz\r\n{}\r\n0\r\n\r\n'),
    'a chunk without an end': post('Transfer-Encoding: chunked', '5\r\n{"dat'),
    'a chunk of all memory': post('Transfer-Encoding: chunked', 'ffffffffffffffff\r\n{'),
    'a chunk with extensions': post('Transfer-Encoding: chunked', `2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
    trailers: post('Transfer-Encoding: chunked', `2\r\n{}\r\n0\r\n${'X-A: 1\r\n'.repeat(3000)}\r\n`),
    'gzip said': post('Content-Encoding: gzip\r\nContent-Length: 2', '{}'),
    'an upgrade': rawRequest('GET', '/v1/sys/health', { headers: ['Upgrade: websocket', 'Connection: Upgrade'] }),
    'expect something': post('Expect: 200-ok\r\nContent-Length: 2', '{}'),
    'a deep body': post(`Content-Length: ${200_000}`, '{"data":'.repeat(25_000)),
    'an invalid surrogate in a body': post(
      'Content-Length: 24',
      '{"data":{"a":"\xed\xa0\x80\xed\xa0\x80"}}'.slice(0, 24),
    ),
    'bad UTF-8 in a path': line('GET /v1/secret/data/\xff\xfe HTTP/1.1'),
    'bad escapes in a path': line('GET /v1/secret/data/%zz%1 HTTP/1.1'),
    'a pipeline':
      rawRequest('GET', '/v1/sys/health').replace('Connection: close\r\n', '').repeat(200) +
      rawRequest('GET', '/v1/sys/health'),
    'a pipeline that ends in rubbish': `${rawRequest('LIST', '/v1/secret/metadata/', { token: 'root' }).replace('Connection: close\r\n', '').repeat(20)}\x00\x01`,
  }
  for (const [name, bytes] of Object.entries(cases))
    test(name, async () => {
      const answer = await sendRaw(server.url, bytes, { endAfter: true, timeoutMs: answerMs })
      assert.ok(answer.closed, 'the connection stays open')
      for (const status of answer.statuses)
        assert.ok(status < 500 || status === 505 || status === 501, answer.text.slice(0, 300))
      assert.equal((await server.call('GET', 'sys/health')).status, 200)
    })

  test('requests with bytes changed at random', { timeout: 60_000 }, async () => {
    const seeds = [
      rawRequest('GET', '/v1/secret/data/x?version=1', { token: 'root' }),
      rawRequest('LIST', '/v1/secret/metadata/', { token: 'root' }),
      rawRequest('POST', '/v1/secret/data/x', { token: 'root', body: '{"data":{"a":1},"options":{"cas":3}}' }),
      rawRequest('PATCH', '/v1/secret/data/x', {
        token: 'root',
        headers: ['Content-Type: application/merge-patch+json'],
        body: '{"data":{"a":1}}',
      }),
      `POST /v1/v1/x HTTP/1.1\r\nHost: a\r\nX-Vault-Token: root\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n`,
    ]
    const until = Date.now() + 4000
    let sent = 0
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (Date.now() < until) {
          const bytes = Buffer.from(random.pick(seeds), 'latin1')
          for (let i = random.below(6); i >= 0; i--) bytes[random.below(bytes.length)] = random.below(256)
          const cut = random.below(5) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes
          const answer = await sendRaw(server.url, cut, { endAfter: true, timeoutMs: answerMs })
          sent++
          if (!answer.closed) note('the connection stays open', JSON.stringify(cut.toString('latin1')))
          if (answer.statuses.some((status) => status >= 500 && status !== 505 && status !== 501))
            note(`${answer.text.slice(0, 200)}`, JSON.stringify(cut.toString('latin1')))
        }
      }),
    )
    assert.ok(sent > 200, String(sent))
    reportFindings()
    assert.equal((await server.call('GET', 'sys/health')).status, 200)
  })

  test('connections that say nothing more do not stand in anybody’s way', async () => {
    const silent = Array.from({ length: 200 }, (_, i) =>
      sendRaw(
        server.url,
        i % 2 ? 'POST /v1/secret/data/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{' : 'GET /v1/sys',
        { timeoutMs: 1500 },
      ),
    )
    await new Promise((resolve) => setTimeout(resolve, 200))
    const from = performance.now()
    assert.equal((await server.call('GET', 'secret/data/x')).status, 200)
    assert.ok(performance.now() - from < 1000)
    await Promise.all(silent)
  })
})

describe('parsers', () => {
  const policies = [
    'path "secret/*" {\n  capabilities = ["read", "list"]\n  allowed_parameters = { "a" = ["x", "y*"] "*" = [] }\n}',
    'path "a/+/b" { capabilities = ["deny"] min_wrapping_ttl = "1s" max_wrapping_ttl = 90 } # end',
    '{"path":{"a/*":{"capabilities":["read"],"denied_parameters":{"b":[1,null,true]}}}}',
    'path "{{identity.entity.metadata.team}}/*" { policy = "write" }\n/* more */ // and more',
    '\npath "x" { capabilities = [<<EOT\nread\nEOT\n] }',
  ]
  const configs = [
    'storage "sqlite" { path = "x.db" }\nlistener "tcp" { address = "127.0.0.1:1" tls_disable = true }',
    'seal "static" { current_key_id = "a" current_key = "AAAA" }\naudit "file" "file" { options { file_path = "x" } }',
    '{"storage":{"inmem":{}},"listener":[{"tcp":{"address":"a:1","tls_disable":1}}],"default_lease_ttl":"768h"}',
    'ui = true\nlog_level = "info"\ntelemetry { disable_hostname = true }\nuser_lockout "all" { lockout_threshold = "5" }',
  ]
  const bits = [
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    '=',
    ',',
    '#',
    '/*',
    '*/',
    '<<E',
    '\n',
    '\0',
    '\ud800',
    '${',
    '%{',
    '{{',
    '1e999',
    'path',
    'null',
    '-',
    "'",
    '\u2028',
    'é',
  ]

  /** A text with pieces taken out, doubled, put in and moved. */
  const spoil = (text: string): string => {
    let out = text
    for (let i = random.below(5); i >= 0; i--) {
      const at = random.below(out.length + 1)
      const length = random.below(12)
      const dice = random.below(4)
      if (dice === 0) out = out.slice(0, at) + out.slice(at + length)
      else if (dice === 1) out = out.slice(0, at) + random.pick(bits) + out.slice(at)
      else if (dice === 2)
        out = out.slice(0, at) + out.slice(at, at + length).repeat(1 + random.below(50)) + out.slice(at)
      else out = out.slice(0, at) + random.pick(bits).repeat(random.below(300)) + out.slice(at)
    }
    return out
  }

  test('policies through the API', { timeout: 60_000 }, async () => {
    const large = [
      'path "a" {'.repeat(20_000),
      `path "${'a/'.repeat(50_000)}" { capabilities = ["read"] }`,
      '{"path":'.repeat(5000),
      `/*${'*'.repeat(200_000)}`,
      `path "a" { capabilities = [${'"read",'.repeat(50_000)}] }`,
      `path "a" { capabilities = ${'['.repeat(50_000)}`,
      Array.from({ length: 5000 }, (_, i) => `path "a/${i}/+/*" { capabilities = ["read"] }`).join('\n'),
      `path "a" { b = "${'\\'.repeat(100_001)}" }`,
      `path "a" { b = "${'${'.repeat(50_000)}" }`,
      `${'#'.repeat(300_000)}\n`,
      ' '.repeat(500_000),
      '='.repeat(100_000),
    ]
    const until = Date.now() + 4000
    const texts = [...large, ...Array.from({ length: 1500 }, () => spoil(random.pick(policies)))]
    for (const text of texts) {
      if (Date.now() > until && !large.includes(text)) break
      const field = random.below(10) === 0 ? 'rules' : 'policy'
      const value = random.below(10) === 0 ? Buffer.from(text).toString('base64') : text
      await ask('PUT', 'sys/policies/acl/spoiled', JSON.stringify({ [field]: value }), {})
    }
    reportFindings()
    const read = await server.call('GET', 'auth/token/lookup-self')
    assert.equal(read.status, 200)
  })

  test('a token with spoiled policies is judged, whatever they say', async () => {
    for (let i = 0; i < 60; i++) {
      const made = await server.call('PUT', `sys/policies/acl/odd-${i}`, { policy: spoil(random.pick(policies)) })
      if (made.status >= 300) continue
      const { body } = await server.call('POST', 'auth/token/create', { policies: [`odd-${i}`] })
      for (const at of ['secret/data/x', 'a/x/b', 'x', 'sys/mounts'])
        await ask('GET', at, undefined, { 'x-vault-token': body.auth.client_token })
    }
    reportFindings()
  })

  test('configurations are read or refused with a word, at once', () => {
    const until = Date.now() + 4000
    for (let i = 0; i < 4000 && Date.now() < until; i++) {
      const text = spoil(random.pick(configs))
      const from = performance.now()
      try {
        parseConfig(text, 'spoiled.hcl')
      } catch (error) {
        assert.ok(error instanceof ConfigError, `${JSON.stringify(text.slice(0, 500))}: ${(error as Error).stack}`)
      }
      assert.ok(performance.now() - from < 1000, JSON.stringify(text.slice(0, 500)))
    }
  })
})

test('the server is healthy at the end', async () => {
  assert.equal(server.child.exitCode, null)
  assert.equal((await server.call('GET', 'sys/health')).status, 200)
  assert.equal((await server.call('PUT', 'secret/data/end', { data: { a: '1' } })).status, 200)
  assert.equal((await server.call('GET', 'secret/data/end')).body.data.data.a, '1')
  for (const each of started) assert.doesNotMatch(each.output(), /uncaught|unhandled|internal error/i)
})
