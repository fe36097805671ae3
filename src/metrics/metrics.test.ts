import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { instrumentsOf } from './instruments.ts'
import { printSummary } from './json.ts'
import { printPrometheus } from './prometheus.ts'
import { metricsPusher, type PushTarget, statsdLines } from './push.ts'
import { metricsRegistry, promName } from './registry.ts'
import { metricsRoom, plainMetrics } from './room.ts'
import { type Declared, metrics } from './table.ts'

const silent = () => {}

/** A registry with one of each kind, one interval old. */
function filled(options: Partial<typeof plainMetrics> = {}) {
  let now = Date.UTC(2026, 0, 1)
  const registry = metricsRegistry({ ...plainMetrics, ...options }, () => now)
  registry.timer('handleRequest').observe(2)
  registry.timer('handleRequest').observe(4)
  registry.counter('jobsDone').add(3)
  registry.read('unsealed', () => [{ value: 1, labels: { cluster: 'a "b"\\\n' } }])
  registry.read('auditLost', () => [
    { value: 5, labels: { device: 'file/' } },
    { value: 6, labels: { device: 'other/' } },
  ])
  now += 10_000
  registry.rotate()
  const wait = (ms: number) => {
    now += ms
  }
  return { registry, wait }
}

test('names are unique, and every label belongs to a gauge or total', () => {
  const all: Declared[] = Object.values(metrics)
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length)
  for (const { name, kind, labels, help } of all) {
    assert.match(name, /^(vault|coffer)\.[a-z0-9_.<>-]+$/)
    assert.ok(help.endsWith('.'), name)
    assert.ok(labels === undefined || kind === 'gauge' || kind === 'total', name)
  }
})

test('before the first interval has ended JSON is of that one', () => {
  const registry = metricsRegistry(plainMetrics)
  registry.timer('handleRequest').observe(2)
  registry.counter('jobsDone').add()
  const parsed = JSON.parse(printSummary(registry.snapshot()))
  assert.deepEqual([parsed.Samples[0].Sum, parsed.Counters[0].Sum], [2, 1])
})

test('JSON is of the interval before, in the form of Vault', () => {
  const { registry } = filled()
  const parsed = JSON.parse(printSummary(registry.snapshot()))
  assert.equal(parsed.Timestamp, '2026-01-01 00:00:00 +0000 UTC')
  assert.deepEqual(Object.keys(parsed), ['Timestamp', 'Gauges', 'PrecisionGauges', 'Points', 'Counters', 'Samples'])
  assert.deepEqual(parsed.Samples, [
    {
      Name: 'vault.core.handle_request',
      Count: 2,
      Rate: 0.6,
      Sum: 6,
      Min: 2,
      Max: 4,
      Mean: 3,
      Stddev: Math.SQRT2,
      Labels: {},
    },
  ])
  assert.deepEqual(
    [parsed.Counters[0].Name, parsed.Counters[0].Count, parsed.Counters[0].Rate],
    ['coffer.jobs.done', 3, 0.3],
  )
  assert.deepEqual(parsed.Gauges[2], { Name: 'vault.core.unsealed', Value: 1, Labels: { cluster: 'a "b"\\\n' } })
  registry.rotate()
  const later = JSON.parse(printSummary(registry.snapshot()))
  assert.deepEqual([later.Samples, later.Counters, later.Gauges.length], [[], [], 3])
})

