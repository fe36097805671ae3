// sys/init, seal-status, unseal, seal, health and their like: what a server says and does about its keys. Most answers
// are raw, without an envelope, since clients read them before there is anything else.
import type { Lifecycle } from '../barrier/lifecycle.ts'
import { bool, int, invalid, list, type Operation, path, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { rawJson } from './raw-json.ts'
import { generateRootOperations } from './seal-generate-root.ts'
import { keyringOperations } from './seal-keyring.ts'
import { rekeyOperations } from './seal-rekey.ts'
import { slotOperations } from './seal-slots.ts'
import { type SealFacts, sealStatusReply, statusFields, statusOperations } from './seal-status.ts'

/** Operations on init, seal, health and keys. `healthy` tells whether audit works; it turns health red. */
export function sealOperations(lifecycle: Lifecycle, facts: SealFacts, healthy: () => boolean): Operation[] {
  const init = path('init', {}, 'Initialisation of the store.')
  const unseal = path('unseal', {}, 'Unsealing with key shares.')

  return [
    ...statusOperations(lifecycle, facts, { healthy }),
    init.lifecycle('write', {
      summary: 'Initialise the store: keys, shares and root token are made, once.',
      input: {
        secret_shares: int('Shares of the unseal key.').default(0),
        secret_threshold: int('Shares that unseal.').default(0),
        pgp_keys: list('PGP public keys (base64), one per share.').default([]),
        recovery_shares: int('Shares of the recovery key, where the store unseals itself.').default(0),
        recovery_threshold: int('Shares that prove the recovery key.').default(0),
        recovery_pgp_keys: list('PGP public keys (base64), one per recovery share.').default([]),
        root_token_pgp_key: str('PGP public key (base64) for the root token.').default(''),
      },
      output: {
        keys: list('Unseal shares, hex.'),
        keys_base64: list('Unseal shares, base64.'),
        recovery_keys: list('Recovery shares, hex.'),
        recovery_keys_base64: list('Recovery shares, base64.'),
        root_token: str('The root token.').sensitive(),
      },
      async run(input) {
        const made = await lifecycle.initialize({
          secret: { shares: input.secret_shares, threshold: input.secret_threshold, pgpKeys: input.pgp_keys },
          recovery: {
            shares: input.recovery_shares,
            threshold: input.recovery_threshold,
            pgpKeys: input.recovery_pgp_keys,
          },
          rootTokenPgpKey: input.root_token_pgp_key,
        })
        return rawJson({
          keys: made.keys.map((key) => key.toString('hex')),
          keys_base64: made.keys.map((key) => key.toString('base64')),
          ...(made.recoveryKeys.length > 0 && {
            recovery_keys: made.recoveryKeys.map((key) => key.toString('hex')),
            recovery_keys_base64: made.recoveryKeys.map((key) => key.toString('base64')),
          }),
          root_token: made.rootToken,
        })
      },
    }),
    unseal.lifecycle('write', {
      summary: 'Give a share of the unseal key.',
      input: {
        key: str('A share, hex or base64.').sensitive().default(''),
        reset: bool('Forget the shares given so far.').default(false),
        migrate: bool('Seals are changed with sys/x/seal/slots instead; refused.').default(false),
      },
      output: statusFields,
      async run({ key, reset, migrate }) {
        if (migrate) throw invalid("can't perform a seal migration, no migration seal found")
        return sealStatusReply(lifecycle, facts, await lifecycle.unseal({ key, reset }))
      },
    }),
    path('seal', {}, 'Sealing.').write({
      summary: 'Seal this server: its keys are dropped from memory.',
      sudo: true,
      run(_, context) {
        inRoot(context)
        return { status: 204, finish: () => lifecycle.seal() }
      },
    }),
    ...keyringOperations(lifecycle),
    ...rekeyOperations(lifecycle),
    ...generateRootOperations(lifecycle),
    ...slotOperations(lifecycle),
  ]
}
