// Recovery mode's keys: the ceremony over stores of each seal, what it refuses, and that nothing stays.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import * as openpgp from 'openpgp'
import { ApiError } from '../sdk/errors.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Storage } from '../storage/storage.ts'
import { Sealed } from './errors.ts'
import { createRecovery } from './recovery.ts'
import type { StaticKey } from './slots.ts'
import { node, openNode, readText, spec, staticKey, wanted, writeText } from './testing.ts'
import { decodeToken } from './token-attempt.ts'

const over = (storage: Storage, staticKeys: StaticKey[] = []) =>
  createRecovery({
    storage,
    staticKeys,
    opened: async (_, namespaces) => namespaces.declare(),
    warn: (message) => assert.fail(message),
  })
type Subject = ReturnType<typeof over>
const otp = 'p'.repeat(28)

const refused = (text: RegExp, call: Promise<unknown>) =>
  assert.rejects(call, (error) => error instanceof ApiError && error.status === 400 && text.test(error.message))

/** Runs the whole ceremony; gives the token. */
async function ceremony(recovery: Subject, keys: readonly Buffer[]): Promise<string> {
  await recovery.tokens.start({ otp, pgpKey: '' })
  const { nonce } = await recovery.tokens.status()
  let encoded = ''
  for (const key of keys) encoded = (await recovery.tokens.update(key, nonce)).encodedToken
  return decodeToken(encoded, otp)
}

test('shares make a token and open the store', async () => {
  const { storage, life, init } = await openNode(3, 2)
  await writeText(life.barrier, 'a', 'kept')
  await life.close()
  const recovery = over(storage)
  assert.deepEqual([recovery.sealed, await recovery.initialized()], [true, true])
  assert.deepEqual((await recovery.status()).t, 2)
  assert.deepEqual(await recovery.tokens.status(), {
    started: false,
    nonce: '',
    progress: 0,
    required: 2,
    fingerprint: '',
  })
  const [one, two, three] = init.keys as [Buffer, Buffer, Buffer]
  await refused(/no root generation/, recovery.tokens.update(one, 'x'))
  const { otp: made } = await recovery.tokens.start({ otp: '', pgpKey: '' })
  assert.match(made, /^[0-9A-Za-z]{28}$/)
  await refused(/already in progress/, recovery.tokens.start({ otp, pgpKey: '' }))
  const { nonce } = await recovery.tokens.status()
  await refused(/incorrect nonce/, recovery.tokens.update(one, 'x'))
  const first = await recovery.tokens.update(one, nonce)
  assert.deepEqual([first.progress, first.required, first.complete, first.encodedToken], [1, 2, false, ''])
  await refused(/already been provided/, recovery.tokens.update(one, nonce))
  await assert.rejects(readText(recovery.barrier, 'a'), Sealed)
  const last = await recovery.tokens.update(three, nonce)
  const token = decodeToken(last.encodedToken, made)
  assert.match(token, /^hvr\.[0-9A-Za-z]{24}$/)
  assert.deepEqual([last.complete, last.progress, recovery.sealed], [true, 2, false])
  assert.deepEqual(
    [recovery.admits(token), recovery.admits(`${token}x`), recovery.admits(undefined)],
    [true, false, false],
  )
  assert.equal(await readText(recovery.barrier, 'a'), 'kept')
  assert.equal((await recovery.tokens.status()).started, false)
  // Once in the life of a process.
  await refused(/restart the server/, recovery.tokens.start({ otp, pgpKey: '' }))
  await refused(/restart the server/, recovery.tokens.update(two, nonce))
  await writeText(recovery.barrier, 'a', 'mended')
  await recovery.close()
  assert.deepEqual([recovery.admits(token), recovery.sealed], [false, true])
  // A new process starts without it, and finds what was written.
  const again = over(storage)
  assert.equal(again.admits(token), false)
  assert.notEqual(await ceremony(again, [two, three]), token)
  assert.equal(await readText(again.barrier, 'a'), 'mended')
  assert.equal(again.admits(token), false)
})

test('wrong shares clear the progress and leave it closed; two at once count as two', async () => {
  const { storage, init } = await openNode(3, 2)
  const other = await openNode(3, 2)
  const recovery = over(storage)
  await recovery.tokens.start({ otp, pgpKey: '' })
  const { nonce } = await recovery.tokens.status()
  await recovery.tokens.update(other.init.keys[0] as Buffer, nonce)
  await refused(/not the right ones/, recovery.tokens.update(init.keys[0] as Buffer, nonce))
  assert.deepEqual([(await recovery.tokens.status()).progress, recovery.sealed], [0, true])
  const both = await Promise.all(
    [init.keys[0], init.keys[2]].map((key) => recovery.tokens.update(key as Buffer, nonce)),
  )
  assert.deepEqual(
    both.map(({ complete }) => complete),
    [false, true],
  )
  await other.life.close()
})

