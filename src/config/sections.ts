// All keys of the server configuration: Vault's and OpenBao's names, what they mean to Coffer, and what has no effect here.
// docs/configuration.md is printed from this file.
import {
  address,
  bool,
  choice,
  duration,
  headers,
  type Section,
  secret,
  signedRules,
  type Table,
  text,
  textMap,
  texts,
  url,
  whole,
  wholeOrAuto,
} from './keys.ts'
import { workersMax } from './workers.ts'

const section = <T extends Table>(one: Section<T>): Section<T> => one
const noNodes = 'nodes of Coffer do not talk to each other'
const noPlugins = 'Coffer runs no external plugins'
const days32 = 2_764_800

/** Levels of the log, and what else they are called. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const
export const logLevelAliases: Readonly<Record<string, (typeof logLevels)[number]>> = {
  warning: 'warn',
  err: 'error',
  notice: 'info',
}

/** Keys at the top of the file, besides the stanzas. */
export const serverSection = section({
  title: 'Top level',
  help: 'Keys outside of any stanza.',
  keys: {
    apiAddr: url('api_addr', 'Address under which clients reach this server; answers that name the server use it.'),
    clusterAddr: url('cluster_addr', 'Shown in `sys/ha-status`; nodes of Coffer do not talk to each other.'),
    nodeName: text(
      'node_name',
      'Name of this node in `sys/ha-status`; each node should have its own.',
      '',
      'the host name',
    ),
    clusterName: text(
      'cluster_name',
      'Name shown in `sys/seal-status` and `sys/health`.',
      '',
      'made at initialization',
    ),
    ui: bool('ui', 'Accepted; there is no web interface yet.', false),
    logLevel: choice('log_level', logLevels, 'Least level that is logged.', 'info', logLevelAliases),
    logFormat: choice('log_format', ['standard', 'json'], 'How log lines are printed.', 'standard'),
    logFile: text('log_file', 'File to log to as well; a folder gets `coffer.log`.', ''),
    logRotateBytes: whole('log_rotate_bytes', 'Size at which the log file is rotated; 0 is never.', 0),
    logRotateDurationSeconds: duration('log_rotate_duration', 'Age at which the log file is rotated.', 86_400, '24h'),
    logRotateMaxFiles: whole('log_rotate_max_files', 'Rotated files to keep; 0 keeps all, -1 none.', 0, -1),
    logRequestsLevel: text('log_requests_level', 'Level at which each finished request is logged.', ''),
    defaultLeaseTtlSeconds: duration(
      'default_lease_ttl',
      'Lifetime of tokens and leases that ask for none.',
      days32,
      '768h',
    ),
    maxLeaseTtlSeconds: duration('max_lease_ttl', 'Longest lifetime of tokens and leases.', days32, '768h'),
    defaultMaxRequestDurationSeconds: duration(
      'default_max_request_duration',
      'Longest time a request may take, where the listener sets none.',
      90,
      '90s',
    ),
    disableMlock: bool('disable_mlock', 'Accepted. Coffer does not lock memory: encrypt or switch off swap.', true),
    cacheSize: whole('cache_size', 'Accepted; Coffer keeps no decrypted records in memory.', 0),
    disableCache: bool('disable_cache', 'Accepted; every record is read from storage.', false),
    disableClustering: bool('disable_clustering', 'Accepted; nodes of Coffer do not talk to each other.', false),
    disableSealwrap: bool('disable_sealwrap', 'Accepted; all data is encrypted under the same keyring.', false),
    apiVersion: text(
      'api_version',
      'Version reported in `sys/health` and `sys/seal-status`; clients choose features by it.',
      '1.21.5',
    ),
    pluginDirectory: text('plugin_directory', 'Shown, not used: Coffer runs no external plugins.', ''),
    workers: wholeOrAuto(
      'workers',
      'Server processes behind the same listeners; `auto` is one for each core. See [workers](workers.md).',
      1,
      workersMax,
    ),
    pidFile: text(
      'pid_file',
      'File that holds the process id (of the supervisor, with `workers`) while the server runs.',
      '',
    ),
    rawStorageEndpoint: bool(
      'raw_storage_endpoint',
      'Serve `sys/raw`, which reads and writes what is stored below everything; it needs `sudo`. For repairs only.',
      false,
    ),
    introspectionEndpoint: bool('introspection_endpoint', 'Accepted; `sys/internal/inspect` is not served yet.', false),
    enableResponseHeaderHostname: bool('enable_response_header_hostname', 'Send `X-Vault-Hostname`.', false),
    enableResponseHeaderRaftNodeId: bool('enable_response_header_raft_node_id', 'Accepted; there is no raft.', false),
    impreciseLeaseRoleTracking: bool('imprecise_lease_role_tracking', 'Accepted; lease counts are exact.', false),
    detectDeadlocks: text('detect_deadlocks', 'Accepted; there are no locks to watch.', ''),
    unsafeAllowApiAuditCreation: bool(
      'unsafe_allow_api_audit_creation',
      'Let audit devices be made through the API, not only in this file.',
      true,
    ),
    allowAuditLogPrefixing: bool('allow_audit_log_prefixing', 'Let audit devices have a `prefix`.', true),
  },
  ignored: {
    mlock: 'Coffer does not lock memory; encrypt or switch off swap',
    cluster_cipher_suites: noNodes,
    disable_performance_standby: noNodes,
    disable_standby_reads: noNodes,
    disable_indexing: 'there is nothing to index',
    disable_sentinel_trace: 'there is no Sentinel',
    disable_printable_check: 'keys are always checked',
    plugin_file_uid: noPlugins,
    plugin_file_permissions: noPlugins,
    plugin_download_behavior: noPlugins,
    plugin_download_max_size: noPlugins,
    plugin_auto_download: noPlugins,
    plugin_auto_register: noPlugins,
    plugin_tmpdir: noPlugins,
    plugin: noPlugins,
    service_registration: 'register the server with your own tools, its health is at sys/health',
    initialize: 'initialize the server with "coffer operator init"',
    ha_storage: 'all nodes of Coffer are equal and share one storage',
    ha_backend: 'all nodes of Coffer are equal and share one storage',
    unsafe_cross_namespace_identity: 'identities stay in their namespace',
    unsafe_relative_paths: 'relative paths are refused',
    allow_unauthenticated_workflows: 'there are no workflows',
    enable_multiseal: 'several seals always work together',
    enable_raw_endpoint: 'the key is called raw_storage_endpoint',
    license_path: 'Coffer needs no license',
    entropy: 'random numbers come from the operating system',
    reporting: 'Coffer reports to nobody',
    administrative_namespace_path: 'there is no administrative namespace',
    experiments: 'there are no experiments',
    request_limiter: 'use rate limit quotas',
    adaptive_overload_protection: 'use rate limit quotas',
    log_level_request: 'the key is called log_requests_level',
  },
})

