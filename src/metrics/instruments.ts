// The instruments of each room, by the names the rooms know them by. Rooms declare what they need; that it fits is checked where they meet.
import { Counter, type Timer } from '../lib/metrics.ts'
import type { MetricsRoom } from './room.ts'

/** Mounts and devices over the bound are timed together under this name. */
const others = 'other-'

/** Makes the instruments of a process. */
export function instrumentsOf({ registry, mountsMax }: MetricsRoom) {
  const { timer, sampled, counter } = registry
  const responses = Array.from({ length: 6 }, () => new Counter())
  registry.read('responses', () =>
    responses.flatMap(({ total }, first) => (total > 0 ? { value: total, labels: { class: `${first}xx` } } : [])),
  )
  /** Bounds how many names there may be; those beyond are one. */
  const bounded = (): ((name: string) => string) => {
    const names = new Set<string>()
    return (name) => {
      if (!names.has(name) && names.size >= mountsMax) return others
      names.add(name)
      return name
    }
  }
  const mounts = bounded()
  const devices = bounded()
  return {
    requests: {
      requests: timer('handleRequest'),
      logins: timer('handleLogin'),
      logRequest: timer('logRequest'),
      logResponse: timer('logResponse'),
      logRequestFailure: counter('logRequestFailure'),
      logResponseFailure: counter('logResponseFailure'),
      responses,
    },
    /** Gives the timer of an operation on the mount at a full path. */
    route: (path: string, operation: string): Timer =>
      timer('route', { operation, mount: mounts(path.replaceAll('/', '-')) }),
    device: (path: string): readonly [Timer, Timer] => [
      timer('deviceLogRequest', { device: devices(path) }),
      timer('deviceLogResponse', { device: devices(path) }),
    ],
    barrier: {
      get: sampled('barrierGet'),
      put: timer('barrierPut'),
      delete: timer('barrierDelete'),
      list: timer('barrierList'),
    },
    tokens: {
      create: timer('tokenCreate'),
      lookup: timer('tokenLookup'),
      revoke: timer('tokenRevoke'),
      revokeTree: timer('tokenRevokeTree'),
    },
    policies: { get: timer('policyGet'), set: timer('policySet'), delete: timer('policyDelete') },
    storage: {
      commit: timer('commit'),
      groups: counter('commitGroups'),
      conflicts: counter('conflicts'),
      reruns: counter('reruns'),
    },
    jobs: { done: counter('jobsDone'), failed: counter('jobsFailed'), turn: timer('jobsTurn') },
    postUnseal: timer('postUnseal'),
    preSeal: timer('preSeal'),
  }
}

export type Instruments = ReturnType<typeof instrumentsOf>
