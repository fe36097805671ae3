// Namespaces with keys of their own: sealed and unsealed apart from the store, and never with less.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import { ApiError } from '../sdk/errors.ts'
import { Sealed } from './errors.ts'
import { node, openNode, readText, spec, unsealWith, writeText } from './testing.ts'

const refusal = (text: RegExp) => (error: unknown) =>
  error instanceof ApiError && error.status === 400 && text.test(error.message)
const uuid = '11111111-2222-3333-4444-555555555555'
const child = '99999999-2222-3333-4444-555555555555'

async function withNamespace() {
  const base = await openNode(1, 1)
  const { life } = base
  const made = await life.barrier.update(async (tx) => {
    const shares = await life.namespaces.create(tx, uuid, spec(3, 2))
    tx.put(`ns/${uuid}/core/mounts`, Buffer.from('mounts'))
    return shares
  })
  return { ...base, made }
}

test('its first records are written with its keys in the transaction that makes it', async () => {
  const { life, storage, made } = await withNamespace()
  assert.equal(made.keys.length, 3)
  assert.equal(await readText(life.barrier, `ns/${uuid}/core/mounts`), 'mounts')
  assert.deepEqual(await life.namespaces.status(uuid), {
    type: 'shamir',
    initialized: true,
    sealed: false,
    t: 2,
    n: 3,
    progress: 0,
    nonce: '',
  })
  assert.equal(await life.namespaces.status(child), undefined)
  assert.equal(life.namespaces.sealable(uuid), true)
  assert.equal(life.namespaces.sealable(child), false)
  // Nothing of it lies in clear.
  for (const { key, value } of await storage.view((tx) => tx.entries('barrier/')))
    assert.ok(!Buffer.from(value).includes('rootId'), key)
})

test('sealed, everything below says so and the rest goes on; its shares open it again', async () => {
  const { life, made } = await withNamespace()
  life.namespaces.adopt(child, uuid)
  await writeText(life.barrier, `ns/${uuid}/data/a`, 'one')
  await writeText(life.barrier, `ns/${child}/data/a`, 'two')
  await writeText(life.barrier, 'ns/root/data/a', 'three')
  await life.namespaces.seal(uuid)
  for (const below of [uuid, child]) {
    await assert.rejects(readText(life.barrier, `ns/${below}/data/a`), Sealed)
    await assert.rejects(writeText(life.barrier, `ns/${below}/data/b`, 'x'), Sealed)
    await assert.rejects(
      life.barrier.view((tx) => tx.entries(`ns/${below}/data/`)),
      Sealed,
    )
    assert.deepEqual(await life.barrier.view((tx) => tx.scan(`ns/${below}/data/`)), ['a'])
    assert.equal(life.barrier.readable(`ns/${below}/data/a`), false)
  }
  await assert.rejects(
    life.barrier.view((tx) => tx.entries('ns/')),
    (error) => error instanceof Sealed && error.prefix !== undefined,
  )
  assert.equal(await readText(life.barrier, 'ns/root/data/a'), 'three')
  const hex = made.keys.map((key) => key.toString('hex'))
  const give = (key: string, reset = false) => life.namespaces.unseal(uuid, { key, reset })
  const first = await give(hex[0] ?? '')
  assert.deepEqual([first.sealed, first.progress], [true, 1])
  assert.equal((await give(hex[0] ?? '')).progress, 1)
  await assert.rejects(give('33'.repeat(33)), refusal(/invalid key/))
  assert.equal((await life.namespaces.status(uuid))?.progress, 0)
  await give(hex[1] ?? '')
  assert.equal((await give('', true)).progress, 0)
  await assert.rejects(give(''), refusal(/empty/))
  await give(hex[2] ?? '')
  assert.equal((await give(hex[0] ?? '')).sealed, false)
  assert.equal(await readText(life.barrier, `ns/${uuid}/data/a`), 'one')
  assert.equal(await readText(life.barrier, `ns/${child}/data/a`), 'two')
  await assert.rejects(life.namespaces.seal(child), refusal(/not sealable/))
})

