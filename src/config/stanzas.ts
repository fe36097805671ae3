// Stanzas of one file: listeners, storage, seals, audit devices, lockout. Each is checked as a whole here, so that a mistake is
// told with its line before anything is started.
import { join } from 'node:path'
import { variable } from '../lib/environment.ts'
import { blocksOf, type HclBlock, type HclItem } from '../lib/hcl.ts'
import { asWritten, type Report, readKeys, type Table, type Values, withFallbacks } from './keys.ts'
import { Secret } from './secret.ts'
import {
  auditSection,
  listenerProfilingSection,
  listenerSection,
  listenerTelemetrySection,
  lockoutSection,
  postgresSection,
  sealSection,
  storageSection,
} from './sections.ts'
import type {
  AuditSettings,
  ListenerSettings,
  PostgresSettings,
  SealSettings,
  StorageSettings,
} from './server-config.ts'

/** Gives the blocks of one stanza name, in whichever spelling; a malformed one is reported and left out. */
export const stanzaBlocks = (item: HclItem, labels: number, report: Report): HclBlock[] =>
  report.attempt(() => blocksOf(item, labels)) ?? []

const inner = <T extends Table>(
  block: HclBlock,
  name: string,
  keys: { section: Parameters<typeof readKeys<T>>[1]; report: Report },
): Values<T> => {
  const items = block.items
    .filter((item) => item.keys[0].value.toLowerCase() === name)
    .flatMap((item) => stanzaBlocks(item, 0, keys.report))
    .flatMap((one) => [...one.items])
  return withFallbacks<T>(keys.section.keys, readKeys<T>(items, keys.section, keys.report))
}

const hostPort = /^(\[[0-9A-Fa-f:.%]+\]|[^[\]\s:/]*):(\d{1,5})$/

function checkListener(
  type: 'tcp' | 'unix',
  read: Partial<Values<typeof listenerSection.keys>>,
  block: HclBlock,
  report: Report,
): void {
  const { address, tlsCertFile, tlsKeyFile, tlsDisable } = read
  if (address?.includes('{{')) report.error('address templates are not part of Coffer; write the address', block)
  else if (type === 'tcp' && address !== undefined) {
    const port = hostPort.exec(address)?.[2]
    if (port === undefined || Number(port) > 65_535) report.error('address of a tcp listener must be host:port', block)
  } else if (type === 'unix' && !address) report.error('a unix listener needs address, the path of its socket', block)
  if ((tlsCertFile === undefined) !== (tlsKeyFile === undefined))
    report.error('tls_cert_file and tls_key_file go together', block)
  else if (type === 'tcp' && !tlsDisable && tlsCertFile === undefined)
    report.error('a tcp listener needs tls_cert_file and tls_key_file, or tls_disable = true', block)
  const { proxyProtocolBehavior: behavior, proxyProtocolAuthorizedAddrs: authorized } = read
  if (behavior !== undefined && behavior !== 'use_always' && !authorized?.length)
    report.error(`proxy_protocol_behavior = "${behavior}" needs proxy_protocol_authorized_addrs`, block)
  if (read.tlsRequireAndVerifyClientCert && read.tlsDisableClientCerts)
    report.error('tls_require_and_verify_client_cert and tls_disable_client_certs exclude each other', block)
  if (read.socketMode !== undefined && !/^0?[0-7]{1,4}$/.test(read.socketMode))
    report.error('socket_mode must be octal, such as "0660"', block)
}

