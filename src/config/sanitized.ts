// The configuration as it may be shown (`sys/config/state/sanitized`): no secret, no option of a seal, storage or audit device.

import type { Table, Values } from './keys.ts'
import { serverSection, telemetrySection } from './sections.ts'
import type { ServerConfig } from './server-config.ts'

const byName = <T extends Table>(table: T, values: Values<T>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(table).map(([field, key]) => [key.name, values[field]]))

/** Prints a configuration in Vault's shape, durations in seconds. What is secret is not in it. */
export function sanitized(config: ServerConfig): Record<string, unknown> {
  const { ui, ...top } = byName(serverSection.keys, config)
  return {
    ...top,
    enable_ui: ui,
    listeners: config.listeners.map(({ type, written }) => ({ type, config: written })),
    ...(config.storage && {
      storage: {
        type: config.storage.type,
        redirect_addr: config.apiAddr,
        cluster_addr: config.clusterAddr,
        disable_clustering: config.disableClustering,
      },
    }),
    seals: config.seals.map((seal) => ({
      type: seal.kind === 'other' ? seal.type : seal.kind,
      disabled: seal.disabled,
    })),
    audits: config.audits.map(({ type, path, description }) => ({ type, path, description })),
    telemetry: byName(telemetrySection.keys, config.telemetry),
    user_lockout_configs: config.userLockouts.map((lockout) => ({
      type: lockout.type,
      lockout_threshold: lockout.threshold,
      lockout_duration: lockout.durationSeconds,
      lockout_counter_reset: lockout.counterResetSeconds,
      disable_lockout: lockout.disabled,
    })),
  }
}
