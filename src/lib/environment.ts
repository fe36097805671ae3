// Variables of the environment, spelled once: COFFER_ first, then BAO_, then VAULT_, so that existing set-ups keep working.

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

const prefixes = ['COFFER_', 'BAO_', 'VAULT_'] as const

/** Gives the first of COFFER_name, BAO_name, VAULT_name that is set and not empty; otherwise undefined. */
export function variable(env: Environment, name: string): string | undefined {
  for (const prefix of prefixes) {
    const value = env[prefix + name]
    if (value !== undefined && value !== '') return value
  }
  return undefined
}

/** Names the variable that `variable` would read, for messages; undefined when none is set. */
export const variableName = (env: Environment, name: string): string | undefined =>
  prefixes.map((prefix) => prefix + name).find((full) => (env[full] ?? '') !== '')
