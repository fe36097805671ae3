import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../sdk/errors.ts'
import { validateDevice } from './options.ts'

const validate = (type: string, options: Record<string, string>, declared = false) =>
  validateDevice({ type, options, declared })

test('reads what the options come to', () => {
  assert.deepEqual(
    validate('file', { file_path: '/var/log/a', mode: '0640', log_raw: '1', prefix: '@cee: ', odd: 'x' }),
    {
      logRaw: true,
      hmacAccessor: true,
      elideListResponses: false,
      prefix: '@cee: ',
      skipTest: false,
      target: { kind: 'file', path: '/var/log/a', mode: 0o640 },
      unknown: ['odd'],
    },
  )
  const targets: [string, Record<string, string>, object][] = [
    ['file', { path: '/a' }, { kind: 'file', path: '/a', mode: 0o600 }],
    ['file', { file_path: '/a', mode: '0000' }, { kind: 'file', path: '/a', mode: undefined }],
    ['file', { file_path: 'STDOUT' }, { kind: 'stream', name: 'stdout' }],
    ['file', { file_path: '/dev/stderr' }, { kind: 'stream', name: 'stderr' }],
    ['file', { file_path: 'discard' }, { kind: 'discard' }],
    ['file', { file_path: '/dev/null' }, { kind: 'discard' }],
    [
      'socket',
      { address: 'localhost:90', socket_type: 'udp6', write_timeout: '500ms' },
      { kind: 'socket', address: { network: 'udp', host: 'localhost', port: 90, family: 6 }, timeoutMs: 500 },
    ],
    [
      'socket',
      { address: '[::1]:90' },
      { kind: 'socket', address: { network: 'tcp', host: '::1', port: 90, family: 0 }, timeoutMs: 2000 },
    ],
    [
      'syslog',
      { address: '/run/log', facility: 'local3', rfc: '3164' },
      {
        kind: 'syslog',
        address: { network: 'unix', path: '/run/log' },
        timeoutMs: 2000,
        facility: 19,
        tag: 'vault',
        rfc: 3164,
      },
    ],
    [
      'http',
      { uri: 'http://localhost/x', headers: '{"A":"b","C":["d","e"]}' },
      { kind: 'http', url: 'http://localhost/x', headers: { A: ['b'], C: ['d', 'e'] }, timeoutMs: 5000 },
    ],
  ]
  for (const [type, options, target] of targets) assert.deepEqual(validate(type, options).target, target)
})

test('refuses what cannot be meant, naming the option', () => {
  const refusals: [string, Record<string, string>, RegExp][] = [
    ['', {}, /unknown audit device type/],
    ['__proto__', {}, /unknown audit device type/],
    ['file', {}, /^file_path is required$/],
    ['file', { file_path: '' }, /^file_path is required$/],
    ['file', { file_path: '/a', path: '/b' }, /file_path and path are both given/],
    ['file', { file_path: '/a/' }, /file_path/],
    ['file', { file_path: '/a', mode: '0755' }, /mode must not make the file executable/],
    ['file', { file_path: '/a', mode: '4600' }, /mode must hold permission bits only/],
    ['file', { file_path: '/a', mode: '20000600' }, /mode/],
    ['file', { file_path: '/a', mode: 'rw' }, /mode/],
    ['file', { file_path: '/a', mode: '0689' }, /mode/],
    ['file', { file_path: '/a', format: 'jsonx' }, /format/],
    ['file', { file_path: '/a', log_raw: 'maybe' }, /log_raw/],
    ['file', { file_path: '/a', hmac_accessor: '2' }, /hmac_accessor/],
    ['file', { file_path: '/a', elide_list_responses: 'x' }, /elide_list_responses/],
    ['file', { file_path: '/a', prefix: 'a\nb' }, /prefix/],
    ['file', { file_path: '/a', prefix: '{' }, /prefix/],
    ['socket', {}, /^address is required$/],
    ['socket', { address: 'nowhere' }, /address must be host:port/],
    ['socket', { address: 'h:0' }, /address/],
    ['socket', { address: 'h:1', socket_type: 'unixgram' }, /socket_type/],
    ['socket', { address: 'relative', socket_type: 'unix' }, /address/],
    ['socket', { address: 'h:1', write_timeout: '1h' }, /write_timeout/],
    ['syslog', {}, /address is required/],
    ['syslog', { address: 'h:1', facility: 'NONE' }, /facility/],
    ['syslog', { address: 'h:1', tag: 'a b' }, /tag/],
    ['syslog', { address: 'h:1', rfc: '1' }, /rfc/],
    ['http', {}, /^uri is required$/],
    ['http', { uri: 'ftp://x' }, /uri must be/],
    ['http', { uri: 'http://x', headers: 'A: b' }, /headers/],
    ['http', { uri: 'http://x', headers: '{"A":1}' }, /headers/],
    ['http', { uri: 'http://x', headers: '{"A":"b\\r\\nC: d"}' }, /headers/],
    ['http', { uri: 'http://x', headers: '{"A":"file:///etc/passwd"}' }, /configuration file/],
    ['http', { uri: 'env://HOME' }, /configuration file/],
  ]
  for (const [type, options, message] of refusals)
    assert.throws(
      () => validate(type, options),
      (error: unknown) => error instanceof ApiError && error.status === 400 && message.test(error.message),
      `${type} ${JSON.stringify(options)}`,
    )
})

test('only the configuration file may refer to the environment', () => {
  process.env['AUDIT_TEST_URL'] = 'http://localhost/y'
  const { target } = validate('http', { uri: 'env://AUDIT_TEST_URL', headers: '{"A":"env://AUDIT_TEST_URL"}' }, true)
  assert.deepEqual(target, {
    kind: 'http',
    url: 'http://localhost/y',
    headers: { A: ['http://localhost/y'] },
    timeoutMs: 5000,
  })
  delete process.env['AUDIT_TEST_URL']
  assert.throws(() => validate('http', { uri: 'env://AUDIT_TEST_URL' }, true), /not set/)
})
