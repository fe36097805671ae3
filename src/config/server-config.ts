// The server configuration as the rest of the server sees it: typed, complete, without a trace of HCL.
import type { Values } from './keys.ts'
import type { Secret } from './secret.ts'
import type { listenerProfilingSection, listenerTelemetrySection, serverSection, telemetrySection } from './sections.ts'

/** One listener. Field names are those of the HTTP server's own type; what is undefined takes its default. */
export interface ListenerSettings {
  readonly type: 'tcp' | 'unix'
  readonly address: string | undefined
  readonly clusterAddress: string | undefined
  readonly maxRequestSizeBytes: number | undefined
  readonly maxRequestDurationSeconds: number | undefined
  readonly maxRequestJsonDepth: number | undefined
  readonly maxRequestJsonStrings: number | undefined
  readonly maxRequestJsonStringLength: number | undefined
  readonly httpReadHeaderTimeoutSeconds: number | undefined
  readonly httpReadTimeoutSeconds: number | undefined
  readonly httpWriteTimeoutSeconds: number | undefined
  readonly httpIdleTimeoutSeconds: number | undefined
  readonly maxHeaderBytes: number | undefined
  readonly requireRequestHeader: boolean | undefined
  readonly tls: {
    readonly disable: boolean
    readonly certFile: string | undefined
    readonly keyFile: string | undefined
    readonly clientCaFile: string | undefined
    readonly minVersion: string | undefined
    readonly maxVersion: string | undefined
    readonly cipherSuites: readonly string[] | undefined
    readonly requireAndVerifyClientCert: boolean | undefined
    readonly disableClientCerts: boolean | undefined
  }
  readonly xForwardedFor:
    | {
        readonly authorizedAddrs: readonly string[]
        readonly hopSkips: number | undefined
        readonly rejectNotPresent: boolean | undefined
        readonly rejectNotAuthorized: boolean | undefined
      }
    | undefined
  readonly proxyProtocolBehavior: 'use_always' | 'allow_authorized' | 'deny_unauthorized' | undefined
  readonly proxyProtocolAuthorizedAddrs: readonly string[] | undefined
  readonly customResponseHeaders: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> | undefined
  readonly disableUnauthedRekey: boolean | undefined
  readonly disableUnauthedGenerateRoot: boolean | undefined
  readonly socketMode: string | undefined
  readonly socketUser: string | undefined
  readonly socketGroup: string | undefined
  readonly telemetry: Values<typeof listenerTelemetrySection.keys>
  readonly profiling: Values<typeof listenerProfilingSection.keys>
  /** The stanza as written, for the sanitized print. */
  readonly written: Readonly<Record<string, unknown>>
}

/** Where data lies. `file` is the database file; undefined where there is none. */
export type StorageSettings =
  | { readonly type: 'sqlite' | 'file' | 'inmem'; readonly file: string | undefined }
  | { readonly type: 'postgresql'; readonly file: undefined; readonly postgres: PostgresSettings }

/** How to reach a PostgreSQL database; what is undefined takes its default. */
export interface PostgresSettings {
  readonly url: Secret
  readonly passwordFile: string | undefined
  readonly passwordEnv: string | undefined
  readonly schema: string
  readonly create: boolean
  readonly maxParallel: number
  readonly maxIdle: number | undefined
  readonly connectTimeoutSeconds: number | undefined
  readonly statementTimeoutSeconds: number
  readonly lockTimeoutSeconds: number
  readonly failoverTimeoutSeconds: number
}

export type SealSettings =
  | { readonly kind: 'shamir'; readonly disabled: boolean }
  | {
      readonly kind: 'static'
      readonly disabled: boolean
      readonly currentKey: Secret
      readonly currentKeyId: string
      readonly previousKey: Secret | undefined
      readonly previousKeyId: string | undefined
    }
  /** A seal that Coffer does not have, switched off. */
  | { readonly kind: 'other'; readonly type: string; readonly disabled: true }

/** An audit device declared in the configuration; `path` ends with `/`. */
export interface AuditSettings {
  readonly type: string
  readonly path: string
  readonly description: string
  readonly local: boolean
  readonly options: Readonly<Record<string, string>>
  readonly file: string
  readonly line: number
}

/** When logins of one auth method (or `all` others) lock a user. */
export interface LockoutSettings {
  readonly type: string
  readonly threshold: number
  readonly durationSeconds: number
  readonly counterResetSeconds: number
  readonly disabled: boolean
}

export type TelemetrySettings = Values<typeof telemetrySection.keys>

/** Everything a server is told. Durations are seconds, sizes bytes. */
export interface ServerConfig extends Values<typeof serverSection.keys> {
  readonly listeners: readonly ListenerSettings[]
  readonly storage: StorageSettings | undefined
  readonly seals: readonly SealSettings[]
  readonly audits: readonly AuditSettings[]
  readonly telemetry: TelemetrySettings
  /** `all` first, then those that have a stanza of their own. */
  readonly userLockouts: readonly LockoutSettings[]
}
