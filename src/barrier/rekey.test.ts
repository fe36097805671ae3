// Rekey, rotate and generate-root flows: right, wrong and repeated shares, any node taking the next share, failures half-way.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import * as openpgp from 'openpgp'
import { ApiError } from '../sdk/errors.ts'
import { memoryStorage } from '../storage/memory.ts'
import type { Storage } from '../storage/storage.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { RekeyDone, RekeyTarget, RekeyWanted } from './rekey.ts'
import {
  failing,
  node,
  noShares,
  openNode,
  readText,
  spec,
  staticKey,
  unsealWith,
  wanted,
  writeText,
} from './testing.ts'
import { decodeToken, encodeToken } from './token-attempt.ts'

const refusal = (text: RegExp) => (error: unknown) =>
  error instanceof ApiError && error.status === 400 && text.test(error.message)
const plan = (shares: number, threshold: number, more: Partial<RekeyWanted> = {}): RekeyWanted => ({
  ...spec(shares, threshold),
  backup: false,
  requireVerification: false,
  ...more,
})
async function rekeyWith(life: Lifecycle, keys: readonly Buffer[], target: RekeyTarget = 'root'): Promise<RekeyDone> {
  const { nonce } = await life.rekey.status(target)
  for (const key of keys) {
    const done = await life.rekey.update(target, key, nonce, 'rekey')
    if (done) return done
  }
  throw new Error('not done')
}
const pgpPair = () => openpgp.generateKey({ userIDs: [{ name: 'x' }], format: 'object' })
const opens = async (storage: Storage, keys: readonly Buffer[]): Promise<boolean> => {
  const fresh = node(storage)
  const status = await unsealWith(fresh.life, keys).catch(() => undefined)
  const open = status?.sealed === false
  await fresh.life.close()
  return open
}

test('rekey: new shares open, old ones do not, values stay readable', async () => {
  const { life, storage, init } = await openNode()
  await writeText(life.barrier, 'k', 'kept')
  assert.deepEqual(await life.rekey.status('root'), {
    started: false,
    nonce: '',
    shares: 0,
    threshold: 0,
    progress: 0,
    required: 3,
    fingerprints: [],
    backup: false,
    verificationRequired: false,
    verificationNonce: '',
  })
  assert.equal(await life.rekey.start('root', plan(2, 2), 'rekey'), undefined)
  const status = await life.rekey.status('root')
  assert.deepEqual([status.started, status.shares, status.threshold, status.required], [true, 2, 2, 3])
  await assert.rejects(life.rekey.start('root', plan(2, 2), 'rekey'), refusal(/rekey already in progress/))
  await assert.rejects(life.rekey.start('root', plan(2, 2), 'rotation'), refusal(/rotation already in progress/))
  const [a, b, c] = init.keys as [Buffer, Buffer, Buffer]
  assert.equal(await life.rekey.update('root', a, status.nonce, 'rekey'), undefined)
  await assert.rejects(life.rekey.update('root', a, status.nonce, 'rekey'), refusal(/already been provided/))
  await assert.rejects(
    life.rekey.update('root', b, 'x', 'rekey'),
    refusal(/incorrect nonce supplied; nonce for this rekey operation is "[0-9a-f-]{36}"/),
  )
  assert.equal((await life.rekey.status('root')).progress, 1)
  assert.equal(await life.rekey.update('root', b, status.nonce, 'rekey'), undefined)
  const done = (await life.rekey.update('root', c, status.nonce, 'rekey')) ?? assert.fail()
  assert.equal(done.keys.length, 2)
  assert.equal((await life.rekey.status('root')).started, false)
  assert.equal(await opens(storage, init.keys.slice(0, 3)), false)
  assert.equal(await opens(storage, done.keys), true)
  await life.seal()
  const after = await unsealWith(life, done.keys)
  assert.deepEqual([after.sealed, after.t, after.n], [false, 2, 2])
  assert.equal(await readText(life.barrier, 'k'), 'kept')
})

