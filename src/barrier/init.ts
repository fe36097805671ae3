// Initialising a store: root key, first term, first slot, shares, recovery keys and root token in one transaction. When
// several try at once one wins; when anything fails nothing is there.
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { generateKey } from '../crypto/aead.ts'
import { encryptToPgp } from '../crypto/pgp.ts'
import { invalid } from '../sdk/errors.ts'
import { OutcomeUnknown, type Writer } from '../storage/storage.ts'
import { recoveryDigest } from './authority.ts'
import { writerUnder } from './barrier.ts'
import { newestFormat, putFormat } from './format.ts'
import { defaultRotateConfig, Keyring, newTerm } from './keyring.ts'
import type { KeyringRecord, SlotsRecord } from './records.ts'
import type { SealScope } from './scope.ts'
import { checkShares, type MadeShares, makeShares, readPgpKeys, type SharesSpec } from './shares.ts'
import { makeShamirSlot, makeStaticSlot, type StaticKey } from './slots.ts'

export interface InitWanted {
  readonly secret: SharesSpec
  readonly recovery: SharesSpec
  /** Base64 of a PGP public key; "" leaves the root token in clear. */
  readonly rootTokenPgpKey: string
}

export interface InitResult {
  /** Unseal keys; none where the store unseals itself. */
  readonly keys: readonly Buffer[]
  readonly recoveryKeys: readonly Buffer[]
  /** The token, or base64 of a PGP message that holds it. */
  readonly rootToken: string
}

const none: MadeShares = { keys: [], fingerprints: [] }

/** Refuses parameters that belong to the other kind of seal, in Vault's words. */
function checkKind({ secret, recovery }: InitWanted, type: 'shamir' | 'static'): void {
  const given = (prefix: string, spec: SharesSpec): string[] => [
    ...(spec.shares !== 0 ? [`${prefix}_shares`] : []),
    ...(spec.threshold !== 0 ? [`${prefix}_threshold`] : []),
    ...(spec.pgpKeys.length > 0 ? [prefix === 'secret' ? 'pgp_keys' : 'recovery_pgp_keys'] : []),
  ]
  const wrong = type === 'static' ? given('secret', secret) : given('recovery', recovery)
  if (wrong.length > 0) throw invalid(`parameters ${wrong.join(',')} not applicable to seal type ${type}`)
}

/**
 * Initialises the store under a Shamir seal, or under the current static key when there is one. `createRootToken` writes the store's
 * first records and the token through the given writer. 400 for bad parameters and for a store that is initialised already.
 */
export async function initializeStore(
  scope: SealScope,
  staticKey: StaticKey | undefined,
  wanted: InitWanted,
  createRootToken: (tx: Writer) => Promise<string>,
): Promise<InitResult> {
  const type = staticKey ? 'static' : 'shamir'
  checkKind(wanted, type)
  if (staticKey) await checkShares(wanted.recovery, 'invalid recovery configuration', true)
  else await checkShares(wanted.secret, 'invalid seal configuration')
  const tokenTo = wanted.rootTokenPgpKey === '' ? [] : await readPgpKeys([wanted.rootTokenPgpKey])

  let made: { readonly result: InitResult; readonly record: KeyringRecord } | undefined
  const attempt = async (raw: Writer): Promise<typeof made> => {
    if (await scope.records.keyring(raw)) throw invalid('Vault is already initialized')
    const { prefix, now } = scope
    const place = { prefix, now, rootKey: generateKey(), rootId: randomUUID() }
    const { slot, slotKey } = staticKey
      ? makeStaticSlot(place, { name: 'static', key: staticKey })
      : makeShamirSlot(place, { name: 'shamir', shares: wanted.secret.shares, threshold: wanted.secret.threshold })
    const secret = staticKey ? none : await makeShares(slotKey, wanted.secret)

    let recovery: MadeShares = none
    let verifier: (SlotsRecord['recovery'] & { digest: string }) | undefined
    if (staticKey && wanted.recovery.shares > 0) {
      const key = generateKey()
      recovery = await makeShares(key, wanted.recovery)
      const bytes = key.export()
      verifier = { shares: wanted.recovery.shares, threshold: wanted.recovery.threshold, digest: recoveryDigest(bytes) }
      bytes.fill(0)
    }

    const term = newTerm(1, now)
    const keyring = new Keyring({
      rootKey: place.rootKey,
      rootId: place.rootId,
      terms: new Map([[1, term]]),
      active: term,
      slotKeys: new Map([[slot.id, slotKey]]),
      config: defaultRotateConfig,
      recovery: verifier,
    })
    const tx = writerUnder(raw, { keyring, refresh: async () => undefined, reserve: async () => undefined })
    const token = await createRootToken(tx)
    const [to] = tokenTo
    const rootToken = to ? (await encryptToPgp(to, Buffer.from(token, 'utf8'))).toString('base64') : token

    const shown = verifier && { recovery: { shares: verifier.shares, threshold: verifier.threshold } }
    const record = scope.wrap(keyring)
    scope.records.putKeyring(raw, record)
    scope.records.putSlots(raw, { format: 1, storeId: randomUUID(), type, ...shown, slots: [slot] })
    putFormat(raw, newestFormat)
    scope.records.counts.put(raw, '1', { reserved: -term.remaining })
    keyring.destroy()
    return { record, result: { keys: secret.keys, recoveryKeys: recovery.keys, rootToken } }
  }
  try {
    await scope.storage.update(async (raw) => {
      made = await attempt(raw)
    })
  } catch (error) {
    // A commit without an answer may have happened; then the keys must be handed out, for nobody else has them.
    if (!(error instanceof OutcomeUnknown) || !made || !(await scope.committed(made.record))) throw error
  }
  return (made as NonNullable<typeof made>).result
}
