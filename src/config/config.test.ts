// The server configuration: every key read as documented, mistakes told with their line, secrets never shown, files merged.
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { ConfigError } from './keys.ts'
import { loadConfig, parseConfig, validateConfig } from './load.ts'
import { configReference } from './reference.ts'
import { sanitized } from './sanitized.ts'
import { sections } from './sections.ts'
import { parseWorkers, workerCount } from './workers.ts'

const folder = await mkdtemp(join(tmpdir(), 'coffer-config-'))
after(() => rm(folder, { recursive: true, force: true }))
const file = async (name: string, text: string): Promise<string> => {
  const path = join(folder, name)
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, text)
  return path
}

const parse = (text: string) => parseConfig(text, 'f.hcl')
const configOf = (text: string) => parse(text).config
const warned = (text: string) => parse(text).warnings.map(({ line, message }) => `${line}: ${message}`)
const refused = (text: string, ...messages: RegExp[]) =>
  assert.throws(
    () => parse(text),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError, String(error))
      const lines = error.problems.map(({ line, message }) => `${line}: ${message}`)
      assert.equal(lines.length, messages.length, lines.join('\n'))
      messages.forEach((message, i) => {
        assert.match(lines[i] as string, message)
      })
      return true
    },
  )

test('workers are a number or auto, and share no storage in memory', () => {
  const sqlite = 'storage "sqlite" { path = "x" }\n'
  for (const [text, workers] of [
    ['', 1],
    ['workers = 4', 4],
    ['workers = "2"', 2],
    ['workers = "AUTO"', 'auto'],
    ['workers = 256', 256],
  ] as const)
    assert.equal(configOf(sqlite + text).workers, workers)
  refused(`${sqlite}workers = 0`, /2: workers must not be less than 1/)
  refused(`${sqlite}workers = 257`, /2: workers must not be greater than 256/)
  refused(`${sqlite}workers = "many"`, /2: workers must be a whole number/)
  refused('storage "inmem" {}\nworkers = 2', /0: workers = 2: storage "inmem" lies in the memory of one process/)
  assert.equal(configOf('storage "inmem" {}\nworkers = 1').workers, 1)
  assert.ok(workerCount('auto') >= 1)
  assert.deepEqual(['3', 'auto', '0', '257', '1.5', 'x', ''].map(parseWorkers), [
    3,
    'auto',
    ...Array(5).fill(undefined),
  ])
})

const full = `
api_addr = "https://vault.example.com:8200/"
cluster_addr = "https://10.0.0.1:8201"
node_name = "n1"
cluster_name = "c1"
ui = "true"
log_level = "WARNING"
log_format = "json"
log_file = "/var/log/coffer.log"
log_rotate_bytes = 1024
log_rotate_duration = "12h"
log_rotate_max_files = -1
default_lease_ttl = "1h"
max_lease_ttl = 7200
default_max_request_duration = "30s"
disable_mlock = true
disable_cache = 1
cache_size = "500"
pid_file = "/run/coffer.pid"
workers = 4
raw_storage_endpoint = true
introspection_endpoint = true
enable_response_header_hostname = true
unsafe_allow_api_audit_creation = false
api_version = "1.20.0"
plugin_directory = "/plugins"

listener "tcp" {
  address = "127.0.0.1:8200"
  cluster_address = "127.0.0.1:8201"
  tls_cert_file = "/tls/cert.pem"
  tls_key_file = "/tls/key.pem"
  tls_client_ca_file = "/tls/ca.pem"
  tls_min_version = "tls13"
  tls_cipher_suites = "A,B"
  tls_disable_client_certs = "1"
  max_request_size = 1048576
  max_request_duration = "5s"
  max_request_json_strings = 100
  http_idle_timeout = "1m"
  proxy_protocol_behavior = "deny_unauthorized"
  proxy_protocol_authorized_addrs = ["10.0.0.0/8"]
  x_forwarded_for_authorized_addrs = "10.0.0.1, 10.0.0.2"
  x_forwarded_for_hop_skips = "1"
  x_forwarded_for_reject_not_present = false
  custom_response_headers {
    "default" = { "X-One" = ["a", "b"] }
    "4xx" = { "X-Two" = "c" }
  }
  disable_unauthed_rekey_endpoints = true
  telemetry { unauthenticated_metrics_access = true }
  profiling { unauthenticated_pprof_access = true }
}
listener "unix" {
  address = "/run/coffer.sock"
  socket_mode = "0660"
  socket_user = "coffer"
  socket_group = 1000
}
storage "file" { path = "/var/lib/coffer" }
seal "static" {
  current_key_id = "k2"
  current_key = "canary-current-key-000000000000"
  previous_key_id = "k1"
  previous_key = "env://CANARY_PREVIOUS"
}
seal "awskms" { disabled = true region = "canary-region" }
audit "file" "main" {
  description = "to a file"
  options { file_path = "/var/log/audit.log" log_raw = true mode = 0600 }
}
telemetry { prometheus_retention_time = "1h" disable_hostname = true prefix_filter = ["+a", "-b"] }
user_lockout "all" { lockout_threshold = 3 }
user_lockout "userpass" { lockout_duration = "1m" disable_lockout = "true" }
`

