// Lines as syslog messages to a configured address (UDP, TCP or a unix stream socket): RFC 5424, or RFC 3164 for old receivers. A
// datagram socket such as /dev/log cannot be reached from Node; say an address.
import { Buffer } from 'node:buffer'
import { hostname } from 'node:os'
import type { Address } from './connection.ts'
import type { Sink } from './sink.ts'
import { connectionSink } from './socket.ts'

/** Facilities by name, with their numbers (RFC 5424 section 6.2.1). */
export const facilities: Readonly<Record<string, number>> = {
  KERN: 0,
  USER: 1,
  MAIL: 2,
  DAEMON: 3,
  AUTH: 4,
  SYSLOG: 5,
  LPR: 6,
  NEWS: 7,
  UUCP: 8,
  CRON: 9,
  AUTHPRIV: 10,
  FTP: 11,
  LOCAL0: 16,
  LOCAL1: 17,
  LOCAL2: 18,
  LOCAL3: 19,
  LOCAL4: 20,
  LOCAL5: 21,
  LOCAL6: 22,
  LOCAL7: 23,
}

export interface SyslogTarget {
  readonly kind: 'syslog'
  readonly address: Address
  readonly timeoutMs: number
  readonly facility: number
  readonly tag: string
  readonly rfc: 5424 | 3164
}

const severityInfo = 6
const headBytesMax = 512
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const two = (n: number): string => String(n).padStart(2, '0')

/** Writes the head of a message: everything before the line. Time in milliseconds since the epoch. */
export function syslogHead(target: Pick<SyslogTarget, 'facility' | 'tag' | 'rfc'>, ms: number, host: string): string {
  const priority = `<${target.facility * 8 + severityInfo}>`
  const at = new Date(ms)
  if (target.rfc === 5424) return `${priority}1 ${at.toISOString()} ${host} ${target.tag} ${process.pid} - - `
  const day = String(at.getDate()).padStart(2, ' ')
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`
  return `${priority}${months[at.getMonth()]} ${day} ${time} ${host} ${target.tag}[${process.pid}]: `
}

/** Sends each line as one message. Over streams RFC 5424 messages are counted (RFC 6587 section 3.4.1), RFC 3164 ones end with a line break. */
export function syslogSink(target: SyslogTarget): Sink {
  const host =
    hostname()
      .replace(/[^\x21-\x7e]/g, '')
      .slice(0, 255) || '-'
  const message = (line: string): string => syslogHead(target, Date.now(), host) + line
  return connectionSink(target.address, target.timeoutMs, {
    datagram: message,
    stream(line) {
      const text = message(line)
      return target.rfc === 5424 ? `${Buffer.byteLength(text)} ${text}` : `${text}\n`
    },
    bytes: headBytesMax,
  })
}