/** `listener "tcp" {}` and `listener "unix" {}`. */
export const listenerSection = section({
  title: '`listener "tcp"` and `listener "unix"`',
  help: 'One stanza for each socket; the type may also stand in the stanza as `type`. TLS is on for tcp unless `tls_disable` is set.',
  keys: {
    type: text('type', 'The type, where the stanza has no label.', undefined),
    address: text('address', '`host:port`, or the path of the socket.', undefined, '127.0.0.1:8200'),
    clusterAddress: text('cluster_address', 'Accepted; nodes of Coffer do not talk to each other.', undefined),
    role: choice(
      'role',
      ['default', 'metrics_only'],
      'With `metrics_only` the listener serves nothing but metrics.',
      undefined,
    ),
    maxRequestSizeBytes: whole('max_request_size', 'Bytes of a body; 0 is unlimited.', undefined, -1, '32 MiB'),
    maxRequestDurationSeconds: duration(
      'max_request_duration',
      'Longest time a request may take; 0 is unlimited.',
      undefined,
      '90s',
    ),
    maxRequestJsonDepth: whole('max_json_depth', 'Nesting of arrays and objects in a body.', undefined, 0, '300'),
    maxRequestJsonStrings: whole(
      'max_request_json_strings',
      'Strings in a body, keys included.',
      undefined,
      0,
      '500000',
    ),
    maxRequestJsonStringLength: whole(
      'max_json_string_value_length',
      'Characters of one string in a body.',
      undefined,
      0,
      '32 MiB',
    ),
    httpReadHeaderTimeoutSeconds: duration('http_read_header_timeout', 'Time to send the headers.', undefined, '10s'),
    httpReadTimeoutSeconds: duration('http_read_timeout', 'Time to send the whole request.', undefined, '30s'),
    httpWriteTimeoutSeconds: duration('http_write_timeout', 'Silence while an answer is due.', undefined, '5m'),
    httpIdleTimeoutSeconds: duration('http_idle_timeout', 'Silence between requests.', undefined, '5m'),
    maxHeaderBytes: whole('max_header_bytes', 'Bytes of the headers and the request line.', undefined, 0, '64 KiB'),
    requireRequestHeader: bool(
      'require_request_header',
      'Refuse requests without `X-Vault-Request: true`.',
      undefined,
      'false',
    ),
    tlsDisable: bool('tls_disable', 'Speak plain HTTP.', undefined, 'false; true for unix'),
    tlsCertFile: text('tls_cert_file', 'Certificate chain (PEM), the leaf first. Read again on SIGHUP.', undefined),
    tlsKeyFile: text('tls_key_file', 'Private key (PEM). Read again on SIGHUP.', undefined),
    tlsClientCaFile: text(
      'tls_client_ca_file',
      'Authorities (PEM) that client certificates are checked against.',
      undefined,
    ),
    tlsMinVersion: choice('tls_min_version', ['tls10', 'tls11', 'tls12', 'tls13'], 'Oldest version of TLS.', undefined),
    tlsMaxVersion: choice('tls_max_version', ['tls10', 'tls11', 'tls12', 'tls13'], 'Newest version of TLS.', undefined),
    tlsCipherSuites: texts('tls_cipher_suites', 'Cipher suites for TLS 1.2 and below.', undefined),
    tlsRequireAndVerifyClientCert: bool(
      'tls_require_and_verify_client_cert',
      'Refuse clients without a valid certificate.',
      undefined,
      'false',
    ),
    tlsDisableClientCerts: bool('tls_disable_client_certs', 'Do not ask for a client certificate.', undefined, 'false'),
    proxyProtocolBehavior: choice(
      'proxy_protocol_behavior',
      ['use_always', 'allow_authorized', 'deny_unauthorized'],
      'Take the PROXY protocol: from anybody; from the authorized, ignoring it from others; or from the authorized only.',
      undefined,
    ),
    proxyProtocolAuthorizedAddrs: texts(
      'proxy_protocol_authorized_addrs',
      'Addresses and CIDRs of the load balancers.',
      undefined,
    ),
    forwardedAuthorizedAddrs: texts(
      'x_forwarded_for_authorized_addrs',
      'Addresses and CIDRs of the proxies whose `X-Forwarded-For` is believed; without it the header is ignored.',
      undefined,
    ),
    forwardedHopSkips: whole('x_forwarded_for_hop_skips', 'Entries to skip from the right.', undefined, 0, '0'),
    forwardedRejectNotPresent: bool(
      'x_forwarded_for_reject_not_present',
      'Refuse requests without the header.',
      undefined,
      'true',
    ),
    forwardedRejectNotAuthorized: bool(
      'x_forwarded_for_reject_not_authorized',
      'Refuse the header from others.',
      undefined,
      'true',
    ),
    customResponseHeaders: headers(
      'custom_response_headers',
      'Headers to add, by status (`404`), class (`4xx`) or `default`.',
    ),
    disableUnauthedRekey: bool(
      'disable_unauthed_rekey_endpoints',
      'Refuse `sys/rekey` without a token.',
      undefined,
      'false',
    ),
    disableUnauthedGenerateRoot: bool(
      'disable_unauthed_generate_root_endpoints',
      'Refuse `sys/generate-root` without a token.',
      undefined,
      'false',
    ),
    socketMode: text('socket_mode', 'Mode of the socket, octal.', undefined),
    socketUser: text('socket_user', 'Owner of the socket, name or number.', undefined),
    socketGroup: text('socket_group', 'Group of the socket, name or number.', undefined),
  },
  ignored: {
    purpose: 'a listener serves everything, or metrics with role = "metrics_only"',
    max_request_json_memory: 'memory is bounded by max_request_size',
    max_json_object_entry_count: 'use max_request_json_strings',
    max_json_array_element_count: 'memory is bounded by max_request_size',
    disable_request_limiter: 'use rate limit quotas',
    disable_replication_status_endpoints: 'there is no replication',
    redact_addresses: 'sys/health and sys/seal-status do not show addresses',
    redact_cluster_name: 'leave out cluster_name',
    redact_version: 'set api_version',
    chroot_namespace: 'use the namespace of the request',
    agent_api: 'that is a key of the agent',
    proxy_api: 'that is a key of the proxy',
    inflight_requests_logging: 'requests under way are shown to operators only',
    tls_prefer_server_cipher_suites: 'TLS 1.2 and above choose well',
    cors_enabled: 'write sys/config/cors',
    cors_allowed_origins: 'write sys/config/cors',
    cors_allowed_headers: 'write sys/config/cors',
    cors_allow_credentials: 'write sys/config/cors',
    ...Object.fromEntries(
      [
        'cache_path',
        'ca_directory',
        'test_ca_directory',
        'ca_root',
        'eab_key_id',
        'eab_mac_key',
        'key_type',
        'email',
        'domains',
        'disable_http_challenge',
        'disable_alpn_challenge',
      ].map((name) => [`tls_acme_${name}`, 'Coffer fetches no certificates; set tls_cert_file and tls_key_file']),
    ),
    ...Object.fromEntries(
      ['header', 'decoders', 'keep_not_forwarded', 'keep_unauthorized'].map((name) => [
        `x_forwarded_for_client_cert_${name}`,
        'client certificates are taken from TLS only',
      ]),
    ),
  },
})

