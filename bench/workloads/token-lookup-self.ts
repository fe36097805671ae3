// A token looks itself up.
import type { Workload } from '../workload.ts'

export const tokenLookupSelf: Workload = {
  name: 'token lookup-self',
  ofBare: 0,
  timesPeer: 0,
  prepare: async () => undefined,
  load: { method: 'GET', prefix: 'auth/token/lookup-self' },
}
