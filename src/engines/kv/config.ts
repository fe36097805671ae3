// KV version 2: settings of the mount that hold for all its secrets.
import { formatDuration } from '../../lib/duration.ts'
import { bool, int, invalid, path, signedDuration, str } from '../../sdk/index.ts'
import { putConfigRecord, readConfigRecord } from './records.ts'

const config = path('config', {}, 'Settings of the mount that hold for all its secrets.')

/** The most versions a secret may be told to keep. */
const versionsMax = 0xffffffff

/** Checks a number of versions to keep; throws `invalid`. */
export function checkedMaxVersions(wanted: number): number {
  if (wanted < 0 || wanted > versionsMax) throw invalid('field "max_versions" is out of range')
  return wanted
}

export const readConfig = config.read({
  summary: 'Read the settings of the mount.',
  output: {
    max_versions: int('Versions kept of each secret; 0 means 10.'),
    cas_required: bool('Whether every write must name the current version.'),
    metadata_cas_required: bool('Whether every write of metadata must name its current version.'),
    delete_version_after: str('How long a version lives; "0s" for ever, "-1s" for ever whatever the secret says.'),
  },
  async run(_input, { tx }) {
    const record = await readConfigRecord(tx)
    return {
      data: {
        max_versions: record.maxVersions,
        cas_required: record.casRequired,
        metadata_cas_required: record.metadataCasRequired,
        delete_version_after: formatDuration(record.deleteAfterSeconds),
      },
    }
  },
})

export const writeConfig = config.write({
  summary: 'Change the settings of the mount; what is not sent stays.',
  input: {
    max_versions: int('Versions to keep of each secret; 0 means 10.'),
    cas_required: bool('Refuse writes that do not name the current version.'),
    metadata_cas_required: bool('Refuse writes of metadata that do not name its current version.'),
    delete_version_after: signedDuration(
      'How long a new version lives. 0 clears the setting; less than 0 keeps all versions, whatever their secrets say.',
    ),
  },
  async run(input, { tx }) {
    const record = await readConfigRecord(tx)
    const deleteAfter = input.delete_version_after ?? record.deleteAfterSeconds
    putConfigRecord(tx, {
      maxVersions: checkedMaxVersions(input.max_versions ?? record.maxVersions),
      casRequired: input.cas_required ?? record.casRequired,
      metadataCasRequired: input.metadata_cas_required ?? record.metadataCasRequired,
      deleteAfterSeconds: Math.max(-1, deleteAfter),
    })
    return undefined
  },
})

/** Operations on `config`. */
export const configOperations = [readConfig, writeConfig]
