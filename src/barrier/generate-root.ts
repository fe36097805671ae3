// Generate-root: holders of enough shares make a root token that only who started the attempt can read (one-time password or
// PGP). Progress lies behind the barrier; the last share makes token and end of the attempt in one transaction.
import { type ApiError, invalid } from '../sdk/errors.ts'
import { collection } from '../storage/collection.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { authorityOf, judgeShares } from './authority.ts'
import { toBytes, toText } from './records.ts'
import type { SealScope } from './scope.ts'
import { hasShare } from './shares.ts'
import {
  type Attempt,
  type AttemptResult,
  attemptRefusals,
  beginAttempt,
  checkAttempt,
  encodeFor,
  type TokenAttempts,
} from './token-attempt.ts'

interface AttemptRecord extends Attempt {
  readonly parts: readonly string[]
}

const attempts = collection<AttemptRecord>('barrier/generate-root/')
const id = 'attempt'

/** The machinery of a store; `createRootToken` writes a new root token through the barrier and returns it. */
export function createGenerateRoot(
  scope: SealScope,
  storage: Storage,
  createRootToken: (tx: Writer) => Promise<string>,
): TokenAttempts {
  return {
    async status() {
      const record = await storage.view((tx) => attempts.get(tx, id))
      const slots = await scope.storage.view((tx) => scope.records.slots(tx))
      return {
        started: record !== undefined,
        nonce: record?.nonce ?? '',
        progress: record?.parts.length ?? 0,
        required: (slots && authorityOf(slots)?.threshold) ?? 0,
        fingerprint: record?.fingerprint ?? '',
      }
    },

    async start(wanted) {
      const { attempt, otp } = await beginAttempt(wanted)
      await scope.change(async ({ tx, slots }) => {
        if (!authorityOf(slots)) throw invalid('no recovery keys exist; make them with sys/rotate/recovery/init')
        if (await attempts.has(tx, id)) throw attemptRefusals.underWay()
        attempts.put(tx, id, { ...attempt, parts: [] })
        return { result: undefined }
      })
      return { otp }
    },

    async update(share, nonce) {
      const outcome = await scope.change<AttemptResult | ApiError>(async ({ tx, keyring, slots }) => {
        const record = checkAttempt(await attempts.get(tx, id), nonce)
        const parts = record.parts.map(toBytes)
        if (hasShare(parts, share)) throw attemptRefusals.repeated()
        parts.push(toBytes(toText(share)))
        const progress = parts.length
        const required = authorityOf(slots)?.threshold ?? progress
        const { fingerprint } = record
        const verdict = await judgeShares(parts, keyring, slots)
        if (verdict === 'proved') {
          const encodedToken = await encodeFor(await createRootToken(tx), record)
          attempts.delete(tx, id)
          return { result: { progress, required: progress, complete: true, nonce, fingerprint, encodedToken } }
        }
        attempts.put(tx, id, { ...record, parts: verdict === 'more' ? [...record.parts, toText(share)] : [] })
        if (verdict === 'more')
          return { result: { progress, required, complete: false, nonce, fingerprint, encodedToken: '' } }
        return { result: attemptRefusals.wrong() }
      })
      if (outcome instanceof Error) throw outcome
      return outcome
    },

    cancel: () => storage.update(async (tx) => attempts.delete(tx, id)),
  }
}
