import assert from 'node:assert/strict'
import { createHmac, createPublicKey, type JsonWebKeyInput } from 'node:crypto'
import { test } from 'node:test'
import { compactVerify, createLocalJWKSet } from 'jose'
import { algorithmNames, generateSigningKey, hashClaim, signClaims, verifiedClaims } from './signing.ts'

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const claims = { sub: 'e1', n: 1 }

test('each algorithm signs what the published keys verify', async () => {
  for (const algorithm of algorithmNames) {
    const [key, other] = [await generateSigningKey(algorithm), await generateSigningKey(algorithm)]
    assert.ok(!('d' in key.publicKey), algorithm)
    const token = await signClaims(key, claims)
    assert.deepEqual(await verifiedClaims(token, [other.publicKey, key.publicKey]), claims)
    assert.equal(await verifiedClaims(token, [other.publicKey]), undefined)
    // And as anybody else would do it.
    const { payload } = await compactVerify(token, createLocalJWKSet({ keys: [other.publicKey, key.publicKey] }))
    assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), claims)
  }
})

test('nothing but a signature by the key that the token names, with its algorithm, counts', async () => {
  const key = await generateSigningKey('RS256')
  const es = await generateSigningKey('ES256')
  const keys = [key.publicKey, es.publicKey]
  const [head = '', body = '', signature = ''] = (await signClaims(key, claims)).split('.')
  const pem = createPublicKey({ key: key.publicKey, format: 'jwk' } as JsonWebKeyInput).export({
    format: 'pem',
    type: 'spki',
  })
  const hs = (header: object): string => {
    const text = `${part(header)}.${body}`
    return `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`
  }
  const forged: [what: string, token: string][] = [
    ['another payload', `${head}.${part({ sub: 'admin' })}.${signature}`],
    ['no signature', `${part({ alg: 'none', kid: key.id })}.${body}.`],
    ['none with a signature', `${part({ alg: 'none', kid: key.id })}.${body}.${signature}`],
    ['an HMAC under the public key', hs({ alg: 'HS256', kid: key.id })],
    ['another algorithm of the same key', `${part({ alg: 'RS384', kid: key.id })}.${body}.${signature}`],
    ['the kid of another key', `${part({ alg: 'RS256', kid: es.id })}.${body}.${signature}`],
    ['an unknown kid', `${part({ alg: 'RS256', kid: 'x' })}.${body}.${signature}`],
    ['no kid', `${part({ alg: 'RS256' })}.${body}.${signature}`],
    ['a path as kid', `${part({ alg: 'RS256', kid: '../../core/token-key' })}.${body}.${signature}`],
    ['a list as kid', `${part({ alg: 'RS256', kid: [key.id] })}.${body}.${signature}`],
    ['a critical extension', `${part({ alg: 'RS256', kid: key.id, crit: ['x'], x: 1 })}.${body}.${signature}`],
    ['rubbish', 'a.b.c'],
    ['nothing', ''],
  ]
  for (const [what, token] of forged) assert.equal(await verifiedClaims(token, keys), undefined, what)
  // A key that comes with the token is nobody's.
  const mine = await generateSigningKey('RS256')
  const { CompactSign, importPKCS8 } = await import('jose')
  const der = `-----BEGIN PRIVATE KEY-----\n${mine.privateKey}\n-----END PRIVATE KEY-----`
  const brought = await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'RS256', kid: key.id, jwk: mine.publicKey })
    .sign(await importPKCS8(der, 'RS256'))
  assert.equal(await verifiedClaims(brought, keys), undefined)
})

test('at_hash is the left half of the hash', () => {
  // The example of OpenID Connect Core 1.0, appendix A.3 and A.4.
  assert.equal(hashClaim('RS256', 'jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y'), '77QmUPtjPfzWtF2AnpK9RQ')
  assert.equal(
    hashClaim('RS256', 'Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk'),
    'LDktKdoQak3Pk0cnXxCltA',
  )
  assert.throws(() => hashClaim('HS256', 'x'))
})
