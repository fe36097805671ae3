// The end of secret ids that nobody asked for: their time is over, their role is gone. All of it is due work, a bounded step at a time; what
// has ended is refused from the first moment, whether it is cleared yet or not.
import type { DueContext, DueHandler, Operation, WriteContext } from '../../sdk/index.ts'
import { path } from '../../sdk/index.ts'
import { collection } from '../../storage/collection.ts'
import type { RoleRecord } from './role-store.ts'
import { dueKinds, isExpired, removeSecretId, type SecretId, type SecretIdRecord, secretIds } from './secret-store.ts'

const perStep = 200

/** Has the secret ids of a role that is gone cleared. Nobody can name them any more. */
export const forgetSecretIds = ({ due, now }: WriteContext, { key }: RoleRecord): void =>
  due.put(dueKinds.role, key, now)

const placed = ({ id, value }: { readonly id: string; readonly value: SecretIdRecord }): SecretId => {
  const [roleKey = '', hash = ''] = id.split('/')
  return { roleKey, hash, record: value }
}

const expire: DueHandler = async ({ id }, context) => {
  const value = await secretIds.get(context.tx, id)
  if (value && isExpired(value, context.now)) removeSecretId(context, placed({ id, value }))
  return undefined
}

const clearRole: DueHandler = async ({ id }, context) => {
  const batch = await secretIds.all(context.tx, `${id}/`, { limit: perStep })
  for (const one of batch) removeSecretId(context, placed(one))
  return batch.length === perStep ? { at: context.now } : undefined
}

/** There while a tidy waits or runs; holds when it was asked for. */
const tidyMark = collection<number>('tidy/')
const markId = 'secret-id'

const tidyStep: DueHandler = async ({ data }, context: DueContext) => {
  const after = (data as string | undefined) ?? ''
  const batch = await secretIds.all(context.tx, '', { limit: perStep, after })
  for (const one of batch) if (isExpired(one.value, context.now)) removeSecretId(context, placed(one))
  const last = batch.length === perStep ? batch.at(-1)?.id : undefined
  if (last !== undefined) return { at: context.now, data: last }
  tidyMark.delete(context.tx, markId)
  return undefined
}

/** Handlers of the method's due work. */
export const dueHandlers: Readonly<Record<string, DueHandler>> = {
  [dueKinds.expiry]: expire,
  [dueKinds.role]: clearRole,
  [dueKinds.tidy]: tidyStep,
}

/** Starts a walk over all secret ids that removes the expired ones. */
export const tidySecretIds: Operation = path('tidy/secret-id', {}, 'Clearing up of secret ids.').write({
  summary: 'Remove expired secret ids now; they are removed by themselves too.',
  async run(_input, { tx, due, now }) {
    if (await tidyMark.has(tx, markId)) return { data: null, warnings: ['Tidy operation already in progress.'] }
    tidyMark.put(tx, markId, now)
    due.put(dueKinds.tidy, markId, now)
    return { data: null, status: 202, warnings: ['Tidy operation successfully started.'] }
  },
})
