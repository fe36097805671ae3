// What a listener is told by its configuration, and the limits that follow from it. Every limit has a default; none is guessed later.
import { bodyLimits, type JsonLimits } from '../lib/json.ts'

export type ProxyProtocolBehavior = 'use_always' | 'allow_authorized' | 'deny_unauthorized'

/** TLS of a listener. Files are PEM; they are read again on `reload()`. */
export interface ListenerTls {
  readonly disable?: boolean | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly clientCaFile?: string | undefined
  /** `tls10` to `tls13`; default `tls12`. */
  readonly minVersion?: string | undefined
  /** Default `tls13`. */
  readonly maxVersion?: string | undefined
  /** Names as Go spells them (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`) or as OpenSSL does; they concern TLS 1.2 and below. */
  readonly cipherSuites?: readonly string[] | undefined
  readonly requireAndVerifyClientCert?: boolean | undefined
  /** Does not even ask for a client certificate. */
  readonly disableClientCerts?: boolean | undefined
}

/** When and how far `X-Forwarded-For` is believed. Without authorized addresses it is ignored. */
export interface ListenerForwarding {
  /** CIDRs or single addresses of the proxies. */
  readonly authorizedAddrs: readonly string[]
  /** Entries to skip from the right; default 0, the rightmost. */
  readonly hopSkips?: number | undefined
  /** Default true. */
  readonly rejectNotPresent?: boolean | undefined
  /** Default true. */
  readonly rejectNotAuthorized?: boolean | undefined
}

/** One `listener` stanza. Durations are seconds, sizes bytes; what is left out takes the default named. */
export interface ListenerConfig {
  readonly type: 'tcp' | 'unix'
  /** `host:port` (default `127.0.0.1:8200`), or the path of the socket. */
  readonly address?: string | undefined
  /** Accepted, not used: nodes do not talk to each other. */
  readonly clusterAddress?: string | undefined
  /** Default 32 MiB; 0 or less is unlimited. */
  readonly maxRequestSizeBytes?: number | undefined
  /** Default 90; 0 or less is unlimited. */
  readonly maxRequestDurationSeconds?: number | undefined
  readonly maxRequestJsonDepth?: number | undefined
  readonly maxRequestJsonStrings?: number | undefined
  readonly maxRequestJsonStringLength?: number | undefined
  /** Default 10. */
  readonly httpReadHeaderTimeoutSeconds?: number | undefined
  /** Whole request, body included; default 30. */
  readonly httpReadTimeoutSeconds?: number | undefined
  /** Silence on a connection while an answer is due or under way; default 300. */
  readonly httpWriteTimeoutSeconds?: number | undefined
  /** Between requests; default 300. */
  readonly httpIdleTimeoutSeconds?: number | undefined
  /** All headers and the request line; default 64 KiB. */
  readonly maxHeaderBytes?: number | undefined
  /** Refuses (412) requests without `X-Vault-Request: true`, which a browser cannot be tricked into sending. Default false. */
  readonly requireRequestHeader?: boolean | undefined
  /** TLS is on unless `disable` is set. */
  readonly tls?: ListenerTls | undefined
  readonly xForwardedFor?: ListenerForwarding | undefined
  readonly proxyProtocolBehavior?: ProxyProtocolBehavior | undefined
  readonly proxyProtocolAuthorizedAddrs?: readonly string[] | undefined
  /** Headers by status (`404`), class (`4xx`) or `default`; several values of one header are joined by "; ". */
  readonly customResponseHeaders?:
    | Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
    | undefined
  readonly disableUnauthedRekey?: boolean | undefined
  readonly disableUnauthedGenerateRoot?: boolean | undefined
  readonly telemetry?:
    | {
        /** Gives metrics without a token. */
        readonly unauthenticatedMetricsAccess?: boolean | undefined
        /** Serves nothing but metrics. */
        readonly metricsOnly?: boolean | undefined
        /** Serves everything but metrics. */
        readonly disallowMetrics?: boolean | undefined
        /** With `metricsOnly`: a path for metrics besides `/v1/sys/metrics`. */
        readonly metricsPath?: string | undefined
      }
    | undefined
  /** Octal, as `0660`. */
  readonly socketMode?: string | undefined
  /** Name or number. */
  readonly socketUser?: string | undefined
  /** Name or number. */
  readonly socketGroup?: string | undefined
}

/** Limits of a listener, all of them set. Milliseconds, bytes; 0 in `requestMs` and Infinity in `bodyBytesMax` mean none. */
export interface ListenerLimits {
  readonly bodyBytesMax: number
  readonly requestMs: number
  readonly json: JsonLimits
  readonly headerMs: number
  readonly readMs: number
  readonly writeMs: number
  readonly idleMs: number
  readonly headerBytesMax: number
}

/** Headers of one request; more are 431. Proxies add a dozen, browsers two. */
export const headersMax = 256
/** Bytes of the request target after `/v1/`; more are 414. */
export const targetLengthMax = 16_384
/** Query parameters of one request; more are 400. */
export const queryParametersMax = 1_000

const positive = (value: number | undefined, fallback: number): number =>
  value !== undefined && value > 0 ? value : fallback

/** Gives the limits of a listener. */
export function limitsOf(config: ListenerConfig): ListenerLimits {
  const size = config.maxRequestSizeBytes ?? 32 * 1024 * 1024
  return {
    bodyBytesMax: size > 0 ? size : Number.POSITIVE_INFINITY,
    requestMs: Math.max(0, config.maxRequestDurationSeconds ?? 90) * 1000,
    json: {
      depthMax: positive(config.maxRequestJsonDepth, bodyLimits.depthMax),
      stringsMax: positive(config.maxRequestJsonStrings, bodyLimits.stringsMax),
      stringLengthMax: positive(config.maxRequestJsonStringLength, bodyLimits.stringLengthMax),
    },
    headerMs: positive(config.httpReadHeaderTimeoutSeconds, 10) * 1000,
    readMs: positive(config.httpReadTimeoutSeconds, 30) * 1000,
    writeMs: positive(config.httpWriteTimeoutSeconds, 300) * 1000,
    idleMs: positive(config.httpIdleTimeoutSeconds, 300) * 1000,
    headerBytesMax: positive(config.maxHeaderBytes, 64 * 1024),
  }
}
