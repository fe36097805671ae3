// sys/generate-root/… (without a token, raw), sys/generate-root and sys/generate-root-token/… (with a token, enveloped), sys/decode-token.
import { decodeToken, otpLength } from '../barrier/generate-root.ts'
import type { Lifecycle } from '../barrier/lifecycle.ts'
import { decodeShare } from '../barrier/shares.ts'
import { bool, int, invalid, missing, type Operation, path, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { rawJson } from './raw-json.ts'
import { changing } from './seal-keyring.ts'
import { type ShareInput, shareInput } from './share-input.ts'

const startInput = {
  otp: str('One-time password the token is encoded with; one is made without it.').sensitive().default(''),
  pgp_key: str('PGP public key (base64) the token is encrypted to.').default(''),
}
interface StartInput {
  readonly otp: string
  readonly pgp_key: string
}
const fields = {
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

/** Operations that make a root token out of shares. */
export function generateRootOperations(lifecycle: Lifecycle): Operation[] {
  const { generateRoot } = lifecycle

  const bodyOf = async (otp: string) => {
    const { started, nonce, progress, required, fingerprint } = await generateRoot.status()
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
  const update = async ({ key, nonce }: ShareInput) => {
    const made = await generateRoot.update(decodeShare(key), nonce)
    return {
      nonce,
      started: true,
      progress: made.progress,
      required: made.required,
      complete: made.complete,
      encoded_token: made.encodedToken,
      encoded_root_token: made.encodedToken,
      pgp_fingerprint: made.fingerprint,
    }
  }
  const start = async ({ otp, pgp_key }: StartInput) => bodyOf((await generateRoot.start({ otp, pgpKey: pgp_key })).otp)

  const open = async (request: { listener: { disableUnauthedGenerateRoot: boolean } }): Promise<void> => {
    if (request.listener.disableUnauthedGenerateRoot) throw missing('unsupported path')
    if (!(await lifecycle.initialized())) throw invalid('server is not yet initialized')
  }
  const attempt = path('generate-root/attempt', {}, 'An attempt to make a root token.')
  const summaries = {
    read: 'Read how far the attempt is.',
    write: 'Begin an attempt.',
    delete: 'Cancel the attempt.',
    update: 'Give a share; the last one needed makes the token.',
  }

  /** The newer shape: what an attempt has shows only while there is one. */
  const tokenBody = async (otp: string) => {
    const { started, nonce, progress, required, fingerprint } = await generateRoot.status()
    const more = started ? { nonce, pgp_fingerprint: fingerprint } : {}
    return { started, complete: false, progress, required, otp, otp_length: otpLength, ...more }
  }
  const withToken = (pattern: string, body: (otp: string) => Promise<object>): Operation[] => {
    const at = path(pattern, {}, 'An attempt to make a root token.')
    return [
      at.read({
        summary: summaries.read,
        output: fields,
        async run(_, context) {
          inRoot(context)
          return { data: await body('') }
        },
      }),
      at.write({
        summary: summaries.write,
        input: startInput,
        output: fields,
        stages: changing(async ({ otp, pgp_key }: StartInput) => ({
          data: await body((await generateRoot.start({ otp, pgpKey: pgp_key })).otp),
        })),
      }),
      at.delete({
        summary: summaries.delete,
        stages: changing(async () => {
          await generateRoot.cancel()
          return undefined
        }),
      }),
    ]
  }

  return [
    attempt.lifecycle('read', {
      summary: summaries.read,
      output: fields,
      run: async (_, request) => {
        await open(request)
        return rawJson(await bodyOf(''))
      },
    }),
    attempt.lifecycle('write', {
      summary: summaries.write,
      input: startInput,
      output: fields,
      async run(input, request) {
        await open(request)
        return rawJson(await start(input))
      },
    }),
    attempt.lifecycle('delete', {
      summary: summaries.delete,
      async run(_, request) {
        await open(request)
        await generateRoot.cancel()
        return undefined
      },
    }),
    path('generate-root/update', {}, 'Shares that make a root token.').lifecycle('write', {
      summary: summaries.update,
      input: shareInput,
      output: fields,
      async run(input, request) {
        await open(request)
        if (input.key === '') throw invalid("'key' must be specified in request body as JSON")
        return rawJson({ ...(await update(input)), otp: '', otp_length: 0 })
      },
    }),
    ...withToken('generate-root', bodyOf),
    ...withToken('generate-root-token/attempt', tokenBody),
    path('generate-root-token/update', {}, 'Shares that make a root token.').write({
      summary: summaries.update,
      input: shareInput,
      output: fields,
      stages: changing(async (input: ShareInput) => {
        if (input.nonce === '') throw invalid('nonce is required')
        if (input.key === '') throw invalid('key is required')
        const { encoded_root_token: _, ...data } = await update(input)
        return { data }
      }),
    }),
    path('decode-token', {}, 'Encoded root tokens.').lifecycle('write', {
      summary: 'Decode a token with its one-time password.',
      input: {
        encoded_token: str('Encoded token.').sensitive().default(''),
        otp: str('One-time password.').sensitive().default(''),
      },
      output: { token: str('The token.').sensitive() },
      run: ({ encoded_token, otp }) => ({ data: { token: decodeToken(encoded_token, otp) } }),
    }),
  ]
}
