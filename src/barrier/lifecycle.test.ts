// Init, unseal and seal as operators and their clients see them, wrong and mixed-up shares included.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as openpgp from 'openpgp'
import { ApiError } from '../sdk/errors.ts'
import { memoryStorage } from '../storage/memory.ts'
import { readStaticKeys, SealUnusable } from './slots.ts'
import {
  failing,
  Injected,
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

const refusal = (status: number, text: RegExp) => (error: unknown) =>
  error instanceof ApiError && error.status === status && text.test(error.message)
const give = (life: Parameters<typeof unsealWith>[0], key: string) => life.unseal({ key, reset: false })

test('before init: sealed, not initialised, nothing to unseal', async () => {
  const { life } = node()
  assert.deepEqual(await life.status(), {
    type: 'shamir',
    initialized: false,
    sealed: true,
    t: 0,
    n: 0,
    progress: 0,
    nonce: '',
    recoverySeal: false,
    storeId: '',
  })
  assert.equal(await life.initialized(), false)
  await assert.rejects(give(life, '00'.repeat(33)), refusal(400, /not initialized/))
  assert.equal(await life.autoUnseal(), false)
})

test('init gives shares in the format of Vault and leaves the store sealed', async () => {
  const { life, events } = node()
  const init = await life.initialize(wanted(spec(5, 3)))
  assert.equal(init.keys.length, 5)
  assert.ok(init.keys.every((key) => key.length === 33))
  assert.equal(init.recoveryKeys.length, 0)
  assert.equal(init.rootToken.length, 28)
  assert.equal(life.sealed, true)
  assert.deepEqual(events, [])
  await assert.rejects(life.initialize(wanted(spec(1, 1))), refusal(400, /^Vault is already initialized$/))
})

test('init refuses what Vault refuses', async () => {
  const { life } = node()
  const cases: [ReturnType<typeof wanted>, RegExp][] = [
    [wanted(noShares), /shares must be at least one/],
    [wanted(spec(1, 0)), /threshold must be at least one/],
    [wanted(spec(2, 1)), /threshold must be greater than one for multiple shares/],
    [wanted(spec(256, 3)), /shares must be less than 256/],
    [wanted(spec(3, 4)), /threshold cannot be larger than shares/],
    [wanted(spec(-1, 1)), /at least one/],
    [wanted(spec(2, 2, ['AAAA'])), /count mismatch/],
    [wanted(spec(1, 1, ['keybase:x'])), /keybase/],
    [
      wanted(spec(1, 1), spec(3, 2)),
      /parameters recovery_shares,recovery_threshold not applicable to seal type shamir/,
    ],
    [{ ...wanted(spec(1, 1)), rootTokenPgpKey: 'AAAA' }, /PGP/],
  ]
  for (const [bad, text] of cases) await assert.rejects(life.initialize(bad), refusal(400, text), String(text))
  assert.equal(await life.initialized(), false)
})

test('of inits at once one wins', async () => {
  const storage = memoryStorage()
  const nodes = [node(storage), node(storage), node(storage)]
  const results = await Promise.allSettled(nodes.map(({ life }) => life.initialize(wanted(spec(1, 1)))))
  const won = results.filter((result) => result.status === 'fulfilled')
  assert.equal(won.length, 1)
  for (const result of results)
    if (result.status === 'rejected') assert.match(String(result.reason), /already initialized/)
  const key = won[0]?.value.keys[0] ?? assert.fail()
  assert.equal((await give(nodes[2]?.life ?? assert.fail(), key.toString('hex'))).sealed, false)
})

test('any threshold of shares unseals, in hex or base64, and core is told', async () => {
  const { life, events } = node()
  const { keys } = await life.initialize(wanted(spec(5, 3)))
  const [a, b, c, d, e] = keys as [Buffer, Buffer, Buffer, Buffer, Buffer]
  const first = await give(life, e.toString('hex'))
  assert.equal(first.progress, 1)
  assert.match(first.nonce, /^[0-9a-f-]{36}$/)
  const second = await give(life, b.toString('base64'))
  assert.deepEqual([second.progress, second.nonce, second.sealed], [2, first.nonce, true])
  const done = await give(life, ` ${c.toString('hex').toUpperCase()}\n`)
  assert.deepEqual([done.progress, done.nonce, done.sealed, done.t, done.n], [0, '', false, 3, 5])
  assert.deepEqual(events, ['unseal'])
  assert.equal((await give(life, a.toString('hex'))).progress, 0)
  await assert.rejects(life.unseal({ key: '', reset: true }), refusal(400, /vault is unsealed/))
  await life.seal()
  await life.seal()
  assert.deepEqual(events, ['unseal', 'seal'])
  assert.equal((await unsealWith(life, [d, a, e])).sealed, false)
})

test('a repeated share does not count twice, and reset forgets', async () => {
  const { life } = node()
  const { keys } = await life.initialize(wanted(spec(3, 2)))
  const [a, b] = keys.map((key) => key.toString('hex')) as [string, string]
  assert.equal((await give(life, a)).progress, 1)
  assert.equal((await give(life, a)).progress, 1)
  assert.equal((await give(life, keys[0]?.toString('base64') ?? '')).progress, 1)
  const reset = await life.unseal({ key: '', reset: true })
  assert.deepEqual([reset.progress, reset.nonce], [0, ''])
  assert.equal((await give(life, b)).progress, 1)
  assert.equal((await give(life, a)).sealed, false)
})

test('shares that are none are refused by what they are', async () => {
  const { life } = node()
  await life.initialize(wanted(spec(3, 2)))
  await assert.rejects(give(life, ''), refusal(400, /'key' must be specified/))
  await assert.rejects(give(life, 'nonsense!'), refusal(400, /valid hex or base64/))
  await assert.rejects(give(life, '00ff'), refusal(400, /shorter than minimum 16/))
  await assert.rejects(give(life, 'AAECAw=='), refusal(400, /shorter than minimum 16/))
  await assert.rejects(give(life, Buffer.alloc(34).toString('base64')), refusal(400, /longer than maximum 33/))
  await assert.rejects(give(life, 'ab'.repeat(5000)), refusal(400, /longer than maximum 33/))
  assert.equal((await life.status()).progress, 0)
})

test('wrong shares and shares of another store fail cleanly and clear the progress', async () => {
  const other = await node().life.initialize(wanted(spec(3, 2)))
  const { life, storage } = node()
  const { keys } = await life.initialize(wanted(spec(3, 2)))
  const before = await storage.view((tx) => tx.entries(''))
  const hex = (key: Buffer | undefined) => key?.toString('hex') ?? ''
  for (const pair of [
    [keys[0], other.keys[1]],
    [other.keys[0], other.keys[1]],
    [keys[0], Buffer.alloc(33, 7)],
    [keys[0], Buffer.alloc(32, 7)],
  ]) {
    assert.equal((await give(life, hex(pair[0]))).progress, 1)
    await assert.rejects(give(life, hex(pair[1])), refusal(400, /invalid key/))
    const status = await life.status()
    assert.deepEqual([status.sealed, status.progress, status.nonce], [true, 0, ''])
  }
  assert.deepEqual(await storage.view((tx) => tx.entries('')), before)
  assert.equal((await unsealWith(life, keys.slice(1))).sealed, false)
})

test('one share of one is the key itself', async () => {
  const { life } = node()
  const { keys } = await life.initialize(wanted(spec(1, 1)))
  assert.equal(keys[0]?.length, 32)
  await assert.rejects(give(life, '11'.repeat(32)), refusal(400, /invalid key/))
  assert.equal((await unsealWith(life, keys)).sealed, false)
})

test('when core cannot start, the store is sealed again', async () => {
  let broken = true
  const onUnseal = () => {
    if (broken) throw new Error('mounts are unreadable')
  }
  const { life, events } = node(undefined, { ports: { onUnseal } })
  const { keys } = await life.initialize(wanted(spec(1, 1)))
  await assert.rejects(unsealWith(life, keys), /mounts are unreadable/)
  assert.equal(life.sealed, true)
  assert.deepEqual(events, ['seal'])
  broken = false
  assert.equal((await unsealWith(life, keys)).sealed, false)
})

test('PGP: shares and root token are for their holders only', async () => {
  const pairs = await Promise.all(
    ['a', 'b'].map((name) => openpgp.generateKey({ userIDs: [{ name }], format: 'object' })),
  )
  const texts = pairs.map(({ publicKey }) => Buffer.from(publicKey.write()).toString('base64'))
  const open = async (bytes: Uint8Array, index: number): Promise<string> => {
    const message = await openpgp.readMessage({ binaryMessage: new Uint8Array(bytes) })
    return (await openpgp.decrypt({ message, decryptionKeys: pairs[index]?.privateKey ?? assert.fail() })).data
  }
  const { life } = node()
  const init = await life.initialize({ ...wanted(spec(2, 2, texts)), rootTokenPgpKey: texts[1] ?? '' })
  const shares = await Promise.all(init.keys.map((key, index) => open(key, index)))
  assert.ok(shares.every((share) => /^[0-9a-f]{66}$/.test(share)))
  assert.match(await open(Buffer.from(init.rootToken, 'base64'), 1), /^hvs\./)
  for (const share of shares) await give(life, share)
  assert.equal(life.sealed, false)
})

test('a store under a static key unseals itself, at init and at start', async () => {
  const key = staticKey('k1')
  const a = node(undefined, { staticKeys: [key] })
  assert.deepEqual([(await a.life.status()).type, (await a.life.status()).recoverySeal], ['static', true])
  await assert.rejects(
    a.life.initialize(wanted(spec(5, 3))),
    refusal(400, /parameters secret_shares,secret_threshold not applicable to seal type static/),
  )
  const init = await a.life.initialize(wanted(noShares, spec(3, 2)))
  assert.deepEqual([init.keys.length, init.recoveryKeys.length], [0, 3])
  assert.equal(a.life.sealed, false)
  assert.deepEqual(a.events, ['unseal'])
  const status = await a.life.status()
  assert.deepEqual([status.type, status.t, status.n, status.recoverySeal], ['static', 2, 3, true])
  const b = node(a.storage, { staticKeys: [key] })
  assert.equal(await b.life.autoUnseal(), true)
  const stranger = node(a.storage, { staticKeys: [staticKey('k1')] })
  assert.equal(await stranger.life.autoUnseal(), false)
  assert.equal(await node(a.storage).life.autoUnseal(), false)
})

test('sealed by hand, a store under a static key opens with its recovery keys', async () => {
  const a = node(undefined, { staticKeys: [staticKey('k1')] })
  const { recoveryKeys } = await a.life.initialize(wanted(noShares, spec(3, 2)))
  await a.life.seal()
  assert.equal((await give(a.life, recoveryKeys[0]?.toString('hex') ?? '')).progress, 1)
  await assert.rejects(give(a.life, '22'.repeat(33)), refusal(400, /invalid key/))
  assert.equal(a.life.sealed, true)
  assert.equal((await unsealWith(a.life, recoveryKeys.slice(1))).sealed, false)
  // Without the static key the recovery keys open nothing.
  const bare = node(a.storage)
  await assert.rejects(unsealWith(bare.life, recoveryKeys.slice(1)), refusal(400, /invalid key/))
})

test('without recovery keys there is nothing to unseal by hand', async () => {
  const a = node(undefined, { staticKeys: [staticKey('k1')] })
  await a.life.initialize(wanted(noShares))
  await a.life.seal()
  await assert.rejects(give(a.life, '22'.repeat(33)), refusal(400, /no key shares/))
  assert.equal(await a.life.autoUnseal(), true)
})

test('a previous static key opens, and the slot moves to the current one', async () => {
  const old = staticKey('old')
  const a = node(undefined, { staticKeys: [old] })
  await a.life.initialize(wanted(noShares))
  await writeText(a.life.barrier, 'k', 'kept')
  const next = staticKey('next')
  const b = node(a.storage, { staticKeys: [next, { ...old, current: false }] })
  assert.equal(await b.life.autoUnseal(), true)
  const c = node(a.storage, { staticKeys: [next] })
  assert.equal(await c.life.autoUnseal(), true)
  assert.equal(await readText(c.life.barrier, 'k'), 'kept')
  assert.equal(await node(a.storage, { staticKeys: [old] }).life.autoUnseal(), false)
})

test('static keys are read from file, environment or text', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'coffer-seal-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const raw = Buffer.alloc(32, 0xab)
  writeFileSync(join(folder, 'raw'), raw)
  writeFileSync(join(folder, 'hex'), `${raw.toString('hex')}\n`)
  const read = (currentKey: string, env: NodeJS.ProcessEnv = {}) =>
    readStaticKeys({ kind: 'static', currentKey, currentKeyId: 'one' }, env)[0]?.key.export().toString('hex')
  const expected = raw.toString('hex')
  assert.equal(read(`file://${folder}/raw`), expected)
  assert.equal(read(`file://${folder}/hex`), expected)
  assert.equal(read('env://SEAL', { SEAL: raw.toString('base64') }), expected)
  assert.equal(read(raw.toString('base64')), expected)
  assert.equal(read(expected), expected)
  assert.equal(
    read('0123456789abcdef0123456789abcde!'),
    Buffer.from('0123456789abcdef0123456789abcde!').toString('hex'),
  )
  const says = (text: RegExp) => (error: Error) => error instanceof SealUnusable && text.test(error.message)
  assert.throws(() => read(`file://${folder}/none`), says(/current_key: cannot read the file \(ENOENT\)/))
  assert.throws(() => read('env://NONE'), says(/NONE is not set/))
  assert.throws(
    () => read('short-secret'),
    (error: Error) => says(/32 bytes/)(error) && !error.message.includes('short-secret'),
  )
  const two = { kind: 'static', currentKey: expected, currentKeyId: 'one', previousKey: expected } as const
  assert.throws(() => readStaticKeys(two), says(/previous_key_id/))
  assert.throws(() => readStaticKeys({ ...two, previousKeyId: 'one' }), says(/differ/))
  assert.deepEqual(
    readStaticKeys({ ...two, previousKeyId: 'zero' }).map(({ id, current }) => [id, current]),
    [
      ['one', true],
      ['zero', false],
    ],
  )
})

