import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { JsonText } from '../lib/json.ts'
import { type FormatOptions, formatter } from './format.ts'
import { saltHasher } from './salt.ts'
import { auth, mount, request, requestEvent, response, salt } from './testing.ts'
import { formatTime } from './time.ts'

const options: FormatOptions = { salt, logRaw: false, hmacAccessor: true, elideListResponses: false }
const hash = saltHasher(salt)
const time = Date.parse('2024-05-05T12:00:00.042Z')
const parse = (body: string): Record<string, unknown> => JSON.parse(`${body}}`) as Record<string, unknown>

const full = requestEvent({
  time,
  error: 'permission "denied"',
  granting: [
    { name: 'app', namespaceId: 'root', type: 'acl' },
    { name: 'team', namespaceId: 'abc123', type: 'acl' },
  ],
  auth: {
    ...auth,
    identityPolicies: ['ip'],
    externalNamespacePolicies: { 'ns1/': ['p'] },
    noDefaultPolicy: true,
    entityId: 'entity-1',
  },
  request: request({
    id: 'id-1',
    operation: 'update',
    namespace: { id: 'abc123', path: 'ns1/' },
    data: { data: new JsonText('{"password":"canary"}'), count: 3 },
    wrapTtlSeconds: 60,
    clientCertificateSerialNumber: '12:34',
  }),
})

