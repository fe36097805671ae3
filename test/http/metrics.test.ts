// sys/metrics of a whole server: who may read it where, that it counts what happened, that no secret gets into it, and that a parser of
// others (prometheus_client, PyPI) reads it.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { freePort, type ServerProcess, startDurable } from '../process.ts'

const python = process.env['COFFER_TEST_PYTHON'] ?? 'python3'
const hasParser = spawnSync(python, ['-c', 'import prometheus_client']).status === 0
const reason = `${python} has no prometheus_client; set COFFER_TEST_PYTHON to one that has (docs/development.md)`

let server: ServerProcess
let metricsOnly = ''
let noMetrics = ''
let received = ''
const statsd = createSocket('udp4').unref()

const get = async (url: string, token = '', headers: Record<string, string> = {}) => {
  const answer = await fetch(url, { headers: { ...(token && { 'x-vault-token': token }), ...headers } })
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
}
const prometheus = async (): Promise<string> =>
  (await get(`${server.url}/v1/sys/metrics?format=prometheus`, server.rootToken)).text
const numberAt = (text: string, series: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')
      .at(-1) ?? 'NaN',
  )

before(async () => {
  statsd.on('message', (packet) => {
    received += packet.toString()
  })
  statsd.bind(0, '127.0.0.1')
  await once(statsd, 'listening')
  const [one, two] = [await freePort(), await freePort()]
  metricsOnly = `http://127.0.0.1:${one}`
  noMetrics = `http://127.0.0.1:${two}`
  server = await startDurable({
    extra: `listener "tcp" {
  address = "127.0.0.1:${one}"
  tls_disable = true
  telemetry {
    metrics_only = true
    metrics_path = "/metrics"
    unauthenticated_metrics_access = true
  }
}
listener "tcp" {
  address = "127.0.0.1:${two}"
  tls_disable = true
  telemetry { disallow_metrics = true }
}
telemetry {
  disable_hostname = true
  statsd_address = "127.0.0.1:${statsd.address().port}"
}
`,
  })
})
after(async () => {
  await server?.remove()
  statsd.close()
})

test('who may read metrics, and on which listener', async () => {
  const { call, url, rootToken } = server
  assert.equal((await get(`${url}/v1/sys/metrics`)).status, 403)
  await call('POST', 'sys/policies/acl/metrics', { policy: 'path "sys/metrics" { capabilities = ["read"] }' })
  const make = async (policies: string[]) =>
    (await call('POST', 'auth/token/create', { policies, no_default_policy: true })).body.auth.client_token
  assert.equal((await get(`${url}/v1/sys/metrics`, await make(['default']))).status, 403)
  const json = await get(`${url}/v1/sys/metrics`, await make(['metrics']))
  assert.deepEqual([json.status, json.type], [200, 'application/json'])
  assert.equal(JSON.parse(json.text).Gauges.find((g: { Name: string }) => g.Name === 'vault.core.unsealed').Value, 1)
  const unknown = await get(`${url}/v1/sys/metrics?format=xml`, rootToken)
  assert.deepEqual([unknown.status, unknown.text], [400, 'metric response format "xml" unknown'])

  for (const at of ['/metrics?format=prometheus', '/v1/sys/metrics?format=prometheus', '/v1/sys%2Fmetrics'])
    assert.equal((await get(metricsOnly + at)).status, 200, at)
  for (const at of ['/v1/sys/health', '/', '/ui/', '/metricsx', '/v1/secret/data/a']) {
    const refused = await get(metricsOnly + at, rootToken)
    assert.deepEqual(
      [refused.status, JSON.parse(refused.text).errors],
      [404, ['this listener only serves the metrics endpoint']],
    )
  }
  for (const at of ['/v1/sys/metrics', '/v1/sys%2Fmetrics', '/v1//sys/metrics', '/v1/sys/metrics/'])
    assert.equal((await get(noMetrics + at, rootToken)).status, 403, at)
  assert.equal((await get(`${noMetrics}/v1/sys/health`)).status, 200)
})

test('the whole server is told to the root namespace alone', async () => {
  const { call, url, rootToken } = server
  await call('POST', 'sys/namespaces/child', {})
  const answer = await get(`${url}/v1/sys/metrics`, rootToken, { 'x-vault-namespace': 'child' })
  assert.deepEqual([answer.status, JSON.parse(answer.text).errors], [400, ['this belongs to the root namespace']])
})

