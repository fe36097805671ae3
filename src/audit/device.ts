// One enabled device at work: a bounded queue and a loop of its own that writes batches, looks after the file and tries again after a
// failure. It delays nobody: offering is a push to a list.
import { Buffer } from 'node:buffer'
import { setTimeout as delay } from 'node:timers/promises'
import { type AnchorKeeper, anchorKeeper } from './anchors.ts'
import type { AuditAnchors } from './chain.ts'
import type { AuditEvent } from './event.ts'
import { type Formatter, formatter } from './format.ts'
import type { AuditLimits, AuditLogger } from './limits.ts'
import type { DeviceMeter } from './meter.ts'
import { type DeviceConfig, type DeviceSettings, placeOf } from './options.ts'
import { EntryQueue } from './queue.ts'
import type { AuditSigner } from './signer.ts'
import { reason, type Sink } from './sinks/sink.ts'
import type { Ticket } from './ticket.ts'
import { type ChainWriter, chainWriter } from './writer.ts'

/** State of a device for health. `warning` is "" when there is nothing to say; `lost` counts entries it could not take. */
export interface DeviceHealth {
  readonly path: string
  readonly ok: boolean
  readonly warning: string
  readonly lost: number
  /** Entries that wait to be written. */
  readonly waiting: number
}

/** What a device is made with. */
export interface DevicePorts {
  readonly now: () => number
  readonly signer: AuditSigner
  readonly anchors: AuditAnchors
  readonly logger: AuditLogger
  readonly limits: AuditLimits
  /** Called when a full queue has room again. */
  readonly onRoom: () => void
  readonly meter?: DeviceMeter | undefined
}

// What the chain adds to an entry, and a prefix: room that a datagram must have left.
const lineExtraBytes = 1024

/** An audit device at work. */
export class Device {
  readonly config: DeviceConfig
  readonly format: Formatter
  readonly #sink: Sink
  readonly #ports: DevicePorts
  readonly #queue: EntryQueue
  readonly #writer: ChainWriter
  readonly #keeper: AnchorKeeper
  readonly #timer: NodeJS.Timeout
  #running = false
  #retry: NodeJS.Timeout | undefined
  #failures = 0
  #opened = false
  #closing = false
  #stopped = false
  #failure = ''
  #warning = ''
  #signDue = false
  #lookDue = false
  #lookedAt = 0
  #reopenDue = false
  #resting: (() => void)[] = []

  constructor(config: DeviceConfig, settings: DeviceSettings, sink: Sink, ports: DevicePorts) {
    const { now, signer, limits } = ports
    this.config = config
    this.format = formatter({ salt: config.salt, ...settings })
    this.#sink = sink
    this.#ports = ports
    this.#queue = new EntryQueue(limits.queueEntriesMax, limits.queueCharsMax)
    const { accessor: device } = config
    const { prefix } = settings
    const place = placeOf(settings.target)
    this.#keeper = anchorKeeper({ device, place }, sink, ports)
    const keep = this.#keeper.keep
    this.#writer = chainWriter(sink, { device, place, prefix, now, signer, limits, keep })
    this.#timer = setInterval(() => this.#tick(), limits.checkpointMs).unref()
  }

  /** Whether no further entry can wait. */
  get full(): boolean {
    return this.#closing || this.#queue.full
  }

