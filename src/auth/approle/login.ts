// Logging in as a machine, and what a renewal gets. The one way to be wrong here is to say which of the two ids was wrong. A login reads the
// role and then the secret id, no more; it writes a secret id only to count its uses, in the transaction that makes the token.
import { cidrsWithin, inCidrs, shortCidr } from '../../lib/cidr.ts'
import { type Grant, invalid, type Operation, path, type RenewGrant, str, type TokenParams } from '../../sdk/index.ts'
import { grantedParams } from '../../sdk/token-params.ts'
import { findRole, type RoleRecord, roleOfLogin } from './role-store.ts'
import { findSecretId, type SecretIdRecord, spendSecretId } from './secret-store.ts'

const refused = () => invalid('invalid role or secret ID')
const badAddress = (whose: string) => invalid(`source address is not allowed by the CIDR restrictions on the ${whose}`)

/** The login operation. */
export const loginOperation: Operation = path('login', {}, 'Log in as a machine.').login({
  summary: 'Log in with the id of a role and one of its secret ids.',
  input: {
    role_id: str('Id of the role.').default(''),
    secret_id: str('A secret id of the role, unless the role asks for none.').sensitive().default(''),
  },
  async run({ role_id, secret_id }, context): Promise<Grant> {
    const { remoteAddress } = context.request
    const [roleId, secretId] = [role_id.trim(), secret_id.trim()]
    if (roleId === '') throw invalid('missing role_id')
    const role = await roleOfLogin(context, roleId)
    const bound = role?.bindSecretId ?? true
    if (bound && secretId === '') throw invalid('missing secret_id')
    // One read for a role that is in use (its secret id), one for a role that is not there (the role): time tells little.
    const found = role && bound ? await findSecretId(context, role.key, secretId) : undefined
    if (!role || (bound && !found)) throw refused()
    checkAddress(role, found?.record, remoteAddress)
    if (found) spendSecretId(context, found)
    const metadata = { ...found?.record.metadata, role_name: role.name }
    return {
      displayName: '',
      alias: { name: role.roleId, metadata },
      metadata,
      params: tokenParams(role, found?.record, remoteAddress),
      internal: { role_name: role.name },
    }
  },
})

/** Refuses a login from an address that role or secret id leave out, also when the role has been narrowed since. */
function checkAddress(role: RoleRecord, secretId: SecretIdRecord | undefined, address: string): void {
  const ofRole = role.secretIdBoundCidrs
  const own = secretId?.cidrs ?? []
  if (own.length > 0) {
    const reachesOut = ofRole.length > 0 && !cidrsWithin(own, ofRole)
    if (reachesOut || !inCidrs(address, own)) throw badAddress('secret ID')
  }
  if (ofRole.length > 0 && !inCidrs(address, ofRole)) throw badAddress('role')
}

/** What the token gets: the role's parameters, bound to the addresses of the secret id where it has some. */
function tokenParams(role: RoleRecord, secretId: SecretIdRecord | undefined, address: string): TokenParams {
  const params = grantedParams(role.token, address)
  const own = secretId?.tokenCidrs ?? []
  if (own.length === 0 || (params.strictlyBindIp && inCidrs(address, own))) return params
  return { ...params, boundCidrs: own.map(shortCidr), strictlyBindIp: false }
}

/** What a renewal gets: the role's times as they are now. Refused once the role is gone. */
export const renewLogin: RenewGrant = async ({ internal }, context) => {
  const role = await findRole(context, String(internal['role_name']))
  if (!role) throw invalid('role does not exist any more, not renewing')
  return grantedParams(role.token, context.request.remoteAddress)
}
