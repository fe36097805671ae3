// KV version 2: durable writes of new versions over 1,000 secrets.
import { enable, secret, type Workload } from '../workload.ts'

export const kv2Write: Workload = {
  name: 'kv2 write',
  ofBare: 0,
  timesPeer: 8,
  prepare: (call) => enable(call, 'bench2', '2'),
  load: { method: 'POST', prefix: 'bench2/data/w/', count: 1000, body: JSON.stringify({ data: secret }) },
}
