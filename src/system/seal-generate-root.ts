// sys/generate-root/… (without a token, raw), sys/generate-root and sys/generate-root-token/… (with a token, enveloped), sys/decode-token.
import type { Lifecycle } from '../barrier/lifecycle.ts'
import { otpLength } from '../barrier/token-attempt.ts'
import { invalid, missing, type Operation, path } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'
import { changing } from './seal-keyring.ts'
import { type ShareInput, shareInput } from './share-input.ts'
import {
  attemptBody,
  attemptFields,
  attemptOperations,
  attemptSummaries,
  attemptUpdate,
  decodeTokenOperation,
  type StartInput,
  startInput,
} from './token-attempts.ts'

/** Operations that make a root token out of shares. */
export function generateRootOperations(lifecycle: Lifecycle): Operation[] {
  const { generateRoot } = lifecycle

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
        summary: attemptSummaries.read,
        output: attemptFields,
        async run(_, context) {
          inRoot(context)
          return { data: await body('') }
        },
      }),
      at.write({
        summary: attemptSummaries.write,
        input: startInput,
        output: attemptFields,
        stages: changing(async ({ otp, pgp_key }: StartInput) => ({
          data: await body((await generateRoot.start({ otp, pgpKey: pgp_key })).otp),
        })),
      }),
      at.delete({
        summary: attemptSummaries.delete,
        stages: changing(async () => {
          await generateRoot.cancel()
          return undefined
        }),
      }),
    ]
  }

  return [
    ...attemptOperations(generateRoot, {
      base: 'generate-root',
      makes: 'root token',
      rootToken: true,
      async open(request) {
        if (request.listener.disableUnauthedGenerateRoot) throw missing('unsupported path')
        if (!(await lifecycle.initialized())) throw invalid('server is not yet initialized')
      },
    }),
    ...withToken('generate-root', (otp) => attemptBody(generateRoot, otp)),
    ...withToken('generate-root-token/attempt', tokenBody),
    path('generate-root-token/update', {}, 'Shares that make a root token.').write({
      summary: attemptSummaries.update,
      input: shareInput,
      output: attemptFields,
      stages: changing(async (input: ShareInput) => {
        if (input.nonce === '') throw invalid('nonce is required')
        if (input.key === '') throw invalid('key is required')
        const { encoded_root_token: _, ...data } = await attemptUpdate(generateRoot, input, true)
        return { data }
      }),
    }),
    decodeTokenOperation,
  ]
}
