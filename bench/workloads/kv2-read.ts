// KV version 2: read the current version of one of 100 secrets.
import { enable, fill, secret, type Workload } from '../workload.ts'

export const kv2Read: Workload = {
  name: 'kv2 read',
  ofBare: 1 / 9,
  timesPeer: 8,
  async prepare(call) {
    await enable(call, 'bench2', '2')
    await fill(call, 'bench2/data/r/', 100, { data: secret })
  },
  load: { method: 'GET', prefix: 'bench2/data/r/', count: 100 },
}
