// The AppRole auth method: assembles its operations.
import { type Engine, engine } from '../../sdk/index.ts'
import { dueHandlers, tidySecretIds } from './cleanup.ts'
import { makeKey } from './keys.ts'
import { loginOperation, renewLogin } from './login.ts'
import { rolePartOperations } from './role-parts.ts'
import { roleIdOperations, roleOperations } from './roles.ts'
import { secretIdOperations } from './secret-ids.ts'

/** Login of machines, with a role id and a secret id. */
export const approle: Engine = engine({
  type: 'approle',
  kind: 'auth',
  summary: 'Login of machines, with a role id and a secret id.',
  operations: [
    ...roleOperations,
    ...roleIdOperations,
    ...rolePartOperations,
    ...secretIdOperations,
    tidySecretIds,
    loginOperation,
  ],
  hooks: { enabled: makeKey },
  renew: renewLogin,
  due: dueHandlers,
})
