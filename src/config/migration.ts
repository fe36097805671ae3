// The file of `operator migrate`: one `storage_source` and one `storage_destination`, each as a `storage` stanza of a server is.
import { parseHcl } from '../lib/hcl.ts'
import { ConfigError, reportOn } from './keys.ts'
import { readText } from './load.ts'
import type { StorageSettings } from './server-config.ts'
import { readStorage, stanzaBlocks } from './stanzas.ts'

export interface MigrationConfig {
  readonly source: StorageSettings
  readonly destination: StorageSettings
}

const names = { storage_source: 'source', storage_destination: 'destination' } as const
/** Keys that other servers' files have and that mean nothing here. */
const ignored = ['cluster_addr']

/** Reads the file; throws `ConfigError` with everything that is wrong. */
export async function loadMigration(path: string): Promise<MigrationConfig> {
  const report = reportOn(path)
  const text = await readText(path)
  const found: { source: StorageSettings[]; destination: StorageSettings[] } = { source: [], destination: [] }
  for (const item of report.attempt(() => parseHcl(text))?.items ?? []) {
    const name = item.keys[0].value.toLowerCase()
    if (ignored.includes(name)) continue
    if (!Object.hasOwn(names, name)) {
      report.error(`"${name}" does not belong here; storage_source and storage_destination do`, item)
      continue
    }
    for (const block of stanzaBlocks(item, 1, report)) {
      const settings = readStorage(block, report)?.settings
      if (settings?.type === 'inmem') report.error(`${name}: a store in memory is gone with its process`, block)
      else if (settings) found[names[name as keyof typeof names]].push(settings)
    }
  }
  if (report.errors.length > 0) throw new ConfigError(report.errors)
  const [source, ...sources] = found.source
  const [destination, ...destinations] = found.destination
  if (!source || !destination || sources.length > 0 || destinations.length > 0)
    throw new ConfigError([
      { file: path, line: 0, message: 'exactly one storage_source and one storage_destination are needed' },
    ])
  return { source, destination }
}
