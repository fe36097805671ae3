// The broker: hands every event to every device and tells core as soon as one has taken it. A device that hangs delays nobody while
// another one writes; when none does, the request fails. It must never write a value in clear but to a device that was told to.
import { randomBytes, randomUUID } from 'node:crypto'
import { ApiError, invalid } from '../sdk/errors.ts'
import type { Anchor, AuditAnchors } from './chain.ts'
import { Device, type DeviceHealth } from './device.ts'
import { type AuditBroker, type AuditEvent, AuditFailed } from './event.ts'
import type { AuditedHeaders } from './format.ts'
import { type AuditLimits, type AuditLogger, auditLimits } from './limits.ts'
import type { DeviceMeter } from './meter.ts'
import { type DeviceConfig, type DeviceSettings, sinkOf, validateDevice } from './options.ts'
import type { AuditSigner } from './signer.ts'
import { reason, type Sink } from './sinks/sink.ts'
import { Ticket } from './ticket.ts'

/** What the broker is made with. `now` is in milliseconds since the epoch. */
export interface BrokerPorts {
  readonly now: () => number
  readonly signer: AuditSigner
  readonly anchors: AuditAnchors
  readonly logger: AuditLogger
  readonly limits?: Partial<AuditLimits>
  /** Gives what a device, by its path, is counted with. */
  readonly meter?: (path: string) => DeviceMeter
}

/** Whether requests can be audited: `ok` is false when devices are enabled and none of them writes. */
export interface AuditHealth {
  readonly ok: boolean
  readonly devices: readonly DeviceHealth[]
}

/** The key that signs, and how far each device's chains are signed. */
export interface Verification {
  /** SPKI PEM. */
  readonly publicKey: string
  readonly fingerprint: string
  readonly devices: readonly { readonly path: string; readonly accessor: string; readonly anchors: readonly Anchor[] }[]
}

/** The audit room as the server sees it. */
export interface AuditRoom extends AuditBroker {
  /**
   * Enables a device: opens it and writes a test entry (unless `skip_test`). Throws `ApiError` (400) with the reason when it cannot.
   * It takes part in `record` from the next `sync` that names it; `discard` gives it up.
   */
  open(device: DeviceConfig): Promise<void>
  /** Gives up a device that was opened and is not to be enabled after all. */
  discard(path: string): Promise<void>
  /** Makes the devices those of the list: new ones are opened (a failure shows in health and is tried again), others closed. */
  sync(devices: readonly DeviceConfig[]): Promise<void>
  /** Hashes a text as a device does; undefined when there is no such device (path with or without the trailing slash). */
  hash(path: string, text: string): string | undefined
  /** SIGHUP: opens every file and connection anew. Never rejects. */
  reopen(): Promise<void>
  health(): AuditHealth
  /** Sets which request headers are written; names in lower case. */
  setHeaders(headers: AuditedHeaders): void
  /** Gives what `coffer audit verify` needs. Rejects when storage does. */
  verification(): Promise<Verification>
  /** Writes what waits and a last checkpoint for every device. Call it while storage still takes anchors. Never rejects. */
  close(): Promise<void>
}

interface Waiting {
  readonly events: readonly AuditEvent[]
  readonly ticket: Ticket
}

const sweepMs = 250
// A device that was opened to be enabled waits so long for the change to arrive.
const standbyMsMax = 30_000
const root = { id: 'root', path: '' } as const
const slashed = (path: string): string => (path.endsWith('/') ? path : `${path}/`)

/** The entry that tells whether a new device works. Source: Vault's `sys/audit/test`. */
const testEvent = (now: number): AuditEvent => ({
  type: 'request',
  time: now,
  auth: undefined,
  granting: [],
  allowed: undefined,
  request: {
    id: randomUUID(),
    operation: 'update',
    mount: undefined,
    namespace: root,
    path: 'sys/audit/test',
    data: undefined,
    clientToken: '',
    clientTokenAccessor: '',
    remoteAddress: '',
    remotePort: 0,
    wrapTtlSeconds: 0,
    headers: {},
    clientCertificateSerialNumber: '',
  },
  response: undefined,
  error: '',
})