test('every stanza and key', () => {
  const { config, warnings } = parse(full)
  assert.deepEqual(warnings, [])
  const { listeners, storage, seals, audits, telemetry, userLockouts, ...top } = config
  assert.deepEqual(top, {
    apiAddr: 'https://vault.example.com:8200',
    clusterAddr: 'https://10.0.0.1:8201',
    nodeName: 'n1',
    clusterName: 'c1',
    ui: true,
    logLevel: 'warn',
    logFormat: 'json',
    logFile: '/var/log/coffer.log',
    logRotateBytes: 1024,
    logRotateDurationSeconds: 43_200,
    logRotateMaxFiles: -1,
    logRequestsLevel: '',
    defaultLeaseTtlSeconds: 3600,
    maxLeaseTtlSeconds: 7200,
    defaultMaxRequestDurationSeconds: 30,
    disableMlock: true,
    cacheSize: 500,
    disableCache: true,
    disableClustering: false,
    disableSealwrap: false,
    apiVersion: '1.20.0',
    pluginDirectory: '/plugins',
    workers: 4,
    pidFile: '/run/coffer.pid',
    rawStorageEndpoint: true,
    introspectionEndpoint: true,
    enableResponseHeaderHostname: true,
    enableResponseHeaderRaftNodeId: false,
    impreciseLeaseRoleTracking: false,
    detectDeadlocks: '',
    unsafeAllowApiAuditCreation: false,
    allowAuditLogPrefixing: true,
  })
  const [tcp, unix] = listeners
  assert.equal(listeners.length, 2)
  assert.equal(tcp?.type, 'tcp')
  assert.equal(tcp?.address, '127.0.0.1:8200')
  assert.deepEqual(tcp?.tls, {
    disable: false,
    certFile: '/tls/cert.pem',
    keyFile: '/tls/key.pem',
    clientCaFile: '/tls/ca.pem',
    minVersion: 'tls13',
    maxVersion: undefined,
    cipherSuites: ['A', 'B'],
    requireAndVerifyClientCert: undefined,
    disableClientCerts: true,
  })
  assert.equal(tcp?.maxRequestSizeBytes, 1_048_576)
  assert.equal(tcp?.maxRequestDurationSeconds, 5)
  assert.equal(tcp?.maxRequestJsonStrings, 100)
  assert.equal(tcp?.httpIdleTimeoutSeconds, 60)
  assert.equal(tcp?.httpReadTimeoutSeconds, undefined)
  assert.equal(tcp?.proxyProtocolBehavior, 'deny_unauthorized')
  assert.deepEqual(tcp?.proxyProtocolAuthorizedAddrs, ['10.0.0.0/8'])
  assert.deepEqual(tcp?.xForwardedFor, {
    authorizedAddrs: ['10.0.0.1', '10.0.0.2'],
    hopSkips: 1,
    rejectNotPresent: false,
    rejectNotAuthorized: undefined,
  })
  assert.deepEqual(tcp?.customResponseHeaders, { default: { 'X-One': ['a', 'b'] }, '4xx': { 'X-Two': ['c'] } })
  assert.equal(tcp?.disableUnauthedRekey, true)
  assert.deepEqual(tcp?.telemetry, {
    unauthenticatedMetricsAccess: true,
    metricsOnly: false,
    disallowMetrics: false,
    metricsPath: '',
  })
  assert.deepEqual(tcp?.profiling, { unauthenticatedPprofAccess: true })
  assert.deepEqual(
    [unix?.type, unix?.address, unix?.socketMode, unix?.socketUser, unix?.socketGroup, unix?.tls.disable],
    ['unix', '/run/coffer.sock', '0660', 'coffer', '1000', true],
  )
  assert.deepEqual(storage, { type: 'file', file: '/var/lib/coffer/coffer.db' })
  const [seal, other] = seals
  assert.ok(seal?.kind === 'static')
  assert.equal(seal.currentKey.reveal(), 'canary-current-key-000000000000')
  assert.equal(seal.previousKey?.reveal(), 'env://CANARY_PREVIOUS')
  assert.deepEqual([seal.currentKeyId, seal.previousKeyId, seal.disabled], ['k2', 'k1', false])
  assert.deepEqual(other, { kind: 'other', type: 'awskms', disabled: true })
  assert.deepEqual(audits, [
    {
      type: 'file',
      path: 'main/',
      description: 'to a file',
      local: false,
      options: { file_path: '/var/log/audit.log', log_raw: 'true', mode: '0600' },
      file: 'f.hcl',
      line: full.split('\n').findIndex((line) => line.startsWith('audit ')) + 1,
    },
  ])
  assert.equal(telemetry.prometheusRetentionTimeSeconds, 3600)
  assert.deepEqual(telemetry.prefixFilter, ['+a', '-b'])
  assert.deepEqual(userLockouts, [
    { type: 'all', threshold: 3, durationSeconds: 900, counterResetSeconds: 900, disabled: false },
    { type: 'userpass', threshold: 3, durationSeconds: 60, counterResetSeconds: 900, disabled: true },
  ])
})

