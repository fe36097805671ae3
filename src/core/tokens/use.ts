// Counting the uses of use-limited tokens, and renewal: the two ways in which a stored token changes.
import { invalid } from '../../sdk/errors.ts'
import type { Writer } from '../../storage/storage.ts'
import { deleteDue, putDue } from '../due.ts'
import { dueKinds, type FoundToken, placeId, type TokenRecord, tokenRecords } from './record.ts'
import { type GrantedTtl, grantTtl, type TtlLimits } from './ttl.ts'

/** What spending a use led to. */
export interface SpentUse {
  /** Nothing is left: after the handler, in the same transaction, the token must be ended (`endUse`). */
  readonly last: boolean
  /** The token with its new count. */
  readonly found: FoundToken
}

/**
 * Spends one use in this transaction; its commit fails when another spent one meanwhile, and the transaction is run again. The last use
 * leaves -1, so that no other transaction finds the token any more. Tokens without a limit are left as they are.
 */
export function spendUse(tx: Writer, found: FoundToken): SpentUse {
  const { record } = found
  if (record.numUses <= 0) return { last: false, found }
  const last = record.numUses === 1
  const spent: TokenRecord = { ...record, numUses: last ? -1 : record.numUses - 1 }
  tokenRecords(record.namespaceUuid).put(tx, record.key, spent)
  return { last, found: { ...found, record: spent } }
}

/** Under which terms a token is renewed, as its role or login method has them now. Seconds; 0: none. */
export interface RenewalTerms {
  readonly ttlSeconds: number
  readonly maxTtlSeconds: number
  readonly periodSeconds: number
  readonly explicitMaxTtlSeconds: number
}

/** Whether a token can be renewed at all; throws 400 with the reason. */
export function checkRenewable({ type, renewable, expireTime }: TokenRecord): void {
  if (type === 'batch') throw invalid('batch tokens cannot be renewed')
  if (expireTime === 0 || !renewable) throw invalid('lease is not renewable')
}

/** Renews a token in this transaction and moves its due key. Throws 400 when it cannot be renewed. */
export function renewToken(
  tx: Writer,
  record: TokenRecord,
  limits: TtlLimits,
  terms: RenewalTerms,
  asked: { readonly incrementSeconds: number; readonly now: number },
): GrantedTtl & { readonly record: TokenRecord } {
  checkRenewable(record)
  const { now } = asked
  const granted = grantTtl(limits, { ...terms, ...asked, startTime: record.createdTime })
  const renewed: TokenRecord = {
    ...record,
    leaseTtlSeconds: granted.ttlSeconds,
    expireTime: now + granted.ttlSeconds * 1000,
    lastRenewalTime: now,
  }
  deleteDue(tx, dueKinds.expiry, placeId(record), record.expireTime)
  putDue(tx, { kind: dueKinds.expiry, id: placeId(record), at: renewed.expireTime })
  tokenRecords(record.namespaceUuid).put(tx, record.key, renewed)
  return { ...granted, record: renewed }
}