describe('format', () => {
  test('a request with everything: names and order of members are those of Vault', () => {
    const body = formatter(options).body(full)
    assert.ok(!body.includes('canary') && !body.includes('hvs.the-token') && !body.includes('the-accessor'))
    const line = parse(body) as { auth: object; request: object }
    assert.deepEqual(Object.keys(line), ['time', 'type', 'auth', 'request', 'error'])
    assert.deepEqual(line, {
      time: '2024-05-05T12:00:00.042000000Z',
      type: 'request',
      auth: {
        client_token: hash('hvs.the-token'),
        accessor: hash('the-accessor'),
        display_name: 'token-"app"',
        policies: ['app', 'default'],
        token_policies: ['default', 'app'],
        identity_policies: ['ip'],
        external_namespace_policies: { 'ns1/': ['p'] },
        no_default_policy: true,
        policy_results: {
          allowed: true,
          granting_policies: [
            { name: 'app', namespace_id: 'root', type: 'acl' },
            { name: 'team', namespace_id: 'abc123', type: 'acl' },
          ],
        },
        metadata: { team: 'blue' },
        entity_id: 'entity-1',
        token_type: 'service',
        token_ttl: 3600,
        token_issue_time: '2024-01-01T00:00:00Z',
      },
      request: {
        id: 'id-1',
        client_id: 'entity-1',
        operation: 'update',
        mount_point: 'secret/',
        mount_type: 'kv',
        mount_accessor: 'kv_12345678',
        mount_running_version: 'v2',
        mount_class: 'secret',
        client_token: hash('hvs.the-token'),
        client_token_accessor: hash('the-accessor'),
        namespace: { id: 'abc123', path: 'ns1/' },
        path: 'secret/data/app',
        data: { data: { password: hash('canary') }, count: 3 },
        remote_address: '127.0.0.1',
        remote_port: 4711,
        wrap_ttl: 60,
        client_certificate_serial_number: '12:34',
      },
      error: 'permission "denied"',
    })
    assert.deepEqual(Object.keys(line.auth), Object.keys((parse(body) as { auth: object }).auth))
    assert.deepEqual(
      Object.keys(line.request),
      'id client_id operation mount_point mount_type mount_accessor mount_running_version mount_class client_token client_token_accessor namespace path data remote_address remote_port wrap_ttl client_certificate_serial_number'.split(
        ' ',
      ),
    )
  })

  test('a request without a caller has what Vault writes then', () => {
    const body = formatter(options).body(
      requestEvent({
        time,
        auth: undefined,
        allowed: undefined,
        granting: [],
        request: request({
          id: 'i',
          mount: undefined,
          clientToken: '',
          clientTokenAccessor: '',
          remotePort: 0,
          data: {},
        }),
      }),
    )
    assert.deepEqual(parse(body), {
      time: '2024-05-05T12:00:00.042000000Z',
      type: 'request',
      auth: { token_type: 'default' },
      request: {
        id: 'i',
        operation: 'read',
        namespace: { id: 'root' },
        path: 'secret/data/app',
        remote_address: '127.0.0.1',
      },
    })
    const denied = formatter(options).body(requestEvent({ auth: undefined, allowed: false, granting: [] }))
    assert.deepEqual(parse(denied)['auth'], { policy_results: { allowed: false }, token_type: 'default' })
  })

  test('a response repeats the request and tells of data, auth, lease, wrapping and warnings', () => {
    const { body } = formatter(options)
    const login = { ...auth, clientToken: 'hvs.new', accessor: 'new-accessor', tokenType: 'batch' as const }
    const answer = response({
      data: { password: 'canary', created_time: '2024-01-01T00:00:00Z', deletion_time: '' },
      auth: login,
      secret: { leaseId: 'database/creds/x/1' },
      wrapInfo: {
        token: 'hvs.wrap',
        accessor: 'wrap-accessor',
        ttlSeconds: 60,
        creationTime: '2024-01-01T00:00:00Z',
        creationPath: 'secret/data/app',
        wrappedAccessor: 'inner',
      },
      warnings: ['look out'],
      redirect: 'elsewhere',
    })
    body(full)
    const line = parse(body({ ...full, type: 'response', response: answer }))
    assert.deepEqual(Object.keys(line), ['time', 'type', 'auth', 'request', 'response', 'error'])
    assert.deepEqual(line['request'], parse(formatter(options).body(full))['request'])
    assert.deepEqual(line['response'], {
      auth: {
        client_token: hash('hvs.new'),
        accessor: hash('new-accessor'),
        display_name: 'token-"app"',
        policies: ['app', 'default'],
        token_policies: ['default', 'app'],
        metadata: { team: 'blue' },
        token_type: 'batch',
        token_ttl: 3600,
        token_issue_time: '2024-01-01T00:00:00Z',
      },
      mount_point: 'secret/',
      mount_type: 'kv',
      mount_accessor: 'kv_12345678',
      mount_running_plugin_version: 'v2',
      mount_class: 'secret',
      secret: { lease_id: 'database/creds/x/1' },
      data: { password: hash('canary'), created_time: '2024-01-01T00:00:00Z', deletion_time: hash('') },
      warnings: ['look out'],
      redirect: 'elsewhere',
      wrap_info: {
        ttl: 60,
        token: hash('hvs.wrap'),
        accessor: hash('wrap-accessor'),
        creation_time: '2024-01-01T00:00:00Z',
        creation_path: 'secret/data/app',
        wrapped_accessor: hash('inner'),
      },
    })
    const nothing = parse(body({ ...requestEvent(), type: 'response' }))
    assert.equal((nothing['response'] as { mount_point: string }).mount_point, 'secret/')
  })

  test('entries of different requests in turn do not borrow from each other', () => {
    const { body } = formatter(options)
    const events = Array.from({ length: 6 }, (_, i) =>
      requestEvent({
        time,
        auth: i % 3 === 0 ? undefined : { ...auth, clientToken: `token-${i}` },
        granting: i % 2 === 0 ? [] : [{ name: `p${i}`, namespaceId: 'root', type: 'acl' }],
        allowed: i % 2 === 1,
        request: request({
          id: `id-${i}`,
          namespace: { id: `n${i % 2}`, path: '' },
          remoteAddress: `10.0.0.${i % 2}`,
          data: i > 3 ? { n: `d${i}` } : undefined,
        }),
      }),
    )
    const alone = (event: (typeof events)[number]): string => formatter(options).body(event)
    for (const order of [
      [0, 1, 2, 3, 4, 5],
      [5, 5, 0, 4, 1, 1, 3, 2],
      [2, 4, 2, 4, 5, 4],
    ])
      for (const i of order) {
        const event = events[i] as (typeof events)[number]
        assert.equal(body(event), alone(event))
        const answered = { ...event, type: 'response' as const, response: response() }
        if (i % 2 === 0) assert.equal(body(answered), alone(answered))
      }
  })

  test('log_raw writes values, hmac_accessor=false the accessors', () => {
    const raw = parse(formatter({ ...options, logRaw: true }).body(full)) as {
      auth: Record<string, unknown>
      request: { data: unknown; client_token: string }
    }
    assert.equal(raw.auth['client_token'], 'hvs.the-token')
    assert.equal(raw.auth['accessor'], 'the-accessor')
    assert.deepEqual(raw.request.data, { data: { password: 'canary' }, count: 3 })
    assert.equal(formatter({ ...options, logRaw: true }).hash('x'), hash('x'))
    const accessors = parse(formatter({ ...options, hmacAccessor: false }).body(full)) as {
      auth: Record<string, unknown>
      request: Record<string, unknown>
    }
    assert.equal(accessors.auth['client_token'], hash('hvs.the-token'))
    assert.equal(accessors.auth['accessor'], 'the-accessor')
    assert.equal(accessors.request['client_token_accessor'], 'the-accessor')
  })

  test('keys of the mount that are not to be hashed, and elided lists', () => {
    const open = { ...mount, nonHmacRequestKeys: ['user'], nonHmacResponseKeys: ['keys'] }
    const event = requestEvent({ request: request({ mount: open, data: { user: 'me', keys: 'k' } }) })
    const answered = {
      ...event,
      type: 'response' as const,
      response: response({ data: { keys: ['a'], user: 'me' }, list: true }),
    }
    const line = parse(formatter(options).body(answered)) as { request: { data: unknown }; response: { data: unknown } }
    assert.deepEqual(line.request.data, { user: 'me', keys: hash('k') })
    assert.deepEqual(line.response.data, { keys: ['a'], user: hash('me') })
    const elided = parse(formatter({ ...options, elideListResponses: true }).body(answered)) as {
      response: { data: unknown }
    }
    assert.deepEqual(elided.response.data, { keys: 1, user: hash('me') })
  })

  test('the client id of a token without an entity follows from policies and namespace', () => {
    const line = parse(formatter(options).body(requestEvent())) as { request: { client_id: string } }
    // SHA-256 of "app", DEL, "default", NUL, "root".
    assert.equal(line.request.client_id, '2Vw3UAc8TOR58DDSVWoXV6NvS7Uw5Z68czUjxNnVkBo=')
  })

  test('times have nine digits', () => {
    assert.equal(formatTime(0), '1970-01-01T00:00:00.000000000Z')
    assert.equal(formatTime(time + 0.5), '2024-05-05T12:00:00.042500000Z')
    assert.equal(formatTime(time), '2024-05-05T12:00:00.042000000Z')
  })
})
