// Signing and verifying of tokens: the algorithms in a table, JWS by jose, keys by OpenSSL. A token is verified with the key its `kid` names
// and by that key's own algorithm: what its header says otherwise counts for nothing.
import { Buffer } from 'node:buffer'
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import type { JWK } from 'jose'
import { parseJsonObject } from '../../lib/json.ts'
import { invalid } from '../../sdk/errors.ts'
import type { SigningKey } from './records.ts'

const generate = promisify(generateKeyPair)
// Loaded at first use: most servers sign no tokens.
const jose = () => import('jose')

interface Algorithm {
  generate(): Promise<{ privateKey: KeyObject }>
  /** What `at_hash` and `c_hash` are made with. Ed25519 has SHA-512 within. */
  readonly hash: 'sha256' | 'sha384' | 'sha512'
}

const rsa = (hash: Algorithm['hash']): Algorithm => ({ generate: () => generate('rsa', { modulusLength: 2048 }), hash })
const ec = (namedCurve: string, hash: Algorithm['hash']): Algorithm => ({
  generate: () => generate('ec', { namedCurve }),
  hash,
})

const algorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['RS256', rsa('sha256')],
  ['RS384', rsa('sha384')],
  ['RS512', rsa('sha512')],
  ['ES256', ec('P-256', 'sha256')],
  ['ES384', ec('P-384', 'sha384')],
  ['ES512', ec('P-521', 'sha512')],
  ['EdDSA', { generate: () => generate('ed25519', {}), hash: 'sha512' }],
])

/** Names of the algorithms. */
export const algorithmNames: readonly string[] = [...algorithms.keys()]

/** Finds an algorithm; throws 400 for an unknown one. */
function algorithmFor(name: string): Algorithm {
  const found = algorithms.get(name)
  if (!found) throw invalid(`unknown signing algorithm; one of: ${algorithmNames.join(', ')}`)
  return found
}

/** Refuses an algorithm that is none of ours. */
export const checkAlgorithm = (name: string): void => void algorithmFor(name)

/** Makes a key pair, off the event loop. */
export async function generateSigningKey(algorithm: string): Promise<SigningKey> {
  const { privateKey } = await algorithmFor(algorithm).generate()
  const id = randomUUID()
  const jwk = createPublicKey(privateKey).export({ format: 'jwk' }) as JWK
  return {
    id,
    algorithm,
    privateKey: privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64'),
    publicKey: { ...jwk, use: 'sig', kid: id, alg: algorithm },
  }
}

/** Signs claims as a compact JWS. */
export async function signClaims(key: SigningKey, claims: Readonly<Record<string, unknown>>): Promise<string> {
  const { CompactSign } = await jose()
  const der = Buffer.from(key.privateKey, 'base64')
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: key.algorithm, kid: key.id })
    .sign(privateKey)
}

/** Verifies the signature of a token with the key its header names. Undefined: no such key, or not signed by it. */
export async function verifiedClaims(
  token: string,
  keys: readonly JWK[],
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const { compactVerify, decodeProtectedHeader, importJWK } = await jose()
  try {
    const { kid } = decodeProtectedHeader(token)
    const jwk = keys.find((key) => key.kid === kid)
    if (typeof kid !== 'string' || !jwk?.alg) return undefined
    const { payload } = await compactVerify(token, await importJWK(jwk), { algorithms: [jwk.alg] })
    return parseJsonObject(Buffer.from(payload).toString('utf8'))
  } catch {
    return undefined
  }
}

/** Half of the hash of a text, as the claims `at_hash` and `c_hash` hold it. Source: OpenID Connect Core 1.0, 3.3.2.11. */
export function hashClaim(algorithm: string, text: string): string {
  const sum = createHash(algorithmFor(algorithm).hash).update(text).digest()
  return sum.subarray(0, sum.length / 2).toString('base64url')
}
