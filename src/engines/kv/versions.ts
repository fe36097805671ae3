// KV version 2: deleting, undeleting and destroying versions by number. Versions that are not there are passed over without a word.
import { intList, invalid, path, str, type WriteContext } from '../../sdk/index.ts'
import { readablePath } from '../../sdk/texts.ts'
import {
  deletionMsOf,
  isReadable,
  readSecretAndConfig,
  rowOf,
  type SecretRecord,
  secrets,
  type VersionRow,
  withoutText,
  withRows,
} from './records.ts'
import { rootReply } from './wrong-path.ts'

const pathField = { path: str('Where the secret lies below the mount.').required() }
const versionsField = (what: string) => ({ versions: intList(what).default([]) })

/** Checks the request, changes the rows of the versions named, and writes the secret if there is one. */
async function change(
  input: { readonly path: string; readonly versions: readonly number[] },
  context: WriteContext,
  changed: (row: VersionRow, found: Awaited<ReturnType<typeof readSecretAndConfig>>) => VersionRow,
  finish: (secret: SecretRecord) => SecretRecord = (secret) => secret,
): Promise<undefined> {
  if (input.versions.length === 0) throw invalid('no version number provided')
  const found = await readSecretAndConfig(context.tx, readablePath(input.path))
  if (!found.secret) return
  const next = withRows(found.secret, input.versions, (row) => (row[2] === 1 ? row : changed(row, found)))
  secrets.put(context.tx, input.path, finish(next))
}

export const deleteVersions = path('delete/{path*}', pathField, 'Marks versions as deleted.').write({
  summary: 'Delete versions of a secret; they can be undeleted.',
  input: versionsField('Numbers of the versions to delete.'),
  async run(input, context) {
    if (input.path === '') return rootReply
    const { now } = context
    return change(input, context, (row) => (isReadable(row, now) ? [row[0], now, 0] : row))
  },
})

export const undeleteVersions = path('undelete/{path*}', pathField, 'Takes the deletion of versions back.').write({
  summary: 'Undelete versions of a secret; destroyed ones stay destroyed.',
  input: versionsField('Numbers of the versions to undelete.'),
  async run(input, context) {
    if (input.path === '') return rootReply
    return change(input, context, (row, { config, secret }) => [
      row[0],
      secret ? deletionMsOf(context.now, config, secret) : 0,
      0,
    ])
  },
})

export const destroyVersions = path('destroy/{path*}', pathField, 'Removes the data of versions for good.').write({
  summary: 'Destroy versions of a secret; there is no way back.',
  input: versionsField('Numbers of the versions to destroy.'),
  async run(input, context) {
    if (input.path === '') return rootReply
    const { path: id, versions } = input
    const destroyed = (secret: SecretRecord) =>
      versions
        .filter((version) => rowOf(secret, version))
        .reduce((left, version) => withoutText(context.tx, id, left, version), secret)
    return change(input, context, (row) => [row[0], row[1], 1], destroyed)
  },
})

/** Operations on `delete/`, `undelete/` and `destroy/`. */
export const versionOperations = [deleteVersions, undeleteVersions, destroyVersions]