/** `telemetry {}` inside a listener. */
export const listenerTelemetrySection = section({
  title: '`telemetry` in a listener',
  help: 'Who may read [metrics](metrics.md) on this listener.',
  keys: {
    unauthenticatedMetricsAccess: bool(
      'unauthenticated_metrics_access',
      'Give metrics without a token, also while sealed.',
      false,
    ),
    metricsOnly: bool('metrics_only', 'Serve nothing but metrics.', false),
    disallowMetrics: bool('disallow_metrics', 'Serve everything but metrics.', false),
    metricsPath: text('metrics_path', 'With `metrics_only`: a path for metrics besides `/v1/sys/metrics`.', ''),
  },
  ignored: {},
})

/** `profiling {}` inside a listener. */
export const listenerProfilingSection = section({
  title: '`profiling` in a listener',
  help: 'Who may profile the server on this listener.',
  keys: {
    unauthenticatedPprofAccess: bool('unauthenticated_pprof_access', 'Accepted; there is no `sys/pprof`.', false),
  },
  ignored: { unauthenticated_in_flight_request_access: 'requests under way are shown to operators only' },
})

/** `storage "…" {}`, of all types. */
export const storageSection = section({
  title: '`storage "sqlite"`, `storage "file"`, `storage "inmem"`',
  help: 'Where data lies. `sqlite` is one database file; `file` is the same in a folder; `inmem` forgets everything at stop. `backend` is an older name of the stanza.',
  keys: {
    path: text('path', 'The database file (`sqlite`) or the folder (`file`).', '', 'required but for `inmem`'),
    redirectAddr: url('redirect_addr', 'Older name of `api_addr`.'),
    advertiseAddr: url('advertise_addr', 'Older name of `api_addr`.'),
    clusterAddr: url('cluster_addr', 'As at the top level.'),
    disableClustering: bool('disable_clustering', 'As at the top level.', false),
  },
  ignored: {
    node_id: noNodes,
    max_entry_size: 'a value may be 32 MiB',
    disable_fsync: 'acknowledged writes are always on disk',
  },
})

