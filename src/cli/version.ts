// Which Coffer this is. The version is package.json's, read once; the API level is what servers of this version report.
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** Coffer's own version, without a leading `v`. */
export const cofferVersion: string = manifest.version
/** The level of Vault's API that this version speaks. */
export const apiLevel = '1.21.5'
/** The line that `coffer version` prints, for people. */
export const versionLine = `Coffer v${cofferVersion} (API ${apiLevel})`
/** The line that `coffer -version` prints, for programs: its second word is `vX.Y.Z`, from which harnesses of clients conclude what can be called. */
export const apiVersionLine = `Coffer v${apiLevel} (API level of Coffer ${cofferVersion})`
