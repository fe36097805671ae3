// Certificates of `server -dev-tls`: an authority and a server certificate for this machine. Loaded only when asked for.
import 'reflect-metadata'
import { randomBytes, randomUUID, webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import * as x509 from '@peculiar/x509'
import { privateFolder } from './dev.ts'

/** Makes a certificate authority and a server certificate for this machine's names; gives the paths of the PEM files. */
export async function devCertificates(
  folder: string | undefined,
  listenAddress: string,
): Promise<{ ca: string; cert: string; key: string }> {
  x509.cryptoProvider.set(webcrypto as never)
  const target = privateFolder(folder ?? path.join(os.tmpdir(), `coffer-tls-${randomUUID()}`))
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const makeKeys = () =>
    webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>
  const [caKeys, keys] = await Promise.all([makeKeys(), makeKeys()])
  const notBefore = new Date(Date.now() - 60_000)
  const notAfter = new Date(Date.now() + 365 * 86_400_000)
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(16).toString('hex'),
    name: 'CN=Coffer development CA',
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    keys: caKeys as never,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  })
  const host = listenAddress.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  const names = [...new Set(['localhost', os.hostname(), ...(/^[\d.:a-f]+$/i.test(host) ? [] : [host])])].filter(
    (name) => name !== '',
  )
  const addresses = [...new Set(['127.0.0.1', '::1', ...(/^[\d.]+$|:/.test(host) ? [host] : [])])]
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(16).toString('hex'),
    subject: 'CN=localhost',
    issuer: ca.subject,
    notBefore,
    notAfter,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey as never,
    signingKey: caKeys.privateKey as never,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        ...names.map((value) => ({ type: 'dns' as const, value })),
        ...addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    ],
  })
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
    .toString('base64')
    .replace(/.{64}/g, '$&\n')
  const files = {
    ca: path.join(target, 'coffer-ca.pem'),
    cert: path.join(target, 'coffer-cert.pem'),
    key: path.join(target, 'coffer-key.pem'),
  }
  writeFileSync(files.ca, `${ca.toString('pem')}\n`, { mode: 0o644 })
  writeFileSync(files.cert, `${leaf.toString('pem')}\n`, { mode: 0o644 })
  writeFileSync(files.key, `-----BEGIN PRIVATE KEY-----\n${pkcs8.trimEnd()}\n-----END PRIVATE KEY-----\n`, {
    mode: 0o600,
  })
  return files
}
