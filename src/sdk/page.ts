// Paging of lists, the same for every list an engine offers: `after` and `limit`. Core has put policy's limit into the input before.
import type { ListOptions } from '../storage/storage.ts'
import { int, str } from './fields.ts'

/** Input of a list that comes in pages. */
export const pageFields = {
  after: str('Only names after this one, in byte order; it need not exist.').default(''),
  limit: int('At most so many names; 0 or less means all.').default(0),
}

/** Makes storage's options from the input of `pageFields`. */
export const pageOptions = (input: { readonly after: string; readonly limit: number }): ListOptions => ({
  ...(input.after === '' ? {} : { after: input.after }),
  ...(input.limit > 0 ? { limit: input.limit } : {}),
})

/** Cuts a page out of sorted names, for lists that are not storage's own. */
export function pageOf(names: readonly string[], input: { readonly after: string; readonly limit: number }): string[] {
  const from = input.after === '' ? names : names.filter((name) => name > input.after)
  return input.limit > 0 ? from.slice(0, input.limit) : [...from]
}
