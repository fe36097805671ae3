// From what went wrong to an answer that says no more than it may; the cause of a bug goes to the log with the request's id.
import { AuditFailed } from '../audit/event.ts'
import { ApiError, sealed, unavailable } from '../sdk/errors.ts'
import { OutcomeUnknown, StorageUnavailable, TooMuchContention, ValueTooLarge } from '../storage/storage.ts'
import { errorResponse } from './envelope.ts'
import type { ClientRequest, ClientResponse } from './exchange.ts'

export interface FailurePorts {
  readonly isSealedError: (error: unknown) => boolean
  log(level: 'debug' | 'error', message: string, facts: Record<string, unknown>): void
}

/** Turns what went wrong into an answer that says no more than it may. */
export function failureResponse(error: unknown, request: ClientRequest, ports: FailurePorts): ClientResponse {
  if (error instanceof ApiError) return errorResponse(error)
  if (ports.isSealedError(error)) return errorResponse(sealed())
  if (error instanceof ValueTooLarge) return errorResponse(new ApiError(413, error.message))
  if (error instanceof TooMuchContention)
    return errorResponse(unavailable('too many writers on the same records, try again'))
  const facts = {
    requestId: request.id,
    path: request.path,
    error: String(error),
    stack: (error as Error)?.stack,
  }
  ports.log('error', 'request failed', facts)
  if (error instanceof OutcomeUnknown)
    return errorResponse(new ApiError(500, 'the outcome of this write is unknown: it may or may not have happened'))
  if (error instanceof StorageUnavailable)
    return errorResponse(unavailable('the storage cannot be reached at the moment, try again'))
  if (error instanceof AuditFailed) return errorResponse(new ApiError(500, 'no audit device accepted the entry'))
  return errorResponse(new ApiError(500, 'internal error'))
}
