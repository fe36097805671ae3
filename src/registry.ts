// Every secrets engine and auth method there is: one import and one name each. Core's own (sys, identity, token) are added where core is put together.
import { approle } from './auth/approle/index.ts'
import { userpass } from './auth/userpass/index.ts'
import { cubbyhole } from './engines/cubbyhole/index.ts'
import { kv } from './engines/kv/index.ts'
import type { Engine } from './sdk/engine.ts'

/** All engines, secrets and auth. A type is unique within its kind. */
export const engines: readonly Engine[] = [kv, cubbyhole, approle, userpass]

/** Another name under which an engine can be enabled, with the options it stands for (they beat the ones sent). */
export interface EngineAlias {
  readonly kind: Engine['kind']
  readonly type: string
  readonly options: Readonly<Record<string, string>>
}

/** Names that clients use for one version of an engine. */
export const engineAliases: Readonly<Record<string, EngineAlias>> = {
  'kv-v1': { kind: 'secret', type: 'kv', options: { version: '1' } },
  'kv-v2': { kind: 'secret', type: 'kv', options: { version: '2' } },
  generic: { kind: 'secret', type: 'kv', options: { version: '1' } },
}