test('rekey: wrong shares clear the progress and change nothing; cancel ends it', async () => {
  const { life, storage, init } = await openNode(3, 2)
  await life.rekey.start('root', plan(1, 1), 'rekey')
  const { nonce } = await life.rekey.status('root')
  await life.rekey.update('root', init.keys[0] ?? assert.fail(), nonce, 'rekey')
  await assert.rejects(life.rekey.update('root', Buffer.alloc(33, 9), nonce, 'rekey'), refusal(/verification failed/))
  const status = await life.rekey.status('root')
  assert.deepEqual([status.started, status.progress, status.nonce], [true, 0, nonce])
  await life.rekey.cancel('root')
  await life.rekey.cancel('root')
  assert.equal((await life.rekey.status('root')).started, false)
  await assert.rejects(
    life.rekey.update('root', init.keys[0] ?? assert.fail(), nonce, 'rekey'),
    refusal(/no barrier rekey in progress/),
  )
  await assert.rejects(
    life.rekey.update('root', init.keys[0] ?? assert.fail(), nonce, 'rotation'),
    refusal(/no rotation in progress/),
  )
  assert.equal(await opens(storage, init.keys.slice(1)), true)
})

test('rekey refuses what Vault refuses', async () => {
  const { life } = await openNode(3, 2)
  const start = (w: RekeyWanted, target: RekeyTarget = 'root') => life.rekey.start(target, w, 'rekey')
  await assert.rejects(start(plan(0, 0)), refusal(/invalid rekey seal configuration: shares must be at least one/))
  await assert.rejects(start(plan(3, 1)), refusal(/greater than one/))
  await assert.rejects(start(plan(3, 2, { backup: true })), refusal(/cannot request a backup/))
  await assert.rejects(start(plan(3, 2, { pgpKeys: ['AAAA'] })), refusal(/incorrect number of PGP keys/))
  await assert.rejects(start(plan(3, 2), 'recovery'), refusal(/recovery keys not supported/))
  await assert.rejects(life.rekey.status('recovery'), refusal(/not supported/))
  await assert.rejects(life.rekey.verifyStatus('root', 'rekey'), refusal(/no rekey configuration found/))
  await assert.rejects(life.rekey.backup('root'), refusal(/no backed-up keys found/))
})

test('any node may take the next share, and all follow the new root key', async () => {
  const a = await openNode(3, 2)
  const b = node(a.storage, { clock: a.clock })
  await unsealWith(b.life, a.init.keys.slice(1))
  await a.life.rekey.start('root', plan(1, 1), 'rekey')
  const { nonce } = await b.life.rekey.status('root')
  await b.life.rekey.update('root', a.init.keys[0] ?? assert.fail(), nonce, 'rekey')
  const done = (await a.life.rekey.update('root', a.init.keys[2] ?? assert.fail(), nonce, 'rekey')) ?? assert.fail()
  await a.life.rotate()
  await writeText(a.life.barrier, 'k', 'x')
  assert.equal(await readText(b.life.barrier, 'k'), 'x')
  assert.equal(await opens(a.storage, done.keys), true)
})

