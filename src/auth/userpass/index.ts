// The userpass auth method: assembles its operations.
import { type PasswordHasher, sharedPasswords } from '../../crypto/password.ts'
import { type Engine, engine } from '../../sdk/index.ts'
import { loginOperation, renewLogin } from './login.ts'
import { userOperations } from './users.ts'

/** Makes the method over a hasher; the server uses the pool that all methods share. */
export const userpassWith = (hasher: PasswordHasher): Engine =>
  engine({
    type: 'userpass',
    kind: 'auth',
    summary: 'Login with name and password.',
    operations: [...userOperations(hasher), loginOperation(hasher)],
    renew: renewLogin,
  })

/** Login with name and password. */
export const userpass = userpassWith(sharedPasswords)