/** Reads one listener; undefined when its type is none. */
export function readListener(block: HclBlock, report: Report): ListenerSettings | undefined {
  const read = readKeys(block.items, listenerSection, report, ['telemetry', 'profiling'])
  const all = withFallbacks(listenerSection.keys, read)
  const type = (block.labels[0]?.value ?? all.type ?? '').toLowerCase()
  if (type !== 'tcp' && type !== 'unix') {
    report.error('a listener is of type "tcp" or "unix": listener "tcp" { … }', block)
    return undefined
  }
  checkListener(type, read, block, report)
  const { address, role, forwardedAuthorizedAddrs: authorizedAddrs } = all
  const telemetry = inner<typeof listenerTelemetrySection.keys>(block, 'telemetry', {
    section: listenerTelemetrySection,
    report,
  })
  return {
    type,
    address,
    clusterAddress: all.clusterAddress,
    maxRequestSizeBytes: all.maxRequestSizeBytes,
    maxRequestDurationSeconds: all.maxRequestDurationSeconds,
    maxRequestJsonDepth: all.maxRequestJsonDepth,
    maxRequestJsonStrings: all.maxRequestJsonStrings,
    maxRequestJsonStringLength: all.maxRequestJsonStringLength,
    httpReadHeaderTimeoutSeconds: all.httpReadHeaderTimeoutSeconds,
    httpReadTimeoutSeconds: all.httpReadTimeoutSeconds,
    httpWriteTimeoutSeconds: all.httpWriteTimeoutSeconds,
    httpIdleTimeoutSeconds: all.httpIdleTimeoutSeconds,
    maxHeaderBytes: all.maxHeaderBytes,
    requireRequestHeader: all.requireRequestHeader,
    proxyProtocolBehavior: all.proxyProtocolBehavior,
    proxyProtocolAuthorizedAddrs: all.proxyProtocolAuthorizedAddrs,
    customResponseHeaders: all.customResponseHeaders,
    disableUnauthedRekey: all.disableUnauthedRekey,
    disableUnauthedGenerateRoot: all.disableUnauthedGenerateRoot,
    socketMode: all.socketMode,
    socketUser: all.socketUser,
    socketGroup: all.socketGroup,
    tls: {
      disable: all.tlsDisable ?? (type === 'unix' && all.tlsCertFile === undefined),
      certFile: all.tlsCertFile,
      keyFile: all.tlsKeyFile,
      clientCaFile: all.tlsClientCaFile,
      minVersion: all.tlsMinVersion,
      maxVersion: all.tlsMaxVersion,
      cipherSuites: all.tlsCipherSuites,
      requireAndVerifyClientCert: all.tlsRequireAndVerifyClientCert,
      disableClientCerts: all.tlsDisableClientCerts,
    },
    xForwardedFor: authorizedAddrs && {
      authorizedAddrs,
      hopSkips: all.forwardedHopSkips,
      rejectNotPresent: all.forwardedRejectNotPresent,
      rejectNotAuthorized: all.forwardedRejectNotAuthorized,
    },
    telemetry: role === 'metrics_only' ? { ...telemetry, metricsOnly: true } : telemetry,
    profiling: inner<typeof listenerProfilingSection.keys>(block, 'profiling', {
      section: listenerProfilingSection,
      report,
    }),
    written: asWritten(block.items.filter((item) => !/^tls_acme_eab/i.test(item.keys[0].value))),
  }
}

const storageTypes: Readonly<Record<string, 'sqlite' | 'file' | 'inmem'>> = {
  sqlite: 'sqlite',
  sqlite3: 'sqlite',
  file: 'file',
  file_transactional: 'file',
  inmem: 'inmem',
  inmem_ha: 'inmem',
  inmem_transactional: 'inmem',
  inmem_transactional_ha: 'inmem',
  memory: 'inmem',
}
const storageAdvice: Readonly<Record<string, string>> = {
  raft: 'Coffer has no raft; use storage "sqlite" { path = "…" }, or storage "postgresql" for several machines',
}
/** Name of the database in the folder of `storage "file"`. */
export const databaseName = 'coffer.db'

/** What a `storage` stanza says: where data lies, and addresses in their older places. */
export interface StorageStanza {
  readonly settings: StorageSettings
  readonly apiAddr: string
  readonly clusterAddr: string
}

/** Reads a `storage` stanza; undefined when its type is none. */
export function readStorage(block: HclBlock, report: Report): StorageStanza | undefined {
  const word = block.labels[0]?.value.toLowerCase() ?? ''
  if (word === 'postgresql' || word === 'postgres') return readPostgres(block, report)
  const type = Object.hasOwn(storageTypes, word) ? storageTypes[word] : undefined
  if (!type) {
    const advice = Object.hasOwn(storageAdvice, word) ? storageAdvice[word] : undefined
    const otherwise = word === '' ? 'storage needs a type' : `storage "${word}" is not part of Coffer`
    report.error(advice ?? `${otherwise}; use storage "sqlite" { path = "…" }`, block)
    return undefined
  }
  const read = withFallbacks(storageSection.keys, readKeys(block.items, storageSection, report))
  if (type !== 'inmem' && read.path === '')
    report.error(`storage "${word}" needs path, ${type === 'file' ? 'a folder' : 'the database file'}`, block)
  const file = type === 'inmem' ? undefined : type === 'file' ? join(read.path, databaseName) : read.path
  return { settings: { type, file }, apiAddr: read.redirectAddr || read.advertiseAddr, clusterAddr: read.clusterAddr }
}

