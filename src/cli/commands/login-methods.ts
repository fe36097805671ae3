// Ways to log in, one line each: which path a method posts to, what it needs and what it asks for. A new auth method whose login
// is "POST auth/MOUNT/login[/NAME] with fields" is one more line here.
import { readFileSync } from 'node:fs'
import type { JsonObject } from '../../lib/json.ts'
import { UsageError } from '../errors.ts'

/** What a login posts: the path below auth/MOUNT/, the body, and which missing field is asked for without echo. */
export interface LoginMethod {
  readonly help: string
  /** Fields that must be there; the value says how the user gives them. */
  readonly needs: Readonly<Record<string, string>>
  /** Field that is asked for on the terminal when it was not given. */
  readonly asks: { readonly field: string; readonly label: string } | undefined
  path(fields: ReadonlyMap<string, string>): string
  body(fields: ReadonlyMap<string, string>): JsonObject
}

const field = (fields: ReadonlyMap<string, string>, name: string): string => fields.get(name) ?? ''
const segment = (text: string): string => text.replaceAll('/', '')

const withPassword = (what: string, name: string): LoginMethod => ({
  help: `${what}

      $ coffer login -method=${name} username=ada
      $ coffer login -method=${name} username=ada password=-

  username=NAME   Who logs in.
  password=TEXT   Asked for without echo when it is not given; "-" reads it from standard input.`,
  needs: { username: 'username=NAME' },
  asks: { field: 'password', label: 'Password (will be hidden): ' },
  path: (fields) => `login/${segment(field(fields, 'username'))}`,
  body: (fields) => ({ password: field(fields, 'password') }),
})

function serviceToken(fields: ReadonlyMap<string, string>): string {
  const given = field(fields, 'jwt')
  if (given !== '') return given.trim()
  const path = field(fields, 'token_path') || '/var/run/secrets/kubernetes.io/serviceaccount/token'
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    throw new UsageError(
      `cannot read the service account token ${path}: ${(error as NodeJS.ErrnoException).code}`,
      'Give it with jwt=@file or token_path=FILE.',
    )
  }
}

const others = (fields: ReadonlyMap<string, string>): JsonObject => Object.fromEntries(fields)

/** Login methods by name, besides `token`. */
export const loginMethods: Readonly<Record<string, LoginMethod>> = {
  userpass: withPassword('Logs in with a user name and a password that the server keeps.', 'userpass'),
  ldap: withPassword('Logs in with a user name and a password of an LDAP directory.', 'ldap'),
  radius: withPassword('Logs in with a user name and a password of a RADIUS server.', 'radius'),
  approle: {
    help: `Logs in as a machine.

      $ coffer login -method=approle role_id=ID secret_id=@secret-id.txt
      $ coffer login -method=approle role_id=ID secret_id=-

  role_id=ID       Which role it is.
  secret_id=TEXT   Asked for without echo when it is not given; "-" reads it from standard input. Roles that need none take "secret_id=".`,
    needs: { role_id: 'role_id=ID' },
    asks: { field: 'secret_id', label: 'Secret ID (will be hidden): ' },
    path: () => 'login',
    body: others,
  },
  jwt: {
    help: `Logs in with a signed token of an identity provider.

      $ coffer login -method=jwt role=ci jwt=@token.jwt`,
    needs: {},
    asks: { field: 'jwt', label: 'JWT (will be hidden): ' },
    path: () => 'login',
    body: others,
  },
  cert: {
    help: `Logs in with the TLS client certificate of -client-cert and -client-key.

      $ coffer login -method=cert -client-cert=me.pem -client-key=me.key name=web`,
    needs: {},
    asks: undefined,
    path: () => 'login',
    body: others,
  },
  kubernetes: {
    help: `Logs in with the service account of a pod.

      $ coffer login -method=kubernetes role=web`,
    needs: { role: 'role=NAME' },
    asks: undefined,
    path: () => 'login',
    body: (fields) => ({ role: field(fields, 'role'), jwt: serviceToken(fields) }),
  },
}

/** Help of the `token` method, which posts nothing. */
export const tokenHelp = `Logs in with a token: looks it up and stores it.

      $ coffer login
      $ coffer login -
      $ coffer login -no-store token=-

  Without an argument the token is asked for without echo; "-" reads it from standard input.
  lookup=false stores it without asking the server.`
