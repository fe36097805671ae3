// Certificates for tests, made with node:crypto alone: just enough DER for a CA and what it signs. Never used by the server.
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const { length } = body
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), body])
}
const sequence = (...parts: Uint8Array[]): Buffer => der(0x30, ...parts)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
const utcTime = (date: Date): Buffer =>
  der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))
const nameOf = (commonName: string): Buffer =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))))
const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))

/** A certificate with its key, both PEM, and what signing others takes. */
export interface TestCertificate {
  readonly cert: string
  readonly key: string
  readonly raw: Buffer
  readonly commonName: string
  readonly privateKey: KeyObject
}

/** Makes an ECDSA P-256 certificate for `commonName`, 127.0.0.1 and localhost, self-signed without an issuer. */
export function testCertificate(
  commonName: string,
  issuer?: TestCertificate,
  isCa = issuer === undefined,
): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serial = randomBytes(8)
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40
  const day = 86_400_000
  const now = Date.now()
  const basic = sequence(
    oid('551d13'),
    der(0x01, Buffer.from([0xff])),
    der(0x04, sequence(...(isCa ? [der(0x01, Buffer.from([0xff]))] : []))),
  )
  const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])))
  const extensions = der(0xa3, sequence(basic, sequence(oid('551d11'), der(0x04, names))))
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    nameOf(issuer?.commonName ?? commonName),
    sequence(utcTime(new Date(now - day)), utcTime(new Date(now + 30 * day))),
    nameOf(commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions,
  )
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey)
  const raw = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature))
  const lines = raw
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n')
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    raw,
    commonName,
    privateKey,
  }
}