/** `storage "postgresql" {}`. */
export const postgresSection = section({
  title: '`storage "postgresql"`',
  help: 'One PostgreSQL (15 or later) for any number of servers, see [storage](storage.md#postgresql). The variables `COFFER_PG_CONNECTION_URL`, `BAO_PG_CONNECTION_URL` and `VAULT_PG_CONNECTION_URL` come before `connection_url`.',
  keys: {
    connectionUrl: secret(
      'connection_url',
      '`postgres://USER@HOST:PORT,HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE`, or `host=… user=… dbname=…`. Required, here or in the environment.',
    ),
    passwordFile: text('password_file', 'File with the password; read for each new connection.', ''),
    passwordEnv: text('password_env', 'Environment variable with the password.', ''),
    schema: text('schema', 'Schema of the tables.', 'coffer'),
    maxParallel: whole('max_parallel', 'Connections of one server at most.', 10, 2),
    maxIdle: whole('max_idle_connections', 'Connections kept while nothing is to be done.', undefined, 0, 'all'),
    connectTimeoutSeconds: duration('connect_timeout', 'Time to connect to one host.', undefined, '5s'),
    statementTimeoutSeconds: duration('statement_timeout', 'Time one statement may take.', 30, '30s'),
    lockTimeoutSeconds: duration('lock_timeout', 'Time a commit waits for those of other servers.', 10, '10s'),
    failoverTimeoutSeconds: duration(
      'failover_timeout',
      'Time a request waits for a connection, while the database fails over for instance; longer, it is refused.',
      20,
      '20s',
    ),
    skipCreateTable: bool('skip_create_table', 'Never make the schema: it must be there.', false),
    redirectAddr: storageSection.keys.redirectAddr,
    advertiseAddr: storageSection.keys.advertiseAddr,
    clusterAddr: storageSection.keys.clusterAddr,
    disableClustering: storageSection.keys.disableClustering,
  },
  ignored: {
    table: 'Coffer has tables of its own; "schema" says where',
    ha_enabled: 'all nodes of Coffer are equal',
    ha_table: 'all nodes of Coffer are equal',
    transaction_max_parallel: 'transactions hold no connection; see max_parallel',
    max_connect_retries: 'see failover_timeout',
  },
})

