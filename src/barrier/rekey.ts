// Rekey and the rotate families: new shares and a new root key, or new recovery keys, proved by the old shares. Progress lies
// behind the barrier, so any node can take the next share. The last share changes everything in one transaction or nothing.
import { createSecretKey, type KeyObject, randomUUID } from 'node:crypto'
import { AuthenticationFailed, generateKey } from '../crypto/aead.ts'
import { type ApiError, invalid } from '../sdk/errors.ts'
import { collection } from '../storage/collection.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { authorityOf, combined, judgeShares, recoveryDigest, unsealsItself } from './authority.ts'
import type { Keyring } from './keyring.ts'
import { type SlotsRecord, toBytes, toText } from './records.ts'
import type { Change, ChangeContext, SealScope } from './scope.ts'
import { checkShares, hasShare, type MadeShares, makeShares, readPgpKeys, type SharesSpec } from './shares.ts'
import { primaryShamir, unwrapKey, wrapKey } from './slots.ts'

/** What is made anew. */
export type RekeyTarget = 'root' | 'recovery'
/** Whose words errors use: `sys/rekey/*` or `sys/rotate/*`. */
export type RekeyFamily = 'rekey' | 'rotation'

export interface RekeyWanted extends SharesSpec {
  readonly backup: boolean
  readonly requireVerification: boolean
}

export interface RekeyStatus {
  readonly started: boolean
  readonly nonce: string
  readonly shares: number
  readonly threshold: number
  readonly progress: number
  /** Shares that prove authority. */
  readonly required: number
  readonly fingerprints: readonly string[]
  readonly backup: boolean
  readonly verificationRequired: boolean
  readonly verificationNonce: string
}

/** The last share was given: the new shares (none where the store unseals itself and the root key was the target). */
export interface RekeyDone extends MadeShares {
  readonly backup: boolean
  readonly verificationRequired: boolean
  readonly verificationNonce: string
}

export interface VerifyStatus {
  readonly started: boolean
  readonly nonce: string
  readonly shares: number
  readonly threshold: number
  readonly progress: number
}

/** PGP-encrypted shares by fingerprint, hex. */
export interface RekeyBackup {
  readonly nonce: string
  readonly keys: Readonly<Record<string, readonly string[]>>
}

interface RekeyRecord extends RekeyWanted {
  readonly nonce: string
  readonly fingerprints: readonly string[]
  readonly parts: readonly string[]
  /** Set once the new shares are out: the new key (under the root key) that they must prove. */
  readonly verification?: Held
}

interface Held {
  readonly nonce: string
  readonly key: string
  readonly parts: readonly string[]
}

export interface Rekey {
  status(target: RekeyTarget): Promise<RekeyStatus>
  /** Starts; with `rotation` and no recovery keys so far, new recovery keys are made at once (the caller is authorised by token). */
  start(target: RekeyTarget, wanted: RekeyWanted, family: RekeyFamily): Promise<RekeyDone | undefined>
  update(target: RekeyTarget, share: Uint8Array, nonce: string, family: RekeyFamily): Promise<RekeyDone | undefined>
  cancel(target: RekeyTarget): Promise<void>
  verifyStatus(target: RekeyTarget, family: RekeyFamily): Promise<VerifyStatus>
  /** Takes a new share; the nonce when all are proved and the change is made, undefined while more are needed. */
  verify(target: RekeyTarget, share: Uint8Array, nonce: string, family: RekeyFamily): Promise<string | undefined>
  restartVerify(target: RekeyTarget, family: RekeyFamily): Promise<VerifyStatus>
  backup(target: RekeyTarget): Promise<RekeyBackup>
  deleteBackup(target: RekeyTarget): Promise<void>
}

const records = collection<RekeyRecord>('barrier/rekey/')
const backups = collection<RekeyBackup>('barrier/backup/')

