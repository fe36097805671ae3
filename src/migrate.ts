// `operator migrate`: opens two stores and copies one into the other, below the barrier and without a server. A command of its own beside the others
// since it needs storage and configuration; what it copies stays ciphertext.
import { existsSync } from 'node:fs'
import { formatOf, newestFormat } from './barrier/format.ts'
import { storeIdOf } from './barrier/records.ts'
import { bool } from './cli/flags.ts'
import { CliError, type CliIo, command, int, str, UsageError } from './cli/main.ts'
import { ConfigError } from './config/keys.ts'
import { loadMigration } from './config/migration.ts'
import type { StorageSettings } from './config/server-config.ts'
import { openStorage } from './server.ts'
import { migrate as copyStore, MigrationFailed, type MigrationProgress, takeBack } from './storage/migrate.ts'
import { type Storage, StorageError } from './storage/storage.ts'

const barLength = 30
const plainEveryMs = 10_000

/** Shows progress: a bar where somebody looks, a line now and then where a file does. */
function progressOn(io: CliIo): { show(progress: MigrationProgress): void; end(): void } {
  let lastMs = 0
  let shown = ''
  const print = (text: string): void => {
    if (!io.stderrIsTty) io.stderr.write(`${text}\n`)
    else if (text !== shown) io.stderr.write(`\r${text}\x1b[K`)
    shown = text
  }
  return {
    show({ phase, done, total }) {
      const now = Date.now()
      const full = done >= total
      if (!full && now - lastMs < (io.stderrIsTty ? 100 : plainEveryMs)) return
      lastMs = now
      const share = total === 0 ? 1 : Math.min(1, done / total)
      const filled = Math.round(share * barLength)
      const bar = io.stderrIsTty ? ` [${'#'.repeat(filled)}${' '.repeat(barLength - filled)}]` : ''
      print(`${phase}${bar} ${done} of ${total} keys (${Math.floor(share * 100)} %)`)
    },
    end() {
      if (io.stderrIsTty && shown !== '') io.stderr.write('\n')
    },
  }
}

/** Opens a store that must be there already. */
async function openExisting(settings: StorageSettings, warn: (message: string) => void): Promise<Storage> {
  if (settings.file !== undefined && !existsSync(settings.file))
    throw new CliError(2, `Error migrating: storage_source: ${settings.file} does not exist`)
  return await openStorage(settings, { warn })
}

async function copyAll(source: Storage, destination: Storage, start: string, io: CliIo): Promise<string> {
  const format = await source.view(formatOf)
  if (format > newestFormat)
    throw new MigrationFailed(
      `the source has storage format ${format}; this version knows formats up to ${newestFormat}`,
    )
  const progress = progressOn(io)
  try {
    const { entries, sha256 } = await copyStore({
      source,
      destination,
      identify: storeIdOf,
      start,
      now: Date.now(),
      progress: progress.show,
    })
    return `Success! All of the keys have been migrated: ${entries} keys, SHA-256 ${sha256}.`
  } finally {
    progress.end()
  }
}

export const migrateCommand = command({
  words: ['operator', 'migrate'],
  synopsis: 'Copy a whole store into another kind of storage',
  help: `Copies everything from one storage into another, encrypted as it is, without a server:

    $ coffer operator migrate -config=migrate.hcl

  The file names both:

    storage_source "sqlite" { path = "/var/lib/coffer/coffer.db" }
    storage_destination "file" { path = "/srv/coffer" }

  Stop every server on the source first. A migration that was interrupted goes on where it was when it is started again; at the end both stores are read
  and compared. Until then no server starts on the destination. Exit code 0: done; 1: the file or a flag is wrong; 2: not done, the message says why.`,
  online: false,
  flags: {
    config: str('File with storage_source and storage_destination.', { files: true }),
    start: str('Only copy keys from this one on, in byte order.'),
    reset: bool('Remove what an unfinished migration has copied; nothing is copied.'),
    'max-parallel': int('Accepted; keys are copied in their order.', { initial: 10 }),
    'log-level': str('Accepted.'),
  },
  async run({ flags, io, ui }) {
    const file = flags.config || io.env['BAO_MIGRATE_CONFIG_PATH'] || io.env['VAULT_MIGRATE_CONFIG_PATH'] || ''
    if (file === '') throw new UsageError('Must specify exactly one config path using -config')
    if (flags['max-parallel'] < 1) throw new UsageError('flag -max-parallel must be at least 1')
    const config = await loadMigration(file).catch((error: unknown) => {
      throw error instanceof ConfigError ? new UsageError(error.message) : error
    })
    const warn = (message: string) => void io.stderr.write(`${message}\n`)
    const open: Storage[] = []
    const keep = (storage: Storage): Storage => {
      open.push(storage)
      return storage
    }
    try {
      if (flags.reset) {
        await takeBack(keep(await openStorage(config.destination, { warn })))
        ui.out('Success! Migration lock reset (if it was set).')
        return 0
      }
      const source = keep(await openExisting(config.source, warn))
      const destination = keep(await openStorage(config.destination, { warn }))
      ui.out(await copyAll(source, destination, flags.start, io))
      return 0
    } catch (error) {
      if (error instanceof StorageError) throw new CliError(2, `Error migrating: ${error.message}`)
      throw error
    } finally {
      for (const storage of open) await storage.close()
    }
  },
})
