// KV version 1: durable writes over 1,000 secrets.
import { enable, secret, type Workload } from '../workload.ts'

export const kv1Write: Workload = {
  name: 'kv1 write',
  ofBare: 0,
  timesPeer: 8,
  prepare: (call) => enable(call, 'bench1', '1'),
  load: { method: 'POST', prefix: 'bench1/w/', count: 1000, body: JSON.stringify(secret) },
}