test('an empty configuration is all defaults', () => {
  const { config, warnings } = parse('')
  assert.deepEqual(warnings, [])
  assert.deepEqual([config.listeners, config.storage, config.seals, config.audits], [[], undefined, [], []])
  assert.equal(config.apiVersion, '1.21.5')
  assert.equal(config.defaultLeaseTtlSeconds, 2_764_800)
  assert.equal(config.unsafeAllowApiAuditCreation, true)
  assert.deepEqual(config.userLockouts, [
    { type: 'all', threshold: 5, durationSeconds: 900, counterResetSeconds: 900, disabled: false },
  ])
})

test('JSON, and the other spellings of stanzas', () => {
  const spellings = [
    'listener "tcp" { address = "127.0.0.1:1" tls_disable = 1 } backend "inmem" {}',
    'listener { type = "tcp" address = "127.0.0.1:1" tls_disable = "true" } storage inmem {}',
    '{"listener": {"tcp": {"address": "127.0.0.1:1", "tls_disable": true}}, "storage": {"inmem": {}}}',
    '{"listener": [{"tcp": {"address": "127.0.0.1:1", "tls_disable": "1"}}], "storage": [{"inmem": {}}]}',
    '{"listener": [{"type": "tcp", "address": "127.0.0.1:1", "tls_disable": 1}], "backend": {"inmem": {}}}',
  ]
  for (const text of spellings) {
    const { config, warnings } = parse(text)
    assert.deepEqual(warnings, [], text)
    assert.deepEqual(
      config.listeners.map(({ type, address, tls }) => [type, address, tls.disable]),
      [['tcp', '127.0.0.1:1', true]],
      text,
    )
    assert.deepEqual(config.storage, { type: 'inmem', file: undefined }, text)
  }
})

