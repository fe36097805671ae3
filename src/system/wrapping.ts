// sys/wrapping/*: wrap, look up, unwrap, rewrap.
import type { Mounts } from '../core/mounts.ts'
import type { Wrapping } from '../core/wrapping.ts'
import { type Context, denied, duration, invalid, type Operation, path, str } from '../sdk/index.ts'

/** The wrapping token meant: the one in the body, else the caller's own. */
const tokenOf = (given: string | undefined, context: Context): string => {
  if (!given || given === context.caller.token) return context.caller.token
  // Another credential was sent along: it must be a good one.
  if (context.caller.token !== '' && context.caller.accessor === '' && context.caller.tokenType === '') throw denied()
  return given
}

/** Operations below `sys/wrapping`. */
export function wrappingOperations(wrapping: Wrapping, mounts: Mounts): Operation[] {
  const token = { token: str('The wrapping token; without it the caller is one.').sensitive() }
  return [
    path('wrapping/wrap', {}, 'Wraps what is sent.').compute({
      summary: 'Wrap the body; `X-Vault-Wrap-TTL` says for how long.',
      async run(_, { request }) {
        if (request.wrapTtlSeconds <= 0) throw invalid('endpoint requires response wrapping to be used')
        return { data: request.body ?? {} }
      },
    }),
    path('wrapping/lookup', {}, 'Facts of a wrapping token.').compute({
      summary: 'Look up a wrapping token; spends nothing.',
      public: true,
      input: token,
      output: {
        creation_path: str('Path whose answer is wrapped.'),
        creation_time: str('When.'),
        creation_ttl: duration('For how long.'),
      },
      async run(input, context) {
        const wanted = input.token || context.caller.token
        if (wanted === '') throw denied()
        return { data: await wrapping.lookup(context.tx, await mounts.topology(context.tx), wanted, context.now) }
      },
    }),
    path('wrapping/unwrap', {}, 'Opens a wrapped answer.').write({
      summary: 'Give the wrapped answer, once.',
      optionalToken: true,
      input: token,
      async run(input, context) {
        const text = await wrapping.unwrap(
          context.tx,
          await mounts.topology(context.tx),
          tokenOf(input.token, context),
          context.now,
        )
        return { unwrapped: text }
      },
    }),
    path('wrapping/rewrap', {}, 'Wraps a wrapped answer anew.').write({
      summary: 'Give a new wrapping token for the same answer; the old one is dead.',
      optionalToken: true,
      input: token,
      async run(input, context) {
        const info = await wrapping.rewrap(
          context.tx,
          await mounts.topology(context.tx),
          tokenOf(input.token, context),
          context.now,
        )
        return { wrapInfo: info, data: null }
      },
    }),
  ]
}
