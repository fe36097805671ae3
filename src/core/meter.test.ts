import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AuditFailed } from '../audit/event.ts'
import { Counter, Timer } from '../lib/metrics.ts'
import type { ClientRequest } from './exchange.ts'
import { countFailure, countRequest, type RequestInstruments, routeMeter } from './meter.ts'
import { progressOf } from './progress.ts'
import type { Mount, Namespace } from './topology.ts'

const instruments = (): RequestInstruments => ({
  requests: new Timer(),
  logins: new Timer(),
  logRequest: new Timer(),
  logResponse: new Timer(),
  logRequestFailure: new Counter(),
  logResponseFailure: new Counter(),
  responses: Array.from({ length: 6 }, () => new Counter()),
})
const progress = () => progressOf({ path: 'kv/a', verb: 'read' } as ClientRequest, 0)

test('a read counts once for each timer, under its mount', () => {
  const meter = instruments()
  const made: string[] = []
  const timer = new Timer()
  const p = progress()
  p.namespace = {} as Namespace
  p.mount = {
    routes: routeMeter((operation) => {
      made.push(operation)
      return timer
    }),
  } as Mount
  for (let i = 0; i < 2; i++) {
    const began = performance.now()
    p.handlingAt = began + 1
    p.handledAt = began + 3
    countRequest(meter, p, began, 200)
  }
  assert.deepEqual(made, ['read'])
  assert.ok(Math.abs(timer.sum - 4) < 1e-6 && timer.count === 2)
  assert.deepEqual(
    [meter.requests.count, meter.logins.count, meter.logRequest.count, meter.logResponse.count],
    [2, 0, 2, 2],
  )
  assert.deepEqual([meter.responses[2]?.total, meter.responses[4]?.total], [2, 0])
})

test('what never came to the core counts as an answer alone', () => {
  const meter = instruments()
  countRequest(meter, progress(), performance.now(), 503)
  assert.deepEqual([meter.responses[5]?.total, meter.requests.count, meter.logResponse.count], [1, 0, 0])
})

test('an audit failure is the request’s, the answer’s, or of both when they travel together', () => {
  const failed = new AuditFailed('none')
  const countsOf = (handledAt: number, requestAudited: boolean, error: unknown = failed) => {
    const meter = instruments()
    const p = progress()
    p.handledAt = handledAt
    if (requestAudited) p.requestAudited = Promise.resolve()
    countFailure(meter, p, error)
    return [meter.logRequestFailure.total, meter.logResponseFailure.total]
  }
  assert.deepEqual(countsOf(0, true), [1, 0])
  assert.deepEqual(countsOf(5, true), [0, 1])
  assert.deepEqual(countsOf(5, false), [1, 1])
  assert.deepEqual(countsOf(5, false, new Error('other')), [0, 0])
})
