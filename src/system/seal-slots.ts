// sys/x/seal/slots: the ways to the root key. Coffer's own; nothing of it is Vault's.
import type { Lifecycle } from '../barrier/lifecycle.ts'
import type { SlotView } from '../barrier/slot-list.ts'
import { bool, int, list, missing, type Operation, path, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { changing } from './seal-keyring.ts'

const shown = (slot: SlotView) => ({
  id: slot.id,
  name: slot.name,
  kind: slot.kind,
  created: slot.created,
  ...(slot.kind === 'shamir' ? { n: slot.shares, t: slot.threshold } : { key_id: slot.keyId }),
  opens: slot.opens,
  reason: slot.reason,
})
const slotFields = {
  id: str('Id.'),
  name: str('Name.'),
  kind: str('"shamir" or "static".'),
  created: str('When it was made (RFC 3339).'),
  n: int('Shares (shamir).'),
  t: int('Shares needed (shamir).'),
  key_id: str('Which configured key (static).'),
  opens: bool('Whether it gives the root key in force, tried just now.'),
  reason: str('Why it does not.'),
}
interface AddInput {
  readonly kind: string
  readonly name: string
  readonly secret_shares: number
  readonly secret_threshold: number
  readonly pgp_keys: string[]
  readonly key_id: string
}

/** Operations on seal slots. */
export function slotOperations({ slots }: Lifecycle): Operation[] {
  const all = path('x/seal/slots', {}, 'Seal slots: each is a way to the root key.')
  const one = path('x/seal/slots/{id}', { id: str('Id or name of the slot.').required() }, 'One seal slot.')
  return [
    all.read({
      summary: 'List the seal slots and try each.',
      sudo: true,
      output: { slots: list('Slots.') },
      async run(_, context) {
        inRoot(context)
        return { data: { slots: (await slots.list()).map(shown) } }
      },
    }),
    all.write({
      summary: 'Add a seal slot on the live server.',
      sudo: true,
      input: {
        kind: str('"shamir" or "static".').required().oneOf(['shamir', 'static']),
        name: str('Name.').required(),
        secret_shares: int('Shares (shamir).').default(0),
        secret_threshold: int('Shares needed (shamir).').default(0),
        pgp_keys: list('PGP public keys (base64), one per share (shamir).').default([]),
        key_id: str('Which configured key (static); the current one without it.').default(''),
      },
      output: { ...slotFields, keys: list('Shares, hex (shamir).'), keys_base64: list('Shares, base64 (shamir).') },
      stages: changing(async (input: AddInput) => {
        if (input.kind === 'static')
          return { data: shown(await slots.addStatic({ name: input.name, keyId: input.key_id })) }
        const { slot, made } = await slots.addShamir({
          name: input.name,
          shares: input.secret_shares,
          threshold: input.secret_threshold,
          pgpKeys: input.pgp_keys,
        })
        return {
          data: {
            ...shown(slot),
            keys: made.keys.map((key) => key.toString('hex')),
            keys_base64: made.keys.map((key) => key.toString('base64')),
            ...(made.fingerprints.length > 0 && { pgp_fingerprints: made.fingerprints }),
          },
        }
      }),
    }),
    one.read({
      summary: 'Read a seal slot and try it.',
      sudo: true,
      output: slotFields,
      async run({ id }, context) {
        inRoot(context)
        const slot = (await slots.list()).find((other) => other.id === id || other.name === id)
        if (!slot) throw missing(`no seal slot "${id}"`)
        return { data: shown(slot) }
      },
    }),
    one.delete({
      summary: 'Remove a seal slot; never the last one that opens. The root key changes with it.',
      sudo: true,
      stages: changing(async ({ id }: { id: string }) => {
        await slots.remove(id)
        return undefined
      }),
    }),
  ]
}