/** `seal "static" {}` and `seal "shamir" {}`. */
export const sealSection = section({
  title: '`seal "static"` and `seal "shamir"`',
  help: 'How the server unseals itself; without a stanza people unseal it with key shares. Several stanzas may stand side by side. `current_key` and `previous_key` are 32 bytes, as hex, base64 or raw; `file://PATH` and `env://NAME` say where to read them.',
  keys: {
    disabled: bool('disabled', 'Do not use this seal any more, only to move to another.', false),
    currentKey: secret('current_key', 'The key (`static`).'),
    currentKeyId: text(
      'current_key_id',
      'Its name; a changed key needs a new name (`static`).',
      '',
      'required for `static`',
    ),
    previousKey: secret('previous_key', 'The key before, while keys are changed (`static`).'),
    previousKeyId: text('previous_key_id', 'Its name (`static`).', ''),
  },
  ignored: {
    name: 'a slot is named when it is made',
    priority: 'any slot opens',
    purpose: 'there is one purpose',
  },
})

/** `audit "TYPE" "PATH" {}`. */
export const auditSection = section({
  title: '`audit "TYPE" "PATH"`',
  help: 'Audit devices that are there from the start; type and path may also stand in the stanza. Read again on SIGHUP.',
  keys: {
    type: text('type', '`file`, `syslog`, `socket` …, where the stanza has no label.', undefined),
    path: text('path', 'Path of the device, where the stanza has no label.', undefined, 'the type'),
    description: text('description', 'For people.', ''),
    local: bool('local', 'Accepted.', false),
    options: textMap('options', 'Options of the device: `file_path`, `log_raw`, `hmac_accessor`, …'),
  },
  ignored: {},
})