test('cancel forgets shares and attempt; PGP in place of a password', async () => {
  const { storage, init } = await openNode(3, 2)
  const recovery = over(storage)
  await recovery.tokens.start({ otp, pgpKey: '' })
  await recovery.tokens.update(init.keys[0] as Buffer, (await recovery.tokens.status()).nonce)
  await recovery.tokens.cancel()
  assert.deepEqual([(await recovery.tokens.status()).started, (await recovery.tokens.status()).progress], [false, 0])
  await refused(/incorrect length/, recovery.tokens.start({ otp: 'short', pgpKey: '' }))
  await refused(/PGP/, recovery.tokens.start({ otp: '', pgpKey: 'no key' }))
  const pair = await openpgp.generateKey({ userIDs: [{ name: 'x' }], format: 'object' })
  const pgpKey = Buffer.from(pair.publicKey.write()).toString('base64')
  assert.deepEqual(await recovery.tokens.start({ otp: '', pgpKey }), { otp: '' })
  const { nonce, fingerprint } = await recovery.tokens.status()
  assert.equal(fingerprint, pair.publicKey.getFingerprint())
  await recovery.tokens.update(init.keys[0] as Buffer, nonce)
  const { encodedToken } = await recovery.tokens.update(init.keys[1] as Buffer, nonce)
  const message = await openpgp.readMessage({ binaryMessage: Buffer.from(encodedToken, 'base64') })
  const { data } = await openpgp.decrypt({ message, decryptionKeys: pair.privateKey })
  assert.equal(recovery.admits(String(data)), true)
})

test('recovery keys open a store only together with its static key', async () => {
  const key = staticKey('k')
  const { storage, life } = node(undefined, { staticKeys: [key] })
  const { recoveryKeys } = await life.initialize(wanted(spec(0, 0), spec(2, 2)))
  await writeText(life.barrier, 'a', 'kept')
  await life.close()
  await refused(/configure seal "static"/, over(storage).tokens.start({ otp, pgpKey: '' }))
  await refused(/configure seal "static"/, over(storage, [staticKey('k')]).tokens.start({ otp, pgpKey: '' }))
  const recovery = over(storage, [key])
  assert.deepEqual([recovery.sealed, (await recovery.status()).recoverySeal], [true, true])
  assert.equal(recovery.admits(await ceremony(recovery, recoveryKeys)), true)
  assert.equal(await readText(recovery.barrier, 'a'), 'kept')
})

test('a store without shares of any kind, and one that is not initialised', async () => {
  const key = staticKey('k')
  const { storage, life } = node(undefined, { staticKeys: [key] })
  await life.initialize(wanted(spec(0, 0)))
  await life.close()
  await refused(/neither key shares nor recovery keys/, over(storage, [key]).tokens.start({ otp, pgpKey: '' }))
  const empty = over(memoryStorage())
  assert.deepEqual([await empty.initialized(), (await empty.tokens.status()).required], [false, 0])
  await refused(/not yet initialized/, empty.tokens.start({ otp, pgpKey: '' }))
})

test('when opening fails the keys are dropped and there is no token', async () => {
  const { storage, init } = await openNode(1, 1)
  let fails = true
  const recovery = createRecovery({
    storage,
    staticKeys: [],
    opened: async () => {
      if (fails) throw new Error('injected')
    },
    warn: () => undefined,
  })
  await recovery.tokens.start({ otp, pgpKey: '' })
  const { nonce } = await recovery.tokens.status()
  await assert.rejects(recovery.tokens.update(init.keys[0] as Buffer, nonce), /injected/)
  assert.equal(recovery.sealed, true)
  fails = false
  const { encodedToken } = await recovery.tokens.update(init.keys[0] as Buffer, nonce)
  assert.equal(recovery.admits(decodeToken(encodedToken, otp)), true)
})

test('data of a namespace under keys of its own stays closed', async () => {
  const { storage, life, init } = await openNode(1, 1)
  await life.barrier.update((tx) => life.namespaces.create(tx, 'u', spec(1, 1)))
  await writeText(life.barrier, 'ns/u/data', 'theirs')
  await writeText(life.barrier, 'ns/v/data', 'ours')
  const recovery = over(storage)
  await ceremony(recovery, init.keys)
  await assert.rejects(readText(recovery.barrier, 'ns/u/data'), Sealed)
  await assert.rejects(writeText(recovery.barrier, 'ns/u/data', 'x'), Sealed)
  assert.equal(await readText(recovery.barrier, 'ns/v/data'), 'ours')
})
