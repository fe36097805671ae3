// What belongs to the whole server is done in the root namespace only: who administers a child namespace has no say in it.
import { type Context, invalid } from '../sdk/index.ts'

/** Throws 400 outside the root namespace. Every operation that changes or tells something of the whole server begins with it. */
export function inRoot(context: Context): void {
  if (context.mount.namespace.uuid !== 'root') throw invalid('this belongs to the root namespace')
}