test('storage: types, older names of addresses, a word for what there is not', () => {
  assert.deepEqual(configOf('storage "sqlite" { path = "/x/y.db" }').storage, { type: 'sqlite', file: '/x/y.db' })
  const { apiAddr, clusterAddr } = configOf(
    'storage "inmem" { redirect_addr = "http://a:1" cluster_addr = "http://b:2" }',
  )
  assert.deepEqual([apiAddr, clusterAddr], ['http://a:1', 'http://b:2'])
  refused('\nstorage "raft" { path = "/x" }', /^2: Coffer has no raft; use storage "sqlite"/)
  refused('storage "consul" {}', /storage "consul" is not part of Coffer; use storage "sqlite"/)
  refused('storage "constructor" {}', /is not part of Coffer/)
  refused('storage "sqlite" {}', /needs path, the database file/)
  refused('storage "file" {}', /needs path, a folder/)
  refused('storage "inmem" {}\nstorage "inmem" {}', /^2: only one storage stanza/)
  refused('storage = "inmem"', /storage must be a block/)
  refused('storage {}', /storage needs a type/)
  assert.deepEqual(warned('ha_storage "raft" {}'), [
    '1: "ha_storage" has no effect: all nodes of Coffer are equal and share one storage',
  ])
})

test('storage "postgresql": every key, what warns, and no secret that shows', () => {
  const text = `storage "postgresql" {
  connection_url = "postgres://coffer:canary-pw@db.example.com/coffer"
  password_file = "/etc/coffer/pw"
  schema = "vault"
  max_parallel = "6"
  max_idle_connections = 2
  connect_timeout = "3s"
  statement_timeout = "20s"
  lock_timeout = 5
  failover_timeout = "1m"
  skip_create_table = "true"
  api_addr = "x"
  table = "openbao_kv_store"
  ha_enabled = "true"
}`
  const { config, warnings } = parse(text)
  assert.ok(config.storage?.type === 'postgresql')
  const { url, ...rest } = config.storage.postgres
  assert.equal(url.reveal(), 'postgres://coffer:canary-pw@db.example.com/coffer')
  assert.deepEqual(rest, {
    passwordFile: '/etc/coffer/pw',
    passwordEnv: undefined,
    schema: 'vault',
    create: false,
    maxParallel: 6,
    maxIdle: 2,
    connectTimeoutSeconds: 3,
    statementTimeoutSeconds: 20,
    lockTimeoutSeconds: 5,
    failoverTimeoutSeconds: 60,
  })
  assert.deepEqual(
    warnings.map(({ line, message }) => `${line}: ${message}`),
    [
      '12: unknown key "api_addr" has no effect',
      '13: "table" has no effect: Coffer has tables of its own; "schema" says where',
      '14: "ha_enabled" has no effect: all nodes of Coffer are equal',
    ],
  )
  for (const shown of [inspect(config, { depth: 9 }), JSON.stringify(config), JSON.stringify(sanitized(config))])
    assert.doesNotMatch(shown, /canary-pw|db\.example\.com/)
  assert.deepEqual(sanitized(config)['storage'], {
    type: 'postgresql',
    redirect_addr: '',
    cluster_addr: '',
    disable_clustering: false,
  })
  refused('storage "postgresql" {}', /needs connection_url, or COFFER_PG_CONNECTION_URL/)
  refused('storage "postgresql" { connection_url = "x" password_file = "a" password_env = "b" }', /exclude each other/)
  refused('storage "postgresql" { connection_url = "x" lock_timeout = 0 }', /must be more than 0/)
  process.env['VAULT_PG_CONNECTION_URL'] = 'postgres://from-vault/x'
  process.env['BAO_PG_CONNECTION_URL'] = 'postgres://from-bao/x'
  try {
    const named = configOf('storage "postgresql" { connection_url = "postgres://from-file/x" }').storage
    assert.equal(named?.type === 'postgresql' && named.postgres.url.reveal(), 'postgres://from-bao/x')
  } finally {
    delete process.env['VAULT_PG_CONNECTION_URL']
    delete process.env['BAO_PG_CONNECTION_URL']
  }
})