test('with the store sealed and unsealed again, the namespace stays sealed until its own shares come', async () => {
  const { life, storage, init, made } = await withNamespace()
  await life.seal()
  await assert.rejects(life.namespaces.status(uuid), Sealed)
  await unsealWith(life, init.keys)
  await assert.rejects(readText(life.barrier, `ns/${uuid}/core/mounts`), Sealed)
  const other = node(storage)
  await unsealWith(other.life, init.keys)
  await assert.rejects(readText(other.life.barrier, `ns/${uuid}/core/mounts`), Sealed)
  for (const key of made.keys.slice(1))
    await other.life.namespaces.unseal(uuid, { key: key.toString('base64'), reset: false })
  assert.equal(await readText(other.life.barrier, `ns/${uuid}/core/mounts`), 'mounts')
  assert.equal((await life.namespaces.status(uuid))?.sealed, true)
})

test('another process learns of it on refresh', async () => {
  const base = await openNode(1, 1)
  const other = node(base.storage)
  await unsealWith(other.life, base.init.keys)
  await base.life.barrier.update(async (tx) => {
    await base.life.namespaces.create(tx, uuid, spec(1, 1))
    tx.put(`ns/${uuid}/x`, Buffer.from('x'))
  })
  await other.life.refresh()
  await assert.rejects(writeText(other.life.barrier, `ns/${uuid}/x`, 'y'), Sealed)
})

test('a sealed namespace can be cleared away, and every process forgets it', async () => {
  const { life, storage, init } = await withNamespace()
  const other = node(storage)
  await unsealWith(other.life, init.keys)
  assert.equal(other.life.namespaces.closed(uuid), true)
  assert.equal(life.namespaces.closed(uuid), false)
  await life.namespaces.seal(uuid)
  await other.life.barrier.update(async (tx) => {
    for (const name of await tx.scan(`ns/${uuid}/`)) tx.delete(`ns/${uuid}/${name}`)
    await other.life.namespaces.remove(tx, uuid)
  })
  for (const { namespaces } of [life, other.life]) {
    await namespaces.refresh()
    assert.equal(namespaces.sealable(uuid), false)
  }
  assert.deepEqual(await life.barrier.view((tx) => tx.scan(`ns/${uuid}/`)), [])
})

test('a refresh while a namespace is being made does not forget it', async () => {
  const { life } = await openNode(1, 1)
  await life.barrier.update(async (tx) => {
    await life.namespaces.create(tx, uuid, spec(1, 1))
    await life.refresh()
    tx.put(`ns/${uuid}/x`, Buffer.from('x'))
  })
  await life.namespaces.seal(uuid)
  await assert.rejects(readText(life.barrier, `ns/${uuid}/x`), Sealed)
})

test('removed or never made, nothing of it is left', async () => {
  const { life } = await withNamespace()
  await life.barrier.update(async (tx) => {
    await life.namespaces.remove(tx, uuid)
    tx.delete(`ns/${uuid}/core/mounts`)
  })
  life.namespaces.forget(uuid)
  assert.equal(await life.namespaces.status(uuid), undefined)
  assert.deepEqual(await life.barrier.view((tx) => tx.scan('barrier/ns/')), [])
  await assert.rejects(
    life.barrier.update(async (tx) => {
      await life.namespaces.create(tx, child, spec(1, 1))
      throw new Error('no')
    }),
  )
  life.namespaces.forget(child)
  assert.equal(await life.namespaces.status(child), undefined)
  await writeText(life.barrier, `ns/${child}/x`, 'under the keys of the store')
  await assert.rejects(
    life.barrier.update((tx) => life.namespaces.create(tx, child, spec(2, 1))),
    refusal(/invalid seal config/),
  )
})
