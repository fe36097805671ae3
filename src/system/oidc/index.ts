// Identity tokens and the OpenID provider in one list of operations. Assembles only.
import type { DueHandler } from '../../core/jobs.ts'
import type { Operation } from '../../sdk/index.ts'
import { assignmentOperations } from './assignments.ts'
import { authorizeOperations } from './authorize.ts'
import { clientOperations } from './clients.ts'
import { codeHandlers } from './codes.ts'
import { exchangeOperation } from './exchange.ts'
import { keyOperations } from './keys.ts'
import { providerOperations } from './providers.ts'
import type { OidcPorts } from './records.ts'
import { roleOperations } from './roles.ts'
import { rotationHandlers } from './rotation.ts'
import { scopeOperations } from './scopes.ts'
import { userinfoOperations } from './userinfo.ts'
import { verificationOperations } from './verification.ts'

export type { OidcPorts } from './records.ts'

/** Makes the handlers of the due work below `identity/oidc/`: for the job runner. */
export const oidcHandlers = (now: () => number): ReadonlyMap<string, DueHandler> =>
  new Map([...rotationHandlers(now), ...codeHandlers])

/** Makes the operations below `identity/oidc/`. */
export const oidcOperations = (ports: OidcPorts): Operation[] => [
  ...keyOperations,
  ...roleOperations(ports),
  ...verificationOperations(ports),
  ...assignmentOperations,
  ...scopeOperations,
  ...clientOperations,
  ...providerOperations(ports),
  ...authorizeOperations(ports),
  exchangeOperation(ports),
  ...userinfoOperations(ports),
]