  health(): DeviceHealth {
    const said = [this.#failure, this.#warning, this.#keeper.trouble()].filter((text) => text !== '')
    return {
      path: this.config.path,
      ok: this.#opened && this.#failure === '',
      warning: said.join('; '),
      lost: this.#queue.lost,
      waiting: this.#queue.length,
    }
  }

  /** Queues the events of one request; what finds no room or cannot be written here counts as lost. Never throws. */
  offer(events: readonly AuditEvent[], ticket: Ticket | undefined): void {
    const bodies = this.full ? undefined : this.#bodies(events)
    if (!bodies) {
      this.lose(events.length)
      return
    }
    if (this.#queue.owesWord) this.#queue.sayLost(this.#ports.now())
    this.#queue.push(bodies, ticket)
    this.#ports.meter?.took(events)
    this.#wake()
  }

  /** Counts entries that were not taken; the chain will say how many. */
  lose(entries: number): void {
    this.#queue.lose(entries)
  }

  /** Opens the sink and writes the chain's first line; rejects with the reason when that fails or takes too long. */
  async open(): Promise<void> {
    await this.#rest(this.#ports.limits.openMs)
    if (this.#failure !== '') throw new Error(this.#failure)
    if (!this.#opened) throw new Error('the device did not answer in time')
  }

  /** Ends the old file with a checkpoint, opens it anew (after rotation) and begins it with one. Never rejects: health tells. */
  async reopen(): Promise<void> {
    this.#reopenDue = true
    await this.#rest(this.#ports.limits.closeMs)
  }

  /** Writes what is left and a last checkpoint, anchors it and lets go. Never rejects; gives up after `closeMs`. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    clearInterval(this.#timer)
    const { closeMs, retryMs } = this.#ports.limits
    const deadline = Date.now() + closeMs
    while (this.#opened && !this.#stopped && Date.now() < deadline) {
      await this.#rest(deadline - Date.now())
      if (this.#failure !== '') await delay(Math.min(retryMs, Math.max(1, deadline - Date.now())))
    }
    this.#stopped = true
    clearTimeout(this.#retry)
    this.#queue.refuseAll()
    if (this.#queue.length > 0)
      this.#ports.logger.error(
        { device: this.config.path, entries: this.#queue.length },
        'audit device closed before it took all entries',
      )
    await within(this.#keeper.settled(), deadline - Date.now())
    await this.#sink.close()
  }

  /** Makes the bodies of events; undefined when this device cannot write them. */
  #bodies(events: readonly AuditEvent[]): string[] | undefined {
    const bodies: string[] = []
    const { path: device } = this.config
    const bytesMax = this.#sink.lineBytesMax - lineExtraBytes
    try {
      for (const event of events) {
        const body = this.format.body(event)
        if (body.length * 3 > bytesMax && Buffer.byteLength(body) > bytesMax) {
          this.#warning = 'an entry was too large for this kind of device'
          return undefined
        }
        bodies.push(body)
      }
      return bodies
    } catch (error) {
      const facts = { device, request: events[0]?.request.id, reason: reason(error) }
      this.#ports.logger.error(facts, 'cannot format an audit entry')
      return undefined
    }
  }

  #tick(): void {
    this.#signDue = this.#writer.unsigned > 0
    this.#lookDue = true
    this.#keeper.retry()
    this.#wake()
  }

  /** Runs the loop now; resolves when it came to rest, be it by a failure, or after `ms`. */
  async #rest(ms: number): Promise<void> {
    clearTimeout(this.#retry)
    this.#retry = undefined
    const rested = new Promise<void>((resolve) => this.#resting.push(resolve))
    this.#wake()
    await within(rested, ms)
  }

  #wake(): void {
    if (this.#running || this.#stopped || this.#retry !== undefined) return
    this.#running = true
    // After the poll phase: all that came in during this turn of the event loop goes in one write.
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    try {
      do await this.#step()
      while (this.#hasWork())
      this.#succeeded()
    } catch (error) {
      this.#failed(error)
    }
    this.#running = false
    for (const resolve of this.#resting.splice(0)) resolve()
  }

  #hasWork(): boolean {
    if (this.#stopped) return false
    return this.#queue.length > 0 || this.#queue.owesWord || this.#closing || this.#reopenDue || this.#writer.begins
  }

  async #step(): Promise<void> {
    if (!this.#opened) await this.#openSink()
    if (this.#stopped) return this.#sink.close()
    // Asked to open anew: that the old file has another name by now is what rotation means.
    if (this.#reopenDue) await this.#rotate()
    else if (this.#lookDue || Date.now() - this.#lookedAt >= this.#ports.limits.lookMs) await this.#look()
    const wasFull = this.#queue.full
    const stop = this.#closing
    this.#ports.meter?.writing()
    await this.#writer.write(this.#queue, stop ? 'stop' : this.#signDue ? 'periodic' : undefined)
    this.#ports.meter?.wrote()
    if (this.#writer.unsigned === 0) this.#signDue = false
    if (stop && this.#queue.length === 0) this.#stopped = true
    if (this.#failure !== '') this.#succeeded()
    if (wasFull && !this.#queue.full) this.#ports.onRoom()
  }

  async #openSink(): Promise<void> {
    const found = await this.#sink.open()
    this.#writer.begin('start', found, { previous: await this.#keeper.links(found.tail) })
    this.#opened = true
    this.#lookedAt = Date.now()
  }

  async #look(): Promise<void> {
    const moved = await this.#sink.moved()
    if (moved !== undefined) {
      // A file that only has another name now gets its last checkpoint; whether that works changes nothing.
      if (moved !== 'emptied') await this.#endFile().catch(() => {})
      await this.#keeper.quiet()
      this.#writer.begin('recreated', await this.#sink.reopen())
      this.#warning = `the file was ${moved}: earlier lines are not in it`
      this.#ports.logger.warn({ device: this.config.path }, `audit: the file was ${moved}; it was begun anew`)
    }
    this.#lookDue = false
    this.#lookedAt = Date.now()
  }

  async #endFile(): Promise<void> {
    if (this.#writer.unsigned > 0) await this.#writer.write(this.#queue, 'rotate')
  }

  async #rotate(): Promise<void> {
    await this.#endFile()
    await this.#keeper.quiet()
    const found = await this.#sink.reopen()
    // Only a new file may begin in the middle of a chain: in the old one that would hide lines cut out before it.
    this.#writer.begin(found.same ? 'periodic' : 'reopen', found)
    this.#warning = ''
    this.#reopenDue = false
  }

  #succeeded(): void {
    this.#failures = 0
    if (this.#failure === '') return
    this.#failure = ''
    this.#ports.logger.info({ device: this.config.path }, 'audit device writes again')
  }

  /** Whoever waits is told; the entries stay and are tried again. */
  #failed(error: unknown): void {
    const text = reason(error)
    if (this.#failure === '') this.#ports.logger.error({ device: this.config.path, reason: text }, 'audit device fails')
    this.#failure = text
    this.#queue.refuseAll()
    if (this.#closing) return
    const { retryMs, retryMsMax } = this.#ports.limits
    const wait = Math.min(retryMsMax, retryMs * 2 ** Math.min(this.#failures++, 10))
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.#wake()
    }, wait).unref()
  }
}

/** Waits for a promise that never rejects, but not longer than so many milliseconds. */
async function within(promise: Promise<void>, ms: number): Promise<void> {
  const patience = new AbortController()
  await Promise.race([promise, delay(Math.max(1, ms), undefined, { signal: patience.signal }).catch(() => {})])
  patience.abort()
}