for (const lost of [false, true])
  test(`init with a failure at every storage call is whole or absent${lost ? ' (answers lost)' : ''}`, async () => {
    for (let at = 1, done = false; !done; at++) {
      assert.ok(at < 50)
      const below = memoryStorage()
      const { storage, state } = failing(below, lost)
      state.at = at
      const result = await node(storage)
        .life.initialize(wanted(spec(1, 1)))
        .catch((error: Error) => error)
      done = state.calls < at
      const fresh = node(below)
      if (result instanceof Error) {
        const there = await below.view((tx) => tx.scan(''))
        assert.deepEqual(there, [])
        assert.equal((await fresh.life.initialize(wanted(spec(1, 1)))).keys.length, 1)
      } else assert.equal((await unsealWith(fresh.life, result.keys)).sealed, false)
    }
  })

test('a failing root token leaves nothing behind', async () => {
  const ports = { createRootToken: () => Promise.reject(new Injected('no token')) }
  const { life, storage } = node(undefined, { ports })
  await assert.rejects(life.initialize(wanted(spec(1, 1))), Injected)
  assert.deepEqual(await storage.view((tx) => tx.scan('')), [])
})

test('closing drops the keys without telling core', async () => {
  const { life, events, init } = await openNode()
  await life.close()
  assert.equal(life.sealed, true)
  assert.deepEqual(events, ['unseal'])
  assert.equal((await unsealWith(life, init.keys.slice(2))).sealed, false)
})