test('verification: nothing changes until the new shares are proved', async () => {
  const { life, storage, init } = await openNode(3, 2)
  await life.rekey.start('root', plan(3, 2, { requireVerification: true }), 'rekey')
  const done = await rekeyWith(life, init.keys)
  assert.equal(done.verificationRequired, true)
  const nonce = done.verificationNonce
  assert.equal(await opens(storage, init.keys.slice(0, 2)), true)
  assert.equal(await opens(storage, done.keys.slice(0, 2)), false)
  const { nonce: first } = await life.rekey.status('root')
  await assert.rejects(
    life.rekey.update('root', init.keys[0] ?? assert.fail(), first, 'rekey'),
    refusal(/already finished/),
  )
  const [a, b] = done.keys as [Buffer, Buffer]
  await assert.rejects(life.rekey.verify('root', a, first, 'rekey'), refusal(/incorrect nonce/))
  assert.equal(await life.rekey.verify('root', a, nonce, 'rekey'), undefined)
  await assert.rejects(life.rekey.verify('root', a, nonce, 'rekey'), refusal(/already been provided/))
  await assert.rejects(
    life.rekey.verify('root', init.keys[1] ?? assert.fail(), nonce, 'rekey'),
    refusal(/incorrect key shares/),
  )
  const again = await life.rekey.verifyStatus('root', 'rekey')
  assert.deepEqual([again.started, again.progress, again.shares, again.threshold], [true, 0, 3, 2])
  assert.notEqual(again.nonce, nonce)
  assert.equal(await life.rekey.verify('root', a, again.nonce, 'rekey'), undefined)
  const restarted = await life.rekey.restartVerify('root', 'rekey')
  assert.deepEqual([restarted.progress, restarted.nonce === again.nonce], [0, false])
  assert.equal(await life.rekey.verify('root', a, restarted.nonce, 'rekey'), undefined)
  assert.equal(await life.rekey.verify('root', b, restarted.nonce, 'rekey'), restarted.nonce)
  assert.equal(await opens(storage, init.keys.slice(0, 2)), false)
  assert.equal(await opens(storage, done.keys.slice(1)), true)
})

test('shares that wait for verification are void once the root key changed', async () => {
  const { life, init } = await openNode(3, 2)
  await life.rekey.start('root', plan(1, 1, { requireVerification: true }), 'rekey')
  const done = await rekeyWith(life, init.keys)
  await life.rotateRoot()
  await assert.rejects(
    life.rekey.verify('root', done.keys[0] ?? assert.fail(), done.verificationNonce, 'rekey'),
    refusal(/root key changed/),
  )
  assert.equal((await life.rekey.status('root')).started, false)
})

test('PGP: new shares come encrypted, and are backed up when asked', async () => {
  const { life, init } = await openNode(1, 1)
  const pair = await pgpPair()
  const text = Buffer.from(pair.publicKey.write()).toString('base64')
  await life.rekey.start('root', plan(2, 2, { pgpKeys: [text, text], backup: true }), 'rekey')
  const { nonce, fingerprints, backup } = await life.rekey.status('root')
  assert.deepEqual([fingerprints.length, backup], [2, true])
  const done = await rekeyWith(life, init.keys)
  const kept = await life.rekey.backup('root')
  assert.equal(kept.nonce, nonce)
  assert.deepEqual(
    kept.keys[pair.publicKey.getFingerprint()],
    done.keys.map((key) => key.toString('hex')),
  )
  const shares = await Promise.all(
    done.keys.map(async (key) => {
      const message = await openpgp.readMessage({ binaryMessage: new Uint8Array(key) })
      return Buffer.from((await openpgp.decrypt({ message, decryptionKeys: pair.privateKey })).data as string, 'hex')
    }),
  )
  await life.seal()
  assert.equal((await unsealWith(life, shares)).sealed, false)
  await life.rekey.deleteBackup('root')
  await assert.rejects(life.rekey.backup('root'), refusal(/no backed-up keys/))
})

