// Throw-away certificates for tests: an authority, and what it signs. Files lie in a folder that goes with the test.
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import * as x509 from '@peculiar/x509'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** An authority with its certificate as a file. */
export interface Authority {
  readonly file: string
  /** Makes a certificate for a common name (and a host of that name); gives the paths of certificate and key. */
  issue(name: string): Promise<{ cert: string; key: string }>
}

const makeKeys = () =>
  webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>

/** Makes an authority; its files are in `folder`. */
export async function makeAuthority(folder: string): Promise<Authority> {
  x509.cryptoProvider.set(webcrypto as never)
  const keys = await makeKeys()
  const dates = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 86_400_000) }
  const id = randomBytes(4).toString('hex')
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...dates,
    serialNumber: randomBytes(16).toString('hex'),
    name: `CN=Test CA ${id}`,
    signingAlgorithm: algorithm,
    keys: keys as never,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const file = path.join(folder, `ca-${id}.pem`)
  writeFileSync(file, `${ca.toString('pem')}\n`)
  return {
    file,
    async issue(name) {
      const own = await makeKeys()
      const leaf = await x509.X509CertificateGenerator.create({
        ...dates,
        serialNumber: randomBytes(16).toString('hex'),
        subject: `CN=${name}`,
        issuer: ca.subject,
        signingAlgorithm: algorithm,
        publicKey: own.publicKey as never,
        signingKey: keys.privateKey as never,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
      })
      const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64')
      const at = { cert: path.join(folder, `${name}-${id}.pem`), key: path.join(folder, `${name}-${id}.key`) }
      writeFileSync(at.cert, `${leaf.toString('pem')}\n`)
      writeFileSync(at.key, `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`, { mode: 0o600 })
      return at
    },
  }
}
