// The keyring by itself: at rest under its root key, and gone once destroyed.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { AuthenticationFailed, generateKey } from '../crypto/aead.ts'
import { sqliteStorage } from '../storage/sqlite.ts'
import { defaultRotateConfig, Keyring, newTerm, termOf, unwrapKeyring } from './keyring.ts'
import { node, readText, spec, unsealWith, wanted, writeText } from './testing.ts'

function made() {
  const terms = [newTerm(1, 5), newTerm(2, 6), newTerm(4_294_967_295, 7)]
  const [, , active = newTerm(1, 1)] = terms
  return new Keyring({
    rootKey: generateKey(),
    rootId: 'root-1',
    terms: new Map(terms.map((term) => [term.number, term])),
    active,
    slotKeys: new Map([['slot', generateKey()]]),
    config: { ...defaultRotateConfig, intervalSeconds: 100_000 },
    recovery: { shares: 3, threshold: 2, digest: 'x' },
  })
}

test('wrapped and unwrapped it is the same', () => {
  const keyring = made()
  const { rootKey, terms, slotKeys, config, recovery } = keyring.parts
  const box = keyring.wrap('place')
  const again = unwrapKeyring(rootKey, 'root-1', box, 'place').parts
  assert.deepEqual([again.active.number, again.config, again.recovery], [4_294_967_295, config, recovery])
  for (const [number, term] of terms) assert.ok(again.terms.get(number)?.key.equals(term.key))
  assert.ok(again.slotKeys.get('slot')?.equals(slotKeys.get('slot') ?? assert.fail()))
  assert.throws(() => unwrapKeyring(generateKey(), 'root-1', box, 'place'), AuthenticationFailed)
  assert.throws(() => unwrapKeyring(rootKey, 'root-2', box, 'place'), AuthenticationFailed)
  assert.throws(() => unwrapKeyring(rootKey, 'root-1', box, 'elsewhere'), AuthenticationFailed)
})

test('the largest term is written and read as it is', () => {
  const keyring = made()
  const box = keyring.encrypt('k', Buffer.from('v'))
  assert.equal(termOf(box), 4_294_967_295)
  assert.equal(keyring.decrypt('k', box)?.toString(), 'v')
  assert.equal(keyring.decrypt('k', keyring.encrypt('k', new Uint8Array(0)))?.length, 0)
})

test('destroyed, it does nothing any more', () => {
  const keyring = made()
  const box = keyring.encrypt('k', Buffer.from('v'))
  keyring.destroy()
  assert.equal(keyring.destroyed, true)
  for (const use of [
    () => keyring.encrypt('k', box),
    () => keyring.decrypt('k', box),
    () => keyring.wrap('place'),
    () => keyring.with({}),
  ])
    assert.throws(use, /destroyed/)
})

test('two processes on one SQLite file: init, unseal, write, rotate, new root key', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'coffer-barrier-'))
  const stores = [await sqliteStorage({ folder }), await sqliteStorage({ folder })] as const
  t.after(async () => {
    for (const store of stores) await store.close()
    rmSync(folder, { recursive: true })
  })
  const [a, b] = [node(stores[0]), node(stores[1])]
  const { keys } = await a.life.initialize(wanted(spec(3, 2)))
  await unsealWith(a.life, keys.slice(1))
  await unsealWith(b.life, keys.slice(0, 2))
  await writeText(a.life.barrier, 'k', 'one')
  assert.equal(await readText(b.life.barrier, 'k'), 'one')
  await a.life.rotateRoot()
  await b.life.rotate()
  await writeText(b.life.barrier, 'k', 'two')
  assert.equal(await readText(a.life.barrier, 'k'), 'two')
  assert.equal((await a.life.keyStatus()).term, 2)
})
