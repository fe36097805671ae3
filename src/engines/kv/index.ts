// The key/value engine, versions 1 and 2: assembles its operations and says what its options may be.
import { engine, invalid, type MountHooks } from '../../sdk/index.ts'
import { configOperations } from './config.ts'
import { dataOperations } from './data.ts'
import { metadataOperations } from './metadata.ts'
import { readSubkeys } from './subkeys.ts'
import { upgradeSecrets } from './upgrade.ts'
import { plainOperations } from './v1.ts'
import { versionOperations } from './versions.ts'
import { wrongPathOperations } from './wrong-path.ts'

type Options = Readonly<Record<string, string>>

const isVersioned = (options: Options): boolean => options['version'] === '2'

/** Checks the version of a mount; throws `invalid`. No version is version 1, and stays unsaid. */
function checkVersion(options: Options): void {
  const { version } = options
  if (version !== undefined && version !== '1' && version !== '2')
    throw invalid('invalid version provided: option "version" must be 1 or 2')
}

const hooks: MountHooks = {
  options(wanted) {
    checkVersion(wanted)
    return { ...wanted }
  },
  async retuned(context, before) {
    const { options } = context.mount
    checkVersion(options)
    if (isVersioned(before) && !isVersioned(options)) throw invalid('cannot downgrade mount from version 2')
    if (isVersioned(before) || !isVersioned(options)) return
    const count = await upgradeSecrets(context)
    context.warn(`the mount now keeps versions (KV version 2); ${count} secrets became first versions`)
  },
}

/** Key/value secrets: `options.version` "2" keeps versions, "1" (or none) does not. */
export const kv = engine({
  type: 'kv',
  kind: 'secret',
  summary: 'Key/value secrets, with versions (version 2) or without (version 1).',
  operations: {
    pick: (options) => (isVersioned(options) ? '2' : '1'),
    of: {
      '1': plainOperations,
      '2': [
        ...configOperations,
        ...dataOperations,
        ...metadataOperations,
        ...versionOperations,
        readSubkeys,
        ...wrongPathOperations,
      ],
    },
  },
  hooks,
})