function readPostgres(block: HclBlock, report: Report): StorageStanza | undefined {
  const read = withFallbacks(postgresSection.keys, readKeys(block.items, postgresSection, report))
  const named = variable(process.env, 'PG_CONNECTION_URL')
  const url = named === undefined ? read.connectionUrl : new Secret(named)
  if (url === undefined || url.reveal() === '') {
    report.error('storage "postgresql" needs connection_url, or COFFER_PG_CONNECTION_URL in the environment', block)
    return undefined
  }
  if (read.passwordFile !== '' && read.passwordEnv !== '')
    report.error('password_file and password_env exclude each other', block)
  if (read.statementTimeoutSeconds === 0 || read.lockTimeoutSeconds === 0 || read.connectTimeoutSeconds === 0)
    report.error('connect_timeout, statement_timeout and lock_timeout must be more than 0', block)
  const postgres: PostgresSettings = {
    url,
    passwordFile: read.passwordFile || undefined,
    passwordEnv: read.passwordEnv || undefined,
    schema: read.schema,
    create: !read.skipCreateTable,
    maxParallel: read.maxParallel,
    maxIdle: read.maxIdle,
    connectTimeoutSeconds: read.connectTimeoutSeconds,
    statementTimeoutSeconds: read.statementTimeoutSeconds,
    lockTimeoutSeconds: read.lockTimeoutSeconds,
    failoverTimeoutSeconds: read.failoverTimeoutSeconds,
  }
  const settings: StorageSettings = { type: 'postgresql', file: undefined, postgres }
  return { settings, apiAddr: read.redirectAddr || read.advertiseAddr, clusterAddr: read.clusterAddr }
}

const otherSeals = ['awskms', 'azurekeyvault', 'gcpckms', 'ocikms', 'alicloudkms', 'pkcs11', 'transit', 'kmip', 'hsm']

/** Reads a `seal` stanza; undefined when it cannot be used. */
export function readSeal(block: HclBlock, report: Report): SealSettings | undefined {
  const type = block.labels[0]?.value.toLowerCase() ?? ''
  if (type !== 'static' && type !== 'shamir') {
    // Its keys belong to another server: only whether it is switched off concerns us.
    const off = block.items.filter((item) => item.keys[0].value.toLowerCase() === 'disabled')
    if (withFallbacks(sealSection.keys, readKeys(off, sealSection, report)).disabled)
      return { kind: 'other', type, disabled: true }
    const what =
      type === ''
        ? 'seal needs a type'
        : otherSeals.includes(type)
          ? `seal "${type}" is not part of Coffer`
          : 'unknown type of seal'
    report.error(`${what}; use seal "static" { … }, or no seal and unseal with key shares`, block)
    return undefined
  }
  const read = withFallbacks(sealSection.keys, readKeys(block.items, sealSection, report))
  const { disabled, currentKey, currentKeyId, previousKey, previousKeyId } = read
  if (type === 'shamir') return { kind: 'shamir', disabled }
  if (!currentKey || currentKeyId === '') {
    report.error('seal "static" needs current_key and current_key_id', block)
    return undefined
  }
  if ((previousKey === undefined) !== (previousKeyId === ''))
    report.error('seal "static": previous_key and previous_key_id go together', block)
  if (previousKeyId !== '' && previousKeyId === currentKeyId)
    report.error('seal "static": previous_key_id must differ from current_key_id', block)
  return { kind: 'static', disabled, currentKey, currentKeyId, previousKey, previousKeyId: previousKeyId || undefined }
}

/** Reads an `audit` stanza; undefined when it has no type. */
export function readAudit(block: HclBlock, report: Report): AuditSettings | undefined {
  const read = withFallbacks(auditSection.keys, readKeys(block.items, auditSection, report))
  const type = block.labels[0]?.value ?? read.type
  if (!type) {
    report.error('an audit device needs a type and a path: audit "file" "file" { … }', block)
    return undefined
  }
  const path = (block.labels[1]?.value ?? read.path ?? type).replace(/\/+$/, '')
  if (!/^[\w.@-]+(\/[\w.@-]+)*$/.test(path)) report.error('path of an audit device must be words joined by "/"', block)
  const { description, local, options } = read
  return { type, path: `${path}/`, description, local, options, file: report.file, line: block.line }
}

const lockoutTypes = ['all', 'userpass', 'ldap', 'approle']
export type LockoutStanza = readonly [type: string, Partial<Values<typeof lockoutSection.keys>>]

/** Reads a `user_lockout` stanza; undefined when its type is none. */
export function readLockout(block: HclBlock, report: Report): LockoutStanza | undefined {
  const type = block.labels[0]?.value.toLowerCase() ?? ''
  if (!lockoutTypes.includes(type)) {
    report.error(`user_lockout is for one of ${lockoutTypes.join(', ')}: user_lockout "all" { … }`, block)
    return undefined
  }
  return [type, readKeys(block.items, lockoutSection, report)]
}