/** Whether two records describe the same device at work (its description may differ). */
const sameDevice = (a: DeviceConfig, b: DeviceConfig): boolean =>
  a.path === b.path &&
  a.type === b.type &&
  a.accessor === b.accessor &&
  a.salt === b.salt &&
  a.declared === b.declared &&
  JSON.stringify(Object.entries(a.options).sort()) === JSON.stringify(Object.entries(b.options).sort())

const unusableSettings: DeviceSettings = {
  logRaw: false,
  hmacAccessor: true,
  elideListResponses: false,
  prefix: '',
  skipTest: true,
  target: { kind: 'discard' },
  unknown: [],
}

/** A sink that never works: what stands for a device whose record cannot be used. */
const unusableSink = (cause: unknown): Sink => {
  const refuse = (): Promise<never> => Promise.reject(cause)
  return {
    lineBytesMax: Number.POSITIVE_INFINITY,
    open: refuse,
    write: refuse,
    sync: refuse,
    moved: refuse,
    reopen: refuse,
    close: async () => {},
  }
}

/** Opens the audit room; it has no devices until `sync`. */
export function auditBroker(ports: BrokerPorts): AuditRoom {
  const { now, logger } = ports
  const limits: AuditLimits = { ...auditLimits, ...ports.limits }
  let devices: readonly Device[] = []
  let headers: AuditedHeaders = {}
  let changing: Promise<void> = Promise.resolve()
  const standby = new Map<string, { readonly device: Device; readonly since: number }>()
  // Requests that found every queue full, in order; and all that were not settled yet, for the time limit.
  let waiting: Waiting[] = []
  let unsettled: Ticket[] = []
  let closed = false
  let sweeper: NodeJS.Timeout | undefined

  const offer = (events: readonly AuditEvent[], ticket: Ticket): void => {
    for (const device of devices) device.offer(events, ticket)
    if (ticket.waiting === 0) ticket.fail('no audit device could take the entry')
  }

  const hasRoom = (): boolean => devices.length === 0 || devices.some((device) => !device.full)

  const letIn = (): void => {
    let taken = 0
    while (taken < waiting.length && hasRoom()) {
      const { events, ticket } = waiting[taken++] as Waiting
      if (ticket.settled) continue
      if (devices.length === 0) ticket.accept()
      else offer(events, ticket)
    }
    waiting = waiting.slice(taken)
  }

  const sweep = (): void => {
    const time = Date.now()
    for (const { events, ticket } of waiting)
      if (!ticket.settled && ticket.deadline <= time) for (const device of devices) device.lose(events.length)
    for (const ticket of unsettled) if (ticket.deadline <= time) ticket.fail('no audit device took the entry in time')
    waiting = waiting.filter(({ ticket }) => !ticket.settled)
    unsettled = unsettled.filter((ticket) => !ticket.settled)
    if (unsettled.length > 0) return
    clearInterval(sweeper)
    sweeper = undefined
  }

  const watch = (ticket: Ticket): void => {
    unsettled.push(ticket)
    sweeper ??= setInterval(sweep, Math.min(sweepMs, limits.recordMs))
  }

  const make = (config: DeviceConfig, settings: DeviceSettings, sink: Sink): Device => {
    const { signer, anchors } = ports
    const device = new Device(config, settings, sink, {
      now,
      signer,
      anchors,
      logger,
      limits,
      onRoom: letIn,
      meter: ports.meter?.(config.path),
    })
    device.format.setHeaders(headers)
    return device
  }

  /** Makes a device from a record. One whose options do not hold stands there and fails: without it requests would go unaudited. */
  const makeAnyhow = (config: DeviceConfig): Device => {
    try {
      const settings = validateDevice(config)
      return make(config, settings, sinkOf(settings.target))
    } catch (error) {
      return make({ ...config, salt: randomBytes(32).toString('hex') }, unusableSettings, unusableSink(error))
    }
  }

  /** Gives the device of a record: the one that was opened to be enabled, or a new one. */
  const bring = async (config: DeviceConfig): Promise<Device> => {
    const ready = standby.get(config.path)
    if (ready && sameDevice(ready.device.config, config)) {
      standby.delete(config.path)
      return ready.device
    }
    const device = makeAnyhow(config)
    // A failure is in the log and in health; the device goes on trying.
    await device.open().catch(() => {})
    return device
  }

  const change = async (wanted: readonly DeviceConfig[]): Promise<void> => {
    const kept = await Promise.all(
      wanted.map((config) => devices.find((device) => sameDevice(device.config, config)) ?? bring(config)),
    )
    const gone = devices.filter((device) => !kept.includes(device))
    devices = kept
    letIn()
    const old = [...standby.values()].filter(({ since }) => Date.now() - since > standbyMsMax)
    for (const { device } of old) standby.delete(device.config.path)
    await Promise.all([...gone, ...old.map(({ device }) => device)].map((device) => device.close()))
  }

  /** Changes run one after the other, each whatever became of the one before. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = changing.then(work)
    changing = done.catch(() => {})
    return done
  }

  const discard = async (path: string): Promise<void> => {
    const ready = standby.get(path)
    standby.delete(path)
    await ready?.device.close()
  }

  const openNew = async (config: DeviceConfig): Promise<void> => {
    await discard(config.path)
    const settings = validateDevice(config)
    const { skipTest, target } = settings
    const device = make(config, settings, sinkOf(target))
    try {
      // A file is opened even without a test: what cannot be opened would fail every request later.
      if (!skipTest || target.kind === 'file') await device.open()
      if (!skipTest) {
        const ticket = new Ticket(Date.now() + limits.openMs)
        watch(ticket)
        device.offer([testEvent(now())], ticket)
        if (ticket.waiting === 0) ticket.fail('the test entry could not be written')
        await ticket.promise
      }
    } catch (error) {
      const why = device.health().warning || reason(error)
      await device.close()
      throw error instanceof ApiError ? error : invalid(`audit device failed its test: ${why}`)
    }
    standby.set(config.path, { device, since: Date.now() })
  }

  return {
    get enabled() {
      return devices.length > 0
    },
    record(events) {
      if (devices.length === 0) return Promise.resolve()
      if (closed) return Promise.reject(new AuditFailed('the audit room is closed'))
      const ticket = new Ticket(Date.now() + limits.recordMs)
      watch(ticket)
      if (waiting.length === 0 && hasRoom()) offer(events, ticket)
      else if (waiting.length < limits.waitingMax) waiting.push({ events, ticket })
      else ticket.fail('too many requests wait for the audit devices')
      return ticket.promise
    },
    open: (device) => inTurn(() => openNew(device)),
    discard: (path) => inTurn(() => discard(slashed(path))),
    sync: (wanted) => inTurn(() => change(wanted)),
    hash(path, text) {
      return devices.find((device) => device.config.path === slashed(path))?.format.hash(text)
    },
    reopen: () => inTurn(async () => void (await Promise.all(devices.map((device) => device.reopen())))),
    health() {
      const list = devices.map((device) => device.health())
      return { ok: list.length === 0 || list.some(({ ok }) => ok), devices: list }
    },
    setHeaders(config) {
      headers = config
      for (const device of devices) device.format.setHeaders(config)
      for (const { device } of standby.values()) device.format.setHeaders(config)
    },
    async verification() {
      const { signer, anchors } = ports
      const list = devices.map(async ({ config: { path, accessor } }) => ({
        path,
        accessor,
        anchors: await anchors.load(accessor),
      }))
      return { publicKey: signer.publicPem(), fingerprint: signer.fingerprint, devices: await Promise.all(list) }
    },
    close: () =>
      inTurn(async () => {
        closed = true
        const all = [...devices, ...[...standby.values()].map(({ device }) => device)]
        standby.clear()
        await Promise.all(all.map((device) => device.close()))
        for (const ticket of unsettled) ticket.fail('the audit room is closed')
        sweep()
      }),
  }
}