test('a store that unseals itself: recovery keys rekey, make tokens, and are rekeyed', async () => {
  const key = staticKey('k1')
  const { life, storage } = node(undefined, { staticKeys: [key] })
  const { recoveryKeys } = await life.initialize(wanted(noShares, spec(3, 2)))
  await assert.rejects(
    life.rekey.start('root', plan(1, 1, { requireVerification: true }), 'rekey'),
    refusal(/not supported/),
  )
  assert.equal(await life.rekey.start('root', plan(5, 3), 'rekey'), undefined)
  assert.equal((await life.rekey.status('root')).required, 2)
  const rootDone = await rekeyWith(life, recoveryKeys)
  assert.deepEqual(rootDone.keys, [])
  assert.equal(await node(storage, { staticKeys: [key] }).life.autoUnseal(), true)

  await life.rekey.start('recovery', plan(2, 2, { requireVerification: true }), 'rekey')
  const fresh = await rekeyWith(life, recoveryKeys.slice(1), 'recovery')
  for (const share of fresh.keys) await life.rekey.verify('recovery', share, fresh.verificationNonce, 'rekey')
  assert.deepEqual([(await life.status()).n, (await life.status()).t], [2, 2])
  await life.generateRoot.start({ otp: '', pgpKey: '' })
  const { nonce } = await life.generateRoot.status()
  await life.generateRoot.update(recoveryKeys[0] ?? assert.fail(), nonce)
  await assert.rejects(life.generateRoot.update(recoveryKeys[1] ?? assert.fail(), nonce), refusal(/aborted/))
  await life.generateRoot.update(fresh.keys[0] ?? assert.fail(), nonce)
  assert.equal((await life.generateRoot.update(fresh.keys[1] ?? assert.fail(), nonce)).complete, true)
})

test('first recovery keys are made at once for who is authorised by token, and for nobody else', async () => {
  const { life } = node(undefined, { staticKeys: [staticKey('k1')] })
  await life.initialize(wanted(noShares))
  await assert.rejects(life.rekey.start('recovery', plan(1, 1), 'rekey'), refusal(/no recovery keys exist/))
  await assert.rejects(life.generateRoot.start({ otp: '', pgpKey: '' }), refusal(/no recovery keys exist/))
  const done = (await life.rekey.start('recovery', plan(2, 2), 'rotation')) ?? assert.fail()
  assert.equal(done.keys.length, 2)
  await life.seal()
  assert.equal((await unsealWith(life, done.keys)).sealed, false)
})

test('generate-root: one-time password', async () => {
  const { life, init } = await openNode(3, 2)
  assert.deepEqual(await life.generateRoot.status(), {
    started: false,
    nonce: '',
    progress: 0,
    required: 2,
    fingerprint: '',
  })
  await assert.rejects(
    life.generateRoot.update(init.keys[0] ?? assert.fail(), 'x'),
    refusal(/no root generation in progress/),
  )
  await assert.rejects(life.generateRoot.start({ otp: 'short', pgpKey: '' }), refusal(/incorrect length/))
  const { otp } = await life.generateRoot.start({ otp: '', pgpKey: '' })
  assert.match(otp, /^[0-9A-Za-z]{28}$/)
  await assert.rejects(life.generateRoot.start({ otp, pgpKey: '' }), refusal(/already in progress/))
  const { nonce } = await life.generateRoot.status()
  const [a, b, c] = init.keys as [Buffer, Buffer, Buffer]
  await assert.rejects(life.generateRoot.update(a, 'x'), refusal(/incorrect nonce/))
  const first = await life.generateRoot.update(a, nonce)
  assert.deepEqual([first.progress, first.required, first.complete, first.encodedToken], [1, 2, false, ''])
  await assert.rejects(life.generateRoot.update(a, nonce), refusal(/already been provided/))
  await assert.rejects(life.generateRoot.update(Buffer.alloc(33, 5), nonce), refusal(/aborted/))
  assert.deepEqual((await life.generateRoot.status()).progress, 0)
  await life.generateRoot.update(b, nonce)
  const last = await life.generateRoot.update(c, nonce)
  assert.equal(last.complete, true)
  const token = decodeToken(last.encodedToken, otp)
  assert.match(token, /^hvs\./)
  assert.ok(await readText(life.barrier, `tokens/${token}`))
  assert.equal((await life.generateRoot.status()).started, false)
})