const noGauges = 'there are no such gauges'
const noLeases = 'there are no gauges of leases'
const noCloud = 'Coffer does not send metrics there; read them from sys/metrics, or send them to statsd'
/** `telemetry {}` at the top level. */
export const telemetrySection = section({
  title: '`telemetry`',
  help: 'How [metrics](metrics.md) are named and where they go. Without the stanza `sys/metrics` gives JSON only.',
  keys: {
    prometheusRetentionTimeSeconds: duration(
      'prometheus_retention_time',
      'How long Prometheus is shown a metric without news; 0 switches the format off, as does a missing stanza.',
      86_400,
      '24h',
    ),
    disableHostname: bool(
      'disable_hostname',
      'Leave the host name out of the names of gauges; it is there only with more than one receiver (Prometheus counts as one).',
      false,
    ),
    enableHostnameLabel: bool('enable_hostname_label', 'Put the host name in the label `host` instead.', false),
    metricsPrefix: text('metrics_prefix', 'First part of the names that begin with `vault`.', 'vault'),
    statsdAddress: address('statsd_address', 'Send metrics there in statsd format (UDP), every ten seconds.'),
    statsiteAddress: address('statsite_address', 'Send metrics there in statsite format (TCP).'),
    dogstatsdAddr: address('dogstatsd_addr', 'Send metrics there in DogStatsD format (UDP).'),
    dogstatsdTags: texts('dogstatsd_tags', 'Tags sent to DogStatsD: `name:value`.', [], ''),
    maximumGaugeCardinality: whole(
      'maximum_gauge_cardinality',
      'Most mounts with timers of their own, and most label values of one gauge.',
      500,
    ),
    prefixFilter: signedRules(
      'prefix_filter',
      'Metrics to show (`+prefix`) or to hide (`-prefix`), by full names; the longest prefix that fits decides.',
    ),
    filterDefault: bool('filter_default', 'Show metrics that no filter names.', true),
  },
  ignored: {
    usage_gauge_period: 'gauges are read when they are asked for',
    lease_metrics_epsilon: noLeases,
    num_lease_metrics_buckets: noLeases,
    add_lease_metrics_namespace_labels: noLeases,
    add_mount_point_rollback_metrics: noGauges,
    disable_dispatched_telemetry: noGauges,
    ...Object.fromEntries(
      [
        'api_token',
        'api_app',
        'api_url',
        'submission_interval',
        'submission_url',
        'check_id',
        'check_force_metric_activation',
        'check_instance_id',
        'check_search_tag',
        'check_tags',
        'check_display_name',
        'broker_id',
        'broker_select_tag',
      ].map((name) => [`circonus_${name}`, noCloud]),
    ),
    ...Object.fromEntries(
      ['project_id', 'location', 'namespace', 'debug_logs'].map((name) => [`stackdriver_${name}`, noCloud]),
    ),
  },
})

/** `user_lockout "…" {}`. */
export const lockoutSection = section({
  title: '`user_lockout "all"`, `"userpass"`, `"ldap"`, `"approle"`',
  help: 'Accepted and checked; users are not locked yet. A stanza for one method takes what it leaves out from `all`.',
  keys: {
    threshold: whole('lockout_threshold', 'Failures that lock.', undefined, 0, '5'),
    durationSeconds: duration('lockout_duration', 'How long the user is locked.', undefined, '15m'),
    counterResetSeconds: duration(
      'lockout_counter_reset',
      'Time after which failures are forgotten.',
      undefined,
      '15m',
    ),
    disabled: bool('disable_lockout', 'Never lock.', undefined, 'false'),
  },
  ignored: {},
})

/** All sections in the order of the documentation. */
export const sections: readonly Section[] = [
  serverSection,
  listenerSection,
  listenerTelemetrySection,
  listenerProfilingSection,
  storageSection,
  postgresSection,
  sealSection,
  auditSection,
  telemetrySection,
  lockoutSection,
]
