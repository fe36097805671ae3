// The instruments of each room, by the names the rooms know them by. Rooms declare what they need; that it fits is checked where they meet.
import { Counter, type Timer } from '../lib/metrics.ts'
import type { MetricsRoom } from './room.ts'

/** Mounts over the bound are timed together under this name. */
const others = 'other-'

/** Makes the instruments of a process. */
export function instrumentsOf({ registry, mountsMax }: MetricsRoom) {
  const { timer, sampled, counter } = registry
  const responses = Array.from({ length: 6 }, () => new Counter())
  registry.read('responses', () =>
    responses.flatMap(({ total }, first) => (total > 0 ? { value: total, labels: { class: `${first}xx` } } : [])),
  )
  const mounts = new Set<string>()
  /** Gives the name of a mount in metrics: slashes become dashes. */
  const mountName = (path: string): string => {
    const name = path.replaceAll('/', '-')
    if (!mounts.has(name) && mounts.size >= mountsMax) return others
    mounts.add(name)
    return name
  }
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
    route: (path: string, operation: string): Timer => timer('route', { operation, mount: mountName(path) }),
    device: (path: string): readonly [Timer, Timer] => [
      timer('deviceLogRequest', { device: path }),
      timer('deviceLogResponse', { device: path }),
    ],
    barrier: {
      get: sampled('barrierGet'),
      put: sampled('barrierPut'),
      delete: sampled('barrierDelete'),
      list: sampled('barrierList'),
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