const words = {
  rekey: {
    busy: 'rekey already in progress',
    idle: { root: 'no barrier rekey in progress', recovery: 'no recovery rekey in progress' },
    unknown: 'no rekey configuration found',
    nonce: 'incorrect nonce supplied; nonce for this rekey operation is',
    twice: 'given key has already been provided during this generation operation',
    done: 'rekey operation already finished; verification must be performed; nonce for the verification operation is',
    config: 'invalid rekey seal configuration',
    noVerify: 'requiring verification not supported when rekeying the barrier key with recovery keys',
    verifyIdle: 'no rekey verification in progress',
    verifyFailed: 'rekey verification failed; incorrect key shares supplied',
  },
  rotation: {
    busy: 'rotation already in progress',
    idle: { root: 'no rotation in progress', recovery: 'no rotation in progress' },
    unknown: 'no rotation configuration found',
    nonce: 'incorrect nonce supplied; nonce for rotation is',
    twice: 'given key has already been provided during this rotation',
    done: 'rotation already finished; verification must be performed; nonce for the verification operation is',
    config: 'invalid rotate seal configuration',
    noVerify: 'requiring verification not supported when rotating the barrier key with recovery keys',
    verifyIdle: 'no rotation verification in progress',
    verifyFailed: 'rotation verification failed; incorrect key shares supplied',
  },
} as const

