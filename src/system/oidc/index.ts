// Identity tokens and the OpenID provider in one list of operations. Assembles only.
import type { Operation } from '../../sdk/index.ts'
import { keyOperations } from './keys.ts'
import type { OidcPorts } from './records.ts'
import { roleOperations } from './roles.ts'
import { verificationOperations } from './verification.ts'

export type { OidcPorts } from './records.ts'
export { rotationHandlers } from './rotation.ts'

/** Makes the operations below `identity/oidc/`. */
export const oidcOperations = (ports: OidcPorts): Operation[] => [
  ...keyOperations,
  ...roleOperations(ports),
  ...verificationOperations(ports),
]