test('the text of Prometheus', () => {
  const { registry, wait } = filled()
  const text = printPrometheus(registry.snapshot(), 0)
  assert.match(text, /^# TYPE vault_core_handle_request summary$/m)
  assert.match(text, /^vault_core_handle_request\{quantile="0.5"\} (1\.9|2\.)\d*$/m)
  assert.match(text, /^vault_core_handle_request_sum 6\nvault_core_handle_request_count 2$/m)
  assert.match(text, /^coffer_jobs_done 3$/m)
  assert.match(text, /^vault_core_unsealed\{cluster="a \\"b\\"\\\\\\n"\} 1$/m)
  assert.equal(text.match(/^# TYPE coffer_audit_lost counter$/gm)?.length, 1)
  // Without news for longer than is kept a metric is not shown; with news it is there again, with its whole count.
  wait(60_000)
  registry.rotate()
  const from = Date.UTC(2026, 0, 1) + 20_000
  assert.doesNotMatch(printPrometheus(registry.snapshot(), from), /handle_request|jobs_done/)
  registry.timer('handleRequest').observe(1)
  assert.match(printPrometheus(registry.snapshot(), from), /^vault_core_handle_request_count 3$/m)
})

test('prefix, host, labels and filter of names', () => {
  const named = filled({ prefix: 'x', hostInNames: 'h1', labels: { worker: '2' } }).registry.snapshot()
  assert.deepEqual(
    [named.timers[0]?.name, named.gauges[0]?.name, named.totals[0]?.name, named.counters[0]?.labels],
    ['x.core.handle_request', 'x.h1.core.unsealed', 'coffer.audit.lost', { worker: '2' }],
  )
  const names = (prefixFilter: string[], filterDefault: boolean) => {
    const { timers, counters, gauges, totals } = filled({ prefixFilter, filterDefault }).registry.snapshot()
    return [...timers, ...counters, ...gauges, ...totals].map(({ name }) => name)
  }
  assert.deepEqual(names(['-vault', '+vault.core.un'], true), [
    'coffer.jobs.done',
    'vault.core.unsealed',
    'coffer.audit.lost',
    'coffer.audit.lost',
  ])
  assert.deepEqual(names(['+vault.core.handle'], false), ['vault.core.handle_request'])
})

test('mounts of one name share a timer, and mounts beyond the bound one of their own', () => {
  const room = metricsRoom({ ...plainMetrics, cardinalityMax: 2 }, silent)
  const { route } = instrumentsOf(room)
  assert.equal(route('a/b/', 'read'), route('a-b/', 'read'))
  assert.notEqual(route('c/', 'read'), route('a-b/', 'read'))
  assert.equal(route('d/', 'read'), route('e/', 'read'))
  const names = room.registry.snapshot().timers.map(({ name }) => name)
  assert.deepEqual(
    names.filter((name) => name.startsWith('vault.route')),
    ['vault.route.read.a-b-', 'vault.route.read.c-', 'vault.route.read.other-'],
  )
  room.close()
})

test('formats: JSON, Prometheus when it is on, and nothing else', () => {
  const off = metricsRoom(plainMetrics, silent)
  assert.deepEqual(off.answer('prometheus', ''), {
    status: 400,
    body: 'prometheus is not enabled',
    contentType: 'text/plain',
  })
  assert.equal(off.answer('', 'application/openmetrics-text; version=1.0.0').status, 400)
  assert.deepEqual(off.answer('xml', '').body, 'metric response format "xml" unknown')
  assert.equal(off.answer('', '*/*').contentType, 'application/json')
  off.close()
  const on = metricsRoom({ ...plainMetrics, prometheusRetentionMs: 1000 }, silent)
  for (const [format, accept] of [
    ['prometheus', ''],
    ['', 'application/openmetrics-text; version=1.0.0'],
    ['', 'text/plain, prometheus/telemetry'],
  ] as const)
    assert.equal(on.answer(format, accept).contentType, 'text/plain; version=0.0.4; charset=utf-8')
  on.close()
})

const target = (kind: PushTarget['kind'], port = 0, tags: string[] = []): PushTarget => ({
  kind,
  host: '127.0.0.1',
  port,
  tags,
})

test('statsd lines carry counts exactly and no character that has a meaning there', () => {
  const snapshot = filled().registry.snapshot()
  const lines = statsdLines(snapshot, target('statsd'))
  assert.ok(lines.includes('coffer.jobs.done:3|c\n'))
  assert.ok(lines.includes('coffer.audit.lost.file/:5|g\n'))
  assert.ok(lines.includes('vault.core.unsealed.a_"b"\\_:1|g\n'))
  assert.equal(lines.filter((line) => /^vault\.core\.handle_request:[\d.]+\|ms\n$/.test(line)).length, 2)
  const tagged = statsdLines(snapshot, target('dogstatsd', 0, ['env:test']))
  assert.ok(tagged.includes('coffer.audit.lost:5|g|#env:test,device:file/\n'))
  const { registry } = filled()
  registry.timer('handleRequest').observe(7, 4)
  registry.rotate()
  const weighted = statsdLines(registry.snapshot(), target('statsd')).find((line) => line.includes('handle_request'))
  assert.match(weighted ?? '', /^vault\.core\.handle_request:[67]\.?\d*\|ms\|@0\.25\n$/)
})

test('sends to statsd by UDP in datagrams of at most 1400 bytes', { timeout: 20_000 }, async () => {
  const receiver = createSocket('udp4')
  receiver.bind(0, '127.0.0.1')
  await once(receiver, 'listening')
  const { registry } = filled()
  for (let mount = 0; mount < 100; mount++)
    registry.timer('route', { operation: 'read', mount: `m${mount}-` }).observe(1)
  registry.rotate()
  const snapshot = registry.snapshot()
  const wanted = statsdLines(snapshot, target('statsd')).join('')
  const pusher = metricsPusher(target('statsd', receiver.address().port), (facts) => assert.fail(JSON.stringify(facts)))
  let got = ''
  const all = new Promise<void>((resolve) => {
    receiver.on('message', (packet) => {
      assert.ok(packet.length <= 1400)
      got += packet.toString()
      if (got.length >= wanted.length) resolve()
    })
  })
  pusher.push(snapshot)
  await all
  assert.equal(got, wanted)
  pusher.close()
  receiver.close()
})

test('a statsd server that is not there is told once and harms nothing', { timeout: 20_000 }, async () => {
  const snapshot = filled().registry.snapshot()
  const port = await new Promise<number>((resolve) => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => {
      const free = socket.address().port
      socket.close(() => resolve(free))
    })
  })
  for (const host of ['127.0.0.1', 'nowhere.invalid']) {
    const told: unknown[] = []
    const pusher = metricsPusher({ ...target('statsd', port), host }, (facts) => void told.push(facts))
    while (told.length === 0) {
      pusher.push(snapshot)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    pusher.push(snapshot)
    pusher.close()
    pusher.push(snapshot)
    pusher.close()
  }
})

test('sends to statsite by TCP, tells trouble once and connects again', { timeout: 20_000 }, async () => {
  const snapshot = filled().registry.snapshot()
  let got = ''
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      got += bytes.toString()
    })
    socket.on('error', silent)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const told: string[] = []
  const pusher = metricsPusher(target('statsite', port), (_, message) => void told.push(message))
  const until = async (done: () => boolean, again = () => {}) => {
    while (!done()) {
      again()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  await until(
    () => told.length > 0,
    () => pusher.push(snapshot),
  )
  pusher.push(snapshot)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  await until(
    () => got.includes('coffer.jobs.done:3|c\n'),
    () => pusher.push(snapshot),
  )
  assert.deepEqual(told, ['metrics cannot be sent'])
  pusher.close()
  server.close()
})

test('the dashboard asks for metrics that exist', () => {
  const text = readFileSync(new URL('../../docs/grafana-coffer.json', import.meta.url), 'utf8')
  const { panels } = JSON.parse(text) as { panels: { targets?: { expr: string }[] }[] }
  const known = new Set(Object.values(metrics).map(({ name }) => promName(name)))
  const asked = panels.flatMap(({ targets = [] }) =>
    targets.flatMap(({ expr }) =>
      [...expr.matchAll(/\b((?:vault|coffer)_\w+?)(?:_count|_sum)?\{/g)].map((m) => m[1] as string),
    ),
  )
  assert.ok(asked.length > 30)
  for (const name of asked) assert.ok(known.has(name), name)
})