test('unknown keys warn with their line, keys without effect say why', () => {
  assert.deepEqual(
    warned(`uu = 1
listener "tcp" {
  tls_disable = true
  addres = "x"
  tls_acme_email = "x"
  telemetry { foo = 1 }
}
plugin_auto_download = true
initialize "x" { request "y" {} }
disable_mlock = false
UI = true
ui = false`),
    [
      '1: unknown key "uu" has no effect',
      '4: unknown key "addres" has no effect',
      '5: "tls_acme_email" has no effect: Coffer fetches no certificates; set tls_cert_file and tls_key_file',
      '6: unknown key "foo" has no effect',
      '8: "plugin_auto_download" has no effect: Coffer runs no external plugins',
      '9: "initialize" has no effect: initialize the server with "coffer operator init"',
      '10: disable_mlock = false: Coffer does not lock memory; encrypt or switch off swap',
      '12: "ui" is set twice; the last one counts',
    ],
  )
})

test('wrong values are errors with their line, all of them at once', () => {
  refused(
    `ui = "maybe"
log_level = "loud"
default_lease_ttl = "soon"
cache_size = 1.5
cache_size = -1
api_addr = "vault.example.com"
cluster_addr = "https://{{ GetPrivateIP }}:8201"
log_format = []
pid_file = true`,
    /^1: ui must be true or false/,
    /^2: log_level must be one of trace, debug, info, warn, error/,
    /^3: default_lease_ttl must be a duration/,
    /^4: cache_size must be a whole number/,
    /^5: cache_size must not be less than 0/,
    /^6: api_addr must be an address/,
    /^7: cluster_addr: address templates/,
    /^8: log_format must be a text/,
    /^9: pid_file must be a text/,
  )
  refused('ui = ', /^1: expected a value/)
  refused('default_lease_ttl = 10 max_lease_ttl = 5', /max_lease_ttl must not be less/)
  assert.equal(configOf('max_lease_ttl = "24h"').defaultLeaseTtlSeconds, 86_400)
})

test('listeners are checked as a whole', () => {
  const tcp = (keys: string) => `listener "tcp" { ${keys} }`
  refused(tcp('address = "127.0.0.1:8200"'), /needs tls_cert_file and tls_key_file, or tls_disable/)
  refused(tcp('tls_disable = true address = "127.0.0.1"'), /must be host:port/)
  refused(tcp('tls_disable = true address = "127.0.0.1:70000"'), /must be host:port/)
  refused(tcp('tls_disable = true address = "{{ GetPrivateIP }}:1"'), /address templates/)
  refused(tcp('tls_cert_file = "x"'), /go together/)
  refused(tcp('tls_disable = 1 proxy_protocol_behavior = "allow_authorized"'), /needs proxy_protocol_authorized_addrs/)
  refused(tcp('tls_disable = 1 proxy_protocol_behavior = "x"'), /must be one of use_always/)
  refused(tcp('tls_disable = 1 custom_response_headers { "9xx" = { a = "b" } }'), /"9xx" is no status/)
  refused(tcp('tls_disable = 1 custom_response_headers { "4xx" = "b" }'), /must be an object/)
  refused(tcp('tls_disable = 1 x_forwarded_for_hop_skips = -1'), /must not be less than 0/)
  refused('listener "unix" {}', /needs address, the path/)
  refused('listener "unix" { address = "/x" socket_mode = "rw" }', /must be octal/)
  refused('listener "udp" {}', /of type "tcp" or "unix"/)
  refused('listener {}', /of type "tcp" or "unix"/)
  const metrics = configOf(tcp('tls_disable = true role = "metrics_only"')).listeners[0]
  assert.equal(metrics?.telemetry.metricsOnly, true)
  const shown = (text: string) => configOf(text).telemetry.prometheusRetentionTimeSeconds
  assert.deepEqual(
    [shown(''), shown('telemetry {}'), shown('telemetry { prometheus_retention_time = 0 }')],
    [0, 86_400, 0],
  )
  assert.equal(configOf('telemetry { statsd_address = "[::1]:8125" }').telemetry.statsdAddress, '[::1]:8125')
  for (const wrong of ['localhost', 'host:0', 'host:70000', ':1', 'a b:1', '::1:1'])
    refused(`telemetry { statsd_address = "${wrong}" }`, /^1: statsd_address must be a host and a port/)
  refused('telemetry { prefix_filter = ["vault"] }', /each rule of prefix_filter must begin with \+ or -/)
  for (const address of ['[::1]:8200', ':8200', 'vault.internal:0', '0.0.0.0:8200'])
    assert.equal(configOf(tcp(`tls_disable = true address = "${address}"`)).listeners[0]?.address, address)
})