/** An outcome that must be committed although the client hears an error (wrong shares clear the progress). */
type Outcome<T> = { readonly value: T } | { readonly error: ApiError }
const settled = <T>(outcome: Outcome<T>): T => {
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

function checkTarget(target: RekeyTarget, slots: SlotsRecord): void {
  if (target === 'recovery' && !unsealsItself(slots)) throw invalid('recovery keys not supported')
}

/** Checks a request against the seal in force; what comes back is what is done (a store that unseals itself gets no shares). */
async function checkWanted(
  target: RekeyTarget,
  wanted: RekeyWanted,
  slots: SlotsRecord,
  family: RekeyFamily,
): Promise<RekeyWanted> {
  checkTarget(target, slots)
  if (wanted.backup && wanted.pgpKeys.length === 0)
    throw invalid('cannot request a backup of the new keys without providing PGP keys for encryption')
  if (target === 'recovery') {
    await checkShares(wanted, 'invalid recovery configuration')
    return wanted
  }
  if (unsealsItself(slots)) {
    if (wanted.pgpKeys.length > 0) throw invalid('PGP key encryption not supported when using stored keys')
    if (wanted.backup) throw invalid('key backup not supported when using stored keys')
    if (wanted.requireVerification) throw invalid(words[family].noVerify)
    return { ...wanted, shares: 1, threshold: 1 }
  }
  if (wanted.pgpKeys.length > 0 && wanted.pgpKeys.length !== wanted.shares)
    throw invalid('incorrect number of PGP keys for rekey')
  await checkShares(wanted, words[family].config)
  return wanted
}

/** Makes the new key the one in force. */
async function applied(
  target: RekeyTarget,
  context: ChangeContext,
  { shares, threshold }: SharesSpec,
  key: KeyObject | undefined,
): Promise<Omit<Change<never>, 'result'>> {
  const { keyring, slots } = context
  if (target === 'recovery') {
    const raw = (key as KeyObject).export()
    const recovery = { shares, threshold, digest: recoveryDigest(raw) }
    raw.fill(0)
    return { keyring: keyring.with({ recovery }), slots: { ...slots, recovery: { shares, threshold } } }
  }
  const slot = key && primaryShamir(slots)
  if (!slot) return context.newRoot(keyring, slots)
  const created = new Date(context.now).toISOString()
  const changed = slots.slots.map((other) => (other.id === slot.id ? { ...slot, shares, threshold, created } : other))
  const slotKeys = new Map([...keyring.parts.slotKeys, [slot.id, key]])
  return context.newRoot(keyring.with({ slotKeys }), { ...slots, slots: changed })
}

function putBackup(tx: Writer, target: RekeyTarget, nonce: string, made: MadeShares): void {
  const keys: Record<string, string[]> = {}
  for (const [index, fingerprint] of made.fingerprints.entries()) {
    keys[fingerprint] ??= []
    keys[fingerprint].push(made.keys[index]?.toString('hex') ?? '')
  }
  backups.put(tx, target, { nonce, keys })
}

/** Authority is proved: makes the new key and its shares; in force at once, or held until its shares are proved. */
async function finish(
  target: RekeyTarget,
  context: ChangeContext,
  record: RekeyRecord,
): Promise<Change<Outcome<RekeyDone>>> {
  const { tx, keyring, slots } = context
  const withShares = target === 'recovery' || !unsealsItself(slots)
  const key = withShares ? generateKey() : undefined
  const made = key ? await makeShares(key, record) : { keys: [], fingerprints: [] }
  if (record.backup) putBackup(tx, target, record.nonce, made)
  if (record.requireVerification && key) {
    const verification = heldAnew(keyring, target, key)
    records.put(tx, target, { ...record, parts: [], verification })
    const done = { ...made, backup: record.backup, verificationRequired: true, verificationNonce: verification.nonce }
    return { result: { value: done } }
  }
  records.delete(tx, target)
  const done: RekeyDone = { ...made, backup: record.backup, verificationRequired: false, verificationNonce: '' }
  return { result: { value: done }, ...(await applied(target, context, record, key)) }
}

/** The new key that waits for its shares to be proved; undefined when the root key that wraps it is gone. */
function heldKey(keyring: Keyring, target: RekeyTarget, { nonce, key }: Held): KeyObject | undefined {
  try {
    return unwrapKey(keyring.parts.rootKey, key, `rekey ${target} ${nonce}`)
  } catch (error) {
    if (error instanceof AuthenticationFailed) return undefined
    throw error
  }
}

/** Holds the new key under another nonce, with no share proved. */
function heldAnew(keyring: Keyring, target: RekeyTarget, key: KeyObject): Held {
  const nonce = randomUUID()
  return { nonce, key: wrapKey(keyring.parts.rootKey, key, `rekey ${target} ${nonce}`), parts: [] }
}

const rootMoved = () => invalid('the root key changed since the new shares were made; start again')

/** The rekey machinery of a store: `storage` is its barrier, `scope` its keys. */
export function createRekey(scope: SealScope, storage: Storage): Rekey {
  const slotsNow = async (): Promise<SlotsRecord> => {
    const slots = await scope.storage.view((tx) => scope.records.slots(tx))
    if (!slots) throw invalid('server is not yet initialized')
    return slots
  }
  const recordNow = (target: RekeyTarget) => storage.view((tx) => records.get(tx, target))

  const verifyStatus = async (target: RekeyTarget, family: RekeyFamily): Promise<VerifyStatus> => {
    const record = await recordNow(target)
    if (!record) throw invalid(words[family].unknown)
    const { shares, threshold, verification } = record
    const progress = verification?.parts.length ?? 0
    return { started: verification !== undefined, nonce: verification?.nonce ?? '', shares, threshold, progress }
  }

  return {
    async status(target) {
      const record = await recordNow(target)
      const slots = await slotsNow()
      checkTarget(target, slots)
      return {
        started: record !== undefined,
        nonce: record?.nonce ?? '',
        shares: record?.shares ?? 0,
        threshold: record?.threshold ?? 0,
        progress: record?.parts.length ?? 0,
        required: authorityOf(slots)?.threshold ?? 0,
        fingerprints: record?.fingerprints ?? [],
        backup: record?.backup ?? false,
        verificationRequired: record?.requireVerification ?? false,
        verificationNonce: record?.verification?.nonce ?? '',
      }
    },

    async start(target, wanted, family) {
      const checked = await checkWanted(target, wanted, await slotsNow(), family)
      const fingerprints = (await readPgpKeys(checked.pgpKeys)).map((key) => key.fingerprint)
      const outcome = await scope.change<Outcome<RekeyDone | undefined>>(async (context) => {
        const { tx, slots } = context
        checkTarget(target, slots)
        if (await records.has(tx, target)) throw invalid(words[family].busy)
        const record: RekeyRecord = { ...checked, nonce: randomUUID(), fingerprints, parts: [] }
        if (authorityOf(slots)) {
          records.put(tx, target, record)
          return { result: { value: undefined } }
        }
        // Nobody holds shares yet. Only who is authorised by a token may have the first ones made.
        if (target === 'recovery' && family === 'rotation') return finish(target, context, record)
        throw invalid('no recovery keys exist; make them with sys/rotate/recovery/init')
      })
      return settled(outcome)
    },

    async update(target, share, nonce, family) {
      const say = words[family]
      const outcome = await scope.change<Outcome<RekeyDone | undefined>>(async (context) => {
        const { tx, keyring, slots } = context
        const record = await records.get(tx, target)
        if (!record) throw invalid(say.idle[target])
        if (record.verification) throw invalid(`${say.done} "${record.verification.nonce}"`)
        if (nonce !== record.nonce) throw invalid(`${say.nonce} "${record.nonce}"`)
        const parts = record.parts.map(toBytes)
        if (hasShare(parts, share)) throw invalid(say.twice)
        parts.push(toBytes(toText(share)))
        const verdict = await judgeShares(parts, keyring, slots)
        if (verdict === 'proved') return finish(target, context, record)
        const kept = verdict === 'more' ? [...record.parts, toText(share)] : []
        records.put(tx, target, { ...record, parts: kept })
        if (verdict === 'more') return { result: { value: undefined } }
        const what = authorityOf(slots)?.kind === 'recovery' ? 'recovery' : 'root'
        return {
          result: { error: invalid(`${what} key verification failed: the key shares given are not the right ones`) },
        }
      })
      return settled(outcome)
    },

    cancel: (target) => storage.update(async (tx) => records.delete(tx, target)),

    verifyStatus,

    async verify(target, share, nonce, family) {
      const say = words[family]
      const outcome = await scope.change<Outcome<string | undefined>>(async (context) => {
        const { tx, keyring } = context
        const record = await records.get(tx, target)
        if (!record) throw invalid(say.idle[target])
        const { verification } = record
        if (!verification) throw invalid(say.verifyIdle)
        if (nonce !== verification.nonce)
          throw invalid(`incorrect nonce supplied; nonce for this verify operation is "${verification.nonce}"`)
        const parts = verification.parts.map(toBytes)
        if (hasShare(parts, share)) throw invalid('given key has already been provided during this verify operation')
        parts.push(toBytes(toText(share)))
        if (parts.length < record.threshold) {
          const now = { ...verification, parts: [...verification.parts, toText(share)] }
          records.put(tx, target, { ...record, verification: now })
          return { result: { value: undefined } }
        }
        const key = heldKey(keyring, target, verification)
        if (!key) {
          records.delete(tx, target)
          return { result: { error: rootMoved() } }
        }
        const given = await combined(parts)
        if (given && key.equals(createSecretKey(given))) {
          given.fill(0)
          records.delete(tx, target)
          return { result: { value: verification.nonce }, ...(await applied(target, context, record, key)) }
        }
        records.put(tx, target, { ...record, verification: heldAnew(keyring, target, key) })
        return { result: { error: invalid(say.verifyFailed) } }
      })
      return settled(outcome)
    },

    async restartVerify(target, family) {
      await scope.change(async ({ tx, keyring }) => {
        const record = await records.get(tx, target)
        const key = record?.verification && heldKey(keyring, target, record.verification)
        if (record && key) records.put(tx, target, { ...record, verification: heldAnew(keyring, target, key) })
        return { result: undefined }
      })
      return verifyStatus(target, family)
    },

    async backup(target) {
      const found = await storage.view((tx) => backups.get(tx, target))
      if (!found) throw invalid('no backed-up keys found')
      return found
    },

    deleteBackup: (target) => storage.update(async (tx) => backups.delete(tx, target)),
  }
}
