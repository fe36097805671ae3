// The keys of a server in recovery mode: it starts sealed whatever the seal, and holders of enough shares open it by making a recovery
// token. Of the token only a digest stays, in memory; nothing here writes to the store by itself, and nothing follows a clock.
import { createHash } from 'node:crypto'
import { sameBytes } from '../crypto/hmac.ts'
import { randomText } from '../lib/random.ts'
import { invalid } from '../sdk/errors.ts'
import type { Storage } from '../storage/storage.ts'
import { authorityOf } from './authority.ts'
import { type Barrier, clearPrefix, createBarrier } from './barrier.ts'
import { createNamespaceSeals, type NamespaceSeals } from './namespace-seal.ts'
import { SealScope } from './scope.ts'
import { readSealStatus, type SealStatus } from './seal-status.ts'
import { ShareProgress } from './shares.ts'
import type { StaticKey } from './slots.ts'
import {
  type Attempt,
  type AttemptResult,
  attemptRefusals,
  beginAttempt,
  checkAttempt,
  encodeFor,
  otpLength,
  type TokenAttempts,
} from './token-attempt.ts'
import { openByStatic, readSeal, type StoredSeal, tryShares } from './unseal.ts'

const tokenPrefix = 'hvr.'

export interface RecoveryOptions {
  readonly storage: Storage
  /** Keys of the configured `seal "static"` stanzas: recovery keys open a store only together with them. */
  readonly staticKeys: readonly StaticKey[]
  readonly now?: () => number
  /** The keys are in memory and nobody has the token yet: declares the namespaces under other keys. When it throws, the keys are dropped. */
  opened(barrier: Barrier, namespaces: NamespaceSeals): Promise<void>
  warn(message: string, cause: unknown): void
}

export interface Recovery {
  /** The store; sealed until a token is made. */
  readonly barrier: Barrier
  readonly sealed: boolean
  initialized(): Promise<boolean>
  status(): Promise<SealStatus>
  /** The ceremony that opens the store and makes the token, once in the life of the process. */
  readonly tokens: TokenAttempts
  /** Whether this is the recovery token of this process. */
  admits(token: string | undefined): boolean
  /** Drops token and keys. */
  close(): Promise<void>
}

const digestOf = (token: string): Uint8Array => createHash('sha256').update(token).digest()

/** Makes the keys of a store in recovery mode. */
export function createRecovery(options: RecoveryOptions): Recovery {
  const { storage, staticKeys, now = Date.now, warn } = options
  const scope: SealScope = new SealScope({
    storage,
    prefix: clearPrefix,
    now,
    writerOver: (tx) => barrier.writerOver(tx),
    selfOpen: ({ rootId }, slots) => openByStatic(clearPrefix, rootId, slots, staticKeys)?.rootKey,
    warn,
  })
  const barrier: Barrier = createBarrier(storage, scope)
  // Nothing seals a namespace in recovery mode.
  const namespaces = createNamespaceSeals(barrier, { now, moved: () => undefined })
  const progress = new ShareProgress()
  let attempt: Attempt | undefined
  let token: Uint8Array | undefined
  let queue: Promise<unknown> = Promise.resolve()
  /** One step of the ceremony at a time. */
  const inTurn = <T>(step: () => Promise<T>): Promise<T> => {
    const run = queue.then(step)
    queue = run.catch(() => undefined)
    return run
  }

  const end = (): void => {
    attempt = undefined
    progress.reset()
  }
  const stored = async (): Promise<StoredSeal> => {
    if (scope.keyring)
      throw invalid('a recovery token was made already; for another one restart the server in recovery mode')
    const seal = await readSeal(scope)
    if (!seal) throw invalid('server is not yet initialized')
    return seal
  }
  const drop = async (): Promise<void> => {
    token = undefined
    await namespaces.dropAll()
    await scope.release().catch((cause) => warn('giving back reserved encryptions failed', cause))
    scope.drop()
  }
  /** Makes the token of a store that has just been opened; the keys are dropped again when that fails. */
  const makeToken = async (current: Attempt): Promise<string> => {
    try {
      await options.opened(barrier, namespaces)
      const made = tokenPrefix + randomText(otpLength - tokenPrefix.length)
      const encoded = await encodeFor(made, current)
      token = digestOf(made)
      return encoded
    } catch (error) {
      await drop()
      throw error
    }
  }

  const start: TokenAttempts['start'] = async (wanted) => {
    const { keyring, slots } = await stored()
    if (attempt) throw attemptRefusals.underWay()
    const authority = authorityOf(slots)
    if (!authority) throw invalid('this store has neither key shares nor recovery keys')
    if (authority.kind === 'recovery' && !openByStatic(clearPrefix, keyring.rootId, slots, staticKeys))
      throw invalid('recovery keys open this store only together with its static key: configure seal "static"')
    const begun = await beginAttempt(wanted)
    attempt = begun.attempt
    return { otp: begun.otp }
  }
  const update = async (share: Uint8Array, nonce: string): Promise<AttemptResult> => {
    const seal = await stored()
    const current = checkAttempt(attempt, nonce)
    if (!progress.add(Buffer.from(share))) throw attemptRefusals.repeated()
    const count = progress.parts.length
    const required = authorityOf(seal.slots)?.threshold ?? count
    const { fingerprint } = current
    const verdict = await tryShares(scope, progress.parts, seal, staticKeys)
    if (verdict === 'more') return { progress: count, required, complete: false, nonce, fingerprint, encodedToken: '' }
    progress.reset()
    if (verdict !== 'open') throw attemptRefusals.wrong()
    const encodedToken = await makeToken(current)
    end()
    return { progress: count, required: count, complete: true, nonce, fingerprint, encodedToken }
  }

  return {
    barrier,
    get sealed() {
      return scope.keyring === undefined
    },
    initialized: async () => (await readSeal(scope)) !== undefined,
    status: () => readSealStatus(scope, staticKeys, progress),
    tokens: {
      async status() {
        const seal = await readSeal(scope)
        return {
          started: attempt !== undefined,
          nonce: attempt?.nonce ?? '',
          progress: progress.parts.length,
          required: (seal && authorityOf(seal.slots)?.threshold) ?? 0,
          fingerprint: attempt?.fingerprint ?? '',
        }
      },
      start: (wanted) => inTurn(() => start(wanted)),
      update: (share, nonce) => inTurn(() => update(share, nonce)),
      cancel: () => inTurn(async () => end()),
    },
    admits: (text) => token !== undefined && text !== undefined && sameBytes(digestOf(text), token),
    close: () =>
      inTurn(async () => {
        end()
        await drop()
      }),
  }
}
