// Every metric there is: its name, kind and meaning, once. Instruments, JSON, Prometheus, statsd and docs/metrics.md are made from this.
// A label or a part of a name may only be something whose number is bounded and that everybody who operates the server may see.

/** What stands for a metric: timers are summaries, totals only grow and are read when asked for, as gauges are. */
export type MetricKind = 'timer' | 'counter' | 'total' | 'gauge'

export interface Declared {
  /** Full name; `vault.` is replaced by `metrics_prefix`. `<part>` stands for what differs. */
  readonly name: string
  readonly kind: MetricKind
  readonly help: string
  readonly labels?: readonly string[]
}

const timer = (name: string, help: string): Declared => ({ name, kind: 'timer', help })
const counter = (name: string, help: string): Declared => ({ name, kind: 'counter', help })
const gauge = (name: string, help: string, ...labels: string[]): Declared => ({ name, kind: 'gauge', help, labels })
const total = (name: string, help: string, ...labels: string[]): Declared => ({ name, kind: 'total', help, labels })

/** The metrics by the name code uses for them. Times are milliseconds unless the name says otherwise. */
export const metrics = {
  handleRequest: timer(
    'vault.core.handle_request',
    'Time of requests, from routing to the audited answer; logins and other requests without token apart.',
  ),
  handleLogin: timer('vault.core.handle_login_request', 'Time of logins and other requests that need no token.'),
  inFlight: gauge('vault.core.in_flight_requests', 'Requests under way.', 'cluster'),
  unsealed: gauge('vault.core.unsealed', '1 when the keys are in memory, 0 while sealed.', 'cluster'),
  active: gauge('vault.core.active', '1 when this process serves requests: all unsealed ones do.', 'cluster'),
  mountEntries: gauge('vault.core.mount_table.num_entries', 'Mounts over all namespaces.', 'cluster', 'type', 'local'),
  postUnseal: timer('vault.core.post_unseal', 'Time from keys to readiness at unseal.'),
  preSeal: timer('vault.core.pre_seal', 'Time that sealing waits for requests and devices.'),
  route: timer(
    'vault.route.<operation>.<mount>',
    'Time of the handler and its commit. Slashes of the mount become dashes. Mounts over `maximum_gauge_cardinality` share the name `other-`.',
  ),
  logRequest: timer('vault.audit.log_request', 'Time a request waits until a device has taken its entry.'),
  logResponse: timer('vault.audit.log_response', 'The same for the entry of the answer.'),
  logRequestFailure: counter('vault.audit.log_request_failure', 'Requests whose entry no device took.'),
  logResponseFailure: counter('vault.audit.log_response_failure', 'Answers whose entry no device took.'),
  deviceLogRequest: timer(
    'vault.audit.<device>.log_request',
    'Time of the writes of a device, counted once for each entry of a request in them.',
  ),
  deviceLogResponse: timer('vault.audit.<device>.log_response', 'The same for entries of answers.'),
  barrierGet: timer(
    'vault.barrier.get',
    'Time to read and decrypt a record. One call of eight is timed and stands for those since the last.',
  ),
  barrierPut: timer('vault.barrier.put', 'Time to encrypt a record; the disk is in `coffer.storage.commit`.'),
  barrierDelete: timer('vault.barrier.delete', 'Time to note a removal.'),
  barrierList: timer('vault.barrier.list', 'Time to list names.'),
  tokenCreate: timer('vault.token.create', 'Time to make a token, of logins too.'),
  tokenLookup: timer('vault.token.lookup', 'Time to find a token in storage: known ones are not looked up again.'),
  tokenRevoke: timer('vault.token.revoke', 'Time to revoke one token.'),
  tokenRevokeTree: timer('vault.token.revoke-tree', 'Time to revoke a token and all below it.'),
  policyGet: timer('vault.policy.get_policy', 'Time to read a policy.'),
  policySet: timer('vault.policy.set_policy', 'Time to write a policy, without the commit.'),
  policyDelete: timer('vault.policy.delete_policy', 'Time to delete a policy, without the commit.'),
  allocBytes: gauge('vault.runtime.alloc_bytes', 'Bytes of objects and buffers in memory.'),
  sysBytes: gauge('vault.runtime.sys_bytes', 'Bytes of memory of the process (resident).'),
  gcPauseTotal: gauge('vault.runtime.total_gc_pause_ns', 'Pauses of the garbage collector in all, in nanoseconds.'),
  gcRuns: gauge('vault.runtime.total_gc_runs', 'Number of these pauses.'),
  gcPause: timer('coffer.runtime.gc_pause', 'Pauses of the garbage collector.'),
  responses: total('coffer.http.responses', 'Answers by class of their status.', 'class'),
  namespaces: gauge('coffer.namespaces', 'Namespaces, the root included.'),
  loopMean: gauge('coffer.event_loop.delay_mean', 'Mean delay of the event loop in the last ten seconds.'),
  loopP99: gauge('coffer.event_loop.delay_p99', '99 % of the delays were below this.'),
  loopMax: gauge('coffer.event_loop.delay_max', 'Longest delay.'),
  loopUse: gauge('coffer.event_loop.utilization', 'Share of the last ten seconds (0 to 1) the event loop was busy.'),
  commit: timer('coffer.storage.commit', 'Time of a commit until it is durable.'),
  commitGroups: counter('coffer.storage.commit_groups', 'Groups of commits that went to disk together (SQLite).'),
  conflicts: counter('coffer.storage.conflicts', 'Commits refused since what they had read had changed.'),
  reruns: counter('coffer.storage.reruns', 'Transactions run again, for whatever reason.'),
  auditWaiting: gauge('coffer.audit.waiting', 'Entries that wait for a device.', 'device'),
  auditLost: total('coffer.audit.lost', 'Entries a device could not take.', 'device'),
  auditOk: gauge('coffer.audit.ok', '1 while a device writes, 0 while it fails.', 'device'),
  jobsDone: counter('coffer.jobs.done', 'Pieces of due work (expiry, cleaning up) worked off.'),
  jobsFailed: counter('coffer.jobs.failed', 'Pieces of due work that failed and will be tried again.'),
  jobsTurn: timer('coffer.jobs.turn', 'Time of the looks that found due work.'),
  passwordsWaiting: gauge('coffer.password.waiting', 'Passwords that wait to be hashed.'),
  passwordsDone: total('coffer.password.done', 'Passwords hashed.'),
  passwordsRefused: total('coffer.password.refused', 'Logins refused since too many passwords waited.'),
  cpu: total('coffer.process.cpu_seconds', 'Processor time of the process, in seconds.'),
  started: gauge('coffer.process.start_time_seconds', 'When the process was started, seconds since 1970.', 'pid'),
} as const satisfies Readonly<Record<string, Declared>>

export type MetricId = keyof typeof metrics