test('counts what happened, and names mounts but no path, secret, token or user', async () => {
  const { call, rootToken } = server
  await call('POST', 'sys/mounts/kv-a', { type: 'kv', options: { version: '2' } })
  await call('POST', 'sys/auth/userpass', { type: 'userpass' })
  await call('POST', 'auth/userpass/users/canary-user', { password: 'canary-password' })
  await call('POST', 'kv-a/data/canary-path', { data: { 'canary-key': 'canary-value' } })
  const before = await prometheus()
  for (let i = 0; i < 20; i++) assert.equal((await call('GET', 'kv-a/data/canary-path')).status, 200)
  assert.equal((await call('GET', 'kv-a/data/canary-absent')).status, 404)
  assert.equal((await call('GET', 'canary-nowhere/x')).status, 404)
  const login = await call('POST', 'auth/userpass/login/canary-user', { password: 'canary-password' })
  assert.equal(login.status, 200)
  assert.equal((await call('POST', 'auth/userpass/login/canary-user', { password: 'wrong' })).status, 400)
  const text = await prometheus()
  const grown = (series: string) => numberAt(text, series) - (numberAt(before, series) || 0)
  assert.equal(grown('vault_route_read_kv_a__count'), 21)
  assert.equal(grown('vault_core_handle_login_request_count'), 2)
  assert.equal(grown('vault_route_update_auth_userpass__count'), 2)
  assert.ok(grown('vault_core_handle_request_count') >= 22)
  assert.ok(grown('vault_audit_log_response_count') >= 24)
  assert.equal(grown('vault_audit_log_request_count'), grown('vault_audit_log_response_count'))
  assert.ok(grown('vault_barrier_get_count') > 5)
  assert.ok(grown('coffer_storage_commit_count') >= 1)
  assert.ok(grown('coffer_storage_commit_groups') >= 1)
  assert.equal(grown('coffer_password_done'), 2)
  assert.ok(grown('vault_token_create_count') >= 1)
  assert.equal(grown('coffer_http_responses{class="4xx"}'), 3)
  assert.equal(numberAt(text, 'vault_audit_log_request_failure'), 0)
  const cluster = (await call('GET', 'sys/seal-status')).body.cluster_name
  assert.equal(numberAt(text, `vault_core_in_flight_requests{cluster="${cluster}"}`), 1)
  for (const quantile of [0.5, 0.9, 0.99]) {
    const ms = numberAt(text, `vault_core_handle_request{quantile="${quantile}"}`)
    assert.ok(ms > 0.005 && ms < 10_000, `${quantile}: ${ms}`)
  }
  const json = (await get(`${server.url}/v1/sys/metrics`, rootToken)).text
  for (const secret of ['canary', rootToken, login.body.auth.client_token, login.body.auth.entity_id, 'hvs.'])
    for (const shown of [text, json, received]) assert.ok(!shown.includes(secret), `"${secret}" is in the metrics`)
})

test('audit devices have timers and queues of their own', async () => {
  await server.call('POST', 'sys/audit/main', { type: 'file', options: { file_path: `${server.folder}/audit.log` } })
  await server.call('GET', 'kv-a/data/canary-path')
  const text = await prometheus()
  assert.ok(numberAt(text, 'vault_audit_main__log_request_count') >= 1)
  assert.ok(numberAt(text, 'vault_audit_main__log_response_count') >= 1)
  assert.equal(numberAt(text, 'coffer_audit_lost{device="main/"}'), 0)
  assert.equal(numberAt(text, 'coffer_audit_ok{device="main/"}'), 1)
})

test('prometheus_client reads the text', { skip: !hasParser && !process.env['CI'] ? reason : false }, async () => {
  assert.ok(hasParser, reason)
  const script = `import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.samples, family.name
    print(family.name, family.type)`
  const parsed = spawnSync(python, ['-c', script], { input: await prometheus(), encoding: 'utf8' })
  assert.equal(parsed.status, 0, parsed.stderr)
  const lines = parsed.stdout.trim().split('\n')
  assert.equal(new Set(lines).size, lines.length)
  for (const line of [
    'vault_core_handle_request summary',
    'vault_core_unsealed gauge',
    'coffer_http_responses counter',
  ])
    assert.ok(lines.includes(line), line)
})

test('JSON and statsd get the interval that ended', { timeout: 60_000 }, async () => {
  for (;;) {
    await server.call('GET', 'kv-a/data/canary-path')
    const { Samples: samples } = JSON.parse((await get(`${metricsOnly}/metrics`)).text)
    const route = samples.find((sample: { Name: string }) => sample.Name === 'vault.route.read.kv-a-')
    if (route && /^vault\.route\.read\.kv-a-:[\d.]+\|ms/m.test(received)) {
      assert.ok(route.Count > 0 && route.Min <= route.Mean && route.Mean <= route.Max)
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  assert.match(received, /^coffer\.event_loop\.delay_mean:[\d.e-]+\|g$/m)
})

test('while sealed metrics are there without a token, and not with one', async () => {
  const cluster = (await server.call('GET', 'sys/seal-status')).body.cluster_name
  await server.call('POST', 'sys/seal')
  assert.equal((await get(`${server.url}/v1/sys/metrics`, server.rootToken)).status, 503)
  const sealed = await get(`${metricsOnly}/metrics?format=prometheus`)
  assert.equal(sealed.status, 200)
  assert.equal(numberAt(sealed.text, `vault_core_unsealed{cluster="${cluster}"}`), 0)
})
