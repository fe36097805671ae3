// From KV version 1 to 2, in the transaction that changes the mount's options: all secrets are there before and after, or nothing changed.
import { invalid, type WriteContext } from '../../sdk/index.ts'
import { secrets, versionId, versionTexts } from './records.ts'
import { plainSecrets } from './v1.ts'

// One transaction holds all of it in memory until it commits. More than this belongs into a new mount, filled by a client.
const secretsMax = 100_000
const bytesMax = 128 * 1024 * 1024
const batch = 1000

/** Turns every secret into a first version with the same text; throws `invalid` when there is more than one transaction should carry. */
export async function upgradeSecrets({ tx, now }: WriteContext): Promise<number> {
  let count = 0
  let bytes = 0
  for (let after = ''; ; ) {
    const entries = await tx.entries(plainSecrets.prefix, { limit: batch, ...(after === '' ? {} : { after }) })
    for (const { key, value } of entries) {
      after = key.slice(plainSecrets.prefix.length)
      bytes += value.byteLength
      tx.put(versionTexts.key(versionId(after, 1)), value)
      secrets.put(tx, after, { current: 1, oldest: 1, createdMs: now, updatedMs: now, rows: [[now, 0, 0]] })
      tx.delete(key)
    }
    count += entries.length
    if (count > secretsMax || bytes > bytesMax)
      throw invalid(
        `the mount holds more than ${secretsMax} secrets or ${bytesMax} bytes: copy them to a new mount of version 2`,
      )
    if (entries.length < batch) return count
  }
}
