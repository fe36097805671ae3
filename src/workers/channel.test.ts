import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { channel, Gone, type Wire } from './channel.ts'
import { restartDelay } from './supervisor.ts'

/** Two ends of a wire; messages arrive later, as copies. */
function wires(): [Wire, Wire, cut: () => void] {
  const [left, right] = [new EventEmitter(), new EventEmitter()]
  let whole = true
  const end = (own: EventEmitter, other: EventEmitter): Wire => ({
    send(message, done) {
      const copy = structuredClone(message)
      setImmediate(() => {
        if (whole) other.emit('message', copy)
        done(whole ? null : new Error('channel closed'))
      })
    },
    on: (event, listener) => own.on(event, listener),
  })
  return [
    end(left, right),
    end(right, left),
    () => {
      whole = false
    },
  ]
}

type Twice = { twice(value: number): Promise<number>; fail(value: undefined): Promise<never> }
const answers: Twice = {
  twice: async (value) => value * 2,
  fail: () => Promise.reject(new Error('it did not work')),
}

test('calls are answered, both ways at once, and each with its own answer', async () => {
  const [left, right] = wires()
  const one = channel<Twice>(left, answers)
  const two = channel<Twice>(right, answers)
  const all = [1, 2, 3].flatMap((value) => [one.call('twice', value), two.call('twice', value * 10)])
  assert.deepEqual(await Promise.all(all), [2, 20, 4, 40, 6, 60])
})

test('what goes wrong there is told here, also a call that nobody knows', async () => {
  const [left, right] = wires()
  const one = channel<Twice & { unknown(value: undefined): void }>(left, {})
  channel<Twice>(right, answers)
  await assert.rejects(one.call('fail', undefined), /^Error: it did not work$/)
  await assert.rejects(one.call('unknown', undefined), /no such call: unknown/)
})

test('when the other side ends, whoever waits is told, and later callers too', async () => {
  const [left, , cut] = wires()
  const one = channel<Twice>(left, {})
  cut()
  await assert.rejects(one.call('twice', 1), Gone)
  await assert.rejects(one.call('twice', 2), Gone)
  const [other] = wires()
  const two = channel<Twice>(other, {})
  const waiting = two.call('twice', 1)
  two.close()
  await assert.rejects(waiting, Gone)
})

test('a worker that dies again and again is started ever later, half a minute at most', () => {
  assert.deepEqual([1, 2, 3, 4, 20, 1000].map(restartDelay), [0, 250, 500, 1000, 30_000, 30_000])
})