test('generate-root: given password, PGP, cancel', async () => {
  const { life, init } = await openNode(1, 1)
  const otp = 'o'.repeat(28)
  assert.deepEqual(await life.generateRoot.start({ otp, pgpKey: '' }), { otp: '' })
  await life.generateRoot.cancel()
  assert.equal((await life.generateRoot.status()).started, false)
  const pair = await pgpPair()
  await assert.rejects(life.generateRoot.start({ otp: '', pgpKey: 'AAAA' }), refusal(/error parsing PGP key/))
  await life.generateRoot.start({ otp: '', pgpKey: Buffer.from(pair.publicKey.write()).toString('base64') })
  const { nonce, fingerprint } = await life.generateRoot.status()
  assert.equal(fingerprint, pair.publicKey.getFingerprint())
  const done = await life.generateRoot.update(init.keys[0] ?? assert.fail(), nonce)
  const message = await openpgp.readMessage({ binaryMessage: new Uint8Array(Buffer.from(done.encodedToken, 'base64')) })
  assert.match((await openpgp.decrypt({ message, decryptionKeys: pair.privateKey })).data as string, /^hvs\./)
})

test('encoding a token is xor and unpadded base64', () => {
  const token = `hvs.${'a'.repeat(24)}`
  const encoded = encodeToken(token, 'b'.repeat(28))
  assert.doesNotMatch(encoded, /=/)
  assert.equal(decodeToken(encoded, 'b'.repeat(28)), token)
  assert.equal(decodeToken(`${encoded}==`, 'b'.repeat(28)), token)
  for (const [e, o] of [
    ['', 'x'],
    ['x', ''],
    ['!!', 'x'],
    [encoded, 'b'],
  ] as const)
    assert.throws(() => decodeToken(e, o), ApiError)
})

// Each change of keys, with a failure at every call of storage: the shares of before or those of after open, and values stay.
const changes: Record<string, (life: Lifecycle, key: Buffer) => Promise<readonly Buffer[]>> = {
  async rekey(life, key) {
    const { nonce } = await life.rekey.status('root')
    return (await life.rekey.update('root', key, nonce, 'rekey'))?.keys ?? []
  },
  rotate: async (life, key) => life.rotate().then(() => [key]),
  'rotate root': async (life, key) => life.rotateRoot().then(() => [key]),
  async 'generate root'(life, key) {
    const { nonce } = await life.generateRoot.status()
    return life.generateRoot.update(key, nonce).then(() => [key])
  },
}
for (const [name, change] of Object.entries(changes))
  for (const lost of [false, true])
    test(`${name} with a failure at every storage call is whole or absent${lost ? ' (answers lost)' : ''}`, async () => {
      for (let at = 1, done = false; !done; at++) {
        assert.ok(at < 80)
        const below = memoryStorage()
        const { storage, state } = failing(below, lost)
        const { life } = node(storage)
        const init = await life.initialize(wanted(spec(1, 1)))
        await unsealWith(life, init.keys)
        await writeText(life.barrier, 'k', 'kept')
        await life.rekey.start('root', plan(1, 1), 'rekey')
        await life.generateRoot.start({ otp: '', pgpKey: '' })
        const key = init.keys[0] ?? assert.fail()
        state.at = state.calls + at
        const result = await change(life, key).catch((error: Error) => error)
        done = state.calls < state.at
        state.at = Number.POSITIVE_INFINITY
        const keys = result instanceof Error ? init.keys : result
        assert.ok(await opens(below, keys), `opens after call ${at}`)
        // The process itself goes on, with the old keys or the new.
        if (!life.sealed) {
          assert.equal(await readText(life.barrier, 'k'), 'kept')
          await writeText(life.barrier, 'k2', 'after')
          assert.equal(await readText(life.barrier, 'k2'), 'after')
        }
        if (result instanceof Error) continue
        const fresh = node(below)
        await unsealWith(fresh.life, keys)
        assert.equal(await readText(fresh.life.barrier, 'k'), 'kept')
      }
    })
