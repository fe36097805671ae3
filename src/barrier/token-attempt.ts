// What making a root token and making a recovery token have in common: an attempt, a one-time password or PGP key, and the token that
// comes out encoded, so that only who began the attempt can read it.
import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { encryptToPgp } from '../crypto/pgp.ts'
import { randomText } from '../lib/random.ts'
import { invalid } from '../sdk/errors.ts'
import { readPgpKeys } from './shares.ts'

/** Characters of a token, so of a one-time password: `hvs.` or `hvr.` and 24 more. */
export const otpLength = 28

/** How far an attempt is. */
export interface AttemptStatus {
  readonly started: boolean
  readonly nonce: string
  readonly progress: number
  readonly required: number
  readonly fingerprint: string
}

export interface AttemptResult {
  readonly progress: number
  readonly required: number
  readonly complete: boolean
  readonly nonce: string
  readonly fingerprint: string
  /** Base64 of token xor one-time password, or of a PGP message; "" until complete. */
  readonly encodedToken: string
}

/** A ceremony: holders of enough shares make a token together. */
export interface TokenAttempts {
  status(): Promise<AttemptStatus>
  /** Starts an attempt; without password and PGP key it makes a password, and gives it back (this once). */
  start(wanted: AttemptWanted): Promise<{ otp: string }>
  update(share: Uint8Array, nonce: string): Promise<AttemptResult>
  cancel(): Promise<void>
}

export interface AttemptWanted {
  readonly otp: string
  readonly pgpKey: string
}

/** An attempt under way, without the shares given. */
export interface Attempt {
  readonly nonce: string
  readonly otp: string
  readonly pgpKey: string
  readonly fingerprint: string
}

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

/** Checks what an attempt shall be encoded with and begins it; `otp` is the password made for it, "" when one was given. 400 for a bad one. */
export async function beginAttempt({ otp, pgpKey }: AttemptWanted): Promise<{ attempt: Attempt; otp: string }> {
  const made = otp === '' && pgpKey === '' ? randomText(otpLength) : ''
  if (otp !== '' && Buffer.byteLength(otp, 'utf8') !== otpLength) throw invalid('OTP string has incorrect length')
  // With both given, the password is used, as Vault does.
  const pgp = otp === '' && pgpKey !== '' ? (await readPgpKeys([pgpKey], 'error parsing PGP key'))[0] : undefined
  const attempt = {
    nonce: randomUUID(),
    otp: otp || made,
    pgpKey: pgp ? pgpKey : '',
    fingerprint: pgp?.fingerprint ?? '',
  }
  return { attempt, otp: made }
}

/** Encodes a token for who began the attempt. */
export async function encodeFor(token: string, { otp, pgpKey }: Attempt): Promise<string> {
  if (otp !== '') return encodeToken(token, otp)
  const [to] = await readPgpKeys([pgpKey])
  return (await encryptToPgp(to as NonNullable<typeof to>, Buffer.from(token, 'utf8'))).toString('base64')
}

/** Throws 400 unless this is the nonce of the attempt under way. */
export function checkAttempt<A extends Attempt>(attempt: A | undefined, nonce: string): A {
  if (!attempt) throw invalid('no root generation in progress')
  if (nonce !== attempt.nonce)
    throw invalid(`incorrect nonce supplied; nonce for this root generation operation is "${attempt.nonce}"`)
  return attempt
}

/** The refusals both kinds have. */
export const attemptRefusals = {
  underWay: () => invalid('root generation already in progress'),
  repeated: () => invalid('given key has already been provided during this generation operation'),
  wrong: () => invalid('root generation aborted: the key shares given are not the right ones'),
}
