// sys/key-status, sys/rotate, sys/rotate/config and their longer names: the keys that encrypt values, and the root key above.
import type { Lifecycle } from '../barrier/lifecycle.ts'
import { formatDuration } from '../lib/duration.ts'
import { bool, duration, int, type Operation, path, type Reply, stages, str } from '../sdk/index.ts'
import { inRoot } from './in-root.ts'

/** An operation that changes keys: once, outside the request's transaction, since it has one of its own. */
export const changing = <A>(act: (input: A) => Promise<Reply | undefined>) =>
  stages<A, void, Reply | undefined>({
    prepare: (_, context) => inRoot(context),
    act: (_, input) => act(input),
    commit: (reply) => reply,
  })

/** Operations on keyring and root key that need no share. */
export function keyringOperations(lifecycle: Lifecycle): Operation[] {
  const rotate = (pattern: string) =>
    path(pattern, {}, 'The encryption key.').write({
      summary: 'Begin a new term: all that is written from now on is encrypted under a new key.',
      sudo: true,
      stages: changing(async () => {
        await lifecycle.rotate()
        return undefined
      }),
    })
  const fields = {
    enabled: bool('Whether terms rotate by themselves.'),
    max_operations: int('Encryptions of one term.'),
    interval: duration('Age of a term; 0: no matter.'),
  }
  const config = (pattern: string): Operation[] => {
    const at = path(pattern, {}, 'When the encryption key rotates by itself.')
    return [
      at.read({
        summary: 'Read when terms rotate by themselves.',
        output: fields,
        async run(_, context) {
          inRoot(context)
          const { enabled, intervalSeconds, maxOperations } = await lifecycle.rotateConfig()
          const interval = intervalSeconds > 0 ? formatDuration(intervalSeconds) : 0
          return { data: { enabled, interval, max_operations: maxOperations } }
        },
      }),
      at.write({
        summary: 'Set when terms rotate by themselves.',
        input: fields,
        stages: changing(
          async (input: {
            enabled: boolean | undefined
            max_operations: number | undefined
            interval: number | undefined
          }) => {
            await lifecycle.setRotateConfig({
              ...(input.enabled !== undefined && { enabled: input.enabled }),
              ...(input.max_operations !== undefined && { maxOperations: input.max_operations }),
              ...(input.interval !== undefined && { intervalSeconds: input.interval }),
            })
            return undefined
          },
        ),
      }),
    ]
  }
  return [
    path('key-status', {}, 'The encryption key in use.').read({
      summary: 'Read term, age and use of the encryption key.',
      output: {
        term: int('Number of the key.'),
        install_time: str('Since when (RFC 3339).'),
        encryptions: int('How often it encrypted.'),
      },
      async run(_, context) {
        inRoot(context)
        const { term, installedAt, encryptions } = await lifecycle.keyStatus()
        return { data: { term, install_time: new Date(installedAt).toISOString(), encryptions }, flat: true }
      },
    }),
    rotate('rotate'),
    rotate('rotate/keyring'),
    ...config('rotate/config'),
    ...config('rotate/keyring/config'),
    path('rotate/root', {}, 'The root key.').write({
      summary: 'Make a new root key under the existing seal slots; no share changes.',
      sudo: true,
      stages: changing(async () => {
        await lifecycle.rotateRoot()
        return undefined
      }),
    }),
  ]
}
