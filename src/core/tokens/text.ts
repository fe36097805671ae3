// What the text of a token and an accessor looks like: prefixes, random part, namespace suffix. Nothing is looked up here.
import type { Buffer } from 'node:buffer'
import { type RandomBytes, randomText } from '../../lib/random.ts'
import { invalid } from '../../sdk/errors.ts'

const randomCharacters = 24
/** A longer text is no token: batch tokens with much metadata stay below. */
const textMax = 32 * 1024
const customMax = 512

const suffixOf = (namespaceId: string): string => (namespaceId === 'root' ? '' : `.${namespaceId}`)

/** Makes the text of a service token. */
export const newServiceToken = (random: RandomBytes, namespaceId: string): string =>
  `hvs.${randomText(randomCharacters, random)}${suffixOf(namespaceId)}`
/** Makes an accessor. */
export const newAccessor = (random: RandomBytes, namespaceId: string): string =>
  randomText(randomCharacters, random) + suffixOf(namespaceId)
/** Spells a batch token. */
export const batchTokenText = (box: Buffer, namespaceId: string): string =>
  `hvb.${box.toString('base64url')}${suffixOf(namespaceId)}`

/** What the text of a token says by itself. */
export interface TokenText {
  readonly kind: 'stored' | 'batch'
  /** What stands between prefix and suffix. */
  readonly body: string
  /** "" in the root namespace. */
  readonly namespaceId: string
}

/** Reads the text of a token; undefined when no token can look so. */
export function readTokenText(text: string): TokenText | undefined {
  if (text === '' || text.length > textMax) return undefined
  const prefix = /^hv[sbr]\./.test(text) ? 4 : 0
  const dot = text.lastIndexOf('.')
  const suffixed = dot >= prefix
  return {
    kind: text.startsWith('hvb.') ? 'batch' : 'stored',
    body: text.slice(prefix, suffixed ? dot : undefined),
    namespaceId: suffixed ? text.slice(dot + 1) : '',
  }
}

/** Checks a token id that a client chose; throws 400. */
export function checkCustomId(id: string): void {
  if (id.startsWith('hvs.')) throw invalid("custom token id cannot have the 'hvs.' prefix")
  if (id.startsWith('s.')) throw invalid("custom token id cannot have the 's.' prefix")
  if (id.includes('.')) throw invalid("custom token id cannot have a '.' in the value")
  if (id.length > customMax) throw invalid(`custom token id is longer than ${customMax} characters`)
  if (!/^[\x21-\x7e]+$/.test(id)) throw invalid('custom token id must be printable characters without spaces')
}

/** Whether a text can be an accessor, so that it may stand in a key. */
export const isAccessor = (text: string): boolean => /^[0-9A-Za-z]{1,64}(\.[0-9A-Za-z]{1,64})?$/.test(text)

/** The part of a display name that comes from a client: letters, digits and dashes. */
export const cleanDisplayName = (name: string): string => name.replace(/[^a-zA-Z0-9-]/g, '-').replace(/-$/, '')
