// Several lifecycles over one store that share their seals through a relay, as the processes of a machine do.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { Lifecycle, LifecyclePorts } from '../barrier/lifecycle.ts'
import type { Peers, SealState } from '../barrier/peers.ts'
import type { StaticKey } from '../barrier/slots.ts'
import { node, noShares, readText, spec, staticKey, unsealWith, wanted, writeText } from '../barrier/testing.ts'
import { memoryStorage } from '../storage/memory.ts'
import { type Member, type Relay, relay } from './relay.ts'

/** What the channel does: the other side gets bytes of its own. */
const sent = (state: SealState): SealState => structuredClone(state)

/** A process of the machine; `started` when it has joined. */
function processOf(
  machine: Relay,
  storage = memoryStorage(),
  { staticKeys, ports }: { staticKeys?: StaticKey[]; ports?: Partial<LifecyclePorts> } = {},
) {
  const killed: string[] = []
  const told: SealState[] = []
  const peers: Peers = {
    async inTurn(step) {
      await machine.turn(member)
      try {
        return await step()
      } finally {
        machine.endTurn(member)
      }
    },
    tell: (state) => machine.tell(member, sent(state)),
    ask: async () => (await machine.ask(member))?.map(sent),
  }
  const made = node(storage, { peers, ...(staticKeys ? { staticKeys } : {}), ...(ports ? { ports } : {}) })
  const member: Member = {
    async follow(state) {
      const own = sent(state)
      told.push(own)
      await made.life.follow(own)
    },
    shared: async () => (await made.life.shared()).map(sent),
    kill(why) {
      killed.push(why)
      machine.leave(member)
    },
  }
  return { ...made, member, killed, told }
}

const progressOf = async (life: Lifecycle) => {
  const { sealed, progress, nonce } = await life.status()
  return { sealed, progress, nonce }
}
const hex = (key: Buffer) => ({ key: key.toString('hex'), reset: false })

test('shares given to different processes count together, and a late one learns of them', async () => {
  const machine = relay()
  const storage = memoryStorage()
  const [one, two] = [processOf(machine, storage), processOf(machine, storage)]
  await one.life.autoUnseal()
  await two.life.autoUnseal()
  const { keys } = await one.life.initialize(wanted(spec(5, 3)))
  const [a, b, c] = keys as [Buffer, Buffer, Buffer]
  await one.life.unseal(hex(a))
  assert.deepEqual(await progressOf(two.life), await progressOf(one.life))
  await two.life.unseal(hex(b))
  const late = processOf(machine, storage)
  assert.equal(await late.life.autoUnseal(), false)
  assert.equal((await progressOf(late.life)).progress, 2)
  await late.life.unseal(hex(c))
  for (const { life, events } of [one, two, late]) {
    assert.deepEqual(await progressOf(life), { sealed: false, progress: 0, nonce: '' })
    assert.deepEqual(events, ['unseal'])
  }
  await writeText(one.life.barrier, 'a', 'one')
  assert.equal(await readText(two.life.barrier, 'a'), 'one')
  await two.life.seal()
  assert.ok([one, two, late].every(({ life }) => life.sealed))
})

test('shares given at the same time to different processes open all', async () => {
  const machine = relay()
  const storage = memoryStorage()
  const all = Array.from({ length: 4 }, () => processOf(machine, storage))
  for (const { life } of all) await life.autoUnseal()
  const { keys } = await (all[0] as (typeof all)[number]).life.initialize(wanted(spec(4, 4)))
  await Promise.all(all.map(({ life }, index) => life.unseal(hex(keys[index] as Buffer))))
  assert.ok(all.every(({ life }) => !life.sealed))
})

test('a reset and wrong shares clear the progress of all', async () => {
  const machine = relay()
  const storage = memoryStorage()
  const [one, two] = [processOf(machine, storage), processOf(machine, storage)]
  await one.life.autoUnseal()
  await two.life.autoUnseal()
  const { keys } = await one.life.initialize(wanted(spec(3, 2)))
  await one.life.unseal(hex(keys[0] as Buffer))
  await two.life.unseal({ key: '', reset: true })
  assert.equal((await progressOf(one.life)).progress, 0)
  await one.life.unseal(hex(keys[0] as Buffer))
  await assert.rejects(two.life.unseal(hex(Buffer.alloc(33, 9))), /do not open the seal/)
  assert.equal((await progressOf(one.life)).progress, 0)
})

test('static keys open the first; later ones stand as the others stand, sealed by hand too', async () => {
  const machine = relay()
  const storage = memoryStorage()
  const staticKeys = [staticKey('k')]
  const one = processOf(machine, storage, { staticKeys })
  await one.life.autoUnseal()
  await one.life.initialize(wanted(noShares, spec(1, 1)))
  const two = processOf(machine, storage, { staticKeys })
  assert.equal(await two.life.autoUnseal(), true)
  await one.life.seal()
  assert.equal(two.life.sealed, true)
  const three = processOf(machine, storage, { staticKeys })
  assert.equal(await three.life.autoUnseal(), false)
  for (const { member } of [one, two, three]) machine.leave(member)
  assert.equal(await processOf(machine, storage, { staticKeys }).life.autoUnseal(), true)
})