test('seals, audit devices and lockouts are checked as a whole', () => {
  refused('seal "static" { current_key = "x" }', /needs current_key and current_key_id/)
  refused('seal "static" { current_key = "x" current_key_id = "a" previous_key = "y" }', /go together/)
  refused(
    'seal "static" { current_key = "x" current_key_id = "a" previous_key = "y" previous_key_id = "a" }',
    /must differ/,
  )
  refused('\nseal "awskms" {}', /^2: seal "awskms" is not part of Coffer; use seal "static"/)
  refused('seal "x" {}', /unknown type of seal/)
  const one = 'seal "static" { current_key = "x" current_key_id = "a" }'
  refused(`${one}\n${one}`, /only one seal "static"/)
  assert.deepEqual(configOf('seal "shamir" {}').seals, [{ kind: 'shamir', disabled: false }])
  assert.equal(configOf('kms "static" { current_key = "x" current_key_id = "a" }').seals.length, 1)
  refused('audit {}', /needs a type and a path/)
  refused('audit "file" "../x" { options = "y" }', /options must be an object/)
  refused('audit "file" "a b" {}', /path of an audit device/)
  refused('audit "file" "a" {}\naudit "file" "a/" {}', /^2: two audit devices have the path "a\/"/)
  assert.equal(configOf('audit "file" {}').audits[0]?.path, 'file/')
  assert.equal(configOf('{"audit": [{"type": "file", "path": "x", "options": {"a": "b"}}]}').audits[0]?.path, 'x/')
  assert.equal(configOf('{"audit": {"file": {"x": {"options": {"a": "b"}}}}}').audits[0]?.options['a'], 'b')
  refused('user_lockout "github" {}', /user_lockout is for one of/)
})

test('secrets are not printed, not in errors, not in the sanitized print', () => {
  const { config } = parse(full)
  const prints = [
    JSON.stringify(config),
    inspect(config, { depth: 9 }),
    String(config.seals),
    JSON.stringify(sanitized(config)),
  ]
  for (const print of prints) assert.doesNotMatch(print, /canary/i)
  assert.throws(
    () => parse('seal "static" { current_key = ["canary"] current_key_id = "a" }'),
    (error: Error) => !error.message.includes('canary'),
  )
  const shown = sanitized(config) as Record<string, unknown>
  assert.equal(shown['default_lease_ttl'], 3600)
  assert.equal(shown['max_lease_ttl'], 7200)
  assert.equal(shown['log_level'], 'warn')
  assert.equal(shown['enable_ui'], true)
  assert.deepEqual(shown['seals'], [
    { type: 'static', disabled: false },
    { type: 'awskms', disabled: true },
  ])
  assert.equal((shown['listeners'] as { type: string }[])[0]?.type, 'tcp')
  assert.deepEqual(shown['audits'], [{ type: 'file', path: 'main/', description: 'to a file' }])
})

