// Finds the operation for a path and verb, decodes its input, runs it. The pipeline and the test harness both go through here.
import type { ReadContext } from './context.ts'
import type { Variant } from './engine.ts'
import { missing, unsupported } from './errors.ts'
import type { Operation, OperationVerb } from './operation.ts'

/** An operation with the placeholders its path caught. */
export interface Found {
  readonly operation: Operation
  readonly params: Readonly<Record<string, string>>
}

/** Finds the operation; throws 404 when no pattern fits the path, 405 when the path lacks the verb. */
export function findOperation(variant: Variant, verb: OperationVerb, path: string): Found {
  const match = variant.routes.match(path)
  if (!match) throw missing('unsupported path')
  const operation = match.value.byVerb[verb]
  if (!operation) throw unsupported()
  return { operation, params: match.params }
}

/** Where the input of a verb comes from: the query for reads and deletes, the body for writes. */
export const inputSource = (
  verb: OperationVerb,
  query: Readonly<Record<string, unknown>>,
  body: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, unknown>> => (verb === 'write' || verb === 'patch' ? (body ?? {}) : query)

/** Decides create from update: an operation with `exists` asks it; all others that write are updates. */
export async function writeCapability(
  found: Found,
  input: Record<string, unknown>,
  context: ReadContext,
): Promise<'create' | 'update'> {
  const { exists } = found.operation
  return exists && !(await exists(input, context)) ? 'create' : 'update'
}
