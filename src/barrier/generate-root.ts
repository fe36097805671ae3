// Generate-root: holders of enough shares make a root token that only who started the attempt can read (one-time password or
// PGP). Progress lies behind the barrier; the last share makes token and end of the attempt in one transaction.
import { Buffer } from 'node:buffer'
import { randomInt, randomUUID } from 'node:crypto'
import { encryptToPgp } from '../crypto/pgp.ts'
import { type ApiError, invalid } from '../sdk/errors.ts'
import { collection } from '../storage/collection.ts'
import type { Storage, Writer } from '../storage/storage.ts'
import { authorityOf, judgeShares } from './authority.ts'
import { toBytes, toText } from './records.ts'
import type { SealScope } from './scope.ts'
import { hasShare, readPgpKeys } from './shares.ts'

/** Characters of a root token, so of a one-time password: `hvs.` and 24 more. */
export const otpLength = 28

export interface GenerateRootStatus {
  readonly started: boolean
  readonly nonce: string
  readonly progress: number
  readonly required: number
  readonly fingerprint: string
}

export interface GenerateRootResult {
  readonly progress: number
  readonly required: number
  readonly complete: boolean
  readonly nonce: string
  readonly fingerprint: string
  /** Base64 of token xor one-time password, or of a PGP message; "" until complete. */
  readonly encodedToken: string
}

export interface GenerateRoot {
  status(): Promise<GenerateRootStatus>
  /** Starts an attempt; without password and PGP key it makes a password, and gives it back (this once). */
  start(wanted: { otp: string; pgpKey: string }): Promise<{ otp: string }>
  update(share: Uint8Array, nonce: string): Promise<GenerateRootResult>
  cancel(): Promise<void>
}

interface AttemptRecord {
  readonly nonce: string
  readonly otp: string
  readonly pgpKey: string
  readonly fingerprint: string
  readonly parts: readonly string[]
}

const attempts = collection<AttemptRecord>('barrier/generate-root/')
const id = 'attempt'
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const newOtp = (): string => Array.from({ length: otpLength }, () => alphabet[randomInt(alphabet.length)]).join('')

const xored = (a: Buffer, b: Buffer): Buffer => Buffer.from(a.map((byte, index) => byte ^ (b[index] as number)))

/** Encodes a token with a one-time password of the same length: unpadded base64 of the xor of both. */
export function encodeToken(token: string, otp: string): string {
  const [a, b] = [Buffer.from(token, 'utf8'), Buffer.from(otp, 'utf8')]
  if (a.length !== b.length) throw invalid('OTP string has incorrect length')
  return xored(a, b).toString('base64').replace(/=+$/, '')
}

/** Decodes what `encodeToken` made; 400 when the two do not fit. */
export function decodeToken(encoded: string, otp: string): string {
  if (encoded === '' || otp === '') throw invalid("provided 'encoded_token' or 'otp' is empty")
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded))
    throw invalid("error decoding base64'd token: 'encoded_token' is not base64")
  const [a, b] = [Buffer.from(encoded, 'base64'), Buffer.from(otp, 'utf8')]
  if (a.length !== b.length) throw invalid("error xoring token: 'encoded_token' and 'otp' have different lengths")
  return xored(a, b).toString('utf8')
}

/** The machinery of a store; `createRootToken` writes a new root token through the barrier and returns it. */
export function createGenerateRoot(
  scope: SealScope,
  storage: Storage,
  createRootToken: (tx: Writer) => Promise<string>,
): GenerateRoot {
  const encode = async (token: string, { otp, pgpKey }: AttemptRecord): Promise<string> => {
    if (otp !== '') return encodeToken(token, otp)
    const [to] = await readPgpKeys([pgpKey])
    return (await encryptToPgp(to as NonNullable<typeof to>, Buffer.from(token, 'utf8'))).toString('base64')
  }
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

    async start({ otp, pgpKey }) {
      const made = otp === '' && pgpKey === '' ? newOtp() : ''
      if (otp !== '' && Buffer.byteLength(otp, 'utf8') !== otpLength) throw invalid('OTP string has incorrect length')
      // With both given, the password is used, as Vault does.
      const pgp = otp === '' && pgpKey !== '' ? (await readPgpKeys([pgpKey], 'error parsing PGP key'))[0] : undefined
      const record = {
        nonce: randomUUID(),
        otp: otp || made,
        pgpKey: pgp ? pgpKey : '',
        fingerprint: pgp?.fingerprint ?? '',
      }
      await scope.change(async ({ tx, slots }) => {
        if (!authorityOf(slots)) throw invalid('no recovery keys exist; make them with sys/rotate/recovery/init')
        if (await attempts.has(tx, id)) throw invalid('root generation already in progress')
        attempts.put(tx, id, { ...record, parts: [] })
        return { result: undefined }
      })
      return { otp: made }
    },

    async update(share, nonce) {
      const outcome = await scope.change<GenerateRootResult | ApiError>(async ({ tx, keyring, slots }) => {
        const record = await attempts.get(tx, id)
        if (!record) throw invalid('no root generation in progress')
        if (nonce !== record.nonce)
          throw invalid(`incorrect nonce supplied; nonce for this root generation operation is "${record.nonce}"`)
        const parts = record.parts.map(toBytes)
        if (hasShare(parts, share))
          throw invalid('given key has already been provided during this generation operation')
        parts.push(toBytes(toText(share)))
        const progress = parts.length
        const required = authorityOf(slots)?.threshold ?? progress
        const { fingerprint } = record
        const verdict = await judgeShares(parts, keyring, slots)
        if (verdict === 'proved') {
          const encodedToken = await encode(await createRootToken(tx), record)
          attempts.delete(tx, id)
          return { result: { progress, required: progress, complete: true, nonce, fingerprint, encodedToken } }
        }
        attempts.put(tx, id, { ...record, parts: verdict === 'more' ? [...record.parts, toText(share)] : [] })
        if (verdict === 'more')
          return { result: { progress, required, complete: false, nonce, fingerprint, encodedToken: '' } }
        return { result: invalid('root generation aborted: the key shares given are not the right ones') }
      })
      if (outcome instanceof Error) throw outcome
      return outcome
    },

    cancel: () => storage.update(async (tx) => attempts.delete(tx, id)),
  }
}
