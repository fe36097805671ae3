import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from './config/load.ts'
import { metricsOptionsOf } from './telemetry.ts'

const optionsOf = (stanza: string, worker?: number) =>
  metricsOptionsOf(parseConfig(stanza, 'test').config.telemetry, 'h1', worker)

test('without a stanza metrics are Vault’s names in JSON', () => {
  const { prefix, hostInNames, labels, prometheusRetentionMs, targets } = optionsOf('')
  assert.deepEqual([prefix, hostInNames, labels, prometheusRetentionMs, targets], ['vault', '', {}, 0, []])
})

test('the host is in the names of gauges only with more than one receiver, or in a label', () => {
  assert.equal(optionsOf('telemetry {}').hostInNames, '')
  const statsd = 'statsd_address = "s:8125"'
  assert.equal(optionsOf(`telemetry { ${statsd} }`).hostInNames, 'h1')
  assert.equal(optionsOf(`telemetry { ${statsd} prometheus_retention_time = 0 }`).hostInNames, '')
  assert.equal(optionsOf(`telemetry { ${statsd} disable_hostname = true }`).hostInNames, '')
  const labelled = optionsOf(`telemetry { ${statsd} enable_hostname_label = true }`, 3)
  assert.deepEqual([labelled.hostInNames, labelled.labels], ['', { host: 'h1', worker: '3' }])
})

test('receivers by their keys', () => {
  assert.deepEqual(
    optionsOf(
      'telemetry { statsd_address = "a:1" statsite_address = "b:2" dogstatsd_addr = "[::1]:3" dogstatsd_tags = ["x:y"] }',
    ).targets,
    [
      { kind: 'statsite', host: 'b', port: 2, tags: [] },
      { kind: 'statsd', host: 'a', port: 1, tags: [] },
      { kind: 'dogstatsd', host: '::1', port: 3, tags: ['x:y'] },
    ],
  )
})