test('files and folders: read in order, later ones override keys and add to lists', async () => {
  const base = await file(
    'a/base.hcl',
    'ui = true log_level = "debug"\nstorage "inmem" {}\nlistener "tcp" { address = "127.0.0.1:1" tls_disable = true }',
  )
  await file('a/sub/ignored.hcl', 'broken {')
  await file('a/notes.txt', 'broken {')
  await file('a/.#base.hcl', 'broken {')
  await file(
    'a/more.json',
    '{"ui": false, "listener": {"tcp": {"address": "127.0.0.1:2", "tls_disable": true}}, "x": 1}',
  )
  const extra = await file(
    'extra.hcl',
    'storage "sqlite" { path = "/x.db" }\nuser_lockout "all" { lockout_threshold = 9 }',
  )
  const { config, warnings, texts } = await loadConfig([join(folder, 'a'), extra, base])
  assert.deepEqual(
    texts.map(({ file: name }) => name.slice(folder.length + 1)),
    ['a/base.hcl', 'a/more.json', 'extra.hcl'],
  )
  assert.equal(config.ui, false)
  assert.equal(config.logLevel, 'debug')
  assert.deepEqual(
    config.listeners.map((listener) => listener.address),
    ['127.0.0.1:1', '127.0.0.1:2'],
  )
  assert.equal(config.storage?.file, '/x.db')
  assert.equal(config.userLockouts[0]?.threshold, 9)
  assert.deepEqual(warnings, [{ file: join(folder, 'a/more.json'), line: 1, message: 'unknown key "x" has no effect' }])
})

test('what cannot be read, and what a server cannot do without', async () => {
  const messages = async (...paths: string[]) => (await validateConfig(paths)).errors.map(({ message }) => message)
  assert.match((await messages(join(folder, 'none.hcl')))[0] ?? '', /cannot be read \(ENOENT\)/)
  await mkdir(join(folder, 'empty'), { recursive: true })
  assert.match((await messages(join(folder, 'empty')))[0] ?? '', /holds no \.hcl or \.json file/)
  const bytes = join(folder, 'bytes.hcl')
  await writeFile(bytes, Buffer.from([0x61, 0xff]))
  assert.deepEqual(await messages(bytes), ['is no UTF-8 text'])
  const bare = await file('bare.hcl', 'ui = true')
  const lacking = await messages(bare)
  assert.match(lacking[0] ?? '', /no listener/)
  assert.match(lacking[1] ?? '', /no storage/)
  const broken = await file('broken.hcl', 'ui = 5\nstorage "raft" {}')
  await assert.rejects(loadConfig([bare, broken]), (error: Error) => {
    assert.ok(error instanceof ConfigError)
    assert.match(error.message, /broken\.hcl:1: ui must be true or false\n.*broken\.hcl:2: Coffer has no raft/)
    return true
  })
  await assert.rejects(loadConfig([]), /no configuration/)
})

test('docs/configuration.md is printed from the table and names every key', async () => {
  const text = configReference()
  assert.equal(await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8'), text)
  for (const { keys, ignored } of sections)
    for (const name of [...Object.values(keys).map((key) => key.name), ...Object.keys(ignored)])
      assert.ok(text.includes(`\`${name}\``), name)
})

/** Seeded pseudo-random numbers (mulberry32), so that a failure can be repeated. */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

test('fuzz: a damaged configuration is read or refused with its line, never anything else', () => {
  const pieces = [
    '{',
    '}',
    '"',
    '[',
    ']',
    '=',
    '\n',
    '{}',
    '[]',
    'null',
    '-1',
    '"x"',
    '1e999',
    '#',
    'listener',
    'telemetry',
    '',
  ]
  let read = 0
  for (let seed = 1; seed <= 4000; seed++) {
    const next = random(seed)
    let text = full
    for (let i = 0; i < 1 + next() * 3; i++) {
      const at = Math.floor(next() * text.length)
      text = text.slice(0, at) + pieces[Math.floor(next() * pieces.length)] + text.slice(at + Math.floor(next() * 8))
    }
    try {
      sanitized(configOf(text))
      read++
    } catch (error) {
      assert.ok(error instanceof ConfigError, `seed ${seed}: ${(error as Error).stack}`)
      assert.doesNotMatch(error.message, /canary-current/)
    }
  }
  assert.ok(read > 100, `only ${read} could be read`)
})
