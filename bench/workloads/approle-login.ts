// Logins of a machine with a secret id of unlimited uses: a durable token per request, none of which ends during the run.
import type { Workload } from '../workload.ts'

const ids = { role_id: 'bench-role-id', secret_id: 'bench-secret-id-0123456789abcdef' }
const mount = 'auth/benchmachines'

export const approleLogin: Workload = {
  name: 'approle login',
  ofBare: 0,
  timesPeer: 5,
  async prepare(call) {
    // What is there already, on a peer that has been measured before, is refused; the login tells whether all is in place.
    await call('POST', `sys/${mount}`, { type: 'approle' })
    await call('POST', `${mount}/role/bench`, { role_id: ids.role_id, token_policies: ['bench'], token_ttl: '1h' })
    await call('POST', `${mount}/role/bench/custom-secret-id`, { secret_id: ids.secret_id })
    const { status } = await call('POST', `${mount}/login`, ids)
    if (status !== 200) throw new Error(`the first login: ${status}`)
  },
  load: { method: 'POST', prefix: `${mount}/login`, body: JSON.stringify(ids), headers: { 'X-Vault-Token': '' } },
}
