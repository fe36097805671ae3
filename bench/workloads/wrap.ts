// Wrap a small answer: a durable token and its payload per request.
import type { Workload } from '../workload.ts'

export const wrap: Workload = {
  name: 'wrap',
  ofBare: 0,
  timesPeer: 0,
  prepare: async () => undefined,
  load: { method: 'POST', prefix: 'sys/wrapping/wrap', body: '{"a":"{n}"}', headers: { 'X-Vault-Wrap-TTL': '300' } },
}
