// KV version 1: read one of 100 secrets.
import { enable, fill, secret, type Workload } from '../workload.ts'

export const kv1Read: Workload = {
  name: 'kv1 read',
  ofBare: 1 / 9,
  timesPeer: 8,
  async prepare(call) {
    await enable(call, 'bench1', '1')
    await fill(call, 'bench1/r/', 100, secret)
  },
  load: { method: 'GET', prefix: 'bench1/r/', count: 100 },
}