test('a process that is sealed for reasons of its own does not seal the others by asking for shares', async () => {
  const machine = relay()
  const storage = memoryStorage()
  const [one, two] = [processOf(machine, storage), processOf(machine, storage)]
  await one.life.autoUnseal()
  const { keys } = await one.life.initialize(wanted(spec(2, 2)))
  await unsealWith(one.life, keys)
  // It never asked: as one that lost its keys.
  await two.life.unseal(hex(keys[0] as Buffer))
  await two.life.unseal({ key: '', reset: true })
  assert.equal(one.life.sealed, false)
})

test('keys of namespaces are shared like those of the store, and wiped where they passed', async () => {
  const machine = relay()
  const storage = memoryStorage()
  const followed: string[] = []
  const [one, two] = [
    processOf(machine, storage),
    processOf(machine, storage, { ports: { onNamespaceSeal: () => void followed.push('two') } }),
  ]
  await one.life.autoUnseal()
  await two.life.autoUnseal()
  const { keys } = await one.life.initialize(wanted(spec(1, 1)))
  await unsealWith(one.life, keys)
  const uuid = '11111111-2222-3333-4444-555555555555'
  const made = await one.life.barrier.update((tx) => one.life.namespaces.create(tx, uuid, spec(3, 2)))
  await one.life.namespaces.share(uuid)
  await writeText(one.life.barrier, `ns/${uuid}/data/a`, 'theirs')
  assert.equal(await readText(two.life.barrier, `ns/${uuid}/data/a`), 'theirs')
  assert.deepEqual(followed, ['two'])
  await two.life.namespaces.seal(uuid)
  await assert.rejects(readText(one.life.barrier, `ns/${uuid}/data/a`), /sealed/)
  const [a, , c] = made.keys.map((key) => Buffer.from(key)) as [Buffer, Buffer, Buffer]
  await one.life.namespaces.unseal(uuid, hex(a))
  assert.equal((await two.life.namespaces.status(uuid))?.progress, 1)
  await two.life.namespaces.unseal(uuid, hex(c))
  assert.equal(await readText(one.life.barrier, `ns/${uuid}/data/a`), 'theirs')
  const late = processOf(machine, storage)
  await late.life.autoUnseal()
  assert.equal(await readText(late.life.barrier, `ns/${uuid}/data/a`), 'theirs')
  for (const { root } of two.told) if (root) assert.ok(root.key.every((byte) => byte === 0))
})

test('one turn at a time; the turn of a process that dies goes on', async () => {
  const machine = relay()
  const member = (): Member => ({ follow: async () => undefined, shared: async () => [], kill: () => undefined })
  const [one, two, three] = [member(), member(), member()]
  const order: string[] = []
  await machine.turn(one)
  const second = machine.turn(two).then(() => order.push('two'))
  const third = machine.turn(three).then(() => order.push('three'))
  machine.endTurn(two)
  await pause(5)
  assert.deepEqual(order, [], 'only who has the turn can give it on')
  machine.leave(one)
  await second
  machine.leave(three)
  machine.endTurn(two)
  await pause(5)
  assert.deepEqual(order, ['two'])
  await machine.turn(one)
  void third
})

test('who cannot follow, or not in time, is ended, and nobody waits for it', async () => {
  const machine = relay(20)
  const ended: string[] = []
  const member = (name: string, follow: () => Promise<void>): Member => {
    const made: Member = {
      follow,
      shared: async () => [],
      kill(why) {
        ended.push(`${name}: ${why}`)
        dead.resolve()
      },
    }
    return made
  }
  const dead = Promise.withResolvers<void>()
  const one = member('one', async () => undefined)
  const failing = member('failing', () => Promise.reject(new Error('no')))
  // A process that hangs answers when it is dead: then its calls reject.
  const hanging = member('hanging', () => dead.promise.then(() => Promise.reject(new Error('gone'))))
  for (const each of [one, failing]) await machine.ask(each)
  const state = { namespace: '', nonce: 'n', shares: [Buffer.alloc(4, 1)], root: undefined, sealing: 0 }
  await machine.tell(one, state)
  assert.deepEqual(ended, ['failing: it could not follow'])
  assert.ok(
    state.shares[0]?.every((byte) => byte === 0),
    'nothing is kept where it passed',
  )
  machine.leave(failing)
  await machine.ask(hanging)
  await machine.tell(one, { ...state, shares: [] })
  assert.match(ended[1] as string, /hanging: it did not follow in time|could not follow/)
})
