// TLS of a listener: options for node:tls from the configuration and its files. A set of files that does not fit together is
// refused whole, so that a failed reload leaves the old certificate in force.
import { readFile } from 'node:fs/promises'
import nodeTls, { type SecureContextOptions, type SecureVersion, type TlsOptions } from 'node:tls'
import type { ListenerTls } from './limits.ts'

const versions: Readonly<Record<string, SecureVersion>> = {
  tls10: 'TLSv1',
  tls11: 'TLSv1.1',
  tls12: 'TLSv1.2',
  tls13: 'TLSv1.3',
}
const order = Object.keys(versions)
/**
 * Key exchange groups, the preferred first: hybrid post-quantum, then the usual. Behind a slash begins the next rank: OpenSSL takes the best group of
 * the best rank the client has, at the price of a second round trip (HelloRetryRequest). Within a rank it takes what the client sent a share for.
 */
const keyExchangeGroups = 'X25519MLKEM768/X25519:P-256:P-384'
const tls13Suites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256'

// Go's names of the suites of TLS 1.2 and below that OpenSSL still has.
const goSuites: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: 'ECDHE-ECDSA-AES128-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: 'ECDHE-RSA-AES128-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256',
  TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_RSA_WITH_AES_128_CBC_SHA256: 'AES128-SHA256',
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA',
  TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA',
}
const opensslName = /^[A-Z0-9]+(?:-[A-Z0-9]+)*$/

function ciphersOf(names: readonly string[] | undefined, minVersion: string): string {
  // OpenSSL has TLS 1.0 and 1.1 at its lowest security level only; who asks for them gets them.
  const level = minVersion === 'tls10' || minVersion === 'tls11' ? ':@SECLEVEL=0' : ''
  if (!names || names.length === 0) return nodeTls.DEFAULT_CIPHERS + level
  const list = names
    .filter((name) => !tls13Suites.includes(name))
    .map((name) => {
      const known = goSuites[name]
      if (known !== undefined) return known
      if (opensslName.test(name)) return name
      throw new Error(`tls_cipher_suites: "${name}" is not a known cipher suite`)
    })
  // TLS 1.3 has three suites, all good: as in Go they are not for choosing.
  return [tls13Suites, ...list].join(':') + level
}

async function fileOf(path: string | undefined, key: string): Promise<Buffer> {
  if (!path) throw new Error(`${key} is missing (or set tls_disable)`)
  try {
    return await readFile(path)
  } catch (error) {
    throw new Error(`${key}: cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`)
  }
}

function version(value: string, key: string): SecureVersion {
  const found = versions[value]
  if (!found) throw new Error(`${key}: "${value}" is none of ${order.join(', ')}`)
  return found
}

/**
 * Reads the files of a listener and gives the part of the TLS options that can be renewed on a live server. Throws an Error that names the key of
 * the configuration for a file that is missing, malformed or does not fit the others; never quotes a file's content.
 */
export async function secureContextOf(tls: ListenerTls): Promise<SecureContextOptions> {
  const { minVersion = 'tls12', maxVersion = 'tls13' } = tls
  const [min, max] = [version(minVersion, 'tls_min_version'), version(maxVersion, 'tls_max_version')]
  if (order.indexOf(maxVersion) < order.indexOf(minVersion))
    throw new Error('tls_max_version must be greater than or equal to tls_min_version')
  const cert = await fileOf(tls.certFile, 'tls_cert_file')
  const key = await fileOf(tls.keyFile, 'tls_key_file')
  const verifies = tls.requireAndVerifyClientCert === true && tls.clientCaFile
  const options: SecureContextOptions = {
    cert,
    key,
    minVersion: min,
    maxVersion: max,
    ciphers: ciphersOf(tls.cipherSuites, minVersion),
    ecdhCurve: keyExchangeGroups,
    honorCipherOrder: true,
    ...(verifies ? { ca: await fileOf(tls.clientCaFile, 'tls_client_ca_file') } : {}),
  }
  try {
    nodeTls.createSecureContext(options)
  } catch (error) {
    const { code, reason } = error as NodeJS.ErrnoException & { reason?: string }
    throw new Error(
      `tls_cert_file, tls_key_file, tls_client_ca_file or tls_cipher_suites cannot be used (${reason ?? code ?? 'malformed'})`,
    )
  }
  return options
}

/** Gives the options that stay for the life of a listener. Throws an Error for settings that exclude each other. */
export function tlsServerOptions(tls: ListenerTls, handshakeMs: number): TlsOptions {
  if (tls.disableClientCerts && tls.requireAndVerifyClientCert)
    throw new Error('tls_disable_client_certs and tls_require_and_verify_client_cert are mutually exclusive')
  return {
    requestCert: !tls.disableClientCerts,
    // A client certificate is asked for and handed on unverified: whoever uses it (cert auth) verifies it.
    rejectUnauthorized: tls.requireAndVerifyClientCert === true,
    handshakeTimeout: handshakeMs,
    ALPNProtocols: ['http/1.1'],
  }
}
