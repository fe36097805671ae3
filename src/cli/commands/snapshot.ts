// operator snapshot save, restore and inspect, also under their name in Vault: operator raft snapshot. A file that is being saved is complete or not there.
import { createReadStream, createWriteStream, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { readSnapshot, SnapshotDamaged, type SnapshotHeader } from '../../storage/snapshot-file.ts'
import { type Command, type CommandSpec, command, oneArg } from '../command.ts'
import { CliError, failed } from '../errors.ts'
import { bool, type FlagTable } from '../flags.ts'
import { columns, struct } from '../print.ts'
import { success } from './shared.ts'

const snapshotPath = 'sys/storage/raft/snapshot'

const localError = (what: string, error: unknown): CliError =>
  new CliError(1, `${what}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`)

/** Opens a new file beside the wanted one, readable by its owner alone. */
function openPartial(file: string): { partial: string; descriptor: number } {
  const partial = `${file}.${process.pid}.part`
  try {
    return { partial, descriptor: openSync(partial, 'wx', 0o600) }
  } catch (error) {
    throw localError(`${file} cannot be written`, error)
  }
}

const save = {
  synopsis: 'Save the whole store to a file',
  help: `Saves one state of the whole store, encrypted, while the server goes on:

    $ coffer operator snapshot save backup.snap

  The file is checked when it has come and is there only when it is whole. It opens with the unseal keys, or the seal's key, of its time.`,
  args: oneArg('FILE', 'files'),
  async run(context) {
    const [file = ''] = context.args
    const client = await context.client()
    const body = await client.transfer({ method: 'GET', path: snapshotPath }).catch((error: unknown) => {
      throw failed('Error taking the snapshot', error)
    })
    const { partial, descriptor } = openPartial(file)
    try {
      await pipeline(body, createWriteStream(partial, { fd: descriptor, flush: true }))
      await inspected(partial)
      renameSync(partial, file)
    } catch (error) {
      rmSync(partial, { force: true })
      if (error instanceof CliError) throw new CliError(2, `Error taking the snapshot: ${error.message}`)
      throw localError('Error taking the snapshot', error)
    }
    return success(context, `Success! Saved a snapshot to: ${file}`)
  },
} satisfies Omit<CommandSpec<FlagTable>, 'words'>

const restoreFlags = {
  force: bool('Restore a snapshot of another store too, or of keys that are not here; its seal comes with it.'),
}

const restore = {
  synopsis: 'Put the whole store back from a file',
  help: `Replaces everything in the store by what a snapshot holds:

    $ coffer operator snapshot restore backup.snap

  The file is read and checked whole before anything is changed. Tokens, policies and secrets are those of then.`,
  args: oneArg('FILE', 'files'),
  flags: restoreFlags,
  async run(context) {
    const [file = ''] = context.args
    let bytes: number
    try {
      bytes = statSync(file).size
    } catch (error) {
      throw localError(`${file} cannot be read`, error)
    }
    const client = await context.client()
    const path = context.flags.force ? `${snapshotPath}-force` : snapshotPath
    const upload = { source: createReadStream(file), bytes }
    const answer = await client.transfer({ method: 'POST', path, upload }).catch((error: unknown) => {
      throw failed('Error installing the snapshot', error)
    })
    answer.resume()
    return success(context, 'Success! Restored the snapshot')
  },
} satisfies Omit<CommandSpec<typeof restoreFlags>, 'words'>

/** Reads a file to its end; gives what it says of itself. Throws `CliError` for one that is no whole snapshot. */
async function inspected(file: string): Promise<{ header: SnapshotHeader; entries: number; bytes: number }> {
  let header: SnapshotHeader | undefined
  try {
    for await (const part of readSnapshot(createReadStream(file))) {
      if (part.is === 'header') header = part.header
      if (part.is === 'end' && header) return { header, entries: part.end.entries, bytes: part.end.bytes }
    }
  } catch (error) {
    if (error instanceof SnapshotDamaged) throw new CliError(1, error.message)
    throw localError(`${file} cannot be read`, error)
  }
  throw new CliError(1, 'the snapshot is cut short')
}

const inspect = {
  synopsis: 'Tell what a snapshot file holds',
  help: `Reads a snapshot without a server, checks that it is whole, and tells what it says of itself:

    $ coffer operator snapshot inspect backup.snap

  Its sums tell damage. Whether it is authentic, a server with its keys finds out when it restores it.`,
  args: oneArg('FILE', 'files'),
  online: false,
  async run({ args, ui }) {
    const [file = ''] = args
    const { header, entries, bytes } = await inspected(file)
    const { id, created, coffer_version, cluster_id, storage_type, storage_format } = header
    const facts = { id, created, coffer_version, cluster_id, storage_type, storage_format, entries, bytes }
    if (ui.format === 'table') ui.out(columns(Object.entries(facts).map(([name, fact]) => [name, String(fact)])))
    else ui.data(struct(facts))
    return 0
  },
} satisfies Omit<CommandSpec<FlagTable>, 'words'>

/** The commands, under both names. */
export const snapshotCommands: readonly Command[] = [
  ['operator', 'snapshot'],
  ['operator', 'raft', 'snapshot'],
].flatMap((words) => [
  command({ ...save, words: [...words, 'save'] }),
  command({ ...restore, words: [...words, 'restore'] }),
  command({ ...inspect, words: [...words, 'inspect'] }),
])
