// What every sink must do: the suite its tests run. A harness says how to make one, what has arrived, and how to break and mend the
// other side.
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { type Sink, SinkError } from './sink.ts'

/** One sink and what stands at its other end. */
export interface SinkHarness {
  readonly sink: Sink
  /** Lines that have arrived so far. */
  received(): Promise<readonly string[]>
  /** Makes the next write fail, until `mend`; left out where nothing can fail. */
  readonly breakIt?: () => Promise<void>
  readonly mend?: () => Promise<void>
  /** Whether the sender learns at once that what it writes is not received (UDP does not). */
  readonly tells: boolean
}

/** Waits until so many lines have arrived. */
async function arrived(harness: SinkHarness, count: number): Promise<readonly string[]> {
  for (const deadline = Date.now() + 3000; ; ) {
    const lines = await harness.received()
    if (lines.length >= count || Date.now() > deadline) return lines
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Runs the suite against sinks of one kind. */
export function sinkContract(name: string, make: (t: TestContext) => Promise<SinkHarness>): void {
  describe(`${name} sink`, () => {
    test('delivers whole lines in order', async (t) => {
      const harness = await make(t)
      await harness.sink.open()
      const lines = Array.from({ length: 40 }, (_, i) => `{"n":${i},"text":"é\\n"}`)
      await harness.sink.write(lines.slice(0, 1))
      await harness.sink.write(lines.slice(1))
      await harness.sink.sync()
      assert.deepEqual(await arrived(harness, lines.length), lines)
      await harness.sink.close()
    })

    test('takes a batch of the largest size and a line of 60,000 bytes', async (t) => {
      const harness = await make(t)
      await harness.sink.open()
      const lines = Array.from({ length: 4 }, (_, i) => `${i}${'x'.repeat(60_000)}`)
      assert.ok(harness.sink.lineBytesMax > 60_002)
      await harness.sink.write(lines)
      assert.deepEqual(await arrived(harness, lines.length), lines)
      await harness.sink.close()
    })

    test('goes on after it was opened anew', async (t) => {
      const harness = await make(t)
      await harness.sink.open()
      await harness.sink.write(['one'])
      await arrived(harness, 1)
      assert.equal(await harness.sink.moved(), undefined)
      await harness.sink.reopen()
      await harness.sink.write(['two'])
      assert.deepEqual(await arrived(harness, 2), ['one', 'two'])
      await harness.sink.close()
    })

    test('a failure is a SinkError, and writing works again when the cause is gone', async (t) => {
      const harness = await make(t)
      if (!harness.breakIt || !harness.mend) return
      await harness.sink.open()
      await harness.sink.write(['one'])
      await arrived(harness, 1)
      await harness.breakIt()
      if (harness.tells)
        await assert.rejects(
          async () => {
            // The end of a connection may be learnt of with the write after.
            for (let i = 0; i < 50; i++) {
              await harness.sink.write(['lost'])
              await new Promise((resolve) => setTimeout(resolve, 5))
            }
          },
          (error: unknown) => error instanceof SinkError && error.taken === 0,
        )
      await harness.mend()
      await harness.sink.open()
      await harness.sink.write(['two'])
      const lines = await arrived(harness, 2)
      assert.equal(lines.at(-1), 'two')
      await harness.sink.close()
    })

    test('closing twice, and without opening, harms nobody', async (t) => {
      const { sink } = await make(t)
      await sink.close()
      await sink.close()
    })
  })
}
