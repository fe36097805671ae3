// Keys made here with the library's own generator; what is encrypted must open with the private half and nothing must take one.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import * as openpgp from 'openpgp'
import { encryptToPgp, PgpKeyUnusable, readPgpKey } from './pgp.ts'

const pair = await openpgp.generateKey({ userIDs: [{ name: 'one' }], format: 'object', type: 'ecc' })
const publicText = Buffer.from(pair.publicKey.write()).toString('base64')

test('encrypts so that the private key opens it', async () => {
  const to = await readPgpKey(publicText)
  assert.equal(to.fingerprint, pair.publicKey.getFingerprint())
  assert.match(to.fingerprint, /^[0-9a-f]{40}$/)
  const message = await openpgp.readMessage({
    binaryMessage: new Uint8Array(await encryptToPgp(to, Buffer.from('share'))),
  })
  const { data } = await openpgp.decrypt({ message, decryptionKeys: pair.privateKey, format: 'binary' })
  assert.equal(Buffer.from(data as Uint8Array).toString(), 'share')
})

test('takes base64 with line breaks, and of an armored key', async () => {
  const broken = publicText.replace(/(.{64})/g, '$1\n')
  assert.equal((await readPgpKey(broken)).fingerprint, pair.publicKey.getFingerprint())
  const armored = Buffer.from(pair.publicKey.armor()).toString('base64')
  assert.equal((await readPgpKey(armored)).fingerprint, pair.publicKey.getFingerprint())
})

test('refuses what is no public key, and says why', async () => {
  const refused = (text: string, why: RegExp) =>
    assert.rejects(readPgpKey(text), (error: Error) => error instanceof PgpKeyUnusable && why.test(error.message))
  await refused('keybase:someone', /keybase/)
  await refused('', /base64/)
  await refused('not base64!', /base64/)
  await refused(Buffer.from('no key at all').toString('base64'), /OpenPGP/)
  await refused(Buffer.from(pair.privateKey.write()).toString('base64'), /private/)
  await refused('A'.repeat(70_000), /characters/)
  const signOnly = await openpgp.generateKey({ userIDs: [{ name: 's' }], format: 'object', subkeys: [] })
  await refused(Buffer.from(signOnly.publicKey.write()).toString('base64'), /encryption/)
})
