// Attempts at a token, as `operator generate-root` begins and feeds them: raw answers, no token. The same for root tokens and, in recovery
// mode, recovery tokens; and sys/decode-token, which gives either from its one-time password.
import { decodeShare } from '../barrier/shares.ts'
import { decodeToken, otpLength, type TokenAttempts } from '../barrier/token-attempt.ts'
import { bool, int, invalid, type Operation, path, type RequestFacts, str } from '../sdk/index.ts'
import { rawJson } from './raw-json.ts'
import { type ShareInput, shareInput } from './share-input.ts'

/** Input that begins an attempt. */
export const startInput = {
  otp: str('One-time password the token is encoded with; one is made without it.').sensitive().default(''),
  pgp_key: str('PGP public key (base64) the token is encrypted to.').default(''),
}
export interface StartInput {
  readonly otp: string
  readonly pgp_key: string
}

/** What attempts answer. */
export const attemptFields = {
  nonce: shareInput.nonce,
  started: bool('Whether an attempt is under way.'),
  progress: int('Shares given so far.'),
  required: int('Shares needed.'),
  complete: bool('Whether the token is there.'),
  encoded_token: str('The token, encoded.').sensitive(),
  encoded_root_token: str('The same, under its older name.').sensitive(),
  pgp_fingerprint: str('Fingerprint of the PGP key.'),
  otp: str('One-time password, in the answer that made it.').sensitive(),
  otp_length: int('Characters a one-time password must have.'),
}

export const attemptSummaries = {
  read: 'Read how far the attempt is.',
  write: 'Begin an attempt.',
  delete: 'Cancel the attempt.',
  update: 'Give a share; the last one needed makes the token.',
}

export interface AttemptKind {
  /** `generate-root` or `generate-recovery-token`. */
  readonly base: string
  /** "root token". */
  readonly makes: string
  /** Whether the token is answered under its older name too. */
  readonly rootToken: boolean
  /** Throws when attempts cannot be made now or here. */
  open(request: RequestFacts): Promise<void>
}

/** Answers how far an attempt is; `otp` is the password just made. */
export async function attemptBody(tokens: TokenAttempts, otp: string) {
  const { started, nonce, progress, required, fingerprint } = await tokens.status()
  return {
    nonce,
    started,
    progress,
    required,
    complete: false,
    encoded_token: '',
    encoded_root_token: '',
    pgp_fingerprint: fingerprint,
    otp,
    otp_length: otpLength,
  }
}

/** Takes a share and answers how far the attempt has come. */
export async function attemptUpdate(tokens: TokenAttempts, { key, nonce }: ShareInput, rootToken: boolean) {
  const made = await tokens.update(decodeShare(key), nonce)
  return {
    nonce,
    started: true,
    progress: made.progress,
    required: made.required,
    complete: made.complete,
    encoded_token: made.encodedToken,
    encoded_root_token: rootToken ? made.encodedToken : '',
    pgp_fingerprint: made.fingerprint,
  }
}

/** Makes the operations of one kind of attempt. */
export function attemptOperations(tokens: TokenAttempts, kind: AttemptKind): Operation[] {
  const { base, makes, rootToken, open } = kind
  const attempt = path(`${base}/attempt`, {}, `An attempt to make a ${makes}.`)
  return [
    attempt.lifecycle('read', {
      summary: attemptSummaries.read,
      output: attemptFields,
      run: async (_, request) => {
        await open(request)
        return rawJson(await attemptBody(tokens, ''))
      },
    }),
    attempt.lifecycle('write', {
      summary: attemptSummaries.write,
      input: startInput,
      output: attemptFields,
      async run({ otp, pgp_key }, request) {
        await open(request)
        return rawJson(await attemptBody(tokens, (await tokens.start({ otp, pgpKey: pgp_key })).otp))
      },
    }),
    attempt.lifecycle('delete', {
      summary: attemptSummaries.delete,
      async run(_, request) {
        await open(request)
        await tokens.cancel()
        return undefined
      },
    }),
    path(`${base}/update`, {}, `Shares that make a ${makes}.`).lifecycle('write', {
      summary: attemptSummaries.update,
      input: shareInput,
      output: attemptFields,
      async run(input, request) {
        await open(request)
        if (input.key === '') throw invalid("'key' must be specified in request body as JSON")
        return rawJson({ ...(await attemptUpdate(tokens, input, rootToken)), otp: '', otp_length: 0 })
      },
    }),
  ]
}

/** Decodes the token that an attempt made. */
export const decodeTokenOperation = path('decode-token', {}, 'Encoded tokens.').lifecycle('write', {
  summary: 'Decode a token with its one-time password.',
  input: {
    encoded_token: str('Encoded token.').sensitive().default(''),
    otp: str('One-time password.').sensitive().default(''),
  },
  output: { token: str('The token.').sensitive() },
  run: ({ encoded_token, otp }) => ({ data: { token: decodeToken(encoded_token, otp) } }),
})
