// Sends metrics to a statsd, statsite or DogStatsD server after each interval. What cannot be sent is dropped: no metric ever waits in
// memory, and nothing here holds up the server or its end.
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, type Socket } from 'node:net'
import { bucketCount, middleOf } from '../lib/metrics.ts'
import type { Snapshot } from './registry.ts'

/** Where metrics are sent, and how: statsite takes TCP, the others UDP; DogStatsD knows labels. */
export interface PushTarget {
  readonly kind: 'statsd' | 'statsite' | 'dogstatsd'
  readonly host: string
  readonly port: number
  /** Sent with every line (`dogstatsd`). */
  readonly tags: readonly string[]
}

export interface Pusher {
  /** Sends the interval that ended last. Never throws. */
  push(snapshot: Snapshot): void
  close(): void
}

/** Bytes of a datagram: what every network lets through whole. */
const datagramMax = 1_400
/** Bytes that may wait for a slow statsite; over that an interval is dropped. */
const backlogMax = 1024 * 1024

const plain = (text: string): string => text.replace(/[\s:|@#,]/g, '_')

/** Prints the interval as lines. A timer is one line for each bucket in use, with how many events it stands for as sample rate. */
export function statsdLines(snapshot: Snapshot, { kind, tags }: Pick<PushTarget, 'kind' | 'tags'>): string[] {
  const lines: string[] = []
  const line = (name: string, labels: Readonly<Record<string, string>>, value: string): void => {
    if (kind !== 'dogstatsd') {
      lines.push(`${plain([name, ...Object.values(labels)].join('.'))}:${value}\n`)
      return
    }
    const all = [...tags.map((tag) => tag.replace(/[\s|,#]/g, '_')), ...labelTags(labels)]
    lines.push(`${plain(name)}:${value}${all.length > 0 ? `|#${all.join(',')}` : ''}\n`)
  }
  for (const { name, labels, value } of [...snapshot.gauges, ...snapshot.totals])
    if (Number.isFinite(value)) line(name, labels, `${value}|g`)
  for (const { name, labels, counter } of snapshot.counters)
    if (counter.finished > 0) line(name, labels, `${counter.finished}|c`)
  for (const { name, labels, timer } of snapshot.timers) {
    if (timer.finished.count === 0) continue
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const events = timer.finished.buckets[bucket] as number
      const rate = events > 1 ? `|@${1 / events}` : ''
      if (events > 0) line(name, labels, `${Number(middleOf(bucket).toPrecision(4))}|ms${rate}`)
    }
  }
  return lines
}

const labelTags = (labels: Readonly<Record<string, string>>): string[] =>
  Object.entries(labels).map(([name, value]) => `${plain(name)}:${plain(value)}`)

/** Puts lines together into datagrams. */
function datagrams(lines: readonly string[]): string[] {
  const packets: string[] = []
  let packet = ''
  for (const line of lines) {
    if (packet !== '' && Buffer.byteLength(packet) + Buffer.byteLength(line) > datagramMax) {
      packets.push(packet)
      packet = ''
    }
    packet += line
  }
  if (packet !== '') packets.push(packet)
  return packets
}

type Warn = (facts: Readonly<Record<string, unknown>>, message: string) => void

/** Makes a pusher. Trouble is told once, and again after it was over. */
export function metricsPusher(target: PushTarget, warn: Warn): Pusher {
  let troubled = false
  const trouble = (error: unknown): void => {
    if (!troubled)
      warn({ kind: target.kind, host: target.host, port: target.port, error: String(error) }, 'metrics cannot be sent')
    troubled = true
  }
  const fine = (): void => {
    troubled = false
  }
  const send = target.kind === 'statsite' ? tcpSender(target, trouble, fine) : udpSender(target, trouble, fine)
  return {
    push: (snapshot) => send.lines(statsdLines(snapshot, target)),
    close: () => send.close(),
  }
}

interface Sender {
  lines(lines: readonly string[]): void
  close(): void
}

function udpSender({ host, port }: PushTarget, trouble: (error: unknown) => void, fine: () => void): Sender {
  let socket: UdpSocket | undefined
  let ready = false
  const open = (): UdpSocket => {
    const made = createSocket(host.includes(':') ? 'udp6' : 'udp4').unref()
    made.on('error', (error) => {
      trouble(error)
      if (socket !== made) return
      socket = undefined
      made.close()
    })
    return made
  }
  const pour = (to: UdpSocket, lines: readonly string[]): void => {
    for (const packet of datagrams(lines)) to.send(packet, (error) => (error ? trouble(error) : fine()))
  }
  return {
    lines(lines) {
      if (socket) {
        if (ready) pour(socket, lines)
        return
      }
      const made = open()
      socket = made
      ready = false
      made.once('connect', () => {
        ready = true
        pour(made, lines)
      })
      made.connect(port, host)
    },
    close() {
      socket?.close()
      socket = undefined
    },
  }
}

function tcpSender({ host, port }: PushTarget, trouble: (error: unknown) => void, fine: () => void): Sender {
  let socket: Socket | undefined
  const open = (): Socket => {
    const made = connect({ host, port }).unref()
    made.on('connect', fine)
    made.on('error', trouble)
    made.on('close', () => {
      if (socket === made) socket = undefined
    })
    // Nothing is expected back; reading on is how an end is seen.
    made.resume()
    return made
  }
  return {
    lines(lines) {
      socket ??= open()
      if (socket.writableLength <= backlogMax) socket.write(lines.join(''))
      else trouble('the server does not keep up')
    },
    close() {
      socket?.destroy()
      socket = undefined
    },
  }
}
